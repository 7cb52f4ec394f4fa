//! Registries of tenants: their webhooks, and the changes of these.

use async_trait::async_trait;
use hookwire::delivery::Health;
use hookwire::model::{HookId, Page, PageRequest, TenantId, Timestamp};
use hookwire::registry::{Backlog, RegisteredWebhook, Registry, RegistryChange, Revision};
use hookwire::store::{DisabledKey, DisabledWebhook};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::connection::session::{Operation, Sessions, Tx};
use crate::error::{QueryError, ReadRow};
use crate::rows::{
    DELETED, DISABLED, ENABLED, Lane, LaneId, as_i64, class_number, ids, optional_time, registered,
    version_number,
};
use crate::schedule::lanes::{self, EarliestDue};
use crate::statistics::FORGET_HOURS;
use crate::time::Millis;

/// Reads a registry by one statement, so that it is consistent.
pub(crate) async fn read(sessions: &Sessions, tenant: &TenantId) -> Result<Registry, QueryError> {
    let rows = sessions.rows(READ, &[&tenant.as_str()]).await?;
    let Some(first) = rows.first() else { return Ok(Registry::default()) };
    let revision = Revision::new(first.read::<i64>("revision")?.unsigned_abs());
    let next_hook_id = HookId::new(first.read("next_hook")?);
    let there = rows.iter().filter(|row| row.read::<Option<i64>>("hook").is_ok_and(|it| it.is_some()));
    let webhooks = there.map(registered).collect::<Result<_, _>>()?;
    let suspended = optional_time(first, "suspended_at")?;
    Ok(Registry { revision, next_hook_id, webhooks, suspended })
}

/// Lists the tenants that have webhooks or events.
pub(crate) async fn tenants(sessions: &Sessions, page: &PageRequest) -> Result<Page<TenantId>, QueryError> {
    let after = page.cursor_as::<TenantId>()?;
    let after = after.as_ref().map_or("", TenantId::as_str);
    let rows = sessions.rows(TENANTS, &[&after, &as_i64(page.limit() + 1)]).await?;
    let names = rows.iter().map(|row| row.read("name")).collect::<Result<Vec<&str>, _>>()?;
    let Page { items, next, .. } = Page::from_surplus(names, page.limit(), ToString::to_string);
    // An invalid name was written by hand: no tenant can have it.
    Ok(Page::new(items.into_iter().filter_map(|name| TenantId::new(name).ok()).collect(), next))
}

/// Reads the health of a webhook's lane.
pub(crate) async fn health(
    sessions: &Sessions,
    tenant: &TenantId,
    hook: HookId,
) -> Result<Option<Health>, QueryError> {
    const HEALTH: &str =
        "SELECT health::text AS health FROM lane WHERE tenant = $1 AND hook = $2 AND status < 2";
    let rows = sessions.rows(HEALTH, &[&tenant.as_str(), &hook.get()]).await?;
    rows.first().map(|row| Ok(serde_json::from_str(row.read("health")?)?)).transpose()
}

/// Lists the webhooks that were disabled for a reason of hookwire's own.
pub(crate) async fn disabled(
    sessions: &Sessions,
    since: Timestamp,
    page: &PageRequest,
) -> Result<Page<DisabledWebhook>, QueryError> {
    let last: Option<DisabledKey> = page.cursor_as()?;
    let last = last.as_ref();
    let (at, tenant) = (last.map(|it| Millis::from(it.at)), last.map(|it| it.tenant.as_str()));
    let (since, hook) = (Millis::from(since), last.map(|it| it.hook_id.get()));
    let rows = sessions.rows(LISTED, &[&since, &at, &tenant, &hook, &as_i64(page.limit() + 1)]).await?;
    let items = rows.iter().map(disabled_webhook).collect::<Result<_, _>>()?;
    Ok(Page::from_surplus(items, page.limit(), |last| last.key().to_string()))
}

fn disabled_webhook(row: &Row) -> Result<DisabledWebhook, QueryError> {
    Ok(DisabledWebhook {
        tenant: TenantId::new(row.read::<&str>("tenant")?)?,
        hook_id: HookId::new(row.read("hook")?),
        reason: serde_json::from_str(row.read("disabled")?)?,
        at: row.read::<Millis>("disabled_at")?.timestamp(),
    })
}

