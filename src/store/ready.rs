//! The index of the schedule: the lanes for which one holder has room, sorted by use.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use super::usage::PlaceTime;
use crate::delivery::LaneClass;
use crate::model::TenantId;

/// The ready lanes of one holder: its tenants in the order of their use, and within each tenant its lanes likewise.
///
/// Of equal use, who was added or served longest ago comes first. What has no room is taken out, so that what waits
/// behind it is never looked at.
#[derive(Debug)]
pub(super) struct Ready<L> {
    tenants: ByClass<Order<TenantId>>,
    /// The tenants with unproven lanes, but for those that were found to hold something and have given nothing back since.
    newcomers: Order<TenantId>,
    lanes: HashMap<TenantId, ByClass<Order<L>>>,
    /// Where each lane stands.
    places: HashMap<L, (TenantId, LaneClass)>,
    last_turn: u64,
}

impl<L: Clone + Eq + Hash + Ord> Ready<L> {
    /// Adds a lane behind those of the same use, or leaves it where it stands. Its tenant is listed again.
    pub(super) fn add(&mut self, lane: &L, tenant: &TenantId, class: LaneClass) {
        if self.places.get(lane).is_some_and(|(_, present)| *present != class) {
            self.remove(lane);
        }
        self.last_turn += 1;
        self.tenants.of_mut(class).add(tenant, self.last_turn);
        if class == LaneClass::Unproven {
            self.newcomers.add(tenant, self.last_turn);
        }
        if self.places.insert(lane.clone(), (tenant.clone(), class)).is_none() {
            let lanes = self.lanes.entry(tenant.clone()).or_default();
            lanes.of_mut(class).add(lane, self.last_turn);
        }
    }

    /// Takes a lane out.
    pub(super) fn remove(&mut self, lane: &L) {
        let Some((tenant, class)) = self.places.remove(lane) else { return };
        let Some(lanes) = self.lanes.get_mut(&tenant) else { return };
        lanes.of_mut(class).remove(lane);
        if lanes.of_mut(class).is_empty() {
            self.tenants.of_mut(class).remove(&tenant);
        }
        if CLASSES.into_iter().all(|class| lanes.of(class).is_empty()) {
            self.lanes.remove(&tenant);
        }
    }

    /// Ends the turn of a lane and of its tenant.
    pub(super) fn end_turn(&mut self, lane: &L) {
        let Some((tenant, class)) = self.places.get(lane).cloned() else { return };
        self.last_turn += 1;
        if let Some(lanes) = self.lanes.get_mut(&tenant) {
            lanes.of_mut(class).end_turn(lane, self.last_turn);
        }
        for class in CLASSES {
            self.tenants.of_mut(class).end_turn(&tenant, self.last_turn);
        }
    }

    /// Looks at no lane of this class and tenant until one is added or the tenant is listed again.
    pub(super) fn unlist(&mut self, tenant: &TenantId, class: LaneClass) {
        self.tenants.of_mut(class).remove(tenant);
    }

    /// Looks at the lanes of a tenant again.
    pub(super) fn list(&mut self, tenant: &TenantId) {
        let Some(lanes) = self.lanes.get(tenant) else { return };
        self.last_turn += 1;
        for class in CLASSES.into_iter().filter(|class| !lanes.of(*class).is_empty()) {
            self.tenants.of_mut(class).add(tenant, self.last_turn);
        }
        if !lanes.of(LaneClass::Unproven).is_empty() {
            self.newcomers.add(tenant, self.last_turn);
        }
    }

    /// Returns the tenant that is served next of those that hold nothing and have unproven lanes.
    pub(super) fn first_newcomer(
        &mut self,
        holds: impl Fn(&TenantId) -> bool,
        used: impl Fn(&TenantId) -> PlaceTime,
    ) -> Option<TenantId> {
        loop {
            let (_, tenant) = self.newcomers.first(&used)?;
            let has_lanes = self.lanes.get(&tenant).is_some_and(|it| !it.of(LaneClass::Unproven).is_empty());
            if has_lanes && !holds(&tenant) {
                return Some(tenant);
            }
            self.newcomers.remove(&tenant);
        }
    }

    /// Returns the tenant that is served next, of those with lanes of `classes`.
    pub(super) fn first_tenant(
        &mut self,
        classes: impl Iterator<Item = LaneClass>,
        used: impl Fn(&TenantId) -> PlaceTime,
    ) -> Option<TenantId> {
        let first = classes.filter_map(|class| self.tenants.of_mut(class).first(&used)).min();
        first.map(|(_, tenant)| tenant)
    }

