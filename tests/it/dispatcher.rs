//! The dispatcher, on tokio's paused time over the memory store: days pass in a moment.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::dispatcher::{Dispatcher, StartError};
use hookwire::model::{
    CallbackUrl, DeliveryState, DisableReason, End, FailureKind, HookId, MessageId, Outcome, Status,
    Timestamp,
};
use hookwire::registry::Backlog;
use hookwire::service::{Created, Sent, Tenant};
use hookwire::store::{MemoryStore, RoutingRecord, Store};
use hookwire::testing::{Answer, Call, Fault, FaultyStore, RecordingTransport, TokioClock};
use hookwire::transport::{SendLimits, Transport, TransportError};
use hookwire::{DeliveryQuery, Event, TenantId, WebhookDraft, Webhooks, assist};
use http::{Request, Response};
use tokio::time::{Instant, sleep, timeout};

const HOUR: Duration = Duration::from_secs(60 * 60);
const EVENT: hookwire::EventId = assist::DEVICE_ONLINE;

fn service(store: impl Store, transport: impl Transport) -> Webhooks {
    let builder = Webhooks::builder(assist::catalog()).store(store).transport(transport);
    builder.clock(TokioClock::new()).build().expect("a sound service")
}

fn memory(transport: impl Transport) -> Webhooks {
    service(MemoryStore::with_clock(TokioClock::new()), transport)
}

fn tenant(hooks: &Webhooks, name: &str) -> Tenant {
    hooks.tenant(TenantId::new(name).expect("a short name"))
}

async fn register(tenant: &Tenant, host: &str) -> Created {
    let draft = WebhookDraft::new(host, format!("https://{host}/")).subscribe(EVENT);
    tenant.create(&draft).await.expect("a sound draft")
}

async fn publish(tenant: &Tenant) -> Sent {
    let event = Event::new(EVENT, &serde_json::json!({"deviceName": "LAB-4"})).expect("JSON");
    tenant.publish(event).await.expect("published")
}

/// The state of a message's one delivery; one that is not routed yet is pending.
async fn state(tenant: &Tenant, message: &MessageId) -> DeliveryState {
    let explanation = tenant.explain(message).await.expect("known");
    explanation.deliveries.first().map_or(DeliveryState::Pending, |delivery| delivery.state)
}

