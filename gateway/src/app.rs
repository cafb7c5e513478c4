//! The composition root: knows every module, and in which order they start and stop.
//!
//! Start: configuration, telemetry, metrics, upstreams, listeners (taken over from the running
//! process with `--upgrade`), then the announcement on stdout. Stop: `/ready` says no, listeners
//! close, requests in progress end, the process leaves.

mod addresses;
mod announce;
mod background;
mod budgets;
mod certificates;
mod check;
mod descriptors;
mod drain;
mod health;
mod keys;
mod keys_file;
mod listening;
mod memory_limit;
mod next_port;
mod once;
mod otlp;
mod proxy_log;
mod refused_calls;
mod reload;
mod services;
mod serving_change;
mod serving_watch;
mod signals;
mod sockets;
mod start_error;
mod upgrade;
mod wall_clock;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use perijove_core::telemetry::{self, Telemetry};
use pingora::server::configuration::{Opt, ServerConf};
use pingora::server::{RunArgs, Server};
use pingora::services::background::background_service;
use prometheus::Registry;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::cache::{CacheMetrics, Prepared, RedisMetrics, TieredCache};
use crate::cli::{Cli, Command, Exit, RunCommand};
use crate::config::{Config, Loaded};
use crate::dispatch::{DispatchMetrics, DispatchState};
use crate::edge::{
    AdminApp, ClientConnections, EdgeMetrics, GatewayStatus, LoopAlarm, ReloadHandle, RpcApp,
};
use crate::pipeline::{Pipeline, PipelineMetrics};
use crate::pubsub::{Hub, PubSubMetrics};
use crate::snapshot::{Published, Snapshot};
use crate::upstream::{ApiMetrics, ApiPool, Connectors, Pool, SharedParts, UpstreamMetrics};
use addresses::ListenAddresses;
use background::BackgroundTasks;
use certificates::Certificates;
use descriptors::Descriptors;
use listening::Listening;
use otlp::SpanExport;
use reload::{ReloadMetrics, Reloader};
use sockets::Sockets;
pub use start_error::StartError;
use upgrade::Inherited;
use wall_clock::WALL_CLOCK;

/// Runs what the command line asks for.
pub fn execute(cli: Cli) -> ExitCode {
    let exit = match cli.command {
        Command::Run(run) => match start(&run) {
            Ok(assembled) => assembled.serve(),
            Err(error) => {
                check::complain(&format!("perijove-gateway cannot start: {error}"));
                error.exit()
            }
        },
        Command::Check(source) => check::check(&source),
        Command::Schema => check::schema(),
        Command::Health(health) => health::health(&health),
        Command::Keys(command) => keys::run(&command),
    };
    exit.into()
}

/// The assembled gateway, not running yet.
struct Assembled {
    server: Server,
    signals: signals::Signals,
}

impl Assembled {
    /// Serves until a signal ends the process. Once drained, the process exits by itself; this
    /// function returns only if the drain hangs.
    fn serve(self) -> Exit {
        self.server.run(RunArgs {
            shutdown_signal: Box::new(self.signals),
        });
        Exit::Done
    }
}

fn start(run: &RunCommand) -> Result<Assembled, StartError> {
    let loaded = check::load(&run.source)?;
    let log = &loaded.config.log;
    let registry = Registry::new();
    let metrics = otlp::SpanMetrics::register(&registry)?;
    let otlp = loaded.config.telemetry.otlp.as_ref();
    let otlp = otlp.map(|otlp| otlp::start(otlp, &metrics)).transpose()?;
    let (spans, export) = otlp.unzip();
    let judge = proxy_log::judge();
    let telemetry = telemetry::start_judging(log.format, &log.level, judge, spans)?;
    if run.source.config.is_none() {
        tracing::warn!("{}", check::DEMO);
    }
    for warning in &loaded.warnings {
        tracing::warn!(%warning, "configuration warning");
    }
    let place = upgrade::socket(&loaded.config).map_err(StartError::User)?;
    let inherited = run.upgrade.then(|| Inherited::wait(&place)).transpose()?;
    let bound = Bound::new(&loaded.config, place, inherited)?;
    assemble(run, loaded, (telemetry, export), bound, &registry)
}

