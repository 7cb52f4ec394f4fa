//! [`SlowStart`]: how many attempts of a lane run at once after a limit or a long failure. One at first, one more with
//! each success, half as many after the next limit.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::model::{HookId, TenantId};

/// The number of lanes beyond which those without attempts are forgotten.
const MAX_IDLE: usize = 1024;

/// The name of a lane.
pub(super) type LaneKey = (TenantId, HookId);

/// The lanes whose attempts are held back, with the claims that wait for their turn. A dispatcher has its own; other
/// dispatchers of the same store know nothing of it.
#[derive(Debug)]
pub(super) struct SlowStart<T> {
    lanes: HashMap<LaneKey, Window<T>>,
    /// The number of rounds so far, of all lanes.
    rounds: u64,
    /// The number of attempts at once at which a lane is held back no longer.
    full: usize,
}

/// The number of attempts that a lane may have at once.
#[derive(Debug)]
struct Window<T> {
    size: usize,
    /// The present round, which began with the last limit. Attempts of earlier rounds say nothing new.
    round: u64,
    /// The round in which the lane was held back.
    first_round: u64,
    /// The number of attempts since then that run.
    running: usize,
    /// The number of attempts since then that succeeded.
    successes: Arc<AtomicU32>,
    waiting: VecDeque<T>,
}

/// The start of an attempt of a held back lane.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    round: u64,
    successes: Arc<AtomicU32>,
    /// The number of successes at the start.
    before: u32,
}

/// The result of an attempt, as far as it widens or narrows its lane.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// The receiver asked for fewer requests.
    Limit,
    /// Anything else that failed, or no attempt.
    Other,
    /// It was delivered.
    Success,
}

impl Turn {
    /// Tells the attempts of the lane that are under way that this one has succeeded.
    pub(super) fn succeeded(&self) {
        self.successes.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns whether another attempt of the lane has succeeded since this one was started.
    pub(super) fn has_progress(&self) -> bool {
        self.successes.load(Ordering::SeqCst) != self.before
    }
}

impl<T> SlowStart<T> {
    pub(super) fn new(full: usize) -> Self {
        Self { lanes: HashMap::new(), rounds: 0, full }
    }

    /// Returns the claim if it may start now, and its turn if its lane is held back. Otherwise keeps it. A lane that
    /// `needs_care` is held back from now on.
    pub(super) fn admit(&mut self, lane: &LaneKey, needs_care: bool, claim: T) -> Option<(T, Option<Turn>)> {
        if needs_care && !self.lanes.contains_key(lane) {
            self.hold_back(lane.clone());
        }
        let Some(window) = self.lanes.get_mut(lane) else { return Some((claim, None)) };
        if window.running < window.size {
            return Some((claim, Some(window.start())));
        }
        window.waiting.push_back(claim);
        None
    }

    /// Counts the end of an attempt, and returns the claims of its lane that may start now.
    pub(super) fn end(&mut self, lane: &LaneKey, turn: Option<Turn>, answer: Answer) -> Vec<(T, Turn)> {
        if answer == Answer::Limit && !self.lanes.contains_key(lane) {
            self.hold_back(lane.clone());
        }
        let Some(window) = self.lanes.get_mut(lane) else { return Vec::new() };
        if let Some(turn) = turn {
            self.rounds += 1;
            window.end(turn.round, self.rounds, answer);
        }
        let started = window.start_waiting();
        if window.size >= self.full && window.waiting.is_empty() {
            self.lanes.remove(lane);
        }
        started
    }

    /// Returns the waiting claims of a lane.
    pub(super) fn waiting_of(&mut self, lane: &LaneKey) -> impl Iterator<Item = &mut T> {
        self.lanes.get_mut(lane).into_iter().flat_map(|window| &mut window.waiting)
    }

    /// Takes the waiting claims of a lane.
    pub(super) fn take_waiting(&mut self, lane: &LaneKey) -> VecDeque<T> {
        self.lanes.get_mut(lane).map(|window| std::mem::take(&mut window.waiting)).unwrap_or_default()
    }

    /// Returns the number of all waiting claims.
    pub(super) fn waiting(&self) -> usize {
        self.lanes.values().map(|window| window.waiting.len()).sum()
    }

    fn hold_back(&mut self, lane: LaneKey) {
        if self.lanes.len() >= MAX_IDLE {
            self.lanes.retain(|_, window| window.running > 0 || !window.waiting.is_empty());
        }
        self.rounds += 1;
        let round = self.rounds;
        self.lanes.insert(lane, Window::new(round));
    }
}

impl<T> Window<T> {
    fn new(round: u64) -> Self {
        let (successes, waiting) = (Arc::default(), VecDeque::new());
        Self { size: 1, round, first_round: round, running: 0, successes, waiting }
    }

    fn start(&mut self) -> Turn {
        self.running += 1;
        let successes = Arc::clone(&self.successes);
        let before = successes.load(Ordering::SeqCst);
        Turn { round: self.round, successes, before }
    }

    /// Counts the end of an attempt of `round`. A limit begins the round `next`.
    fn end(&mut self, round: u64, next: u64, answer: Answer) {
        if round < self.first_round {
            // It ran before the lane was held back anew.
            return;
        }
        self.running = self.running.saturating_sub(1);
        match answer {
            Answer::Limit if round == self.round => {
                self.size = (self.size / 2).max(1);
                self.round = next;
            }
            Answer::Success if round == self.round => self.size += 1,
            Answer::Limit | Answer::Other | Answer::Success => {}
        }
    }

