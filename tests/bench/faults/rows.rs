//! The rows: which fault, of which upstream, for which calls, and what is asked of it.

use std::time::Duration;

use perijove_tests::sandbox::{Fault, Kind, RateShape, ResetWhen, Spoilage, StallAfter};
use serde_json::{Value, json};

use crate::questions::{SCAN, WRITE};

/// Who stands beside the upstream that has the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// A local upstream has it, a bought one stands in.
    Own,
    /// One of two bought upstreams has it.
    Paid,
}

/// Which requests meet the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// All, probes too.
    All,
    /// All but probes.
    Calls,
    /// Calls of this method.
    Only(&'static str),
}

/// One row of the table.
#[derive(Debug, Clone)]
pub struct Row {
    pub name: String,
    pub scene: Scene,
    pub met: Met,
    /// What the faulty upstream is given, and later freed from.
    pub faults: Vec<Fault>,
    /// What the other one has at the same time.
    pub beside: Vec<Fault>,
    /// What both have from the start to the end.
    pub always: Vec<Fault>,
    /// The 99th percentile may not be above this during the fault.
    pub bound: Duration,
    /// Whether the upstream is to serve again soon after the fault is gone.
    pub returns: bool,
    /// Whether it is to serve its share while it has the fault.
    pub stays: bool,
    /// Reads per second, if not the usual.
    pub rate: Option<u32>,
    pub scans: u32,
    /// Whether it is among the few of a quick run.
    pub quick: bool,
}

/// A fault that shows with the first answer.
const AT_ONCE: Duration = Duration::from_millis(300);
/// A fault that has to be waited for.
const LATE: Duration = Duration::from_millis(1_200);

const OWN: [(Scene, Met); 4] = [
    (Scene::Own, Met::All),
    (Scene::Own, Met::Calls),
    (Scene::Own, Met::Only(WRITE)),
    (Scene::Own, Met::Only("getBalance")),
];
const PAID: [(Scene, Met); 2] = [(Scene::Paid, Met::All), (Scene::Paid, Met::Only(WRITE))];
const KNOWS: [(Scene, Met); 2] = [(Scene::Own, Met::All), (Scene::Paid, Met::All)];

/// All rows.
pub fn all() -> Vec<Row> {
    let mut rows = Rows::default();
    rows.statuses();
    rows.errors();
    rows.refusals();
    rows.wire();
    rows.waits();
    rows.broken();
    rows.beliefs();
    rows.writes();
    rows.scans();
    rows.busy();
    rows.list
}

#[derive(Debug, Default)]
struct Rows {
    list: Vec<Row>,
}

impl Rows {
    /// A row for each of these places.
    fn add(&mut self, name: &str, places: &[(Scene, Met)], bound: Duration, faults: &[Fault]) {
        for &(scene, met) in places {
            let place = match scene {
                Scene::Own => "own",
                Scene::Paid => "paid",
            };
            let calls = match met {
                Met::All => "all",
                Met::Calls => "calls",
                Met::Only(WRITE) => "writes",
                Met::Only(SCAN) => "scans",
                Met::Only(_) => "reads",
            };
            self.list.push(Row {
                name: format!("{name}/{place}/{calls}"),
                scene,
                met,
                faults: faults.iter().map(|fault| limited(fault, met)).collect(),
                beside: Vec::new(),
                always: Vec::new(),
                bound,
                returns: true,
                stays: false,
                rate: None,
                scans: 0,
                quick: false,
            });
        }
    }

    /// The same in all places.
    fn everywhere(&mut self, name: &str, bound: Duration, fault: impl Into<Fault>) {
        let fault = [fault.into()];
        self.add(name, &OWN, bound, &fault);
        self.add(name, &PAID, bound, &fault);
    }

    /// Marks rows that exist as part of the quick run.
    fn quick(&mut self, names: &[&str]) {
        for row in &mut self.list {
            row.quick |= names.contains(&row.name.as_str());
        }
    }

