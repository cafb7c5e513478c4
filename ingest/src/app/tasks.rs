//! Tasks that the program cannot do without: when one of them ends that should not, so does the
//! program, and whoever started it starts it again. Half a program that looks alive is worse.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Starts tasks.
#[derive(Clone, Debug)]
pub(super) struct Tasks(mpsc::UnboundedSender<End>);

/// Why the program has to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A task has ended that should not.
    Task(&'static str),
    /// Going on makes no sense, until somebody has mended this.
    Mend(String),
}

/// Says what makes the program end.
#[derive(Debug)]
pub(super) struct Ends(mpsc::UnboundedReceiver<End>);

/// Tells the end of a task that broke.
struct Guard<'t>(&'t Tasks, &'static str);

impl Tasks {
    pub(super) fn new() -> (Self, Ends) {
        let (ended, ends) = mpsc::unbounded_channel();
        (Self(ended), Ends(ends))
    }

    /// A task that never ends by itself.
    pub(super) fn forever<F>(&self, name: &'static str, task: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let tasks = self.clone();
        self.until_done(name, async move {
            task.await;
            tasks.tell(End::Task(name));
        })
    }

    /// Ends the program, with the reason.
    pub(super) fn give_up(&self, reason: String) {
        self.tell(End::Mend(reason));
    }

    /// A task that ends when its work is done, or is aborted; but must not break.
    pub(super) fn until_done<F>(&self, name: &'static str, task: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let tasks = self.clone();
        tokio::spawn(async move {
            let _guard = Guard(&tasks, name);
            task.await;
        })
    }

    fn tell(&self, end: End) {
        // Nobody listens any more when the program ends.
        drop(self.0.send(end));
    }
}

impl Ends {
    /// The next of them.
    pub(super) async fn next(&mut self) -> End {
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
            self.0.tell(End::Task(self.1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_breaks_is_told_and_one_that_is_done_or_aborted_is_not() {
        let (tasks, mut ends) = Tasks::new();
        tasks.until_done("done", async {}).await.unwrap();
        let endless = tasks.forever("aborted", std::future::pending());
        endless.abort();
        endless.await.unwrap_err();
        let broken = tasks.until_done("broken", async {
            tokio::task::yield_now().await;
            panic!("as a library may");
        });
        broken.await.unwrap_err();
        assert_eq!(ends.next().await, End::Task("broken"));
        tasks.forever("ended", async {}).await.unwrap();
        assert_eq!(ends.next().await, End::Task("ended"));
    }
}
