//! The registry: webhooks, their lanes, and tenants.

use std::sync::Arc;

use rusqlite::{Connection, named_params, params};

use super::changes::TenantRow;
use super::file::rows::{
    DELETED, DISABLED, ENABLED, Lane, LaneId, SELECT_HOOK, hook_doc, registered, version_number,
};
use super::file::sql::{Cells, Sql, SqlError, as_i64, number};
use super::memory;
use super::transaction::Transaction;
use crate::delivery::Health;
use crate::model::{HookId, Page, PageRequest, TenantId, Timestamp};
use crate::registry::{Backlog, RegisteredWebhook, Registry, RegistryChange, Revision};
use crate::store::disabled::{DisabledKey, DisabledWebhook};
use crate::store::pace::Pace;

pub(super) fn read(connection: &Connection, name: &TenantId) -> Result<Registry, SqlError> {
    let Some(tenant) = memory::tenant(connection, name)? else { return Ok(Registry::default()) };
    let select = format!("{SELECT_HOOK} tenant = ? AND status < 2 ORDER BY hook");
    let webhooks = connection.all(&select, [tenant.id], registered)?;
    let (revision, next_hook_id, suspended) = (tenant.revision, tenant.next_hook, tenant.suspended);
    Ok(Registry { revision, next_hook_id, webhooks, suspended })
}

pub(super) fn tenants(connection: &Connection, page: &PageRequest) -> Result<Page<TenantId>, SqlError> {
    const SELECT: &str = "SELECT name FROM tenant WHERE name > ?
        AND (EXISTS (SELECT 1 FROM lane WHERE lane.tenant = tenant.id)
            OR EXISTS (SELECT 1 FROM event WHERE event.tenant = tenant.id))
        ORDER BY name LIMIT ?";
    let (after, most) = (page.cursor_as::<TenantId>()?, as_i64(page.limit() + 1));
    let after = after.as_ref().map_or("", TenantId::as_str);
    let read = |cells: &mut Cells<'_>| Ok(TenantId::new(cells.text()?)?);
    let items = connection.all(SELECT, params![after, most], read)?;
    Ok(Page::from_surplus(items, page.limit(), ToString::to_string))
}

pub(super) fn health(
    connection: &Connection,
    tenant: &TenantId,
    hook: HookId,
) -> Result<Option<Health>, SqlError> {
    const SELECT: &str = "SELECT health FROM lane JOIN tenant ON tenant.id = lane.tenant \
        WHERE tenant.name = ? AND lane.hook = ? AND status < 2";
    connection.one(SELECT, params![tenant.as_str(), hook.get()], |cells| cells.json())
}

pub(super) fn disabled(
    connection: &Connection,
    since: Timestamp,
    page: &PageRequest,
) -> Result<Page<DisabledWebhook>, SqlError> {
    const SELECT: &str = "SELECT name, hook, doc -> '$.disabled', disabled_at
        FROM lane JOIN tenant ON tenant.id = lane.tenant
        WHERE status = 0 AND disabled_at >= ?1 AND doc -> '$.disabled' IS NOT NULL
            AND (?2 IS NULL OR (disabled_at, name, hook) > (?2, ?3, ?4))
        ORDER BY disabled_at, name, hook LIMIT ?5";
    let last: Option<DisabledKey> = page.cursor_as()?;
    let last = last.as_ref();
    let (at, name) = (last.map(|it| it.at.as_millis()), last.map(|it| it.tenant.as_str()));
    let hook = last.map(|it| it.hook_id.get());
    let values = params![since.as_millis(), at, name, hook, as_i64(page.limit() + 1)];
    let items = connection.all(SELECT, values, |cells| {
        let (tenant, hook_id) = (TenantId::new(cells.text()?)?, HookId::new(cells.get()?));
        Ok(DisabledWebhook { tenant, hook_id, reason: cells.json()?, at: cells.time()? })
    })?;
    Ok(Page::from_surplus(items, page.limit(), |last| last.key().to_string()))
}