/// Creates the row of a tenant, unless it is there.
pub(crate) async fn ensure_tenant(tx: &Tx<'_>, tenant: &TenantId) -> Result<(), QueryError> {
    const INSERT: &str = "INSERT INTO tenant (name) VALUES ($1) ON CONFLICT DO NOTHING";
    tx.run(INSERT, &[&tenant.as_str()]).await.map(drop)
}

/// Applies a change, and returns the new revision. `None` if the registry is not at the expected one.
pub(crate) struct Commit {
    pub(crate) tenant: TenantId,
    pub(crate) expected: Revision,
    pub(crate) change: RegistryChange,
}

#[async_trait]
impl Operation for Commit {
    type Output = Option<Revision>;

    async fn run(&self, tx: &Tx<'_>) -> Result<Option<Revision>, QueryError> {
        lanes::take_registry(tx, &self.tenant).await?;
        ensure_tenant(tx, &self.tenant).await?;
        let row = tx.first(TENANT, &[&self.tenant.as_str()]).await?;
        let row = row.ok_or_else(|| QueryError::corrupt("a tenant that has gone"))?;
        let revision = Revision::new(row.read::<i64>("revision")?.unsigned_abs());
        if revision != self.expected {
            return Ok(None);
        }
        let next_hook = HookId::new(row.read("next_hook")?);
        let is_suspended = row.read::<Option<Millis>>("suspended_at")?.is_some();
        let applied = match &self.change {
            RegistryChange::Create(new) if new.hook_id() != next_hook => false,
            RegistryChange::Create(new) => self.create(tx, new, is_suspended).await?,
            RegistryChange::Delete(hook) => self.delete(tx, *hook).await?,
            RegistryChange::Suspend(since) => self.suspend(tx, *since).await?,
            RegistryChange::Update(new, backlog) => self.update(tx, (new, is_suspended), *backlog).await?,
        };
        if !applied {
            return Ok(None);
        }
        revise(tx, &self.tenant).await?;
        Ok(Some(self.expected.next()))
    }
}

impl Commit {
    async fn create(
        &self,
        tx: &Tx<'_>,
        new: &RegisteredWebhook,
        is_suspended: bool,
    ) -> Result<bool, QueryError> {
        let creation = new.creation.map(|it| it.to_bytes());
        let creation = creation.as_ref().map(|it| &it[..]);
        if self.is_key_used(tx, creation).await? {
            return Ok(false);
        }
        tx.run("UPDATE tenant SET next_hook = next_hook + 1 WHERE name = $1", &[&self.tenant.as_str()])
            .await?;
        let (health, class) = unknown_health()?;
        let hook = new.hook_id().get();
        let id = tx.first(INSERT, &[&self.tenant.as_str(), &hook, &class, &health, &creation]).await?;
        let id = id.ok_or_else(|| QueryError::corrupt("a lane that was not made"))?;
        write_hook(tx, id.read("id")?, new, is_suspended).await?;
        Ok(true)
    }

    /// Whether a webhook was created under the same key.
    async fn is_key_used(&self, tx: &Tx<'_>, creation: Option<&[u8]>) -> Result<bool, QueryError> {
        const USED: &str = "SELECT FROM lane WHERE tenant = $1 AND status < 2 \
            AND substring(creation_key FOR 32) = substring($2::bytea FOR 32) LIMIT 1";
        let Some(creation) = creation else { return Ok(false) };
        Ok(tx.first(USED, &[&self.tenant.as_str(), &creation]).await?.is_some())
    }

    async fn update(
        &self,
        tx: &Tx<'_>,
        (new, is_suspended): (&RegisteredWebhook, bool),
        backlog: Backlog,
    ) -> Result<bool, QueryError> {
        let Some(lane) = self.lane(tx, new.hook_id()).await? else { return Ok(false) };
        if lane.registered()?.starts_afresh_as(new) {
            let (health, class) = unknown_health()?;
            let forget = "UPDATE lane SET health = $2::text::json, class = $3, \
                readied = pg_current_xact_id()::text::bigint WHERE id = $1";
            tx.run(forget, &[&lane.id, &health, &class]).await?;
        }
        write_hook(tx, lane.id, new, is_suspended).await?;
        let now = tx.now().await?;
        tx.run("UPDATE lane SET paused_until = NULL WHERE id = $1", &[&lane.id]).await?;
        if backlog == Backlog::Drop {
            drop_backlog(tx, lane.id, now).await?;
        }
        lanes::refresh(tx, &[lane.id], now, EarliestDue::Nothing).await?;
        Ok(true)
    }

