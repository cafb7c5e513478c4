//! What does not become a row: by rule, or because it is invalid.

use perijove_core::AddressError;
use strum::{IntoStaticStr, VariantArray, VariantNames};

/// Why something was skipped deliberately. These are facts of the chain, not errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Skip {
    /// The transaction failed, so nothing of it happened.
    Failed,
    /// The same transaction was in this message before.
    Duplicate,
    /// One side of the trade has no amount.
    NoAmount,
    /// One side of the trade has no mint.
    NoMint,
}

impl Skip {
    /// Every reason.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        self.into()
    }
}

/// How many rows each reason cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped([u64; Skip::ALL.len()]);

impl Skipped {
    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Skip, u64)> {
        Skip::ALL.iter().copied().zip(self.0)
    }

    /// The count of one reason.
    pub fn of(&self, skip: Skip) -> u64 {
        self.iter()
            .find_map(|(reason, count)| (reason == skip).then_some(count))
            .unwrap_or_default()
    }

    pub(super) fn add(&mut self, skip: Skip, rows: usize) {
        if let Some(count) = self.0.get_mut(skip as usize) {
            *count += rows as u64;
        }
    }
}

/// An invalid transaction in a valid message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poisoned {
    /// Its place in the message, from 0.
    pub transaction: usize,
    pub fault: ProjectError,
}

/// What is invalid about a transaction. The text shows no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum ProjectError {
    /// Bytes of another number than keys or signatures have.
    #[error("{field}: {error}")]
    #[strum(serialize = "key_length")]
    Length {
        field: &'static str,
        error: AddressError,
    },
    /// A part without which there is no row.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// More decimals than a mint can have.
    #[error("{0} decimals are more than a mint can have")]
    Decimals(u32),
}

impl ProjectError {
    /// Every label that there is.
    pub const LABELS: &'static [&'static str] = Self::VARIANTS;

    pub(super) const fn length(field: &'static str, error: AddressError) -> Self {
        Self::Length { field, error }
    }

    /// The label in metrics and in the dead-letter store.
    pub fn label(&self) -> &'static str {
        self.into()
    }
}
