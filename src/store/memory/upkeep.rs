//! Upkeep: expires deliveries, ends dropped ones, removes events after retention, and erases payloads and tenants.

use std::sync::Arc;

use super::state::{LaneKey, RowState, State};
use crate::model::{Attempt, DeliveryId, End, MessageId, TenantId, Timestamp};
use crate::store::error::{StoreError, StoreErrorKind};
use crate::store::records::{Erased, RoutingRecord, TendRequest, Tended};
use crate::store::time::KeptTime;

impl State {
    pub(super) fn tend(&mut self, request: &TendRequest, now: Timestamp) -> Tended {
        let expired = self.expire(request.limit, now);
        let swept = self.sweep(request.limit);
        let removed = self.remove_ended(request, now);
        let stripped = self.strip_ended(request, now);
        let hours = self.remove_hours(request);
        self.schedule.forget_idle_holders(now);
        let more = [expired, swept, removed, stripped, hours].contains(&request.limit);
        Tended { expired, swept, removed, stripped, more }
    }

    /// Ends waiting deliveries whose time is up. Held ones are ended by whoever holds them, and those of a
    /// dropped backlog are swept: they were cancelled before.
    fn expire(&mut self, limit: usize, now: Timestamp) -> usize {
        let over = self.expiries.iter().take_while(|(expires, _)| *expires <= now).map(|(_, id)| *id);
        let waiting = over.filter_map(|id| {
            let row = self.rows.get(&id)?;
            let present = self.lanes.get(&row.lane)?.epoch == row.epoch;
            match row.state {
                RowState::Due(due) if present => Some((id, due)),
                RowState::Due(_) | RowState::Ended(..) | RowState::Held => None,
            }
        });
        let expired: Vec<_> = waiting.take(limit).collect();
        for (id, due) in &expired {
            self.end_waiting(*id, *due, End::Expired, now);
        }
        expired.len()
    }

