//! The lanes: which are ready, and for which holders.

use super::state::{Holder, LaneKey, RowState, State};
use crate::model::{DeliveryId, End, HookId, Status, TenantId, Timestamp};
use crate::store::lease::HolderId;
use crate::store::quota::{HeldCounts, Quota};
use crate::store::ring::Ring;

impl State {
    /// Brings the rings and the timer of a lane in line with what it has to give: the one place that
    /// decides whether a lane is ready. Called after every change of a lane, it strands nothing.
    pub(super) fn refresh(&mut self, key: &LaneKey, now: Timestamp) {
        let when = self.gives_at(key);
        let ready = when.is_some_and(|when| when <= now);
        self.set_timer(key, when.filter(|_| !ready));
        let Some(lane) = self.lanes.get(key) else {
            self.holders.values_mut().for_each(|holder| holder.ring.remove(key));
            return;
        };
        let class = lane.health.class();
        for holder in self.holders.values_mut() {
            // Room in all is asked when it is claimed: it comes back by whatever any tenant gives back.
            if ready && holder.held.room_in_lane(&holder.quota, &key.0, key.1, class) > 0 {
                holder.ring.add(key, class);
            } else {
                holder.ring.remove(key);
            }
        }
    }

    /// When the lane has something to give; `None` when it has nothing, or may not give it.
    fn gives_at(&self, key: &LaneKey) -> Option<Timestamp> {
        let lane = self.lanes.get(key)?;
        let enabled = !lane.deleted && lane.hook.webhook.status() == Status::Enabled;
        let (due, _) = lane.due.first().filter(|_| enabled)?;
        Some(lane.backoff_until.max(*due))
    }

    fn set_timer(&mut self, key: &LaneKey, timer: Option<Timestamp>) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if let Some(present) = std::mem::replace(&mut lane.timer, timer) {
            self.timers.remove(&(present, key.clone()));
        }
        if let Some(at) = timer {
            self.timers.insert((at, key.clone()));
        }
    }

    /// Readies the lanes whose time has come.
    pub(super) fn fire_timers(&mut self, now: Timestamp) {
        while let Some((at, key)) = self.timers.first().cloned() {
            if at > now {
                break;
            }
            self.refresh(&key, now);
        }
    }

    /// Makes due again what was claimed under leases that have ended.
    pub(super) fn end_leases(&mut self, now: Timestamp) {
        while let Some((until, id)) = self.leases.first().copied() {
            if until > now {
                break;
            }
            self.requeue(id, now, now);
        }
    }

    /// Gives up the claim on a delivery, whoever holds it, and lets it wait until `due`.
    pub(super) fn requeue(&mut self, id: DeliveryId, due: Timestamp, now: Timestamp) {
        if let Some(key) = self.take_lease(id, now) {
            self.wait(id, due, now);
            self.refresh(&key, now);
        }
    }

    /// Ends the lease of a held delivery, leaving it neither held nor waiting.
    pub(super) fn take_lease(&mut self, id: DeliveryId, now: Timestamp) -> Option<LaneKey> {
        let row = self.rows.get(&id)?;
        let RowState::Held(lease) = row.state else { return None };
        let key = row.lane.clone();
        self.leases.remove(&(lease.until, id));
        if let Some(holder) = self.holders.get_mut(&lease.holder) {
            holder.held.give_back(&key.0, key.1, lease.class);
        }
        self.refresh_tenant(&key.0, now);
        Some(key)
    }

    /// Lets a delivery that was held wait until `due`; one of an earlier epoch is cancelled instead.
    fn wait(&mut self, id: DeliveryId, due: Timestamp, now: Timestamp) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        match self.lanes.get_mut(&row.lane) {
            Some(lane) if lane.epoch == row.epoch => {
                row.state = RowState::Due(due);
                lane.due.insert((due, id));
            }
            _ => self.end_row(id, End::Cancelled, now),
        }
    }

    /// Room that was given back may be room for any lane of the tenant.
    fn refresh_tenant(&mut self, tenant: &TenantId, now: Timestamp) {
        let hooks: Vec<HookId> =
            self.tenants.get(tenant).into_iter().flat_map(|it| it.hooks.iter().copied()).collect();
        hooks.into_iter().for_each(|hook| self.refresh(&(tenant.clone(), hook), now));
    }

    /// Adds a holder, or changes its quota: its ring then has every lane that is ready.
    pub(super) fn enroll(&mut self, id: HolderId, quota: Quota, now: Timestamp) {
        if let Some(known) = self.holders.get_mut(&id) {
            // Room in all is asked when it is claimed, so no lane has to be looked at because it changes.
            let keeps_lanes = known.quota.with_in_all(quota.in_all()) == quota;
            known.quota = quota;
            if keeps_lanes {
                return;
            }
        }
        let new = || Holder { quota, held: HeldCounts::default(), ring: Ring::default() };
        self.holders.entry(id).or_insert_with(new).quota = quota;
        let mut keys: Vec<_> = self.lanes.keys().cloned().collect();
        // Their first turns are not left to the order of a hash map, so that a simulated run repeats.
        keys.sort_unstable();
        keys.iter().for_each(|key| self.refresh(key, now));
    }
}
