//! Settling and releasing claims.

use std::sync::Arc;

use super::state::{LaneKey, Row, State};
use crate::delivery::Next;
use crate::model::{DeliveryId, Disabled, Timestamp};
use crate::store::lease::HolderId;
use crate::store::settlement::{Disable, Effect, Settled, Settlement};

impl State {
    pub(super) fn settle(&mut self, item: &Settlement, now: Timestamp) -> Settled {
        let is_held = self.leases.under(item.id, item.fence).is_some();
        let Some(row) = self.rows.get_mut(&item.id).filter(|_| is_held) else { return Settled::Fenced };
        row.retry = item.retry;
        if let Some(attempt) = &item.attempt {
            row.log(attempt);
        }
        let key = row.lane.clone();
        let effect = self.settle_lane(&key, item, now);
        self.settle_row(item.id, item.next, now);
        self.refresh(&key, now);
        let end = self.rows.get(&item.id).and_then(Row::end);
        Settled::Applied(Effect { end, ..effect })
    }

    fn settle_row(&mut self, id: DeliveryId, next: Next, now: Timestamp) {
        match next {
            Next::Again(after) => self.requeue(id, now.plus(after), now),
            Next::End(end) => {
                self.end_lease(id, now);
                self.end_row(id, end, self.present);
            }
            Next::Extend(by) => self.leases.extend(id, now.plus(by)),
            Next::Release => self.requeue(id, now, now),
        }
    }

    fn settle_lane(&mut self, key: &LaneKey, item: &Settlement, now: Timestamp) -> Effect {
        let Some(lane) = self.lanes.get_mut(key) else { return Effect::default() };
        let before = lane.health;
        lane.health = item.health_after(before, self.present.date);
        lane.backoff_until = item.backoff_after(lane.backoff_until, now);
        let effect = Effect::of_health(before, lane.health);
        let disable = item.disable.filter(|_| !lane.deleted);
        Effect { disabled: disable.and_then(|disable| self.disable(key, disable)), ..effect }
    }

    /// Disables a webhook by hookwire's own decision, if it is still the one that was judged.
    fn disable(&mut self, key: &LaneKey, disable: Disable) -> Option<Disabled> {
        let lane = self.lanes.get_mut(key)?;
        let hook = disable.applied_to(&lane.hook, &lane.health, self.present.date)?;
        let disabled = hook.disabled;
        lane.hook = Arc::new(hook);
        if let Some(tenant) = self.tenants.get_mut(&key.0) {
            tenant.revision = tenant.revision.next();
        }
        disabled
    }

    pub(super) fn release(&mut self, holder: HolderId, now: Timestamp) {
        let ids: Vec<_> = self.leases.of(holder).collect();
        ids.into_iter().for_each(|id| self.requeue(id, now, now));
        let routing = self.tenants.values_mut().map(|tenant| &mut tenant.routing);
        let ours = routing.filter(|it| it.as_ref().is_some_and(|lease| lease.holder == holder));
        ours.for_each(|lease| *lease = None);
        self.schedule.remove_holder(holder);
    }
}
