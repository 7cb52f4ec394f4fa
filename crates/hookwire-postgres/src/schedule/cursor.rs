//! `LaneCursor`: a holder's position among the ready lanes. The holder reads them a window at a time, and those for
//! which it has no room only once. Pure decisions.

use hookwire::model::{HookId, TenantId};

use crate::rows::LaneId;

/// The most lanes of a class that one claim reads in turn.
pub(crate) const WINDOW: usize = 128;
/// The most lanes of a class that one claim reads because they became ready.
pub(crate) const MAX_FRESH: usize = 64;

/// The place of a holder in the ready lanes of one class.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct LaneCursor {
    /// The last lane that had its turn.
    pub(crate) cursor: LaneId,
    /// The last fresh lane that was read: the transaction in which it became ready, and its id. Lanes after it are fresh.
    pub(crate) since: (i64, LaneId),
    /// The transaction from which fresh lanes are read again, once all have been read that are fresh now.
    floor: Option<i64>,
    sweep: Sweep,
}

/// A pass along the ready lanes that are not fresh.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sweep {
    /// The holder could take from some of them.
    Going,
    /// The holder could take from none since `began`. `is_wrapped` once the pass has started over at the lowest id.
    Fruitless { began: LaneId, is_wrapped: bool },
    /// The holder can take from none of them until it has more room, or none has anything left.
    Done,
}

/// A ready lane.
#[derive(Clone, Debug)]
pub(crate) struct ReadyLane {
    pub(crate) id: LaneId,
    /// `None` if it is invalid, because it was written by hand. Nobody has room for such a lane.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) hook: HookId,
    /// The transaction in which the lane became ready.
    pub(crate) readied: i64,
}

/// The ready lanes of one class that a claim has read.
#[derive(Debug, Default)]
pub(crate) struct ReadyLanes {
    /// Lanes that became ready since the last claim.
    pub(crate) fresh: Vec<ReadyLane>,
    /// Lanes that are not ready yet, although their time has come.
    pub(crate) fired: Vec<ReadyLane>,
    /// Lanes that were read by their ids.
    pub(crate) named: Vec<ReadyLane>,
    /// Lanes in the order of their turns: those after the cursor, and then those from the lowest id.
    pub(crate) ring: Vec<ReadyLane>,
    /// The number of lanes in `ring` that come after the cursor.
    pub(crate) ahead: usize,
    /// Whether `ring` has all ready lanes.
    pub(crate) is_whole: bool,
}

/// The outcome of a claim for a lane that it read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LaneOutcome {
    /// The claim took all that there was.
    Served,
    /// The claim took what there was room for, and there may be more.
    Filled,
    /// The holder has no room for it.
    NoRoom,
    /// Others had locked the lane, or the claim took some and it has more.
    Passed,
    /// The claim was full before its turn came.
    Left,
}

impl ReadyLanes {
    pub(crate) fn all(&self) -> impl Iterator<Item = &ReadyLane> {
        self.fresh.iter().chain(&self.fired).chain(&self.named).chain(&self.ring)
    }
}

impl Default for LaneCursor {
    /// The cursor of a holder that has not claimed yet. No lane is fresh for it: it goes along all of them.
    fn default() -> Self {
        Self { cursor: 0, since: (i64::MAX, LaneId::MAX), floor: None, sweep: Sweep::Going }
    }
}

impl LaneCursor {
    /// Returns the number of lanes to read in turn.
    pub(crate) const fn window(&self) -> usize {
        if self.is_done() { 0 } else { WINDOW }
    }