    async fn suspend(&self, tx: &Tx<'_>, since: Option<Timestamp>) -> Result<bool, QueryError> {
        const LIVE: &str = "SELECT id FROM lane WHERE tenant = $1 AND status < 2";
        let since = since.map(Millis::from);
        tx.run("UPDATE tenant SET suspended_at = $2 WHERE name = $1", &[&self.tenant.as_str(), &since])
            .await?;
        let live = ids(&tx.rows(LIVE, &[&self.tenant.as_str()]).await?, "id")?;
        let locked = lanes::lock_ids(tx, &live).await?;
        tx.run(SUSPEND, &[&locked, &since.is_some()]).await?;
        lanes::refresh(tx, &locked, tx.now().await?, EarliestDue::Nothing).await?;
        Ok(true)
    }

    async fn delete(&self, tx: &Tx<'_>, hook: HookId) -> Result<bool, QueryError> {
        let Some(lane) = self.lane(tx, hook).await? else { return Ok(false) };
        delete_lane(tx, lane.id, tx.now().await?).await?;
        Ok(true)
    }

    /// Locks the lane of a webhook that is not deleted.
    async fn lane(&self, tx: &Tx<'_>, hook: HookId) -> Result<Option<Lane>, QueryError> {
        const FIND: &str = "SELECT id FROM lane WHERE tenant = $1 AND hook = $2 AND status < 2";
        let Some(row) = tx.first(FIND, &[&self.tenant.as_str(), &hook.get()]).await? else { return Ok(None) };
        Ok(lanes::lock(tx, &[row.read("id")?]).await?.pop())
    }
}

/// Returns the health of a receiver of which nothing is known, as JSON, and its class.
fn unknown_health() -> Result<(String, i16), QueryError> {
    let health = Health::default();
    Ok((serde_json::to_string(&health)?, class_number(health.class())))
}

/// Counts up the revision of a tenant's registry, which must be locked exclusively.
pub(crate) async fn revise(tx: &Tx<'_>, tenant: &TenantId) -> Result<(), QueryError> {
    let revise = "UPDATE tenant SET revision = revision + 1 WHERE name = $1";
    tx.run(revise, &[&tenant.as_str()]).await.map(drop)
}

/// Writes a webhook to its lane.
pub(crate) async fn write_hook(
    tx: &Tx<'_>,
    lane: LaneId,
    hook: &RegisteredWebhook,
    is_suspended: bool,
) -> Result<(), QueryError> {
    let status = if hook.is_active() && !is_suspended { ENABLED } else { DISABLED };
    let webhook = serde_json::to_string(&hook.webhook)?;
    let options = serde_json::to_string(&hook.options)?;
    let disabled = hook.disabled.unwrap_or_default();
    let reason = disabled.reason.as_ref().map(serde_json::to_string).transpose()?;
    let (at, paused) = (disabled.at.map(Millis::from), hook.paused.map(Millis::from));
    let (version, secrets) = (version_number(hook.version), &hook.secrets.expose()[..]);
    let limit = |limit: Option<u32>| limit.map(i32::try_from).transpose();
    let (rate, cap) = (limit(hook.options.rate())?, limit(hook.options.max_in_flight())?);
    let values: [&(dyn ToSql + Sync); 11] =
        [&lane, &status, &version, &webhook, &options, &reason, &secrets, &at, &paused, &rate, &cap];
    tx.run(WRITE, &values).await.map(drop)
}

/// Deletes a webhook with its secrets. The lane stays as long as the log has deliveries of it.
pub(crate) async fn delete_lane(tx: &Tx<'_>, lane: LaneId, now: Millis) -> Result<(), QueryError> {
    const DELETE: &str = "UPDATE lane SET status = $2, webhook = NULL, options = NULL, disabled = NULL, \
        disabled_at = NULL, secrets = NULL, creation_key = NULL WHERE id = $1";
    tx.run(DELETE, &[&lane, &DELETED]).await?;
    drop_backlog(tx, lane, now).await?;
    lanes::refresh(tx, &[lane], now, EarliestDue::Nothing).await?;
    forget_lanes(tx, &[lane]).await
}

