//! What a service keeps and how long: steps of the date, recovery of much, and payloads that go first.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hookwire::clock::ManualClock;
use hookwire::model::{DeliveryState, End, PageRequest, Timestamp};
use hookwire::policy::Policy;
use hookwire::retry::RetryPolicy;
use hookwire::store::{MemoryStore, Recovered, Recovery, Store, StoreError, delegate_store};
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{DeliveryQuery, Event, HookId, Tenant, TenantId, WebhookDraft, Webhooks, assist};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEARS: i64 = 70 * 365 * 86_400;

fn service(
    store: impl Store,
    clock: &ManualClock,
    transport: RecordingTransport,
    policy: Policy,
) -> Webhooks {
    let builder = Webhooks::builder(assist::catalog()).store(store).transport(transport);
    builder.clock(clock.clone()).policy(policy).build().expect("a sound service")
}

async fn webhook(hooks: &Webhooks) -> (Tenant, HookId) {
    let acme = hooks.tenant(TenantId::new("acme").expect("short"));
    let draft = WebhookDraft::new("hook", "https://hooks.example.com/").subscribe(assist::DEVICE_ADD);
    let hook = acme.create(&draft).await.expect("created").webhook().hook_id();
    (acme, hook)
}

async fn publish(acme: &Tenant) -> hookwire::MessageId {
    let event = Event::new(assist::DEVICE_ADD, &1).expect("JSON");
    acme.publish(event).await.expect("published").message_id().clone()
}

/// Field fault 4, and its kind: a date that was wrong for a while.
#[tokio::test]
async fn a_date_that_is_set_right_keeps_nothing_waiting_and_sends_nothing_twice() {
    for seconds in [3_600, -3_600, 86_400, -86_400, YEARS, -YEARS] {
        let clock = ManualClock::default();
        let transport =
            RecordingTransport::answering(|_, nth| Answer::status(if nth == 1 { 503 } else { 204 }));
        let store = MemoryStore::with_clock(clock.clone());
        let hooks = service(store, &clock, transport.clone(), Policy::default());
        clock.step(seconds);
        let (acme, _) = webhook(&hooks).await;
        clock.step(-seconds);
        publish(&acme).await;
        assert_eq!(hooks.deliver_due().await.expect("delivered"), 1, "at once, after {seconds} s");
        publish(&acme).await;
        assert_eq!(hooks.deliver_due().await.expect("delivered"), 1, "the attempt that fails");
        clock.step(seconds);
        assert_eq!(hooks.deliver_due().await.expect("delivered"), 0, "the retry is not due yet");
        clock.advance(HOUR);
        assert_eq!(hooks.deliver_due().await.expect("delivered"), 1, "and then it is");
        let delivered = DeliveryQuery::new().state(DeliveryState::Ended(End::Delivered));
        assert_eq!(acme.deliveries(&delivered).await.expect("listed").items.len(), 2);
        assert_eq!(transport.requests().len(), 3);
    }
}

/// A store with a million missed deliveries, of which it tells page by page.
struct Missed {
    inner: MemoryStore,
    left: AtomicUsize,
}

impl fmt::Debug for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Missed").finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for Missed {
    async fn recover(&self, _: &TenantId, recovery: &Recovery) -> Result<Recovered, StoreError> {
        let (left, made) = (self.left.load(Ordering::Relaxed), recovery.page.limit());
        let expected = (left < 1_000_000).then(|| left.to_string());
        assert_eq!(recovery.page.cursor(), expected.as_deref(), "each step goes on where the last ended");
        self.left.store(left - made, Ordering::Relaxed);
        Ok(Recovered { made, next: (left > made).then(|| (left - made).to_string()) })
    }

    delegate_store! { |self| self.inner;
    registry, commit, health, disabled, tenants, publish, route, redeliver, add, erase_payload, claim, claim_of, settle, release, wake, poll_every,
    event, messages, deliveries, attempts, stats, count, statistics, tend, erase }
}

/// The service itself lists nothing and keeps nothing: each call is one step of the store's.
#[tokio::test]
async fn a_million_are_recovered_step_by_step() {
    let store = Missed { inner: MemoryStore::new(), left: AtomicUsize::new(1_000_000) };
    let hooks = service(store, &ManualClock::default(), RecordingTransport::new(), Policy::default());
    let (acme, hook) = webhook(&hooks).await;
    let largest = || PageRequest::first().with_limit(PageRequest::MAX_LIMIT);
    let (mut page, mut made, mut steps) = (largest(), 0, 0);
    loop {
        let recovered = acme.recover(hook, Timestamp::default(), &page).await.expect("recovered");
        (made, steps) = (made + recovered.made, steps + 1);
        let Some(next) = recovered.next else { break };
        page = PageRequest::after(next).with_limit(PageRequest::MAX_LIMIT);
    }
    assert_eq!((made, steps), (1_000_000, 4_000));
}

/// What ended since a date counts, whenever it was published; a step of recovery may be repeated after a crash.
#[tokio::test]
async fn what_ended_since_is_recovered_and_a_step_that_is_repeated_makes_none_twice() {
    let clock = ManualClock::default();
    let transport = RecordingTransport::answering(|_, _| Answer::status(500));
    let once = Policy::default().with_retry(RetryPolicy::default().with_delays([]));
    let hooks = service(MemoryStore::with_clock(clock.clone()), &clock, transport, once);
    let (acme, hook) = webhook(&hooks).await;
    for _ in 0..3 {
        publish(&acme).await;
    }
    clock.advance(DAY);
    let since = hookwire::clock::Clock::now(&clock);
    assert_eq!(hooks.deliver_due().await.expect("delivered"), 3);
    let two = PageRequest::first().with_limit(2);
    let first = acme.recover(hook, since, &two).await.expect("recovered");
    let repeated = acme.recover(hook, since, &two).await.expect("recovered");
    assert_eq!((first.made, repeated.made), (2, 1), "the third alone was left");
    let later = since.plus(Duration::from_secs(1));
    assert_eq!(acme.recover(hook, later, &two).await.expect("recovered").made, 0, "none ended since");
}

#[tokio::test]
async fn a_payload_that_was_removed_is_told_and_not_delivered_again() {
    let clock = ManualClock::default();
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let policy = Policy::default().with_keep_payloads(HOUR);
    let (keep, keep_payloads) = (policy.keep(), policy.keep_payloads());
    let hooks = service(Arc::clone(&store), &clock, RecordingTransport::new(), policy);
    let (acme, _) = webhook(&hooks).await;
    let message = publish(&acme).await;
    hooks.deliver_due().await.expect("delivered");
    clock.advance(2 * HOUR);
    let request = hookwire::store::TendRequest { keep, keep_payloads, limit: 10 };
    assert_eq!(store.tend(&request).await.expect("tended").stripped, 1);
    let told = acme.explain(&message).await.expect("explained");
    assert!(told.to_string().contains("its payload was removed"), "{told}");
    assert_eq!(told.record.event.payload.get(), "null");
    let refused = acme.redeliver(told.deliveries[0].id).await.expect_err("nothing to send");
    assert_eq!(*refused.kind(), hookwire::ErrorKind::NotFound);
}

#[test]
fn payloads_are_kept_as_long_as_their_events_unless_less_is_asked_for() {
    let policy = Policy::default();
    assert_eq!(policy.keep_payloads(), policy.keep());
    let policy = policy.with_keep_payloads(DAY);
    assert_eq!(policy.keep_payloads(), DAY);
    assert_eq!(policy.with_keep(HOUR).keep_payloads(), HOUR, "never longer than the event");
}
