//! What a transaction of `/swap`, `/swap-instructions` or an order was asked for, and whether an answer may
//! be that.
//! An upstream that is asked over a cache, a proxy or mixed-up connections may answer with one of another
//! wallet, or with an old one. Only what contradicts the question is refused: upstreams may say less, or
//! more, than is known here.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use perijove_core::Pubkey;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::begins_as_object;
use super::parameters::{Parameters, decode};
use super::{AskedSwap, QuoteFacts, SwapMode};

/// A transaction with more signatures would not fit into a packet (1232 bytes / 64).
const MOST_SIGNATURES: u8 = 19;
const SIGNATURE: usize = 64;
const KEY: usize = 32;
/// The first byte of a message of version 0. Those without a version begin with the number of signers.
const VERSION_0: u8 = 0x80;

/// The question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedTransaction {
    /// Who swaps, and so has to sign; `None` if that is no address.
    user: Option<Pubkey>,
    payer: Payer,
    /// What the quote in the request is for.
    swap: Option<AskedSwap>,
}

/// Who pays for the transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Payer {
    #[default]
    User,
    Other(Pubkey),
    /// It is named in a way that is not understood.
    Unknown,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TransactionRequest<'a> {
    #[serde(borrow, default)]
    user_public_key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    payer: Option<&'a RawValue>,
    #[serde(borrow, default)]
    quote_response: Option<&'a RawValue>,
}

/// What an answer says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BuiltTransaction<'a> {
    #[serde(borrow, default)]
    swap_transaction: Option<&'a RawValue>,
    /// That of an order.
    #[serde(borrow, default)]
    transaction: Option<&'a RawValue>,
    #[serde(borrow, default)]
    swap_instruction: Option<&'a RawValue>,
    #[serde(borrow, default)]
    last_valid_block_height: Option<&'a RawValue>,
    #[serde(borrow, default)]
    blockhash_with_metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockhashMetadata<'a> {
    #[serde(borrow, default)]
    last_valid_block_height: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SwapInstruction<'a> {
    #[serde(borrow)]
    accounts: Vec<InstructionAccount<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InstructionAccount<'a> {
    #[serde(borrow)]
    pubkey: Cow<'a, str>,
    is_signer: bool,
}

impl AskedTransaction {
    /// The question in the body of a request.
    pub fn of(body: &[u8]) -> Self {
        let Ok(request) = serde_json::from_slice::<TransactionRequest<'_>>(body) else {
            return Self::default();
        };
        Self {
            user: request.user_public_key.and_then(key),
            payer: match request.payer {
                None => Payer::User,
                Some(payer) => key(payer).map_or(Payer::Unknown, Payer::Other),
            },
            swap: request.quote_response.and_then(swap_of),
        }
    }

    /// The question in the query of an order. Others may pay for it, and whoever takes it signs.
    pub fn of_order(query: &str) -> Self {
        let parameters = decode(query).unwrap_or_default();
        let taker = Parameters(&parameters).get("taker");
        Self {
            user: taker.and_then(|taker| taker.parse().ok()),
            payer: Payer::Unknown,
            swap: None,
        }
    }

    /// Whether an answer may be one to this question, as far as it says. `height`: blocks that the cluster
    /// has passed.
    pub fn may_be_answered_by(&self, body: &[u8], height: Option<u64>) -> bool {
        if !begins_as_object(body) {
            return false;
        }
        let Ok(built) = serde_json::from_slice::<BuiltTransaction<'_>>(body) else {
            return true;
        };
        let same_swap = self
            .swap
            .is_none_or(|swap| swap.may_be_answered_by_order(body));
        let expired = built.last_valid().zip(height);
        same_swap
            && expired.is_none_or(|(last, height)| last >= height)
            && self.is_signed_as(&built)
    }

    fn is_signed_as(&self, built: &BuiltTransaction<'_>) -> bool {
        let Some(user) = self.user else { return true };
        let transaction = built.swap_transaction.or(built.transaction);
        let transaction = transaction.and_then(signers_of_transaction);
        let pays = transaction.as_ref().and_then(|signers| signers.first());
        let pays = pays.copied();
        let instruction = || built.swap_instruction.and_then(signers_of_instruction);
        let signers = transaction.or_else(instruction);
        let signs = signers.is_none_or(|signers| signers.contains(&user));
        let may_pay = |pays: Pubkey| match self.payer {
            Payer::User => pays == user,
            Payer::Other(payer) => pays == payer || pays == user,
            Payer::Unknown => true,
        };
        signs && pays.is_none_or(may_pay)
    }
}

impl BuiltTransaction<'_> {
    /// The last block at which it can be executed, if it says so.
    fn last_valid(&self) -> Option<u64> {
        let beside = self.blockhash_with_metadata.and_then(|beside| {
            let beside: BlockhashMetadata<'_> = serde_json::from_str(beside.get()).ok()?;
            beside.last_valid_block_height
        });
        let last = self.last_valid_block_height.or(beside)?;
        let last = last.get().trim_matches('"').parse().ok();
        last.filter(|last| *last > 0)
    }
}

fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str(raw.get()).ok()
}

fn key(raw: &RawValue) -> Option<Pubkey> {
    text(raw)?.parse().ok()
}

/// What a quote is for; `None` if it does not say, or not as Jupiter does.
fn swap_of(quote: &RawValue) -> Option<AskedSwap> {
    let quote = QuoteFacts::read(quote.get().as_bytes())?;
    let mode = match quote.mode.as_deref() {
        None | Some("ExactIn") => SwapMode::ExactIn,
        Some("ExactOut") => SwapMode::ExactOut,
        Some(_) => return None,
    };
    let amount = match mode {
        SwapMode::ExactIn => quote.in_amount,
        SwapMode::ExactOut => quote.out_amount,
    };
    Some(AskedSwap {
        input_mint: quote.input_mint?,
        output_mint: quote.output_mint?,
        amount,
        mode,
    })
}

/// Who signs a transaction, who pays for it first; `None` if it is of a form that is not known here.
fn signers_of_transaction(raw: &RawValue) -> Option<Vec<Pubkey>> {
    let wire = STANDARD.decode(text(raw)?.as_bytes()).ok()?;
    let (signatures, rest) = wire.split_first()?;
    if !(1..=MOST_SIGNATURES).contains(signatures) {
        return None;
    }
    let message = rest.get(usize::from(*signatures) * SIGNATURE..)?;
    let message = match message.first()? {
        &VERSION_0 => message.get(1..)?,
        first if *first > VERSION_0 => return None,
        _ => message,
    };
    let [signers, _, _, keys, rest @ ..] = message else {
        return None;
    };
    // A compact-u16 below 128 is one byte, and more keys would not fit.
    if signers != signatures || signers > keys || *keys >= 128 {
        return None;
    }
    let own = rest.get(..usize::from(*keys) * KEY)?;
    let own = own.as_chunks::<KEY>().0.iter().map(|key| Pubkey(*key));
    Some(own.take(usize::from(*signers)).collect())
}

/// Who signs an instruction; `None` if it does not say.
fn signers_of_instruction(raw: &RawValue) -> Option<Vec<Pubkey>> {
    let instruction: SwapInstruction<'_> = serde_json::from_str(raw.get()).ok()?;
    let accounts = instruction.accounts.iter();
    let signers = accounts.filter(|account| account.is_signer);
    let signers: Vec<_> = signers
        .map(|account| account.pubkey.parse().ok())
        .collect::<Option<_>>()?;
    (!signers.is_empty()).then_some(signers)
}

#[cfg(test)]
mod tests;
