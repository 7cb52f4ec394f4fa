use std::collections::{BTreeSet, HashMap};

use super::super::ring::Ring;
use super::super::{HeldCounts, HolderId, Quota};
use super::rows::LaneId;
use crate::delivery::LaneClass;
use crate::model::{HookId, TenantId, Timestamp};

/// Whose turn it is: the lanes that have something to give, now or later, and what each holder has.
///
/// It is kept in memory and follows from the file: it is read from it when the store opens, and again
/// whenever something was rolled back. So a claim costs what it takes, no lane is written because it was
/// passed over, and there is no second truth on disk that could strand a delivery.
#[derive(Debug, Default)]
pub(super) struct Rota {
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

impl Rota {
    /// Whether deliveries wait in the lane.
    pub(super) fn has(&self, lane: LaneId) -> bool {
        self.lanes.contains_key(&lane)
    }

    /// Puts down what is true of a lane now. One that was ready and still is keeps its turn.
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

    /// Puts down that something came to a lane, which may have waited for something later.
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
    pub(super) fn fire(&mut self, now: Timestamp) {
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

    /// The holder, known from now on: every lane that is ready waits in its ring.
    pub(super) fn enroll(&mut self, id: HolderId, quota: Quota) {
        if self.holders.get(&id).is_some_and(|holder| holder.quota == quota) {
            return;
        }
        let holder = self.holders.entry(id).or_default();
        holder.quota = quota;
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

    /// What must be the same when it is read from the file: when lanes give, and how much is held by whom.
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
    pub(super) fn leave(&mut self, id: HolderId) {
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
    fn rota(lanes: i64) -> Rota {
        let mut rota = Rota::default();
        (1..=lanes).for_each(|lane| rota.set(lane, waiting(lane, NOW), NOW));
        rota.enroll(ANA, Quota::default().with_per_tenant(2));
        rota
    }

    fn take(rota: &mut Rota) -> Option<LaneId> {
        let lane = rota.first(ANA)?;
        rota.take(ANA, &acme(), HookId::new(lane), LaneClass::Proven);
        rota.end_turn(ANA, lane);
        rota.set(lane, waiting(lane, NOW), NOW);
        Some(lane)
    }

    #[test]
    fn lanes_without_room_are_parked_until_there_is_room() {
        let mut rota = rota(1_000);
        assert_eq!([take(&mut rota), take(&mut rota), take(&mut rota)], [Some(1), Some(2), None]);
        let nothing_to_look_at = rota.holders[&ANA].ring.first(|_| true);
        assert_eq!(nothing_to_look_at, None);
        rota.give_back(ANA, &acme(), HookId::new(1), LaneClass::Proven);
        assert!(take(&mut rota).is_some());
        assert_eq!(take(&mut rota), None);
    }

    #[test]
    fn a_ready_lane_keeps_its_turn_whatever_is_learnt_of_it() {
        let mut rota = rota(2);
        rota.set(1, waiting(1, NOW), NOW);
        assert_eq!([take(&mut rota), take(&mut rota)], [Some(1), Some(2)]);
    }

    #[test]
    fn a_lane_is_ready_when_its_time_has_come_and_not_before() {
        let later = NOW.plus(std::time::Duration::from_millis(5));
        let mut rota = rota(0);
        rota.set(7, waiting(7, later), NOW);
        rota.fire(NOW);
        assert_eq!((rota.first(ANA), rota.next_timer()), (None, Some(later)));
        rota.add(7, waiting(7, later.plus(std::time::Duration::MAX)).expect("some"), NOW);
        rota.fire(later);
        assert_eq!((rota.first(ANA), rota.next_timer()), (Some(7), None));
        rota.set(7, None, later);
        assert_eq!(rota.first(ANA), None);
    }
}
