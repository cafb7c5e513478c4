//! Opens connections: to one server, to the master that Sentinel names, or to a Cluster.

pub(super) mod connect_error;
mod read_limit;
mod socket;

use std::time::Duration;

use redis::aio::PubSub;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError,
    TlsCertificates, TlsMode, cmd,
};
use tokio::time::timeout;

use self::connect_error::ConnectFault;
use self::socket::{SILENCE, SocketConnector, keepalive};
use super::connection::{RedisConnection, ServerConnection};
use crate::config::{self, RedisMode};

pub(super) use self::connect_error::ConnectError;
pub use self::connect_error::RedisConfigError;
pub(super) use self::read_limit::UnansweredBytes;
pub use self::socket::RedisTrustError;

/// Asking Sentinels, or connecting to a Cluster, takes several connections in sequence.
const STEPS: u32 = 4;

/// How often a Cluster's client follows a redirection before it gives up.
const REDIRECTIONS: u32 = 3;

/// The settings that connections are opened with.
#[derive(Clone)]
pub(super) struct ClientSettings {
    settings: config::Redis,
    servers: Vec<ConnectionInfo>,
    /// In PEM form.
    authorities: Option<Vec<u8>>,
    dial: SocketConnector,
}

impl ClientSettings {
    pub(super) fn new(settings: &config::Redis) -> Result<Self, RedisConfigError> {
        let servers = settings
            .urls
            .iter()
            .map(|url| Ok(url.expose().clone().into_connection_info()?))
            .collect::<Result<Vec<_>, RedisConfigError>>()?;
        let authorities = authorities(settings)?;
        let dial = if settings.urls.iter().any(config::RedisUrl::is_tls) {
            // The library's own TLS does not know which cryptography provider to use if a process
            // has several. An existing default is fine.
            drop(rustls::crypto::ring::default_provider().install_default());
            SocketConnector::secured(authorities.as_deref())?
        } else {
            SocketConnector::clear()
        };
        Ok(Self {
            settings: settings.clone(),
            servers,
            authorities,
            dial,
        })
    }

    /// Whether these settings equal those it was made from, including the content of the file they
    /// name.
    pub(super) fn is(&self, settings: &config::Redis) -> bool {
        self.settings == *settings
            && authorities(settings).is_ok_and(|authorities| authorities == self.authorities)
    }
}

fn authorities(settings: &config::Redis) -> Result<Option<Vec<u8>>, RedisConfigError> {
    let Some(path) = &settings.ca else {
        return Ok(None);
    };
    match perijove_core::settings::read_bytes(path) {
        Ok(authorities) => Ok(Some(authorities)),
        Err(source) => Err(RedisConfigError::Unreadable {
            path: path.clone(),
            source,
        }),
    }
}

/// Opens the connections of one supervised connection.
pub(super) struct RedisConnector {
    kind: RedisTopology,
    dial: SocketConnector,
    connect: Duration,
    /// Any server of a Cluster delivers published messages.
    servers: Vec<(ConnectionAddr, RedisConnectionInfo)>,
    turn: usize,
    /// Host and port of them all, as text for people.
    place: String,
}

enum RedisTopology {
    Single(ConnectionAddr, RedisConnectionInfo),
    Sentinel(Box<SentinelClient>),
    Cluster(Box<ClusterClient>),
}

impl RedisConnector {
    pub(super) fn new(maker: &ClientSettings) -> Result<Self, RedisConfigError> {
        let first = maker.servers.first().ok_or_else(no_server)?;
        let kind = match maker.settings.mode {
            RedisMode::Single => RedisTopology::Single(first.addr().clone(), maker.login(first)),
            RedisMode::Sentinel => RedisTopology::Sentinel(Box::new(maker.sentinel(first)?)),
            RedisMode::Cluster => RedisTopology::Cluster(Box::new(maker.cluster(first)?)),
        };
        Ok(Self {
            kind,
            dial: maker.dial.clone(),
            connect: maker.settings.connect,
            servers: maker
                .servers
                .iter()
                .map(|server| (server.addr().clone(), maker.login(server)))
                .collect(),
            turn: 0,
            place: match maker.settings.mode {
                RedisMode::Sentinel => format!("Sentinel {}", maker.settings.servers()),
                RedisMode::Single | RedisMode::Cluster => maker.settings.servers(),
            },
        })
    }

