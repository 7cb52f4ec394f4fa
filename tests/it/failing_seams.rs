//! Stores that fail and transports that misbehave: nothing confirmed is lost, and nothing gets stuck.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::model::{CallbackUrl, DeliveryState, End, FailureKind, MessageId, Outcome, PageRequest};
use hookwire::policy::Policy;
use hookwire::service::Tenant;
use hookwire::store::{MemoryStore, Store};
use hookwire::testing::{Call, Fault, FaultyStore, RecordingTransport, TokioClock};
use hookwire::transport::{SendLimits, Transport, TransportError};
use hookwire::{DeliveryQuery, ErrorKind, Event, TenantId, WebhookDraft, Webhooks, assist};
use http::{Request, Response};
use proptest::prelude::*;
use tokio::time::sleep;

const EVENT: hookwire::EventId = assist::DEVICE_ONLINE;
const CALLS: [Call; 7] =
    [Call::Claim, Call::Commit, Call::Publish, Call::Registry, Call::Release, Call::Settle, Call::Tend];

fn service(store: impl Store, transport: impl Transport) -> Webhooks {
    let builder = Webhooks::builder(assist::catalog()).store(store).transport(transport);
    builder.clock(TokioClock::new()).build().expect("a sound service")
}

fn memory() -> MemoryStore {
    MemoryStore::with_clock(TokioClock::new())
}

fn acme(hooks: &Webhooks) -> Tenant {
    hooks.tenant(TenantId::new("acme").expect("a short name"))
}

fn event(id: usize) -> Event {
    let event = Event::new(EVENT, &serde_json::json!({ "id": id })).expect("JSON");
    event.message_id(MessageId::new(format!("m{id}")).expect("valid"))
}

async fn register(tenant: &Tenant) {
    let draft = WebhookDraft::new("hook", "https://hooks.example.com/").subscribe(EVENT);
    // A commit whose answer was lost took effect: going on would end at the limit of webhooks.
    while tenant.create(&draft).await.is_err() && tenant.list().await.map_or(true, |it| it.is_empty()) {}
}

/// Publishes until it is confirmed, as a host would.
async fn publish(tenant: &Tenant, id: usize) {
    while let Err(error) = tenant.publish(event(id)).await {
        assert_eq!(*error.kind(), ErrorKind::Store, "{error}");
    }
}

/// Runs a service on a store that fails in this pattern, and looks at what arrived.
async fn run_through(pattern: u64, fault: Fault) {
    let store = FaultyStore::new(memory(), move |call, nth| {
        let bit = CALLS.iter().position(|it| *it == call).map(|place| (nth as usize * 7 + place) % 64);
        match bit {
            Some(bit) if pattern >> bit & 1 == 1 && nth < 40 => fault,
            _ => Fault::None,
        }
    });
    let transport = RecordingTransport::new();
    let hooks = service(store, transport.clone());
    let acme = acme(&hooks);
    register(&acme).await;
    let dispatcher = hooks.start().expect("inside tokio");
    for id in 0..20 {
        publish(&acme, id).await;
    }
    // Longer than every lease and back-off together.
    sleep(Duration::from_secs(60 * 60)).await;
    let deliveries = loop {
        match acme.deliveries(&DeliveryQuery::new()).await {
            Ok(page) => break page.items,
            Err(_) => continue,
        }
    };
    assert!(deliveries.len() >= 20);
    assert!(deliveries.iter().all(|it| it.state == DeliveryState::Ended(End::Delivered)), "{deliveries:?}");
    let requests = transport.requests();
    for id in 0..20 {
        let id = format!("m{id}");
        assert!(requests.iter().any(|it| it.headers()["webhook-id"] == id.as_str()), "{id} never arrived");
    }
    assert!(dispatcher.health().running);
    dispatcher.shutdown_within(Duration::from_secs(60)).await;
}

fn run_paused(pattern: u64, fault: Fault) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(run_through(pattern, fault));
}

