use std::collections::{BTreeSet, HashMap};

use super::rows::LaneId;
use crate::delivery::LaneClass;
use crate::model::TenantId;

/// The lanes that have something to give, as one holder takes them: in the order of their turns, apart
/// from those for which it has no room, which are parked by tenant and not looked at.
#[derive(Debug, Default)]
pub(super) struct Ring {
    open: BTreeSet<(u64, LaneId)>,
    probing: BTreeSet<(u64, LaneId)>,
    unproven: BTreeSet<(u64, LaneId)>,
    turns: HashMap<LaneId, (LaneClass, u64)>,
    parked: HashMap<TenantId, BTreeSet<LaneId>>,
    last_turn: u64,
}

impl Ring {
    /// Puts a lane at the end, or leaves it where it stands.
    pub(super) fn add(&mut self, lane: LaneId, class: LaneClass) {
        let turn = match self.turns.get(&lane) {
            Some((present, _)) if *present == class => return,
            Some((_, turn)) => *turn,
            None => {
                self.last_turn += 1;
                self.last_turn
            }
        };
        self.remove(lane);
        self.of(class).insert((turn, lane));
        self.turns.insert(lane, (class, turn));
    }

    /// Takes a lane out, unless it is parked.
    pub(super) fn remove(&mut self, lane: LaneId) {
        if let Some((class, turn)) = self.turns.remove(&lane) {
            self.of(class).remove(&(turn, lane));
        }
    }

    /// Sets a lane aside until its tenant has room again.
    pub(super) fn park(&mut self, lane: LaneId, tenant: &TenantId) {
        self.remove(lane);
        self.parked.entry(tenant.clone()).or_default().insert(lane);
    }

    /// Takes a lane from those of its tenant that are parked.
    pub(super) fn unpark(&mut self, lane: LaneId, tenant: &TenantId) {
        let Some(parked) = self.parked.get_mut(tenant) else { return };
        parked.remove(&lane);
        if parked.is_empty() {
            self.parked.remove(tenant);
        }
    }

    /// Takes all that are parked of a tenant.
    pub(super) fn unpark_all(&mut self, tenant: &TenantId) -> BTreeSet<LaneId> {
        self.parked.remove(tenant).unwrap_or_default()
    }

    /// The lane whose turn it is, among those of classes for which there is room.
    pub(super) fn first(&self, has_room: impl Fn(LaneClass) -> bool) -> Option<LaneId> {
        let classes = [
            (LaneClass::Open, &self.open),
            (LaneClass::Probing, &self.probing),
            (LaneClass::Unproven, &self.unproven),
        ];
        let with_room = classes.into_iter().filter(|(class, _)| has_room(*class));
        let first = with_room.filter_map(|(_, lanes)| lanes.first()).min();
        first.map(|(_, lane)| *lane)
    }

    fn of(&mut self, class: LaneClass) -> &mut BTreeSet<(u64, LaneId)> {
        match class {
            LaneClass::Open => &mut self.open,
            LaneClass::Probing => &mut self.probing,
            LaneClass::Unproven => &mut self.unproven,
        }
    }
}
