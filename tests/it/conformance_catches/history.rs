//! Planted faults for the points of the contract about the log, upkeep and erasing.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use hookwire::TenantId;
use hookwire::model::{
    Delivery, DeliveryId, DeliveryQuery, DeliveryState, End, MessageId, MessageQuery, MessageRecord, Page,
    PageRequest,
};
use hookwire::registry::Registry;
use hookwire::store::{
    Claim, ClaimRequest, Claimed, Erased, EventRecord, MemoryStore, Publication, Redelivery, RoutingRecord,
    Stats, StatsScope, Store, TendRequest, Tended,
};

use super::kinds::{
    AnswerAttemptsAs, ApplyAll, GiveAs, PublishAs, ShowAttemptsAs, ShowDeliveriesAs, ShowRegistryAs,
    SweptReadAs, TendAs, lock,
};
use super::{Answer, Fault, catches};

catches! { everything_ends:
    a_delivery_that_never_expires_is_found = PublishAs(|it| Publication { expires: it.expires * 2, ..it })
        => "an expired delivery is not sent",
    expired_deliveries_that_nobody_ends_are_found = TendsNothing
        => "claim and upkeep tell how many they have ended",
    expired_deliveries_that_are_not_told_are_found = GiveAs(|it| Claimed { expired: 0, ..it })
        => "claim and upkeep tell how many they have ended",
    expiry_told_as_something_else_is_found = ShowDeliveriesAs(|mut page| {
        for it in page.items.iter_mut().filter(|it| it.state == DeliveryState::Ended(End::Expired)) {
            it.state = DeliveryState::Ended(End::Cancelled);
        }
        page
    }) => "all have expired",
    redelivering_the_old_one_is_found = RedeliversUnderTheOldId => "a new delivery is made",
    a_lost_origin_is_found = ShowDeliveriesAs(|mut page| {
        page.items.iter_mut().for_each(|it| it.origin = None);
        page
    }) => "it tells whence it came",
    an_old_one_that_comes_back_is_found = RevivesTheOld::default() => "the old one stays as it was",
    settling_what_has_ended_is_found = ApplyAll => "what has ended is not settled again",
    redelivering_for_a_deleted_webhook_is_found = RedeliversAlways => "not for a webhook that is gone",
    dropped_deliveries_that_expire_are_found = ShowDeliveriesAs(expired) => "what was dropped does not expire",
    upkeep_that_ends_what_was_dropped_as_expired_is_found = SweptReadAs::new(expired) => "nor by upkeep",
}

fn expired(mut page: Page<Delivery>) -> Page<Delivery> {
    for it in page.items.iter_mut().filter(|it| it.state == DeliveryState::Ended(End::Cancelled)) {
        it.state = DeliveryState::Ended(End::Expired);
    }
    page
}

struct TendsNothing;

#[async_trait]
impl Fault for TendsNothing {
    async fn tend(&self, _: &MemoryStore, _: &TendRequest) -> Answer<Tended> {
        Ok(Tended::default())
    }
}

struct RedeliversUnderTheOldId;

#[async_trait]
impl Fault for RedeliversUnderTheOldId {
    async fn redeliver(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        items: &[Redelivery],
    ) -> Answer<Vec<Option<DeliveryId>>> {
        let made = inner.redeliver(tenant, items).await?;
        Ok(made.iter().zip(items).map(|(made, item)| made.map(|_| item.origin)).collect())
    }
}

/// Says that it made something whatever it was given.
struct RedeliversAlways;

#[async_trait]
impl Fault for RedeliversAlways {
    async fn redeliver(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        items: &[Redelivery],
    ) -> Answer<Vec<Option<DeliveryId>>> {
        let made = inner.redeliver(tenant, items).await?;
        Ok(made.iter().zip(items).map(|(made, item)| made.or(Some(item.origin))).collect())
    }
}

/// Shows what was redelivered as pending again.
#[derive(Default)]
struct RevivesTheOld(Mutex<BTreeSet<DeliveryId>>);

#[async_trait]
impl Fault for RevivesTheOld {
    async fn redeliver(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        items: &[Redelivery],
    ) -> Answer<Vec<Option<DeliveryId>>> {
        lock(&self.0).extend(items.iter().map(|item| item.origin));
        inner.redeliver(tenant, items).await
    }

