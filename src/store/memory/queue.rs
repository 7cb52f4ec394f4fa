//! The waiting deliveries of a lane.

use std::collections::BTreeSet;

use crate::model::{DeliveryId, Timestamp};
use crate::store::schedule::Turn;

/// The waiting deliveries of a lane, each kind in the order in which they are due.
#[derive(Default)]
pub(super) struct Queue {
    first_attempts: BTreeSet<Entry>,
    retries: BTreeSet<Entry>,
}

pub(super) type Entry = (Timestamp, DeliveryId);

impl Queue {
    pub(super) fn insert(&mut self, turn: Turn, entry: Entry) {
        self.of(turn).insert(entry);
    }

    pub(super) fn remove(&mut self, turn: Turn, entry: Entry) {
        self.of(turn).remove(&entry);
    }

    pub(super) fn first(&self, turn: Turn) -> Option<Entry> {
        match turn {
            Turn::FirstAttempt => self.first_attempts.first().copied(),
            Turn::Retry => self.retries.first().copied(),
        }
    }

    pub(super) fn pop(&mut self) -> Option<Entry> {
        self.first_attempts.pop_first().or_else(|| self.retries.pop_first())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first_attempts.is_empty() && self.retries.is_empty()
    }

    const fn of(&mut self, turn: Turn) -> &mut BTreeSet<Entry> {
        match turn {
            Turn::FirstAttempt => &mut self.first_attempts,
            Turn::Retry => &mut self.retries,
        }
    }
}
