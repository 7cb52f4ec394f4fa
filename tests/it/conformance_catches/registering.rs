//! Planted faults for the points of the contract about registries.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hookwire::TenantId;
use hookwire::delivery::{Health, Next};
use hookwire::model::{
    Attempt, Delivery, DeliveryId, DeliveryQuery, HookId, MessageId, MessageQuery, MessageRecord, Page,
    PageRequest, Status, Timestamp, Webhook,
};
use hookwire::registry::{Backlog, RegisteredWebhook, Registry, RegistryChange, Revision};
use hookwire::store::{
    ClaimRequest, Claimed, DisabledWebhook, Erased, EventRecord, MemoryStore, Publication, PublishAnswer,
    Published, Redelivery, Settled, Settlement, Stats, StatsScope, Store,
};
use hookwire::testing::Call;

use super::kinds::{CommitAs, Ledger, ReceiveAs, ShowRegistryAs, SweptReadAs, UpdateAs, lock};
use super::{Answer, Fault, catches};

catches! { old_revisions_change_nothing:
    a_change_at_an_old_revision_is_found = CommitsAnyway => "the registry is at another revision",
    a_refused_change_that_is_made_is_found = CommitsWhatItRefuses => "a refused change is not made",
    a_revision_that_never_moves_is_found = ShowRegistryAs(|it| Registry {
        revision: Revision::default(),
        ..it
    }) => "a change makes a new revision",
    a_stale_publication_that_is_taken_is_found = PublishesStale { answer: false } => "stale: [Stored",
    a_stale_publication_that_is_written_is_found = PublishesStale { answer: true }
        => "a stale item writes nothing",
    a_revision_made_up_for_stale_items_is_found = ReceiveAs(|it| match it {
        PublishAnswer::Stale(at) => PublishAnswer::Stale(at.next()),
        other => other,
    }) => "stale: [Stale",
}

struct CommitsAnyway;

#[async_trait]
impl Fault for CommitsAnyway {
    async fn commit(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        _: Revision,
        change: &RegistryChange,
    ) -> Answer<Revision> {
        let present = inner.registry(tenant).await?.revision;
        inner.commit(tenant, present, change).await
    }
}

struct CommitsWhatItRefuses;

#[async_trait]
impl Fault for CommitsWhatItRefuses {
    async fn commit(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Answer<Revision> {
        let refused = inner.commit(tenant, expected, change).await;
        if refused.is_err() {
            let present = inner.registry(tenant).await?.revision;
            inner.commit(tenant, present, change).await?;
        }
        refused
    }
}

/// Writes what was routed at an old revision, and perhaps says that it did not.
struct PublishesStale {
    answer: bool,
}

#[async_trait]
impl Fault for PublishesStale {
    async fn publish(
        &self,
        inner: &MemoryStore,
        items: &[Publication],
        _: Option<&ClaimRequest>,
    ) -> Answer<Published> {
        let mut published = Published { answers: Vec::new(), held: Vec::new() };
        for item in items {
            let routed_at = inner.registry(&item.tenant).await?.revision;
            let written = inner.publish(&[Publication { routed_at, ..item.clone() }], None).await?;
            let hidden = self.answer && routed_at != item.routed_at;
            let stale = || vec![PublishAnswer::Stale(routed_at)];
            published.answers.extend(if hidden { stale() } else { written.answers });
        }
        Ok(published)
    }
}

catches! { hook_ids_are_never_reused:
    the_id_of_a_deleted_webhook_used_again_is_found = NextAfterTheLast => "not after it was deleted",
    ids_that_begin_anew_after_erasing_are_found = ShowRegistryAs(|it| {
        let erased = it.webhooks.is_empty();
        if erased { Registry { next_hook_id: HookId::new(1), ..it } } else { it }
    }) => "not even after the tenant was erased",
    any_id_that_is_taken_is_found = TakesAnyId => "id 2 was used",
}

/// The change as the store behind takes it, whatever id the webhook has.
async fn renumbered(
    inner: &MemoryStore,
    tenant: &TenantId,
    change: &RegistryChange,
) -> Answer<RegistryChange> {
    let RegistryChange::Create(registered) = change else { return Ok(change.clone()) };
    let mut json = serde_json::to_value(&registered.webhook).expect("JSON");
    json["hook_id"] = inner.registry(tenant).await?.next_hook_id.get().into();
    let webhook: Webhook = serde_json::from_value(json).expect("a webhook");
    Ok(RegistryChange::Create(RegisteredWebhook { webhook, ..registered.clone() }))
}

struct TakesAnyId;

#[async_trait]
impl Fault for TakesAnyId {
    async fn commit(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Answer<Revision> {
        inner.commit(tenant, expected, &renumbered(inner, tenant, change).await?).await
    }
}

/// Gives the number after the last that is there.
struct NextAfterTheLast;

#[async_trait]
impl Fault for NextAfterTheLast {
    async fn registry(&self, inner: &MemoryStore, tenant: &TenantId) -> Answer<Registry> {
        let registry = inner.registry(tenant).await?;
        let last = registry.webhooks.iter().map(|it| it.hook_id().get()).max();
        Ok(Registry { next_hook_id: HookId::new(last.unwrap_or_default() + 1), ..registry })
    }

