//! What runs beside the client sockets.

use std::sync::Arc;

use perijove_core::essential::essential;
use tokio::runtime::Handle;

use super::feeds::Feeds;
use super::hot;
use super::hub::Hub;

impl Hub {
    /// Starts to manage the sockets to upstreams, unless that was done already.
    pub fn start(self: &Arc<Self>, handle: &Handle) {
        if let Some(commands) = self.commands() {
            let feeds = Feeds::new(Arc::clone(self)).run(commands);
            handle.spawn(essential("subscriptions", feeds));
            handle.spawn(essential("hot accounts", hot::follow(Arc::clone(self))));
        }
    }
}
