//! Recovering: redelivers what a webhook has missed, step by step, and delivers what it was skipped for.

use std::ops::Bound;
use std::sync::Arc;

use super::state::{Row, RowState, State};
use crate::model::{DeliveryId, End, InvalidCursor, TenantId, Timestamp};
use crate::store::publication::{Addition, Recovered, Recovery, Redelivery};
use crate::store::records::RoutingRecord;
use crate::store::schedule::Turn;

/// The most deliveries at which one step looks.
const MAX_LOOKED_AT: usize = 1000;

impl State {
    /// Makes a delivery of an event to a webhook that has none of it.
    pub(super) fn add(&mut self, tenant: &TenantId, item: &Addition, now: Timestamp) -> Option<DeliveryId> {
        let (key, record) =
            ((tenant.clone(), item.hook), self.tenants.get(tenant)?.events.get(&item.message)?);
        let is_of_it = |id: &DeliveryId| self.rows.get(id).is_some_and(|row| row.lane == key);
        if record.routing == RoutingRecord::Waiting || record.deliveries.iter().any(is_of_it) {
            return None;
        }
        record.with_payload()?;
        let event = Arc::clone(&record.event);
        let id = self.insert_row(&key, &event, None, Turn::Retry, (now, now.plus(item.expires)))?;
        self.refresh(&key, now);
        Some(id)
    }

    pub(super) fn recover(
        &mut self,
        tenant: &TenantId,
        recovery: &Recovery,
        now: Timestamp,
    ) -> Result<Recovered, InvalidCursor> {
        let before =
            recovery.page.cursor_as()?.map_or(Bound::Unbounded, |id| Bound::Excluded(DeliveryId::new(id)));
        let known = self.tenants.get(tenant).map(|tenant| &tenant.deliveries);
        let older = known.into_iter().flat_map(|ids| ids.range((Bound::Unbounded, before)).rev());
        let older: Vec<DeliveryId> = older.take(MAX_LOOKED_AT).copied().collect();
        let (mut made, mut last) = (0, None);
        for id in older {
            if made == recovery.page.limit() {
                break;
            }
            last = Some(id);
            let missed = self.rows.get(&id).is_some_and(|row| row.is_missed(recovery));
            let again = Redelivery { origin: id, expires: recovery.expires };
            made += usize::from(missed && self.redeliver(tenant, &again, Turn::Retry, now).is_some());
        }
        let oldest = self.tenants.get(tenant).and_then(|tenant| tenant.deliveries.first().copied());
        let next = last.filter(|last| oldest < Some(*last)).map(|last| last.to_string());
        Ok(Recovered { made, next })
    }
}

impl Row {
    /// Returns whether the webhook has missed it, and it was not redelivered yet.
    fn is_missed(&self, recovery: &Recovery) -> bool {
        let is_missed = match self.state {
            RowState::Ended(End::Exhausted | End::Expired, at) => at.date >= recovery.since,
            RowState::Due(_) | RowState::Ended(..) | RowState::Held => false,
        };
        is_missed && !self.is_repeated && self.lane.1 == recovery.hook
    }
}