    async fn deliveries(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Answer<Page<Delivery>> {
        let mut page = inner.deliveries(tenant, query).await?;
        let revived = lock(&self.0);
        for delivery in page.items.iter_mut().filter(|delivery| revived.contains(&delivery.id)) {
            delivery.state = DeliveryState::Pending;
        }
        Ok(page)
    }
}

catches! { paging_is_stable:
    paging_by_offset_is_found = PagesByOffset => "none twice",
    a_page_that_skips_one_is_found = PagesWithGaps => "and none left out",
    the_oldest_first_is_found = ShowDeliveriesAs(|mut page| {
        page.items.reverse();
        page
    }) => "newest first",
    a_page_that_is_too_long_is_found = PagesTooLong => "no page is longer than asked for",
    tenants_paged_by_offset_are_found = PagesTenantsByOffset => "each tenant once",
    any_cursor_for_the_first_page_is_found = ShowsTheFirstPage
        => "no listing of deliveries gave this cursor",
    any_cursor_for_the_first_page_of_tenants_is_found = ShowsTheFirstTenants
        => "no listing of tenants gave this cursor",
    attempts_in_another_order_are_found = AnswerAttemptsAs(|mut all| {
        all.reverse();
        all
    }) => "attempts of many deliveries come in the order of the request",
    deliveries_without_an_answer_are_found = AnswerAttemptsAs(|all| {
        all.into_iter().filter(Option::is_some).collect()
    }) => "attempts of many deliveries come in the order of the request",
    a_filter_by_event_that_is_ignored_is_found = AskDeliveriesAs(|mut it| {
        it.event = None;
        it
    })
        => "a listing shows what passes",
    a_filter_by_time_that_is_ignored_is_found = AskDeliveriesAs(|mut it| {
        it.until = None;
        it
    }) => "a listing shows what passes",
    a_filter_of_messages_that_is_ignored_is_found = ListMessagesAs(
        |mut query| {
            query.until = None;
            query
        },
        |page| page,
    ) => "a listing of messages shows what passes",
    messages_to_nobody_that_are_left_out_are_found = ListMessagesAs(
        |query| query,
        |mut page| {
            page.items.retain(|message| message.targets > 0);
            page
        },
    ) => "every message is listed",
}

/// Lists deliveries by another query.
struct AskDeliveriesAs(fn(DeliveryQuery) -> DeliveryQuery);

#[async_trait]
impl Fault for AskDeliveriesAs {
    async fn deliveries(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Answer<Page<Delivery>> {
        inner.deliveries(tenant, &(self.0)(query.clone())).await
    }
}

/// Lists messages by another query, or shows others.
struct ListMessagesAs(fn(MessageQuery) -> MessageQuery, fn(Page<MessageRecord>) -> Page<MessageRecord>);

#[async_trait]
impl Fault for ListMessagesAs {
    async fn messages(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        query: &MessageQuery,
    ) -> Answer<Page<MessageRecord>> {
        inner.messages(tenant, &(self.0)(query.clone())).await.map(self.1)
    }
}

/// Takes a cursor that it cannot read for none.
struct ShowsTheFirstPage;

#[async_trait]
impl Fault for ShowsTheFirstPage {
    async fn deliveries(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Answer<Page<Delivery>> {
        let first = query.clone().page(PageRequest::first());
        inner.deliveries(tenant, query).await.or(inner.deliveries(tenant, &first).await)
    }
}

struct ShowsTheFirstTenants;

#[async_trait]
impl Fault for ShowsTheFirstTenants {
    async fn tenants(&self, inner: &MemoryStore, page: &PageRequest) -> Answer<Page<TenantId>> {
        inner.tenants(page).await.or(inner.tenants(&PageRequest::first()).await)
    }
}

fn by_offset<T>(mut all: Vec<T>, page: &PageRequest) -> Page<T> {
    let offset = page.cursor().and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let end = offset + page.limit();
    let next = (end < all.len()).then(|| end.to_string());
    all.truncate(end);
    Page::new(all.split_off(offset), next)
}

struct PagesByOffset;

#[async_trait]
impl Fault for PagesByOffset {
    async fn deliveries(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Answer<Page<Delivery>> {
        let whole = query.clone().page(PageRequest::first().with_limit(PageRequest::MAX_LIMIT));
        Ok(by_offset(inner.deliveries(tenant, &whole).await?.items, &query.page))
    }
}

struct PagesTenantsByOffset;

#[async_trait]
impl Fault for PagesTenantsByOffset {
    async fn tenants(&self, inner: &MemoryStore, page: &PageRequest) -> Answer<Page<TenantId>> {
        let whole = PageRequest::first().with_limit(PageRequest::MAX_LIMIT);
        Ok(by_offset(inner.tenants(&whole).await?.items, page))
    }
}

/// Reads its own cursor, the last item shown, as the first one of the next page.
struct PagesWithGaps;

#[async_trait]
impl Fault for PagesWithGaps {
    async fn deliveries(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Answer<Page<Delivery>> {
        let Page { items, next, .. } = inner.deliveries(tenant, query).await?;
        let skipped = usize::from(query.page.cursor().is_some());
        Ok(Page::new(items.into_iter().skip(skipped).collect(), next))
    }
}

struct PagesTooLong;

#[async_trait]
impl Fault for PagesTooLong {
    async fn deliveries(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Answer<Page<Delivery>> {
        let page = query.page.clone().with_limit(11);
        inner.deliveries(tenant, &query.clone().page(page)).await
    }
}

catches! { upkeep_removes_what_ended:
    tending_that_removes_too_early_is_found = TendAs(|it| TendRequest { keep: it.keep / 4, ..it })
        => "nothing is old enough",
    tending_that_removes_nothing_is_found = TendsNothing => "what is pending stays whatever its age",
    tending_that_removes_what_waits_is_found = HidesEventsOnce::tended(|it| it.removed > 0)
        => "what is pending stays whatever its age",
    deliveries_that_outlive_their_event_are_found = DeliveriesStay::default()
        => "its deliveries go with it",
    attempts_that_outlive_their_event_are_found = ShowAttemptsAs(|it| it.or(Some(Vec::new())))
        => "and their attempts",
    an_event_that_is_as_old_as_its_first_end_is_found = HidesEventsOnce::tended(|it| it.swept > 0)
        => "one of its deliveries has just ended",
    an_event_that_stays_for_ever_once_one_was_dropped_is_found = KeepsTheSwept::default()
        => "and in time it goes",
    erasing_nothing_is_found = ErasesNothing => "no webhook is left",
    revisions_that_begin_anew_after_erasing_are_found = ShowRegistryAs(|it| {
        if it.webhooks.is_empty() { Registry::default() } else { it }
    }) => "what was routed before is out of date",
    erasing_webhooks_alone_is_found = ErasesWebhooksAlone => "no event is left",
    settling_what_was_erased_is_found = ApplyAll => "claimed ones are erased too",
    claims_on_what_was_erased_are_found = GivesTheErased::default() => "nothing is left to send",
    unrouted_events_that_outlive_their_tenant_are_found = LeavesUnrouted("unrouted") => "nor to route",
    erased_tenants_that_are_listed_are_found = ListsTheErased::default() => "the tenant is not listed",
    counts_that_outlive_what_they_count_are_found = CountsTheErased::default() => "nothing is counted",
}

/// Shows no event any more once upkeep has told of something.
struct HidesEventsOnce(fn(&Tended) -> bool, AtomicBool);

impl HidesEventsOnce {
    fn tended(tells: fn(&Tended) -> bool) -> Self {
        Self(tells, AtomicBool::new(false))
    }
}

#[async_trait]
impl Fault for HidesEventsOnce {
    async fn tend(&self, inner: &MemoryStore, request: &TendRequest) -> Answer<Tended> {
        let tended = inner.tend(request).await?;
        self.1.fetch_or((self.0)(&tended), Ordering::Relaxed);
        Ok(tended)
    }

