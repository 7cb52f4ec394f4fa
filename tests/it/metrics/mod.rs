//! What is counted and measured, series by series, as a recorder of the facade gets it; and that the guide and the
//! dashboard name exactly those metrics.

mod pages;
mod recorder;

use std::sync::Arc;
use std::time::Duration;

use hookwire::dispatcher::DispatcherHealth;
use hookwire::model::FailureKind;
use hookwire::store::{MemoryStore, Stats};
use hookwire::testing::{Answer, Call, Fault, FaultyStore, RecordingTransport, TokioClock};
use hookwire::{Event, HookId, MessageId, Tenant, TenantId, WebhookDraft, Webhooks, assist};
use recorder::Recorded;
use tokio::time::sleep;

const HOUR: Duration = Duration::from_secs(60 * 60);

struct World {
    hooks: Webhooks,
    acme: Tenant,
    hook: HookId,
    store: Arc<MemoryStore>,
    recorded: Recorded,
}

impl World {
    async fn new(transport: RecordingTransport) -> Self {
        Self::failing(transport, |_, _| Fault::None).await
    }

    async fn failing(
        transport: RecordingTransport,
        plan: impl Fn(Call, u64) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let recorded = Recorded::default();
        let observer = metrics::with_local_recorder(&recorded, hookwire::metrics::observer);
        let clock = TokioClock::new();
        let store = Arc::new(MemoryStore::with_clock(clock));
        let builder = Webhooks::builder(assist::catalog()).store(FaultyStore::new(Arc::clone(&store), plan));
        let hooks = builder.clock(clock).transport(transport).observe(observer).build().expect("sound");
        let acme = hooks.tenant(TenantId::new("acme").expect("a short name"));
        let draft = WebhookDraft::new("a", "https://a.example/").subscribe(assist::DEVICE_ONLINE);
        let hook = acme.create(&draft).await.expect("a sound draft").webhook().hook_id();
        Self { hooks, acme, hook, store, recorded }
    }

    async fn publish(&self, count: usize) {
        for sent in self.acme.publish_all((0..count).map(|_| event())).await {
            sent.expect("published");
        }
    }

    async fn deliver_for(&self, time: Duration) {
        let dispatcher = self.hooks.start().expect("inside tokio");
        sleep(time).await;
        dispatcher.shutdown_within(HOUR).await;
    }

    #[track_caller]
    fn assert(&self, expected: &[(&str, f64)]) {
        for (series, value) in expected {
            assert_eq!(self.recorded.sum(series), *value, "{series} of {:?}", self.recorded);
        }
    }
}

fn event() -> Event {
    Event::new(assist::DEVICE_ONLINE, "LAB-4").expect("JSON")
}

fn answering(status: u16) -> RecordingTransport {
    RecordingTransport::answering(move |_, _| Answer::status(status))
}

