use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use crate::delivery::LaneClass;

/// The lanes that have something to give and for which one holder has room, in the order of their turns.
///
/// A lane leaves the ring as soon as it has nothing to give or no room, so that what waits behind it is
/// never looked at.
#[derive(Debug)]
pub(super) struct Ring<L> {
    open: BTreeSet<(u64, L)>,
    probing: BTreeSet<(u64, L)>,
    unproven: BTreeSet<(u64, L)>,
    turns: HashMap<L, (LaneClass, u64)>,
    last_turn: u64,
}

impl<L: Clone + Eq + Hash + Ord> Ring<L> {
    /// Puts a lane at the end, or leaves it where it stands.
    pub(super) fn add(&mut self, lane: &L, class: LaneClass) {
        let turn = match self.turns.get(lane) {
            Some((present, _)) if *present == class => return,
            Some((_, turn)) => *turn,
            None => {
                self.last_turn += 1;
                self.last_turn
            }
        };
        self.remove(lane);
        self.of(class).insert((turn, lane.clone()));
        self.turns.insert(lane.clone(), (class, turn));
    }

    /// Takes a lane out.
    pub(super) fn remove(&mut self, lane: &L) {
        if let Some((class, turn)) = self.turns.remove(lane) {
            self.of(class).remove(&(turn, lane.clone()));
        }
    }

    /// The lane whose turn it is, among those of classes for which there is room.
    pub(super) fn first(&self, has_room: impl Fn(LaneClass) -> bool) -> Option<L> {
        let classes = [
            (LaneClass::Proven, &self.open),
            (LaneClass::Hanging, &self.probing),
            (LaneClass::Unproven, &self.unproven),
        ];
        let with_room = classes.into_iter().filter(|(class, _)| has_room(*class));
        let first = with_room.filter_map(|(_, lanes)| lanes.first()).min();
        first.map(|(_, lane)| lane.clone())
    }

    fn of(&mut self, class: LaneClass) -> &mut BTreeSet<(u64, L)> {
        match class {
            LaneClass::Proven => &mut self.open,
            LaneClass::Hanging => &mut self.probing,
            LaneClass::Unproven => &mut self.unproven,
        }
    }
}

impl<L> Default for Ring<L> {
    fn default() -> Self {
        let (open, probing, unproven) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { open, probing, unproven, turns: HashMap::new(), last_turn: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(lanes: &[(i64, LaneClass)]) -> Ring<i64> {
        let mut ring = Ring::default();
        lanes.iter().for_each(|(lane, class)| ring.add(lane, *class));
        ring
    }

    /// Who comes in which order, each going to the end of the ring after its turn.
    fn turns(ring: &mut Ring<i64>, count: usize) -> Vec<i64> {
        let turn = |ring: &mut Ring<i64>| {
            let lane = ring.first(|_| true)?;
            let (class, _) = ring.turns[&lane];
            ring.remove(&lane);
            ring.add(&lane, class);
            Some(lane)
        };
        (0..count).filter_map(|_| turn(ring)).collect()
    }

    #[test]
    fn lanes_come_in_turn_whatever_their_class() {
        let mut ring = ring(&[(7, LaneClass::Proven), (3, LaneClass::Unproven), (5, LaneClass::Proven)]);
        assert_eq!(turns(&mut ring, 5), [7, 3, 5, 7, 3]);
    }

    #[test]
    fn a_lane_that_is_added_again_keeps_its_turn_in_another_class_too() {
        let mut ring = ring(&[(1, LaneClass::Proven), (2, LaneClass::Proven)]);
        ring.add(&1, LaneClass::Proven);
        ring.add(&1, LaneClass::Hanging);
        assert_eq!(ring.first(|class| class == LaneClass::Hanging), Some(1));
        assert_eq!(ring.first(|class| class == LaneClass::Proven), Some(2));
        assert_eq!(turns(&mut ring, 2), [1, 2]);
    }

    #[test]
    fn a_class_without_room_is_passed_over_and_a_lane_without_work_is_gone() {
        let mut ring = ring(&[(1, LaneClass::Unproven), (2, LaneClass::Proven)]);
        assert_eq!(ring.first(|class| class != LaneClass::Unproven), Some(2));
        ring.remove(&2);
        ring.remove(&2);
        assert_eq!(ring.first(|class| class != LaneClass::Unproven), None);
        assert_eq!(turns(&mut ring, 2), [1, 1]);
    }
}
