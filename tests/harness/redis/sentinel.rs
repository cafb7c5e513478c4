//! A master, its replica, and a Sentinel that promotes the replica.

use std::collections::HashMap;

use tempfile::TempDir;
use tokio::process::Child;

use super::{Redis, Settings, run_server};
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
    password: Option<String>,
    _child: Child,
    _folder: TempDir,
}

impl Sentinel {
    /// Waits until the Sentinel knows both.
    ///
    /// # Panics
    /// If its files cannot be written.
    pub async fn start() -> Self {
        Self::guarded(None, None).await
    }

    /// The same with a password of the servers and one of the Sentinel.
    ///
    /// # Panics
    /// If its files cannot be written.
    pub async fn guarded(password: Option<&str>, own: Option<&str>) -> Self {
        let server = Settings {
            password,
            ..Settings::default()
        };
        let master = Redis::with(server).await;
        let of = format!("127.0.0.1 {}", master.port());
        let replica = Redis::with(Settings {
            arguments: &["--replicaof", &of],
            ..server
        })
        .await;
        let port = ports::take();
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("sentinel.conf");
        let mut settings = vec![
            format!("port {port}"),
            "bind 127.0.0.1".to_owned(),
            format!("dir {}", folder.path().display()),
            format!("sentinel monitor {NAME} {of} 1"),
            format!("sentinel down-after-milliseconds {NAME} 500"),
            format!("sentinel failover-timeout {NAME} 2000"),
        ];
        settings.extend(password.map(|password| format!("sentinel auth-pass {NAME} {password}")));
        settings.extend(own.map(|own| format!("requirepass {own}")));
        std::fs::write(&file, settings.join("\n") + "\n").expect("a file");
        let child = run_server(|command| {
            command.arg(&file).arg("--sentinel");
        });
        let sentinel = Self {
            master,
            replica,
            port,
            password: own.map(str::to_owned),
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

    /// Where the Sentinel is, with its password.
    pub fn url(&self) -> String {
        let login = match &self.password {
            Some(password) => format!(":{password}@"),
            None => String::new(),
        };
        format!("redis://{login}localhost:{}", self.port)
    }

    /// The name to ask it for.
    pub fn name(&self) -> &'static str {
        NAME
    }
}