    async fn commit(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Answer<Revision> {
        TakesAnyId.commit(inner, tenant, expected, change).await
    }
}

catches! { disabled_and_deleted_get_nothing:
    a_disabled_webhook_that_is_served_is_found = UpdateAs(|it| {
        RegisteredWebhook { webhook: it.webhook.with_status(Status::Enabled), ..it }
    }) => "a disabled webhook's deliveries wait",
    a_backlog_that_is_dropped_when_it_should_wait_is_found = CommitAs(|change| match change {
        RegistryChange::Update(it, _) => RegistryChange::Update(it, Backlog::Drop),
        other => other,
    }) => "and are not lost",
    a_backlog_that_resumes_when_it_should_be_dropped_is_found = CommitAs(|change| match change {
        RegistryChange::Update(it, _) => RegistryChange::Update(it, Backlog::Resume),
        other => other,
    }) => "or are dropped, as asked",
    held_ones_that_survive_the_drop_are_found = RetriesTheCancelled::default()
        => "what was held is not tried again either",
    deleting_that_only_disables_is_found = DeleteDisables { hides: false, hidden: Mutex::default() }
        => "it is gone",
    a_deleted_backlog_that_waits_for_ever_is_found = DeleteDisables { hides: true, hidden: Mutex::default() }
        => "all else has ended",
    results_of_deleted_webhooks_that_are_lost_are_found = FencesTheDeleted::default()
        => "a live claim is settled",
    an_end_that_moves_with_the_clock_is_found = EndsWhenLookedAt::default()
        => "a dropped delivery ended when it was dropped",
    upkeep_that_dates_an_end_anew_is_found = SweptReadAs::new(|mut page| {
        page.items.iter_mut().for_each(|it| it.ended_at = it.ended_at.map(|at| at.plus(MOMENT)));
        page
    }) => "and so it reads once upkeep has ended it",
    a_time_of_disabling_that_is_lost_is_found = UpdateAs(|it| RegisteredWebhook { disabled: None, ..it })
        => "the registry says since when it is disabled",
    a_list_of_the_disabled_without_an_item_is_found
        = ListDisabledAs(|since| since.plus(MOMENT)) => "all since then, in order",
    a_list_of_the_disabled_from_the_beginning_is_found
        = ListDisabledAs(|_| Timestamp::default()) => "and none of before",
    a_list_of_the_disabled_without_pages_is_found = DisabledFromTheFirst => "a cursor of another listing",
}

/// Lists the disabled since another date.
struct ListDisabledAs(fn(Timestamp) -> Timestamp);

#[async_trait]
impl Fault for ListDisabledAs {
    async fn disabled(
        &self,
        inner: &MemoryStore,
        since: Timestamp,
        page: &PageRequest,
    ) -> Answer<Page<DisabledWebhook>> {
        inner.disabled((self.0)(since), page).await
    }
}

/// Takes a cursor that it does not know for the first page.
struct DisabledFromTheFirst;

#[async_trait]
impl Fault for DisabledFromTheFirst {
    async fn disabled(
        &self,
        inner: &MemoryStore,
        since: Timestamp,
        page: &PageRequest,
    ) -> Answer<Page<DisabledWebhook>> {
        match inner.disabled(since, page).await {
            Err(_) => inner.disabled(since, &PageRequest::first()).await,
            listed => listed,
        }
    }
}

const MOMENT: Duration = Duration::from_millis(1);

/// Shows each end later than the last time.
#[derive(Default)]
struct EndsWhenLookedAt(AtomicU32);

#[async_trait]
impl Fault for EndsWhenLookedAt {
    async fn deliveries(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Answer<Page<Delivery>> {
        let mut page = inner.deliveries(tenant, query).await?;
        let late = MOMENT * self.0.fetch_add(1, Ordering::Relaxed);
        page.items.iter_mut().for_each(|it| it.ended_at = it.ended_at.map(|at| at.plus(late)));
        Ok(page)
    }
}

/// Queues again what was held when its backlog was dropped.
#[derive(Default)]
struct RetriesTheCancelled(Ledger);

#[async_trait]
impl Fault for RetriesTheCancelled {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let claimed = inner.claim(request).await?;
        self.0.note(&claimed);
        Ok(claimed)
    }