    fn end_waiting(&mut self, id: DeliveryId, due: Timestamp, end: End, now: Timestamp) {
        let Some((key, turn)) = self.rows.get(&id).map(|row| (row.lane.clone(), row.turn)) else { return };
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.queue.remove(turn, (due, id));
        }
        self.end_row(id, end, self.present);
        self.refresh(&key, now);
    }

    fn sweep(&mut self, limit: usize) -> usize {
        let mut swept = 0;
        while swept < limit {
            let Some(queue) = self.dropped.front_mut() else { break };
            let Some((_, id)) = queue.pop() else {
                self.dropped.pop_front();
                continue;
            };
            if let Some(at) = self.dropped_at(id) {
                self.end_row(id, End::Cancelled, at);
                swept += 1;
            }
        }
        swept
    }

    /// When the backlog was dropped in which this delivery still waits.
    fn dropped_at(&self, id: DeliveryId) -> Option<KeptTime> {
        let row = self.rows.get(&id).filter(|row| matches!(row.state, RowState::Due(_)))?;
        self.lanes.get(&row.lane).map(|lane| lane.epoch_at)
    }

    fn remove_ended(&mut self, request: &TendRequest, now: Timestamp) -> usize {
        let before = now.minus(request.keep);
        let mut removed = 0;
        while removed < request.limit {
            let Some((at, tenant, message)) = self.ended.first().cloned() else { break };
            if at >= before {
                break;
            }
            self.remove_event(&tenant, &message, now);
            removed += 1;
        }
        removed
    }

    /// Removes payloads of events that have ended.
    fn strip_ended(&mut self, request: &TendRequest, now: Timestamp) -> usize {
        let before = now.minus(request.keep_payloads);
        let mut stripped = 0;
        while stripped < request.limit && self.full.first().is_some_and(|(at, ..)| *at < before) {
            let Some((_, tenant, message)) = self.full.pop_first() else { break };
            self.strip(&tenant, &message);
            stripped += 1;
        }
        stripped
    }

    fn strip(&mut self, name: &TenantId, id: &MessageId) {
        let events = self.tenants.get_mut(name).map(|tenant| &mut tenant.events);
        let Some(event) = events.and_then(|events| events.get_mut(id)) else { return };
        event.has_payload = false;
        event.event = Arc::new(event.event.without_payload());
        for delivery in &event.deliveries {
            if let Some(row) = self.rows.get_mut(delivery) {
                row.event = Arc::clone(&event.event);
            }
        }
    }

    /// Removes the payload of an event with all that was to come of it and all answers.
    pub(super) fn erase_payload(
        &mut self,
        name: &TenantId,
        id: &MessageId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let event = self.tenants.get(name).and_then(|tenant| tenant.events.get(id));
        let Some(event) = event else { return Ok(false) };
        if event.routing == RoutingRecord::Waiting {
            return Err(StoreErrorKind::Conflict.into());
        }
        for delivery in event.deliveries.clone() {
            self.erase_delivery(delivery, now);
        }
        self.strip(name, id);
        Ok(true)
    }

    fn erase_delivery(&mut self, id: DeliveryId, now: Timestamp) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        row.attempts = std::mem::take(&mut row.attempts).into_iter().map(Attempt::without_answer).collect();
        let (state, is_dropped) =
            (row.state, self.lanes.get(&row.lane).is_none_or(|it| it.epoch != row.epoch));
        match state {
            RowState::Due(due) if !is_dropped => self.end_waiting(id, due, End::Erased, now),
            RowState::Held => {
                let lane = self.end_lease(id, now);
                self.end_row(id, End::Erased, self.present);
                lane.iter().for_each(|lane| self.refresh(lane, now));
            }
            RowState::Due(_) | RowState::Ended(..) => {}
        }
    }

    /// Removes an event with its deliveries, held ones too.
    fn remove_event(&mut self, name: &TenantId, id: &MessageId, now: Timestamp) {
        let Some(tenant) = self.tenants.get_mut(name) else { return };
        let Some(row) = tenant.events.remove(id) else { return };
        if let Some(at) = row.ended_at {
            let key = (at, name.clone(), id.clone());
            self.ended.remove(&key);
            self.full.remove(&key);
        }
        row.deliveries.into_iter().for_each(|delivery| self.remove_row(delivery, now));
    }

    fn remove_row(&mut self, id: DeliveryId, now: Timestamp) {
        self.end_lease(id, now);
        let Some(row) = self.rows.remove(&id) else { return };
        self.expiries.remove(&(row.expires, id));
        if let Some(tenant) = self.tenants.get_mut(&row.lane.0) {
            tenant.deliveries.remove(&id);
        }
        if let Some(lane) = self.lanes.get_mut(&row.lane) {
            lane.rows = lane.rows.saturating_sub(1);
            if let RowState::Due(due) = row.state {
                lane.queue.remove(row.turn, (due, id));
            }
        }
        self.forget_lane(&row.lane);
    }

    pub(super) fn erase(&mut self, name: &TenantId, limit: usize, now: Timestamp) -> Erased {
        self.delete_webhooks(name, now);
        let Some(tenant) = self.tenants.get_mut(name) else { return Erased { more: false } };
        tenant.unrouted.clear();
        self.unrouted.remove(name);
        tenant.routing = None;
        let messages: Vec<_> = tenant.events.keys().take(limit).cloned().collect();
        messages.iter().for_each(|message| self.remove_event(name, message, now));
        Erased { more: self.tenants.get(name).is_some_and(|tenant| !tenant.events.is_empty()) }
    }

    fn delete_webhooks(&mut self, name: &TenantId, now: Timestamp) {
        let Some(tenant) = self.tenants.get_mut(name) else { return };
        let keys: Vec<LaneKey> = tenant.hooks.iter().map(|hook| (name.clone(), *hook)).collect();
        let live = |key: &&LaneKey| self.lanes.get(*key).is_some_and(|lane| !lane.deleted);
        let live: Vec<LaneKey> = keys.iter().filter(live).cloned().collect();
        if live.is_empty() {
            return;
        }
        tenant.revision = tenant.revision.next();
        live.iter().for_each(|key| self.delete_lane(key, now));
    }
}
