//! The limits of webhooks under load: rates and deliveries in flight, over several dispatchers, on tokio's paused time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::model::{CallbackUrl, DeliveryOptions};
use hookwire::store::{MemoryStore, Store};
use hookwire::testing::{Call, Fault, FaultyStore, TokioClock};
use hookwire::transport::{SendLimits, Transport, TransportError};
use hookwire::{Event, Tenant, TenantId, WebhookDraft, Webhooks, assist};
use http::{Request, Response};
use tokio::time::{Instant, sleep};

/// A receiver that notes when each request came, and how many it had at once.
#[derive(Clone, Debug, Default)]
struct Receiver(Arc<Noted>);

#[derive(Debug, Default)]
struct Noted {
    takes: Duration,
    began: Mutex<Vec<Instant>>,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Receiver {
    fn taking(takes: Duration) -> Self {
        Self(Arc::new(Noted { takes, ..Noted::default() }))
    }

    fn began(&self) -> Vec<Instant> {
        self.0.began.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many requests were answered, and returns the most that came within any second.
    async fn most_in_a_second(&self, count: usize) -> usize {
        while self.began().len() < count || self.0.running.load(Ordering::SeqCst) > 0 {
            sleep(Duration::from_millis(50)).await;
        }
        let began = self.began();
        let second = Duration::from_secs(1);
        let within = |end: &Instant| began.iter().filter(|it| **it <= *end && **it + second > *end).count();
        began.iter().map(within).max().unwrap_or_default()
    }
}

#[async_trait]
impl Transport for Receiver {
    async fn send(&self, _: Request<Bytes>, _: &SendLimits) -> Result<Response<Bytes>, TransportError> {
        self.0.began.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        let running = self.0.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(running, Ordering::SeqCst);
        sleep(self.0.takes).await;
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        Ok(Response::new(Bytes::new()))
    }

    async fn check(&self, _: &CallbackUrl) -> Result<(), TransportError> {
        Ok(())
    }
}

/// Services on one store, each with the same receiver.
fn fleet(size: usize, receiver: &Receiver) -> Vec<Webhooks> {
    fleet_on(MemoryStore::with_clock(TokioClock::new()), size, receiver)
}

fn fleet_on(store: impl Store, size: usize, receiver: &Receiver) -> Vec<Webhooks> {
    let store: Arc<dyn Store> = Arc::new(store);
    let build = |_| {
        let builder = Webhooks::builder(assist::catalog()).store(Arc::clone(&store));
        builder.transport(receiver.clone()).clock(TokioClock::new()).build().expect("a sound service")
    };
    (0..size).map(build).collect()
}

async fn register(hooks: &Webhooks, options: DeliveryOptions) -> Tenant {
    let acme = hooks.tenant(TenantId::new("acme").expect("valid"));
    let draft = WebhookDraft::new("hook", "https://hook.example/").subscribe(assist::DEVICE_ADD);
    let created = acme.create(&draft).await.expect("sound");
    acme.set_options(created.webhook().hook_id(), options).await.expect("set");
    acme
}

async fn publish(acme: &Tenant, count: usize) {
    for _ in 0..count {
        acme.publish(Event::new(assist::DEVICE_ADD, "LAB-4").expect("JSON")).await.expect("published");
    }
}

#[tokio::test(start_paused = true)]
async fn within_no_second_do_more_requests_begin_than_the_rate_and_nearly_as_many_do() {
    let receiver = Receiver::taking(Duration::from_millis(1_500));
    let fleet = fleet(2, &receiver);
    let acme = register(&fleet[0], DeliveryOptions::new().with_rate(5).expect("valid")).await;
    let dispatchers: Vec<_> = fleet.iter().map(|hooks| hooks.start().expect("inside tokio")).collect();
    let started = Instant::now();
    publish(&acme, 100).await;
    assert_eq!(receiver.most_in_a_second(100).await, 5);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(25), "20 s at the rate, a tenth more for beginnings: {took:?}");
    drop(dispatchers);
}

/// Answers of claims come late, and most later than requests may begin at first.
#[tokio::test(start_paused = true)]
async fn a_slow_store_delays_the_requests_of_a_rate_and_neither_stops_nor_gathers_them() {
    let receiver = Receiver::taking(Duration::from_millis(10));
    let store = FaultyStore::new(MemoryStore::with_clock(TokioClock::new()), |call, nth| match call {
        Call::Claim => Fault::Late(Duration::from_millis(nth * 37 % 900)),
        _ => Fault::None,
    });
    let fleet = fleet_on(store, 2, &receiver);
    let acme = register(&fleet[0], DeliveryOptions::new().with_rate(5).expect("valid")).await;
    let dispatchers: Vec<_> = fleet.iter().map(|hooks| hooks.start().expect("inside tokio")).collect();
    publish(&acme, 100).await;
    assert_eq!(receiver.most_in_a_second(100).await, 5);
    drop(dispatchers);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_in_flight_than_may_be_in_all_dispatchers_together() {
    let receiver = Receiver::taking(Duration::from_millis(100));
    let fleet = fleet(3, &receiver);
    let acme = register(&fleet[0], DeliveryOptions::new().with_max_in_flight(4).expect("valid")).await;
    let dispatchers: Vec<_> = fleet.iter().map(|hooks| hooks.start().expect("inside tokio")).collect();
    let started = Instant::now();
    publish(&acme, 100).await;
    receiver.most_in_a_second(100).await;
    assert_eq!(receiver.0.most.load(Ordering::SeqCst), 4);
    let took = started.elapsed();
    assert!(
        took < Duration::from_millis(3_500),
        "25 rounds, each of which follows the last at once: {took:?}"
    );
    drop(dispatchers);
}
