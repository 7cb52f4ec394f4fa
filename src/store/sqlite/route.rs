//! Routing events that were written unrouted.

use std::sync::Arc;

use rusqlite::{named_params, params};

use super::changes::RoutingLease;
use super::file::rows::{Lane, message, skipped_doc, unroutable_doc};
use super::file::sql::{Cells, Sql, SqlError, as_i64};
use super::transaction::Transaction;
use crate::model::TenantId;
use crate::store::routing::{RouteAnswer, Routed, Routing};

impl Transaction<'_> {
    pub(super) fn route(&mut self, items: &[Routed]) -> Result<Vec<RouteAnswer>, SqlError> {
        self.changes.has_new_work = true;
        items.iter().map(|item| self.route_one(item)).collect()
    }

    fn route_one(&mut self, item: &Routed) -> Result<RouteAnswer, SqlError> {
        let name = &item.unrouted.tenant;
        let Some(tenant) = self.tenant(name)? else { return Ok(RouteAnswer::Fenced) };
        let lease = self.routing_lease(name).filter(|lease| lease.fence == item.unrouted.fence);
        let oldest = self.oldest_unrouted(tenant.id, item)?;
        let (Some(lease), Some(event)) = (lease, oldest) else { return Ok(RouteAnswer::Fenced) };
        if tenant.revision != item.routed_at {
            self.changes.routing.insert(name.clone(), None);
            return Ok(RouteAnswer::Stale(tenant.revision));
        }
        self.count_routed(name, lease);
        match &item.routing {
            Ok(routing) => self.apply_routing(tenant.id, event, routing, item)?,
            Err(reason) => self.write_unroutable(event, reason)?,
        }
        Ok(RouteAnswer::Routed)
    }

    /// The tenant's oldest unrouted event, if it is this one.
    fn oldest_unrouted(&self, tenant: i64, item: &Routed) -> Result<Option<i64>, SqlError> {
        const OLDEST: &str = "SELECT id, message FROM event WHERE tenant = ? AND routed IS NULL \
            ORDER BY id LIMIT 1";
        let read = |cells: &mut Cells<'_>| Ok((cells.get()?, message(cells)?));
        let oldest = self.connection.one(OLDEST, [tenant], read)?;
        let is_this = |(_, message): &(i64, _)| *message == item.unrouted.event.message_id;
        Ok(oldest.filter(is_this).map(|(id, _)| id))
    }

    fn count_routed(&mut self, name: &TenantId, lease: RoutingLease) {
        let left = lease.left.saturating_sub(1);
        self.changes.routing.insert(name.clone(), (left > 0).then_some(RoutingLease { left, ..lease }));
    }

    fn apply_routing(
        &mut self,
        tenant: i64,
        event: i64,
        routing: &Routing,
        item: &Routed,
    ) -> Result<(), SqlError> {
        let lanes = routing.targets.iter().map(|hook| self.lane_of(tenant, *hook));
        let lanes: Vec<Arc<Lane>> = lanes.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        let (first, now) = (self.numbers().next_deliveries(lanes.len()), self.now.time);
        self.write_routing(event, routing, (first, lanes.len()))?;
        for (lane, id) in lanes.iter().zip(first..) {
            self.wait(lane.position(id, now), event, None, now.plus(item.expires))?;
        }
        Ok(())
    }

    fn write_routing(
        &self,
        event: i64,
        routing: &Routing,
        (first, made): (i64, usize),
    ) -> Result<(), SqlError> {
        const UPDATE: &str = "UPDATE event SET routed = :now, routing = :routing, targets = :targets, \
            skipped = :skipped, first = :first, made = :made WHERE id = :event";
        let values = named_params! {
            ":event": event,
            ":now": self.now.time.as_millis(),
            ":routing": skipped_doc(&routing.skipped)?,
            ":targets": as_i64(routing.targets.len()),
            ":skipped": as_i64(routing.skipped.len()),
            ":first": first,
            ":made": as_i64(made),
        };
        self.connection.run(UPDATE, values)?;
        Ok(())
    }

    pub(super) fn write_unroutable(&self, event: i64, reason: &str) -> Result<(), SqlError> {
        let write = "UPDATE event SET routed = ?, routing = ? WHERE id = ?";
        self.connection.run(write, params![self.now.time.as_millis(), unroutable_doc(reason)?, event])?;
        Ok(())
    }
}
