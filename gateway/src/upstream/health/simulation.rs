//! A small cluster in virtual time: nodes with different lags and probe schedules, slots that are
//! skipped, metered upstreams that are seen every half minute. What must hold whatever happens in
//! it: verdicts do not flap, no upstream far behind serves while a fresh one is available, and the
//! levels stay in order.

mod beginnings;
mod leaps;
mod outages;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use perijove_core::{Commitment, Slot};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::config::Tier;
use crate::upstream::health::slot_look::{SightingSource, SlotLook};
use crate::upstream::testing::{pool, settings};
use crate::upstream::{Health, Pool, Upstream};

const STEP: u64 = 50;
const LOCAL_PROBE: u64 = 400;
const METERED_PROBE: u64 = 30_000;
const AWAY_PROBE: u64 = 3_000;

/// A node of the cluster.
#[derive(Clone, Debug)]
struct Node {
    metered: bool,
    lag: u64,
    /// Its slot does not advance between these moments.
    stands: Option<(u64, u64)>,
    /// It answers nothing from this moment on.
    dies: Option<u64>,
    /// It answers nothing between these moments.
    away: Option<(u64, u64)>,
    /// From this moment on it catches up, so many slots a second faster than the others.
    catches_up: Option<(u64, u64)>,
    /// From this moment on it shows so many slots more than there are.
    leaps: Option<(u64, u64)>,
    /// From this moment on it falls behind, until it is so many slots late.
    falls_behind: Option<(u64, u64)>,
}

impl Node {
    fn is_away(&self, millis: u64) -> bool {
        self.dies.is_some_and(|dies| millis >= dies)
            || self
                .away
                .is_some_and(|(from, to)| (from..to).contains(&millis))
    }

    /// How many slots it is behind.
    fn behind(&self, millis: u64) -> u64 {
        let gained = self.catches_up.map_or(0, |(from, speed)| {
            millis.saturating_sub(from) * speed / 1000
        });
        let lost = self.falls_behind.map_or(0, |(from, most)| {
            (millis.saturating_sub(from) / 400).min(most)
        });
        self.lag.saturating_sub(gained) + lost
    }
}

fn local(lag: u64) -> Node {
    Node {
        metered: false,
        lag,
        stands: None,
        dies: None,
        away: None,
        catches_up: None,
        leaps: None,
        falls_behind: None,
    }
}

fn metered() -> Node {
    Node {
        metered: true,
        ..local(0)
    }
}

/// Where the cluster is over time.
#[derive(Clone, Debug)]
struct Chain {
    slot_time: u64,
    /// Leaders (of four slots each) that make no block, as bits, over and over.
    skipping: u64,
    halts: Option<(u64, u64)>,
}

impl Chain {
    fn usual() -> Self {
        Self {
            slot_time: 400,
            skipping: 0b1000_0000_0100,
            halts: None,
        }
    }

    fn processed(&self, millis: u64) -> u64 {
        let stood = match self.halts {
            Some((from, to)) => millis.clamp(from, to) - from,
            None => 0,
        };
        let mut slot = 100_000 + (millis - stood) / self.slot_time;
        while self.skipping & (1 << (slot / 4 % 64)) != 0 {
            slot -= 1;
        }
        slot
    }
}

struct Simulation {
    pool: Arc<Pool>,
    nodes: Vec<Node>,
    chain: Chain,
    /// Calls per second.
    traffic: u64,
    start: Instant,
    transitions: Vec<Vec<(u64, Health)>>,
}

impl Simulation {
    fn new(nodes: &[Node], chain: Chain, traffic: u64) -> Self {
        let settings = nodes.iter().enumerate().map(|(index, node)| {
            let mut settings = settings(&index.to_string(), "http://127.0.0.1:1/");
            settings.metered = node.metered;
            if node.metered {
                settings.tier = Tier::Paid;
            }
            settings
        });
        Self {
            pool: pool(settings.collect()),
            nodes: nodes.to_vec(),
            chain,
            traffic,
            start: Instant::now(),
            transitions: vec![Vec::new(); nodes.len()],
        }
    }

    fn upstream(&self, index: usize) -> &Arc<Upstream> {
        self.pool.upstream(&index.to_string()).unwrap()
    }

    fn slots(&self, index: usize, millis: u64) -> [u64; 3] {
        let node = &self.nodes[index];
        let millis = match node.stands {
            Some((from, to)) if (from..to).contains(&millis) => from,
            _ => millis,
        };
        let leapt = node
            .leaps
            .filter(|(from, _)| millis >= *from)
            .map_or(0, |(_, ahead)| ahead);
        let processed = self.chain.processed(millis) - node.behind(millis) + leapt;
        [processed, processed - 1 - processed % 2, processed - 32]
    }

    /// Who would be asked: the best tier of those that are in service, else the least bad.
    fn serving(&self) -> usize {
        (0..self.nodes.len())
            .min_by_key(|index| {
                let upstream = self.upstream(*index);
                (upstream.health(), upstream.tier())
            })
            .unwrap()
    }

