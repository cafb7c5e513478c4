//! Work whose client stops waiting: its future is dropped before it is done.

/// The outcome of calls whose client has gone before there was an answer.
pub const CLIENT_GONE: &str = "client_gone";

/// Runs something when it is dropped before the work is done.
#[must_use = "it watches over the work until it is done"]
pub(super) struct OnCancel<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnCancel<F> {
    pub(super) fn new(run: F) -> Self {
        Self(Some(run))
    }

    /// The work is done; nothing is run.
    pub(super) fn done(mut self) {
        self.0 = None;
    }
}

impl<F: FnOnce()> Drop for OnCancel<F> {
    fn drop(&mut self) {
        if let Some(run) = self.0.take() {
            run();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_done_is_told() {
        let mut told = 0;
        OnCancel::new(|| told += 1).done();
        assert_eq!(told, 0);
        drop(OnCancel::new(|| told += 1));
        assert_eq!(told, 1);
    }
}
