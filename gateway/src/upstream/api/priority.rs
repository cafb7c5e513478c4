//! Which requests go first.

use crate::jupiter::Product;
use crate::solana::Priority;

/// Priorities where connections or budgets are short: trades before what leads to them.
pub const fn priority(product: Product) -> Priority {
    match product {
        Product::Execute => Priority::Critical,
        Product::Swap | Product::SwapInstructions | Product::Order | Product::Build => {
            Priority::High
        }
        _ => Priority::Medium,
    }
}
