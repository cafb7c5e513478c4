//! What both Perijove binaries share: Solana value types, secrets, telemetry set-up.
