//! A price: the ratio of two amounts, to 17 significant digits or more, whatever its size.
//!
//! Not a double, so that equal trades have equal prices everywhere; not a fixed number of places,
//! since prices on Solana span thirty orders of magnitude.

use std::cmp::Ordering;
use std::fmt;

use crate::market::Amount;

/// More places than the ratio of any two amounts has: 255 decimals and 40 digits.
const MOST_PLACES: u16 = 300;

/// A positive number: `mantissa` × 10^`exponent`. Equal numbers are equal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Price {
    /// Never 0 and never a multiple of ten.
    mantissa: u64,
    exponent: i16,
}

impl Price {
    /// How many of one token one gets for one of another, from the amounts given. `None` if one of
    /// the amounts is 0 or its decimals are unknown.
    pub fn ratio(numerator: Amount, denominator: Amount) -> Option<Self> {
        let (up, down) = (numerator.raw, denominator.raw);
        // One has 17 or 18 digits before the point after this many places to the left.
        let digits = i16::try_from(up.checked_ilog10()?).ok()?
            - i16::try_from(down.checked_ilog10()?).ok()?;
        let shift = 17 - digits;
        let ten = 10_u128.pow(u32::from(shift.unsigned_abs()));
        // Neither product exceeds 10^38.
        let (up, down) = if shift < 0 {
            (u128::from(up), u128::from(down) * ten)
        } else {
            (u128::from(up) * ten, u128::from(down))
        };
        let mantissa = u64::try_from((up + down / 2) / down).ok()?;
        let places = i16::from(denominator.decimals?) - i16::from(numerator.decimals?);
        Some(Self::new(mantissa, places - shift))
    }

    /// `mantissa` × 10^`exponent`. None for 0, and for an exponent beyond all amounts there are.
    pub fn from_parts(mantissa: u64, exponent: i16) -> Option<Self> {
        let possible = mantissa > 0 && exponent.unsigned_abs() <= MOST_PLACES;
        possible.then(|| Self::new(mantissa, exponent))
    }

    /// The mantissa and the exponent of ten, as [`Price::from_parts`] takes them.
    pub const fn parts(self) -> (u64, i16) {
        (self.mantissa, self.exponent)
    }

    fn new(mut mantissa: u64, mut exponent: i16) -> Self {
        while mantissa.is_multiple_of(10) && mantissa > 0 {
            mantissa /= 10;
            exponent += 1;
        }
        Self { mantissa, exponent }
    }

    /// The nearest double, for JSON and for sums that need not be exact.
    pub fn to_f64(self) -> f64 {
        format!("{}e{}", self.mantissa, self.exponent)
            .parse()
            .unwrap_or(f64::NAN)
    }

    /// The number of digits before the point, or the negative number of zeros after it.
    fn magnitude(self) -> i32 {
        i32::from(self.exponent) + self.mantissa.checked_ilog10().map_or(0, u32::cast_signed)
    }
}