    fn run(&mut self, from: u64, to: u64, mut check: impl FnMut(&Self, u64)) {
        for millis in (from..to).step_by(usize::try_from(STEP).unwrap()) {
            for index in 0..self.nodes.len() {
                self.probe(index, millis);
            }
            if self.traffic > 0 && millis % (1000 / self.traffic) < STEP {
                self.call(millis);
            }
            for index in 0..self.nodes.len() {
                let health = self.upstream(index).health();
                let known = &mut self.transitions[index];
                if known.last().map(|(_, before)| *before) != Some(health) {
                    known.push((millis, health));
                }
            }
            self.check_levels(millis);
            check(self, millis);
        }
    }

    fn probe(&self, index: usize, millis: u64) {
        let node = &self.nodes[index];
        let every = if node.metered {
            METERED_PROBE
        } else {
            LOCAL_PROBE
        };
        // Not all at the same moment.
        let shifted = millis + u64::try_from(index).unwrap() * 150;
        let member = &self.upstream(index).member;
        let due = millis == 0 || shifted % every < STEP;
        // Out of service it is looked at every few seconds.
        let away = !member.live.health().serves() && shifted % AWAY_PROBE < STEP;
        let called = member.live.look_soon.notified().now_or_never().is_some() || away;
        let called = node.metered && called && !due;
        if !due && !called {
            return;
        }
        let limits = &member.policy.health;
        let now = self.at(millis);
        if node.is_away(millis) {
            member
                .live
                .track(limits, now, |tracker| tracker.failed(limits, "dead"));
            return;
        }
        let round = shifted / every;
        let shown = |level: Commitment| match (node.metered, level) {
            (false, _) => true,
            (true, Commitment::Confirmed) => called || round.is_multiple_of(2),
            (true, Commitment::Finalized) => !called && !round.is_multiple_of(2),
            (true, Commitment::Processed) => false,
        };
        let slots = self.slots(index, millis);
        let look = SlotLook {
            source: SightingSource::Probe,
            slots: Commitment::ALL.map(|level| shown(level).then(|| Slot(slots[level.index()]))),
            started: now,
            at: now,
            vouched: false,
            outrun: false,
        };
        member.judge(&look, |tracker| tracker.succeeded(limits));
    }

    /// Reads at every commitment by turns; now and then an answer comes late.
    fn call(&self, millis: u64) {
        let index = self.serving();
        if self.nodes[index].is_away(millis) {
            return;
        }
        let level = Commitment::ALL[usize::try_from(millis / STEP % 3).unwrap()];
        let late = if millis % 700 < STEP { 800 } else { 0 };
        let slot = self.slots(index, millis.saturating_sub(late))[level.index()];
        let latency = Duration::from_millis(late + 2);
        let member = &self.upstream(index).member;
        member.heard_slot(level, Slot(slot), latency, self.at(millis));
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn check_levels(&self, millis: u64) {
        let now = self.at(millis);
        let tip = Commitment::ALL.map(|level| self.pool.cluster().tip(level, now));
        assert!(tip.is_sorted_by(|a, b| a >= b), "{tip:?} at {millis} ms");
        for upstream in self.pool.upstreams() {
            let slots = Commitment::ALL.map(|level| upstream.state().slot(level));
            assert!(
                slots.is_sorted_by(|a, b| a >= b),
                "{slots:?} at {millis} ms"
            );
        }
    }

    fn health(&self, index: usize) -> Health {
        self.upstream(index).health()
    }

    fn tip(&self, millis: u64) -> u64 {
        let tip = self
            .pool
            .cluster()
            .tip(Commitment::Processed, self.at(millis));
        tip.unwrap().0
    }
}

fn chains() -> impl Strategy<Value = Chain> {
    (360_u64..1_000, any::<u64>(), any::<u64>(), any::<u64>()).prop_map(
        |(slot_time, one, two, three)| Chain {
            slot_time,
            // One leader in eight, and never two in a row: that would be four seconds and more.
            skipping: (one & two & three) & !((one & two & three) << 1),
            halts: None,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nobody_far_behind_serves_while_a_fresh_one_is_there(
        chain in chains(),
        lags in prop::collection::vec(prop_oneof![0_u64..4, 30_u64..300, 1_200_u64..5_000, 0_u64..4], 1..4),
        traffic in prop_oneof![Just(0_u64), Just(2), Just(20)],
    ) {
        // Late ones that agree with each other would be believed rather than one that is ahead.
        let apart = |(index, lag): (usize, &u64)| {
            local(match *lag {
                0..16 => *lag,
                16..1000 => *lag + index as u64 * 300,
                _ => 1_200 + index as u64 * 1_500 + lag % 1_000,
            })
        };
        let nodes: Vec<_> = lags.iter().enumerate().map(apart).chain([metered()]).collect();
        let mut simulation = Simulation::new(&nodes, chain, traffic);
        simulation.run(0, 200_000, |simulation, millis| {
            let serving = simulation.serving();
            let behind = simulation.nodes[serving].lag;
            assert!(millis < 2_000 || behind <= 16, "{serving} serves, {behind} behind, at {millis} ms");
        });
        for transitions in &simulation.transitions {
            prop_assert!(transitions.len() <= 4, "{:?}", transitions);
        }
    }
}
