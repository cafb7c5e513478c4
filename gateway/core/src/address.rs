//! Public keys and signatures: fixed-size byte strings written in base58. Parses and formats them;
//! no cryptography.

use std::{fmt, str::FromStr};

/// Why a text is not an address or signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A character outside the base58 alphabet, or too many of them.
    #[error("not base58 of the expected length")]
    NotBase58,
    /// Base58, but of another number of bytes.
    #[error("expected {expected} bytes, found {found}")]
    Length {
        /// Bytes of the type.
        expected: usize,
        /// Bytes of the text.
        found: usize,
    },
}

macro_rules! base58_bytes {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $length]);

        impl FromStr for $name {
            type Err = AddressError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0; $length];
                match bs58::decode(text).onto(&mut bytes) {
                    Ok(found) if found == $length => Ok(Self(bytes)),
                    Ok(found) => Err(AddressError::Length { expected: $length, found }),
                    Err(_) => Err(AddressError::NotBase58),
                }
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = AddressError;

            fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
                bytes.try_into().map(Self).map_err(|_| AddressError::Length {
                    expected: $length,
                    found: bytes.len(),
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&bs58::encode(&self.0).into_string())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}({self})", stringify!($name))
            }
        }
    };
}

base58_bytes! {
    /// The address of an account.
    Pubkey, 32
}
base58_bytes! {
    /// A transaction's signature; the first one identifies the transaction.
    Signature, 64
}

#[cfg(test)]
mod tests {
    use super::{AddressError, Pubkey, Signature};

    #[test]
    fn an_address_survives_the_round_trip() {
        for text in [
            "11111111111111111111111111111111",
            "3qri489hLgWkzeAw76pCNPwRF2RiCmi5iQgKpLioeJz2",
            "So11111111111111111111111111111111111111112",
        ] {
            assert_eq!(text.parse::<Pubkey>().unwrap().to_string(), text);
        }
        let signature = "42N7STqGFPuDZtFq3rp69G6eBUuJUtXHjhUk319aiQcDEqzHGJqTpn1YDsQPrEMF5UWZMQYEcc4pSxf2Hm2Qyw3t";
        assert_eq!(
            signature.parse::<Signature>().unwrap().to_string(),
            signature
        );
    }

    #[test]
    fn a_wrong_length_and_a_wrong_alphabet_are_told_apart() {
        assert_eq!(
            "1111".parse::<Pubkey>(),
            Err(AddressError::Length {
                expected: 32,
                found: 4
            })
        );
        assert_eq!("0OIl".parse::<Pubkey>(), Err(AddressError::NotBase58));
        let too_long = "1".repeat(33);
        assert_eq!(too_long.parse::<Pubkey>(), Err(AddressError::NotBase58));
    }

    #[test]
    fn bytes_of_the_right_number_are_an_address() {
        assert_eq!(Pubkey::try_from([7; 32].as_slice()), Ok(Pubkey([7; 32])));
        assert_eq!(
            Signature::try_from([7; 32].as_slice()),
            Err(AddressError::Length {
                expected: 64,
                found: 32
            })
        );
    }

    #[test]
    fn debug_shows_the_base58_form() {
        let key: Pubkey = "11111111111111111111111111111111".parse().unwrap();
        assert_eq!(
            format!("{key:?}"),
            "Pubkey(11111111111111111111111111111111)"
        );
    }
}