/// The bound sockets, and what is needed to hand them over later.
struct Bound {
    addresses: ListenAddresses,
    sockets: Arc<Sockets>,
    /// Where sockets are handed over.
    place: PathBuf,
    /// The sockets inherited from the running process that this one replaces.
    inherited: Option<Inherited>,
}

impl Bound {
    fn new(
        config: &Config,
        place: PathBuf,
        mut inherited: Option<Inherited>,
    ) -> Result<Self, StartError> {
        let (addresses, sockets) = ListenAddresses::settle(config, inherited.as_mut())?;
        Ok(Self {
            addresses,
            sockets: Arc::new(sockets),
            place,
            inherited,
        })
    }
}

fn assemble(
    run: &RunCommand,
    mut loaded: Loaded,
    (telemetry, export): (Telemetry, Option<SpanExport>),
    bound: Bound,
    registry: &Registry,
) -> Result<Assembled, StartError> {
    register_process_metrics(registry)?;
    let descriptors = Descriptors::raise()?;
    descriptors.fit(&mut loaded.config);
    let config = &loaded.config;
    let parts = parts(config, registry)?;
    let pool = Arc::new(Pool::compile(config, None, &parts)?);
    let api_metrics = ApiMetrics::register(registry)?;
    let jupiter = Arc::new(ApiPool::compile(config, None, &parts, &api_metrics)?);
    let snapshot = Snapshot::new(config.clone(), pool, 1).with_jupiter(jupiter);
    let published = Arc::new(Published::new(snapshot));
    let status = Arc::new(GatewayStatus::default());
    let certificates = Certificates::load(config, &bound.addresses, registry, Arc::clone(&status))?;

    let (pipeline, prepared) = pipeline(config, registry)?;
    let mut server = server(config, &published, &pipeline);
    let rpc = rpc_app(&published, &pipeline, descriptors.clients(), registry)?;
    let (drain, pubsub) = (Arc::clone(&rpc.drain), Arc::clone(&rpc.pubsub));
    let (reload, reloads) = mpsc::channel(1);
    let admin = admin_app(&rpc, config, registry, (&status, reload));
    // Metrics show those of clients only.
    let admin_connections = Arc::new(ClientConnections::new(None, &Registry::new())?);
    let leave = leave(config, &rpc, &admin_connections, export);
    server.add_service(background_service("drain", leave));
    let mut listening = Listening::new(bound.inherited.is_some(), &published);
    let calls = services::rpc(rpc, config, &bound.addresses, &certificates);
    let (calls, calls_on) = listening.watch(calls, &bound.sockets);
    server.add_service(calls);
    let keeper = budgets::BudgetKeeper::new(&parts, &published, &pipeline, registry)?;
    server.add_service(background_service("budgets", keeper));
    let reloader = Reloader {
        path: run.source.config.clone(),
        files: loaded.files,
        telemetry,
        published: Arc::clone(&published),
        pipeline,
        prepared: Some(prepared),
        descriptors,
        parts,
        api_metrics,
        metrics: ReloadMetrics::register(registry)?,
        text: loaded.text,
        digest: loaded.digest,
        outline: loaded.outline,
        status,
        started_with: config.clone(),
    };
    if let Some(address) = bound.addresses.admin {
        let admin = services::admin(admin, admin_connections, &certificates, address);
        let (admin, _) = listening.watch(admin, &bound.sockets);
        server.add_service(admin);
    }
    let tasks = BackgroundTasks::new(reloader, certificates, reloads, calls_on, pubsub);
    server.add_service(background_service("background", tasks));
    let announce = announce::Announce::new(bound.addresses, listening, bound.inherited);
    server.add_service(background_service("announce", announce));
    let signals = signals::Signals {
        drain,
        delay: config.shutdown.delay,
        sockets: bound.sockets,
        upgrade_socket: bound.place,
    };
    Ok(Assembled { server, signals })
}

fn rpc_app(
    published: &Arc<Published>,
    pipeline: &Arc<Pipeline>,
    clients: usize,
    registry: &Registry,
) -> prometheus::Result<RpcApp> {
    let metrics = PubSubMetrics::register(registry)?;
    Ok(RpcApp {
        published: Arc::clone(published),
        pipeline: Arc::clone(pipeline),
        drain: Arc::default(),
        connections: Arc::new(ClientConnections::new(Some(clients), registry)?),
        pubsub: Hub::new(Arc::clone(published), Arc::clone(pipeline), metrics),
        metrics: EdgeMetrics::register(registry)?,
        loops: LoopAlarm::default(),
    })
}

