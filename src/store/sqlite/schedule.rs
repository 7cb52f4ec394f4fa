//! The order in which lanes are served, kept in memory.

use std::collections::{BTreeSet, HashMap};

use super::file::rows::LaneId;
use crate::delivery::LaneClass;
use crate::model::{HookId, TenantId, Timestamp};
use crate::store::lease::HolderId;
use crate::store::quota::{HeldCounts, Quota};
use crate::store::ring::Ring;

/// The lanes with waiting deliveries, in the order in which they are served, and the claims of each holder.
///
/// It is kept in memory and follows from the file: it is read from it when the store opens, and again
/// whenever something was rolled back. So a claim costs what it takes, no lane is written because it was
/// passed over, and there is no second truth on disk that could strand a delivery.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    lanes: HashMap<LaneId, Waiting>,
    /// When lanes that have nothing to give now will have something.
    timers: BTreeSet<(Timestamp, LaneId)>,
    holders: HashMap<HolderId, Holder>,
}

/// An enabled lane in which deliveries wait.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) tenant: TenantId,
    pub(super) hook: HookId,
    pub(super) class: LaneClass,
    /// When it gives the first of them.
    pub(super) when: Timestamp,
}

/// The lanes for which a holder has no room, by tenant: they are not looked at until it has room there.
type Parked = HashMap<TenantId, BTreeSet<LaneId>>;

#[derive(Debug, Default)]
struct Holder {
    quota: Quota,
    held: HeldCounts,
    ring: Ring<LaneId>,
    parked: Parked,
}

impl Schedule {
    /// Whether deliveries wait in the lane.
    pub(super) fn has(&self, lane: LaneId) -> bool {
        self.lanes.contains_key(&lane)
    }

    /// Sets the entry of a lane. A lane that was ready and still is keeps its turn.
    pub(super) fn set(&mut self, lane: LaneId, waiting: Option<Waiting>, now: Timestamp) {
        let Some(waiting) = waiting else { return self.forget(lane) };
        if waiting.when > now {
            self.forget(lane);
            self.timers.insert((waiting.when, lane));
        } else {
            if let Some(old) = self.lanes.get(&lane) {
                self.timers.remove(&(old.when, lane));
            }
            for holder in self.holders.values_mut() {
                holder.unpark(lane, &waiting.tenant);
                holder.ring.add(&lane, waiting.class);
            }
        }
        self.lanes.insert(lane, waiting);
    }

    /// Adds a delivery to a lane, whose present entry may be for a later time.
    pub(super) fn add(&mut self, lane: LaneId, waiting: Waiting, now: Timestamp) {
        let is_news = self.lanes.get(&lane).is_none_or(|present| waiting.when < present.when);
        if is_news {
            self.set(lane, Some(waiting), now);
        }
    }

    fn forget(&mut self, lane: LaneId) {
        let Some(old) = self.lanes.remove(&lane) else { return };
        self.timers.remove(&(old.when, lane));
        for holder in self.holders.values_mut() {
            holder.ring.remove(&lane);
            holder.unpark(lane, &old.tenant);
        }
    }

    /// Readies the lanes whose time has come.
    pub(super) fn fire_timers(&mut self, now: Timestamp) {
        while let Some((when, lane)) = self.timers.first().copied() {
            if when > now {
                break;
            }
            self.timers.remove(&(when, lane));
            let Some(waiting) = self.lanes.get(&lane) else { continue };
            self.holders.values_mut().for_each(|holder| holder.ring.add(&lane, waiting.class));
        }
    }

