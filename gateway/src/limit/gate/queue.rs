//! The calls that wait for a place, in the order in which they get one.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::permit_request::{CLASSES, PermitRequest};
use crate::solana::Priority;

/// One call that waits for a permit `P`.
#[derive(Debug)]
pub(super) struct Waiter<P> {
    pub(super) ask: PermitRequest,
    /// From when on it gets every eighth place.
    pub(super) aged_at: Instant,
    pub(super) grant: oneshot::Sender<P>,
}

/// Whether a place is free for a light and for a heavy call, by class.
pub(super) type FreePermits = [[bool; 2]; CLASSES.len()];

/// Numbers that increase with each permit: the last of each class.
pub(super) type LastPermits = [u64; CLASSES.len()];

/// All waiting calls.
#[derive(Debug)]
pub(super) struct PriorityQueue<P> {
    /// Light and heavy calls separately: light ones overtake heavy ones that get no place.
    lines: [[ClassQueue<P>; 2]; CLASSES.len()],
    waiting: usize,
    next_number: u64,
}

/// The calls of one class, by consumer.
#[derive(Debug)]
struct ClassQueue<P> {
    /// The consumer whose turn it is, then the others.
    turns: VecDeque<u64>,
    /// Turns in a row of the first.
    had: u32,
    waiters: BTreeMap<u64, VecDeque<(u64, Waiter<P>)>>,
}

impl<P> Default for PriorityQueue<P> {
    fn default() -> Self {
        Self {
            lines: Default::default(),
            waiting: 0,
            next_number: 0,
        }
    }
}

impl<P> Default for ClassQueue<P> {
    fn default() -> Self {
        Self {
            turns: VecDeque::new(),
            had: 0,
            waiters: BTreeMap::new(),
        }
    }
}

impl<P> PriorityQueue<P> {
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Number of waiting calls by class.
    pub(super) fn by_class(&self) -> [usize; CLASSES.len()] {
        let lengths =
            |line: &ClassQueue<P>| line.waiters.values().map(VecDeque::len).sum::<usize>();
        let of_class = |[light, heavy]: &[ClassQueue<P>; 2]| lengths(light) + lengths(heavy);
        self.lines.each_ref().map(of_class)
    }

    /// Adds a call; returns a number that identifies it.
    pub(super) fn push(&mut self, waiter: Waiter<P>) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.waiting += 1;
        if let Some(line) = self.line(waiter.ask) {
            line.push(number, waiter);
        }
        number
    }

    /// Removes the next call for which a place is free. With `aged` it is one that is aged by now, if
    /// there is any: the first of the class whose last permit is longest ago.
    pub(super) fn next(
        &mut self,
        free: &FreePermits,
        aged: Option<(Instant, &LastPermits)>,
    ) -> Option<Waiter<P>> {
        let lines = self.lines.iter_mut().flatten();
        let lines = lines.zip(free.iter().flatten());
        let open = lines.filter_map(|(line, free)| free.then_some(line));
        let mut open: Vec<&mut ClassQueue<P>> =
            open.filter(|line| !line.turns.is_empty()).collect();
        let oldest = aged.and_then(|(now, last)| {
            let oldest = open.iter().enumerate().filter_map(|(at, line)| {
                let (consumer, aged_at) = line.oldest()?;
                let last = last.get(line.priority()? as usize)?;
                (aged_at <= now).then_some(((last, aged_at), at, consumer))
            });
            oldest.min()
        });
        let waiter = if let Some((_, at, consumer)) = oldest {
            open.get_mut(at)?.pop(consumer)
        } else {
            // Light calls come before the heavy ones of their class.
            let highest = |(at, line): &(usize, &&mut ClassQueue<P>)| {
                (line.priority(), std::cmp::Reverse(*at))
            };
            let (at, _) = open.iter().enumerate().max_by_key(highest)?;
            open.get_mut(at)?.pop_turn()
        }?;
        self.waiting -= 1;
        Some(waiter)
    }

    /// Whether one more call may wait. If too many do already, the latest call of a class below is
    /// refused for it, of the consumer with most calls there; or else, of its own class, that of a
    /// consumer with more calls by its weight. `kept` calls of each class may wait however many there
    /// are of higher ones, and are not refused for them.
    pub(super) fn make_room(&mut self, ask: PermitRequest, most: usize, kept: usize) -> bool {
        if self.waiting < most {
            return true;
        }
        let class = ask.priority as usize;
        let mut waiting = self.by_class();
        if waiting.get(class).is_some_and(|own| *own < kept) {
            return true;
        }
        for lower in waiting.iter_mut().take(class) {
            *lower = lower.saturating_sub(kept);
        }
        if waiting.iter().sum::<usize>() < most {
            return true;
        }
        let lowest = waiting.iter().take(class).position(|lower| *lower > 0);
        let refused = match lowest {
            Some(lower) => {
                let lines = self.lines.get_mut(lower).into_iter().flatten();
                lines.into_iter().find_map(ClassQueue::<P>::pop_latest)
            }
            None => self.pop_above_share(ask),
        };
        self.waiting -= usize::from(refused.is_some());
        refused.is_some()
    }

    /// Removes the latest call of the consumer of this class that has most, if those are more by its
    /// weight than the asking one would have: so that nobody can fill a class.
    fn pop_above_share(&mut self, ask: PermitRequest) -> Option<Waiter<P>> {
        let lines = self.lines.get_mut(ask.priority as usize)?;
        let own: usize = lines.iter().map(|line| line.length_of(ask.consumer)).sum();
        let greediest = lines.iter_mut().filter_map(|line| {
            let (consumer, length, weight) = line.greediest()?;
            Some((line, consumer, length, weight))
        });
        let (line, consumer, length, weight) =
            greediest.max_by(|one, other| by_weight((one.2, one.3), (other.2, other.3)))?;
        let less = by_weight((own + 1, ask.weight), (length, weight)).is_lt();
        less.then(|| line.pop_latest_of(consumer))?
    }

    /// Removes a call that no longer waits, if it is there.
    pub(super) fn leave(&mut self, ask: PermitRequest, number: u64) {
        let line = self.line(ask);
        if line.is_some_and(|line| line.remove(ask.consumer, number)) {
            self.waiting -= 1;
        }
    }

    /// There is a queue for every class.
    fn line(&mut self, ask: PermitRequest) -> Option<&mut ClassQueue<P>> {
        let [light, heavy] = self.lines.get_mut(ask.priority as usize)?;
        Some(if ask.heavy { heavy } else { light })
    }
}