    /// Returns whether all ready lanes were read, and nothing can be taken from them.
    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.sweep, Sweep::Done)
    }

    /// Starts the pass again, because there may be room where there was none.
    pub(crate) const fn restarted(self) -> Self {
        Self { sweep: Sweep::Going, ..self }
    }

    /// Returns the next cursor, and whether there may be more to take at once. Every transaction before `oldest` could be
    /// seen.
    pub(crate) fn after(
        self,
        ready: &ReadyLanes,
        outcome: impl Fn(LaneId) -> LaneOutcome,
        oldest: i64,
    ) -> (Self, bool) {
        let is_left = |it: &ReadyLane| matches!(outcome(it.id), LaneOutcome::Passed | LaneOutcome::Left);
        let has_left = ready.all().any(is_left);
        let sweep = if has_left { Sweep::Going } else { self.sweep_after(ready, &outcome) };
        let has_more = has_left || self.window() > 0 && sweep != Sweep::Done && !ready.is_whole;
        let (next, has_fresh) = self.advance_since(&ready.fresh, oldest);
        let cursor = cursor_after(&ready.ring, &outcome).unwrap_or(self.cursor);
        (Self { cursor, sweep, ..next }, has_more || has_fresh)
    }

    /// Returns the next state of the pass, if no lane was passed or left.
    fn sweep_after(&self, ready: &ReadyLanes, outcome: impl Fn(LaneId) -> LaneOutcome) -> Sweep {
        if self.is_done() || ready.is_whole {
            return Sweep::Done;
        }
        if ready.ring.iter().any(|it| matches!(outcome(it.id), LaneOutcome::Served | LaneOutcome::Filled)) {
            return Sweep::Going;
        }
        let (began, was_wrapped) = match self.sweep {
            Sweep::Fruitless { began, is_wrapped } => (began, is_wrapped),
            _ => (self.cursor, false),
        };
        let wraps = ready.ahead < ready.ring.len();
        let has_come_by = |lanes: &[ReadyLane]| lanes.last().is_some_and(|it| it.id >= began);
        // The lane where the pass began may be gone. Coming to the end a second time has passed its place too.
        let is_round = match was_wrapped {
            true => wraps || has_come_by(&ready.ring),
            false => wraps && has_come_by(&ready.ring),
        };
        if is_round { Sweep::Done } else { Sweep::Fruitless { began, is_wrapped: was_wrapped || wraps } }
    }

    /// Moves `since` past the fresh lanes that were read, and returns whether there may be more. A transaction that commits
    /// later may have made lanes ready before these, so it starts again at the oldest that could not be seen.
    fn advance_since(self, fresh: &[ReadyLane], oldest: i64) -> (Self, bool) {
        let floor = self.floor.map_or(oldest, |floor| floor.min(oldest));
        match fresh.get(MAX_FRESH - 1) {
            Some(last) => (Self { since: (last.readied, last.id), floor: Some(floor), ..self }, true),
            None => (Self { since: (floor, LaneId::MIN), floor: None, ..self }, false),
        }
    }
}

