//! How receivers are judged, over days of virtual time: failures, silences, limits, and faults of our own.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::dispatcher::Dispatcher;
use hookwire::model::{CallbackUrl, DeliveryState, DisableReason, End, HookId, PageRequest};
use hookwire::service::{Tenant, WebhooksBuilder};
use hookwire::signature::{Message, Signature};
use hookwire::signer::{SignError, Signer};
use hookwire::store::MemoryStore;
use hookwire::testing::{Answer, RecordingTransport, TokioClock};
use hookwire::transport::{SendLimits, Transport, TransportError};
use hookwire::{DeliveryQuery, Event, TenantId, WebhookDraft, Webhooks, assist};
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A service with one webhook, whose dispatcher runs.
struct World {
    hooks: Webhooks,
    acme: Tenant,
    webhook: HookId,
    dispatcher: Dispatcher,
}

impl World {
    async fn new(transport: impl Transport) -> Self {
        Self::of(builder(transport)).await
    }

    async fn of(builder: WebhooksBuilder) -> Self {
        let hooks = builder.build().expect("a sound service");
        let acme = hooks.tenant(acme());
        let draft = WebhookDraft::new("hook", "https://receiver.example/").subscribe(assist::DEVICE_ONLINE);
        let webhook = acme.create(&draft).await.expect("a sound draft").webhook().hook_id();
        let dispatcher = hooks.start().expect("inside tokio");
        Self { hooks, acme, webhook, dispatcher }
    }

    async fn publish(&self) {
        publish(&self.acme).await;
    }

    /// Waits until nothing is pending, looking every `often`.
    async fn all_end(&self, often: Duration) {
        while self.hooks.stats().await.expect("counted").pending() > 0 {
            sleep(often).await;
        }
    }

    async fn ended_as(&self, end: End) -> usize {
        let mut query = DeliveryQuery::new().state(DeliveryState::Ended(end));
        let mut count = 0;
        loop {
            let page = self.acme.deliveries(&query).await.expect("listed");
            count += page.items.len();
            let Some(next) = page.next else { return count };
            query.page = PageRequest::after(next);
        }
    }

    async fn disabled(&self) -> Option<DisableReason> {
        self.acme.details(self.webhook).await.expect("there").disabled?.reason
    }

    async fn stop(self) {
        self.dispatcher.shutdown_within(HOUR).await;
    }
}

fn acme() -> TenantId {
    TenantId::new("acme").expect("valid")
}

fn builder(transport: impl Transport) -> WebhooksBuilder {
    let store = MemoryStore::with_clock(TokioClock::new());
    Webhooks::builder(assist::catalog()).clock(TokioClock::new()).store(store).transport(transport)
}

