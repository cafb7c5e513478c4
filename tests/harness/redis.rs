//! Real Redis servers for tests: one, with TLS, behind Sentinel, as a Cluster; and what can happen
//! to them. And a server that only pretends to be one.

#![expect(clippy::expect_used, reason = "a harness fails the test it is used in")]

mod cluster;
mod impostor;
pub mod prices;
mod sentinel;

use std::io::ErrorKind;
use std::process::Stdio;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Client, Cmd, FromRedisValue, TlsCertificates};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::rustls::crypto::aws_lc_rs;

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

/// How a server is to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings<'a> {
    /// What it wants to hear first, from clients and from its kind.
    pub password: Option<&'a str>,
    /// With it, it speaks only TLS and shows this.
    pub identity: Option<&'a Identity>,
    /// Further arguments, such as `--maxmemory 2mb`.
    pub arguments: &'a [&'a str],
}

impl Redis {
    /// One server, in clear, without a password.
    pub async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    /// One that wants this password.
    pub async fn guarded(password: &str) -> Self {
        Self::with(Settings {
            password: Some(password),
            ..Settings::default()
        })
        .await
    }

    /// One that speaks only TLS and shows this identity.
    pub async fn secured(identity: &Identity) -> Self {
        Self::with(Settings {
            identity: Some(identity),
            ..Settings::default()
        })
        .await
    }

    /// One of this kind.
    ///
    /// # Panics
    /// If its files cannot be read.
    pub async fn with(settings: Settings<'_>) -> Self {
        let port = ports::take();
        let mut arguments = transport(port, settings.identity);
        if let Some(password) = settings.password {
            for option in ["--requirepass", "--masterauth"] {
                arguments.extend([option.to_owned(), password.to_owned()]);
            }
        }
        let further = settings
            .arguments
            .iter()
            .map(|&argument| argument.to_owned());
        arguments.extend(further);
        let certificate = settings
            .identity
            .map(|identity| std::fs::read(identity.certificate_file()).expect("a certificate"));
        let address = Address {
            port,
            password: settings.password.map(str::to_owned),
            certificate,
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

    /// Resumes it.
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
    /// The client library's errors.
    pub async fn try_ask<T: FromRedisValue>(&self, command: Cmd) -> ::redis::RedisResult<T> {
        command
            .query_async(&mut self.address.connect().await?)
            .await
    }

    /// The names of all keys.
    pub async fn keys(&self) -> Vec<String> {
        self.ask(&["KEYS", "*"]).await
    }

    /// The value of a key; empty if there is none.
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

/// The arguments that say where it listens.
fn transport(port: u16, identity: Option<&Identity>) -> Vec<String> {
    let port = port.to_string();
    let Some(identity) = identity else {
        return vec!["--port".to_owned(), port];
    };
    let certificate = identity.certificate_file().display().to_string();
    let key = identity.key_file().display().to_string();
    let arguments = [
        ["--port", "0"],
        ["--tls-port", &port],
        ["--tls-cert-file", &certificate],
        ["--tls-key-file", &key],
        ["--tls-ca-cert-file", &certificate],
        ["--tls-auth-clients", "no"],
        ["--tls-replication", "yes"],
        ["--tls-cluster", "yes"],
    ];
    arguments.concat().into_iter().map(str::to_owned).collect()
}

impl Address {
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

    /// Whether a server answers. Its certificate is not verified.
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
            root_cert => {
                // There may be one already.
                drop(aws_lc_rs::default_provider().install_default());
                let trust = TlsCertificates {
                    client_tls: None,
                    root_cert,
                };
                Client::build_with_tls(self.url(), trust)?
            }
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