    /// Returns the lane of a tenant that is served next, of those of `classes`.
    pub(super) fn first_lane(
        &mut self,
        tenant: &TenantId,
        classes: impl Iterator<Item = LaneClass>,
        used: impl Fn(&L) -> PlaceTime,
    ) -> Option<L> {
        let lanes = self.lanes.get_mut(tenant)?;
        classes.filter_map(|class| lanes.of_mut(class).first(&used)).min().map(|(_, lane)| lane)
    }

    /// Has the use of each tenant and lane read again, as it is less than it was.
    pub(super) fn read_anew(&mut self) {
        let tenants = CLASSES.map(|class| std::mem::take(self.tenants.of_mut(class)));
        CLASSES.into_iter().zip(tenants).for_each(|(class, it)| *self.tenants.of_mut(class) = it.unread());
        self.newcomers = std::mem::take(&mut self.newcomers).unread();
        for lanes in self.lanes.values_mut() {
            for class in CLASSES {
                let present = std::mem::take(lanes.of_mut(class));
                *lanes.of_mut(class) = present.unread();
            }
        }
    }
}

impl<L> Default for Ready<L> {
    fn default() -> Self {
        let (tenants, newcomers) = Default::default();
        Self { tenants, newcomers, lanes: HashMap::new(), places: HashMap::new(), last_turn: 0 }
    }
}

pub(super) const CLASSES: [LaneClass; 3] = [LaneClass::Proven, LaneClass::Hanging, LaneClass::Unproven];

/// One of each for the lanes of a class.
#[derive(Debug)]
struct ByClass<T> {
    proven: T,
    hanging: T,
    unproven: T,
}

impl<T> ByClass<T> {
    const fn of(&self, class: LaneClass) -> &T {
        match class {
            LaneClass::Proven => &self.proven,
            LaneClass::Hanging => &self.hanging,
            LaneClass::Unproven => &self.unproven,
        }
    }

    const fn of_mut(&mut self, class: LaneClass) -> &mut T {
        match class {
            LaneClass::Proven => &mut self.proven,
            LaneClass::Hanging => &mut self.hanging,
            LaneClass::Unproven => &mut self.unproven,
        }
    }
}

impl<T: Default> Default for ByClass<T> {
    fn default() -> Self {
        Self { proven: T::default(), hanging: T::default(), unproven: T::default() }
    }
}

/// Keys in the order of their use, and of their turns where it is the same.
///
/// Use grows while it stands here. It is read when a key comes to the front, which then may go back; so the order is
/// exact, and no key is looked at that is far behind.
#[derive(Debug)]
struct Order<K> {
    ranks: HashMap<K, Rank>,
    sorted: BTreeSet<(Rank, K)>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Rank {
    /// The use when it was last read, and zero before.
    used: PlaceTime,
    turn: u64,
}

impl<K: Clone + Eq + Hash + Ord> Order<K> {
    fn add(&mut self, key: &K, turn: u64) {
        if !self.ranks.contains_key(key) {
            self.set(key, Rank { used: PlaceTime::default(), turn });
        }
    }

    fn end_turn(&mut self, key: &K, turn: u64) {
        if let Some(present) = self.ranks.get(key) {
            self.set(key, Rank { turn, ..*present });
        }
    }

    fn set(&mut self, key: &K, rank: Rank) {
        if let Some(old) = self.ranks.insert(key.clone(), rank) {
            self.sorted.remove(&(old, key.clone()));
        }
        self.sorted.insert((rank, key.clone()));
    }

    fn remove(&mut self, key: &K) {
        if let Some(rank) = self.ranks.remove(key) {
            self.sorted.remove(&(rank, key.clone()));
        }
    }

    fn is_empty(&self) -> bool {
        self.ranks.is_empty()
    }

    fn first(&mut self, used: impl Fn(&K) -> PlaceTime) -> Option<(Rank, K)> {
        loop {
            let (rank, key) = self.sorted.first()?;
            let used = used(key);
            if used <= rank.used {
                return self.sorted.first().cloned();
            }
            let (rank, key) = (Rank { used, ..*rank }, key.clone());
            self.set(&key, rank);
        }
    }

