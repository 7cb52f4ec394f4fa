//! Whose turn it is: how a holder goes along ready lanes, a window at a time, without looking again and again at
//! those that it has no room for. Pure decisions.

use hookwire::model::{HookId, TenantId};

use crate::rows::LaneId;

/// The most ready lanes of a class along which one claim goes in turn.
pub(crate) const WINDOW: usize = 128;
/// The most lanes of a class of whose readiness one claim hears anew.
pub(crate) const MAX_FRESH: usize = 64;

/// How far a holder has come along the ready lanes of one class.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Turn {
    /// The lane that had its turn last.
    pub(crate) cursor: LaneId,
    /// Lanes behind this one, by transaction and id, became ready since it last heard of such.
    pub(crate) since: (i64, LaneId),
    /// While it has heard of some only: before this transaction none is left out.
    floor: Option<i64>,
    round: Round,
}

/// What a holder knows of the lanes that were ready all along.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Round {
    /// That it can take of some.
    Going,
    /// That it can take of none since it began there, and whether it has come to the start again.
    Fruitless { began: LaneId, is_wrapped: bool },
    /// That it can take of none until it has more room, or another becomes ready.
    Done,
}

/// A ready lane.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) id: LaneId,
    /// `None` where it cannot be read, because it was written by hand: nobody has room for it.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) hook: HookId,
    /// The transaction in which it became ready.
    pub(crate) readied: i64,
}

/// The lanes of one class that a claim has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Those of which it hears anew.
    pub(crate) fresh: Vec<Candidate>,
    /// Those whose turn it is, in this order: behind the cursor, and then from the start.
    pub(crate) ring: Vec<Candidate>,
    /// How many of them lie behind the cursor.
    pub(crate) ahead: usize,
    /// Whether these are all that are ready.
    pub(crate) is_whole: bool,
}

/// What a claim did with a lane that it saw.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// It took of it all that it could.
    Served,
    /// The holder has no room for it.
    NoRoom,
    /// Others were at it, or it has more.
    Passed,
    /// The claim had enough.
    Left,
}

impl Turn {
    /// The first one: nothing is known.
    pub(crate) const fn first(transaction: i64) -> Self {
        Self { cursor: 0, since: (transaction, LaneId::MIN), floor: None, round: Round::Going }
    }

    /// How many lanes are to be seen in turn.
    pub(crate) const fn window(&self) -> usize {
        if matches!(self.round, Round::Done) { 0 } else { WINDOW }
    }

    /// There may be room again where there was none.
    pub(crate) const fn anew(self) -> Self {
        Self { round: Round::Going, ..self }
    }

    /// The next turn, and whether there may be more to take at once. Of transactions before `oldest` everything
    /// could be seen.
    pub(crate) fn after(self, seen: &Seen, fate: impl Fn(LaneId) -> Fate, oldest: i64) -> (Self, bool) {
        let is_left = |it: &Candidate| matches!(fate(it.id), Fate::Passed | Fate::Left);
        let has_left = seen.fresh.iter().chain(&seen.ring).any(is_left);
        let cursor = seen.ring.iter().map(|it| it.id).take_while(|id| fate(*id) != Fate::Left).last();
        let round = if has_left { Round::Going } else { self.round_after(seen, fate) };
        let has_more = has_left || self.window() > 0 && round != Round::Done && !seen.is_whole;
        let (news, has_news) = self.heard(&seen.fresh, oldest);
        (Self { cursor: cursor.unwrap_or(self.cursor), round, ..news }, has_more || has_news)
    }

    /// What is known once none of the lanes was left.
    fn round_after(&self, seen: &Seen, fate: impl Fn(LaneId) -> Fate) -> Round {
        if seen.is_whole || self.round == Round::Done {
            return Round::Done;
        }
        if seen.ring.iter().any(|it| fate(it.id) == Fate::Served) {
            return Round::Going;
        }
        let (began, was_wrapped) = match self.round {
            Round::Fruitless { began, is_wrapped } => (began, is_wrapped),
            _ => (self.cursor, false),
        };
        let wraps = seen.ahead < seen.ring.len();
        let has_come_by = |lanes: &[Candidate]| lanes.last().is_some_and(|it| it.id >= began);
        // The lane where it began may be gone, so whoever comes to the end again has come by it too.
        let is_round = match was_wrapped {
            true => wraps || has_come_by(&seen.ring),
            false => wraps && has_come_by(&seen.ring),
        };
        if is_round { Round::Done } else { Round::Fruitless { began, is_wrapped: was_wrapped || wraps } }
    }

