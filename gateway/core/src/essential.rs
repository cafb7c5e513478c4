//! Tasks that the program cannot do without. When one panics the program stops in good order, with exit
//! code 1, and its service manager starts it again: better than a program that looks alive while part of
//! it is dead.

use std::sync::OnceLock;

use tokio::sync::watch;

/// The first task that panicked.
static PANICKED: OnceLock<watch::Sender<Option<&'static str>>> = OnceLock::new();

fn panicked_task() -> &'static watch::Sender<Option<&'static str>> {
    PANICKED.get_or_init(|| watch::Sender::new(None))
}

/// Runs a task in the background of the program; it may end or be aborted, but must not panic.
pub async fn essential(name: &'static str, task: impl Future<Output = ()>) {
    let guard = PanicGuard(name);
    task.await;
    drop(guard);
}

/// Waits until an essential task panics, and returns its name.
pub async fn first_panic() -> &'static str {
    let mut panicked = panicked_task().subscribe();
    match panicked.wait_for(Option::is_some).await.map(|name| *name) {
        Ok(Some(name)) => name,
        // The sender is static, and lives as long as the program.
        _ => std::future::pending().await,
    }
}

/// Whether an essential task has panicked.
pub fn has_panicked() -> bool {
    panicked_task().borrow().is_some()
}

struct PanicGuard(&'static str);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(task = self.0, "background task panicked; stopping");
            panicked_task().send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert(self.0);
                is_first
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_panic_is_reported() {
        tokio::spawn(essential("ends", async {})).await.unwrap();
        let pending = tokio::spawn(essential("aborted", std::future::pending()));
        pending.abort();
        assert!(pending.await.unwrap_err().is_cancelled());
        assert!(!has_panicked());
        let panics = async { assert!(has_panicked(), "on purpose") };
        let failed = tokio::spawn(essential("panics", panics)).await;
        assert!(failed.unwrap_err().is_panic());
        assert_eq!(first_panic().await, "panics");
        assert!(has_panicked());
    }
}
