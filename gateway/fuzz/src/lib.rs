//! The gateway's JSON-RPC and Solana layers, and its readers of HTTP and of compressed messages over
//! WebSocket, by themselves. Of
//! `perijove-core` they use value types only, which stand here in its name: the crate itself has a
//! hundred dependencies.

extern crate self as perijove_core;

mod address;
mod commitment;
pub mod edge;
pub mod framing;
pub mod jsonrpc;
pub mod pingora;
pub mod pubsub;
mod slot;
pub mod solana;
pub mod upstream;

pub use address::{Pubkey, Signature};
pub use commitment::Commitment;
pub use slot::Slot;

/// As much of the gateway's errors as the readers of HTTP use.
pub mod error {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Rejection {
        BadHttp { reason: &'static str },
        HeadTooLarge,
    }
}