impl<P> ClassQueue<P> {
    fn push(&mut self, number: u64, waiter: Waiter<P>) {
        let consumer = waiter.ask.consumer;
        let own = self.waiters.entry(consumer).or_default();
        if own.is_empty() {
            self.turns.push_back(consumer);
        }
        own.push_back((number, waiter));
    }

    fn priority(&self) -> Option<Priority> {
        let consumer = self.turns.front()?;
        let (_, waiter) = self.waiters.get(consumer)?.front()?;
        Some(waiter.ask.priority)
    }

    /// The consumer whose first call is aged first, and when.
    fn oldest(&self) -> Option<(u64, Instant)> {
        let firsts = self.waiters.iter();
        let firsts = firsts.filter_map(|(consumer, own)| Some((own.front()?.1.aged_at, *consumer)));
        firsts.min().map(|(aged_at, consumer)| (consumer, aged_at))
    }

    /// The next call of the consumer whose turn it is, and still is while its weight gives it more.
    fn pop_turn(&mut self) -> Option<Waiter<P>> {
        let consumer = *self.turns.front()?;
        let (_, first) = self.waiters.get(&consumer)?.front()?;
        self.had += 1;
        if self.had >= first.ask.weight {
            return self.pop(consumer);
        }
        let (_, waiter) = self.waiters.get_mut(&consumer)?.pop_front()?;
        self.tidy(consumer);
        Some(waiter)
    }

    /// The next call of this consumer, whose turn comes again after all others.
    fn pop(&mut self, consumer: u64) -> Option<Waiter<P>> {
        let (_, waiter) = self.waiters.get_mut(&consumer)?.pop_front()?;
        if self.turns.front() == Some(&consumer) {
            self.had = 0;
        }
        self.turns.retain(|other| *other != consumer);
        self.tidy(consumer);
        if self.waiters.contains_key(&consumer) {
            self.turns.push_back(consumer);
        }
        Some(waiter)
    }

    fn length_of(&self, consumer: u64) -> usize {
        self.waiters.get(&consumer).map_or(0, VecDeque::len)
    }

    /// The consumer with most calls by its weight, how many those are, and its weight.
    fn greediest(&self) -> Option<(u64, usize, u32)> {
        let all = self.waiters.iter().filter_map(|(consumer, own)| {
            let (_, waiter) = own.front()?;
            Some((*consumer, own.len(), waiter.ask.weight))
        });
        all.max_by(|one, other| by_weight((one.1, one.2), (other.1, other.2)))
    }

    fn pop_latest(&mut self) -> Option<Waiter<P>> {
        let (consumer, ..) = self.greediest()?;
        self.pop_latest_of(consumer)
    }

    fn pop_latest_of(&mut self, consumer: u64) -> Option<Waiter<P>> {
        let (_, waiter) = self.waiters.get_mut(&consumer)?.pop_back()?;
        self.tidy(consumer);
        Some(waiter)
    }

    fn remove(&mut self, consumer: u64, number: u64) -> bool {
        let Some(own) = self.waiters.get_mut(&consumer) else {
            return false;
        };
        let Ok(at) = own.binary_search_by_key(&number, |(number, _)| *number) else {
            return false;
        };
        let removed = own.remove(at).is_some();
        self.tidy(consumer);
        removed
    }

    /// Removes a consumer without waiting calls.
    fn tidy(&mut self, consumer: u64) {
        if self.waiters.get(&consumer).is_some_and(VecDeque::is_empty) {
            self.waiters.remove(&consumer);
            if self.turns.front() == Some(&consumer) {
                self.had = 0;
            }
            self.turns.retain(|other| *other != consumer);
        }
    }
}

/// Compares calls by the weight of their consumers.
fn by_weight((one, weight): (usize, u32), (other, other_weight): (usize, u32)) -> Ordering {
    let product = |calls: usize, weight: u32| calls.saturating_mul(weight.max(1) as usize);
    product(one, other_weight).cmp(&product(other, weight))
}
