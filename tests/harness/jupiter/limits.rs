//! Keys and the window of calls, as `api.jup.ag` counts them: sliding, one for each caller, and
//! shown in headers without `retry-after`.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Settings;
use super::reply::Reply;

/// The calls of every caller within the last window.
#[derive(Debug, Default)]
pub struct Windows {
    calls: Mutex<HashMap<String, VecDeque<Instant>>>,
}

/// A window's verdict on a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub current: u32,
    pub limit: u32,
    /// The time until a call is forgotten and another has its place.
    pub frees_in: Duration,
}

impl Windows {
    /// Counts a call; `None` if there is no limit.
    pub fn count(&self, caller: &str, settings: &Settings) -> Option<Standing> {
        let limit = settings.limit?;
        let now = Instant::now();
        let mut all = self.calls.lock();
        let calls = all.entry(caller.to_owned()).or_default();
        while calls
            .front()
            .is_some_and(|first| now.duration_since(*first) >= settings.window)
        {
            calls.pop_front();
        }
        calls.push_back(now);
        let current = u32::try_from(calls.len()).unwrap_or(u32::MAX);
        let frees_in = calls.front().map_or(Duration::ZERO, |first| {
            settings.window.saturating_sub(now.duration_since(*first))
        });
        if current > limit {
            // What is refused has no place in the window.
            calls.pop_back();
        }
        Some(Standing {
            current,
            limit,
            frees_in,
        })
    }
}

impl Standing {
    /// Whether the call is one too many.
    pub fn exceeded(&self) -> bool {
        self.current > self.limit
    }

    /// Adds the window's headers.
    pub fn tell(&self, reply: &mut Reply) {
        let remaining = i64::from(self.limit) - i64::from(self.current);
        reply.header("x-ratelimit-remaining", remaining.to_string());
        reply.header("x-ratelimit-current", self.current.to_string());
        let reset = seconds_now().saturating_add(self.frees_in.as_secs() + 1);
        reply.header("x-ratelimit-reset", reset.to_string());
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the header tells the time of day"
)]
fn seconds_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Whether a server with these settings serves a caller with this key, and what it says if not.
pub fn admit(key: Option<&str>, settings: &Settings) -> Result<(), Reply> {
    if settings.keys.is_empty() {
        return Ok(());
    }
    match key {
        Some(key) if settings.keys.iter().any(|known| known == key) => Ok(()),
        None if settings.keyless => Ok(()),
        _ => Err(Reply::gateway(401, "Unauthorized")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_window_slides_and_every_caller_has_its_own() {
        let settings = Settings {
            limit: Some(2),
            ..Settings::hosted()
        };
        let windows = Windows::default();
        let exceeded = |caller| windows.count(caller, &settings).unwrap().exceeded();
        assert_eq!(
            [exceeded("a"), exceeded("a"), exceeded("a")],
            [false, false, true]
        );
        assert!(!exceeded("b"));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(exceeded("a"));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!exceeded("a"));
    }

    #[test]
    fn keys_are_asked_for_only_where_there_are_some() {
        let open = Settings::hosted();
        assert!(admit(None, &open).is_ok() && admit(Some("x"), &open).is_ok());
        let closed = Settings {
            keys: vec!["k".to_owned()],
            ..Settings::hosted()
        };
        assert!(admit(Some("k"), &closed).is_ok());
        assert!(admit(Some("x"), &closed).is_err() && admit(None, &closed).is_err());
        let keyless = Settings {
            keyless: true,
            ..closed
        };
        assert!(admit(None, &keyless).is_ok() && admit(Some(""), &keyless).is_err());
    }
}