/// Waits until a message has ended at its one webhook.
async fn end(tenant: &Tenant, message: &MessageId) -> End {
    loop {
        if let DeliveryState::Ended(end) = state(tenant, message).await {
            return end;
        }
        sleep(Duration::from_secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_receiver_gets_the_whole_schedule_and_then_no_more() {
    let transport = RecordingTransport::answering(|_, _| Answer::status(500));
    let hooks = memory(transport.clone());
    let acme = tenant(&hooks, "acme");
    register(&acme, "fails.example").await;
    let dispatcher = hooks.start().expect("inside tokio");
    let (started, sent) = (Instant::now(), publish(&acme).await);
    assert_eq!(end(&acme, sent.message_id()).await, End::Exhausted);
    let took = started.elapsed();
    assert!(took > 60 * HOUR && took < 91 * HOUR, "75 hours and a fifth to either side: {took:?}");
    let delivery = acme.explain(sent.message_id()).await.expect("known").deliveries[0].id;
    let attempts = acme.attempts(delivery).await.expect("logged");
    assert_eq!(attempts.len(), 10);
    assert!(attempts.iter().zip(1..).all(|(attempt, number)| attempt.number == number));
    sleep(100 * HOUR).await;
    assert_eq!(transport.requests().len(), 10);
    let ids: HashSet<_> = transport.requests().iter().map(|it| it.headers()["webhook-id"].clone()).collect();
    assert_eq!(ids.len(), 1, "each retry carries the same id");
    dispatcher.shutdown_within(HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn two_hundred_hanging_webhooks_do_not_hold_up_a_healthy_one() {
    let transport = RecordingTransport::answering(|request, _| match request.uri().host() {
        Some("healthy.example") => Answer::status(200),
        _ => Answer::hang(),
    });
    let hooks = memory(transport.clone());
    let mut tenants = Vec::new();
    for n in 0..20 {
        let tenant = tenant(&hooks, &format!("tenant-{n}"));
        for hook in 0..10 {
            register(&tenant, &format!("hangs-{n}-{hook}.example")).await;
        }
        tenants.push(tenant);
    }
    // It shares its tenant with nine that hang.
    let acme = tenant(&hooks, "acme");
    for hook in 0..9 {
        register(&acme, &format!("hangs-too-{hook}.example")).await;
    }
    register(&acme, "healthy.example").await;
    tenants.push(acme);
    let dispatcher = hooks.start().expect("inside tokio");
    let started = Instant::now();
    for _ in 0..30 {
        for tenant in &tenants {
            publish(tenant).await;
        }
    }
    let healthy =
        || transport.requests().iter().filter(|it| it.uri().host() == Some("healthy.example")).count();
    while healthy() < 30 {
        assert!(started.elapsed() < Duration::from_secs(15), "it waited for a timeout, at {}", healthy());
        sleep(Duration::from_millis(10)).await;
    }
    dispatcher.shutdown_within(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn webhooks_that_hang_are_probed_and_leave_the_rest_alone() {
    let transport = RecordingTransport::answering(|_, _| Answer::hang());
    let hooks = memory(transport.clone());
    for n in 0..30 {
        let tenant = tenant(&hooks, &format!("tenant-{n}"));
        for hook in 0..4 {
            register(&tenant, &format!("hangs-{n}-{hook}.example")).await;
        }
        for _ in 0..30 {
            publish(&tenant).await;
        }
    }
    let dispatcher = hooks.start().expect("inside tokio");
    // By then each of the 120 has timed out twice.
    sleep(Duration::from_secs(10 * 60)).await;
    let mut most = 0;
    for _ in 0..100 {
        most = most.max(dispatcher.health().in_flight);
        sleep(Duration::from_secs(3)).await;
    }
    assert!((1..=51).contains(&most), "a tenth of 512 for all of them: {most}");
    dispatcher.shutdown_within(Duration::ZERO).await;
}

/// Counts how many requests run at once, in all and for each host.
#[derive(Clone, Debug, Default)]
struct Crowd {
    running: Arc<std::sync::Mutex<Vec<String>>>,
    most: Arc<AtomicUsize>,
    most_of_one: Arc<AtomicUsize>,
    most_of_a_tenant: Arc<AtomicUsize>,
}

#[async_trait]
impl Transport for Crowd {
    async fn send(&self, request: Request<Bytes>, _: &SendLimits) -> Result<Response<Bytes>, TransportError> {
        let host = request.uri().host().expect("a host").to_owned();
        let tenant = host.split('-').next().expect("a prefix").to_owned();
        {
            let mut running = self.running.lock().expect("whole");
            running.push(host.clone());
            let of = |wanted: &dyn Fn(&String) -> bool| running.iter().filter(|it| wanted(it)).count();
            self.most.fetch_max(running.len(), Ordering::SeqCst);
            self.most_of_one.fetch_max(of(&|it| *it == host), Ordering::SeqCst);
            self.most_of_a_tenant.fetch_max(of(&|it| it.starts_with(&tenant)), Ordering::SeqCst);
        }
        sleep(Duration::from_secs(1)).await;
        let mut running = self.running.lock().expect("whole");
        let place = running.iter().position(|it| *it == host).expect("running");
        running.swap_remove(place);
        Ok(Response::new(Bytes::new()))
    }

    async fn check(&self, _: &CallbackUrl) -> Result<(), TransportError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn at_once_run_480_in_all_64_of_a_tenant_and_16_of_a_webhook() {
    assert_eq!(most_at_once(7).await, [448, 64, 16]);
    assert_eq!(most_at_once(8).await, [480, 60, 15], "the last 32 of 512 are for those who use little");
}

/// The most that run at once, in all, of a tenant and of a webhook, when so many tenants have much to send.
async fn most_at_once(tenants: usize) -> [usize; 3] {
    let crowd = Crowd::default();
    let hooks = memory(crowd.clone());
    for n in 0..tenants {
        let tenant = tenant(&hooks, &format!("t{n}"));
        for hook in 0..4 {
            register(&tenant, &format!("t{n}-{hook}.example")).await;
        }
        for _ in 0..60 {
            publish(&tenant).await;
        }
    }
    let dispatcher = hooks.start().expect("inside tokio");
    while hooks.stats().await.expect("counted").pending() > 0 {
        sleep(Duration::from_secs(1)).await;
    }
    dispatcher.shutdown_within(HOUR).await;
    [&crowd.most, &crowd.most_of_a_tenant, &crowd.most_of_one].map(|most| most.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn a_publish_is_delivered_at_once_and_costs_no_claim() {
    let claims = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&claims);
    let store = FaultyStore::new(MemoryStore::with_clock(TokioClock::new()), move |call, _| {
        counted.fetch_add(usize::from(call == Call::Claim), Ordering::SeqCst);
        Fault::None
    });
    let transport = RecordingTransport::answering(|_, _| Answer::status(200).after(HOUR / 1800));
    let hooks = service(store, transport.clone());
    let acme = tenant(&hooks, "acme");
    register(&acme, "hooks.example").await;
    let dispatcher = hooks.start().expect("inside tokio");
    sleep(Duration::from_secs(1)).await;
    let before = claims.load(Ordering::SeqCst);
    for nth in 1..=50 {
        let published = Instant::now();
        publish(&acme).await;
        while transport.requests().len() < nth {
            tokio::task::yield_now().await;
        }
        assert_eq!(published.elapsed(), Duration::ZERO);
        sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(claims.load(Ordering::SeqCst), before, "they were written already claimed");
    sleep(HOUR / 1800).await;
    assert_eq!(
        (dispatcher.health().in_flight, claims.load(Ordering::SeqCst)),
        (0, before),
        "nothing else waits"
    );
    dispatcher.shutdown_within(HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_dispatcher_sleeps_but_for_its_upkeep() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let store = FaultyStore::new(MemoryStore::with_clock(TokioClock::new()), move |call, _| {
        counted.fetch_add(usize::from(call == Call::Claim), Ordering::SeqCst);
        Fault::None
    });
    let hooks = service(store, RecordingTransport::new());
    let dispatcher = hooks.start().expect("inside tokio");
    sleep(HOUR).await;
    let claims = calls.load(Ordering::SeqCst);
    assert!(claims <= 62, "once a minute at most: {claims}");
    dispatcher.shutdown_within(HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn shutting_down_finishes_what_is_under_way_and_hands_the_rest_back() {
    let transport = RecordingTransport::answering(|request, _| match request.uri().host() {
        Some("slow.example") => Answer::status(200).after(Duration::from_secs(5)),
        _ => Answer::hang(),
    });
    let hooks = memory(transport.clone());
    let acme = tenant(&hooks, "acme");
    register(&acme, "slow.example").await;
    register(&acme, "hangs.example").await;
    let dispatcher = hooks.start().expect("inside tokio");
    let sent = publish(&acme).await;
    while transport.requests().len() < 2 {
        sleep(Duration::from_millis(1)).await;
    }
    let drained = dispatcher.shutdown_within(Duration::from_secs(10)).await;
    assert_eq!((drained.finished, drained.released), (1, 1));
    let deliveries = acme.explain(sent.message_id()).await.expect("known").deliveries;
    assert_eq!(deliveries[0].state, DeliveryState::Ended(End::Delivered));
    assert_eq!(deliveries[1].state, DeliveryState::Pending);
    assert_eq!(hooks.stats().await.expect("counted").held, 0);
    let again = hooks.start().expect("the first has stopped");
    while transport.requests().len() < 3 {
        sleep(Duration::from_millis(1)).await;
    }
    again.shutdown_within(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_has_one_dispatcher_at_a_time() {
    let hooks = memory(RecordingTransport::new());
    let first = hooks.start().expect("inside tokio");
    assert_eq!(hooks.start().err(), Some(StartError::AlreadyRunning));
    assert_eq!(Dispatcher::run(&hooks, async {}).await.err(), Some(StartError::AlreadyRunning));
    assert!(first.health().running);
    first.shutdown_within(HOUR).await;
    Dispatcher::run(&hooks, async {}).await.expect("the first has stopped");
    // A future that is dropped makes room as well.
    let running = Dispatcher::run(&hooks, std::future::pending());
    assert!(timeout(HOUR, running).await.is_err());
    hooks.start().expect("it was dropped").shutdown_within(HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn clones_of_a_handle_share_the_dispatcher() {
    let transport = RecordingTransport::answering(|_, _| Answer::status(200).after(Duration::from_secs(5)));
    let hooks = memory(transport.clone());
    let acme = tenant(&hooks, "acme");
    register(&acme, "slow.example").await;
    let dispatcher = hooks.start().expect("inside tokio");
    publish(&acme).await;
    while transport.requests().is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    // The first call decides about the time; both wait for the end.
    let (one, other) = (dispatcher.clone(), dispatcher.clone());
    let (one, other) = tokio::join!(one.shutdown_within(HOUR), other.shutdown_within(Duration::ZERO));
    assert_eq!((one.finished, one), (1, other));
    let health = serde_json::to_value(dispatcher.health()).expect("JSON");
    assert_eq!((&health["running"], &health["in_flight"]), (&false.into(), &0.into()), "{health}");
}

#[test]
fn a_dispatcher_needs_a_runtime() {
    let hooks = Webhooks::builder(assist::catalog()).store(MemoryStore::new());
    let hooks = hooks.transport(RecordingTransport::new()).build().expect("sound");
    assert_eq!(hooks.start().err(), Some(StartError::NoRuntime));
}

#[tokio::test(start_paused = true)]
async fn gone_disables_the_webhook_and_enabling_resumes_it() {
    let transport = RecordingTransport::answering(|_, nth| Answer::status(if nth == 0 { 410 } else { 200 }));
    let hooks = memory(transport.clone());
    let acme = tenant(&hooks, "acme");
    let hook = register(&acme, "gone.example").await.webhook().hook_id();
    let dispatcher = hooks.start().expect("inside tokio");
    let sent = publish(&acme).await;
    sleep(HOUR).await;
    assert_eq!(transport.requests().len(), 1);
    let details = acme.details(hook).await.expect("there");
    assert_eq!(details.webhook.status(), Status::Disabled);
    assert_eq!(details.disabled.and_then(|it| it.reason), Some(DisableReason::Gone));
    acme.enable(hook, Backlog::Resume).await.expect("enabled");
    assert_eq!(end(&acme, sent.message_id()).await, End::Delivered);
    assert_eq!(acme.details(hook).await.expect("there").disabled, None);
    dispatcher.shutdown_within(HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn five_days_without_a_success_disable_the_webhook() {
    let hooks = memory(RecordingTransport::answering(|_, _| Answer::fail(FailureKind::Connect)));
    let acme = tenant(&hooks, "acme");
    let hook = register(&acme, "fails.example").await.webhook().hook_id();
    let dispatcher = hooks.start().expect("inside tokio");
    for day in 0..=5 {
        let status = acme.get(hook).await.expect("there").status();
        assert_eq!(status, Status::Enabled, "on day {day}");
        publish(&acme).await;
        sleep(24 * HOUR).await;
    }
    // By then the event of day 3 has run out of attempts, whatever its jitter.
    sleep(24 * HOUR).await;
    let details = acme.details(hook).await.expect("there");
    assert_eq!(details.webhook.status(), Status::Disabled);
    assert!(matches!(details.disabled.and_then(|it| it.reason), Some(DisableReason::Failing { .. })));
    dispatcher.shutdown_within(HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_asks_to_be_left_alone_is() {
    let transport = RecordingTransport::answering(|_, nth| match nth {
        0 => Answer::status(429).retry_after(7200),
        _ => Answer::status(200),
    });
    let hooks = memory(transport.clone());
    let acme = tenant(&hooks, "acme");
    register(&acme, "busy.example").await;
    let dispatcher = hooks.start().expect("inside tokio");
    let first = publish(&acme).await;
    sleep(Duration::from_secs(1)).await;
    let second = publish(&acme).await;
    sleep(2 * HOUR - Duration::from_secs(10)).await;
    assert_eq!(transport.requests().len(), 1, "not even for another event");
    sleep(Duration::from_secs(20)).await;
    for sent in [first, second] {
        assert_eq!(state(&acme, sent.message_id()).await, DeliveryState::Ended(End::Delivered));
    }
    dispatcher.shutdown_within(HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn events_that_were_written_unrouted_are_routed_and_delivered() {
    let store = Arc::new(MemoryStore::with_clock(TokioClock::new()));
    let transport = RecordingTransport::new();
    let hooks = service(Arc::clone(&store), transport.clone());
    let acme = tenant(&hooks, "acme");
    register(&acme, "hooks.example").await;
    let dispatcher = hooks.start().expect("inside tokio");
    for (id, event) in [("known", EVENT), ("unknown", hookwire::EventId::new(99))] {
        let event = Event::new(event, &serde_json::json!({})).expect("JSON");
        let event = event.stamped(|| MessageId::new(id).expect("valid"), Timestamp::default());
        store.publish_unrouted(acme.id(), event);
    }
    hooks.wake();
    assert_eq!(end(&acme, &MessageId::new("known").expect("valid")).await, End::Delivered);
    let unknown = acme.explain(&MessageId::new("unknown").expect("valid")).await.expect("known");
    let RoutingRecord::Unroutable(reason) = unknown.record.routing else { panic!("unroutable") };
    assert_eq!(reason, "event 99 is not in the catalog; add it there first");
    dispatcher.shutdown_within(HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn deliver_due_sends_what_is_due_and_leaves_the_rest() {
    let transport = RecordingTransport::answering(|_, nth| Answer::status(if nth == 0 { 500 } else { 200 }));
    let hooks = memory(transport.clone());
    let acme = tenant(&hooks, "acme");
    register(&acme, "hooks.example").await;
    let sent = publish(&acme).await;
    assert_eq!(hooks.deliver_due().await.expect("delivered"), 1);
    assert_eq!(hooks.deliver_due().await.expect("delivered"), 0, "the retry is not due");
    sleep(Duration::from_secs(7)).await;
    assert_eq!(hooks.deliver_due().await.expect("delivered"), 1);
    assert_eq!(state(&acme, sent.message_id()).await, DeliveryState::Ended(End::Delivered));
}

#[tokio::test(start_paused = true)]
async fn what_a_receiver_answers_is_kept_up_to_the_limit() {
    let long = "é".repeat(20_000);
    let hooks = memory(RecordingTransport::answering(move |_, _| Answer::status(400).body(long.clone())));
    let acme = tenant(&hooks, "acme");
    register(&acme, "hooks.example").await;
    publish(&acme).await;
    hooks.deliver_due().await.expect("delivered");
    let delivery = acme.deliveries(&DeliveryQuery::new()).await.expect("listed").items[0].id;
    let attempts = acme.for_operator().attempts(delivery).await.expect("logged");
    let Outcome::Answered { body, .. } = &attempts[0].outcome else { panic!("answered") };
    assert_eq!(body.len(), 16 * 1024);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_starts_after_disabling_returned() {
    let transport = RecordingTransport::answering(|_, _| Answer::status(200).after(Duration::from_secs(5)));
    let hooks = memory(transport.clone());
    let acme = tenant(&hooks, "acme");
    let hook: HookId = register(&acme, "hooks.example").await.webhook().hook_id();
    let dispatcher = hooks.start().expect("inside tokio");
    sleep(Duration::from_secs(1)).await;
    // Written already claimed for the dispatcher, which has not run since.
    publish(&acme).await;
    assert_eq!(hooks.stats().await.expect("counted").held, 1);
    acme.disable(hook).await.expect("disabled");
    sleep(HOUR).await;
    assert!(transport.requests().is_empty());
    assert_eq!(hooks.stats().await.expect("counted").pending(), 1, "it waits");
    dispatcher.shutdown_within(HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn three_hundred_tenants_at_once_are_all_served() {
    // More than the half of 512 that webhooks may take which have not proven themselves.
    let transport = RecordingTransport::answering(|_, _| Answer::status(200).after(Duration::from_secs(1)));
    let hooks = memory(transport.clone());
    let tenants: Vec<_> = (0..300).map(|n| tenant(&hooks, &format!("tenant-{n}"))).collect();
    for tenant in &tenants {
        register(tenant, "hooks.example").await;
    }
    let dispatcher = hooks.start().expect("inside tokio");
    for tenant in &tenants {
        publish(tenant).await;
    }
    sleep(Duration::from_secs(10)).await;
    assert_eq!(transport.requests().len(), 300);
    dispatcher.shutdown_within(Duration::MAX).await;
}

#[tokio::test]
async fn the_longest_deadline_that_fits_a_lease_is_kept_in_real_time() {
    let policy = hookwire::policy::Policy::default().with_deadline(Duration::from_secs(30));
    let transport = RecordingTransport::new();
    let hooks = Webhooks::builder(assist::catalog()).store(MemoryStore::new()).transport(transport.clone());
    let hooks = hooks.policy(policy).build().expect("35 s hold 30 s and 5 s");
    let acme = tenant(&hooks, "acme");
    register(&acme, "hooks.example").await;
    publish(&acme).await;
    assert_eq!(hooks.deliver_due().await.expect("delivered"), 1);
}

#[tokio::test(start_paused = true)]
async fn enabling_twice_drops_nothing_that_came_in_between() {
    let hooks = memory(RecordingTransport::new());
    let acme = tenant(&hooks, "acme");
    let hook = register(&acme, "hooks.example").await.webhook().hook_id();
    publish(&acme).await;
    acme.disable(hook).await.expect("disabled");
    acme.enable(hook, Backlog::Drop).await.expect("enabled");
    publish(&acme).await;
    acme.enable(hook, Backlog::Drop).await.expect("enabled");
    assert_eq!(acme.webhook_stats(hook).await.expect("counted").pending(), 1);
}
