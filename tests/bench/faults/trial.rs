//! One row: a cluster and a gateway of its own, calls before, during and after the fault.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use perijove_tests::gateway::{Gateway, GatewayConfig};
use perijove_tests::sandbox::{Fault, Kind, Sandbox, Settings, StartError, Validator};
use perijove_tests::wait::until;

use crate::figures::{Figures, Phases};
use crate::questions::WRITE;
use crate::rows::{Row, Scene};
use crate::stream::{Rates, Record, Stream};

/// The beginning of the load that is not counted: connections are made, latencies learnt.
const WARM_UP: Duration = Duration::from_secs(2);
/// How often it is looked whether the upstream is back in service.
const LOOK: Duration = Duration::from_millis(500);

/// How long and how hard.
#[derive(Debug, Clone)]
pub struct Plan {
    pub reads: u32,
    pub writes: u32,
    pub before: Duration,
    pub during: Duration,
    /// After the fault at least this long.
    pub after: Duration,
    /// And at most that long, if the upstream is not back in service earlier.
    pub patience: Duration,
    /// Where the gateway's log of a row is written.
    pub logs: Option<PathBuf>,
}

/// Why a row could not be run.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    #[error(transparent)]
    Sandbox(#[from] StartError),
    #[error("no log: {0}")]
    Log(#[from] std::io::Error),
    #[error("no HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// Runs a row.
pub async fn run(row: &Row, plan: &Plan) -> Result<Figures, TrialError> {
    let cluster = cluster(row).await?;
    let gateway = gateway(row, &cluster).await;
    let rates = Rates {
        reads: row.rate.unwrap_or(plan.reads),
        writes: plan.writes,
        scans: row.scans,
    };
    let stream = Stream::start(Arc::clone(&cluster), gateway.url(), rates)?;
    stream.until(WARM_UP + plan.before).await;
    let faulty = match row.scene {
        Scene::Own => 0,
        Scene::Paid => busiest(row, &stream),
    };
    let sick = cluster.validator(faulty);
    let other = cluster.validator(1 - faulty);
    let (met, sent) = (reached(row, sick), cluster.hits(WRITE));
    let fault = stream.now();
    afflict(other, &row.beside).await;
    afflict(sick, &row.faults).await;
    stream.until(fault + plan.during).await;
    let (met, sent) = (reached(row, sick) - met, cluster.hits(WRITE) - sent);
    let healed = stream.now();
    for validator in cluster.validators() {
        validator.heal()?;
        afflict(validator, &row.always).await;
    }
    let mut phases = Phases {
        counted: WARM_UP,
        fault,
        healed,
        end: healed,
    };
    let name = row.upstreams().into_iter().nth(faulty).unwrap_or_default();
    let waits = row.returns && !row.faults.is_empty();
    loop {
        stream.until(stream.now() + LOOK).await;
        phases.end = stream.now();
        let back = || stream.look(|records| phases.served_again(row, name, records).is_some());
        let enough = phases.end >= healed + plan.after && (!waits || back());
        if enough || phases.end >= healed + plan.patience {
            break;
        }
    }
    let records = stream.stop().await;
    if let Some(folder) = &plan.logs {
        let file = folder.join(format!("{}.log", row.name.replace('/', ".")));
        std::fs::create_dir_all(folder)?;
        std::fs::write(file, gateway.process.log().join("\n"))?;
    }
    Ok(Figures::of(row, name, phases, &records, met, sent))
}

async fn cluster(row: &Row) -> Result<Arc<Sandbox>, TrialError> {
    let cluster = Sandbox::with(Settings {
        validators: 2,
        moving: true,
        ..Settings::default()
    })
    .await?;
    for validator in cluster.validators() {
        afflict(validator, &row.always).await;
    }
    Ok(Arc::new(cluster))
}

async fn gateway(row: &Row, cluster: &Sandbox) -> Gateway {
    let urls: Vec<_> = cluster.validators().iter().map(|one| one.url()).collect();
    let config = GatewayConfig::new()
        .set("upstreams", row.configuration(&urls))
        .set("cache.enabled", true)
        // As by default, which tests are not.
        .set("hedge", serde_json::json!({}))
        .set("retry", serde_json::json!({}))
        .set("log.access", false);
    let gateway = Gateway::start(config).await;
    until("both upstreams to be probed", || async {
        let status = gateway.status().await;
        let upstreams = status.get("upstreams")?.as_array()?;
        let health = |one: &serde_json::Value| one.get("health").cloned();
        upstreams
            .iter()
            .all(|one| health(one).is_some_and(|health| health != "unprobed"))
            .then_some(())
    })
    .await;
    gateway
}

async fn afflict(validator: &Validator, faults: &[Fault]) {
    for fault in faults {
        if fault.kind == Kind::Down {
            validator.down().await;
        } else {
            validator.fault(fault.clone());
        }
    }
}

/// The calls that can have met the row's fault.
fn reached(row: &Row, validator: &Validator) -> u64 {
    let hits = validator.counts().tally().hits;
    let met = hits.iter().filter(|(method, _)| row.concerns(method));
    met.map(|(_, count)| count).sum()
}

/// Which of two equal upstreams has most of the calls.
fn busiest(row: &Row, stream: &Stream) -> usize {
    let [first, second] = row.upstreams();
    let answered = |name: &str, records: &[Record]| {
        let by = |record: &&Record| record.upstream.as_deref() == Some(name);
        records.iter().filter(by).count()
    };
    stream.look(|records| usize::from(answered(second, records) > answered(first, records)))
}
