//! Publishing: events with their deliveries, and redeliveries.

use std::sync::Arc;

use super::state::{EventRow, LaneKey, State};
use crate::model::{DeliveryId, StampedEvent, TenantId, Timestamp};
use crate::store::claim::{Claim, ClaimRequest};
use crate::store::error::StoreErrorKind;
use crate::store::publication::{Publication, PublishAnswer, Receipt, Redelivery, is_same};
use crate::store::records::RoutingRecord;
use crate::store::routing::Routing;
use crate::store::schedule::Turn;

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
            return item.judge(&first.digest, first.with_payload(), first.receipt);
        }
        if tenant.revision != item.routed_at {
            return PublishAnswer::Stale(tenant.revision);
        }
        if !self.has_lanes(&item.tenant, &item.routing) {
            return StoreErrorKind::Corrupt.into();
        }
        let event = &item.event;
        let receipt = self.insert_event(&item.tenant, event, item.digest);
        self.set_routing(&item.tenant, event, &item.routing, now);
        let times = (now, now.plus(item.expires));
        for hook in &item.routing.targets {
            self.deliver_to(&(item.tenant.clone(), *hook), event, times, hold, held);
        }
        let (targets, skipped) = (item.routing.targets.len(), item.routing.skipped.len());
        PublishAnswer::Stored(Receipt { targets, skipped, ..receipt })
    }

    fn has_lanes(&self, tenant: &TenantId, routing: &Routing) -> bool {
        let live = |key: LaneKey| self.lanes.get(&key).is_some_and(|lane| !lane.deleted);
        routing.targets.iter().all(|hook| live((tenant.clone(), *hook)))
    }

    fn insert_event(&mut self, tenant: &TenantId, event: &Arc<StampedEvent>, digest: [u8; 32]) -> Receipt {
        let receipt = Receipt { published_at: self.present.date, targets: 0, skipped: 0 };
        self.last_event += 1;
        let row = EventRow {
            number: self.last_event,
            event: Arc::clone(event),
            digest,
            has_payload: true,
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
    pub(super) fn set_routing(
        &mut self,
        name: &TenantId,
        event: &StampedEvent,
        routing: &Routing,
        now: Timestamp,
    ) {
        let record = RoutingRecord::Routed(routing.skipped.clone());
        let nowhere = routing.targets.is_empty();
        let Some(row) = self.record(name, event, record, nowhere.then_some(now)) else { return };
        row.receipt.targets = routing.targets.len();
        row.receipt.skipped = routing.skipped.len();
    }

    pub(super) fn record(
        &mut self,
        name: &TenantId,
        event: &StampedEvent,
        routing: RoutingRecord,
        ended_at: Option<Timestamp>,
    ) -> Option<&mut EventRow> {
        if let Some(at) = ended_at {
            self.note_ended((at, name.clone(), event.message_id.clone()));
        }
        let row = self.tenants.get_mut(name)?.events.get_mut(&event.message_id)?;
        row.routing = routing;
        row.ended_at = ended_at;
        Some(row)
    }

    pub(super) fn deliver_to(
        &mut self,
        key: &LaneKey,
        event: &Arc<StampedEvent>,
        times: (Timestamp, Timestamp),
        hold: Option<&ClaimRequest>,
        held: &mut Vec<Claim>,
    ) {
        let (now, _) = times;
        let idle = self.lanes.get(key).is_some_and(|lane| lane.queue.is_empty());
        if self.insert_row(key, event, None, Turn::FirstAttempt, times).is_none() {
            return;
        }
        self.refresh(key, now);
        if let Some(request) = hold.filter(|request| idle && fits(event, request, held)) {
            self.schedule.add_holder(request, now);
            if self.schedule.may_take(request.holder, key, now) {
                held.extend(self.hold(key, Turn::FirstAttempt, request, now));
            }
        }
    }

    /// Tells whether what the tenant has under this message id is this event.
    pub(super) fn publish_unrouted(&mut self, name: &TenantId, event: StampedEvent) -> bool {
        let (tenant, digest) = (self.tenants.entry(name.clone()).or_default(), event.digest());
        if let Some(first) = tenant.events.get(&event.message_id) {
            return is_same(&event, &digest, &first.digest, first.with_payload());
        }
        tenant.unrouted.push_back(event.message_id.clone());
        self.unrouted.insert(name.clone());
        self.insert_event(name, &Arc::new(event), digest);
        true
    }

    pub(super) fn redeliver(
        &mut self,
        tenant: &TenantId,
        item: &Redelivery,
        turn: Turn,
        now: Timestamp,
    ) -> Option<DeliveryId> {
        let row = self.rows.get(&item.origin).filter(|row| row.lane.0 == *tenant)?;
        let (key, event) = (row.lane.clone(), Arc::clone(&row.event));
        let record = self.tenants.get(tenant)?.events.get(&event.message_id)?;
        record.with_payload()?;
        let id = self.insert_row(&key, &event, Some(item.origin), turn, (now, now.plus(item.expires)))?;
        self.refresh(&key, now);
        Some(id)
    }
}

/// Whether one more delivery of this event is within what a request allows, when so much is held by it.
fn fits(event: &StampedEvent, request: &ClaimRequest, held: &[Claim]) -> bool {
    let size = |event: &StampedEvent| event.payload.get().len();
    let bytes: usize = held.iter().map(|claim| size(&claim.event)).sum();
    held.len() < request.limit && bytes + size(event) <= request.max_bytes
}
