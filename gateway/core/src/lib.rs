//! What both Perijove binaries share: Solana value types, secrets, telemetry set-up.

mod secret;

pub use secret::Secret;
