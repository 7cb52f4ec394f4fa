//! Routing events that were written unrouted.

use std::sync::Arc;

use super::state::{RoutingLease, State};
use crate::model::{MessageId, TenantId, Timestamp};
use crate::store::claim::ClaimRequest;
use crate::store::records::RoutingRecord;
use crate::store::routing::{RouteAnswer, Routed, Unrouted};

impl State {
    /// Hands out the oldest unrouted events of each tenant, or of this one alone, for which nobody else is routing.
    pub(super) fn claim_unrouted(
        &mut self,
        only: Option<&TenantId>,
        request: &ClaimRequest,
        now: Timestamp,
    ) -> Vec<Unrouted> {
        let is_idle = |name: &&TenantId| self.routing_until(name).is_none_or(|until| until <= now);
        let waiting = self.unrouted.iter().filter(|name| only.is_none_or(|only| only == *name));
        let idle: Vec<TenantId> = waiting.filter(is_idle).cloned().collect();
        let mut claimed = Vec::new();
        for name in idle {
            let room = request.limit.saturating_sub(claimed.len());
            claimed.extend(self.claim_unrouted_of(&name, room, request, now));
        }
        claimed
    }

    fn claim_unrouted_of(
        &mut self,
        name: &TenantId,
        room: usize,
        request: &ClaimRequest,
        now: Timestamp,
    ) -> Vec<Unrouted> {
        let fence = self.leases.next_fence();
        let Some(tenant) = self.tenants.get_mut(name).filter(|_| room > 0) else { return Vec::new() };
        let read = |id: &MessageId| {
            let event = tenant.events.get(id)?.event.as_ref().clone();
            Some(Unrouted { tenant: name.clone(), event, fence })
        };
        let batch: Vec<_> = tenant.unrouted.iter().take(room).filter_map(read).collect();
        let until = now.plus(request.lease);
        tenant.routing = Some(RoutingLease { holder: request.holder, fence, until, left: batch.len() });
        batch
    }

    pub(super) fn routing_until(&self, name: &TenantId) -> Option<Timestamp> {
        self.tenants.get(name)?.routing.as_ref().map(|lease| lease.until)
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
}
