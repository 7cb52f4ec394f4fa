//! Routing of events that the function `publish` wrote, and the routing lease of a tenant.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use hookwire::model::TenantId;
use hookwire::registry::Revision;
use hookwire::store::{ClaimRequest, RouteAnswer, Routed, Routing, StoreError, Unrouted};
use tokio_postgres::Row;

use crate::connection::session::{Operation, Tx};
use crate::error::{QueryError, ReadRow};
use crate::insert::{self, RoutedEvent};
use crate::registry::ensure_tenant;
use crate::rows::{
    as_i32, as_i64, event, event_columns, event_of, fence_number, fence_of, holder_bytes, message,
};
use crate::schedule::lanes;
use crate::time::Millis;

/// Acquires the routing leases of tenants that have unrouted events, and returns the oldest of these events.
pub(crate) struct TakeUnrouted {
    /// The tenant whose events are wanted; `None` for those of all.
    pub(crate) only: Option<TenantId>,
    pub(crate) request: ClaimRequest,
}

/// Writes what routing decided of one tenant's events, under its routing lease.
pub(crate) struct Route {
    pub(crate) tenant: TenantId,
    pub(crate) items: Vec<Arc<Routed>>,
}

#[async_trait]
impl Operation for TakeUnrouted {
    type Output = Vec<Unrouted>;

    async fn run(&self, tx: &Tx<'_>) -> Result<Vec<Unrouted>, QueryError> {
        let request = &self.request;
        let only = self.only.as_ref().map(TenantId::as_str);
        let now = tx.now().await?;
        let mut taken = Vec::new();
        for row in tx.rows(WAITING, &[&now, &as_i64(request.limit), &only]).await? {
            let room = request.limit.saturating_sub(taken.len());
            if room == 0 {
                break;
            }
            let name: &str = row.read("tenant")?;
            match TenantId::new(name) {
                Ok(tenant) => taken.extend(self.take_of(tx, &tenant, room, now).await?),
                Err(error) => set_all_aside(tx, name, &error.to_string(), now, request.limit).await?,
            }
        }
        Ok(taken)
    }
}

impl TakeUnrouted {
    async fn take_of(
        &self,
        tx: &Tx<'_>,
        tenant: &TenantId,
        room: usize,
        now: Millis,
    ) -> Result<Vec<Unrouted>, QueryError> {
        ensure_tenant(tx, tenant).await?;
        if tx.first(LOCK_IF_FREE, &[&tenant.as_str(), &now]).await?.is_none() {
            return Ok(Vec::new());
        }
        let until = now.plus(self.request.lease);
        let row = tx
            .first(ACQUIRE_ROUTING_LEASE, &[&tenant.as_str(), &holder_bytes(self.request.holder), &until])
            .await?;
        let row = row.ok_or_else(|| QueryError::corrupt("events of a tenant that is not there"))?;
        let fence = fence_of(row.read("router_fence")?);
        let mut taken = Vec::new();
        for row in tx.rows(OLDEST, &[&tenant.as_str(), &as_i64(room)]).await? {
            match event(&row) {
                Ok(event) => taken.push(Unrouted { tenant: tenant.clone(), event, fence }),
                // Somebody wrote it without the function. It must not stop the events after it.
                Err(error) => set_aside(tx, &row, error, now).await?,
            }
        }
        if taken.is_empty() {
            release_routing_lease(tx, tenant).await?;
        }
        Ok(taken)
    }
}

/// Releases the routing lease of a tenant, whoever has it.
pub(crate) async fn release_routing_lease(tx: &Tx<'_>, tenant: &TenantId) -> Result<(), QueryError> {
    tx.run(RELEASE_ROUTING_LEASE, &[&tenant.as_str()]).await.map(drop)
}

/// Releases all routing leases of a holder.
pub(crate) async fn release_routing_leases_of(tx: &Tx<'_>, holder: &[u8]) -> Result<(), QueryError> {
    tx.run(RELEASE_ROUTING_LEASES_OF, &[&holder]).await.map(drop)
}

/// Records an event whose row cannot be read as unroutable.
async fn set_aside(tx: &Tx<'_>, row: &Row, error: QueryError, now: Millis) -> Result<(), QueryError> {
    let error = StoreError::from(error);
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    let reason = format!("its row cannot be read: {cause}");
    let seq: i64 = row.read("seq")?;
    tx.run(UNROUTABLE, &[&seq, &reason, &now]).await.map(drop)
}

/// Records events as unroutable whose tenant has an invalid name. Somebody wrote them without the function.
async fn set_all_aside(
    tx: &Tx<'_>,
    tenant: &str,
    rule: &str,
    now: Millis,
    limit: usize,
) -> Result<(), QueryError> {
    let reason = format!("its tenant cannot be read: {rule}");
    tx.run(UNROUTABLE_ALL, &[&tenant, &reason, &now, &as_i64(limit)]).await.map(drop)
}

#[async_trait]
impl Operation for Route {
    type Output = Vec<RouteAnswer>;

