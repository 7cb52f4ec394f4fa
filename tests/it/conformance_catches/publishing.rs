//! Planted faults for the points of the contract about publishing and routing.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hookwire::TenantId;
use hookwire::model::{DeliveryQuery, MessageId, Page, StampedEvent};
use hookwire::store::{
    ClaimRequest, Claimed, EventRecord, Fence, MemoryStore, Publication, PublishAnswer, Published, Quota,
    Receipt, RouteAnswer, Routed, Routing, RoutingRecord, Stats, StatsScope, Store, StoreErrorKind, Unrouted,
};

use super::kinds::{
    ClaimAs, GiveAs, HoldAs, PublishAs, QueryAs, ReceiveAs, RouteAs, ShowAttemptsAs, ShowDeliveriesAs,
    ShowEventAs, lock,
};
use super::{Answer, Fault, catches};

catches! { publications_are_whole:
    one_bad_item_that_fails_all_is_found = OneFailsAll => "one bad item fails alone",
    a_bad_item_that_leaves_its_event_is_found = LeavesEvents => "a failed item leaves nothing",
    forgotten_reasons_are_found = PublishAs(|it| Publication {
        routing: Routing { skipped: Vec::new(), ..it.routing },
        ..it
    }) => "and what was passed over",
    reasons_missing_from_the_log_are_found = ShowEventAs(|it| Some(EventRecord {
        routing: RoutingRecord::Routed(Vec::new()),
        ..it
    })) => "the reason is kept",
    a_log_that_lags_behind_is_found = ShowDeliveriesAs(|page| Page::new(page.items[1..].to_vec(), None))
        => "what was published is seen",
    claims_on_what_is_held_are_found = HoldsNothing => "what is held is claimed",
    holding_on_busy_lanes_is_found = HoldsAll => "a lane with work waiting is not overtaken",
    holding_above_the_limit_is_found = HoldAs(|it| ClaimRequest { limit: it.limit + 1, ..it })
        => "no more than asked for",
    holding_past_the_quota_is_found = HoldAs(|it| ClaimRequest { quota: Quota::default(), ..it })
        => "the quota counts holds too",
    the_filter_by_webhook_left_out_is_found = QueryAs(|it| without(it, |it| it.webhook = None))
        => "filtered as asked",
    the_filter_by_message_left_out_is_found = QueryAs(|it| without(it, |it| it.message = None))
        => "filtered as asked",
    the_filter_by_state_left_out_is_found = QueryAs(|it| without(it, |it| it.state = None))
        => "filtered as asked",
    the_filter_by_time_left_out_is_found = QueryAs(|it| without(it, |it| it.since = None))
        => "filtered as asked",
    what_is_held_but_not_counted_is_found = CountAs(|it| Stats { held: 0, ..it })
        => "one is held, one has ended",
    an_age_that_is_not_told_is_found = CountAs(|it| Stats { oldest_due: None, ..it })
        => "since the second event was published",
    what_is_scheduled_and_counts_as_due_is_found =
        CountAs(|it| Stats { due: it.due + it.scheduled, scheduled: 0, ..it }) => "each counts as what it waits for",
    what_is_stopped_and_counts_as_due_is_found =
        CountAs(|it| Stats { due: it.due + it.stopped, stopped: 0, ..it }) => "each counts as what it waits for",
    what_waits_for_routing_and_is_not_counted_is_found = CountAs(|it| Stats { unrouted: 0, ..it })
        => "each counts as what it waits for",
    what_waits_for_routing_and_is_never_late_is_found = CountAs(|it| match it {
        Stats { unrouted: 1.., due: 0, .. } => Stats { oldest_due: None, ..it },
        _ => it,
    }) => "what waits for routing is late too",
    counting_a_tenant_for_a_webhook_is_found = CountsTenants => "of the webhook whose first has ended",
}

fn without(mut query: DeliveryQuery, drop: impl FnOnce(&mut DeliveryQuery)) -> DeliveryQuery {
    drop(&mut query);
    query
}

/// Counts otherwise.
struct CountAs(fn(Stats) -> Stats);

#[async_trait]
impl Fault for CountAs {
    async fn stats(&self, inner: &MemoryStore, scope: &StatsScope) -> Answer<Stats> {
        inner.stats(scope).await.map(self.0)
    }
}

