//! Routing events that were written unrouted.

use rusqlite::{named_params, params};

use super::file::rows::{Lane, event, fence_of, message, skipped_doc, unroutable_doc};
use super::file::sql::{Sql, SqlError, as_i64};
use super::routing_leases::RoutingLease;
use super::state::{TenantRow, WriterState};
use crate::model::{TenantId, Timestamp};
use crate::store::claim::ClaimRequest;
use crate::store::lease::Fence;
use crate::store::routing::{RouteAnswer, Routed, Routing, Unrouted};

impl WriterState {
    /// Hands out the oldest unrouted events of each tenant for which nobody else is routing.
    pub(super) fn claim_unrouted(
        &mut self,
        request: &ClaimRequest,
        now: Timestamp,
    ) -> Result<Vec<Unrouted>, SqlError> {
        let mut claimed = Vec::new();
        let mut last = 0;
        while let Some((id, name)) = self.next_unrouted(last)? {
            last = id;
            let room = request.limit.saturating_sub(claimed.len());
            if room == 0 {
                break;
            }
            if self.routing_leases.of(&name).is_none_or(|lease| lease.until <= now) {
                claimed.extend(self.claim_unrouted_of((id, &name), room, request, now)?);
            }
        }
        Ok(claimed)
    }

    /// The next tenant that has unrouted events: one leap along the index.
    fn next_unrouted(&self, after: i64) -> Result<Option<(i64, TenantId)>, SqlError> {
        const NEXT: &str = "SELECT id, name FROM tenant WHERE id = \
            (SELECT min(tenant) FROM event WHERE routing IS NULL AND tenant > ?)";
        self.connection
            .one(NEXT, [after], |row| Ok((row.get("id")?, TenantId::new(row.get::<_, String>("name")?)?)))
    }

    fn claim_unrouted_of(
        &mut self,
        (tenant, name): (i64, &TenantId),
        room: usize,
        request: &ClaimRequest,
        now: Timestamp,
    ) -> Result<Vec<Unrouted>, SqlError> {
        const OLDEST: &str = "SELECT message, meta, json FROM event \
            JOIN payload ON payload.event = event.seq \
            WHERE tenant = ? AND routing IS NULL ORDER BY seq LIMIT ?";
        let fence = self.next_fence(tenant)?;
        let events = self.connection.all(OLDEST, [tenant, as_i64(room)], event)?;
        let until = now.plus(request.lease);
        let lease = RoutingLease { holder: request.holder, fence, until, left: events.len() };
        self.routing_leases.set(name, lease);
        let give = |event: std::sync::Arc<_>| {
            let event = std::sync::Arc::unwrap_or_clone(event);
            Unrouted { tenant: name.clone(), event, fence }
        };
        Ok(events.into_iter().map(give).collect())
    }

    fn next_fence(&self, tenant: i64) -> Result<Fence, SqlError> {
        const NEXT: &str = "UPDATE tenant SET fence = fence + 1 WHERE id = ? RETURNING fence";
        let fence = self.connection.one(NEXT, [tenant], super::file::sql::number)?;
        fence.map(fence_of).ok_or_else(|| SqlError::corrupt("events of a tenant that is not there"))
    }

    pub(super) fn route(&mut self, items: &[Routed]) -> Result<Vec<RouteAnswer>, SqlError> {
        self.has_new_work = true;
        items.iter().map(|item| self.route_one(item)).collect()
    }

    fn route_one(&mut self, item: &Routed) -> Result<RouteAnswer, SqlError> {
        let name = &item.unrouted.tenant;
        let Some(tenant) = self.tenant(name)? else { return Ok(RouteAnswer::Fenced) };
        let is_router = self.routing_leases.of(name).is_some_and(|lease| lease.fence == item.unrouted.fence);
        let Some(seq) = self.oldest_unrouted(&tenant, item)?.filter(|_| is_router) else {
            return Ok(RouteAnswer::Fenced);
        };
        if tenant.revision != item.routed_at {
            self.routing_leases.remove(name);
            return Ok(RouteAnswer::Stale(tenant.revision));
        }
        self.count_routed(name);
        match &item.routing {
            Ok(routing) => self.apply_routing(&tenant, seq, routing, item)?,
            Err(reason) => self.write_unroutable(seq, reason)?,
        }
        Ok(RouteAnswer::Routed)
    }

    /// The tenant's oldest unrouted event, if it is this one.
    fn oldest_unrouted(&self, tenant: &TenantRow, item: &Routed) -> Result<Option<i64>, SqlError> {
        const OLDEST: &str = "SELECT seq, message FROM event WHERE tenant = ? AND routing IS NULL \
            ORDER BY seq LIMIT 1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>("seq")?, message(row)?));
        let oldest = self.connection.one(OLDEST, [tenant.id], read)?;
        let is_this = |(_, message): &(i64, _)| *message == item.unrouted.event.message_id;
        Ok(oldest.filter(is_this).map(|(seq, _)| seq))
    }

    fn count_routed(&mut self, name: &TenantId) {
        let Some(lease) = self.routing_leases.of(name) else { return };
        match lease.left.saturating_sub(1) {
            0 => self.routing_leases.remove(name),
            left => self.routing_leases.set(name, RoutingLease { left, ..lease }),
        }
    }

    fn apply_routing(
        &mut self,
        tenant: &TenantRow,
        seq: i64,
        routing: &Routing,
        item: &Routed,
    ) -> Result<(), SqlError> {
        let now = self.now();
        let lanes = routing.targets.iter().map(|hook| self.lane_of(tenant.id, *hook));
        let lanes: Vec<Lane> = lanes.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        self.write_routing(seq, routing, lanes.len(), now)?;
        for lane in &lanes {
            self.wait(lane, seq, None, (now, now.plus(item.expires)))?;
        }
        Ok(())
    }

    /// Writes down what routing decided; an event that goes nowhere has ended.
    fn write_routing(
        &self,
        seq: i64,
        routing: &Routing,
        open: usize,
        now: Timestamp,
    ) -> Result<(), SqlError> {
        const UPDATE: &str = "UPDATE event SET routing = :routing, targets = :targets, \
            skipped = :skipped, open = :open, ended_at = CASE WHEN :open = 0 THEN :now END WHERE seq = :seq";
        let values = named_params! {
            ":seq": seq,
            ":routing": skipped_doc(&routing.skipped)?,
            ":targets": as_i64(routing.targets.len()),
            ":skipped": as_i64(routing.skipped.len()),
            ":open": as_i64(open),
            ":now": now.as_millis(),
        };
        self.connection.run(UPDATE, values)?;
        Ok(())
    }

    fn write_unroutable(&self, seq: i64, reason: &str) -> Result<(), SqlError> {
        let write = "UPDATE event SET routing = ?, ended_at = ? WHERE seq = ?";
        let ended_at = self.now().as_millis();
        self.connection.run(write, params![unroutable_doc(reason)?, ended_at, seq])?;
        Ok(())
    }
}
