//! Where connections come from: one server, the master that Sentinel names, or a Cluster.

use std::path::PathBuf;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, TlsCertificates, TlsMode, cmd,
};
use tokio::time::timeout;

use super::connection::Connection;
use super::failure::Failure;
use crate::config::{self, RedisMode};

/// A connection on which nothing is heard for so long is given up by the system.
const SILENCE: Duration = Duration::from_secs(10);

/// Connecting by way of a Sentinel or to a Cluster takes some connections one after the other.
const STEPS: u32 = 4;

/// How often a Cluster's client follows a redirection before it gives up.
const REDIRECTIONS: u32 = 3;

/// What cannot be right at any time.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    #[error("cannot read {path}: {source}")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot be used: {0}")]
    Settings(#[from] RedisError),
}

/// Why there is no connection, in words for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("no answer in time")]
    Timeout,
    #[error("the login is refused: {0}")]
    Login(RedisError),
    #[error(transparent)]
    Other(RedisError),
}

/// Makes connections.
pub(super) struct Origin {
    kind: Kind,
    connect: Duration,
}

enum Kind {
    Single(Box<Client>),
    Sentinel(Box<SentinelClient>),
    Cluster(Box<ClusterClient>),
}

impl Origin {
    pub(super) fn new(settings: &config::Redis) -> Result<Self, OriginError> {
        // Within one process there may be several providers of cryptography, of which TLS without
        // a choice would not know which to take.
        drop(rustls::crypto::ring::default_provider().install_default());
        let trust = trust(settings)?;
        let servers = settings
            .urls
            .iter()
            .map(|url| Ok(url.expose().clone().into_connection_info()?))
            .collect::<Result<Vec<_>, OriginError>>()?;
        let kind = match settings.mode {
            RedisMode::Single => Kind::Single(Box::new(single(settings, servers, trust)?)),
            RedisMode::Sentinel => Kind::Sentinel(Box::new(sentinel(settings, &servers, trust)?)),
            RedisMode::Cluster => Kind::Cluster(Box::new(cluster(settings, servers, trust)?)),
        };
        Ok(Self {
            kind,
            connect: settings.connect,
        })
    }

    /// One more connection, logged in. Takes a bounded time.
    pub(super) async fn connect(&mut self) -> Result<Connection, ConnectError> {
        // Lookups have a deadline of their own, writes as well.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect))
            .set_response_timeout(None);
        let connecting = async {
            let server = match &mut self.kind {
                Kind::Single(client) => {
                    client
                        .get_multiplexed_async_connection_with_config(&config)
                        .await?
                }
                Kind::Sentinel(client) => client.get_async_connection_with_config(&config).await?,
                Kind::Cluster(client) => {
                    return Ok(Connection::Cluster(client.get_async_connection().await?));
                }
            };
            serves(&server).await?;
            Ok(Connection::Server(server))
        };
        match timeout(self.connect * STEPS, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(ConnectError::of(error)),
            Err(_elapsed) => Err(ConnectError::Timeout),
        }
    }
}

impl ConnectError {
    fn of(error: RedisError) -> Self {
        if error.kind() == redis::ErrorKind::AuthenticationFailed
            || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
        {
            Self::Login(error)
        } else if Failure::of(&error) == Failure::Timeout {
            Self::Timeout
        } else {
            Self::Other(error)
        }
    }
}

/// Whether the server will answer us: it takes connections also while it loads, and from those who
/// did not log in.
async fn serves(server: &MultiplexedConnection) -> Result<(), RedisError> {
    match Connection::Server(server.clone()).ask(&cmd("PING")).await {
        // Whoever may not ask may still be let in.
        Err(error) if error.code() != Some("NOPERM") => Err(error),
        _ => Ok(()),
    }
}

fn trust(settings: &config::Redis) -> Result<Option<TlsCertificates>, OriginError> {
    let Some(path) = &settings.ca else {
        return Ok(None);
    };
    let root_cert = std::fs::read(path).map_err(|source| OriginError::Unreadable {
        path: path.clone(),
        source,
    })?;
    Ok(Some(TlsCertificates {
        client_tls: None,
        root_cert: Some(root_cert),
    }))
}

/// Requests are small and waited for: they must not wait to be joined by others. And a peer that
/// has vanished without a word must be noticed although nothing is sent.
fn tcp() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(SILENCE / 2)
        .with_interval(SILENCE / 4);
    TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive)
        .set_user_timeout(SILENCE)
}

fn single(
    settings: &config::Redis,
    servers: Vec<ConnectionInfo>,
    trust: Option<TlsCertificates>,
) -> Result<Client, RedisError> {
    let server = servers.into_iter().next().ok_or_else(no_server)?;
    let login = login(settings, server.redis_settings().clone());
    let server = server.set_redis_settings(login).set_tcp_settings(tcp());
    match trust {
        Some(trust) => Client::build_with_tls(server, trust),
        None => Client::open(server),
    }
}

fn sentinel(
    settings: &config::Redis,
    sentinels: &[ConnectionInfo],
    trust: Option<TlsCertificates>,
) -> Result<SentinelClient, RedisError> {
    let own = sentinels
        .first()
        .ok_or_else(no_server)?
        .redis_settings()
        .clone();
    let master = settings.master.clone().unwrap_or_default();
    let addresses: Vec<_> = sentinels.iter().map(|one| one.addr().clone()).collect();
    let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
        .set_client_to_redis_db(own.db())
        .set_client_to_redis_tcp_settings(tcp())
        .set_client_to_sentinel_tcp_settings(tcp());
    if let Some(username) = own.username() {
        builder = builder.set_client_to_sentinel_username(username);
    }
    if let Some(password) = own.password() {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if let Some(username) = &settings.username {
        builder = builder.set_client_to_redis_username(username.expose());
    }
    if let Some(password) = &settings.password {
        builder = builder.set_client_to_redis_password(password.expose());
    }
    if settings.urls.iter().any(config::RedisUrl::is_tls) {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure);
        if let Some(trust) = trust {
            builder = builder
                .set_client_to_redis_certificates(trust.clone())
                .set_client_to_sentinel_certificates(trust);
        }
    }
    builder.build()
}

fn cluster(
    settings: &config::Redis,
    nodes: Vec<ConnectionInfo>,
    trust: Option<TlsCertificates>,
) -> Result<ClusterClient, RedisError> {
    let first = nodes
        .first()
        .ok_or_else(no_server)?
        .redis_settings()
        .clone();
    let login = login(settings, first);
    // A node that does not answer must not keep calls in the client for longer than this.
    let mut builder = ClusterClientBuilder::new(nodes)
        .connection_timeout(settings.connect)
        .response_timeout(settings.connect)
        .overall_response_timeout(None)
        .retries(REDIRECTIONS)
        .min_retry_wait(5)
        .max_retry_wait(50)
        .tcp_settings(tcp());
    if let Some(username) = login.username() {
        builder = builder.username(username);
    }
    if let Some(password) = login.password() {
        builder = builder.password(password);
    }
    if let Some(trust) = trust {
        builder = builder.certs(trust);
    }
    builder.build()
}

/// Who we are: as the URL says, or as is set beside it.
fn login(settings: &config::Redis, url: RedisConnectionInfo) -> RedisConnectionInfo {
    let mut login = url;
    if let Some(username) = &settings.username {
        login = login.set_username(username.expose());
    }
    if let Some(password) = &settings.password {
        login = login.set_password(password.expose());
    }
    login
}

fn no_server() -> RedisError {
    RedisError::from((redis::ErrorKind::InvalidClientConfig, "no server is named"))
}
