//! Real Redis servers for tests: one, with TLS, behind Sentinel, as a Cluster; and what can happen
//! to them. And a server that only pretends to be one.

#![expect(clippy::expect_used, reason = "a harness fails the test it is used in")]

mod cluster;
mod impostor;
mod sentinel;

use std::io::ErrorKind;
use std::process::Stdio;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Client, Cmd, FromRedisValue, TlsCertificates};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::ports;
use crate::tls::Identity;
use crate::wait::until;

pub use cluster::Cluster;
pub use impostor::{Impostor, Manner};
pub use sentinel::Sentinel;

/// What it has to say, in its folder.
const LOG: &str = "log";

/// A Redis server of its own, which keeps nothing on disk. Killed when dropped.
#[derive(Debug)]
pub struct Redis {
    child: Child,
    arguments: Vec<String>,
    address: Address,
    folder: TempDir,
}

/// How it is reached.
#[derive(Clone, Debug)]
struct Address {
    port: u16,
    password: Option<String>,
    /// The certificate it shows, if it speaks TLS.
    certificate: Option<Vec<u8>>,
}

impl Redis {
    /// One server, in clear, without a password.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// One with further arguments, such as `--maxmemory 2mb`.
    pub async fn with(arguments: &[&str]) -> Self {
        let port = ports::take();
        let mut all = vec!["--port".to_owned(), port.to_string()];
        all.extend(arguments.iter().map(|&argument| argument.to_owned()));
        Self::run(Address::clear(port), all).await
    }

    /// One that wants this password.
    pub async fn guarded(password: &str) -> Self {
        let port = ports::take();
        let arguments = ["--port", &port.to_string(), "--requirepass", password];
        let arguments = arguments.map(str::to_owned).to_vec();
        let address = Address {
            password: Some(password.to_owned()),
            ..Address::clear(port)
        };
        Self::run(address, arguments).await
    }

    /// One that speaks only TLS and shows this identity.
    ///
    /// # Panics
    /// If its files cannot be read.
    pub async fn secured(identity: &Identity) -> Self {
        let port = ports::take();
        let (certificate, key) = (identity.certificate_file(), identity.key_file());
        let arguments = [
            "--port",
            "0",
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &certificate.display().to_string(),
            "--tls-key-file",
            &key.display().to_string(),
            "--tls-ca-cert-file",
            &certificate.display().to_string(),
            "--tls-auth-clients",
            "no",
        ];
        let arguments = arguments.map(str::to_owned).to_vec();
        let address = Address {
            certificate: Some(std::fs::read(&certificate).expect("a certificate")),
            ..Address::clear(port)
        };
        Self::run(address, arguments).await
    }