    fn start_waiting(&mut self) -> Vec<(T, Turn)> {
        let room = self.size.saturating_sub(self.running).min(self.waiting.len());
        let claims: Vec<T> = self.waiting.drain(..room).collect();
        claims.into_iter().map(|claim| (claim, self.start())).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lane(hook: i64) -> LaneKey {
        (TenantId::new("acme").expect("valid"), HookId::new(hook))
    }

    /// Admits so many claims, and returns the turns of those that may start.
    fn admit(pace: &mut SlowStart<u32>, needs_care: bool, claims: u32) -> Vec<Option<Turn>> {
        (0..claims)
            .filter_map(|claim| pace.admit(&lane(1), needs_care, claim))
            .map(|(_, turn)| turn)
            .collect()
    }

    fn unpaced(turns: &[Option<Turn>]) -> usize {
        turns.iter().filter(|turn| turn.is_none()).count()
    }

    #[test]
    fn an_attempt_knows_of_a_success_beside_it_and_not_of_one_before() {
        let mut pace = SlowStart::new(16);
        let first = admit(&mut pace, true, 3).remove(0).expect("held back");
        first.succeeded();
        let beside: Vec<_> = pace.end(&lane(1), Some(first), Answer::Success);
        let [(_, second), (_, third)] = beside.as_slice() else { panic!("two may start: {beside:?}") };
        assert!(!second.has_progress() && !third.has_progress(), "it came before they were started");
        second.succeeded();
        assert!(third.has_progress());
    }

    #[test]
    fn a_lane_is_not_held_back_until_it_is_limited() {
        let mut pace = SlowStart::new(16);
        assert_eq!(unpaced(&admit(&mut pace, false, 16)), 16);
        for _ in 0..16 {
            assert!(pace.end(&lane(1), None, Answer::Limit).is_empty());
        }
        assert_eq!(admit(&mut pace, false, 16).len(), 1, "it starts again with one");
        assert_eq!((pace.waiting(), pace.take_waiting(&lane(1)).len(), pace.waiting()), (15, 15, 0));
    }

    #[test]
    fn each_success_adds_one_and_a_limit_halves_once_for_all_that_ran_together() {
        let mut pace = SlowStart::new(16);
        let mut running: VecDeque<_> = admit(&mut pace, true, 100).into();
        while running.len() < 8 {
            let turn = running.pop_front().expect("one runs");
            running.extend(pace.end(&lane(1), turn, Answer::Success).into_iter().map(|(_, turn)| Some(turn)));
        }
        pace.take_waiting(&lane(1));
        for turn in running.drain(..) {
            assert!(pace.end(&lane(1), turn, Answer::Limit).is_empty());
        }
        assert_eq!(admit(&mut pace, false, 100).len(), 4);
    }

    #[test]
    fn a_lane_that_is_full_is_held_back_no_longer() {
        let mut pace = SlowStart::new(2);
        let turn = admit(&mut pace, true, 2).remove(0);
        assert_eq!(pace.end(&lane(1), turn, Answer::Success).len(), 1);
        assert!(pace.lanes.is_empty());
        assert_eq!(unpaced(&admit(&mut pace, false, 9)), 9);
    }

    #[test]
    fn attempts_of_before_say_nothing_of_a_lane_that_is_held_back_anew() {
        let mut pace = SlowStart::new(3);
        let mut turns = admit(&mut pace, true, 9);
        for _ in 0..2 {
            let turn = turns.remove(0);
            turns.extend(pace.end(&lane(1), turn, Answer::Success).into_iter().map(|(_, turn)| Some(turn)));
        }
        pace.take_waiting(&lane(1));
        let turn = turns.remove(0);
        pace.end(&lane(1), turn, Answer::Success);
        assert!(pace.lanes.is_empty() && !turns.is_empty(), "it is full, and some still run");
        pace.end(&lane(1), None, Answer::Limit);
        assert_eq!(admit(&mut pace, false, 9).len(), 1);
        for turn in turns {
            assert!(pace.end(&lane(1), turn, Answer::Success).is_empty(), "one runs already");
        }
    }

    #[test]
    fn lanes_without_attempts_are_forgotten_in_the_end() {
        let mut pace: SlowStart<u32> = SlowStart::new(16);
        assert!(pace.admit(&lane(-1), true, 0).is_some());
        for hook in 0..5_000 {
            pace.end(&lane(hook), None, Answer::Limit);
        }
        assert!(pace.lanes.len() <= MAX_IDLE && pace.lanes.contains_key(&lane(-1)));
    }

    proptest! {
        #[test]
        fn no_claim_is_lost_and_no_lane_stands_still(
            acts in proptest::collection::vec((any::<bool>(), 0_u8..3), 0..200),
        ) {
            let mut pace = SlowStart::new(4);
            let mut running = Vec::new();
            let mut admitted = 0_usize;
            let mut ended = 0;
            for (comes, answer) in acts {
                if comes || running.is_empty() {
                    admitted += 1;
                    running.extend(pace.admit(&lane(1), answer == 0, ()).map(|(_, turn)| turn));
                } else {
                    let answer = [Answer::Limit, Answer::Other, Answer::Success][usize::from(answer)];
                    let turn = running.swap_remove(0);
                    ended += 1;
                    running.extend(pace.end(&lane(1), turn, answer).into_iter().map(|(_, turn)| Some(turn)));
                }
                prop_assert_eq!(admitted, ended + running.len() + pace.waiting());
                prop_assert!(!running.is_empty() || pace.waiting() == 0);
            }
        }
    }
}