    /// What it has heard of, and whether there may be more. A transaction that ends later may have readied lanes
    /// before those of which it has heard: so it begins anew from the oldest that it may not have seen.
    fn heard(self, fresh: &[Candidate], oldest: i64) -> (Self, bool) {
        let floor = self.floor.map_or(oldest, |floor| floor.min(oldest));
        match fresh.get(MAX_FRESH - 1) {
            Some(last) => (Self { since: (last.readied, last.id), floor: Some(floor), ..self }, true),
            None => (Self { since: (floor, LaneId::MIN), floor: None, ..self }, false),
        }
    }
}

/// The lanes in the order in which they are to be served, by the claim with this number: those of each class that
/// are fresh and those that have their turn alternate, and others come first each time. A claim may take of the
/// first lane only, and lanes that stay fresh while some transaction stays open would always be that.
pub(crate) fn in_turn(
    seen: &[Seen],
    has_room: impl Fn(LaneId) -> bool,
    number: usize,
) -> impl Iterator<Item = LaneId> {
    let lists = seen.iter().flat_map(|seen| [&seen.fresh, &seen.ring]);
    let lists = lists.map(|lanes| lanes.iter().map(|it| it.id).filter(|id| has_room(*id)).collect());
    let mut lists: Vec<Vec<LaneId>> = lists.filter(|lanes: &Vec<_>| !lanes.is_empty()).collect();
    let first = number.checked_rem(lists.len()).unwrap_or_default();
    lists.rotate_left(first);
    alternate(lists)
}

