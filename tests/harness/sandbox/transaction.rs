//! The few parts of a serialised transaction the sandbox looks at: the first signature, the accounts
//! and the recent blockhash. Signatures are not verified and nothing is executed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a submitted transaction says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Base58, the transaction's id.
    pub signature: String,
    /// Base58; `None` if the message is too odd to find it.
    pub blockhash: Option<String>,
    /// The accounts named in the message itself, base58.
    pub accounts: Vec<String>,
}

impl Transaction {
    /// Reads the bytes a client sent; `None` if they are no transaction.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (&count, rest) = bytes.split_first()?;
        if count == 0 || count > 127 {
            return None;
        }
        let (first, _) = rest.split_at_checked(64)?;
        let (_, message) = rest.split_at_checked(64 * usize::from(count))?;
        if message.is_empty() {
            return None;
        }
        let (accounts, blockhash) = named(message).unwrap_or_default();
        Some(Self {
            signature: bs58::encode(first).into_string(),
            blockhash: (!blockhash.is_empty()).then_some(blockhash),
            accounts,
        })
    }
}

/// The account keys follow the three header bytes, and the blockhash follows them; a versioned
/// message has its version in front.
fn named(message: &[u8]) -> Option<(Vec<String>, String)> {
    let (&first, versioned) = message.split_first()?;
    let legacy = if first >= 0x80 { versioned } else { message };
    let (_, rest) = legacy.split_at_checked(3)?;
    let (&count, rest) = rest.split_first()?;
    if count > 127 {
        return None;
    }
    let (keys, rest) = rest.split_at_checked(32 * usize::from(count))?;
    let (hash, _) = rest.split_at_checked(32)?;
    let text = |bytes: &[u8]| bs58::encode(bytes).into_string();
    Some((keys.chunks(32).map(text).collect(), text(hash)))
}

/// A transaction's bytes with this first signature byte and blockhash: what tests submit.
pub fn sample(mark: u64, blockhash_text: &str) -> Vec<u8> {
    let mut bytes = vec![1];
    let mut signature = [7; 64];
    for (to, from) in signature.iter_mut().skip(8).zip(mark.to_be_bytes()) {
        *to = from;
    }
    bytes.extend_from_slice(&signature);
    bytes.extend_from_slice(&[1, 0, 1, 2]);
    bytes.extend_from_slice(&[3; 32]);
    bytes.extend_from_slice(&[0; 32]);
    let mut hash = bs58::decode(blockhash_text).into_vec().unwrap_or_default();
    hash.resize(32, 0);
    bytes.extend_from_slice(&hash);
    bytes.push(0);
    bytes
}

/// A transaction's bytes as the ledger keeps them and clients send them.
pub fn encoded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::chain;

    #[test]
    fn a_sample_reads_back() {
        let hash = chain::blockhash(77);
        let read = Transaction::read(&sample(5, &hash)).unwrap();
        assert_eq!(read.blockhash, Some(hash));
        assert_eq!(read.accounts.len(), 2);
        assert_ne!(
            read.signature,
            Transaction::read(&sample(6, "")).unwrap().signature
        );
    }

    #[test]
    fn what_is_no_transaction_is_refused() {
        for bytes in [&[][..], &[0; 100], &[1; 64], &[1; 65], &[200; 400]] {
            assert_eq!(Transaction::read(bytes), None, "{} bytes", bytes.len());
        }
    }
}
