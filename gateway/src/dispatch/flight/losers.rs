//! Attempts whose answers nobody waits for any more.

use std::time::Duration;

use crate::dispatch::Exchange;
use crate::dispatch::attempt::InFlight;

/// They may take this long to give their connection back.
const LIMIT: Duration = Duration::from_secs(10);

/// Lets an attempt finish, so that its connection can be used again, and so that an upstream which
/// never answers in time is known for it: where every race is lost, only the losers can tell.
pub(super) fn leave_behind(attempt: InFlight, exchange: &Exchange<'_>) {
    let class = *exchange.class;
    let method = exchange.call.method().to_owned();
    let unix_now = exchange.live.unix_now;
    drop(tokio::spawn(async move {
        if let Ok(attempted) = tokio::time::timeout(LIMIT, attempt).await {
            drop(attempted.judge(&class, &method, unix_now));
        }
    }));
}
