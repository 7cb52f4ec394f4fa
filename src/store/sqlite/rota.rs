use std::collections::{BTreeSet, HashMap};

use super::super::{Held, HolderId, Quota};
use super::ring::Ring;
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

#[derive(Debug, Default)]
struct Holder {
    quota: Quota,
    held: Held,
    ring: Ring,
}

impl Rota {
    /// Whether deliveries wait in the lane.
    pub(super) fn has(&self, lane: LaneId) -> bool {
        self.lanes.contains_key(&lane)
    }

    /// Puts down what is true of a lane now.
    pub(super) fn set(&mut self, lane: LaneId, waiting: Option<Waiting>, now: Timestamp) {
        self.forget(lane);
        let Some(waiting) = waiting else { return };
        if waiting.when <= now {
            self.holders.values_mut().for_each(|holder| holder.ring.add(lane, waiting.class));
        } else {
            self.timers.insert((waiting.when, lane));
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
            holder.ring.remove(lane);
            holder.ring.unpark(lane, &old.tenant);
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
            self.holders.values_mut().for_each(|holder| holder.ring.add(lane, waiting.class));
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
            holder.ring.park(lane, &waiting.tenant);
        }
    }

    /// The holder, known from now on: every lane that is ready waits in its ring.
    pub(super) fn enroll(&mut self, id: HolderId, quota: Quota) {
        if self.holders.get(&id).is_some_and(|holder| holder.quota == quota) {
            return;
        }
        let holder = self.holders.entry(id).or_default();
        holder.quota = quota;
        holder.ring = Ring::default();
        let ready = self.lanes.iter().filter(|(lane, it)| !self.timers.contains(&(it.when, **lane)));
        let mut ready: Vec<_> = ready.map(|(lane, it)| (it.when, *lane, it.class)).collect();
        ready.sort_unstable_by_key(|(when, lane, _)| (*when, *lane));
        ready.into_iter().for_each(|(_, lane, class)| holder.ring.add(lane, class));
    }

    /// How much more of this lane the holder may take.
    pub(super) fn room(&self, id: HolderId, tenant: &TenantId, hook: HookId, class: LaneClass) -> usize {
        self.holders.get(&id).map_or(0, |holder| holder.room(tenant, hook, class))
    }

    /// Counts a claim.
    pub(super) fn take(&mut self, id: HolderId, tenant: &TenantId, hook: HookId, class: LaneClass) {
        self.holders.entry(id).or_default().held.take(tenant, hook, class);
    }

    /// Counts a claim less. The room may be room for any lane of the tenant.
    pub(super) fn give_back(&mut self, id: HolderId, tenant: &TenantId, hook: HookId, class: LaneClass) {
        let Some(holder) = self.holders.get_mut(&id) else { return };
        holder.held.give_back(tenant, hook, class);
        for lane in holder.ring.unpark_all(tenant) {
            if let Some(waiting) = self.lanes.get(&lane) {
                holder.ring.add(lane, waiting.class);
            }
        }
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
}