    /// Changes the rows added since there were `from`.
    fn since(&mut self, from: usize, change: impl Fn(&mut Row)) {
        self.list.iter_mut().skip(from).for_each(change);
    }

    fn statuses(&mut self) {
        for status in [400, 401, 403, 404, 405, 410, 413, 429, 500, 502, 503] {
            let from = self.list.len();
            let json = format!(
                "{{\"jsonrpc\":\"2.0\",\"error\":{{\"code\":-32000,\"message\":\"says {status}\"}},\
                 \"id\":1}}\n"
            );
            self.everywhere(
                &format!("http-{status}-json"),
                AT_ONCE,
                answers(status, &json),
            );
            let html = format!("<html><head><title>{status}</title></head><body></body></html>\n");
            let few = [(Scene::Own, Met::Calls), (Scene::Paid, Met::Calls)];
            let html = [answers(status, &html)];
            self.add(&format!("http-{status}-html"), &few, AT_ONCE, &html);
            let empty = [answers(status, "")];
            self.add(&format!("http-{status}-empty"), &few, AT_ONCE, &empty);
            // Who limits or refuses its callers is left alone for longer.
            let returns = ![401, 403, 429].contains(&status);
            self.since(from, |row| row.returns = returns);
        }
        self.quick(&["http-400-json/own/calls", "http-503-json/own/writes"]);
    }

    fn errors(&mut self) {
        for code in [-32603, -32000, -32005, -32016, -32004, -32014] {
            self.everywhere(&format!("error{code}"), AT_ONCE, Fault::rpc(code));
        }
        let from = self.list.len();
        self.everywhere("error-32601", AT_ONCE, Fault::rpc(-32601));
        let provider = error(-32602, "this plan does not include the method");
        self.everywhere("error-32602", AT_ONCE, provider);
        self.everywhere("error-32429", AT_ONCE, Fault::rpc(-32429));
        self.since(from, |row| row.returns = false);
        let unknown = error(-39_999, "node says no");
        self.everywhere("error-39999", AT_ONCE, unknown);
        self.everywhere("error-as-text", AT_ONCE, Fault::spoil(Spoilage::ErrorText));
        self.quick(&["error-32000/own/calls", "error-as-text/own/reads"]);
    }

    fn refusals(&mut self) {
        let from = self.list.len();
        for (name, shape) in [
            ("rpcpool", RateShape::Rpcpool),
            ("plain", RateShape::Plain),
            ("ok", RateShape::Ok),
            ("ok-internal", RateShape::OkInternal),
            ("helius", RateShape::Helius),
            ("credits", RateShape::Credits),
        ] {
            let fault = [Fault::rate_limit(shape, None)];
            self.add(&format!("limit-{name}"), &OWN[1..3], AT_ONCE, &fault);
        }
        self.add("challenge", &OWN[1..3], AT_ONCE, &[Kind::Challenge.into()]);
        self.since(from, |row| row.returns = false);
    }

    fn wire(&mut self) {
        self.add("refused", &KNOWS, AT_ONCE, &[Kind::Down.into()]);
        let early = [Fault::reset(ResetWhen::BeforeRead)];
        self.add("reset-before-read", &KNOWS, AT_ONCE, &early);
        self.everywhere(
            "reset-after-read",
            AT_ONCE,
            Fault::reset(ResetWhen::AfterRead),
        );
        self.everywhere("reset-mid-body", AT_ONCE, Fault::reset(ResetWhen::MidBody));
        self.everywhere("closed", AT_ONCE, Kind::Close);
        self.everywhere("closed-mid-body", AT_ONCE, Kind::Truncate);
        let from = self.list.len();
        for (name, kind) in [
            ("keep-alive-close", Kind::KeepAliveClose),
            ("connection-close", Kind::ConnectionClose),
            ("http10", Kind::Http10),
            ("chunked", Kind::Chunked),
        ] {
            self.add(name, &KNOWS, AT_ONCE, &[kind.into()]);
        }
        self.since(from, |row| row.stays = row.scene == Scene::Own);
        self.quick(&["refused/own/all", "refused/paid/all", "closed/own/writes"]);
    }

