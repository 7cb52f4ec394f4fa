use std::collections::{BTreeSet, HashMap};

use super::state::LaneKey;
use crate::delivery::LaneClass;

/// The lanes that have something to give and for which one holder has room, in the order of their turns.
///
/// A lane leaves the ring as soon as it has nothing to give or no room, so that what waits behind it is
/// never looked at.
#[derive(Default)]
pub(super) struct Ring {
    open: BTreeSet<(u64, LaneKey)>,
    probing: BTreeSet<(u64, LaneKey)>,
    unproven: BTreeSet<(u64, LaneKey)>,
    turns: HashMap<LaneKey, (LaneClass, u64)>,
    last_turn: u64,
}

impl Ring {
    /// Puts a lane at the end, or leaves it where it stands.
    pub(super) fn add(&mut self, key: &LaneKey, class: LaneClass) {
        match self.turns.get(key) {
            Some((present, _)) if *present == class => {}
            Some((_, turn)) => {
                let turn = *turn;
                self.remove(key);
                self.insert(key, class, turn);
            }
            None => {
                self.last_turn += 1;
                self.insert(key, class, self.last_turn);
            }
        }
    }

    /// Takes a lane out.
    pub(super) fn remove(&mut self, key: &LaneKey) {
        if let Some((class, turn)) = self.turns.remove(key) {
            self.of(class).remove(&(turn, key.clone()));
        }
    }

    /// The lane whose turn it is, among those of classes for which there is room.
    pub(super) fn first(&self, has_room: impl Fn(LaneClass) -> bool) -> Option<LaneKey> {
        let classes = [
            (LaneClass::Open, &self.open),
            (LaneClass::Probing, &self.probing),
            (LaneClass::Unproven, &self.unproven),
        ];
        let with_room = classes.into_iter().filter(|(class, _)| has_room(*class));
        let first = with_room.filter_map(|(_, lanes)| lanes.first()).min();
        first.map(|(_, key)| key.clone())
    }

    fn insert(&mut self, key: &LaneKey, class: LaneClass, turn: u64) {
        self.of(class).insert((turn, key.clone()));
        self.turns.insert(key.clone(), (class, turn));
    }

    fn of(&mut self, class: LaneClass) -> &mut BTreeSet<(u64, LaneKey)> {
        match class {
            LaneClass::Open => &mut self.open,
            LaneClass::Probing => &mut self.probing,
            LaneClass::Unproven => &mut self.unproven,
        }
    }
}
