//! Planted faults for deliveries that are added, and for payloads that are erased.

use std::sync::Mutex;

use async_trait::async_trait;
use hookwire::TenantId;
use hookwire::model::{Attempt, DeliveryId, MessageId};
use hookwire::store::{Addition, EventRecord, MemoryStore, Redelivery, Settled, Settlement, Store};

use super::kinds::lock;
use super::{Answer, Fault, catches};

catches! { what_was_skipped_is_added_once:
    what_is_added_to_everybody_is_found = AddsAgain::default() => "the webhook has had it",
    what_is_not_added_is_found = AddsNothing => "the webhook has had none of it",
}

/// Redelivers what the webhook has had.
#[derive(Default)]
struct AddsAgain(Mutex<Option<DeliveryId>>);

#[async_trait]
impl Fault for AddsAgain {
    async fn settle(&self, inner: &MemoryStore, items: &[Settlement]) -> Answer<Vec<Settled>> {
        *lock(&self.0) = items.first().map(|item| item.id);
        inner.settle(items).await
    }

    async fn add(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        items: &[Addition],
    ) -> Answer<Vec<Option<DeliveryId>>> {
        let origin = lock(&self.0).expect("one was settled");
        let again = items.iter().map(|item| Redelivery { origin, expires: item.expires });
        inner.redeliver(tenant, &again.collect::<Vec<_>>()).await
    }
}

struct AddsNothing;

#[async_trait]
impl Fault for AddsNothing {
    async fn add(
        &self,
        _: &MemoryStore,
        _: &TenantId,
        items: &[Addition],
    ) -> Answer<Vec<Option<DeliveryId>>> {
        Ok(vec![None; items.len()])
    }
}

catches! { payloads_are_erased:
    an_event_that_is_not_there_and_erased_is_found = ErasesAnything => "there is no such event",
    a_payload_that_stays_is_found = Forgets::default() => "the payload is gone",
    an_answer_that_stays_is_found = KeepsAnswers::default() => "without answers",
    an_unrouted_event_that_is_erased_is_found = ErasesTheUnrouted => "is routed first",
}

struct ErasesAnything;

#[async_trait]
impl Fault for ErasesAnything {
    async fn erase_payload(&self, inner: &MemoryStore, tenant: &TenantId, id: &MessageId) -> Answer<bool> {
        inner.erase_payload(tenant, id).await.map(|_| true)
    }
}

/// Says that it has erased what it keeps.
#[derive(Default)]
struct Forgets(Mutex<Option<EventRecord>>);

#[async_trait]
impl Fault for Forgets {
    async fn erase_payload(&self, inner: &MemoryStore, tenant: &TenantId, id: &MessageId) -> Answer<bool> {
        let kept = inner.event(tenant, id).await?;
        if let Some(kept) = kept {
            *lock(&self.0) = Some(kept);
        }
        inner.erase_payload(tenant, id).await
    }

    async fn event(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        id: &MessageId,
    ) -> Answer<Option<EventRecord>> {
        let record = inner.event(tenant, id).await?;
        Ok(record.map(|record| lock(&self.0).clone().unwrap_or(record)))
    }
}

/// Shows the attempts as they were.
#[derive(Default)]
struct KeepsAnswers(Mutex<Vec<Attempt>>);

#[async_trait]
impl Fault for KeepsAnswers {
    async fn settle(&self, inner: &MemoryStore, items: &[Settlement]) -> Answer<Vec<Settled>> {
        lock(&self.0).extend(items.iter().filter_map(|item| item.attempt.clone()));
        inner.settle(items).await
    }

    async fn attempts(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        ids: &[DeliveryId],
    ) -> Answer<Vec<Option<Vec<Attempt>>>> {
        let attempts = inner.attempts(tenant, ids).await?;
        Ok(attempts.into_iter().map(|it| it.map(|_| lock(&self.0).clone())).collect())
    }
}

struct ErasesTheUnrouted;

#[async_trait]
impl Fault for ErasesTheUnrouted {
    async fn erase_payload(&self, inner: &MemoryStore, tenant: &TenantId, id: &MessageId) -> Answer<bool> {
        Ok(inner.erase_payload(tenant, id).await.unwrap_or(true))
    }
}