#[tokio::test(start_paused = true)]
async fn a_success_is_counted_and_timed() {
    let second = Duration::from_secs(1);
    let slow = RecordingTransport::answering(move |_, _| Answer::status(200).after(second));
    let world = World::new(slow).await;
    world.publish(1).await;
    world.deliver_for(HOUR).await;
    world.assert(&[
        ("hookwire_published_total", 1.0),
        ("hookwire_attempts_total{outcome=success}", 1.0),
        ("hookwire_ended_total{end=delivered}", 1.0),
        ("hookwire_ended_total{end=exhausted}", 0.0),
        ("hookwire_settle_batch_size", 1.0),
    ]);
    assert_eq!(world.recorded.values("hookwire_attempt_duration_seconds{result=success}"), [1.0]);
    assert!(world.recorded.values("hookwire_attempt_duration_seconds{result=failure}").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_retry_counts_as_a_second_attempt_of_one_delivery() {
    let transport = RecordingTransport::answering(|_, nth| Answer::status(if nth == 0 { 503 } else { 200 }));
    let world = World::new(transport).await;
    world.publish(1).await;
    world.deliver_for(HOUR).await;
    world.assert(&[
        ("hookwire_attempts_total{outcome=answered_5xx}", 1.0),
        ("hookwire_attempts_total{outcome=success}", 1.0),
        ("hookwire_ended_total{end=delivered}", 1.0),
    ]);
    assert_eq!(world.recorded.values("hookwire_attempt_duration_seconds{result=failure}").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn failures_are_counted_by_kind() {
    let answers = [
        (Answer::status(302), "answered_3xx"),
        (Answer::status(404), "answered_4xx"),
        (Answer::fail(FailureKind::Dns), "dns"),
        (Answer::fail(FailureKind::TlsExpired), "tls_expired"),
        (Answer::hang(), "timeout"),
    ];
    for (answer, outcome) in answers {
        let world = World::new(RecordingTransport::answering(move |_, _| answer.clone())).await;
        world.publish(1).await;
        world.hooks.deliver_due().await.expect("sound");
        world.assert(&[(&format!("hookwire_attempts_total{{outcome={outcome}}}"), 1.0)]);
        assert_eq!(world.recorded.total("hookwire_attempts_total"), 1.0, "{outcome}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_ran_out_of_attempts_is_counted() {
    let world = World::new(answering(500)).await;
    world.publish(1).await;
    world.deliver_for(100 * HOUR).await;
    world.assert(&[
        ("hookwire_ended_total{end=exhausted}", 1.0),
        ("hookwire_ended_total{end=delivered}", 0.0),
    ]);
}

#[tokio::test(start_paused = true)]
async fn webhooks_that_are_disabled_are_counted_by_reason() {
    let world = World::new(answering(410)).await;
    world.publish(16).await;
    world.deliver_for(HOUR).await;
    world.assert(&[("hookwire_disabled_total{reason=gone}", 1.0)]);
    let draft = WebhookDraft::new("b", "https://b.example/").subscribe(assist::DEVICE_ONLINE);
    let other = world.acme.create(&draft).await.expect("sound").webhook().hook_id();
    world.acme.disable(other).await.expect("there");
    world.assert(&[
        ("hookwire_disabled_total{reason=call}", 1.0),
        ("hookwire_disabled_total{reason=failing}", 0.0),
    ]);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_counted_once_however_it_is_published() {
    let world = World::new(answering(200)).await;
    let named = || event().message_id(MessageId::new("lab-4").expect("short"));
    for _ in 0..2 {
        world.acme.publish(named()).await.expect("published");
    }
    world.assert(&[("hookwire_published_total", 1.0)]);
    let document = world.acme.to_sql_document(&event());
    world.store.publish_sql_document(&document).expect("its own text");
    world.assert(&[("hookwire_published_total", 1.0)]);
    world.deliver_for(HOUR).await;
    world.assert(&[("hookwire_published_total", 2.0), ("hookwire_ended_total{end=delivered}", 2.0)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_at_once_is_one_batch_and_what_is_not_recorded_is_none() {
    let fail = |call, nth| if call == Call::Settle && nth < 3 { Fault::Before } else { Fault::None };
    let world = World::failing(answering(200), fail).await;
    world.publish(10).await;
    world.deliver_for(HOUR).await;
    let batches = world.recorded.values("hookwire_settle_batch_size");
    assert_eq!(batches.iter().sum::<f64>(), 10.0, "{batches:?}");
    assert!(batches.len() < 10, "{batches:?}");
    assert_eq!(world.recorded.values("hookwire_settle_duration_seconds").len(), batches.len());
}

#[tokio::test(start_paused = true)]
async fn how_long_publish_waits_for_the_store_is_timed_unless_it_fails() {
    let fault = |nth| match nth {
        0 => Fault::Late(Duration::from_secs(2)),
        1 => Fault::Before,
        _ => Fault::None,
    };
    let plan = move |call, nth| if call == Call::Publish { fault(nth) } else { Fault::None };
    let world = World::failing(answering(200), plan).await;
    world.publish(3).await;
    world.acme.publish(event()).await.expect_err("the store fails");
    world.publish(1).await;
    assert_eq!(world.recorded.values("hookwire_publish_duration_seconds"), [2.0, 0.0]);
}

#[tokio::test(start_paused = true)]
async fn what_upkeep_ends_is_counted() {
    let world = World::new(answering(200)).await;
    world.publish(3).await;
    world.acme.delete(world.hook).await.expect("there");
    world.hooks.deliver_due().await.expect("sound");
    world.assert(&[("hookwire_ended_total{end=cancelled}", 3.0), ("hookwire_ended_total{end=expired}", 0.0)]);
}

/// A label that grew with tenants, webhooks or receivers would add series.
#[tokio::test(start_paused = true)]
async fn whatever_happens_the_series_are_the_same() {
    let world = World::new(answering(410)).await;
    let before = world.recorded.series();
    world.publish(16).await;
    world.deliver_for(HOUR).await;
    assert_eq!(world.recorded.series(), before);
    assert!(before.len() < 40, "{before:?}");
}

#[test]
fn what_waits_in_the_store_is_shown() {
    let recorded = Recorded::default();
    let oldest_due = Some(Duration::from_millis(1500));
    let stats = Stats { due: 1, scheduled: 2, stopped: 3, held: 4, unrouted: 5, oldest_due };
    metrics::with_local_recorder(&recorded, || {
        hookwire::metrics::record_stats(&stats);
        hookwire::metrics::record_stats(&stats);
    });
    let expected = [
        ("hookwire_pending_deliveries{state=due}", 1.0),
        ("hookwire_pending_deliveries{state=scheduled}", 2.0),
        ("hookwire_pending_deliveries{state=stopped}", 3.0),
        ("hookwire_pending_deliveries{state=held}", 4.0),
        ("hookwire_unrouted_events", 5.0),
        ("hookwire_oldest_due_seconds", 1.5),
    ];
    for (series, value) in expected {
        assert_eq!(recorded.values(series), [value, value], "{series}");
    }
    assert_eq!(recorded.sum("hookwire_stats_total"), 2.0);
    metrics::with_local_recorder(&recorded, || hookwire::metrics::record_stats(&Stats::default()));
    assert_eq!(recorded.values("hookwire_oldest_due_seconds"), [1.5, 1.5, 0.0], "it is over");
}

#[tokio::test(start_paused = true)]
async fn how_the_dispatcher_does_is_shown() {
    let world = World::failing(answering(200), |call, _| match call {
        Call::Claim => Fault::Before,
        _ => Fault::None,
    })
    .await;
    let show = |health: &DispatcherHealth| {
        metrics::with_local_recorder(&world.recorded, || hookwire::metrics::record_health(health));
    };
    show(&DispatcherHealth::default());
    let dispatcher = world.hooks.start().expect("inside tokio");
    sleep(HOUR).await;
    let health = dispatcher.health();
    show(&health);
    assert!(health.store_failures > 0, "{health:?}");
    let failures = f64::from(health.store_failures);
    let expected = [
        ("hookwire_dispatcher_running", [0.0, 1.0]),
        ("hookwire_store_failures", [0.0, failures]),
        ("hookwire_in_flight", [0.0, 0.0]),
        ("hookwire_narrowed", [0.0, 0.0]),
        ("hookwire_clock_offset_seconds", [0.0, 0.0]),
    ];
    for (series, values) in expected {
        assert_eq!(world.recorded.values(series), values, "{series}");
    }
    dispatcher.shutdown_within(HOUR).await;
}
