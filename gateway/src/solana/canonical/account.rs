//! One call of `getMultipleAccounts`, written as several of `getAccountInfo`.

use super::{
    Canonical,
    config::{Implied, config},
    parameters::members,
    spelling::Spelling,
};
use crate::{
    jsonrpc::Cursor,
    solana::{Class, Method},
};

/// Writes the calls of `getAccountInfo` that together ask for the same as one call of
/// `getMultipleAccounts`. They differ only in the account.
#[derive(Clone, Debug)]
pub(in crate::solana) struct AccountSpelling {
    before: Spelling,
    after: Vec<u8>,
}

impl AccountSpelling {
    /// With the configuration at the cursor, if there is one. `None` if it has no canonical form.
    pub(in crate::solana) fn new(
        class: &Class,
        config_at: Option<&mut Cursor<'_>>,
    ) -> Option<Self> {
        // The only default that the two methods do not share.
        const ENCODING: Implied = ("encoding", "base64");
        let before = Spelling::call(Method::GetAccountInfo, 0);
        let mut after = before.clone();
        after.end_positions();
        let known = members(Method::GetAccountInfo);
        config(&mut after, class, known, Some(ENCODING), config_at)?;
        Some(Self {
            after: after.since(before.length()).to_vec(),
            before,
        })
    }

    /// The call about one account, by the raw text between its quotes.
    pub(in crate::solana) fn of(&self, account: &[u8]) -> Canonical {
        let mut spelling = self.before.clone_for(account.len() + self.after.len());
        spelling.text(account);
        spelling.append(&self.after);
        Canonical(spelling.finish())
    }
}
