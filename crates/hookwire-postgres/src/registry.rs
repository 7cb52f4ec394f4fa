use async_trait::async_trait;
use hookwire::delivery::Health;
use hookwire::model::{HookId, TenantId};
use hookwire::registry::{Backlog, RegisteredWebhook, Registry, RegistryChange, Revision};

use crate::fault::Fault;
use crate::lanes::{self, NOTHING};
use crate::route::enter;
use crate::rows::{DELETED, DISABLED, ENABLED, Lane, LaneId, class_number, registered, version_number};
use crate::session::{Sessions, Tx, Work};

/// Reads a registry as it is at one moment.
pub(crate) async fn read(sessions: &Sessions, tenant: &TenantId) -> Result<Registry, Fault> {
    let rows = sessions.rows(READ, &[&tenant.as_str()]).await?;
    let Some(first) = rows.first() else { return Ok(Registry::default()) };
    let revision = Revision::new(first.try_get::<_, i64>("revision")?.unsigned_abs());
    let next_hook_id = HookId::new(first.try_get("next_hook")?);
    let there = rows.iter().filter(|row| row.try_get::<_, Option<i64>>("hook").is_ok_and(|it| it.is_some()));
    let webhooks = there.map(registered).collect::<Result<_, _>>()?;
    Ok(Registry { revision, next_hook_id, webhooks })
}

/// Applies a change; `None` when the registry is not as the change expects it.
pub(crate) struct Commit {
    pub(crate) tenant: TenantId,
    pub(crate) expected: Revision,
    pub(crate) change: RegistryChange,
}

#[async_trait]
impl Work for Commit {
    type Done = Option<Revision>;

    async fn on(&self, tx: &Tx<'_>) -> Result<Option<Revision>, Fault> {
        lanes::take_registry(tx, &self.tenant).await?;
        enter(tx, &self.tenant).await?;
        let row = tx.first(TENANT, &[&self.tenant.as_str()]).await?;
        let row = row.ok_or_else(|| Fault::corrupt("a tenant that has gone"))?;
        let revision = Revision::new(row.try_get::<_, i64>("revision")?.unsigned_abs());
        if revision != self.expected {
            return Ok(None);
        }
        let next_hook = HookId::new(row.try_get("next_hook")?);
        let applied = match &self.change {
            RegistryChange::Create(new) if new.hook_id() != next_hook => false,
            RegistryChange::Create(new) => self.create(tx, new).await?,
            RegistryChange::Delete(hook) => self.delete(tx, *hook).await?,
            RegistryChange::Update(new, backlog) => self.update(tx, new, *backlog).await?,
        };
        if !applied {
            return Ok(None);
        }
        revise(tx, &self.tenant).await?;
        Ok(Some(self.expected.next()))
    }
}

impl Commit {
    async fn create(&self, tx: &Tx<'_>, new: &RegisteredWebhook) -> Result<bool, Fault> {
        tx.run("UPDATE tenant SET next_hook = next_hook + 1 WHERE name = $1", &[&self.tenant.as_str()])
            .await?;
        let (health, class) = fresh()?;
        let hook = new.hook_id().get();
        let id = tx.first(INSERT, &[&self.tenant.as_str(), &hook, &class, &health]).await?;
        let id = id.ok_or_else(|| Fault::corrupt("a lane that was not made"))?;
        write_hook(tx, id.try_get("id")?, new).await?;
        Ok(true)
    }

    async fn update(&self, tx: &Tx<'_>, new: &RegisteredWebhook, backlog: Backlog) -> Result<bool, Fault> {
        let Some(lane) = self.lane(tx, new.hook_id()).await? else { return Ok(false) };
        if lane.registered()?.starts_afresh_as(new) {
            let (health, class) = fresh()?;
            let forget = "UPDATE lane SET health = $2::text::json, class = $3, \
                readied = pg_current_xact_id()::text::bigint WHERE id = $1";
            tx.run(forget, &[&lane.id, &health, &class]).await?;
        }
        write_hook(tx, lane.id, new).await?;
        let now = tx.now().await?;
        tx.run("UPDATE lane SET paused_until = $2 WHERE id = $1", &[&lane.id, &now]).await?;
        if backlog == Backlog::Drop {
            drop_backlog(tx, lane.id, now).await?;
        }
        lanes::refresh(tx, &[lane.id], now, NOTHING).await?;
        Ok(true)
    }

    async fn delete(&self, tx: &Tx<'_>, hook: HookId) -> Result<bool, Fault> {
        let Some(lane) = self.lane(tx, hook).await? else { return Ok(false) };
        delete_lane(tx, lane.id).await?;
        Ok(true)
    }