async fn publish(tenant: &Tenant) {
    let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({"deviceName": "LAB-4"}));
    tenant.publish(event.expect("JSON")).await.expect("published");
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_a_month_of_silence_disables_nothing() {
    let transport = RecordingTransport::answering(|_, nth| match nth {
        0..10 => Answer::status(500),
        10 => Answer::status(502),
        _ => Answer::status(200),
    });
    let world = World::new(transport).await;
    world.publish().await;
    sleep(30 * DAY).await;
    assert_eq!(world.ended_as(End::Exhausted).await, 1);
    world.publish().await;
    world.all_end(SECOND).await;
    assert_eq!((world.ended_as(End::Delivered).await, world.disabled().await), (1, None));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn days_on_which_the_host_did_not_run_are_no_evidence() {
    let clock = TokioClock::new();
    let store = Arc::new(MemoryStore::with_clock(clock));
    let transport = RecordingTransport::answering(|_, nth| Answer::status([503, 503, 200][nth.min(2)]));
    let service = || builder(transport.clone()).clock(clock).store(Arc::clone(&store));
    let before = World::of(service()).await;
    before.publish().await;
    sleep(SECOND).await;
    before.stop().await;
    sleep(6 * DAY).await;
    let hooks = service().build().expect("a sound service");
    let dispatcher = hooks.start().expect("inside tokio");
    while hooks.stats().await.expect("counted").pending() > 0 {
        sleep(SECOND).await;
    }
    let details = hooks.tenant(acme()).details(HookId::new(1)).await.expect("there");
    assert_eq!((transport.requests().len(), details.disabled), (3, None));
    dispatcher.shutdown_within(HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_only_fails_is_disabled_when_a_delivery_is_exhausted() {
    let world = World::new(RecordingTransport::answering(|_, _| Answer::status(500))).await;
    for _ in 0..20 {
        world.publish().await;
        sleep(12 * HOUR).await;
    }
    assert!(matches!(world.disabled().await, Some(DisableReason::Failing { .. })));
    world.stop().await;
}

/// Fails until it is told that its key service is up again.
#[derive(Clone, Debug, Default)]
struct Unreachable(Arc<AtomicBool>);

#[async_trait]
impl Signer for Unreachable {
    async fn sign(&self, _: &TenantId, _: HookId, _: &Message<'_>) -> Result<Vec<Signature>, SignError> {
        match self.0.load(Ordering::SeqCst) {
            true => Ok(vec![Signature::HmacSha256([7; 32])]),
            false => Err(SignError::new("the key service is down")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_signer_that_fails_for_days_loses_nothing_and_disables_nothing() {
    let (transport, signer) = (RecordingTransport::new(), Unreachable::default());
    let world = World::of(builder(transport.clone()).signer(signer.clone())).await;
    for _ in 0..6 {
        world.publish().await;
        sleep(DAY).await;
    }
    assert_eq!((transport.requests().len(), world.disabled().await), (0, None));
    let page = world.acme.deliveries(&DeliveryQuery::new()).await.expect("listed");
    let oldest = page.items.last().expect("six");
    let log = world.acme.attempts(oldest.id).await.expect("logged");
    assert!(oldest.attempts > 100, "an attempt an hour: {}", oldest.attempts);
    let kept: Vec<_> = log.iter().map(|attempt| (attempt.number, attempt.uncounted)).collect();
    assert_eq!(kept, [(1, 1), (oldest.attempts, oldest.attempts)], "the first, the last, and a count");
    signer.0.store(true, Ordering::SeqCst);
    sleep(2 * HOUR).await;
    assert_eq!((world.ended_as(End::Delivered).await, transport.requests().len()), (6, 6));
    world.stop().await;
}

/// Answers 200 if its last 200 is old enough, else 429 or 503 with `Retry-After`.
#[derive(Clone, Debug)]
struct Limited {
    every: Duration,
    status: StatusCode,
    last: Arc<Mutex<Option<Instant>>>,
    requests: Arc<AtomicUsize>,
}

impl Limited {
    fn to_one_in(every: Duration, status: StatusCode) -> Self {
        Self { every, status, last: Arc::default(), requests: Arc::default() }
    }

    fn answer(&self) -> StatusCode {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= self.every) {
            *last = Some(Instant::now());
            return StatusCode::OK;
        }
        self.status
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Transport for Limited {
    async fn send(&self, _: Request<Bytes>, _: &SendLimits) -> Result<Response<Bytes>, TransportError> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        sleep(Duration::from_millis(5)).await;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = self.answer();
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(self.every.as_secs()));
        Ok(response)
    }

    async fn check(&self, _: &CallbackUrl) -> Result<(), TransportError> {
        Ok(())
    }
}

/// Publishes so many events at once, waits until all have ended, and returns how long that took.
async fn burst(world: &World, events: usize, look: Duration) -> Duration {
    let begun = Instant::now();
    for _ in 0..events {
        world.publish().await;
    }
    world.all_end(look).await;
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_receiver_of_one_request_a_second_gets_a_thousand_events_at_its_pace() {
    let receiver = Limited::to_one_in(SECOND, StatusCode::TOO_MANY_REQUESTS);
    let world = World::new(receiver.clone()).await;
    let took = burst(&world, 1_000, 60 * SECOND).await;
    assert_eq!(world.ended_as(End::Delivered).await, 1_000);
    let requests = receiver.requests();
    assert!(took <= 35 * 60 * SECOND && requests <= 3_500, "{requests} requests in {took:?}");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_of_one_request_a_minute_loses_none_of_three_thousand_events() {
    let receiver = Limited::to_one_in(60 * SECOND, StatusCode::SERVICE_UNAVAILABLE);
    let world = World::new(receiver.clone()).await;
    burst(&world, 3_000, HOUR).await;
    assert_eq!((world.ended_as(End::Delivered).await, world.disabled().await), (3_000, None));
    assert!(receiver.requests() <= 10_500, "{} requests", receiver.requests());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_asks_for_a_second_for_ever_gets_no_more_than_its_schedule() {
    let asks = |status| move |_: &Request<Bytes>, _| Answer::status(status).retry_after(1);
    for (status, is_disabled) in [(503, true), (429, false)] {
        let transport = RecordingTransport::answering(asks(status));
        let world = World::new(transport.clone()).await;
        for _ in 0..20 {
            world.publish().await;
            sleep(12 * HOUR).await;
        }
        sleep(5 * DAY).await;
        let open = world.hooks.stats().await.expect("counted").pending();
        assert_eq!((open == 0, world.disabled().await.is_some()), (!is_disabled, is_disabled), "{status}");
        assert!(transport.requests().len() <= 200, "ten for each: {}", transport.requests().len());
        world.stop().await;
    }
}

/// What a receiver does for a time.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Alive,
    Failing,
    Limited(u64),
}

/// A receiver with phases, the last of which stays.
#[derive(Clone, Debug)]
struct Phases {
    begun: Instant,
    phases: Vec<(u64, Phase)>,
    limited: Limited,
    successes: Arc<AtomicUsize>,
}

impl Phases {
    fn new(phases: Vec<(u64, Phase)>) -> Self {
        let limited = Limited::to_one_in(SECOND, StatusCode::TOO_MANY_REQUESTS);
        Self { begun: Instant::now(), phases, limited, successes: Arc::default() }
    }

    fn present(&self) -> Phase {
        let mut hours = self.begun.elapsed().as_secs() / 3600;
        for (length, phase) in &self.phases {
            if hours < *length {
                return *phase;
            }
            hours -= length;
        }
        self.phases.last().map_or(Phase::Alive, |(_, phase)| *phase)
    }
}

#[async_trait]
impl Transport for Phases {
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: &SendLimits,
    ) -> Result<Response<Bytes>, TransportError> {
        let every = match self.present() {
            Phase::Alive => Duration::ZERO,
            Phase::Failing => Duration::MAX,
            Phase::Limited(seconds) => Duration::from_secs(seconds),
        };
        let status = if every == Duration::MAX { StatusCode::BAD_GATEWAY } else { self.limited.status };
        let response = Limited { every, status, ..self.limited.clone() }.send(request, limits).await?;
        self.successes.fetch_add(usize::from(response.status().is_success()), Ordering::SeqCst);
        Ok(response)
    }

    async fn check(&self, _: &CallbackUrl) -> Result<(), TransportError> {
        Ok(())
    }
}

fn phases() -> impl Strategy<Value = Vec<(u64, Phase)>> {
    let phase = prop_oneof![
        (1_u64..100).prop_map(|hours| (hours, Phase::Alive)),
        (1_u64..60).prop_map(|hours| (hours, Phase::Failing)),
        (1_u64..100, 1_u64..120).prop_map(|(hours, seconds)| (hours, Phase::Limited(seconds))),
    ];
    proptest::collection::vec(phase, 1..6)
}

/// Publishes bursts at these hours to a receiver with these phases, and waits for the end.
async fn live(mut phases: Vec<(u64, Phase)>, bursts: &[(u64, usize)], last: Phase) -> (World, Phases) {
    phases.push((1, last));
    let receiver = Phases::new(phases);
    let world = World::new(receiver.clone()).await;
    for (hours, events) in bursts {
        sleep(HOUR * u32::try_from(*hours).expect("few")).await;
        for _ in 0..*events {
            world.publish().await;
        }
    }
    (world, receiver)
}

fn in_virtual_time<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(future)
}

/// What failed for two days meets a limit at the last step of its schedule, when others are delivered: it is tried again.
#[test]
fn a_limit_at_the_last_step_is_tried_again_while_others_are_delivered() {
    let bursts = [(5, 39), (14, 12), (22, 11), (35, 20)];
    for _ in 0..10 {
        in_virtual_time(async {
            let phases = vec![(56, Phase::Failing), (86, Phase::Limited(88))];
            let (world, _) = live(phases, &bursts, Phase::Alive).await;
            world.all_end(HOUR).await;
            assert_eq!(world.ended_as(End::Exhausted).await, 0);
            world.stop().await;
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_living_receiver_gets_everything_and_a_dead_one_is_disabled(
        phases in phases(),
        bursts in proptest::collection::vec((0_u64..40, 1_usize..40), 1..6),
    ) {
        let events: usize = bursts.iter().map(|(_, events)| events).sum();
        in_virtual_time(async {
            let (world, receiver) = live(phases.clone(), &bursts, Phase::Alive).await;
            world.all_end(HOUR).await;
            // The schedule lasts longer than any run of failing phases here, but for several in a row.
            let failing: u64 = phases.iter().filter(|it| matches!(it.1, Phase::Failing)).map(|it| it.0).sum();
            if failing < 60 {
                assert_eq!(world.ended_as(End::Delivered).await, events, "nothing is lost");
                assert_eq!(world.disabled().await, None, "it lives");
            }
            let (requests, successes) = (receiver.limited.requests(), receiver.successes.load(Ordering::SeqCst));
            assert!(requests <= 10 * events + 4 * successes + 100, "{requests} for {successes} of {events}");
            world.stop().await;
        });
        in_virtual_time(async {
            let (world, _) = live(phases, &bursts, Phase::Failing).await;
            for _ in 0..44 {
                world.publish().await;
                sleep(12 * HOUR).await;
            }
            assert!(world.disabled().await.is_some(), "it is dead");
            world.stop().await;
        });
    }
}
