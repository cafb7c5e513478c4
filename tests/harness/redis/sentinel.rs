//! A master, its replica, and a Sentinel that makes the one the other.

use std::collections::HashMap;

use tempfile::TempDir;
use tokio::process::Child;

use super::{Redis, run_server};
use crate::ports;
use crate::wait::until;

/// The name the Sentinel knows the servers by.
const NAME: &str = "answers";

/// Two servers watched by a Sentinel.
#[derive(Debug)]
pub struct Sentinel {
    pub master: Redis,
    pub replica: Redis,
    port: u16,
    _child: Child,
    _folder: TempDir,
}

impl Sentinel {
    /// Waits until the Sentinel knows both.
    ///
    /// # Panics
    /// If its files cannot be written.
    pub async fn start() -> Self {
        let master = Redis::start().await;
        let of = format!("127.0.0.1 {}", master.port());
        let replica = Redis::with(&["--replicaof", &of]).await;
        let port = ports::take();
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("sentinel.conf");
        let settings = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor {NAME} {of} 1\n\
             sentinel down-after-milliseconds {NAME} 500\nsentinel failover-timeout {NAME} 2000\n",
            folder.path().display()
        );
        std::fs::write(&file, settings).expect("a file");
        let child = run_server(|command| {
            command.arg(&file).arg("--sentinel");
        });
        let sentinel = Self {
            master,
            replica,
            port,
            _child: child,
            _folder: folder,
        };
        until("the Sentinel to know both servers", || async {
            let mut command = ::redis::cmd("SENTINEL");
            command.arg("MASTERS");
            let told: Vec<HashMap<String, String>> = sentinel.ask(&command).await?;
            (told.first()?.get("num-slaves")? == "1").then_some(())
        })
        .await;
        sentinel
    }

    /// Has the Sentinel make the replica the master, and waits until it is.
    pub async fn fail_over(&self) {
        until("the Sentinel to find the replica good", || async {
            let mut command = ::redis::cmd("SENTINEL");
            command.arg("FAILOVER").arg(NAME);
            self.ask::<()>(&command).await
        })
        .await;
        until("the replica to be the master", || async {
            let mut command = ::redis::cmd("INFO");
            command.arg("replication");
            // Its connections are cut at that moment.
            let told: String = self.replica.try_ask(command).await.ok()?;
            told.contains("role:master").then_some(())
        })
        .await;
    }

    async fn ask<T: ::redis::FromRedisValue>(&self, command: &::redis::Cmd) -> Option<T> {
        let client = ::redis::Client::open(self.url()).ok()?;
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        command.query_async(&mut connection).await.ok()
    }

    /// Where the Sentinel is.
    pub fn url(&self) -> String {
        format!("redis://localhost:{}", self.port)
    }

    /// The name to ask it for.
    pub fn name(&self) -> &'static str {
        NAME
    }
}
