use rusqlite::{named_params, params};

use super::super::{ClaimRequest, Fence, RouteAnswer, Routed, Routing, Unrouted};
use super::desk::{Desk, TenantRow};
use super::routers::Router;
use super::rows::{Lane, event, fence_of, message, skipped_doc, unroutable_doc};
use super::sql::{Fault, Sql, whole};
use crate::model::{TenantId, Timestamp};

impl Desk {
    /// Hands out the oldest unrouted events of each tenant for which nobody else is routing.
    pub(super) fn claim_unrouted(
        &mut self,
        request: &ClaimRequest,
        now: Timestamp,
    ) -> Result<Vec<Unrouted>, Fault> {
        let mut claimed = Vec::new();
        let mut last = 0;
        while let Some((id, name)) = self.next_unrouted(last)? {
            last = id;
            let room = request.limit.saturating_sub(claimed.len());
            if room == 0 {
                break;
            }
            if self.routers.of(&name).is_none_or(|router| router.until <= now) {
                claimed.extend(self.claim_unrouted_of((id, &name), room, request, now)?);
            }
        }
        Ok(claimed)
    }

    /// The next tenant that has unrouted events: one leap along the index.
    fn next_unrouted(&self, after: i64) -> Result<Option<(i64, TenantId)>, Fault> {
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
    ) -> Result<Vec<Unrouted>, Fault> {
        const OLDEST: &str = "SELECT message, meta, json FROM event \
            JOIN payload ON payload.event = event.seq \
            WHERE tenant = ? AND routing IS NULL ORDER BY seq LIMIT ?";
        let fence = self.next_fence(tenant)?;
        let events = self.connection.all(OLDEST, [tenant, whole(room)], event)?;
        let until = now.plus(request.lease);
        let router = Router { holder: request.holder, fence, until, left: events.len() };
        self.routers.set(name, router);
        let give = |event: std::sync::Arc<_>| {
            let event = std::sync::Arc::unwrap_or_clone(event);
            Unrouted { tenant: name.clone(), event, fence }
        };
        Ok(events.into_iter().map(give).collect())
    }

    fn next_fence(&self, tenant: i64) -> Result<Fence, Fault> {
        const NEXT: &str = "UPDATE tenant SET fence = fence + 1 WHERE id = ? RETURNING fence";
        let fence = self.connection.one(NEXT, [tenant], super::sql::number)?;
        fence.map(fence_of).ok_or_else(|| Fault::corrupt("events of a tenant that is not there"))
    }

    pub(super) fn route(&mut self, items: &[Routed]) -> Result<Vec<RouteAnswer>, Fault> {
        self.has_news = true;
        items.iter().map(|item| self.route_one(item)).collect()
    }

    fn route_one(&mut self, item: &Routed) -> Result<RouteAnswer, Fault> {
        let name = &item.unrouted.tenant;
        let Some(tenant) = self.tenant(name)? else { return Ok(RouteAnswer::Fenced) };
        let is_router = self.routers.of(name).is_some_and(|router| router.fence == item.unrouted.fence);
        let Some(seq) = self.oldest_unrouted(&tenant, item)?.filter(|_| is_router) else {
            return Ok(RouteAnswer::Fenced);
        };
        if tenant.revision != item.routed_at {
            self.routers.remove(name);
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
    fn oldest_unrouted(&self, tenant: &TenantRow, item: &Routed) -> Result<Option<i64>, Fault> {
        const OLDEST: &str = "SELECT seq, message FROM event WHERE tenant = ? AND routing IS NULL \
            ORDER BY seq LIMIT 1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>("seq")?, message(row)?));
        let oldest = self.connection.one(OLDEST, [tenant.id], read)?;
        let is_this = |(_, message): &(i64, _)| *message == item.unrouted.event.message_id;
        Ok(oldest.filter(is_this).map(|(seq, _)| seq))
    }

    fn count_routed(&mut self, name: &TenantId) {
        let Some(router) = self.routers.of(name) else { return };
        match router.left.saturating_sub(1) {
            0 => self.routers.remove(name),
            left => self.routers.set(name, Router { left, ..router }),
        }
    }

    fn apply_routing(
        &mut self,
        tenant: &TenantRow,
        seq: i64,
        routing: &Routing,
        item: &Routed,
    ) -> Result<(), Fault> {
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
    fn write_routing(&self, seq: i64, routing: &Routing, open: usize, now: Timestamp) -> Result<(), Fault> {
        const UPDATE: &str = "UPDATE event SET routing = :routing, targets = :targets, \
            skipped = :skipped, open = :open, ended_at = CASE WHEN :open = 0 THEN :now END WHERE seq = :seq";
        let values = named_params! {
            ":seq": seq,
            ":routing": skipped_doc(&routing.skipped)?,
            ":targets": whole(routing.targets.len()),
            ":skipped": whole(routing.skipped.len()),
            ":open": whole(open),
            ":now": now.as_millis(),
        };
        self.connection.run(UPDATE, values)?;
        Ok(())
    }

    fn write_unroutable(&self, seq: i64, reason: &str) -> Result<(), Fault> {
        let write = "UPDATE event SET routing = ?, ended_at = ? WHERE seq = ?";
        let ended_at = self.now().as_millis();
        self.connection.run(write, params![unroutable_doc(reason)?, ended_at, seq])?;
        Ok(())
    }
}
