//! Planted faults for pauses, suspensions and the limits of webhooks.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use hookwire::TenantId;
use hookwire::model::{DeliveryOptions, Timestamp};
use hookwire::registry::{RegisteredWebhook, Registry, RegistryChange, Revision, Version};
use hookwire::store::{ClaimRequest, MemoryStore, Store};

use super::kinds::{ClaimAs, CommitAs, ShowRegistryAs, UpdateAs, lock};
use super::{Answer, Fault, catches};

catches! { paused_and_suspended_wait:
    a_pause_that_is_lost_is_found = UpdateAs(|it| RegisteredWebhook { paused: None, ..it })
        => "the registry says since when it is paused",
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

catches! { limits_of_webhooks_hold:
    a_limit_that_is_not_kept_is_found = UpdateAs(|it| {
        RegisteredWebhook { options: DeliveryOptions::new(), ..it }
    }) => "of a limited webhook, publishing holds nothing",
    a_limit_in_flight_that_is_each_holders_own_is_found = UpdateAs(|it| {
        let Some(most) = it.options.max_in_flight() else { return it };
        RegisteredWebhook { options: it.options.with_max_in_flight(most + 1).expect("valid"), ..it }
    }) => "no more are held than may be",
    a_rate_that_is_exceeded_is_found = UpdateAs(|it| {
        let Some(rate) = it.options.rate() else { return it };
        RegisteredWebhook { options: it.options.with_rate(rate + 1).expect("valid"), ..it }
    }) => "no more begin than the rate",
    slots_that_are_free_as_soon_as_a_second_has_passed_are_found = ClaimAs(|request| ClaimRequest {
        start_within: Duration::ZERO,
        ..request
    }) => "no more do",
    slots_that_are_taken_for_too_long_are_found = ClaimAs(|request| ClaimRequest {
        start_within: request.start_within * 2,
        ..request
    }) => "the answer says when more may",
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