    async fn settle(&self, inner: &MemoryStore, items: &[Settlement]) -> Answer<Vec<Settled>> {
        let answers = inner.settle(items).await?;
        for item in items.iter().filter(|item| matches!(item.next, Next::Again(_))) {
            let Some(claim) = self.0.claim_on(item.id) else { continue };
            let again = Redelivery { origin: item.id, expires: Duration::from_secs(1_000) };
            inner.redeliver(&claim.tenant, &[again]).await?;
        }
        Ok(answers)
    }
}

/// Disables what it is told to delete, and perhaps hides that.
struct DeleteDisables {
    hides: bool,
    hidden: Mutex<BTreeSet<HookId>>,
}

#[async_trait]
impl Fault for DeleteDisables {
    async fn registry(&self, inner: &MemoryStore, tenant: &TenantId) -> Answer<Registry> {
        let mut registry = inner.registry(tenant).await?;
        registry.webhooks.retain(|it| !lock(&self.hidden).contains(&it.hook_id()));
        Ok(registry)
    }

    async fn commit(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Answer<Revision> {
        let RegistryChange::Delete(hook) = change else {
            return inner.commit(tenant, expected, change).await;
        };
        let mut registered = inner.registry(tenant).await?.get(*hook).expect("it is there").clone();
        registered.webhook = registered.webhook.with_status(Status::Disabled);
        if self.hides {
            lock(&self.hidden).insert(*hook);
        }
        inner.commit(tenant, expected, &RegistryChange::Update(registered, Backlog::Resume)).await
    }
}

#[derive(Default)]
struct FencesTheDeleted(Ledger);

#[async_trait]
impl Fault for FencesTheDeleted {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let claimed = inner.claim(request).await?;
        self.0.note(&claimed);
        Ok(claimed)
    }