/// Drops the backlog of a lane, at the same cost whatever its size: a new epoch begins, and upkeep ends the deliveries of
/// the old one later.
async fn drop_backlog(tx: &Tx<'_>, lane: LaneId, now: Millis) -> Result<(), QueryError> {
    const BEGIN: &str = "UPDATE lane SET epoch = epoch + 1, epoch_at = $2, floor = NULL, floor_behind = NULL \
        WHERE id = $1";
    const LEAVE: &str = "INSERT INTO dropped (lane, below) SELECT id, epoch FROM lane WHERE id = $1 \
        ON CONFLICT (lane) DO UPDATE SET below = excluded.below";
    tx.run(BEGIN, &[&lane, &now]).await?;
    tx.run(LEAVE, &[&lane]).await.map(drop)
}

/// Removes deleted lanes of which the log has no delivery.
pub(crate) async fn forget_lanes(tx: &Tx<'_>, lanes: &[LaneId]) -> Result<(), QueryError> {
    const FORGET: &str = "WITH gone AS (DELETE FROM lane WHERE id = ANY ($1) AND status = 2 \
        AND NOT EXISTS (SELECT FROM delivery WHERE delivery.lane = lane.id) RETURNING id), \
        swept AS (DELETE FROM dropped USING gone WHERE dropped.lane = gone.id) \
        SELECT id FROM gone";
    let gone: Vec<LaneId> = ids(&tx.rows(FORGET, &[&lanes]).await?, "id")?;
    if gone.is_empty() {
        return Ok(());
    }
    tx.run(FORGET_HOURS, &[&gone]).await.map(drop)
}

const READ: &str = "SELECT revision, next_hook, suspended_at, lane.hook, lane.version, lane.webhook::text AS webhook, \
    lane.options::text AS options, lane.disabled::text AS disabled, lane.disabled_at, lane.user_paused_at, lane.secrets, lane.creation_key \
    FROM tenant LEFT JOIN lane ON lane.tenant = tenant.name AND lane.status < 2 \
    WHERE tenant.name = $1 ORDER BY lane.hook";

pub(crate) const LISTED: &str = "SELECT tenant, hook, disabled::text AS disabled, disabled_at FROM lane \
    WHERE status = 0 AND disabled IS NOT NULL AND disabled_at >= greatest($1::bigint, $2::bigint) \
        AND ($2 IS NULL OR (disabled_at, tenant, hook) > ($2, $3, $4)) \
    ORDER BY disabled_at, tenant, hook LIMIT $5";

const TENANT: &str = "SELECT revision, next_hook, suspended_at FROM tenant WHERE name = $1";

const INSERT: &str = "INSERT INTO lane (tenant, hook, status, class, health, version, epoch_at, creation_key) \
    VALUES ($1, $2, 0, $3, $4::text::json, 0, clock_ms(), $5) RETURNING id";

const WRITE: &str = "UPDATE lane SET status = $2, version = $3, webhook = $4::text::json, \
    options = $5::text::json, disabled = $6::text::json, secrets = $7, disabled_at = $8, \
    user_paused_at = $9, rate = $10, cap = $11 WHERE id = $1";

const SUSPEND: &str = "UPDATE lane SET version = version + 1, status = CASE WHEN $2 OR user_paused_at IS NOT NULL \
    OR webhook ->> 'status' = '0' THEN 0 ELSE 1 END WHERE id = ANY ($1)";

/// Includes tenants that have nothing but events which wait for routing.
const TENANTS: &str = "
    WITH RECURSIVE waiting (name) AS (
        (SELECT tenant FROM event WHERE routed_at IS NULL AND tenant > $1 ORDER BY tenant LIMIT 1)
        UNION ALL
        SELECT (SELECT tenant FROM event WHERE routed_at IS NULL AND tenant > waiting.name
            ORDER BY tenant LIMIT 1) FROM waiting WHERE waiting.name IS NOT NULL
    )
    SELECT name FROM (
        (SELECT name FROM waiting WHERE name IS NOT NULL LIMIT $2)
        UNION
        (SELECT name FROM tenant WHERE name > $1
            AND (EXISTS (SELECT FROM lane WHERE lane.tenant = tenant.name)
                OR EXISTS (SELECT FROM event WHERE event.tenant = tenant.name))
            ORDER BY name LIMIT $2)
    ) AS listed ORDER BY name LIMIT $2";