    async fn run(&self, tx: &Tx<'_>) -> Result<Vec<RouteAnswer>, QueryError> {
        tx.rows(lanes::HOLD_REGISTRIES, &[&[self.tenant.as_str()].as_slice()]).await?;
        let mut answers = vec![RouteAnswer::Fenced; self.items.len()];
        let Some(lease) = tx.first(ROUTING_LEASE, &[&self.tenant.as_str()]).await? else {
            return Ok(answers);
        };
        let messages: Vec<_> =
            self.items.iter().map(|item| item.unrouted.event.message_id.as_str()).collect();
        let waiting = tx.rows(QUEUE, &[&self.tenant.as_str(), &messages]).await?;
        let revision = Revision::new(lease.read::<i64>("revision")?.unsigned_abs());
        let fence = lease.read::<Option<i64>>("fence")?;
        let now = tx.now().await?;
        let mut routed = Vec::new();
        let mut waiting = waiting.iter();
        for (item, answer) in self.items.iter().zip(&mut answers) {
            if fence != Some(fence_number(item.unrouted.fence)) {
                continue;
            }
            let Some(row) = waiting.as_slice().first() else { break };
            if message(row)? != item.unrouted.event.message_id {
                continue;
            }
            if revision != item.routed_at {
                *answer = RouteAnswer::Stale(revision);
                break; // The events after it wait for it, to keep the order.
            }
            waiting.next();
            *answer = RouteAnswer::Routed;
            routed.extend(self.record(tx, row.read("seq")?, item, now).await?);
        }
        insert::insert_routed(tx, &self.tenant, &routed, now).await?;
        if self.items.iter().any(|item| fence == Some(fence_number(item.unrouted.fence))) {
            // Events that are left of those that were taken have to be taken again.
            release_routing_lease(tx, &self.tenant).await?;
        }
        Ok(answers)
    }
}

impl Route {
    /// Records what routing decided of one event, and returns the event if it is to be delivered.
    async fn record(
        &self,
        tx: &Tx<'_>,
        seq: i64,
        item: &Routed,
        now: Millis,
    ) -> Result<Option<RoutedEvent>, QueryError> {
        let routing = match &item.routing {
            Ok(routing) => routing,
            Err(reason) => {
                tx.run(UNROUTABLE, &[&seq, reason, &now]).await?;
                return Ok(None);
            }
        };
        let skipped = serde_json::to_string(&routing.skipped)?;
        let digest = item.unrouted.event.digest().to_vec();
        let targets = as_i32(routing.targets.len());
        tx.run(ROUTED, &[&seq, &now, &targets, &skipped, &digest]).await?;
        Ok(Some(self.routed(seq, item, routing, now)))
    }

    fn routed(&self, seq: i64, item: &Routed, routing: &Routing, now: Millis) -> RoutedEvent {
        let expires = now.plus(item.expires);
        let bytes = item.unrouted.event.payload.get().len();
        RoutedEvent { event: seq, bytes, targets: routing.targets.clone(), expires }
    }
}

/// Goes from tenant to tenant along the index, without reading the events between.
const WAITING: &str = "
    WITH RECURSIVE waiting (tenant) AS (
        (SELECT tenant FROM event WHERE routed_at IS NULL ORDER BY tenant LIMIT 1)
        UNION ALL
        SELECT (SELECT tenant FROM event WHERE routed_at IS NULL AND tenant > waiting.tenant
            ORDER BY tenant LIMIT 1) FROM waiting WHERE waiting.tenant IS NOT NULL
    )
    SELECT waiting.tenant FROM waiting LEFT JOIN tenant ON tenant.name = waiting.tenant
    WHERE waiting.tenant IS NOT NULL AND (router_until IS NULL OR router_until <= $1)
        AND coalesce(waiting.tenant = $3, true) LIMIT $2";

const LOCK_IF_FREE: &str = "SELECT FROM tenant WHERE name = $1 AND (router_until IS NULL OR router_until <= $2) \
    FOR UPDATE SKIP LOCKED";

const ACQUIRE_ROUTING_LEASE: &str = "UPDATE tenant SET router = $2, router_until = $3, router_fence = router_fence + 1 \
    WHERE name = $1 RETURNING router_fence";

const OLDEST: &str = concat!(
    "SELECT event.seq, ",
    event_columns!(),
    " FROM event WHERE tenant = $1 AND routed_at IS NULL ORDER BY seq LIMIT $2"
);

/// The lock of the row keeps others from acquiring the lease meanwhile.
const ROUTING_LEASE: &str = "SELECT revision, CASE WHEN router IS NOT NULL THEN router_fence END AS fence \
    FROM tenant WHERE name = $1 FOR UPDATE";

/// Only events that were taken: one with a lower number may have been committed since, and comes next.
const QUEUE: &str = concat!(
    "SELECT seq, event.message FROM unnest($2::text[]) AS wanted (message) CROSS JOIN LATERAL ",
    event_of!("$1", "wanted.message"),
    " AS event WHERE event.message = wanted.message AND routed_at IS NULL ORDER BY seq"
);

const ROUTED: &str = "UPDATE event SET routed_at = $2, alive_at = $2, targets = $3, \
    skipped = $4::text::json, digest = $5 WHERE seq = $1";

const UNROUTABLE: &str = "UPDATE event SET routed_at = $3, alive_at = $3, unroutable = $2 WHERE seq = $1";

const UNROUTABLE_ALL: &str = "
    UPDATE event SET routed_at = $3, alive_at = $3, unroutable = $2 WHERE seq IN (
        SELECT seq FROM event WHERE tenant = $1 AND routed_at IS NULL
        ORDER BY seq LIMIT $4 FOR UPDATE SKIP LOCKED)";

const RELEASE_ROUTING_LEASE: &str = "UPDATE tenant SET router = NULL, router_until = NULL WHERE name = $1";

const RELEASE_ROUTING_LEASES_OF: &str =
    "UPDATE tenant SET router = NULL, router_until = NULL WHERE router = $1";

/// Returns the statement that looks events up which are routed, for a test that reads its plan.
#[doc(hidden)]
pub fn route_statements() -> Vec<(&'static str, String)> {
    vec![("queue", QUEUE.to_owned())]
}
