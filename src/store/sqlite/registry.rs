use rusqlite::{Connection, named_params, params};

use super::desk::{self, Desk};
use super::rows::{DISABLED, ENABLED, Lane, LaneId, hook_doc, registered, version_number};
use super::sql::{Fault, Sql};
use crate::delivery::Health;
use crate::model::{HookId, Page, PageRequest, TenantId, Timestamp};
use crate::registry::{Backlog, RegisteredWebhook, Registry, RegistryChange, Revision};

pub(super) fn read(connection: &Connection, name: &TenantId) -> Result<Registry, Fault> {
    let Some(tenant) = desk::tenant(connection, name)? else { return Ok(Registry::default()) };
    const SELECT: &str =
        "SELECT doc, secrets, version FROM lane WHERE tenant = ? AND status < 2 ORDER BY hook";
    let webhooks = connection.all(SELECT, [tenant.id], registered)?;
    Ok(Registry { revision: tenant.revision, next_hook_id: tenant.next_hook, webhooks })
}

pub(super) fn tenants(connection: &Connection, page: &PageRequest) -> Result<Page<TenantId>, Fault> {
    const SELECT: &str = "SELECT name FROM tenant WHERE name > ?
        AND (EXISTS (SELECT 1 FROM lane WHERE lane.tenant = tenant.id)
            OR EXISTS (SELECT 1 FROM event WHERE event.tenant = tenant.id))
        ORDER BY name LIMIT ?";
    let (after, most) = (page.cursor_as::<TenantId>()?, super::sql::whole(page.limit() + 1));
    let after = after.as_ref().map_or("", TenantId::as_str);
    let read = |row: &rusqlite::Row<'_>| Ok(TenantId::new(row.get::<_, String>("name")?)?);
    let mut items = connection.all(SELECT, params![after, most], read)?;
    let has_more = items.len() > page.limit();
    items.truncate(page.limit());
    let next = items.last().filter(|_| has_more).map(ToString::to_string);
    Ok(Page::new(items, next))
}

impl Desk {
    /// Applies a change; `None` when the registry is not as the change expects it.
    pub(super) fn commit(
        &mut self,
        name: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Result<Option<Revision>, Fault> {
        let (tenant, now) = (self.enter(name)?, self.now());
        if tenant.revision != expected {
            return Ok(None);
        }
        let applied = match change {
            RegistryChange::Create(new) if new.hook_id() != tenant.next_hook => false,
            RegistryChange::Create(new) => self.create(tenant.id, new, now)?,
            RegistryChange::Delete(hook) => self.delete(tenant.id, *hook, now)?,
            RegistryChange::Update(new, backlog) => self.update(tenant.id, new, *backlog, now)?,
        };
        if !applied {
            return Ok(None);
        }
        self.has_news = true;
        self.revise(tenant.id)?;
        Ok(Some(expected.next()))
    }

    /// Makes a new revision of a tenant's registry.
    pub(super) fn revise(&self, tenant: i64) -> Result<(), Fault> {
        self.connection.run("UPDATE tenant SET revision = revision + 1 WHERE id = ?", [tenant])?;
        Ok(())
    }

    fn create(&self, tenant: i64, new: &RegisteredWebhook, now: Timestamp) -> Result<bool, Fault> {
        self.connection.run("UPDATE tenant SET next_hook = next_hook + 1 WHERE id = ?", [tenant])?;
        const INSERT: &str = "
            INSERT INTO lane (tenant, hook, status, epoch_at, paused_until, version, health, doc, secrets)
            VALUES (:tenant, :hook, :status, :now, :now, :version, :health, :doc, :secrets)";
        let values = named_params! {
            ":tenant": tenant,
            ":hook": new.hook_id().get(),
            ":status": status(new),
            ":now": now.as_millis(),
            ":version": version_number(new.version),
            ":health": serde_json::to_string(&Health::default())?,
            ":doc": hook_doc(new)?,
            ":secrets": &new.secrets.expose()[..],
        };
        self.connection.run(INSERT, values)?;
        Ok(true)
    }

    fn update(
        &mut self,
        tenant: i64,
        new: &RegisteredWebhook,
        backlog: Backlog,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        let Some(lane) = self.lane_of(tenant, new.hook_id())? else { return Ok(false) };
        if self.hook(lane.id)?.starts_afresh_as(new) {
            let health = serde_json::to_string(&Health::default())?;
            self.connection.run("UPDATE lane SET health = ? WHERE id = ?", params![health, lane.id])?;
        }
        self.write_hook(lane.id, new)?;
        let end_backoff = "UPDATE lane SET paused_until = ? WHERE id = ?";
        self.connection.run(end_backoff, [now.as_millis(), lane.id])?;
        if backlog == Backlog::Drop {
            self.drop_backlog(&lane, now)?;
        }
        self.refresh(lane.id, now)?;
        Ok(true)
    }

    /// Writes a webhook down as it is now.
    pub(super) fn write_hook(&mut self, lane: LaneId, hook: &RegisteredWebhook) -> Result<(), Fault> {
        const UPDATE: &str = "UPDATE lane SET status = :status, version = :version, doc = :doc, \
            secrets = :secrets WHERE id = :lane";
        let values = named_params! {
            ":lane": lane,
            ":status": status(hook),
            ":version": version_number(hook.version),
            ":doc": hook_doc(hook)?,
            ":secrets": &hook.secrets.expose()[..],
        };
        self.connection.run(UPDATE, values)?;
        self.forget_hook(lane);
        Ok(())
    }

    fn delete(&mut self, tenant: i64, hook: HookId, now: Timestamp) -> Result<bool, Fault> {
        let Some(lane) = self.lane_of(tenant, hook)? else { return Ok(false) };
        self.delete_lane(&lane, now)?;
        Ok(true)
    }

    /// Deletes a webhook with its secrets. The lane stays while the log tells of it.
    pub(super) fn delete_lane(&mut self, lane: &Lane, now: Timestamp) -> Result<(), Fault> {
        let delete = "UPDATE lane SET status = 2, doc = '', secrets = x'' WHERE id = ?";
        self.connection.run(delete, [lane.id])?;
        self.forget_hook(lane.id);
        self.drop_backlog(lane, now)?;
        self.refresh(lane.id, now)?;
        self.forget_lane(lane.id)
    }

    /// Costs the same whatever the backlog: a new epoch begins, and upkeep ends what is left of the old.
    fn drop_backlog(&self, lane: &Lane, now: Timestamp) -> Result<(), Fault> {
        let begin = "UPDATE lane SET epoch = ?, epoch_at = ? WHERE id = ?";
        self.connection.run(begin, [lane.epoch + 1, now.as_millis(), lane.id])?;
        let leave = "INSERT OR REPLACE INTO dropped (lane, below) VALUES (?, ?)";
        self.connection.run(leave, [lane.id, lane.epoch + 1])?;
        Ok(())
    }

    /// Forgets a deleted lane once the log tells nothing of it.
    pub(super) fn forget_lane(&self, lane: LaneId) -> Result<(), Fault> {
        const FORGET: &str = "DELETE FROM lane WHERE id = ?1 AND status = 2 \
            AND NOT EXISTS (SELECT 1 FROM delivery WHERE lane = ?1)";
        self.connection.run(FORGET, [lane])?;
        Ok(())
    }
}

fn status(hook: &RegisteredWebhook) -> i64 {
    if hook.webhook.status().is_enabled() { ENABLED } else { DISABLED }
}
