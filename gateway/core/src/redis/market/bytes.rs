//! Fixed layouts, read and written field by field. All numbers are big-endian, so that bytes sort
//! as the numbers do.

use crate::market::{Amount, Position, Price};
use crate::{Pubkey, Signature, Slot};

/// What is still to be read.
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl Reader<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take().map(u8::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }

    pub(super) fn f64(&mut self) -> Option<f64> {
        self.take().map(f64::from_be_bytes)
    }

    pub(super) fn u128(&mut self) -> Option<u128> {
        self.take().map(u128::from_be_bytes)
    }

    pub(super) fn key(&mut self) -> Option<Pubkey> {
        self.take().map(Pubkey)
    }

    pub(super) fn signature(&mut self) -> Option<Signature> {
        self.take().map(Signature)
    }

    pub(super) fn position(&mut self) -> Option<Position> {
        Some(Position {
            slot: Slot(self.u64()?),
            transaction: self.take().map(u32::from_be_bytes)?,
            instruction: self.take().map(u32::from_be_bytes)?,
            ordinal: self.take().map(u32::from_be_bytes)?,
        })
    }

    pub(super) fn price(&mut self) -> Option<Price> {
        let mantissa = self.u64()?;
        let exponent = self.take().map(i16::from_be_bytes)?;
        Price::from_parts(mantissa, exponent)
    }

    pub(super) fn amount(&mut self) -> Option<Amount> {
        let raw = self.u64()?;
        let decimals = Some(self.byte()?);
        Some(Amount { raw, decimals })
    }
}

pub(super) fn put_position(bytes: &mut Vec<u8>, position: Position) {
    bytes.extend(position.slot.0.to_be_bytes());
    for number in [position.transaction, position.instruction, position.ordinal] {
        bytes.extend(number.to_be_bytes());
    }
}

pub(super) fn put_price(bytes: &mut Vec<u8>, price: Price) {
    let (mantissa, exponent) = price.parts();
    bytes.extend(mantissa.to_be_bytes());
    bytes.extend(exponent.to_be_bytes());
}

/// Only for amounts whose decimals are known.
pub(super) fn put_amount(bytes: &mut Vec<u8>, amount: Amount) {
    bytes.extend(amount.raw.to_be_bytes());
    bytes.push(amount.decimals.unwrap_or_default());
}
