//! The gateway's JSON-RPC and Solana layers, by themselves. Of `perijove-core` they use value types
//! only, which stand here in its name: the crate itself has a hundred dependencies.

extern crate self as perijove_core;

mod address;
mod commitment;
pub mod jsonrpc;
mod slot;
pub mod solana;

pub use address::{Pubkey, Signature};
pub use commitment::Commitment;
pub use slot::Slot;
