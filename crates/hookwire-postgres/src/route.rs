use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use hookwire::model::{TenantId, Timestamp};
use hookwire::registry::Revision;
use hookwire::store::{ClaimRequest, RouteAnswer, Routed, Routing, StoreError, Unrouted};
use tokio_postgres::Row;

use crate::deliver::{self, Fresh};
use crate::fault::Fault;
use crate::lanes;
use crate::rows::{event, event_columns, fence_number, fence_of, holder_bytes, message, small, whole};
use crate::session::{Tx, Work};

/// Hands out the oldest unrouted events of each tenant for which nobody else is routing.
pub(crate) struct TakeUnrouted(pub(crate) ClaimRequest);

/// Writes the deliveries of one tenant's events that were handed out.
pub(crate) struct Route {
    pub(crate) tenant: TenantId,
    pub(crate) items: Vec<Arc<Routed>>,
}

#[async_trait]
impl Work for TakeUnrouted {
    type Done = Vec<Unrouted>;

    async fn on(&self, tx: &Tx<'_>) -> Result<Vec<Unrouted>, Fault> {
        let request = &self.0;
        let now = tx.now().await?;
        let mut given = Vec::new();
        for row in tx.rows(WAITING, &[&now, &whole(request.limit)]).await? {
            let room = request.limit.saturating_sub(given.len());
            if room == 0 {
                break;
            }
            let name: &str = row.try_get("tenant")?;
            match TenantId::new(name) {
                Ok(tenant) => given.extend(self.take_of(tx, &tenant, room, now).await?),
                Err(error) => refuse_all(tx, name, &error.to_string(), now, request.limit).await?,
            }
        }
        Ok(given)
    }
}

impl TakeUnrouted {
    async fn take_of(
        &self,
        tx: &Tx<'_>,
        tenant: &TenantId,
        room: usize,
        now: i64,
    ) -> Result<Vec<Unrouted>, Fault> {
        enter(tx, tenant).await?;
        if tx.first(FREE, &[&tenant.as_str(), &now]).await?.is_none() {
            return Ok(Vec::new());
        }
        let until = Timestamp::from_millis(now).plus(self.0.lease).as_millis();
        let row = tx.first(APPOINT, &[&tenant.as_str(), &holder_bytes(self.0.holder), &until]).await?;
        let row = row.ok_or_else(|| Fault::corrupt("events of a tenant that is not there"))?;
        let fence = fence_of(row.try_get("router_fence")?);
        let mut given = Vec::new();
        for row in tx.rows(OLDEST, &[&tenant.as_str(), &whole(room)]).await? {
            match event(&row) {
                Ok(event) => given.push(Unrouted { tenant: tenant.clone(), event, fence }),
                // Whoever wrote it did not go through the function. It must not stop those behind it.
                Err(fault) => refuse(tx, &row, fault, now).await?,
            }
        }
        if given.is_empty() {
            tx.run(RESIGN, &[&tenant.as_str()]).await?;
        }
        Ok(given)
    }
}

/// Makes the row of a tenant, if there is none yet.
pub(crate) async fn enter(tx: &Tx<'_>, tenant: &TenantId) -> Result<(), Fault> {
    let enter = "INSERT INTO tenant (name) VALUES ($1) ON CONFLICT DO NOTHING";
    tx.run(enter, &[&tenant.as_str()]).await.map(drop)
}

async fn refuse(tx: &Tx<'_>, row: &Row, fault: Fault, now: i64) -> Result<(), Fault> {
    let fault = StoreError::from(fault);
    let cause = fault.source().map_or_else(|| fault.to_string(), ToString::to_string);
    let reason = format!("its row cannot be read: {cause}");
    let seq: i64 = row.try_get("seq")?;
    tx.run(UNROUTABLE, &[&seq, &reason, &now]).await.map(drop)
}

/// Puts aside events of a tenant that there cannot be: whoever wrote them did not go through the function.
async fn refuse_all(tx: &Tx<'_>, tenant: &str, rule: &str, now: i64, limit: usize) -> Result<(), Fault> {
    let reason = format!("its tenant cannot be read: {rule}");
    tx.run(UNROUTABLE_ALL, &[&tenant, &reason, &now, &whole(limit)]).await.map(drop)
}

#[async_trait]
impl Work for Route {
    type Done = Vec<RouteAnswer>;