#[test]
fn when_every_early_call_fails_everything_confirmed_arrives() {
    run_paused(u64::MAX, Fault::Before);
    run_paused(u64::MAX, Fault::After);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_calls_of_the_store_fail_everything_confirmed_arrives(
        pattern in any::<u64>(),
        after in any::<bool>(),
    ) {
        let fault = if after { Fault::After } else { Fault::Before };
        run_paused(pattern, fault);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_shows_in_the_health_of_the_dispatcher() {
    let store = FaultyStore::new(memory(), |call, nth| match call {
        Call::Claim if nth < 5 => Fault::Before,
        _ => Fault::None,
    });
    let hooks = service(store, RecordingTransport::new());
    let dispatcher = hooks.start().expect("inside tokio");
    sleep(Duration::from_millis(100)).await;
    let health = dispatcher.health();
    assert!(health.running && health.store_failures > 0);
    assert_eq!(
        health.last_store_error.as_deref(),
        Some("the store cannot be reached: planned fault before the effect")
    );
    sleep(Duration::from_secs(60)).await;
    assert_eq!(dispatcher.health().store_failures, 0);
    dispatcher.shutdown_within(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_shows_in_the_health_of_the_dispatcher() {
    for hanging in [Call::Claim, Call::Settle, Call::Tend] {
        let store = FaultyStore::new(memory(), move |call, nth| match nth {
            0 if call == hanging => Fault::Late(Duration::from_secs(20)),
            _ => Fault::None,
        });
        let hooks = service(store, RecordingTransport::new());
        let acme = acme(&hooks);
        register(&acme).await;
        publish(&acme, 1).await;
        let dispatcher = hooks.start().expect("inside tokio");
        sleep(Duration::from_secs(15)).await;
        let health = dispatcher.health();
        assert_eq!(health.store_failures, 0, "it does not fail: {hanging:?}");
        let waiting = health.store_waiting.expect("it is out");
        assert!(waiting > Duration::from_secs(14) && waiting < Duration::from_secs(16), "{waiting:?}");
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(dispatcher.health().store_waiting, None, "to wait for work is no call: {hanging:?}");
        dispatcher.shutdown_within(Duration::from_secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_failing_call_is_a_typed_error() {
    let hooks = service(FaultyStore::new(memory(), |_, _| Fault::Before), RecordingTransport::new());
    let acme = acme(&hooks);
    let draft = WebhookDraft::new("hook", "https://hooks.example.com/").subscribe(EVENT);
    let kinds = [
        acme.create(&draft).await.map(|_| ()),
        acme.publish(event(1)).await.map(|_| ()),
        acme.list().await.map(|_| ()),
        acme.deliveries(&DeliveryQuery::new()).await.map(|_| ()),
        acme.delete_everything().await,
        hooks.deliver_due().await.map(|_| ()),
    ];
    for kind in kinds {
        let error = kind.expect_err("the store fails");
        assert_eq!(*error.kind(), ErrorKind::Store);
        assert!(std::error::Error::source(&error).is_some(), "the cause is kept");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_no_page_gave_is_the_callers_fault() {
    let hooks = service(memory(), RecordingTransport::new());
    let page = PageRequest::after("\u{0}");
    let deliveries = acme(&hooks).deliveries(&DeliveryQuery::new().page(page.clone())).await;
    for refused in [deliveries.map(|_| ()), hooks.tenants(&page).await.map(|_| ())] {
        let error = refused.expect_err("no page gave it");
        assert!(matches!(error.kind(), ErrorKind::Invalid(_)), "{error:?}");
        assert!(error.to_string().contains("begin with the first page"), "{error}");
    }
}

/// Deletes everything of a tenant whose due deliveries a dispatcher is about to get: the first call is broken off.
async fn delete_while_claimed(fault: Fault) -> (Webhooks, RecordingTransport) {
    let store = FaultyStore::new(memory(), move |call, nth| match (call, nth) {
        (Call::Claim, 0) => Fault::Late(Duration::from_secs(10)),
        (Call::Erase, 0) => fault,
        _ => Fault::None,
    });
    let transport = RecordingTransport::new();
    let hooks = service(store, transport.clone());
    let acme = acme(&hooks);
    register(&acme).await;
    publish(&acme, 1).await;
    let dispatcher = hooks.start().expect("inside tokio");
    sleep(Duration::from_secs(1)).await;
    let first = tokio::time::timeout(Duration::from_secs(1), acme.delete_everything()).await;
    assert!(!matches!(first, Ok(Ok(()))), "it is broken off");
    acme.delete_everything().await.expect("the rest");
    acme.delete_everything().await.expect("there is no rest");
    sleep(Duration::from_secs(60)).await;
    dispatcher.shutdown_within(Duration::from_secs(60)).await;
    (hooks, transport)
}

#[tokio::test(start_paused = true)]
async fn deleting_everything_goes_on_where_it_was_broken_off_and_nothing_is_sent_after_it() {
    for fault in [Fault::After, Fault::Before, Fault::Late(Duration::from_secs(5))] {
        let (hooks, transport) = delete_while_claimed(fault).await;
        assert!(transport.requests().is_empty(), "a claim from before started an attempt: {fault:?}");
        assert!(hooks.tenants(&PageRequest::first()).await.expect("listed").items.is_empty());
        register(&acme(&hooks)).await;
        publish(&acme(&hooks), 1).await;
        assert_eq!(hooks.deliver_due().await.expect("delivered"), 1, "what comes later is not held up");
    }
}

#[tokio::test(start_paused = true)]
async fn deleting_everything_goes_on_between_its_steps() {
    let store = FaultyStore::new(memory(), |call, nth| match (call, nth) {
        (Call::Erase, 1) => Fault::Before,
        _ => Fault::None,
    });
    let hooks = service(store, RecordingTransport::new());
    let acme = acme(&hooks);
    register(&acme).await;
    acme.publish_all((0..600).map(event)).await.into_iter().for_each(|sent| drop(sent.expect("sent")));
    assert_eq!(*acme.delete_everything().await.expect_err("planned").kind(), ErrorKind::Store);
    assert!(acme.list().await.expect("listed").is_empty(), "the webhooks go first");
    assert!(!acme.deliveries(&DeliveryQuery::new()).await.expect("listed").items.is_empty());
    assert_eq!(hooks.deliver_due().await.expect("nothing"), 0, "and what is left goes nowhere");
    acme.delete_everything().await.expect("the rest");
    assert!(acme.deliveries(&DeliveryQuery::new()).await.expect("listed").items.is_empty());
    assert!(hooks.tenants(&PageRequest::first()).await.expect("listed").items.is_empty());
}

/// A transport that keeps no contract.
#[derive(Clone, Copy, Debug)]
enum Broken {
    NeverAnswers,
    Panics,
}

#[async_trait]
impl Transport for Broken {
    async fn send(&self, _: Request<Bytes>, _: &SendLimits) -> Result<Response<Bytes>, TransportError> {
        match self {
            Self::NeverAnswers => std::future::pending().await,
            Self::Panics => panic!("a planted panic"),
        }
    }

    async fn check(&self, _: &CallbackUrl) -> Result<(), TransportError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_never_answers_times_out() {
    let hooks = service(memory(), Broken::NeverAnswers);
    let acme = acme(&hooks);
    register(&acme).await;
    publish(&acme, 1).await;
    assert_eq!(hooks.deliver_due().await.expect("delivered"), 1);
    let delivery = acme.deliveries(&DeliveryQuery::new()).await.expect("listed").items[0].id;
    let attempts = acme.attempts(delivery).await.expect("logged");
    assert!(matches!(attempts[0].outcome, Outcome::Failed { kind: FailureKind::Timeout, .. }));
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_panics_stops_nothing() {
    let hooks = service(memory(), Broken::Panics);
    let acme = acme(&hooks);
    register(&acme).await;
    let dispatcher = hooks.start().expect("inside tokio");
    publish(&acme, 1).await;
    sleep(Duration::from_secs(10)).await;
    publish(&acme, 2).await;
    sleep(Duration::from_secs(10)).await;
    let health = dispatcher.health();
    assert!(health.running);
    assert_eq!(health.in_flight, 0, "its place is free again");
    for delivery in acme.deliveries(&DeliveryQuery::new()).await.expect("listed").items {
        let attempts = acme.attempts(delivery.id).await.expect("logged");
        assert!(attempts.len() > 1, "and its deliveries come again by the schedule");
        assert!(matches!(attempts[0].outcome, Outcome::Failed { kind: FailureKind::Prepare, .. }));
    }
    dispatcher.shutdown_within(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_started_without_the_time_for_it() {
    // 16 s of the 35 s are needed: the deadline, and a second for transports that do not keep it.
    nothing_is_started(Duration::from_secs(21)).await;
    nothing_is_started(Duration::from_millis(19_500)).await;
}

async fn nothing_is_started(late: Duration) {
    let transport = RecordingTransport::new();
    let slow = FaultyStore::new(memory(), move |call, _| match call {
        Call::Claim => Fault::Late(late),
        _ => Fault::None,
    });
    let hooks = service(slow, transport.clone());
    let acme = acme(&hooks);
    register(&acme).await;
    publish(&acme, 1).await;
    let dispatcher = hooks.start().expect("inside tokio");
    sleep(Duration::from_secs(600)).await;
    assert!(transport.requests().is_empty(), "it answers {late:?} late");
    assert_eq!(hooks.stats().await.expect("counted").pending(), 1);
    dispatcher.shutdown_within(Duration::ZERO).await;
}

#[test]
fn a_lease_without_the_time_for_an_attempt_is_refused() {
    let build = |seconds| {
        let policy = Policy::default().with_lease(Duration::from_secs(seconds));
        let builder = Webhooks::builder(assist::catalog()).store(MemoryStore::new()).policy(policy);
        builder.transport(RecordingTransport::new()).build()
    };
    assert!(build(20).is_ok());
    let error = build(19).expect_err("15 s and 5 s do not fit");
    assert!(error.to_string().contains("lengthen it with `Policy::with_lease`"));
}
