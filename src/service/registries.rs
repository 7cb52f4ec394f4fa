//! The registries that are kept in memory for publishing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::TenantId;
use crate::registry::Registry;
use crate::store::{Store, StoreError};

/// The most registries that are kept.
const MAX_REGISTRIES: usize = 10_000;

/// A cache of the tenants' registries.
#[derive(Default)]
pub(super) struct Registries(Mutex<HashMap<TenantId, Arc<Registry>>>);

impl Registries {
    /// Returns a registry that may be outdated. A store answers a publication that was routed by such a one with
    /// `Stale`.
    pub(super) async fn cached(
        &self,
        store: &dyn Store,
        tenant: &TenantId,
    ) -> Result<Arc<Registry>, StoreError> {
        let cached = self.lock().get(tenant).map(Arc::clone);
        match cached {
            Some(registry) => Ok(registry),
            None => self.fresh(store, tenant).await,
        }
    }

    /// Reads a registry from the store, and keeps it.
    pub(super) async fn fresh(
        &self,
        store: &dyn Store,
        tenant: &TenantId,
    ) -> Result<Arc<Registry>, StoreError> {
        let registry = Arc::new(store.registry(tenant).await?);
        let mut registries = self.lock();
        if registries.len() >= MAX_REGISTRIES {
            registries.clear();
        }
        registries.insert(tenant.clone(), Arc::clone(&registry));
        Ok(registry)
    }

    pub(super) fn forget(&self, tenant: &TenantId) {
        self.lock().remove(tenant);
    }

    /// A panic leaves the map consistent, so a poisoned lock is usable.
    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Arc<Registry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
