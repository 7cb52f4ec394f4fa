//! Planted faults for the keys of creation.

use std::sync::Mutex;

use async_trait::async_trait;
use hookwire::TenantId;
use hookwire::model::CreationRecord;
use hookwire::registry::{RegisteredWebhook, RegistryChange, Revision};
use hookwire::store::{MemoryStore, Store, StoreErrorKind};

use super::kinds::{CommitAs, UpdateAs, lock};
use super::{Answer, Fault, catches};

catches! { a_key_creates_one_webhook:
    a_key_that_is_forgotten_is_found = CommitAs(without_key) => "the registry has the key and the content",
    a_key_that_goes_with_a_change_is_found = UpdateAs(|it| RegisteredWebhook { creation: None, ..it })
        => "whatever changes, they stay",
    a_key_that_creates_two_is_found = CreatesTwo => "a key creates one webhook",
    a_key_that_hides_other_keys_is_found = Refuses { same: |_, _| true, used: Mutex::default() }
        => "another key is free",
    a_key_of_another_tenant_that_is_found_is_found = Refuses {
        same: |(tenant, key), (other, used)| tenant != other && key.has_key_of(used),
        used: Mutex::default(),
    } => "another tenant's key is another",
    a_key_that_is_used_for_ever_is_found = Refuses {
        same: |(tenant, key), (other, used)| tenant == other && key.has_key_of(used),
        used: Mutex::default(),
    } => "a key is free once its webhook is deleted",
}

fn without_key(change: RegistryChange) -> RegistryChange {
    match change {
        RegistryChange::Create(it) => RegistryChange::Create(RegisteredWebhook { creation: None, ..it }),
        other => other,
    }
}

/// Creates a second webhook under a key, without it.
struct CreatesTwo;

#[async_trait]
impl Fault for CreatesTwo {
    async fn commit(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Answer<Revision> {
        match inner.commit(tenant, expected, change).await {
            Err(_) => inner.commit(tenant, expected, &without_key(change.clone())).await,
            committed => committed,
        }
    }
}

type Used = (TenantId, CreationRecord);

/// Takes a key for one that was used before.
struct Refuses {
    same: fn(&Used, &Used) -> bool,
    used: Mutex<Vec<Used>>,
}

#[async_trait]
impl Fault for Refuses {
    async fn commit(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Answer<Revision> {
        if let Some(creation) = change.registered().and_then(|it| it.creation) {
            let new = (tenant.clone(), creation);
            let is_creation = matches!(change, RegistryChange::Create(_));
            if is_creation && lock(&self.used).iter().any(|used| (self.same)(&new, used)) {
                return Err(StoreErrorKind::Conflict.into());
            }
            lock(&self.used).push(new);
        }
        inner.commit(tenant, expected, change).await
    }
}
