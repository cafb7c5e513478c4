//! An amount of a token: exact, in the smallest unit.

/// An amount in base units. Spans the whole of u64, so it does not fit a signed 64-bit column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    pub raw: u64,
    /// Base units in one token, as a power of ten; `None` if the message does not contain it.
    pub decimals: Option<u8>,
}

impl Amount {
    /// The amount in tokens, exact; `None` if the decimals are unknown.
    pub fn decimal(self) -> Option<String> {
        let decimals = usize::from(self.decimals?);
        let digits = format!("{:0>width$}", self.raw, width = decimals + 1);
        let (whole, fraction) = digits.split_at_checked(digits.len() - decimals)?;
        let fraction = fraction.trim_end_matches('0');
        Some(if fraction.is_empty() {
            whole.to_owned()
        } else {
            format!("{whole}.{fraction}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_in_tokens_without_a_loss() {
        for (raw, decimals, expected) in [
            (0, 9, "0"),
            (1, 9, "0.000000001"),
            (1_040_781_784, 9, "1.040781784"),
            (1_500_000, 6, "1.5"),
            (7, 0, "7"),
            (u64::MAX, 0, "18446744073709551615"),
            (u64::MAX, 18, "18.446744073709551615"),
            (u64::MAX, 20, "0.18446744073709551615"),
        ] {
            let decimals = Some(decimals);
            assert_eq!(
                Amount { raw, decimals }.decimal().as_deref(),
                Some(expected)
            );
        }
        assert_eq!(
            Amount {
                raw: 1,
                decimals: None
            }
            .decimal(),
            None
        );
    }
}
