//! A row of a transaction.

use perijove_core::Pubkey;

use crate::project::origin::Origin;

/// One transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct TransactionRow {
    pub origin: Origin,
    pub success: bool,
    /// Why it failed; empty when it did not.
    pub error: String,
    /// In lamports.
    pub fee: u64,
    pub fee_usd: Option<f32>,
    pub fee_payer: Option<Pubkey>,
    pub signer: Option<Pubkey>,
    /// How many instructions ran, inner ones included.
    pub instructions: usize,
    /// The programs that ran, each once, in the order of their first call.
    pub programs: Vec<Pubkey>,
    /// Whether one of them is Jupiter's.
    pub jupiter: bool,
}
