//! How much of a transfer arrives. A token of Token-2022 may withhold a fee in the receiving account, which
//! a transfer in the stream does not tell: it is seen in the account's balance.

use std::collections::HashMap;

use bytes::Bytes;

use crate::decode::wire;
use crate::project::market::TOKEN_2022;
use crate::project::transfer::Transfer;

/// An account and a mint.
type Holding = (Bytes, Bytes);

/// What a transaction changed of the accounts that its transfers go to.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// How many transfers each has part in, and by how much its balance went up, if it is known and did.
    holdings: HashMap<Holding, (u32, Option<u64>)>,
}

impl Arrivals {
    pub(super) fn of(transaction: &wire::ParsedTokenTransaction) -> Self {
        let mut holdings = HashMap::new();
        // Most transactions move no such token.
        let any = transaction.transfers.iter().any(|transfer| {
            let currency = transfer.currency.as_ref();
            currency.is_some_and(|currency| currency.program_address.as_ref() == TOKEN_2022.0)
        });
        if !any {
            return Self { holdings };
        }
        for transfer in &transaction.transfers {
            let Some(currency) = &transfer.currency else {
                continue;
            };
            for account in [&transfer.sender, &transfer.receiver].into_iter().flatten() {
                let holding = (account.address.clone(), currency.mint_address.clone());
                holdings.entry(holding).or_insert((0, None)).0 += 1;
            }
        }
        let accounts = transaction.header.as_ref().map(|header| &header.accounts);
        for update in &transaction.balance_updates {
            let (Some(balance), Some(currency)) = (&update.balance_update, &update.currency) else {
                continue;
            };
            let index = usize::try_from(balance.account_index).unwrap_or(usize::MAX);
            let Some(account) = accounts.and_then(|accounts| accounts.get(index)) else {
                continue;
            };
            let holding = (account.address.clone(), currency.mint_address.clone());
            if let Some((_, grown)) = holdings.get_mut(&holding) {
                *grown = balance.post_balance.checked_sub(balance.pre_balance);
            }
        }
        Self { holdings }
    }

    /// How much arrived of a transfer of a token of Token-2022; `None` if the message does not tell, or if the
    /// account has part in other transfers of the token.
    pub(super) fn received(&self, transfer: &Transfer) -> Option<u64> {
        if !transfer.extensions.token_2022 {
            return None;
        }
        let account = transfer.receiver.account?;
        let holding = (
            Bytes::copy_from_slice(&account.0),
            Bytes::copy_from_slice(&transfer.mint.0),
        );
        match self.holdings.get(&holding) {
            Some((1, grown)) => grown.filter(|grown| *grown <= transfer.amount.raw),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Message;
    use crate::project::{NATIVE_SOL, TOKEN_2022, USDC, project};
    use crate::record::UnixMillis;

    const ACCOUNTS: [u8; 3] = [1, 2, 3];

    fn key(byte: u8) -> Bytes {
        vec![byte; 32].into()
    }

    fn transfer(sender: u8, receiver: u8, amount: u64, program: &[u8]) -> wire::Transfer {
        let account = |byte| {
            Some(wire::Account {
                address: key(byte),
                ..Default::default()
            })
        };
        wire::Transfer {
            amount,
            sender: account(sender),
            receiver: account(receiver),
            currency: Some(wire::Currency {
                mint_address: USDC.0.to_vec().into(),
                program_address: program.to_vec().into(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn update(index: u32, pre_balance: u64, post_balance: u64) -> wire::CurrencyBalanceUpdate {
        wire::CurrencyBalanceUpdate {
            balance_update: Some(wire::BalanceUpdate {
                pre_balance,
                post_balance,
                account_index: index,
            }),
            currency: Some(wire::CurrencyKey {
                mint_address: USDC.0.to_vec().into(),
            }),
        }
    }

    fn received(
        transfers: Vec<wire::Transfer>,
        balance_updates: Vec<wire::CurrencyBalanceUpdate>,
    ) -> Vec<Option<u64>> {
        let accounts = ACCOUNTS.map(|byte| wire::AccountKey { address: key(byte) });
        let message = wire::TokenBlockMessage {
            header: None,
            transactions: vec![wire::ParsedTokenTransaction {
                signature: vec![1; 64].into(),
                status: Some(wire::TransactionStatus {
                    success: true,
                    ..Default::default()
                }),
                header: Some(wire::TransactionHeader {
                    accounts: accounts.to_vec(),
                    ..Default::default()
                }),
                transfers,
                balance_updates,
                ..Default::default()
            }],
        };
        let projected = project(Message::Transfers(message), UnixMillis(1_760_000_000_000));
        let transfers = projected.transfers.iter();
        transfers.map(|transfer| transfer.received).collect()
    }

    #[test]
    fn a_withheld_fee_is_seen_in_the_balance_of_the_receiver() {
        let fees = &TOKEN_2022.0[..];
        let sent = || transfer(1, 2, 1000, fees);
        let down = update(0, 5000, 4000);
        let cases = [
            (
                "a fee",
                vec![sent()],
                vec![down.clone(), update(1, 7, 997)],
                vec![Some(990)],
            ),
            (
                "no fee",
                vec![sent()],
                vec![down.clone(), update(1, 7, 1007)],
                vec![Some(1000)],
            ),
            (
                "all of it",
                vec![sent()],
                vec![down.clone(), update(1, 7, 7)],
                vec![Some(0)],
            ),
            ("not told", vec![sent()], vec![down.clone()], vec![None]),
            (
                "no such account",
                vec![sent()],
                vec![update(9, 7, 997)],
                vec![None],
            ),
            (
                "more than was sent",
                vec![sent()],
                vec![update(1, 7, 2000)],
                vec![None],
            ),
            (
                "less than before",
                vec![sent()],
                vec![update(1, 7, 6)],
                vec![None],
            ),
            (
                "spent again",
                vec![sent(), transfer(2, 3, 500, fees)],
                vec![down, update(1, 0, 490), update(2, 0, 495)],
                vec![None, Some(495)],
            ),
        ];
        for (name, transfers, updates, expected) in cases {
            assert_eq!(received(transfers, updates), expected, "{name}");
        }
    }

    #[test]
    fn nothing_is_said_of_other_tokens_and_of_transfers_to_oneself() {
        let other = transfer(1, 2, 1000, &NATIVE_SOL.0);
        assert_eq!(received(vec![other], vec![update(1, 7, 997)]), [None]);
        let own = transfer(2, 2, 10, &TOKEN_2022.0);
        assert_eq!(received(vec![own], vec![update(1, 20, 10)]), [None]);
    }
}