impl PartialOrd for Price {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Price {
    fn cmp(&self, other: &Self) -> Ordering {
        // With as many digits on both sides, mantissas compare as they stand.
        let wide = |price: &Self| {
            let missing = 19 - price.mantissa.checked_ilog10().unwrap_or(0);
            u128::from(price.mantissa) * 10_u128.pow(missing)
        };
        (self.magnitude(), wide(self)).cmp(&(other.magnitude(), wide(other)))
    }
}

impl fmt::Display for Price {
    /// Plain digits, as databases and people read them.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zeros = usize::from(self.exponent.unsigned_abs());
        if self.exponent >= 0 {
            return write!(formatter, "{}{:0<zeros$}", self.mantissa, "");
        }
        let digits = format!("{:0>width$}", self.mantissa, width = zeros + 1);
        match digits.split_at_checked(digits.len() - zeros) {
            Some((whole, fraction)) => write!(formatter, "{whole}.{fraction}"),
            None => formatter.write_str(&digits),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount(raw: u64, decimals: u8) -> Amount {
        Amount {
            raw,
            decimals: Some(decimals),
        }
    }

    #[test]
    fn prices_are_shown_in_plain_digits() {
        for (numerator, denominator, expected) in [
            (amount(1, 0), amount(1, 0), "1"),
            (amount(1_000, 0), amount(1, 0), "1000"),
            (amount(1, 0), amount(8, 0), "0.125"),
            (amount(1, 0), amount(3, 0), "0.33333333333333333"),
            (amount(2, 0), amount(3, 0), "0.66666666666666667"),
            // WSOL for a token of six decimals, as in Bitquery's published sample.
            (
                amount(1_040_781_784, 9),
                amount(1_114_498_374_003, 6),
                "0.00000093385670924020427",
            ),
            (amount(u64::MAX, 0), amount(1, 0), "18446744073709551600"),
            (
                amount(1, 0),
                amount(u64::MAX, 0),
                "0.000000000000000000054210108624275222",
            ),
            (amount(1, 18), amount(1, 0), "0.000000000000000001"),
        ] {
            let price = Price::ratio(numerator, denominator).unwrap();
            assert_eq!(price.to_string(), expected);
        }
    }

    #[test]
    fn a_price_is_made_of_its_parts_again() {
        let price = Price::ratio(amount(1_000, 0), amount(8, 0)).unwrap();
        assert_eq!(price.parts(), (125, 0));
        assert_eq!(Price::from_parts(1250, -1), Some(price));
        assert_eq!(Price::from_parts(0, 0), None);
        assert_eq!(Price::from_parts(1, 301), None);
        assert_eq!(Price::from_parts(1, i16::MIN), None);
    }

    #[test]
    fn there_is_no_price_without_amounts_and_their_decimals() {
        let unknown = Amount {
            raw: 1,
            decimals: None,
        };
        assert_eq!(Price::ratio(amount(0, 6), amount(1, 6)), None);
        assert_eq!(Price::ratio(amount(1, 6), amount(0, 6)), None);
        assert_eq!(Price::ratio(unknown, amount(1, 6)), None);
        assert_eq!(Price::ratio(amount(1, 6), unknown), None);
    }

    proptest! {
        #[test]
        fn a_price_is_within_a_part_in_ten_to_the_sixteenth(
            up in 1_u64.., down in 1_u64.., more in any::<u8>(), fewer in any::<u8>(),
        ) {
            let price = Price::ratio(amount(up, more), amount(down, fewer)).unwrap();
            let exact = format!("{up}e-{more}").parse::<f64>().unwrap()
                / format!("{down}e-{fewer}").parse::<f64>().unwrap();
            prop_assume!(exact.is_normal());
            prop_assert!((price.to_f64() / exact - 1.0).abs() < 1e-15, "{price} {exact}");
        }

        #[test]
        fn what_is_shown_is_the_number(up in 1_u64.., down in 1_u64.., places in 0_u8..20) {
            let price = Price::ratio(amount(up, places), amount(down, 9)).unwrap();
            let shown: f64 = price.to_string().parse().unwrap();
            prop_assert_eq!(shown.to_bits(), price.to_f64().to_bits());
        }

        #[test]
        fn the_same_trade_in_other_units_has_the_same_price(
            up in 1_u64..1 << 40, down in 1_u64..1 << 40, places in 0_u8..=6,
        ) {
            let ten = 10_u64.pow(u32::from(places));
            prop_assert_eq!(
                Price::ratio(amount(up * ten, places), amount(down * ten, places)),
                Price::ratio(amount(up, 0), amount(down, 0))
            );
        }

        #[test]
        fn prices_are_ordered_as_numbers(
            a in 1_u64.., b in 1_u64.., c in 1_u64.., d in 1_u64.., places in 0_u8..30,
        ) {
            let left = Price::ratio(amount(a, places), amount(b, 9)).unwrap();
            let right = Price::ratio(amount(c, 9), amount(d, places)).unwrap();
            let as_doubles = left.to_f64().partial_cmp(&right.to_f64()).unwrap();
            prop_assert!(left.cmp(&right) == as_doubles || as_doubles == Ordering::Equal);
            prop_assert_eq!(left.cmp(&left), Ordering::Equal);
        }
    }
}
