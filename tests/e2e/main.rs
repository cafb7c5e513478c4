//! End-to-end tests, grouped by what they are about. `sandbox` tests the stand-in cluster itself;
//! all others run the real gateway binary in front of it.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::too_many_lines,
    reason = "tests fail by panicking, and what they measure is printed"
)]

mod admin;
mod agave;
mod answers;
mod batches;
mod blockhashes;
mod broken_answers;
mod cache;
mod cache_differential;
mod callers;
mod client_certificates;
mod concurrency;
mod connections;
mod consumers;
mod failover;
mod faults;
mod gone_clients;
mod header_lists;
mod health;
mod health_command;
mod history;
mod hostages;
mod http2_semantics;
mod http2_upstreams;
mod http_clients;
mod jupiter;
mod kafka;
mod keys;
mod listeners;
mod logs;
mod metrics_docs;
mod operations;
mod otlp;
mod plans;
mod planted;
mod price;
mod priorities;
mod provider_budgets;
mod rate_limits;
mod readiness;
mod redis;
mod reloads;
mod remaining;
mod retries;
mod revocations;
mod sandbox;
mod sandbox_faults;
mod sandbox_jupiter;
mod sandbox_pubsub;
mod scene;
mod sessions;
mod shutdown;
mod slots;
mod smuggling;
mod storms;
mod streaming;
mod subscriptions;
mod tokens;
mod tracing;
mod unknown_methods;
mod upgrade;
mod upstream_connections;
mod upstream_tls;
mod websocket;
mod writes;