    fn waits(&mut self) {
        self.everywhere("hangs", LATE, Kind::Hang);
        for (name, after) in [("head", StallAfter::Head), ("half", StallAfter::Half)] {
            self.everywhere(&format!("stalls-after-{name}"), LATE, Kind::Stall { after });
        }
        self.everywhere("trickles", LATE, Kind::Trickle { ms: 300 });
        self.everywhere("slow-5s", LATE, Fault::slow(5_000));
        self.everywhere("slow-body-5s", LATE, Kind::SlowBody { ms: 5_000 });
        self.quick(&[
            "hangs/own/all",
            "hangs/own/writes",
            "stalls-after-half/own/calls",
        ]);
    }

    fn broken(&mut self) {
        for (name, how) in [
            ("wrong-id", Spoilage::WrongId),
            ("no-id", Spoilage::NoId),
            ("null-result", Spoilage::NullResult),
            ("control-bytes", Spoilage::ControlBytes),
            ("half-json", Spoilage::HalfJson),
            ("gzip", Spoilage::Gzip),
        ] {
            self.everywhere(name, AT_ONCE, Fault::spoil(how));
        }
        self.everywhere("garbage", AT_ONCE, Kind::Garbage);
        self.everywhere("wrong-shape", AT_ONCE, Kind::WrongShape);
        self.everywhere("previous-answer", AT_ONCE, Kind::Previous);
        for ms in [0, 20, 500] {
            self.everywhere(&format!("twice-{ms}ms"), AT_ONCE, Kind::Twice { ms });
        }
        self.quick(&[
            "wrong-id/own/all",
            "previous-answer/own/calls",
            "twice-20ms/paid/all",
        ]);
    }

    /// What it says is well formed, and not so.
    fn beliefs(&mut self) {
        self.add("slot-stands-still", &KNOWS, AT_ONCE, &[Kind::Stop.into()]);
        let healthy = Kind::Health { says: "ok".into() };
        let calm = [Kind::Stop.into(), healthy.clone().into()];
        self.add("slot-stands-still-says-ok", &KNOWS, AT_ONCE, &calm);
        self.add("50-slots-behind", &KNOWS, AT_ONCE, &[Fault::lag(50)]);
        let calm = [Fault::lag(50), healthy.into()];
        self.add("50-slots-behind-says-ok", &KNOWS, AT_ONCE, &calm);
        self.add("2000-slots-behind", &KNOWS, AT_ONCE, &[Fault::lag(2_000)]);
        // Other clusters are at other slots.
        let other = |place: Kind| [Kind::WrongGenesis.into(), place.into()];
        let ahead = Kind::Fork { ahead: 50_000_000 };
        self.add("wrong-cluster-ahead", &KNOWS, AT_ONCE, &other(ahead));
        let behind = Kind::Lag { slots: 50_000_000 };
        self.add("wrong-cluster-behind", &KNOWS, AT_ONCE, &other(behind));
        self.quick(&[
            "slot-stands-still-says-ok/paid/all",
            "50-slots-behind/own/all",
        ]);
    }

    /// Transactions that are taken, and whose answer is lost.
    fn writes(&mut self) {
        let from = self.list.len();
        let writes = [OWN[2], PAID[1]];
        self.add(
            "executed-unanswered",
            &writes,
            AT_ONCE,
            &[Kind::Swallow.into()],
        );
        self.add("executed-cut", &writes, AT_ONCE, &[Kind::Truncate.into()]);
        let stall = Kind::Stall {
            after: StallAfter::Half,
        };
        self.add("executed-stalled", &writes, LATE, &[stall.into()]);
        self.since(from, |row| row.beside.push(Kind::AlreadyProcessed.into()));
        self.quick(&["executed-unanswered/own/writes"]);
    }

