//! The limit against a node in simulated time: workers that take calls in the order in which they
//! arrive, behind a gate of as many places as the limit has.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::{ConcurrencyLimit, LoadSample, PlacesInUse};
use crate::solana::Method;

/// What one call costs the node, and how it is called.
pub(super) type Kind = (Method, Duration);

/// How service times vary.
#[derive(Clone, Copy, Debug)]
pub(super) enum Noise {
    None,
    /// Exponentially distributed.
    Exponential,
}

pub(super) struct Node {
    /// Calls that it executes at once.
    pub(super) workers: usize,
    pub(super) noise: Noise,
    /// Calls beyond those in work and these are refused.
    pub(super) queue: usize,
    /// Added to each call, and not by the node's load.
    pub(super) distance: Duration,
}

impl Node {
    pub(super) fn of(workers: usize) -> Self {
        Self {
            workers,
            noise: Noise::None,
            queue: usize::MAX,
            distance: Duration::ZERO,
        }
    }
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub(super) enum Demand {
    /// So many clients, each of which calls again when it is answered.
    Clients(usize),
    /// So many calls per second, at random times.
    PerSecond(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival,
    /// A worker has finished the call with this number.
    Finished(usize),
    /// The gateway has the answer.
    Answered(usize),
    Refused,
}

#[derive(Clone, Copy)]
struct Call {
    kind: Kind,
    sent: Duration,
}

/// The whole model.
pub(super) struct Simulation {
    pub(super) node: Node,
    pub(super) demand: Demand,
    pub(super) kinds: Vec<Kind>,
    pub(super) limit: ConcurrencyLimit,
    /// Answered calls.
    pub(super) served: u64,
    /// The limits of the last run.
    pub(super) lowest: usize,
    pub(super) highest: usize,
    start: Instant,
    now: Duration,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    number: u64,
    calls: Vec<Call>,
    /// Waiting in the gateway, and in the node.
    waiting: usize,
    queued: VecDeque<usize>,
    working: usize,
    in_flight: usize,
    random: Rng,
}

impl Simulation {
    pub(super) fn new(node: Node, demand: Demand, kinds: &[Kind], ceiling: usize) -> Self {
        let start = Instant::now();
        let mut simulation = Self {
            node,
            demand: Demand::Clients(0),
            kinds: kinds.to_vec(),
            limit: ConcurrencyLimit::new(ceiling, start),
            served: 0,
            lowest: usize::MAX,
            highest: 0,
            start,
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            number: 0,
            calls: Vec::new(),
            waiting: 0,
            queued: VecDeque::new(),
            working: 0,
            in_flight: 0,
            random: Rng::with_seed(7),
        };
        simulation.demand(demand);
        simulation
    }

    /// From now on this is asked. Clients only become more.
    pub(super) fn demand(&mut self, demand: Demand) {
        let before = match self.demand {
            Demand::Clients(clients) => clients,
            Demand::PerSecond(_) => 0,
        };
        self.demand = demand;
        match demand {
            Demand::Clients(clients) => {
                for _ in before..clients {
                    self.after(Duration::ZERO, Event::Arrival);
                }
            }
            Demand::PerSecond(_) => self.after(Duration::ZERO, Event::Arrival),
        }
    }

    /// Goes on for this long, and returns calls served per second.
    pub(super) fn run(&mut self, time: Duration) -> f64 {
        let (until, before) = (self.now + time, self.served);
        (self.lowest, self.highest) = (usize::MAX, 0);
        while let Some(Reverse((at, ..))) = self.events.peek()
            && *at <= until
        {
            let Some(Reverse((at, _, event))) = self.events.pop() else {
                break;
            };
            self.now = at;
            self.handle(event);
            self.lowest = self.lowest.min(self.limit.limit());
            self.highest = self.highest.max(self.limit.limit());
        }
        self.now = until;
        #[expect(clippy::cast_precision_loss, reason = "few calls")]
        let served = (self.served - before) as f64;
        served / time.as_secs_f64()
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrival => {
                self.waiting += 1;
                if let Demand::PerSecond(rate) = self.demand {
                    let pause = Duration::from_secs_f64(self.exponential() / rate);
                    self.after(pause, Event::Arrival);
                }
            }
            Event::Finished(call) => {
                self.working -= 1;
                self.after(self.node.distance, Event::Answered(call));
                self.work();
            }
            Event::Answered(call) => {
                let Call { kind, sent } = self.calls[call];
                self.served += 1;
                self.ended(LoadSample::Answered {
                    method: kind.0,
                    latency: self.now.saturating_sub(sent),
                });
            }
            Event::Refused => self.ended(LoadSample::Overloaded),
        }
        self.admit();
    }

    fn ended(&mut self, sample: LoadSample) {
        let places = PlacesInUse {
            used: self.in_flight,
            waiting: self.waiting > 0,
        };
        self.in_flight -= 1;
        self.limit.observe(sample, places, self.start + self.now);
        if matches!(self.demand, Demand::Clients(_)) {
            self.after(Duration::ZERO, Event::Arrival);
        }
    }

    fn admit(&mut self) {
        while self.waiting > 0 && self.in_flight < self.limit.limit() {
            self.waiting -= 1;
            self.in_flight += 1;
            if self.queued.len() >= self.node.queue {
                self.after(
                    Duration::from_millis(1) + self.node.distance,
                    Event::Refused,
                );
                continue;
            }
            let kind = self.kinds[self.random.usize(0..self.kinds.len())];
            self.calls.push(Call {
                kind,
                sent: self.now,
            });
            self.queued.push_back(self.calls.len() - 1);
            self.work();
        }
    }

    fn work(&mut self) {
        while self.working < self.node.workers
            && let Some(call) = self.queued.pop_front()
        {
            self.working += 1;
            let usual = self.calls[call].kind.1;
            let takes = match self.node.noise {
                Noise::None => usual,
                Noise::Exponential => usual.mul_f64(self.exponential()),
            };
            self.after(takes, Event::Finished(call));
        }
    }

    fn exponential(&mut self) -> f64 {
        -(1.0 - self.random.f64()).ln()
    }

    fn after(&mut self, time: Duration, event: Event) {
        self.number += 1;
        self.events
            .push(Reverse((self.now + time, self.number, event)));
    }
}
