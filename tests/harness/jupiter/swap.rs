//! The transactions of swaps. They name the pools of their route and are as valid as any, but only
//! move a lamport from the payer to the payer: there is no program behind the pools.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The program that is called.
const SYSTEM: &str = "11111111111111111111111111111111";

/// The system program's instruction to transfer a lamport.
const TRANSFER: [u8; 12] = [2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];

/// What a transaction is built from.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// Who signs and pays.
    pub payer: &'a str,
    /// The addresses of the pools.
    pub pools: &'a [String],
    pub blockhash: &'a str,
    /// Whether it is to be of the old kind, without a version.
    pub legacy: bool,
}

impl Order<'_> {
    /// The transaction with room for the payer's signature, base64; `None` if a key is none.
    pub fn transaction(&self) -> Option<String> {
        let mut bytes = vec![1];
        bytes.extend_from_slice(&[0; 64]);
        bytes.extend(self.message()?);
        Some(STANDARD.encode(bytes))
    }

    /// What is signed.
    pub fn message(&self) -> Option<Vec<u8>> {
        let mut keys = vec![key(self.payer)?, key(SYSTEM)?];
        for pool in self.pools {
            keys.push(key(pool)?);
        }
        let mut message = Vec::new();
        if !self.legacy {
            message.push(0x80);
        }
        // One signs; all but the payer are only read.
        message.extend_from_slice(&[1, 0, u8::try_from(keys.len() - 1).ok()?]);
        message.push(u8::try_from(keys.len()).ok()?);
        message.extend(keys.concat());
        message.extend(key(self.blockhash)?);
        message.extend_from_slice(&[1, 1, 2, 0, 0, 12]);
        message.extend_from_slice(&TRANSFER);
        if !self.legacy {
            message.push(0);
        }
        Some(message)
    }

    /// The same as `/swap-instructions` has it.
    pub fn instructions(&self) -> Value {
        let account = |key: &str, signs: bool| json!({ "isSigner": signs, "isWritable": signs, "pubkey": key });
        let payer = account(self.payer, true);
        json!({
            "addressLookupTableAddresses": [],
            "cleanupInstruction": null,
            "computeBudgetInstructions": [],
            "otherInstructions": [],
            "setupInstructions": [],
            "swapInstruction": {
                "accounts": [payer, payer],
                "data": STANDARD.encode(TRANSFER),
                "programId": SYSTEM,
            },
            "tokenLedgerInstruction": null,
        })
    }
}

fn key(text: &str) -> Option<Vec<u8>> {
    let bytes = bs58::decode(text).into_vec().ok()?;
    (bytes.len() == 32).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::accounts::made_up;
    use crate::sandbox::chain;
    use crate::sandbox::transaction::Transaction;

    #[test]
    fn a_transaction_names_its_payer_its_pools_and_its_blockhash() {
        let payer = made_up(1);
        let pools = [made_up(2), made_up(3)];
        let blockhash = chain::blockhash(7);
        for legacy in [false, true] {
            let order = Order {
                payer: &payer,
                pools: &pools,
                blockhash: &blockhash,
                legacy,
            };
            let bytes = STANDARD.decode(order.transaction().unwrap()).unwrap();
            let read = Transaction::read(&bytes).unwrap();
            assert_eq!(read.blockhash.as_deref(), Some(blockhash.as_str()));
            assert_eq!(read.accounts[0], payer);
            assert_eq!(read.accounts[2..], pools);
        }
    }
}
