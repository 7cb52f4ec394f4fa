//! The registry: webhooks, their lanes, and tenants.

use std::sync::Arc;

use super::state::{Lane, LaneKey, State};
use crate::delivery::Health;
use crate::model::{Disabled, HookId, InvalidCursor, Page, PageRequest, TenantId, Timestamp};
use crate::registry::{Backlog, RegisteredWebhook, Registry, RegistryChange, Revision};
use crate::store::disabled::{DisabledKey, DisabledWebhook};
use crate::store::error::{StoreError, StoreErrorKind};

impl State {
    pub(super) fn registry(&self, name: &TenantId) -> Registry {
        let Some(tenant) = self.tenants.get(name) else { return Registry::default() };
        let lane = |hook: &HookId| self.lanes.get(&(name.clone(), *hook));
        let live = tenant.hooks.iter().filter_map(lane).filter(|lane| !lane.deleted);
        Registry {
            revision: tenant.revision,
            next_hook_id: tenant.next_hook_id,
            webhooks: live.map(|lane| lane.hook.as_ref().clone()).collect(),
            suspended: tenant.suspended,
        }
    }

    pub(super) fn commit(
        &mut self,
        name: &TenantId,
        expected: Revision,
        change: &RegistryChange,
        now: Timestamp,
    ) -> Result<Revision, StoreError> {
        let tenant = self.tenants.entry(name.clone()).or_default();
        let (revision, next_hook_id) = (tenant.revision, tenant.next_hook_id);
        let key = |hook| (name.clone(), hook);
        let applied = revision == expected
            && match change {
                RegistryChange::Create(new) => self.create(name, next_hook_id, new),
                RegistryChange::Delete(hook) => self.delete(&key(*hook), now),
                RegistryChange::Suspend(since) => self.suspend(name, *since, now),
                RegistryChange::Update(new, backlog) => self.update(&key(new.hook_id()), new, *backlog, now),
            };
        let tenant = self.tenants.entry(name.clone()).or_default();
        if !applied {
            return Err(StoreErrorKind::Conflict.into());
        }
        tenant.revision = revision.next();
        Ok(tenant.revision)
    }

    fn create(&mut self, name: &TenantId, next: HookId, new: &RegisteredWebhook) -> bool {
        let hook = new.hook_id();
        if self.is_key_used(name, new) {
            return false;
        }
        let Some(tenant) = self.tenants.get_mut(name).filter(|_| hook == next) else { return false };
        tenant.next_hook_id = HookId::new(next.get() + 1);
        tenant.hooks.insert(hook);
        self.lanes.insert((name.clone(), hook), Lane::new(Arc::new(new.clone()), self.present));
        true
    }

    /// Whether a webhook was created under the key of `new`.
    fn is_key_used(&self, name: &TenantId, new: &RegisteredWebhook) -> bool {
        let Some(creation) = new.creation else { return false };
        let has_key = |it: &RegisteredWebhook| it.creation.is_some_and(|kept| kept.has_key_of(&creation));
        self.registry(name).webhooks.iter().any(has_key)
    }

    fn update(&mut self, key: &LaneKey, new: &RegisteredWebhook, backlog: Backlog, now: Timestamp) -> bool {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| !lane.deleted) else { return false };
        if lane.hook.starts_afresh_as(new) {
            lane.health = Health::default();
        }
        lane.hook = Arc::new(new.clone());
        lane.backoff_until = None;
        if backlog == Backlog::Drop {
            self.drop_backlog(key);
        }
        self.refresh(key, now);
        true
    }

    fn suspend(&mut self, name: &TenantId, since: Option<Timestamp>, now: Timestamp) -> bool {
        let Some(tenant) = self.tenants.get_mut(name) else { return false };
        tenant.suspended = since;
        for key in tenant.hooks.iter().map(|hook| (name.clone(), *hook)).collect::<Vec<_>>() {
            if let Some(lane) = self.lanes.get_mut(&key) {
                let hook = Arc::make_mut(&mut lane.hook);
                hook.version = hook.version.next();
            }
            self.refresh(&key, now);
        }
        true
    }

    fn delete(&mut self, key: &LaneKey, now: Timestamp) -> bool {
        let live = self.lanes.get(key).is_some_and(|lane| !lane.deleted);
        if live {
            self.delete_lane(key, now);
        }
        live
    }

    pub(super) fn delete_lane(&mut self, key: &LaneKey, now: Timestamp) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.deleted = true;
        }
        self.drop_backlog(key);
        self.refresh(key, now);
        self.forget_lane(key);
    }

    /// Costs the same whatever the backlog: the queue is set aside whole, to be ended step by step.
    fn drop_backlog(&mut self, key: &LaneKey) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.epoch += 1;
        lane.epoch_at = self.present;
        let queue = std::mem::take(&mut lane.queue);
        if !queue.is_empty() {
            self.dropped.push_back(queue);
        }
    }

    /// Forgets a deleted lane once the log tells nothing of it.
    pub(super) fn forget_lane(&mut self, key: &LaneKey) {
        if self.lanes.get(key).is_some_and(|lane| lane.deleted && lane.rows == 0) {
            let hours = self.lanes.remove(key).map(|lane| lane.hours).unwrap_or_default();
            self.forget_hours(key, hours.into_keys());
            if let Some(tenant) = self.tenants.get_mut(&key.0) {
                tenant.hooks.remove(&key.1);
            }
        }
    }

    pub(super) fn health(&self, tenant: &TenantId, hook_id: HookId) -> Option<Health> {
        let lane = self.lanes.get(&(tenant.clone(), hook_id)).filter(|lane| !lane.deleted)?;
        Some(lane.health)
    }

    pub(super) fn list_disabled(
        &self,
        since: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<DisabledWebhook>, InvalidCursor> {
        let last: Option<DisabledKey> = page.cursor_as()?;
        let lanes = self.lanes.iter().filter(|(_, lane)| !lane.deleted);
        let all = lanes.filter_map(|((tenant, hook_id), lane)| {
            let Disabled { reason, at } = lane.hook.disabled?;
            Some(DisabledWebhook { tenant: tenant.clone(), hook_id: *hook_id, reason: reason?, at: at? })
        });
        let after = |it: &DisabledWebhook| last.as_ref().is_none_or(|last| it.key() > *last);
        let mut items: Vec<_> = all.filter(|it| it.at >= since && after(it)).collect();
        items.sort_by_key(DisabledWebhook::key);
        Ok(Page::from_surplus(items, page.limit(), |last| last.key().to_string()))
    }

    pub(super) fn list_tenants(&self, page: &PageRequest) -> Result<Page<TenantId>, InvalidCursor> {
        let last: Option<TenantId> = page.cursor_as()?;
        let after = |name: &TenantId| last.as_ref().is_none_or(|last| name > last);
        let in_use = self.tenants.iter().filter(|(_, it)| !it.hooks.is_empty() || !it.events.is_empty());
        let items = in_use.map(|(name, _)| name.clone()).filter(after).take(page.limit() + 1).collect();
        Ok(Page::from_surplus(items, page.limit(), ToString::to_string))
    }
}