    /// The same as if no use had been read yet.
    fn unread(mut self) -> Self {
        self.ranks.values_mut().for_each(|rank| rank.used = PlaceTime::default());
        self.sorted = self.ranks.iter().map(|(key, rank)| (*rank, key.clone())).collect();
        self
    }
}

impl<K> Default for Order<K> {
    fn default() -> Self {
        Self { ranks: HashMap::new(), sorted: BTreeSet::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::usage::Usage;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).expect("valid")
    }

    fn ready(lanes: &[(i64, &str, LaneClass)]) -> Ready<i64> {
        let mut ready = Ready::default();
        lanes.iter().for_each(|(lane, name, class)| ready.add(lane, &tenant(name), *class));
        ready
    }

    /// The next lane of `classes` when nothing was used.
    fn first(ready: &mut Ready<i64>, classes: &[LaneClass]) -> Option<i64> {
        let unused = PlaceTime::default();
        let tenant = ready.first_tenant(classes.iter().copied(), |_| unused)?;
        ready.first_lane(&tenant, classes.iter().copied(), |_| unused)
    }

    fn turns(ready: &mut Ready<i64>, count: usize) -> Vec<i64> {
        let turn = |ready: &mut Ready<i64>| {
            let lane = first(ready, &CLASSES)?;
            ready.end_turn(&lane);
            Some(lane)
        };
        (0..count).filter_map(|_| turn(ready)).collect()
    }

    #[test]
    fn tenants_come_in_turn_and_within_each_its_lanes_whatever_their_class() {
        let lanes = [
            (7, "a", LaneClass::Proven),
            (3, "a", LaneClass::Unproven),
            (5, "b", LaneClass::Hanging),
            (9, "a", LaneClass::Proven),
        ];
        assert_eq!(turns(&mut ready(&lanes), 8), [7, 5, 3, 5, 9, 5, 7, 5]);
    }

    #[test]
    fn a_lane_that_is_added_again_keeps_its_turn() {
        let mut ready = ready(&[(1, "a", LaneClass::Proven), (2, "b", LaneClass::Proven)]);
        ready.add(&1, &tenant("a"), LaneClass::Proven);
        assert_eq!(turns(&mut ready, 3), [1, 2, 1]);
    }

    #[test]
    fn what_is_taken_out_is_not_looked_at() {
        let (proven, unproven) = (LaneClass::Proven, LaneClass::Unproven);
        let mut ready = ready(&[(1, "a", unproven), (2, "a", proven), (3, "b", proven)]);
        assert_eq!(first(&mut ready, &[proven]), Some(2));
        ready.unlist(&tenant("a"), proven);
        assert_eq!(first(&mut ready, &[proven]), Some(3));
        ready.list(&tenant("a"));
        ready.remove(&3);
        ready.remove(&3);
        assert_eq!(first(&mut ready, &[proven]), Some(2));
        ready.remove(&2);
        assert_eq!((first(&mut ready, &[proven]), first(&mut ready, &CLASSES)), (None, Some(1)));
        ready.add(&1, &tenant("a"), LaneClass::Hanging);
        assert_eq!((first(&mut ready, &[unproven]), first(&mut ready, &CLASSES)), (None, Some(1)));
        ready.remove(&1);
        assert!(ready.lanes.is_empty() && first(&mut ready, &CLASSES).is_none());
    }

    #[test]
    fn who_has_used_least_by_now_comes_first() {
        let (names, hook) = (["a", "b", "c"], crate::model::HookId::new(1));
        let at = |secs| crate::model::Timestamp::from_secs(secs);
        let mut ready = ready(&[(1, "a", LaneClass::Proven), (2, "b", LaneClass::Proven)]);
        ready.add(&3, &tenant("c"), LaneClass::Proven);
        let mut usage = Usage::default();
        names.into_iter().for_each(|name| usage.take(&tenant(name), hook, at(0)));
        usage.give_back(&tenant("b"), hook, at(2));
        let mut first = |usage: &Usage, now| {
            ready.first_tenant(CLASSES.into_iter(), |it| usage.of_tenant(it, at(now))).expect("one is ready")
        };
        assert_eq!(first(&usage, 1), tenant("a"), "all the same so far");
        assert_eq!(first(&usage, 3), tenant("b"));
        usage.take(&tenant("b"), hook, at(3));
        (0..9).for_each(|_| usage.take(&tenant("b"), hook, at(3)));
        assert_eq!(first(&usage, 4), tenant("a"), "what is held counts as time passes");
    }
}