    /// When the next lane will have something that has nothing now.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(when, _)| *when)
    }

    /// The lane whose turn it is for this holder. Those for which it has no room are set aside on the
    /// way, so that each is looked at once for each time that room comes back.
    pub(super) fn first(&mut self, holder: HolderId) -> Option<LaneId> {
        let holder = self.holders.get_mut(&holder)?;
        loop {
            let lane = holder.ring.first(|class| holder.held.room_in_class(&holder.quota, class) > 0)?;
            let waiting = self.lanes.get(&lane)?;
            if holder.room(&waiting.tenant, waiting.hook, waiting.class) > 0 {
                return Some(lane);
            }
            holder.park(lane, &waiting.tenant);
        }
    }

    /// Adds a holder, or changes its quota: its ring then has every lane that is ready.
    pub(super) fn add_holder(&mut self, id: HolderId, quota: Quota) {
        let is_known = self.holders.contains_key(&id);
        let holder = self.holders.entry(id).or_default();
        // Room in all is asked when it is claimed, so the turns stay as they are when it changes.
        let keeps_turns = is_known && holder.quota.with_in_all(quota.in_all()) == quota;
        holder.quota = quota;
        if keeps_turns {
            return;
        }
        (holder.ring, holder.parked) = (Ring::default(), Parked::default());
        let ready = self.lanes.iter().filter(|(lane, it)| !self.timers.contains(&(it.when, **lane)));
        let mut ready: Vec<_> = ready.map(|(lane, it)| (it.when, *lane, it.class)).collect();
        ready.sort_unstable_by_key(|(when, lane, _)| (*when, *lane));
        ready.into_iter().for_each(|(_, lane, class)| holder.ring.add(&lane, class));
    }

    /// How much more of this lane the holder may take.
    pub(super) fn room(&self, id: HolderId, tenant: &TenantId, hook: HookId, class: LaneClass) -> usize {
        self.holders.get(&id).map_or(0, |holder| holder.room(tenant, hook, class))
    }

    /// Ends a lane's turn: it goes to the end when it is next found to have more.
    pub(super) fn end_turn(&mut self, id: HolderId, lane: LaneId) {
        if let Some(holder) = self.holders.get_mut(&id) {
            holder.ring.remove(&lane);
        }
    }

    /// Counts a claim.
    pub(super) fn take(&mut self, id: HolderId, tenant: &TenantId, hook: HookId, class: LaneClass) {
        self.holders.entry(id).or_default().held.take(tenant, hook, class);
    }

    /// Counts a claim less. The room may be room for any lane of the tenant.
    pub(super) fn give_back(&mut self, id: HolderId, tenant: &TenantId, hook: HookId, class: LaneClass) {
        let Some(holder) = self.holders.get_mut(&id) else { return };
        holder.held.give_back(tenant, hook, class);
        for lane in holder.parked.remove(tenant).unwrap_or_default() {
            if let Some(waiting) = self.lanes.get(&lane) {
                holder.ring.add(&lane, waiting.class);
            }
        }
    }

    /// Describes what is the same when it is read from the file: when lanes give, and how much is held by whom.
    #[cfg(test)]
    pub(super) fn summary(&self) -> String {
        let most = Quota::default().in_all();
        let held = |it: &Holder| most - it.held.room_in_class(&Quota::default(), LaneClass::Proven);
        let mut lanes: Vec<_> = self.lanes.iter().map(|(lane, it)| (*lane, it.when)).collect();
        let mut holders: Vec<_> = self.holders.iter().map(|(id, it)| (*id, held(it))).collect();
        holders.retain(|(_, held)| *held > 0);
        lanes.sort_unstable();
        holders.sort_unstable_by_key(|(id, _)| id.get());
        format!("lanes {lanes:?}, held {holders:?}")
    }

    /// Forgets a holder that has stopped.
    pub(super) fn remove_holder(&mut self, id: HolderId) {
        self.holders.remove(&id);
    }
}

impl Holder {
    fn room(&self, tenant: &TenantId, hook: HookId, class: LaneClass) -> usize {
        self.held.room(&self.quota, tenant, hook, class)
    }

    /// Sets a lane aside until its tenant has room again.
    fn park(&mut self, lane: LaneId, tenant: &TenantId) {
        self.ring.remove(&lane);
        self.parked.entry(tenant.clone()).or_default().insert(lane);
    }

    /// Takes a lane from those of its tenant that are parked.
    fn unpark(&mut self, lane: LaneId, tenant: &TenantId) {
        let Some(parked) = self.parked.get_mut(tenant) else { return };
        parked.remove(&lane);
        if parked.is_empty() {
            self.parked.remove(tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);
    const ANA: HolderId = HolderId::new(1);

    fn acme() -> TenantId {
        TenantId::new("acme").expect("valid")
    }

    fn waiting(lane: LaneId, when: Timestamp) -> Option<Waiting> {
        Some(Waiting { tenant: acme(), hook: HookId::new(lane), class: LaneClass::Proven, when })
    }

    /// Ana on so many lanes with something to give.
    fn schedule(lanes: i64) -> Schedule {
        let mut schedule = Schedule::default();
        (1..=lanes).for_each(|lane| schedule.set(lane, waiting(lane, NOW), NOW));
        schedule.add_holder(ANA, Quota::default().with_per_tenant(2));
        schedule
    }

    fn take(schedule: &mut Schedule) -> Option<LaneId> {
        let lane = schedule.first(ANA)?;
        schedule.take(ANA, &acme(), HookId::new(lane), LaneClass::Proven);
        schedule.end_turn(ANA, lane);
        schedule.set(lane, waiting(lane, NOW), NOW);
        Some(lane)
    }

    #[test]
    fn lanes_without_room_are_parked_until_there_is_room() {
        let mut schedule = schedule(1_000);
        assert_eq!([take(&mut schedule), take(&mut schedule), take(&mut schedule)], [Some(1), Some(2), None]);
        let nothing_to_look_at = schedule.holders[&ANA].ring.first(|_| true);
        assert_eq!(nothing_to_look_at, None);
        schedule.give_back(ANA, &acme(), HookId::new(1), LaneClass::Proven);
        assert!(take(&mut schedule).is_some());
        assert_eq!(take(&mut schedule), None);
    }

    #[test]
    fn a_ready_lane_keeps_its_turn_whatever_is_learnt_of_it() {
        let mut schedule = schedule(2);
        schedule.set(1, waiting(1, NOW), NOW);
        assert_eq!([take(&mut schedule), take(&mut schedule)], [Some(1), Some(2)]);
    }

    #[test]
    fn a_lane_is_ready_when_its_time_has_come_and_not_before() {
        let later = NOW.plus(std::time::Duration::from_millis(5));
        let mut schedule = schedule(0);
        schedule.set(7, waiting(7, later), NOW);
        schedule.fire_timers(NOW);
        assert_eq!((schedule.first(ANA), schedule.next_timer()), (None, Some(later)));
        schedule.add(7, waiting(7, later.plus(std::time::Duration::MAX)).expect("some"), NOW);
        schedule.fire_timers(later);
        assert_eq!((schedule.first(ANA), schedule.next_timer()), (Some(7), None));
        schedule.set(7, None, later);
        assert_eq!(schedule.first(ANA), None);
    }
}