fn server(config: &Config, published: &Arc<Published>, pipeline: &Arc<Pipeline>) -> Server {
    let mut server = Server::new_with_opt_and_conf(Opt::default(), server_conf(config));
    server.bootstrap();
    server.add_service(serving_watch::service(published, pipeline));
    server
}

fn admin_app(
    rpc: &RpcApp,
    config: &Config,
    registry: &Registry,
    (status, reload): (&Arc<GatewayStatus>, ReloadHandle),
) -> AdminApp {
    let tls = config.admin.tls.as_ref();
    AdminApp {
        asks_for_certificate: tls.is_some_and(|tls| tls.client_ca.is_some()),
        published: Arc::clone(&rpc.published),
        pipeline: Arc::clone(&rpc.pipeline),
        drain: Arc::clone(&rpc.drain),
        connections: Arc::clone(&rpc.connections),
        pubsub: Arc::clone(&rpc.pubsub),
        registry: registry.clone(),
        metrics: rpc.metrics.clone(),
        status: Arc::clone(status),
        reload,
        started: Instant::now(),
    }
}

fn parts(config: &Config, registry: &Registry) -> prometheus::Result<SharedParts> {
    let kept = budgets::KeptBudgets::default();
    kept.resume(config.budgets.file.as_deref());
    Ok(SharedParts {
        connectors: Connectors::default(),
        metrics: UpstreamMetrics::register(registry)?,
        clock: WALL_CLOCK,
        budgets: kept.rpc,
        jupiter_budgets: kept.jupiter,
    })
}

/// The pipeline, and the shared cache that starts with it.
fn pipeline(config: &Config, registry: &Registry) -> Result<(Arc<Pipeline>, Prepared), StartError> {
    memory_limit::check_cache(config);
    let dispatch = DispatchMetrics::register(registry)?;
    let ids: Vec<_> = config.upstreams.iter().map(|one| one.id.as_str()).collect();
    dispatch.expect(&ids);
    let live = DispatchState::new(dispatch, config.selection.floor_entries, WALL_CLOCK);
    let metrics = PipelineMetrics::register(registry)?;
    let metrics_of_cache = CacheMetrics::register(registry)?;
    let metrics_of_redis = RedisMetrics::register(registry)?;
    let cache = TieredCache::new(
        &config.cache,
        metrics_of_cache,
        metrics_of_redis,
        WALL_CLOCK,
    );
    let prepared = cache.prepare(
        &config.cache,
        config.price.enabled || config.jupiter.is_served() || config.budgets.shared,
    )?;
    Ok((Arc::new(Pipeline::new(live, metrics, cache)), prepared))
}

fn leave(
    config: &Config,
    rpc: &RpcApp,
    admin: &Arc<ClientConnections>,
    export: Option<SpanExport>,
) -> drain::DrainAndExit {
    drain::DrainAndExit {
        admin: Arc::clone(admin),
        drain: Arc::clone(&rpc.drain),
        shutdown: config.shutdown.clone(),
        connections: Arc::clone(&rpc.connections),
        published: Arc::clone(&rpc.published),
        pubsub: Arc::clone(&rpc.pubsub),
        export,
    }
}

fn server_conf(config: &Config) -> ServerConf {
    let threads = config
        .runtime
        .threads
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1);
    // `drain::DrainAndExit` ends the process; Pingora's own sleep is only the fallback behind it.
    let fallback = config.shutdown.grace + config.shutdown.linger + Duration::from_secs(5);
    ServerConf {
        threads,
        grace_period_seconds: Some(fallback.as_secs()),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    }
}

fn register_process_metrics(registry: &Registry) -> prometheus::Result<()> {
    let process = prometheus::process_collector::ProcessCollector::for_self();
    registry.register(Box::new(process))?;
    let build = prometheus::IntGaugeVec::new(
        prometheus::Opts::new("perijove_build_info", "Always 1; the version is the label"),
        &["version"],
    )?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(build))
}
