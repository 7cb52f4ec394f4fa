//! Faults of points 20 to 22: recovery, payloads, and steps of the date.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookwire::TenantId;
use hookwire::clock::{Clock, ManualClock};
use hookwire::model::{PageRequest, StampedEvent, Timestamp};
use hookwire::store::{MemoryStore, Recovered, Recovery, Redelivery, Store, TendRequest};
use hookwire::testing::conformance::{self, StoreFixture};

use super::kinds::TendAs;
use super::{Answer, Fault, catches};

catches! { what_was_missed_is_recovered_once:
    recovering_what_ended_before_is_found = RecoverAs(|it| Recovery { since: Timestamp::default(), ..it })
        => "each that was missed since",
    recovering_the_first_step_alone_is_found = Recovers(|it| Recovered { next: None, ..it })
        => "each that was missed since",
    recovering_more_than_asked_for_is_found = RecoverAs(|it| Recovery { page: wide(&it.page), ..it })
        => "a step makes no more than asked for",
    recovering_without_an_end_is_found = Recovers(|it| Recovered { next: it.next.or_else(|| Some("1".into())), ..it })
        => "recovering comes to an end",
    recovering_what_was_recovered_is_found = RecoversAgain
        => "what has a later one is not recovered again",
    a_cursor_that_is_taken_for_the_first_is_found = RecoverAs(|it| match it.page.cursor_as::<i64>() {
        Ok(_) => it,
        Err(_) => Recovery { page: PageRequest::first(), ..it },
    }) => "no step gave this cursor",
}

fn wide(page: &PageRequest) -> PageRequest {
    page.clone().with_limit(PageRequest::MAX_LIMIT)
}

/// Recovers something else.
struct RecoverAs(fn(Recovery) -> Recovery);

#[async_trait]
impl Fault for RecoverAs {
    async fn recover(&self, inner: &MemoryStore, tenant: &TenantId, it: &Recovery) -> Answer<Recovered> {
        inner.recover(tenant, &(self.0)(it.clone())).await
    }
}

/// Answers otherwise.
struct Recovers(fn(Recovered) -> Recovered);

#[async_trait]
impl Fault for Recovers {
    async fn recover(&self, inner: &MemoryStore, tenant: &TenantId, it: &Recovery) -> Answer<Recovered> {
        inner.recover(tenant, it).await.map(self.0)
    }
}

/// Makes one more of what was missed, whether it has a later one or not.
struct RecoversAgain;

#[async_trait]
impl Fault for RecoversAgain {
    async fn recover(&self, inner: &MemoryStore, tenant: &TenantId, it: &Recovery) -> Answer<Recovered> {
        let recovered = inner.recover(tenant, it).await?;
        if recovered.made > 0 || recovered.next.is_some() || it.page.cursor().is_some() {
            return Ok(recovered);
        }
        let query = hookwire::DeliveryQuery::new().webhook(it.hook).since(it.since);
        let listed = inner.deliveries(tenant, &query).await?.items;
        let origin = listed.iter().find_map(|it| it.origin);
        let again: Vec<_> = origin.iter().map(|id| Redelivery { origin: *id, expires: it.expires }).collect();
        let made = inner.redeliver(tenant, &again).await?;
        Ok(Recovered { made: made.len(), next: None })
    }
}

catches! { payloads_go_before_their_events:
    payloads_that_go_too_early_are_found =
        TendAs(|it| TendRequest { keep_payloads: it.keep_payloads / 4, ..it }) => "too young",
    payloads_that_stay_are_found =
        TendAs(|it| TendRequest { keep_payloads: it.keep, ..it }) => "it is removed",
    events_that_go_with_their_payloads_are_found =
        TendAs(|it| TendRequest { keep: it.keep_payloads, ..it }) => "kept",
}

/// A clock whose durations are those of the date.
#[derive(Debug)]
struct Dated(ManualClock);

impl Clock for Dated {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.now().since(Timestamp::default())
    }
}

/// A store that counts in dates.
struct DatedFixture {
    store: Arc<MemoryStore>,
    clock: ManualClock,
}

#[async_trait]
impl StoreFixture for DatedFixture {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as _
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    async fn step(&self, seconds: i64) {
        self.clock.step(seconds);
    }

    async fn write_unrouted(&self, tenant: &TenantId, event: StampedEvent) {
        self.store.publish_unrouted(tenant, event);
    }
}

#[test]
#[should_panic(expected = "a lease holds")]
fn a_store_that_counts_in_dates_is_found() {
    let clock = ManualClock::default();
    let store = Arc::new(MemoryStore::with_clock(Dated(clock.clone())));
    conformance::run(async { DatedFixture { store, clock } }, async |fixture| {
        conformance::steps_of_the_date_move_nothing(&fixture).await;
    });
}