    async fn event(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        id: &MessageId,
    ) -> Answer<Option<EventRecord>> {
        let record = inner.event(tenant, id).await?;
        Ok(record.filter(|_| !self.1.load(Ordering::Relaxed)))
    }
}

/// Never removes anything again once it has ended what was dropped.
#[derive(Default)]
struct KeepsTheSwept(AtomicBool);

#[async_trait]
impl Fault for KeepsTheSwept {
    async fn tend(&self, inner: &MemoryStore, request: &TendRequest) -> Answer<Tended> {
        if self.0.load(Ordering::Relaxed) {
            return Ok(Tended::default());
        }
        let tended = inner.tend(request).await?;
        self.0.fetch_or(tended.swept > 0, Ordering::Relaxed);
        Ok(tended)
    }
}

#[derive(Default)]
struct DeliveriesStay(Mutex<Vec<Delivery>>);

#[async_trait]
impl Fault for DeliveriesStay {
    async fn tend(&self, inner: &MemoryStore, request: &TendRequest) -> Answer<Tended> {
        for tenant in inner.tenants(&PageRequest::first()).await?.items {
            let before = inner.deliveries(&tenant, &DeliveryQuery::new()).await?.items;
            lock(&self.0).extend(before);
        }
        inner.tend(request).await
    }

