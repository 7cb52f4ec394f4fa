//! The lanes: when they are ready, and what waits again after its lease.

use super::state::{LaneKey, RowState, State};
use crate::model::{DeliveryId, End, Timestamp};
use crate::store::pace::Pace;
use crate::store::schedule::{Turn, Waiting};

impl State {
    /// Brings the schedule in line with what a lane has to give: the one place that decides whether a lane is ready.
    /// Called after every change of a lane, it strands nothing.
    pub(super) fn refresh(&mut self, key: &LaneKey, now: Timestamp) {
        let waiting = self.waiting(key);
        self.schedule.set(key, waiting, now);
    }

    /// The lane's entry in the schedule; `None` when it has nothing to give, or may not give it.
    fn waiting(&self, key: &LaneKey) -> Option<Waiting> {
        let lane = self.lanes.get(key)?;
        if !self.is_served(key) || lane.queue.is_empty() {
            return None;
        }
        let gives =
            |turn| lane.queue.first(turn).map(|(due, _)| lane.backoff_until.map_or(due, |it| it.max(due)));
        Some(Waiting {
            tenant: key.0.clone(),
            hook: key.1,
            class: lane.health.class(),
            pace: Pace::of(&lane.hook.options),
            first_attempt: gives(Turn::FirstAttempt),
            retry: gives(Turn::Retry),
        })
    }

    /// Whether the deliveries of a lane are made.
    pub(super) fn is_served(&self, key: &LaneKey) -> bool {
        let is_suspended = self.tenants.get(&key.0).is_some_and(|tenant| tenant.suspended.is_some());
        let is_active = self.lanes.get(key).is_some_and(|lane| !lane.deleted && lane.hook.is_active());
        is_active && !is_suspended
    }

    /// Makes due again what was claimed under leases that have ended.
    pub(super) fn end_leases(&mut self, now: Timestamp) {
        let ended: Vec<_> = self.leases.ended(now).collect();
        ended.into_iter().for_each(|id| self.requeue(id, now, now));
    }

    /// Gives up the claim on a delivery, whoever holds it, and lets it wait until `due`.
    pub(super) fn requeue(&mut self, id: DeliveryId, due: Timestamp, now: Timestamp) {
        if let Some(key) = self.end_lease(id, now) {
            self.wait(id, due);
            self.refresh(&key, now);
        }
    }

    /// Ends the lease of a held delivery, leaving it neither held nor waiting.
    pub(super) fn end_lease(&mut self, id: DeliveryId, now: Timestamp) -> Option<LaneKey> {
        let lease = self.leases.remove(id)?;
        self.schedule.give_back(&lease.place, now);
        Some(lease.place.lane)
    }

    /// Lets a delivery that was held wait until `due`; one of an earlier epoch is cancelled instead.
    fn wait(&mut self, id: DeliveryId, due: Timestamp) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        match self.lanes.get_mut(&row.lane) {
            Some(lane) if lane.epoch == row.epoch => {
                row.state = RowState::Due(due);
                lane.queue.insert(row.turn, (due, id));
            }
            _ => self.end_row(id, End::Cancelled, self.present),
        }
    }
}