/// The first of each list, then the second of each, and so on.
fn alternate<T>(lists: Vec<Vec<T>>) -> impl Iterator<Item = T> {
    let most = lists.iter().map(Vec::len).max().unwrap_or_default();
    let mut lists: Vec<_> = lists.into_iter().map(Vec::into_iter).collect();
    let rounds = (0..most).map(move |_| lists.iter_mut().filter_map(Iterator::next).collect::<Vec<_>>());
    rounds.flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(ids: impl IntoIterator<Item = LaneId>) -> Vec<Candidate> {
        let lane =
            |id| Candidate { id, tenant: TenantId::new("acme").ok(), hook: HookId::new(id), readied: id };
        ids.into_iter().map(lane).collect()
    }

    /// What a claim sees of so many lanes, from 1 on, none of which is fresh.
    fn ring(turn: &Turn, count: i64) -> Seen {
        let most = turn.window();
        let ahead = lanes(turn.cursor + 1..=count).into_iter().take(most).collect::<Vec<_>>();
        let behind = lanes(1..=turn.cursor.min(count));
        let is_whole = ahead.len() < most && ahead.len() + behind.len() <= most;
        let (room, count) = (most - ahead.len(), ahead.len());
        let ring = ahead.into_iter().chain(behind.into_iter().take(room)).collect();
        Seen { fresh: Vec::new(), ring, ahead: count, is_whole }
    }

    fn ids(lanes: &[Candidate]) -> Vec<LaneId> {
        lanes.iter().map(|it| it.id).collect()
    }

    #[test]
    fn a_claim_that_has_enough_goes_on_where_it_stopped() {
        let turn = Turn::first(0);
        let fate = |id| if id <= 3 { Fate::Served } else { Fate::Left };
        let (turn, has_more) = turn.after(&ring(&turn, 5), fate, 0);
        assert_eq!((turn.cursor, has_more), (3, true));
        assert_eq!(ids(&ring(&turn, 5).ring), [4, 5, 1, 2, 3]);
    }

    #[test]
    fn lanes_without_room_are_gone_along_once_and_not_looked_at_again() {
        for began in [0, 1, 700, 1400, 1499, 1500] {
            let (mut turn, mut looked_at) = (Turn { cursor: began, ..Turn::first(0) }, 0);
            for _ in 0..100 {
                let seen = ring(&turn, 1500);
                looked_at += seen.ring.len();
                turn = turn.after(&seen, |_| Fate::NoRoom, 0).0;
            }
            assert!((1500..=1500 + WINDOW).contains(&looked_at), "{looked_at} from {began}");
            assert_eq!(turn.window(), 0);
            assert_eq!(turn.anew().window(), WINDOW);
        }
    }

    #[test]
    fn a_round_ends_although_the_lane_where_it_began_is_gone() {
        let mut turn = Turn { cursor: 1400, ..Turn::first(0) };
        turn = turn.after(&ring(&turn, 1500), |_| Fate::NoRoom, 0).0;
        for _ in 0..12 {
            turn = turn.after(&ring(&turn, 1300), |_| Fate::NoRoom, 0).0;
        }
        assert_eq!(turn.window(), 0);
    }

    #[test]
    fn no_list_of_lanes_waits_for_another_however_little_a_claim_takes() {
        let classes = [[1, 10], [2, 20], [3, 30]];
        let seen = classes.map(|[fresh, ring]| Seen {
            fresh: lanes([fresh]),
            ring: lanes([ring, ring + 1]),
            ..Seen::default()
        });
        let first = |number| in_turn(&seen, |id| id != 10, number).next();
        let first: Vec<_> = (0..6).filter_map(first).collect();
        assert_eq!(first, [1, 11, 2, 20, 3, 30]);
        let all: Vec<_> = in_turn(&seen, |id| id > 2, 7).collect();
        assert_eq!(all, [30, 10, 20, 3, 31, 11, 21]);
    }

    #[test]
    fn the_one_with_room_is_found_wherever_the_round_began() {
        for began in [0, 700, 1499] {
            let (mut turn, mut claims) = (Turn { cursor: began, ..Turn::first(0) }, 0);
            let fate = |id| if id == 700 { Fate::Served } else { Fate::NoRoom };
            loop {
                let seen = ring(&turn, 1500);
                claims += 1;
                let (next, has_more) = turn.after(&seen, fate, 0);
                if seen.ring.iter().any(|it| it.id == 700) {
                    break;
                }
                assert!(has_more && claims < 20, "{turn:?}");
                turn = next;
            }
        }
    }

    #[test]
    fn what_is_passed_keeps_the_round_going() {
        let turn = Turn::first(0);
        let (turn, has_more) = turn.after(&ring(&turn, 3), |_| Fate::Passed, 0);
        assert!(has_more && turn.window() > 0);
        let (turn, has_more) = turn.after(&ring(&turn, 3), |_| Fate::NoRoom, 0);
        assert!(!has_more && turn.window() == 0);
        let seen = Seen { fresh: lanes([9]), ..Seen::default() };
        assert!(turn.after(&seen, |_| Fate::Left, 0).0.window() > 0, "a fresh one that is left has its turn");
        assert!(turn.after(&seen, |_| Fate::Served, 0).0.window() == 0);
    }

    #[test]
    fn of_many_that_become_ready_at_once_it_hears_one_after_the_other() {
        let mut turn = Turn::first(5);
        let many: Vec<Candidate> =
            lanes(1..=150).into_iter().map(|it| Candidate { readied: 7, ..it }).collect();
        let mut heard = Vec::new();
        for oldest in [6, 9, 9] {
            let fresh = many.iter().filter(|it| (it.readied, it.id) > turn.since).take(MAX_FRESH).cloned();
            let seen = Seen { fresh: fresh.collect(), ..ring(&turn, 0) };
            heard.extend(ids(&seen.fresh));
            turn = turn.after(&seen, |_| Fate::Served, oldest).0;
        }
        assert_eq!(heard, (1..=150).collect::<Vec<_>>());
        assert_eq!(
            turn.since,
            (6, LaneId::MIN),
            "what was open at the first look may have readied some before"
        );
    }

    #[test]
    fn lists_alternate() {
        assert_eq!(
            alternate(vec![vec![1, 4, 6], vec![2], vec![3, 5]]).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5, 6]
        );
    }
}