    async fn deliveries(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Answer<Page<Delivery>> {
        let mut page = inner.deliveries(tenant, query).await?;
        page.items.extend(lock(&self.0).clone());
        Ok(page)
    }
}

struct ErasesNothing;

#[async_trait]
impl Fault for ErasesNothing {
    async fn erase(&self, _: &MemoryStore, _: &TenantId, _: usize) -> Answer<Erased> {
        Ok(Erased { more: false })
    }
}

struct ErasesWebhooksAlone;

#[async_trait]
impl Fault for ErasesWebhooksAlone {
    async fn erase(&self, inner: &MemoryStore, tenant: &TenantId, _: usize) -> Answer<Erased> {
        inner.erase(tenant, 0).await?;
        Ok(Erased { more: false })
    }
}

/// Gives after erasing what it gave before.
#[derive(Default)]
struct GivesTheErased {
    given: Mutex<Vec<Claim>>,
    erased: AtomicBool,
}

#[async_trait]
impl Fault for GivesTheErased {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let mut claimed = inner.claim(request).await?;
        let mut given = lock(&self.given);
        if self.erased.load(Ordering::Relaxed) {
            claimed.deliveries.append(&mut given);
        }
        given.extend(claimed.deliveries.clone());
        Ok(claimed)
    }

    async fn erase(&self, inner: &MemoryStore, tenant: &TenantId, limit: usize) -> Answer<Erased> {
        self.erased.store(true, Ordering::Relaxed);
        inner.erase(tenant, limit).await
    }
}

/// Leaves the event of this id, when it is not routed yet.
struct LeavesUnrouted(&'static str);

#[async_trait]
impl Fault for LeavesUnrouted {
    async fn erase(&self, inner: &MemoryStore, tenant: &TenantId, _: usize) -> Answer<Erased> {
        let id = MessageId::new(self.0).expect("a short id");
        let record = inner.event(tenant, &id).await?;
        let erased = inner.erase(tenant, usize::MAX).await?;
        if let Some(record) = record.filter(|record| record.routing == RoutingRecord::Waiting) {
            inner.publish_unrouted(tenant, record.event.as_ref().clone());
        }
        Ok(erased)
    }
}

#[derive(Default)]
struct ListsTheErased(Mutex<Vec<TenantId>>);

#[async_trait]
impl Fault for ListsTheErased {
    async fn tenants(&self, inner: &MemoryStore, page: &PageRequest) -> Answer<Page<TenantId>> {
        let mut page = inner.tenants(page).await?;
        page.items.extend(lock(&self.0).clone());
        Ok(page)
    }

    async fn erase(&self, inner: &MemoryStore, tenant: &TenantId, limit: usize) -> Answer<Erased> {
        lock(&self.0).push(tenant.clone());
        inner.erase(tenant, limit).await
    }
}

/// Counts what there was before the first erasing.
#[derive(Default)]
struct CountsTheErased(Mutex<Option<Stats>>);

#[async_trait]
impl Fault for CountsTheErased {
    async fn stats(&self, inner: &MemoryStore, scope: &StatsScope) -> Answer<Stats> {
        let before = *lock(&self.0);
        Ok(before.unwrap_or(inner.stats(scope).await?))
    }

    async fn erase(&self, inner: &MemoryStore, tenant: &TenantId, limit: usize) -> Answer<Erased> {
        let before = inner.stats(&StatsScope::All).await?;
        lock(&self.0).get_or_insert(before);
        inner.erase(tenant, limit).await
    }
}
