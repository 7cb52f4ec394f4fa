use std::sync::Arc;

use super::super::{
    Claim, ClaimRequest, Publication, PublishAnswer, Receipt, Redelivery, RouteAnswer, Routed, Routing,
    RoutingRecord, StoreErrorKind,
};
use super::state::{EventRow, LaneKey, State};
use crate::model::{DeliveryId, StampedEvent, TenantId, Timestamp};

impl State {
    pub(super) fn publish(
        &mut self,
        item: &Publication,
        hold: Option<&ClaimRequest>,
        held: &mut Vec<Claim>,
        now: Timestamp,
    ) -> PublishAnswer {
        let tenant = self.tenants.entry(item.tenant.clone()).or_default();
        if let Some(first) = tenant.events.get(&item.event.message_id) {
            let same = first.digest == item.digest;
            return if same { PublishAnswer::Duplicate(first.receipt) } else { PublishAnswer::IdReused };
        }
        if tenant.revision != item.routed_at {
            return PublishAnswer::Stale(tenant.revision);
        }
        if !self.has_lanes(&item.tenant, &item.routing) {
            return StoreErrorKind::Corrupt.into();
        }
        let event = Arc::new(item.event.clone());
        let receipt = self.insert_event(&item.tenant, &event, item.digest, now);
        self.set_routing(&item.tenant, &event, &item.routing, now);
        let times = (now, now.plus(item.expires));
        for hook in &item.routing.targets {
            self.deliver_to(&(item.tenant.clone(), *hook), &event, times, hold, held);
        }
        let (targets, skipped) = (item.routing.targets.len(), item.routing.skipped.len());
        PublishAnswer::Stored(Receipt { targets, skipped, ..receipt })
    }

    fn has_lanes(&self, tenant: &TenantId, routing: &Routing) -> bool {
        let live = |key: LaneKey| self.lanes.get(&key).is_some_and(|lane| !lane.deleted);
        routing.targets.iter().all(|hook| live((tenant.clone(), *hook)))
    }

    fn insert_event(
        &mut self,
        tenant: &TenantId,
        event: &Arc<StampedEvent>,
        digest: [u8; 32],
        now: Timestamp,
    ) -> Receipt {
        let receipt = Receipt { published_at: now, targets: 0, skipped: 0 };
        let row = EventRow {
            event: Arc::clone(event),
            digest,
            receipt,
            routing: RoutingRecord::Waiting,
            deliveries: Vec::new(),
            open: 0,
            ended_at: None,
        };
        let tenant = self.tenants.entry(tenant.clone()).or_default();
        tenant.events.insert(event.message_id.clone(), row);
        receipt
    }

    /// Writes down what routing decided; an event that goes nowhere has ended.
    fn set_routing(&mut self, name: &TenantId, event: &StampedEvent, routing: &Routing, now: Timestamp) {
        let record = RoutingRecord::Routed(routing.skipped.clone());
        let nowhere = routing.targets.is_empty();
        let Some(row) = self.record(name, event, record, nowhere.then_some(now)) else { return };
        row.receipt.targets = routing.targets.len();
        row.receipt.skipped = routing.skipped.len();
    }

    fn record(
        &mut self,
        name: &TenantId,
        event: &StampedEvent,
        routing: RoutingRecord,
        ended_at: Option<Timestamp>,
    ) -> Option<&mut EventRow> {
        if let Some(at) = ended_at {
            self.ended.insert((at, name.clone(), event.message_id.clone()));
        }
        let row = self.tenants.get_mut(name)?.events.get_mut(&event.message_id)?;
        row.routing = routing;
        row.ended_at = ended_at;
        Some(row)
    }

    fn deliver_to(
        &mut self,
        key: &LaneKey,
        event: &Arc<StampedEvent>,
        times: (Timestamp, Timestamp),
        hold: Option<&ClaimRequest>,
        held: &mut Vec<Claim>,
    ) {
        let idle = self.lanes.get(key).is_some_and(|lane| lane.due.is_empty());
        let Some(id) = self.insert_row(key, event, None, times) else { return };
        if let Some(request) = hold.filter(|_| idle) {
            self.enroll(request.holder, request.quota, times.0);
            if self.may_hold(key, event, request, held, times.0) {
                held.extend(self.hold(key, id, request, times.0));
            }
        }
        self.refresh(key, times.0);
    }

