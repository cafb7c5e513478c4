//! One connection to Redis as the client library has it: to a server, or to all of a Cluster.

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, RedisError, Value};
use tokio::task::AbortHandle;

use super::connect::UnansweredBytes;

/// A connection shared by many concurrent calls. Dropping a call leaves it usable: the answer is
/// read and discarded.
pub(super) enum RedisConnection {
    Server(ServerConnection),
    Cluster(ClusterConnection),
}

impl RedisConnection {
    /// Sends a command and waits for the answer without a time limit.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, RedisError> {
        match self {
            Self::Server(server) => server.ask(command).await,
            Self::Cluster(connection) => {
                let answer = connection.clone().req_packed_command(command).await;
                answer.and_then(Value::extract_error)
            }
        }
    }
}

/// A connection to one server. Dropping it closes it, whatever is in flight.
pub(super) struct ServerConnection {
    connection: MultiplexedConnection,
    unanswered: UnansweredBytes,
    driver: AbortHandle,
}

impl ServerConnection {
    /// `driver` is the task that reads and writes for the connection.
    pub(super) fn new(
        connection: MultiplexedConnection,
        unanswered: UnansweredBytes,
        driver: AbortHandle,
    ) -> Self {
        Self {
            connection,
            unanswered,
            driver,
        }
    }

    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, RedisError> {
        let answer = self.connection.clone().req_packed_command(command).await;
        if answer.is_ok() {
            self.unanswered.answered();
        }
        answer.and_then(Value::extract_error)
    }
}

impl Drop for ServerConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