    async fn settle(&self, inner: &MemoryStore, items: &[Settlement]) -> Answer<Vec<Settled>> {
        let mut answers = Vec::new();
        for item in items {
            let Some(claim) = self.0.claim_on(item.id) else { continue };
            let there = inner.registry(&claim.tenant).await?.get(claim.hook.hook_id()).is_some();
            let settled = inner.settle(std::slice::from_ref(item)).await?;
            answers.extend(if there { settled } else { vec![Settled::Fenced] });
        }
        Ok(answers)
    }
}

catches! { tenants_are_apart:
    webhooks_of_others_are_found = TenantIgnored(Call::Registry) => "no webhook is theirs",
    health_of_others_is_found = TenantIgnored(Call::Health) => "no health is theirs",
    events_of_others_are_found = TenantIgnored(Call::Event) => "no event is theirs",
    messages_of_others_are_found = TenantIgnored(Call::Messages) => "no message is theirs",
    deliveries_of_others_are_found = TenantIgnored(Call::Deliveries) => "no delivery is theirs",
    attempts_of_others_are_found = TenantIgnored(Call::Attempts) => "no attempts are theirs",
    counting_what_others_have_is_found = TenantIgnored(Call::Stats) => "nothing of theirs waits",
    redelivering_for_others_is_found = TenantIgnored(Call::Redeliver)
        => "nothing of another tenant is redelivered",
    publishing_to_webhooks_of_others_is_found = TenantIgnored(Call::Publish)
        => "no webhook of another tenant",
    deleting_webhooks_of_others_is_found = TenantIgnored(Call::Commit) => "not theirs to delete",
    erasing_others_is_found = TenantIgnored(Call::Erase) => "what others erase is theirs",
}

/// One call looks for ids among those of the first tenant, whoever asks.
struct TenantIgnored(Call);

impl TenantIgnored {
    fn of(&self, call: Call, tenant: &TenantId) -> TenantId {
        let first = || TenantId::new("acme").expect("a short name");
        if self.0 == call { first() } else { tenant.clone() }
    }

    /// Revisions are compared as they should be.
    async fn revision(
        &self,
        inner: &MemoryStore,
        call: Call,
        asked: (&TenantId, Revision),
    ) -> Answer<Revision> {
        let fresh = inner.registry(asked.0).await?.revision == asked.1;
        let present = inner.registry(&self.of(call, asked.0)).await?.revision;
        Ok(if fresh { present } else { asked.1 })
    }
}

#[async_trait]
impl Fault for TenantIgnored {
    async fn messages(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        query: &MessageQuery,
    ) -> Answer<Page<MessageRecord>> {
        inner.messages(&self.of(Call::Messages, tenant), query).await
    }

    async fn health(&self, inner: &MemoryStore, tenant: &TenantId, hook: HookId) -> Answer<Option<Health>> {
        inner.health(&self.of(Call::Health, tenant), hook).await
    }

    async fn registry(&self, inner: &MemoryStore, tenant: &TenantId) -> Answer<Registry> {
        inner.registry(&self.of(Call::Registry, tenant)).await
    }

    async fn commit(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Answer<Revision> {
        let expected = self.revision(inner, Call::Commit, (tenant, expected)).await?;
        inner.commit(&self.of(Call::Commit, tenant), expected, change).await
    }

    async fn publish(
        &self,
        inner: &MemoryStore,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Answer<Published> {
        let mut items = items.to_vec();
        for item in &mut items {
            item.routed_at = self.revision(inner, Call::Publish, (&item.tenant, item.routed_at)).await?;
            item.tenant = self.of(Call::Publish, &item.tenant);
        }
        inner.publish(&items, hold).await
    }

    async fn redeliver(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        items: &[Redelivery],
    ) -> Answer<Vec<Option<DeliveryId>>> {
        inner.redeliver(&self.of(Call::Redeliver, tenant), items).await
    }

    async fn event(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        id: &MessageId,
    ) -> Answer<Option<EventRecord>> {
        inner.event(&self.of(Call::Event, tenant), id).await
    }

    async fn deliveries(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Answer<Page<Delivery>> {
        inner.deliveries(&self.of(Call::Deliveries, tenant), query).await
    }

    async fn attempts(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        ids: &[DeliveryId],
    ) -> Answer<Vec<Option<Vec<Attempt>>>> {
        inner.attempts(&self.of(Call::Attempts, tenant), ids).await
    }

    async fn stats(&self, inner: &MemoryStore, scope: &StatsScope) -> Answer<Stats> {
        let scope = match scope {
            StatsScope::All => StatsScope::All,
            StatsScope::Tenant(tenant) => StatsScope::Tenant(self.of(Call::Stats, tenant)),
            StatsScope::Webhook(tenant, hook) => StatsScope::Webhook(self.of(Call::Stats, tenant), *hook),
        };
        inner.stats(&scope).await
    }

    async fn erase(&self, inner: &MemoryStore, tenant: &TenantId, limit: usize) -> Answer<Erased> {
        inner.erase(&self.of(Call::Erase, tenant), limit).await
    }
}
