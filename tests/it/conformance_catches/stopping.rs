//! Planted faults for pauses and suspensions.

use std::sync::Mutex;

use async_trait::async_trait;
use hookwire::TenantId;
use hookwire::model::Timestamp;
use hookwire::registry::{Registry, RegistryChange, Revision, Version};
use hookwire::store::{MemoryStore, Store};

use super::kinds::{CommitAs, ShowRegistryAs, lock};
use super::{Answer, Fault, catches};

catches! { paused_and_suspended_wait:
    a_pause_that_is_lost_is_found = CommitAs(|change| match change {
        RegistryChange::Update(mut it, backlog) => {
            it.paused = None;
            RegistryChange::Update(it, backlog)
        }
        other => other,
    }) => "the registry says since when it is paused",
    a_pause_that_is_only_told_is_found = TellsPauses::default()
        => "and no other's",
    a_suspension_that_is_lost_is_found = CommitAs(|change| match change {
        RegistryChange::Suspend(_) => RegistryChange::Suspend(None),
        other => other,
    }) => "the registry says since when the tenant is suspended",
    a_suspension_without_new_versions_is_found = ShowRegistryAs(|mut it| {
        it.webhooks.iter_mut().for_each(|it| it.version = Version::default());
        it
    }) => "each webhook has a new version",
}

/// Tells of a pause, and delivers all the same.
#[derive(Default)]
struct TellsPauses(Mutex<Option<Timestamp>>);

#[async_trait]
impl Fault for TellsPauses {
    async fn registry(&self, inner: &MemoryStore, tenant: &TenantId) -> Answer<Registry> {
        let mut registry = inner.registry(tenant).await?;
        registry.webhooks.iter_mut().for_each(|it| it.paused = *lock(&self.0));
        Ok(registry)
    }

    async fn commit(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Answer<Revision> {
        let mut change = change.clone();
        if let RegistryChange::Update(it, _) = &mut change {
            *lock(&self.0) = it.paused.take();
        }
        inner.commit(tenant, expected, &change).await
    }
}
