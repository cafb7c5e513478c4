//! The cluster's clock: which slot the cluster is at, and how far finality has come. It runs by
//! itself, and a test may change its pace, stop it, move it by hand or hold finality back. A
//! validator's view of it is in `sight`; `chain` derives blocks from slot numbers.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How far `finalized` trails `processed` on a live cluster.
pub const FINALIZED_DISTANCE: u64 = 31;

/// Slots that advance with time, shared by every validator of the cluster.
#[derive(Debug)]
pub struct Clock {
    pace: Mutex<Pace>,
    /// Notified when a test changes the clock.
    steered: watch::Sender<()>,
}

#[derive(Debug, Clone, Copy)]
struct Pace {
    /// The slot at `since`.
    slot: u64,
    since: Instant,
    slot_time: Duration,
    stopped: bool,
    /// The finalized slot while finality is held back.
    root: Option<u64>,
}

impl Pace {
    fn passed(&self) -> u64 {
        if self.stopped {
            return 0;
        }
        let passed = self.since.elapsed().as_nanos() / self.slot_time.as_nanos();
        u64::try_from(passed).unwrap_or(u64::MAX)
    }

    fn tip(&self) -> u64 {
        self.slot.saturating_add(self.passed())
    }

    /// The time until the next slot begins; far away while nothing moves.
    fn until_next(&self) -> Duration {
        if self.stopped {
            return Duration::from_hours(1);
        }
        let begun = self.slot_time.as_nanos() * (u128::from(self.passed()) + 1);
        let begun = u64::try_from(begun).map_or(Duration::MAX, Duration::from_nanos);
        begun.saturating_sub(self.since.elapsed())
    }

    /// Begins a new count at the present slot.
    fn rebase(&mut self) {
        self.slot = self.tip();
        self.since = Instant::now();
    }
}

impl Clock {
    /// Starts at `start_slot`, advancing one slot every `slot_time` (at least a millisecond).
    pub fn start(start_slot: u64, slot_time: Duration) -> Self {
        Self {
            pace: Mutex::new(Pace {
                slot: start_slot.max(FINALIZED_DISTANCE + 2),
                since: Instant::now(),
                slot_time: slot_time.max(Duration::from_millis(1)),
                stopped: false,
                root: None,
            }),
            steered: watch::Sender::default(),
        }
    }

    /// Changes when the clock is steered from now on.
    pub fn steering(&self) -> watch::Receiver<()> {
        self.steered.subscribe()
    }

    /// Waits until the cluster is beyond this slot, or its clock was steered since it was last
    /// looked at.
    pub async fn beyond(&self, slot: u64, steering: &mut watch::Receiver<()>) {
        let wait = {
            let pace = self.pace.lock();
            if pace.tip() > slot {
                return;
            }
            pace.until_next()
        };
        tokio::select! {
            // The clock outlives whoever looks at it.
            _ = steering.changed() => {}
            () = sleep(wait) => {}
        }
    }

    /// The newest slot anywhere in the cluster.
    pub fn tip(&self) -> u64 {
        self.pace.lock().tip()
    }

    /// Time between slots.
    pub fn slot_time(&self) -> Duration {
        self.pace.lock().slot_time
    }

    /// The slot that stays the finalized one while finality is held back.
    pub fn root(&self) -> Option<u64> {
        self.pace.lock().root
    }

    /// Changes the time between slots; the current slot starts again.
    pub fn set_slot_time(&self, slot_time: Duration) {
        let mut pace = self.pace.lock();
        pace.rebase();
        pace.slot_time = slot_time.max(Duration::from_millis(1));
        self.steered.send_replace(());
    }

    /// Stops the cluster at its slot, and returns the slot.
    pub fn stop(&self) -> u64 {
        let mut pace = self.pace.lock();
        pace.rebase();
        pace.stopped = true;
        self.steered.send_replace(());
        pace.slot
    }

    /// Lets a stopped cluster go on.
    pub fn resume(&self) {
        let mut pace = self.pace.lock();
        pace.rebase();
        pace.stopped = false;
        self.steered.send_replace(());
    }

    /// Moves the cluster on by hand, and gives the new slot.
    pub fn advance(&self, slots: u64) -> u64 {
        let mut pace = self.pace.lock();
        pace.rebase();
        pace.slot = pace.slot.saturating_add(slots);
        self.steered.send_replace(());
        pace.slot
    }

    /// Holds finality where it is while the cluster moves on, and gives the finalized slot.
    pub fn stall_finality(&self) -> u64 {
        let mut pace = self.pace.lock();
        let root = pace.tip().saturating_sub(FINALIZED_DISTANCE);
        *pace.root.get_or_insert(root)
    }

    /// Lets finality catch up, at once.
    pub fn resume_finality(&self) {
        self.pace.lock().root = None;
        self.steered.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SLOT: Duration = Duration::from_millis(400);

    #[tokio::test(start_paused = true)]
    async fn slots_advance_with_time() {
        let clock = Clock::start(1_000, SLOT);
        assert_eq!(clock.tip(), 1_000);
        advance(Duration::from_millis(399)).await;
        assert_eq!(clock.tip(), 1_000);
        advance(Duration::from_millis(1_201)).await;
        assert_eq!(clock.tip(), 1_004);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pace_changes_without_a_jump() {
        let clock = Clock::start(1_000, SLOT);
        advance(SLOT * 5).await;
        clock.set_slot_time(SLOT / 4);
        assert_eq!(clock.tip(), 1_005);
        advance(SLOT).await;
        assert_eq!(clock.tip(), 1_009);
        assert_eq!(clock.slot_time(), SLOT / 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_cluster_moves_only_by_hand() {
        let clock = Clock::start(1_000, SLOT);
        advance(SLOT).await;
        assert_eq!(clock.stop(), 1_001);
        advance(SLOT * 9).await;
        assert_eq!(clock.tip(), 1_001);
        assert_eq!(clock.advance(3), 1_004);
        clock.resume();
        advance(SLOT).await;
        assert_eq!(clock.tip(), 1_005);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_a_slot_is_woken_by_it_or_by_a_hand() {
        let clock = Clock::start(1_000, SLOT);
        let mut steering = clock.steering();
        clock.beyond(999, &mut steering).await;
        let before = Instant::now();
        clock.beyond(1_000, &mut steering).await;
        assert_eq!((clock.tip(), before.elapsed()), (1_001, SLOT));
        clock.stop();
        clock.beyond(1_001, &mut steering).await;
        tokio::join!(clock.beyond(1_001, &mut steering), async {
            clock.advance(1);
        });
        assert_eq!(clock.tip(), 1_002);
        assert_eq!(before.elapsed(), SLOT);
    }

    #[tokio::test(start_paused = true)]
    async fn finality_is_held_back_and_let_go() {
        let clock = Clock::start(1_000, SLOT);
        assert_eq!(clock.root(), None);
        assert_eq!(clock.stall_finality(), 969);
        advance(SLOT * 4).await;
        assert_eq!(clock.stall_finality(), 969);
        assert_eq!((clock.tip(), clock.root()), (1_004, Some(969)));
        clock.resume_finality();
        assert_eq!(clock.root(), None);
    }
}
