//! Troubles of our own side, of which no receiver is at fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::dispatcher::DispatcherHealth;
use hookwire::model::{CallbackUrl, FailureKind, Outcome};
use hookwire::service::{ClockOffset, Tenant};
use hookwire::store::MemoryStore;
use hookwire::testing::{Answer, RecordingTransport, TokioClock};
use hookwire::transport::{SendLimits, Transport, TransportError};
use hookwire::{DeliveryQuery, Event, TenantId, WebhookDraft, Webhooks, assist};
use http::{Request, Response};
use tokio::time::sleep;

use crate::support::log::Log;

const EVENT: hookwire::EventId = assist::DEVICE_ONLINE;

/// A service on paused time, whose clock is ahead by this.
fn service(transport: impl Transport, ahead: Duration) -> Webhooks {
    let clock = TokioClock::new();
    let builder = Webhooks::builder(assist::catalog()).store(MemoryStore::with_clock(clock));
    builder.transport(transport).clock(clock.ahead_by(ahead)).build().expect("a sound service")
}

/// Tenants that have each a webhook at every one of so many hosts of their own.
async fn tenants(hooks: &Webhooks, tenants: usize, hosts: usize) -> Vec<Tenant> {
    let mut made = Vec::new();
    for number in 0..tenants {
        let tenant = hooks.tenant(TenantId::new(format!("tenant-{number}")).expect("a short name"));
        for host in 0..hosts {
            let url = format!("https://host-{host}.tenant-{number}.example/");
            let draft = WebhookDraft::new(format!("hook {host}"), url).subscribe(EVENT);
            tenant.create(&draft).await.expect("a sound draft");
        }
        made.push(tenant);
    }
    made
}

async fn publish(tenants: &[Tenant]) {
    for tenant in tenants {
        let event = Event::new(EVENT, &serde_json::json!({"deviceName": "LAB-4"})).expect("JSON");
        tenant.publish(event).await.expect("published");
    }
}