/// Returns the last lane of the ring that has had its turn. Those before it that are left used more than others, and wait
/// for the next round. If none was served, all have to wait for those of other windows, or for room.
fn cursor_after(ring: &[ReadyLane], outcome: impl Fn(LaneId) -> LaneOutcome) -> Option<LaneId> {
    let is_served = |it: &ReadyLane| !matches!(outcome(it.id), LaneOutcome::NoRoom | LaneOutcome::Left);
    let Some(last) = ring.iter().rposition(is_served) else { return ring.last().map(|it| it.id) };
    ring[last..].iter().map(|it| it.id).take_while(|id| outcome(*id) != LaneOutcome::Left).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(ids: impl IntoIterator<Item = LaneId>) -> Vec<ReadyLane> {
        let lane =
            |id| ReadyLane { id, tenant: TenantId::new("acme").ok(), hook: HookId::new(id), readied: id };
        ids.into_iter().map(lane).collect()
    }

    /// Returns the lanes that a claim reads of `count` ready ones, none of which is fresh.
    fn ring(cursor: &LaneCursor, count: i64) -> ReadyLanes {
        let most = cursor.window();
        let ahead = lanes(cursor.cursor + 1..=count).into_iter().take(most).collect::<Vec<_>>();
        let behind = lanes(1..=cursor.cursor.min(count)).into_iter().take(most).collect::<Vec<_>>();
        let is_whole = ahead.len() + behind.len() < most;
        let (room, count) = (most - ahead.len(), ahead.len());
        let ring = ahead.into_iter().chain(behind.into_iter().take(room)).collect();
        ReadyLanes { ring, ahead: count, is_whole, ..ReadyLanes::default() }
    }

    fn ids(lanes: &[ReadyLane]) -> Vec<LaneId> {
        lanes.iter().map(|it| it.id).collect()
    }

    #[test]
    fn a_claim_that_has_enough_goes_on_where_it_stopped() {
        let cursor = LaneCursor::default();
        let outcome = |id| if id <= 3 { LaneOutcome::Served } else { LaneOutcome::Left };
        let (cursor, has_more) = cursor.after(&ring(&cursor, 5), outcome, 0);
        assert_eq!((cursor.cursor, has_more), (3, true));
        assert_eq!(ids(&ring(&cursor, 5).ring), [4, 5, 1, 2, 3]);
    }

    #[test]
    fn lanes_without_room_are_gone_along_once_and_not_looked_at_again() {
        for began in [0, 1, 700, 1400, 1499, 1500] {
            let (mut cursor, mut looked_at) = (LaneCursor { cursor: began, ..LaneCursor::default() }, 0);
            for _ in 0..100 {
                let ready = ring(&cursor, 1500);
                looked_at += ready.ring.len();
                cursor = cursor.after(&ready, |_| LaneOutcome::NoRoom, 0).0;
            }
            assert!((1500..=1500 + WINDOW).contains(&looked_at), "{looked_at} from {began}");
            assert_eq!(cursor.window(), 0);
            assert_eq!(cursor.restarted().window(), WINDOW);
        }
    }

    #[test]
    fn a_round_ends_although_the_lane_where_it_began_is_gone() {
        let mut cursor = LaneCursor { cursor: 1400, ..LaneCursor::default() };
        cursor = cursor.after(&ring(&cursor, 1500), |_| LaneOutcome::NoRoom, 0).0;
        for _ in 0..12 {
            cursor = cursor.after(&ring(&cursor, 1300), |_| LaneOutcome::NoRoom, 0).0;
        }
        assert_eq!(cursor.window(), 0);
    }

    #[test]
    fn what_used_more_than_others_is_left_behind_until_the_next_round() {
        let cursor = LaneCursor::default();
        let outcome = |id| match id {
            2 | 4 => LaneOutcome::Served,
            5 => LaneOutcome::NoRoom,
            _ => LaneOutcome::Left,
        };
        let (cursor, has_more) = cursor.after(&ring(&cursor, 200), outcome, 0);
        assert_eq!((cursor.cursor, has_more), (5, true));
        let (cursor, has_more) = cursor.after(&ring(&cursor, 200), |_| LaneOutcome::Left, 0);
        assert_eq!((cursor.cursor, has_more), (5 + 128, true), "none of this window is served");
        assert_eq!(ids(&ring(&cursor, 200).ring)[..68], (134..=200).chain([1]).collect::<Vec<_>>());
    }

    #[test]
    fn the_one_with_room_is_found_wherever_the_round_began() {
        for began in [0, 700, 1499] {
            let (mut cursor, mut claims) = (LaneCursor { cursor: began, ..LaneCursor::default() }, 0);
            let outcome = |id| if id == 700 { LaneOutcome::Served } else { LaneOutcome::NoRoom };
            loop {
                let ready = ring(&cursor, 1500);
                claims += 1;
                let (next, has_more) = cursor.after(&ready, outcome, 0);
                if ready.ring.iter().any(|it| it.id == 700) {
                    break;
                }
                assert!(has_more && claims < 20, "{cursor:?}");
                cursor = next;
            }
        }
    }

    #[test]
    fn what_is_passed_keeps_the_round_going() {
        let cursor = LaneCursor::default();
        let (cursor, has_more) = cursor.after(&ring(&cursor, 3), |_| LaneOutcome::Passed, 0);
        assert!(has_more && cursor.window() > 0);
        let (cursor, has_more) = cursor.after(&ring(&cursor, 3), |_| LaneOutcome::NoRoom, 0);
        assert!(!has_more && cursor.window() == 0);
        let ready = ReadyLanes { fresh: lanes([9]), ..ReadyLanes::default() };
        assert!(
            cursor.after(&ready, |_| LaneOutcome::Left, 0).0.window() > 0,
            "a fresh one that is left has its turn"
        );
        assert!(cursor.after(&ready, |_| LaneOutcome::Served, 0).0.window() == 0);
    }

    #[test]
    fn of_many_that_become_ready_at_once_it_hears_one_after_the_other() {
        let mut cursor = LaneCursor { since: (5, LaneId::MIN), ..LaneCursor::default() };
        let many: Vec<ReadyLane> =
            lanes(1..=150).into_iter().map(|it| ReadyLane { readied: 7, ..it }).collect();
        let mut advance_since = Vec::new();
        for oldest in [6, 9, 9] {
            let fresh = many.iter().filter(|it| (it.readied, it.id) > cursor.since).take(MAX_FRESH).cloned();
            let ready = ReadyLanes { fresh: fresh.collect(), ..ring(&cursor, 0) };
            advance_since.extend(ids(&ready.fresh));
            cursor = cursor.after(&ready, |_| LaneOutcome::Served, oldest).0;
        }
        assert_eq!(advance_since, (1..=150).collect::<Vec<_>>());
        assert_eq!(
            cursor.since,
            (6, LaneId::MIN),
            "what was open at the first look may have readied some before"
        );
    }
}