    /// The lane of a webhook that is not deleted, locked.
    async fn lane(&self, tx: &Tx<'_>, hook: HookId) -> Result<Option<Lane>, Fault> {
        const FIND: &str = "SELECT id FROM lane WHERE tenant = $1 AND hook = $2 AND status < 2";
        let Some(row) = tx.first(FIND, &[&self.tenant.as_str(), &hook.get()]).await? else { return Ok(None) };
        Ok(lanes::lock(tx, &[row.try_get("id")?]).await?.pop())
    }
}

/// What is known of a receiver of which nothing is known, and its class.
fn fresh() -> Result<(String, i16), Fault> {
    let health = Health::default();
    Ok((serde_json::to_string(&health)?, class_number(health.class())))
}

/// Makes a new revision of a tenant's registry, which must have been taken.
pub(crate) async fn revise(tx: &Tx<'_>, tenant: &TenantId) -> Result<(), Fault> {
    let revise = "UPDATE tenant SET revision = revision + 1 WHERE name = $1";
    tx.run(revise, &[&tenant.as_str()]).await.map(drop)
}

/// Writes a webhook down as it is now.
pub(crate) async fn write_hook(tx: &Tx<'_>, lane: LaneId, hook: &RegisteredWebhook) -> Result<(), Fault> {
    let status = if hook.webhook.status().is_enabled() { ENABLED } else { DISABLED };
    let webhook = serde_json::to_string(&hook.webhook)?;
    let options = serde_json::to_string(&hook.options)?;
    let disabled = hook.disabled.as_ref().map(serde_json::to_string).transpose()?;
    let (version, secrets) = (version_number(hook.version), &hook.secrets.expose()[..]);
    tx.run(WRITE, &[&lane, &status, &version, &webhook, &options, &disabled, &secrets]).await.map(drop)
}

/// Deletes a webhook with its secrets. The lane stays while the log tells of it.
pub(crate) async fn delete_lane(tx: &Tx<'_>, lane: LaneId) -> Result<(), Fault> {
    const DELETE: &str = "UPDATE lane SET status = $2, webhook = NULL, options = NULL, disabled = NULL, \
        secrets = NULL WHERE id = $1";
    tx.run(DELETE, &[&lane, &DELETED]).await?;
    let now = tx.now().await?;
    drop_backlog(tx, lane, now).await?;
    lanes::refresh(tx, &[lane], now, NOTHING).await?;
    forget_lanes(tx, &[lane]).await
}

/// Costs the same whatever the backlog: a new epoch begins, and upkeep ends what is left of the old.
async fn drop_backlog(tx: &Tx<'_>, lane: LaneId, now: i64) -> Result<(), Fault> {
    const BEGIN: &str = "UPDATE lane SET epoch = epoch + 1, epoch_at = $2, floor = NULL WHERE id = $1";
    const LEAVE: &str = "INSERT INTO dropped (lane, below) SELECT id, epoch FROM lane WHERE id = $1 \
        ON CONFLICT (lane) DO UPDATE SET below = excluded.below";
    tx.run(BEGIN, &[&lane, &now]).await?;
    tx.run(LEAVE, &[&lane]).await.map(drop)
}

/// Forgets deleted lanes of which the log tells nothing.
pub(crate) async fn forget_lanes(tx: &Tx<'_>, lanes: &[LaneId]) -> Result<(), Fault> {
    const FORGET: &str = "WITH gone AS (DELETE FROM lane WHERE id = ANY ($1) AND status = 2 \
        AND NOT EXISTS (SELECT FROM delivery WHERE delivery.lane = lane.id) RETURNING id) \
        DELETE FROM dropped USING gone WHERE dropped.lane = gone.id";
    tx.run(FORGET, &[&lanes]).await.map(drop)
}

const READ: &str = "SELECT revision, next_hook, lane.hook, lane.version, lane.webhook::text AS webhook, \
    lane.options::text AS options, lane.disabled::text AS disabled, lane.secrets \
    FROM tenant LEFT JOIN lane ON lane.tenant = tenant.name AND lane.status < 2 \
    WHERE tenant.name = $1 ORDER BY lane.hook";

const TENANT: &str = "SELECT revision, next_hook FROM tenant WHERE name = $1";

const INSERT: &str = "INSERT INTO lane (tenant, hook, status, class, health, version, epoch_at, paused_until) \
    SELECT $1, $2, 0, $3, $4::text::json, 0, now, now FROM clock_ms() AS now RETURNING id";

const WRITE: &str = "UPDATE lane SET status = $2, version = $3, webhook = $4::text::json, \
    options = $5::text::json, disabled = $6::text::json, secrets = $7 WHERE id = $1";