impl Transaction<'_> {
    /// Applies a change; `None` when the registry is not as the change expects it.
    pub(super) fn commit(
        &mut self,
        name: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Result<Option<Revision>, SqlError> {
        let tenant = self.tenant(name)?;
        if tenant.map(|row| row.revision).unwrap_or_default() != expected {
            return Ok(None);
        }
        let applied = match change {
            RegistryChange::Create(new) => self.create(name, tenant, new)?,
            RegistryChange::Delete(hook) => self.delete(tenant, *hook)?,
            RegistryChange::Suspend(since) => self.suspend(name, *since)?,
            RegistryChange::Update(new, backlog) => self.update(tenant, new, *backlog)?,
        };
        if !applied {
            return Ok(None);
        }
        self.changes.has_new_work = true;
        self.revise(name)?;
        Ok(Some(expected.next()))
    }

    /// Makes a new revision of a tenant's registry.
    pub(super) fn revise(&mut self, name: &TenantId) -> Result<(), SqlError> {
        let row = self.enter(name)?;
        self.connection.run("UPDATE tenant SET revision = revision + 1 WHERE id = ?", [row.id])?;
        let revised = TenantRow { revision: row.revision.next(), ..row };
        self.changes.tenants.insert(name.clone(), revised);
        Ok(())
    }

    fn create(
        &mut self,
        name: &TenantId,
        tenant: Option<TenantRow>,
        new: &RegisteredWebhook,
    ) -> Result<bool, SqlError> {
        if new.hook_id() != tenant.map_or(HookId::new(1), |row| row.next_hook) {
            return Ok(false);
        }
        let row = self.enter(name)?;
        if self.is_key_used(&row, new)? {
            return Ok(false);
        }
        let next_hook = HookId::new(row.next_hook.get() + 1);
        self.connection.run("UPDATE tenant SET next_hook = ? WHERE id = ?", [next_hook.get(), row.id])?;
        self.changes.tenants.insert(name.clone(), TenantRow { next_hook, ..row });
        self.insert_lane(&row, new)?;
        Ok(true)
    }

    /// Whether a webhook was created under the key of `new`.
    fn is_key_used(&self, tenant: &TenantRow, new: &RegisteredWebhook) -> Result<bool, SqlError> {
        const USED: &str = "SELECT 1 FROM lane \
            WHERE tenant = ?1 AND status < 2 AND substr(creation_key, 1, 32) = substr(?2, 1, 32)";
        let Some(creation) = new.creation else { return Ok(false) };
        let used = self.connection.one(USED, params![tenant.id, creation.to_bytes()], number)?;
        Ok(used.is_some())
    }

    fn insert_lane(&self, tenant: &TenantRow, new: &RegisteredWebhook) -> Result<(), SqlError> {
        const INSERT: &str = "
            INSERT INTO lane (tenant, hook, status, epoch_at, version, health, doc, secrets, disabled_at, rate, cap,
                creation_key)
            VALUES (:tenant, :hook, :status, :now, :version, :health, :doc, :secrets, :disabled_at, :rate, :cap,
                :creation_key)";
        let Pace { rate, max_in_flight } = Pace::of(&new.options);
        let values = named_params! {
            ":tenant": tenant.id,
            ":hook": new.hook_id().get(),
            ":status": status(new, tenant.suspended),
            ":now": self.now.date.as_millis(),
            ":version": version_number(new.version),
            ":health": serde_json::to_string(&Health::default())?,
            ":doc": hook_doc(new)?,
            ":secrets": &new.secrets.expose()[..],
            ":disabled_at": disabled_at(new),
            ":rate": rate,
            ":cap": max_in_flight,
            ":creation_key": new.creation.map(|it| it.to_bytes()),
        };
        self.connection.run(INSERT, values)?;
        Ok(())
    }

    fn update(
        &mut self,
        tenant: Option<TenantRow>,
        new: &RegisteredWebhook,
        backlog: Backlog,
    ) -> Result<bool, SqlError> {
        let Some(lane) = self.lane_in(tenant, new.hook_id())? else { return Ok(false) };
        let suspended = tenant.and_then(|row| row.suspended);
        let afresh = self.hook(lane.id)?.starts_afresh_as(new);
        let health = if afresh { Health::default() } else { lane.health };
        let changed = Lane { health, backoff_until: None, ..Lane::clone(&lane) };
        self.write_state(&changed)?;
        let changed = self.write_hook(changed, new, suspended)?;
        if backlog == Backlog::Drop {
            self.drop_backlog(&changed)?;
        }
        Ok(true)
    }

    /// Writes down what a lane learns of its receiver.
    pub(super) fn write_state(&self, lane: &Lane) -> Result<(), SqlError> {
        let write = "UPDATE lane SET health = ?, backoff_until = ? WHERE id = ?";
        let (health, until) = (serde_json::to_string(&lane.health)?, lane.backoff_until);
        self.connection.run(write, params![health, until.map(|it| it.as_millis()), lane.id])?;
        Ok(())
    }

    /// Writes a webhook down as it is now.
    pub(super) fn write_hook(
        &mut self,
        lane: Lane,
        hook: &RegisteredWebhook,
        suspended: Option<Timestamp>,
    ) -> Result<Arc<Lane>, SqlError> {
        const UPDATE: &str = "UPDATE lane SET status = :status, version = :version, doc = :doc, \
            secrets = :secrets, disabled_at = :disabled_at, rate = :rate, cap = :cap WHERE id = :lane";
        let pace = Pace::of(&hook.options);
        let status = status(hook, suspended);
        let values = named_params! {
            ":lane": lane.id,
            ":status": status,
            ":version": version_number(hook.version),
            ":doc": hook_doc(hook)?,
            ":secrets": &hook.secrets.expose()[..],
            ":disabled_at": disabled_at(hook),
            ":rate": pace.rate,
            ":cap": pace.max_in_flight,
        };
        self.connection.run(UPDATE, values)?;
        self.changes.hooks.push(lane.id);
        Ok(self.set_lane(Lane { status, pace, ..lane }))
    }

    fn suspend(&mut self, name: &TenantId, since: Option<Timestamp>) -> Result<bool, SqlError> {
        const SUSPEND: &str = "UPDATE tenant SET suspended_at = ? WHERE id = ?";
        const HOOKS: &str = "SELECT hook FROM lane WHERE tenant = ? AND status < 2";
        let row = self.enter(name)?;
        self.connection.run(SUSPEND, params![since.map(Timestamp::as_millis), row.id])?;
        self.changes.tenants.insert(name.clone(), TenantRow { suspended: since, ..row });
        for hook in self.connection.all(HOOKS, [row.id], number)? {
            let Some(lane) = self.lane_of(row.id, HookId::new(hook))? else { continue };
            let mut hook = self.hook(lane.id)?;
            hook.version = hook.version.next();
            self.write_hook(Lane::clone(&lane), &hook, since)?;
        }
        Ok(true)
    }

    fn lane_in(&mut self, tenant: Option<TenantRow>, hook: HookId) -> Result<Option<Arc<Lane>>, SqlError> {
        tenant.map_or(Ok(None), |row| self.lane_of(row.id, hook))
    }

    fn delete(&mut self, tenant: Option<TenantRow>, hook: HookId) -> Result<bool, SqlError> {
        let Some(lane) = self.lane_in(tenant, hook)? else { return Ok(false) };
        self.delete_lane(&lane)?;
        Ok(true)
    }

    /// Deletes a webhook with its secrets. The lane stays while the log tells of it.
    pub(super) fn delete_lane(&mut self, lane: &Lane) -> Result<(), SqlError> {
        let delete = "UPDATE lane SET status = 2, doc = '', secrets = x'', disabled_at = NULL, \
            creation_key = NULL WHERE id = ?";
        self.connection.run(delete, [lane.id])?;
        self.changes.hooks.push(lane.id);
        self.drop_backlog(&Lane { status: DELETED, ..lane.clone() })?;
        self.forget_lane(lane.id)
    }

    /// Costs the same whatever the backlog: a new epoch begins, and upkeep ends what is left of the old.
    fn drop_backlog(&mut self, lane: &Lane) -> Result<(), SqlError> {
        let (epoch, now) = (lane.epoch + 1, self.now);
        let begin = "UPDATE lane SET epoch = ?, epoch_at = ? WHERE id = ?";
        self.connection.run(begin, [epoch, now.date.as_millis(), lane.id])?;
        let leave = "INSERT OR REPLACE INTO dropped (lane, below, since) VALUES (?, ?, ?)";
        self.connection.run(leave, [lane.id, epoch, now.time.as_millis()])?;
        self.set_lane(Lane { epoch, ..lane.clone() });
        Ok(())
    }

    /// Forgets a deleted lane once the log tells nothing of it.
    pub(super) fn forget_lane(&mut self, lane: LaneId) -> Result<(), SqlError> {
        const FORGET: &str = "DELETE FROM lane WHERE id = ?1 AND status = 2 \
            AND NOT EXISTS (SELECT 1 FROM delivery WHERE lane = ?1)";
        if self.connection.run(FORGET, [lane])? > 0 {
            self.forget_hours(lane)?;
            self.changes.forgotten.push(lane);
        }
        Ok(())
    }
}

fn disabled_at(hook: &RegisteredWebhook) -> Option<i64> {
    hook.disabled?.at.map(Timestamp::as_millis)
}

/// Returns `lane.status`. It is 0 for a paused webhook and for one of a suspended tenant, too.
fn status(hook: &RegisteredWebhook, suspended: Option<Timestamp>) -> i64 {
    if hook.is_active() && suspended.is_none() { ENABLED } else { DISABLED }
}