    fn may_hold(
        &self,
        key: &LaneKey,
        event: &StampedEvent,
        request: &ClaimRequest,
        held: &[Claim],
        now: Timestamp,
    ) -> bool {
        let (Some(lane), Some(holder)) = (self.lanes.get(key), self.holders.get(&request.holder)) else {
            return false;
        };
        let room = holder.held.room(&request.quota, &key.0, key.1, lane.health.class());
        let size = |event: &StampedEvent| event.payload.get().len();
        let bytes: usize = held.iter().map(|claim| size(&claim.event)).sum();
        let fits = held.len() < request.limit && bytes + size(event) <= request.max_bytes;
        fits && room > 0 && lane.backoff_until <= now && lane.hook.webhook.status().is_enabled()
    }

    /// Tells whether what the tenant has under this message id is this event.
    pub(super) fn publish_unrouted(&mut self, name: &TenantId, event: StampedEvent, now: Timestamp) -> bool {
        let (tenant, digest) = (self.tenants.entry(name.clone()).or_default(), event.digest());
        if let Some(first) = tenant.events.get(&event.message_id) {
            return first.digest == digest;
        }
        tenant.unrouted.push_back(event.message_id.clone());
        self.unrouted.insert(name.clone());
        self.insert_event(name, &Arc::new(event), digest, now);
        true
    }

    pub(super) fn route(&mut self, item: &Routed, now: Timestamp) -> RouteAnswer {
        let name = &item.unrouted.tenant;
        let Some(tenant) = self.tenants.get_mut(name) else { return RouteAnswer::Fenced };
        let fence = tenant.routing.as_ref().map(|lease| lease.fence);
        let id = &item.unrouted.event.message_id;
        if fence != Some(item.unrouted.fence) || tenant.unrouted.front() != Some(id) {
            return RouteAnswer::Fenced;
        }
        if tenant.revision != item.routed_at {
            tenant.routing = None;
            return RouteAnswer::Stale(tenant.revision);
        }
        tenant.unrouted.pop_front();
        if tenant.unrouted.is_empty() {
            self.unrouted.remove(name);
        }
        tenant.routing = tenant.routing.take().and_then(|mut lease| {
            lease.left = lease.left.saturating_sub(1);
            (lease.left > 0).then_some(lease)
        });
        self.apply_routing(item, now);
        RouteAnswer::Routed
    }

    fn apply_routing(&mut self, item: &Routed, now: Timestamp) {
        let name = &item.unrouted.tenant;
        let routing = match &item.routing {
            Ok(routing) => routing,
            Err(reason) => {
                let record = RoutingRecord::Unroutable(reason.clone());
                self.record(name, &item.unrouted.event, record, Some(now));
                return;
            }
        };
        self.set_routing(name, &item.unrouted.event, routing, now);
        let events = self.tenants.get(name).map(|tenant| &tenant.events);
        let event = events.and_then(|events| events.get(&item.unrouted.event.message_id));
        let Some(event) = event.map(|row| Arc::clone(&row.event)) else { return };
        for hook in &routing.targets {
            let times = (now, now.plus(item.expires));
            self.deliver_to(&(name.clone(), *hook), &event, times, None, &mut Vec::new());
        }
    }

    pub(super) fn redeliver(
        &mut self,
        tenant: &TenantId,
        item: &Redelivery,
        now: Timestamp,
    ) -> Option<DeliveryId> {
        let row = self.rows.get(&item.origin).filter(|row| row.lane.0 == *tenant)?;
        let (key, event) = (row.lane.clone(), Arc::clone(&row.event));
        let id = self.insert_row(&key, &event, Some(item.origin), (now, now.plus(item.expires)))?;
        self.refresh(&key, now);
        Some(id)
    }
}