    /// Scans take 9 s, on one or on all nodes; what is cheap goes on.
    fn scans(&mut self) {
        let from = self.list.len();
        let places = [
            (Scene::Own, Met::Only(SCAN)),
            (Scene::Paid, Met::Only(SCAN)),
        ];
        let slow = [Fault::slow(9_000)];
        self.add("slow-scans", &places, AT_ONCE, &slow);
        let both = self.list.len();
        self.add("slow-scans-everywhere", &places, AT_ONCE, &slow);
        self.since(from, |row| {
            row.scans = 2;
            // Cheap calls never leave it.
            row.returns = false;
            row.stays = row.scene == Scene::Own;
        });
        self.since(both, |row| row.beside.push(Fault::slow(9_000).on(SCAN)));
        self.quick(&["slow-scans/own/scans"]);
    }

    /// Many calls on the way at once, because the upstreams are far away.
    fn busy(&mut self) {
        let from = self.list.len();
        self.add("far-and-busy", &KNOWS, AT_ONCE, &[]);
        self.since(from, |row| row.stays = row.scene == Scene::Own);
        let dying = [Kind::Down.into()];
        self.add("far-and-refused", &KNOWS, LATE, &dying);
        self.add("far-and-hanging", &KNOWS, LATE, &[Kind::Hang.into()]);
        self.since(from, |row| {
            row.always.push(Fault::slow(100));
            row.rate = Some(300);
        });
        self.quick(&["far-and-busy/paid/all", "far-and-refused/paid/all"]);
    }
}

fn limited(fault: &Fault, met: Met) -> Fault {
    let fault = fault.clone();
    match met {
        Met::All => fault,
        Met::Calls => fault.sparing_probes(),
        Met::Only(method) => fault.on(method),
    }
}

fn answers(status: u16, body: &str) -> Fault {
    let body = Some(body.to_owned());
    Kind::HttpStatus { status, body }.into()
}

fn error(code: i64, message: &str) -> Fault {
    Kind::RpcError {
        code,
        message: Some(message.to_owned()),
        data: None,
    }
    .into()
}

impl Row {
    /// The names of the upstreams; the first one has the fault unless both are alike.
    pub fn upstreams(&self) -> [&'static str; 2] {
        match self.scene {
            Scene::Own => ["own", "paid"],
            Scene::Paid => ["paid-0", "paid-1"],
        }
    }

    /// Their configuration: what a user would write and nothing more.
    pub fn configuration(&self, urls: &[String]) -> Value {
        let tiers = match self.scene {
            Scene::Own => ["local", "paid"],
            Scene::Paid => ["paid", "paid"],
        };
        let each = self.upstreams().into_iter().zip(tiers).zip(urls);
        each.map(|((id, tier), url)| json!({"id": id, "tier": tier, "url": url}))
            .collect()
    }

    /// Whether calls of this method can meet the fault.
    pub fn concerns(&self, method: &str) -> bool {
        match self.met {
            Met::All | Met::Calls => true,
            Met::Only(only) => method == only,
        }
    }

    /// Whether the upstream's share is counted by calls of this method. A scan is welcome to go
    /// where it is faster; what is cheap is not to follow it.
    pub fn shares(&self, method: &str) -> bool {
        match self.met {
            Met::Only(SCAN) => method != SCAN,
            _ => self.concerns(method),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own_and_few_are_quick() {
        let rows = all();
        let names: HashSet<_> = rows.iter().map(|row| &row.name).collect();
        assert_eq!(names.len(), rows.len());
        let quick = rows.iter().filter(|row| row.quick).count();
        assert!((10..=25).contains(&quick), "{quick} quick rows");
    }

    #[test]
    fn faults_are_limited_to_what_their_row_says() {
        for row in all() {
            for fault in &row.faults {
                assert_eq!(fault.spare_probes, row.met == Met::Calls, "{}", row.name);
                let methods = match row.met {
                    Met::Only(method) => vec![method.to_owned()],
                    _ => Vec::new(),
                };
                assert_eq!(fault.methods, methods, "{}", row.name);
            }
        }
    }
}
