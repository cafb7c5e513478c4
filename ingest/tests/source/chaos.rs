//! Everything at once, in an order that chance gives: members that join, leave and break off, sinks
//! and brokers that are away. What was written is stored once.

use std::time::Duration;

use perijove_ingest::config::{Assignment, Buffer, Kafka};
use tokio::time::sleep;

use crate::member::{Member, eventually};
use crate::mock::Mock;
use crate::store::Store;

const PARTITIONS: i32 = 5;
const DEEDS: usize = 40;
/// Members at the same time.
const MOST: usize = 3;

struct Chaos {
    mock: Mock,
    store: Store,
    settings: Kafka,
    members: Vec<Member>,
    random: fastrand::Rng,
    written: Vec<i64>,
}

impl Chaos {
    async fn write(&mut self) {
        for at in 0..PARTITIONS {
            let count = self.random.i64(0..20);
            let place = usize::try_from(at).unwrap();
            let next = self.written[place];
            self.mock.produce(at, next..next + count).await;
            self.written[place] = next + count;
        }
    }

    fn join(&mut self) {
        let grace = Duration::from_millis(self.random.u64(1..2000));
        let buffer = Buffer {
            messages: self.random.usize(2..40),
            ..Buffer::default()
        };
        let member = Member::join_with(&self.settings, &self.store, &buffer, grace);
        self.members.push(member);
    }

    fn some_member(&mut self) -> Option<usize> {
        (!self.members.is_empty()).then(|| self.random.usize(..self.members.len()))
    }

    async fn perform(&mut self) -> String {
        let Some(at) = self.some_member() else {
            self.join();
            return "join".to_owned();
        };
        match self.random.u8(0..10) {
            0 | 1 if self.members.len() < MOST => {
                self.join();
                "join".to_owned()
            }
            2 => {
                let member = self.members.swap_remove(at);
                member.store(true);
                member.stop().await.unwrap();
                format!("stop {at}")
            }
            3 => {
                self.members.swap_remove(at).abort().await;
                format!("abort {at}")
            }
            4 | 5 => {
                let stores = self.random.bool();
                self.members[at].store(stores);
                format!("store {at} {stores}")
            }
            6 => {
                let held = self.random.bool();
                self.members[at].control.hold(held);
                format!("hold {at} {held}")
            }
            7 => {
                let broker = self.random.i32(1..=3);
                if self.random.bool() {
                    self.mock.cluster.broker_down(broker).unwrap();
                    format!("down {broker}")
                } else {
                    self.mock.cluster.broker_up(broker).unwrap();
                    format!("up {broker}")
                }
            }
            _ => "nothing".to_owned(),
        }
    }

    fn heal(&mut self) {
        for broker in 1..=3 {
            self.mock.cluster.broker_up(broker).unwrap();
        }
        for member in &self.members {
            member.store(true);
            member.control.hold(false);
        }
    }
}

async fn chaos(assignment: Assignment, seed: u64) {
    eprintln!("PERIJOVE_SEED={seed} does the same again, as far as machines do");
    let mock = Mock::start(PARTITIONS);
    let settings = Kafka {
        assignment,
        ..mock.settings()
    };
    let mut chaos = Chaos {
        mock,
        store: Store::default(),
        settings,
        members: Vec::new(),
        random: fastrand::Rng::with_seed(seed),
        written: vec![0; usize::try_from(PARTITIONS).unwrap()],
    };
    for number in 0..DEEDS {
        let deed = chaos.perform().await;
        let moment = Duration::from_millis(chaos.random.u64(0..600));
        eprintln!("{number}: {deed}, then {moment:?}");
        // What is tested is what happens at any moment.
        sleep(moment).await;
        if number % 10 == 9 {
            chaos.heal();
            chaos.write().await;
        }
    }
    chaos.heal();
    if chaos.members.is_empty() {
        chaos.join();
    }
    let all = usize::try_from(chaos.written.iter().sum::<i64>()).unwrap();
    eventually("all to be stored", || chaos.store.len() >= all).await;
    for member in chaos.members.drain(..) {
        member.stop().await.unwrap();
    }
    for (at, written) in (0..PARTITIONS).zip(&chaos.written) {
        let offsets = chaos.store.offsets(&crate::mock::partition(at));
        assert_eq!(offsets, (0..*written).collect::<Vec<_>>(), "partition {at}");
    }
}

#[tokio::test]
async fn whatever_happens_each_record_is_stored_once_cooperative_sticky() {
    chaos(Assignment::CooperativeSticky, seed()).await;
}

#[tokio::test]
async fn whatever_happens_each_record_is_stored_once_round_robin() {
    chaos(Assignment::RoundRobin, seed()).await;
}

/// Another one each time; to see one again, set it.
fn seed() -> u64 {
    let chosen = std::env::var("PERIJOVE_SEED").ok();
    chosen.map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap())
}