    async fn on(&self, tx: &Tx<'_>) -> Result<Vec<RouteAnswer>, Fault> {
        lanes::hold_registry(tx, &self.tenant).await?;
        let mut answers = vec![RouteAnswer::Fenced; self.items.len()];
        let Some(router) = tx.first(ROUTER, &[&self.tenant.as_str()]).await? else { return Ok(answers) };
        let messages: Vec<_> =
            self.items.iter().map(|item| item.unrouted.event.message_id.as_str()).collect();
        let waiting = tx.rows(QUEUE, &[&self.tenant.as_str(), &messages]).await?;
        let revision = Revision::new(router.try_get::<_, i64>("revision")?.unsigned_abs());
        let fence = router.try_get::<_, Option<i64>>("fence")?;
        let now = tx.now().await?;
        let mut fresh = Vec::new();
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
                break; // Those behind it wait for it.
            }
            waiting.next();
            *answer = RouteAnswer::Routed;
            fresh.extend(self.settle(tx, row.try_get("seq")?, item, now).await?);
        }
        deliver::to_lanes(tx, &self.tenant, &fresh, now).await?;
        if self.items.iter().any(|item| fence == Some(fence_number(item.unrouted.fence))) {
            // Whatever is left of what was handed out has to be given again.
            tx.run(RESIGN, &[&self.tenant.as_str()]).await?;
        }
        Ok(answers)
    }
}

impl Route {
    /// Writes what routing decided of one event, and gives what is to be delivered.
    async fn settle(&self, tx: &Tx<'_>, seq: i64, item: &Routed, now: i64) -> Result<Option<Fresh>, Fault> {
        let routing = match &item.routing {
            Ok(routing) => routing,
            Err(reason) => {
                tx.run(UNROUTABLE, &[&seq, reason, &now]).await?;
                return Ok(None);
            }
        };
        let skipped = serde_json::to_string(&routing.skipped)?;
        let digest = item.unrouted.event.digest().to_vec();
        let targets = small(routing.targets.len());
        tx.run(ROUTED, &[&seq, &now, &targets, &skipped, &digest]).await?;
        Ok(Some(self.fresh(seq, item, routing, now)))
    }

    fn fresh(&self, seq: i64, item: &Routed, routing: &Routing, now: i64) -> Fresh {
        let expires = Timestamp::from_millis(now).plus(item.expires).as_millis();
        let bytes = item.unrouted.event.payload.get().len();
        Fresh { event: seq, bytes, targets: routing.targets.clone(), expires }
    }
}

/// Leaps from tenant to tenant along the index.
const WAITING: &str = "
    WITH RECURSIVE waiting (tenant) AS (
        (SELECT tenant FROM event WHERE routed_at IS NULL ORDER BY tenant LIMIT 1)
        UNION ALL
        SELECT (SELECT tenant FROM event WHERE routed_at IS NULL AND tenant > waiting.tenant
            ORDER BY tenant LIMIT 1) FROM waiting WHERE waiting.tenant IS NOT NULL
    )
    SELECT waiting.tenant FROM waiting LEFT JOIN tenant ON tenant.name = waiting.tenant
    WHERE waiting.tenant IS NOT NULL AND (router_until IS NULL OR router_until <= $1) LIMIT $2";

const FREE: &str = "SELECT FROM tenant WHERE name = $1 AND (router_until IS NULL OR router_until <= $2) \
    FOR UPDATE SKIP LOCKED";

const APPOINT: &str = "UPDATE tenant SET router = $2, router_until = $3, router_fence = router_fence + 1 \
    WHERE name = $1 RETURNING router_fence";

const OLDEST: &str = concat!(
    "SELECT event.seq, ",
    event_columns!(),
    " FROM event WHERE tenant = $1 AND routed_at IS NULL ORDER BY seq LIMIT $2"
);

/// The row's lock keeps others from being appointed meanwhile.
const ROUTER: &str = "SELECT revision, CASE WHEN router IS NOT NULL THEN router_fence END AS fence \
    FROM tenant WHERE name = $1 FOR UPDATE";

/// Only what was handed out: an event with a lower number may have been committed since, and comes next.
const QUEUE: &str = "SELECT seq, message FROM event WHERE tenant = $1 AND message = ANY ($2) \
    AND routed_at IS NULL ORDER BY seq";

const ROUTED: &str = "UPDATE event SET routed_at = $2, alive_at = $2, targets = $3, \
    skipped = $4::text::json, digest = $5 WHERE seq = $1";

const UNROUTABLE: &str = "UPDATE event SET routed_at = $3, alive_at = $3, unroutable = $2 WHERE seq = $1";

const UNROUTABLE_ALL: &str = "
    UPDATE event SET routed_at = $3, alive_at = $3, unroutable = $2 WHERE seq IN (
        SELECT seq FROM event WHERE tenant = $1 AND routed_at IS NULL
        ORDER BY seq LIMIT $4 FOR UPDATE SKIP LOCKED)";

const RESIGN: &str = "UPDATE tenant SET router = NULL, router_until = NULL WHERE name = $1";