struct CountsTenants;

#[async_trait]
impl Fault for CountsTenants {
    async fn stats(&self, inner: &MemoryStore, scope: &StatsScope) -> Answer<Stats> {
        match scope {
            StatsScope::Webhook(tenant, _) => inner.stats(&StatsScope::Tenant(tenant.clone())).await,
            wider => inner.stats(wider).await,
        }
    }
}

struct OneFailsAll;

#[async_trait]
impl Fault for OneFailsAll {
    async fn publish(
        &self,
        inner: &MemoryStore,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Answer<Published> {
        for item in items {
            let registry = inner.registry(&item.tenant).await?;
            if item.routing.targets.iter().any(|hook| registry.get(*hook).is_none()) {
                let answers = items.iter().map(|_| StoreErrorKind::Corrupt.into()).collect();
                return Ok(Published { answers, held: Vec::new() });
            }
        }
        inner.publish(items, hold).await
    }
}

struct LeavesEvents;

#[async_trait]
impl Fault for LeavesEvents {
    async fn publish(
        &self,
        inner: &MemoryStore,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Answer<Published> {
        let published = inner.publish(items, hold).await?;
        for (item, answer) in items.iter().zip(&published.answers) {
            if matches!(answer, PublishAnswer::Failed(_)) {
                inner.publish_unrouted(&item.tenant, StampedEvent::clone(&item.event));
            }
        }
        Ok(published)
    }
}

/// Gives what it holds, but leaves it to be claimed.
struct HoldsNothing;

#[async_trait]
impl Fault for HoldsNothing {
    async fn publish(
        &self,
        inner: &MemoryStore,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Answer<Published> {
        let published = inner.publish(items, hold).await?;
        if let Some(request) = hold {
            inner.release(request.holder).await?;
        }
        Ok(published)
    }
}

/// Holds whatever is due.
struct HoldsAll;

#[async_trait]
impl Fault for HoldsAll {
    async fn publish(
        &self,
        inner: &MemoryStore,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Answer<Published> {
        let Published { answers, mut held } = inner.publish(items, None).await?;
        if let Some(request) = hold {
            held = inner.claim(request).await?.deliveries;
        }
        Ok(Published { answers, held })
    }
}

catches! { message_ids_are_published_once:
    a_duplicate_that_is_written_again_is_found = WritesAgain => "written once",
    an_id_that_is_forgotten_when_all_has_ended_is_found = ForgetsEnded => "known: [Stored",
    another_receipt_for_a_duplicate_is_found = ReceiveAs(|it| match it {
        PublishAnswer::Duplicate(first) => PublishAnswer::Duplicate(Receipt { targets: 0, ..first }),
        other => other,
    }) => "the first outcome is answered",
    a_duplicate_taken_for_reuse_is_found = ReceiveAs(|it| match it {
        PublishAnswer::Duplicate(_) => PublishAnswer::IdReused,
        other => other,
    }) => "the second of one call is known",
    a_duplicate_taken_for_stale_is_found = StaleFirst => "known: [Stale",
    a_duplicate_of_other_bytes_taken_for_reuse_is_found = BytesDecide::default() => "known: [IdReused",
    reuse_taken_for_a_duplicate_is_found = DigestIgnored => "other content: [Duplicate",
    ids_shared_by_all_tenants_are_found = OneSetOfIds::default() => "each tenant has its own ids",
}

/// Knows a message only by the bytes of its content.
#[derive(Default)]
struct BytesDecide(Mutex<HashMap<MessageId, [u8; 32]>>);

#[async_trait]
impl Fault for BytesDecide {
    async fn publish(
        &self,
        inner: &MemoryStore,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Answer<Published> {
        let mut published = inner.publish(items, hold).await?;
        for (item, answer) in items.iter().zip(&mut published.answers) {
            let first = *lock(&self.0).entry(item.event.message_id.clone()).or_insert(item.digest);
            if first != item.digest {
                *answer = PublishAnswer::IdReused;
            }
        }
        Ok(published)
    }
}

/// The same under another message id, as if the first were not known.
async fn written_again(inner: &MemoryStore, item: &Publication) -> Answer<PublishAnswer> {
    let mut again = item.clone();
    Arc::make_mut(&mut again.event).message_id = MessageId::new("again").expect("a short id");
    again.routed_at = inner.registry(&item.tenant).await?.revision;
    let mut answers = inner.publish(&[again], None).await?.answers;
    Ok(answers.remove(0))
}

struct WritesAgain;

#[async_trait]
impl Fault for WritesAgain {
    async fn publish(
        &self,
        inner: &MemoryStore,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Answer<Published> {
        let published = inner.publish(items, hold).await?;
        for (item, answer) in items.iter().zip(&published.answers) {
            if matches!(answer, PublishAnswer::Duplicate(_)) {
                written_again(inner, item).await?;
            }
        }
        Ok(published)
    }
}

struct ForgetsEnded;

#[async_trait]
impl Fault for ForgetsEnded {
    async fn publish(
        &self,
        inner: &MemoryStore,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Answer<Published> {
        let mut published = inner.publish(items, hold).await?;
        for (item, answer) in items.iter().zip(&mut published.answers) {
            let waiting = inner.stats(&StatsScope::Tenant(item.tenant.clone())).await?.pending() > 0;
            if matches!(answer, PublishAnswer::Duplicate(_)) && !waiting {
                *answer = written_again(inner, item).await?;
            }
        }
        Ok(published)
    }
}

/// Looks at the revision before it looks for the id.
struct StaleFirst;

#[async_trait]
impl Fault for StaleFirst {
    async fn publish(
        &self,
        inner: &MemoryStore,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Answer<Published> {
        let mut published = inner.publish(items, hold).await?;
        for (item, answer) in items.iter().zip(&mut published.answers) {
            let present = inner.registry(&item.tenant).await?.revision;
            if item.routed_at != present {
                *answer = PublishAnswer::Stale(present);
            }
        }
        Ok(published)
    }
}

struct DigestIgnored;

#[async_trait]
impl Fault for DigestIgnored {
    async fn publish(
        &self,
        inner: &MemoryStore,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Answer<Published> {
        let mut published = inner.publish(items, hold).await?;
        for (item, answer) in items.iter().zip(&mut published.answers) {
            let record = inner.event(&item.tenant, &item.event.message_id).await?;
            if let (PublishAnswer::IdReused, Some(record)) = (&answer, record) {
                *answer = PublishAnswer::Duplicate(record.receipt);
            }
        }
        Ok(published)
    }
}

#[derive(Default)]
struct OneSetOfIds(Mutex<HashMap<MessageId, TenantId>>);

#[async_trait]
impl Fault for OneSetOfIds {
    async fn publish(
        &self,
        inner: &MemoryStore,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Answer<Published> {
        let mut published = inner.publish(items, hold).await?;
        for (item, answer) in items.iter().zip(&mut published.answers) {
            let mut owners = lock(&self.0);
            let owner = owners.entry(item.event.message_id.clone()).or_insert_with(|| item.tenant.clone());
            if *owner != item.tenant {
                *answer = PublishAnswer::IdReused;
            }
        }
        Ok(published)
    }
}

catches! { absence_is_none_and_bytes_stay:
    payloads_that_are_written_anew_are_found = PublishAs(|it| Publication {
        event: reserialised(&it.event).into(),
        ..it
    }) => "what is sent",
    payloads_that_are_read_anew_are_found = ShowEventAs(|it| Some(EventRecord {
        event: reserialised(&it.event).into(),
        ..it
    })) => "what is logged",
    a_trace_that_is_forgotten_is_found = PublishAs(|it| Publication {
        event: StampedEvent { trace: None, ..it.event.as_ref().clone() }.into(),
        ..it
    }) => "the trace that is sent",
    a_missing_event_that_is_an_error_is_found = AbsenceIsAnError => "absence is no error",
    missing_attempts_that_are_none_made_are_found = ShowAttemptsAs(|it| it.or(Some(Vec::new())))
        => "no delivery is `None`",
}

fn reserialised(event: &StampedEvent) -> StampedEvent {
    let value: serde_json::Value = serde_json::from_str(event.payload.get()).expect("JSON");
    let payload = serde_json::value::to_raw_value(&value).expect("JSON");
    StampedEvent { payload: payload.into(), ..event.clone() }
}

struct AbsenceIsAnError;

#[async_trait]
impl Fault for AbsenceIsAnError {
    async fn event(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        id: &MessageId,
    ) -> Answer<Option<EventRecord>> {
        let record = inner.event(tenant, id).await?;
        record.map(Some).ok_or_else(|| StoreErrorKind::Corrupt.into())
    }
}

catches! { unrouted_events_are_routed_once:
    waiting_events_that_the_log_hides_are_found = ShowEventAs(
        |it| (it.routing != RoutingRecord::Waiting).then_some(it)
    ) => "the log shows that it waits",
    newest_first_is_found = GiveAs(|mut it| {
        it.unrouted.reverse();
        it
    }) => "in the order of publishing",
    two_routers_at_once_are_found = GivesUnroutedAgain::default() => "one holder at a time",
    routing_twice_is_found = RoutesAgain => "routed once",
    lost_targets_are_found = RouteAs(|it| Routed { routing: it.routing.map(|_| Routing::default()), ..it })
        => "the routed one is delivered",
    a_lost_reason_is_found = RouteAs(|it| Routed {
        routing: it.routing.map_err(|_| String::new()),
        ..it
    }) => "the log has the reason",
    an_unroutable_event_that_seems_routed_is_found = RouteAs(|it| Routed {
        routing: Ok(it.routing.unwrap_or_default()),
        ..it
    }) => "the log has the reason",
    routing_at_an_old_revision_is_found = RoutesStale => "routed too early",
    events_given_once_and_never_again_are_found = GivesUnroutedOnce::default() => "given again at once",
    a_routing_lease_without_end_is_found = ClaimAs(|it| ClaimRequest { lease: it.lease * 100, ..it })
        => "given again when the lease has ended",
    a_routing_fence_used_again_is_found = OneRoutingFence::default() => "another lease has another fence",
}

/// Gives the same unrouted events to the next who asks.
#[derive(Default)]
struct GivesUnroutedAgain(Mutex<Vec<Unrouted>>);

#[async_trait]
impl Fault for GivesUnroutedAgain {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let mut claimed = inner.claim(request).await?;
        let before = std::mem::replace(&mut *lock(&self.0), claimed.unrouted.clone());
        claimed.unrouted.extend(before);
        Ok(claimed)
    }
}

/// Takes a late answer for the first.
struct RoutesAgain;

#[async_trait]
impl Fault for RoutesAgain {
    async fn route(&self, inner: &MemoryStore, items: &[Routed]) -> Answer<Vec<RouteAnswer>> {
        let answers = inner.route(items).await?;
        let routed = |answer| if answer == RouteAnswer::Fenced { RouteAnswer::Routed } else { answer };
        Ok(answers.into_iter().map(routed).collect())
    }
}

struct RoutesStale;

#[async_trait]
impl Fault for RoutesStale {
    async fn route(&self, inner: &MemoryStore, items: &[Routed]) -> Answer<Vec<RouteAnswer>> {
        let mut answers = Vec::new();
        for item in items {
            let routed_at = inner.registry(&item.unrouted.tenant).await?.revision;
            answers.extend(inner.route(&[Routed { routed_at, ..item.clone() }]).await?);
        }
        Ok(answers)
    }
}

#[derive(Default)]
struct GivesUnroutedOnce(Mutex<BTreeSet<MessageId>>);

#[async_trait]
impl Fault for GivesUnroutedOnce {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let mut claimed = inner.claim(request).await?;
        let mut given = lock(&self.0);
        claimed.unrouted.retain(|item| given.insert(item.event.message_id.clone()));
        Ok(claimed)
    }
}

/// Shows one fence for all, and finds the real one itself.
#[derive(Default)]
struct OneRoutingFence(Mutex<Option<Fence>>);

#[async_trait]
impl Fault for OneRoutingFence {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        let mut claimed = inner.claim(request).await?;
        for item in &mut claimed.unrouted {
            *lock(&self.0) = Some(item.fence);
            item.fence = Fence::new(0);
        }
        Ok(claimed)
    }

    async fn route(&self, inner: &MemoryStore, items: &[Routed]) -> Answer<Vec<RouteAnswer>> {
        let mut items = items.to_vec();
        let fence = lock(&self.0).unwrap_or(Fence::new(0));
        items.iter_mut().for_each(|item| item.unrouted.fence = fence);
        inner.route(&items).await
    }
}
