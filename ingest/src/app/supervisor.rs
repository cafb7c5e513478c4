//! Supervises tasks that the program depends on: when one of them ends unexpectedly, so does the
//! program, and its service manager restarts it. That is better than a partly dead program that
//! looks alive.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::planted;

/// Starts supervised tasks.
#[derive(Clone, Debug)]
pub(super) struct Supervisor(mpsc::UnboundedSender<Stop>);

/// Why the program has to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A task has ended unexpectedly.
    TaskEnded(&'static str),
    /// The configuration has to be changed first.
    Misconfigured(String),
}

/// Receives what makes the program end.
#[derive(Debug)]
pub(super) struct Stops(mpsc::UnboundedReceiver<Stop>);

/// Reports a task that panicked.
struct Guard<'t>(&'t Supervisor, &'static str);

impl Supervisor {
    pub(super) fn new() -> (Self, Stops) {
        let (ended, ends) = mpsc::unbounded_channel();
        (Self(ended), Stops(ends))
    }

    /// Runs a task that must never end by itself.
    pub(super) fn forever<F>(&self, name: &'static str, task: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let supervisor = self.clone();
        self.until_done(name, async move {
            task.await;
            supervisor.tell(Stop::TaskEnded(name));
        })
    }

    /// Stops the program, with the reason.
    pub(super) fn stop_program(&self, reason: String) {
        self.tell(Stop::Misconfigured(reason));
    }

    /// Runs a task that ends when its work is done or when it is aborted, but must not panic.
    pub(super) fn until_done<F>(&self, name: &'static str, task: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let supervisor = self.clone();
        tokio::spawn(async move {
            let _guard = Guard(&supervisor, name);
            planted::fault(name);
            task.await;
        })
    }

    fn tell(&self, end: Stop) {
        // Nobody listens any more when the program ends.
        drop(self.0.send(end));
    }
}

impl Stops {
    /// The next of them.
    pub(super) async fn next(&mut self) -> Stop {
        match self.0.recv().await {
            Some(end) => end,
            // Nobody is left who could tell one.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.tell(Stop::TaskEnded(self.1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_breaks_is_told_and_one_that_is_done_or_aborted_is_not() {
        let (supervisor, mut stops) = Supervisor::new();
        supervisor.until_done("done", async {}).await.unwrap();
        let endless = supervisor.forever("aborted", std::future::pending());
        endless.abort();
        endless.await.unwrap_err();
        let broken = supervisor.until_done("broken", async {
            tokio::task::yield_now().await;
            panic!("as a library may");
        });
        broken.await.unwrap_err();
        assert_eq!(stops.next().await, Stop::TaskEnded("broken"));
        supervisor.forever("ended", async {}).await.unwrap();
        assert_eq!(stops.next().await, Stop::TaskEnded("ended"));
    }
}