/// Lets each of so many hosts answer a few times with the right date, and returns what was found and logged of a clock
/// that is ahead by so many seconds.
async fn clock_check(hosts: usize, ahead: u64) -> (DispatcherHealth, usize) {
    let log = Log::default();
    let guard = log.record_thread();
    let transport = RecordingTransport::answering(|_, _| {
        Answer::status(200).header("date", "Thu, 01 Jan 2026 00:00:00 GMT")
    });
    let hooks = service(transport, Duration::from_secs(ahead));
    let tenants = tenants(&hooks, hosts, 1).await;
    let dispatcher = hooks.start().expect("inside tokio");
    for _ in 0..5 {
        publish(&tenants).await;
        sleep(Duration::from_millis(10)).await;
    }
    let health = dispatcher.health();
    dispatcher.shutdown_within(Duration::from_secs(60)).await;
    drop(guard);
    (health, log.text().matches("the clock of this machine is off").count())
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_the_answers_of_three_hosts_contradict_is_told_once() {
    let (health, warnings) = clock_check(3, 301).await;
    let Some(ClockOffset::Ahead(by)) = health.clock_off else { panic!("{health:?}") };
    assert_eq!((by.as_secs(), warnings), (301, 1));
    for (hosts, ahead) in [(2, 301), (3, 119)] {
        let (health, warnings) = clock_check(hosts, ahead).await;
        assert_eq!((health.clock_off, warnings), (None, 0), "{hosts} hosts, {ahead} s");
    }
}

/// How the attempts ended that reached nobody, in no order.
async fn failures(tenants: &[Tenant]) -> Vec<FailureKind> {
    let mut kinds = Vec::new();
    for tenant in tenants {
        for delivery in tenant.deliveries(&DeliveryQuery::new()).await.expect("listed").items {
            let attempts = tenant.attempts(delivery.id).await.expect("logged");
            kinds.extend(attempts.into_iter().filter_map(|attempt| match attempt.outcome {
                Outcome::Answered { .. } => None,
                Outcome::Failed { kind, .. } => Some(kind),
            }));
        }
    }
    kinds
}

#[tokio::test(start_paused = true)]
async fn a_network_that_is_down_is_not_the_receivers_fault_and_is_probed() {
    let log = Log::default();
    let _guard = log.record_thread();
    let is_down = Arc::new(AtomicBool::new(true));
    let down = Arc::clone(&is_down);
    let transport = RecordingTransport::answering(move |_, _| match down.load(Ordering::SeqCst) {
        true => Answer::fail(FailureKind::Connect),
        false => Answer::status(200),
    });
    let hooks = service(transport.clone(), Duration::ZERO);
    let tenants = tenants(&hooks, 5, 2).await;
    let dispatcher = hooks.start().expect("inside tokio");
    for _ in 0..40 {
        publish(&tenants).await;
    }
    sleep(Duration::from_secs(30)).await;
    let health = dispatcher.health();
    assert_eq!(health.narrowed_to, Some(4));
    assert_eq!(health.last_own_failure.as_deref(), Some("could not connect: as the test says"));
    let requests = transport.requests().len();
    assert!((100..140).contains(&requests), "ten, and then four probes a second: {requests}");
    is_down.store(false, Ordering::SeqCst);
    sleep(Duration::from_secs(24 * 60 * 60)).await;
    assert_eq!(dispatcher.health().narrowed_to, None);
    assert_eq!(hooks.stats().await.expect("counted").pending(), 0);
    let kinds = failures(&tenants).await;
    let theirs = kinds.iter().filter(|kind| **kind == FailureKind::Connect).count();
    assert!(theirs < 10, "what came before it was seen: {theirs}");
    let ours = kinds.iter().filter(|kind| **kind == FailureKind::Local).count();
    assert!(ours > 100 && ours + theirs == kinds.len(), "{ours}");
    dispatcher.shutdown_within(Duration::from_secs(60)).await;
    for line in ["no connections can be opened from here", "connections can be opened again"] {
        assert_eq!(log.text().matches(line).count(), 1, "{line}");
    }
}

/// A transport that has descriptors for so many connections.
#[derive(Clone, Debug)]
struct Descriptors {
    left: Arc<AtomicUsize>,
    missed: Arc<AtomicUsize>,
}

#[async_trait]
impl Transport for Descriptors {
    async fn send(&self, _: Request<Bytes>, _: &SendLimits) -> Result<Response<Bytes>, TransportError> {
        let take = |left: usize| left.checked_sub(1);
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_err() {
            self.missed.fetch_add(1, Ordering::SeqCst);
            return Err(TransportError::new(FailureKind::Local, "too many open files"));
        }
        sleep(Duration::from_secs(1)).await;
        self.left.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(Bytes::new()))
    }

    async fn check(&self, _: &CallbackUrl) -> Result<(), TransportError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_without_descriptors_narrows_itself_to_what_it_can_open() {
    let transport = Descriptors { left: Arc::new(AtomicUsize::new(32)), missed: Arc::default() };
    let hooks = service(transport.clone(), Duration::ZERO);
    let tenants = tenants(&hooks, 20, 1).await;
    let dispatcher = hooks.start().expect("inside tokio");
    for _ in 0..100 {
        publish(&tenants).await;
    }
    sleep(Duration::from_secs(2)).await;
    assert!(dispatcher.health().narrowed_to.is_some_and(|it| it < 100), "{:?}", dispatcher.health());
    let failure = dispatcher.health().last_own_failure.expect("it failed");
    assert!(failure.ends_with("too many open files"), "{failure}");
    sleep(Duration::from_secs(24 * 60 * 60)).await;
    assert_eq!(hooks.stats().await.expect("counted").pending(), 0, "all is delivered");
    let missed = transport.missed.load(Ordering::SeqCst);
    assert!(missed < 1_000, "the first volley, and a few now and then: {missed}");
    dispatcher.shutdown_within(Duration::from_secs(60)).await;
}

/// Claims of a lane that is held back wait for each other. They start no attempt while nothing is to be started.
#[tokio::test(start_paused = true)]
async fn claims_that_waited_for_their_turn_are_given_back_when_the_own_side_fails() {
    let transport = RecordingTransport::answering(|_, nth| match nth {
        0 => Answer::status(429).retry_after(1),
        1..4 => Answer::fail(FailureKind::Local),
        _ => Answer::status(200),
    });
    let hooks = service(transport.clone(), Duration::ZERO);
    let tenants = tenants(&hooks, 1, 1).await;
    let dispatcher = hooks.start().expect("inside tokio");
    publish(&tenants).await;
    sleep(Duration::from_millis(100)).await;
    for _ in 0..30 {
        publish(&tenants).await;
    }
    sleep(Duration::from_millis(1_800)).await;
    assert_eq!(dispatcher.health().narrowed_to, Some(4));
    assert_eq!(transport.requests().len(), 2, "one that was limited, and one that failed just now");
    sleep(Duration::from_secs(24 * 60 * 60)).await;
    assert_eq!(hooks.stats().await.expect("counted").pending(), 0, "all is delivered");
    dispatcher.shutdown_within(Duration::from_secs(60)).await;
}
