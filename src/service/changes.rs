//! The webhooks that were changed in this process, so that no earlier claim of them starts an attempt.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::{HookId, TenantId};
use crate::registry::{Registry, RegistryChange, Version};
#[cfg(feature = "dispatcher")]
use crate::store::Claim;

/// The changes that were made through one service, each kept until every earlier claim has ended.
#[derive(Default)]
pub(super) struct Changes(Mutex<Maps>);

#[derive(Default)]
struct Maps {
    webhooks: HashMap<(TenantId, HookId), Change<Version>>,
    /// The id below which each webhook of a tenant was erased.
    erased: HashMap<TenantId, Change<HookId>>,
}

struct Change<T> {
    to: T,
    /// The clock's monotonic reading from which on no earlier claim lives.
    until: Duration,
}

impl Changes {
    /// Records a change, committed at the monotonic `now`, until all earlier claims have ended. A new webhook has none.
    pub(super) fn note(
        &self,
        tenant: &TenantId,
        (before, change): (&Registry, &RegistryChange),
        now: Duration,
        lease: Duration,
    ) {
        let changed: Vec<_> = match change {
            RegistryChange::Create(_) => Vec::new(),
            RegistryChange::Delete(hook_id) => vec![(*hook_id, Version::new(u64::MAX))],
            RegistryChange::Suspend(_) => {
                before.webhooks.iter().map(|it| (it.hook_id(), it.version.next())).collect()
            }
            RegistryChange::Update(new, _) => vec![(new.hook_id(), new.version)],
        };
        let until = now.saturating_add(lease);
        let mut maps = self.present(now);
        for (hook_id, to) in changed {
            note(&mut maps.webhooks, (tenant.clone(), hook_id), Change { to, until });
        }
    }

    /// Notes at `now`, for as long, that the tenant's webhooks with ids smaller than `below` are gone.
    pub(super) fn note_erased(&self, tenant: &TenantId, below: HookId, now: Duration, lease: Duration) {
        let until = now.saturating_add(lease);
        note(&mut self.present(now).erased, tenant.clone(), Change { to: below, until });
    }

    /// Locks the changes, after removing those whose earlier claims have all ended.
    fn present(&self, now: Duration) -> MutexGuard<'_, Maps> {
        let mut maps = self.lock();
        maps.webhooks.retain(|_, change| change.until > now);
        maps.erased.retain(|_, change| change.until > now);
        maps
    }

    /// Returns whether the webhook was changed after the claim was made.
    #[cfg(feature = "dispatcher")]
    pub(super) fn is_outdated(&self, claim: &Claim) -> bool {
        let hook_id = claim.hook.hook_id();
        let maps = self.lock();
        let change = maps.webhooks.get(&(claim.tenant.clone(), hook_id));
        change.is_some_and(|change| claim.hook.version < change.to)
            || maps.erased.get(&claim.tenant).is_some_and(|change| hook_id < change.to)
    }

    /// A panic leaves the maps consistent, so a poisoned lock is usable.
    fn lock(&self) -> MutexGuard<'_, Maps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes the larger of the present change and `new`: the later of two commits may be noted first.
fn note<K: Eq + Hash, T: Copy + Ord>(changes: &mut HashMap<K, Change<T>>, key: K, new: Change<T>) {
    let change = changes.entry(key).or_insert(Change { ..new });
    *change = Change { to: change.to.max(new.to), until: new.until };
}
