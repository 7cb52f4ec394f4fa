//! What waits in a lane: the first deliveries are kept in memory, the others are read when they are needed.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::file::rows::{LaneId, Position};
use super::file::sql::{Cells, Sql, SqlError, as_i64};
use crate::model::Timestamp;
use crate::store::schedule::Turn;

/// The number of deliveries of each kind that are read at once, and kept at most.
const MAX_KEPT: usize = 64;

/// Where a delivery stands among those of its lane and kind.
type Stand = (Timestamp, i64);

const START: Stand = (Timestamp::from_millis(i64::MIN), i64::MIN);
const END: Stand = (Timestamp::from_millis(i64::MAX), i64::MAX);

/// The deliveries that wait in the present epoch of a lane and are not held.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) epoch: i64,
    firsts: Kind,
    behind: Kind,
}

/// Those of one kind. What stands up to `read_to` is kept, and nothing behind it.
#[derive(Debug)]
struct Kind {
    kept: BTreeSet<Stand>,
    read_to: Stand,
}

impl Queue {
    /// Creates the queue of a lane in which nothing waits.
    pub(super) fn empty(epoch: i64) -> Self {
        let kind = || Kind { kept: BTreeSet::new(), read_to: END };
        Self { epoch, firsts: kind(), behind: kind() }
    }

    /// Creates the queue of a lane of which nothing is known.
    pub(super) fn unread(epoch: i64) -> Self {
        let kind = || Kind { kept: BTreeSet::new(), read_to: START };
        Self { epoch, firsts: kind(), behind: kind() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first(Turn::FirstAttempt).is_none() && self.first(Turn::Retry).is_none()
    }

    pub(super) fn add(&mut self, position: Position) {
        self.of(position.behind).add((position.due, position.id));
    }

    pub(super) fn remove(&mut self, position: Position) {
        self.of(position.behind).kept.remove(&(position.due, position.id));
    }

    /// Returns when the first of a kind is due; the earliest time while that has to be read.
    pub(super) fn first(&self, turn: Turn) -> Option<Timestamp> {
        let kind = if turn == Turn::Retry { &self.behind } else { &self.firsts };
        let first = kind.kept.first().copied();
        first.or_else(|| (kind.read_to < END).then_some(START)).map(|(due, _)| due)
    }

    /// Returns the first of a kind, which is read if it has to be. `is_held` tells of those that are not free.
    pub(super) fn read_first(
        &mut self,
        file: &Connection,
        lane: LaneId,
        turn: Turn,
        is_held: impl Fn(i64) -> bool,
    ) -> Result<Option<Position>, SqlError> {
        let (epoch, behind) = (self.epoch, turn == Turn::Retry);
        let kind = self.of(behind);
        while kind.kept.is_empty() && kind.read_to < END {
            let after =
                params![lane, epoch, behind, kind.read_to.0.as_millis(), kind.read_to.1, as_i64(MAX_KEPT)];
            let read = |cells: &mut Cells<'_>| Ok((cells.time()?, cells.get()?));
            let page: Vec<Stand> = file.all(WAITING_AFTER, after, read)?;
            kind.read_to = if page.len() < MAX_KEPT { END } else { page.last().copied().unwrap_or(END) };
            kind.kept.extend(page.into_iter().filter(|(_, id)| !is_held(*id)));
        }
        let first = kind.kept.first();
        Ok(first.map(|(due, id)| Position { lane, epoch, behind, due: *due, id: *id }))
    }

    const fn of(&mut self, behind: bool) -> &mut Kind {
        if behind { &mut self.behind } else { &mut self.firsts }
    }
}

impl Kind {
    fn add(&mut self, stand: Stand) {
        if stand > self.read_to {
            return;
        }
        self.kept.insert(stand);
        if self.kept.len() > 2 * MAX_KEPT {
            self.kept.pop_last();
            self.read_to = self.kept.last().copied().unwrap_or(START);
        }
    }
}

/// The two halves are merged: SQLite would otherwise pass over all that are due at the same time to find where to go on.
pub(super) const WAITING_AFTER: &str = "SELECT due, id FROM (
    SELECT due, id FROM delivery WHERE lane = ?1 AND epoch = ?2 AND behind = ?3 AND state = 0 AND due = ?4 AND id > ?5
    UNION ALL
    SELECT due, id FROM delivery WHERE lane = ?1 AND epoch = ?2 AND behind = ?3 AND state = 0 AND due > ?4)
    ORDER BY due, id LIMIT ?6";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::file::sql::new_file;
    use super::*;

    const INSERT: &str = "INSERT INTO delivery (id, event, lane, epoch, behind, due, expires, created_at) \
        VALUES (?, 1, 1, 0, 0, ?, 0, 0)";

    fn first(queue: &mut Queue, file: &Connection, held: &[Position]) -> Option<Position> {
        let is_held = |id| held.iter().any(|position| position.id == id);
        queue.read_first(file, 1, Turn::FirstAttempt, is_held).expect("read")
    }

    proptest! {
        /// Whatever is added, taken and given back, the first is the one that the file has first.
        #[test]
        fn the_first_is_the_first_of_the_file(acts in proptest::collection::vec((0u8..4, 0i64..40), 1..600)) {
            let (file, mut queue, mut held) = (new_file(), Queue::unread(0), Vec::<Position>::new());
            let mut free = BTreeSet::new();
            for (id, (act, due)) in (1..).zip(acts) {
                let due = Timestamp::from_millis(due);
                match act {
                    0 | 1 => {
                        file.run(INSERT, (id, due.as_millis())).expect("written");
                        queue.add(Position { lane: 1, epoch: 0, behind: false, due, id });
                        free.insert((due, id));
                    }
                    2 => if let Some(position) = first(&mut queue, &file, &held) {
                        queue.remove(position);
                        free.remove(&(position.due, position.id));
                        held.push(position);
                    },
                    _ => if let Some(position) = held.pop() {
                        queue.add(position);
                        free.insert((position.due, position.id));
                    },
                }
                let expected = free.first().map(|(due, id)| (*due, *id));
                if expected.is_some() || queue.first(Turn::FirstAttempt).is_some() {
                    let first = first(&mut queue, &file, &held).map(|it| (it.due, it.id));
                    prop_assert_eq!(first, expected);
                }
            }
        }
    }
}