    /// Opens another connection, logged in and usable. Takes a bounded time.
    pub(super) async fn connect(&mut self) -> Result<RedisConnection, ConnectError> {
        let (dial, step, place) = (&self.dial, self.connect, &self.place);
        let failed = |error| ConnectError::at(place, ConnectFault::of(error));
        let connecting = async {
            match &mut self.kind {
                RedisTopology::Single(address, login) => open(dial, address, login, step).await,
                RedisTopology::Sentinel(client) => {
                    let master = client.async_get_client().await.map_err(failed)?;
                    let master = master.get_connection_info();
                    open(dial, master.addr(), master.redis_settings(), step).await
                }
                RedisTopology::Cluster(client) => {
                    let cluster = client.get_async_connection().await;
                    Ok(RedisConnection::Cluster(cluster.map_err(failed)?))
                }
            }
        };
        let connected = timeout(step * STEPS, connecting).await;
        connected.unwrap_or_else(|_elapsed| Err(ConnectError::at(place, ConnectFault::Timeout)))
    }
}

impl RedisConnector {
    /// Subscribes to the trades of pools. Takes a bounded time.
    pub(super) async fn subscribe(&mut self) -> Result<PubSub, ConnectError> {
        let (dial, step, place) = (&self.dial, self.connect, &self.place);
        let subscribing = async {
            match &mut self.kind {
                RedisTopology::Single(address, login) => dial.subscribe(address, login).await,
                RedisTopology::Sentinel(client) => {
                    let master = client.async_get_client().await?;
                    let master = master.get_connection_info();
                    dial.subscribe(master.addr(), master.redis_settings()).await
                }
                RedisTopology::Cluster(_) => {
                    let turn = self.turn % self.servers.len().max(1);
                    self.turn = self.turn.wrapping_add(1);
                    let (address, login) = self.servers.get(turn).ok_or_else(no_server)?;
                    dial.subscribe(address, login).await
                }
            }
        };
        match timeout(step * STEPS, subscribing).await {
            Ok(subscription) => {
                subscription.map_err(|error| ConnectError::at(place, ConnectFault::of(error)))
            }
            Err(_elapsed) => Err(ConnectError::at(place, ConnectFault::Timeout)),
        }
    }
}

/// Opens a connection to one server that answers.
async fn open(
    dial: &SocketConnector,
    address: &ConnectionAddr,
    login: &RedisConnectionInfo,
    step: Duration,
) -> Result<RedisConnection, ConnectError> {
    let opening = async {
        let server = dial.open(address, login).await?;
        serves(&server).await?;
        Ok(RedisConnection::Server(server))
    };
    let fault = match timeout(step, opening).await {
        Ok(Ok(opened)) => return Ok(opened),
        Ok(Err(error)) => ConnectFault::of(error),
        Err(_elapsed) => ConnectFault::Timeout,
    };
    Err(ConnectError::at(address, fault))
}

/// Whether the server will answer commands: it accepts connections also while it loads its data,
/// and without a login.
async fn serves(server: &ServerConnection) -> Result<(), RedisError> {
    match server.ask(&cmd("PING")).await {
        // A user that may not send PING may still be allowed to do the rest.
        Err(error) if error.code() != Some("NOPERM") => Err(error),
        _ => Ok(()),
    }
}

impl ClientSettings {
    fn sentinel(&self, first: &ConnectionInfo) -> Result<SentinelClient, RedisError> {
        let settings = &self.settings;
        let own = first.redis_settings();
        let master = settings.master.clone().unwrap_or_default();
        let addresses: Vec<_> = self.servers.iter().map(|one| one.addr().clone()).collect();
        let mut builder =
            SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
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
        }
        if let Some(trust) = self.trust() {
            builder = builder
                .set_client_to_redis_certificates(trust.clone())
                .set_client_to_sentinel_certificates(trust);
        }
        builder.build()
    }

    fn cluster(&self, first: &ConnectionInfo) -> Result<ClusterClient, RedisError> {
        let step = self.settings.connect;
        let login = self.login(first);
        // A node that does not answer must not hold up calls in the client for longer than this.
        let mut builder = ClusterClientBuilder::new(self.servers.clone())
            .connection_timeout(step)
            .response_timeout(step)
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
        if let Some(trust) = self.trust() {
            builder = builder.certs(trust);
        }
        builder.build()
    }

    /// User and password: from the URL, or from the settings beside it.
    fn login(&self, server: &ConnectionInfo) -> RedisConnectionInfo {
        let mut login = server.redis_settings().clone();
        if let Some(username) = &self.settings.username {
            login = login.set_username(username.expose());
        }
        if let Some(password) = &self.settings.password {
            login = login.set_password(password.expose());
        }
        login
    }

    /// For the connections that the library opens itself.
    fn trust(&self) -> Option<TlsCertificates> {
        let root_cert = Some(self.authorities.clone()?);
        Some(TlsCertificates {
            client_tls: None,
            root_cert,
        })
    }
}

fn tcp() -> TcpSettings {
    TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive())
        .set_user_timeout(SILENCE)
}

fn no_server() -> RedisError {
    RedisError::from((
        redis::ErrorKind::InvalidClientConfig,
        "no Redis server is configured",
    ))
}