    async fn run(address: Address, arguments: Vec<String>) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let mut redis = Self {
            child: spawn(&arguments, &folder),
            arguments,
            address,
            folder,
        };
        redis.wait_up().await;
        redis
    }

    /// Its port on loopback.
    pub fn port(&self) -> u16 {
        self.address.port
    }

    /// Where it is, with the password.
    pub fn url(&self) -> String {
        self.address.url()
    }

    /// Its process.
    ///
    /// # Panics
    /// If it has ended.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("a running server")
    }

    /// It no longer does anything, while its connections stay.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// It goes on.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", name, &pid])
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "SIG{name} to {pid}"
        );
    }

    /// Ends it at once.
    ///
    /// # Panics
    /// If it cannot be.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("the server is killed");
    }

    /// Begins again at the same port, empty, and waits until it answers.
    pub async fn restart(&mut self) {
        drop(self.child.kill().await);
        self.child = spawn(&self.arguments, &self.folder);
        self.wait_up().await;
    }

    async fn wait_up(&mut self) {
        let (address, log) = (self.address.clone(), self.folder.path().join(LOG));
        until("redis-server to answer", || {
            let ended = self.child.try_wait().expect("the state of a child");
            assert!(
                ended.is_none(),
                "redis-server ended: {ended:?}\n{}",
                std::fs::read_to_string(&log).unwrap_or_default()
            );
            let address = address.clone();
            async move { address.answers().await.then_some(()) }
        })
        .await;
    }

    /// Asks it something, over a connection of its own.
    ///
    /// # Panics
    /// If it refuses or the answer is of another type.
    pub async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = Cmd::new();
        command.arg(words);
        let answer = self.try_ask(command).await;
        answer.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Asks it something that may fail.
    ///
    /// # Errors
    /// What the client library says.
    pub async fn try_ask<T: FromRedisValue>(&self, command: Cmd) -> ::redis::RedisResult<T> {
        command
            .query_async(&mut self.address.connect().await?)
            .await
    }

    /// The names of all keys.
    pub async fn keys(&self) -> Vec<String> {
        self.ask(&["KEYS", "*"]).await
    }

    /// What stands under a key; nothing is empty.
    ///
    /// # Panics
    /// If it cannot be asked.
    pub async fn value(&self, key: &str) -> Vec<u8> {
        let mut command = ::redis::cmd("GET");
        command.arg(key);
        let value: Option<Vec<u8>> = self.try_ask(command).await.expect("a value");
        value.unwrap_or_default()
    }

    /// Puts something else under a key; its lifetime stays as it is.
    ///
    /// # Panics
    /// If it cannot be put.
    pub async fn spoil(&self, key: &str, value: &[u8]) {
        let mut command = ::redis::cmd("SET");
        command.arg(key).arg(value).arg("KEEPTTL");
        self.try_ask::<()>(command).await.expect("a spoilt key");
    }

    /// Calls by clients since it started, by command in lower case.
    pub async fn calls(&self, command: &str) -> u64 {
        let told: String = self.ask(&["INFO", "commandstats"]).await;
        let prefix = format!("cmdstat_{command}:calls=");
        let line = told.lines().find_map(|line| line.strip_prefix(&prefix));
        line.and_then(|rest| rest.split(',').next()?.parse().ok())
            .unwrap_or(0)
    }
}

impl Address {
    const fn clear(port: u16) -> Self {
        Self {
            port,
            password: None,
            certificate: None,
        }
    }

    fn url(&self) -> String {
        let scheme = if self.certificate.is_some() {
            "rediss"
        } else {
            "redis"
        };
        let login = match &self.password {
            Some(password) => format!(":{password}@"),
            None => String::new(),
        };
        format!("{scheme}://{login}localhost:{}", self.port)
    }

    /// Whether anybody is there. Its certificate may be one that nobody should trust.
    async fn answers(&self) -> bool {
        if self.certificate.is_some() {
            return TcpStream::connect(("127.0.0.1", self.port)).await.is_ok();
        }
        let Ok(mut connection) = self.connect().await else {
            return false;
        };
        let answer = ::redis::cmd("PING").exec_async(&mut connection).await;
        answer.is_ok()
    }

    async fn connect(&self) -> ::redis::RedisResult<MultiplexedConnection> {
        let client = match self.certificate.clone() {
            None => Client::open(self.url())?,
            root_cert => Client::build_with_tls(
                self.url(),
                TlsCertificates {
                    client_tls: None,
                    root_cert,
                },
            )?,
        };
        client.get_multiplexed_async_connection().await
    }
}

fn spawn(arguments: &[String], folder: &TempDir) -> Child {
    let own = [
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--daemonize",
        "no",
    ];
    run_server(|command| {
        command.args(arguments).args(own);
        command.arg("--dir").arg(folder.path());
        command.args(["--logfile", LOG]);
    })
}

/// Runs `redis-server`.
fn run_server(arguments: impl FnOnce(&mut Command)) -> Child {
    let mut command = Command::new("redis-server");
    arguments(&mut command);
    let spawned = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    spawned.unwrap_or_else(|error| match error.kind() {
        ErrorKind::NotFound => {
            panic!("redis-server is missing; install it: apt-get install redis-server")
        }
        _ => panic!("redis-server: {error}"),
    })
}
