//! What is counted of attempts: by the hour, once a minute, and never too much.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hookwire::model::{HookId, Timestamp};
use hookwire::service::{RecentAttempts, Tenant};
use hookwire::store::{Hour, MemoryStore};
use hookwire::testing::{Answer, Call, Fault, FaultyStore, RecordingTransport, TokioClock};
use hookwire::{ErrorKind, Event, TenantId, WebhookDraft, Webhooks, assist};
use tokio::time::sleep;

const HOUR: Duration = Duration::from_secs(60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// A service with one webhook, whose first request is answered 503 and every other 200.
async fn service(plan: impl Fn(Call, u64) -> Fault + Send + Sync + 'static) -> (Webhooks, Tenant, HookId) {
    let transport = RecordingTransport::answering(|_, nth| Answer::status(if nth == 0 { 503 } else { 200 }));
    let store = FaultyStore::new(MemoryStore::with_clock(TokioClock::new()), plan);
    let builder = Webhooks::builder(assist::catalog()).store(store).transport(transport);
    let hooks = builder.clock(TokioClock::new()).build().expect("a sound service");
    let acme = hooks.tenant(TenantId::new("acme").expect("short"));
    let draft = WebhookDraft::new("a", "https://a.example/").subscribe(assist::DEVICE_ADD);
    let hook_id = acme.create(&draft).await.expect("a sound draft").webhook().hook_id();
    (hooks, acme, hook_id)
}

async fn publish(tenant: &Tenant) {
    tenant.publish(Event::new(assist::DEVICE_ADD, &1).expect("JSON")).await.expect("published");
}

/// The attempts and successes of each hour.
async fn counts(tenant: &Tenant, hook_id: HookId) -> Vec<(u64, u64)> {
    let statistics = tenant.statistics(hook_id, Timestamp::default()).await.expect("it is there");
    statistics.hours.iter().map(|it| (it.attempts, it.successes)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_counts_by_the_hour_once_a_minute_and_when_it_stops() {
    let (hooks, acme, hook_id) = service(|_, _| Fault::None).await;
    let dispatcher = hooks.start().expect("inside tokio");
    publish(&acme).await;
    sleep(MINUTE / 2).await;
    assert_eq!(counts(&acme, hook_id).await, [], "nothing is written yet");
    sleep(MINUTE).await;
    assert_eq!(counts(&acme, hook_id).await, [(2, 1)], "a retry counts as an attempt");
    sleep(HOUR).await;
    publish(&acme).await;
    sleep(MINUTE / 2).await;
    dispatcher.shutdown_within(HOUR).await;
    assert_eq!(counts(&acme, hook_id).await, [(2, 1), (1, 1)], "nothing is lost at the end");
    let all = acme.statistics(hook_id, Timestamp::default()).await.expect("it is there");
    let last = all.last_success_at.expect("the last attempt has succeeded");
    assert_eq!(Hour::of(last), all.hours[1].hour);
    let later = acme.statistics(hook_id, last).await.expect("it is there");
    assert_eq!(later.hours, all.hours[1..], "from the hour that is asked for");
    let details = acme.details(hook_id).await.expect("it is there");
    assert_eq!(details.last_success_at, Some(last));
    let json = serde_json::to_value(&later).expect("JSON");
    let start = Hour::of(last).start();
    let right = serde_json::json!({"hours": [{"hour": start, "attempts": 1, "successes": 1}], "last_success_at": last});
    assert_eq!(json, right);
}

#[tokio::test(start_paused = true)]
async fn many_attempts_are_counted_by_one_call() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let plan = move |call, _| {
        counted.fetch_add(usize::from(call == Call::Count), Ordering::SeqCst);
        Fault::None
    };
    let (hooks, acme, hook_id) = service(plan).await;
    let dispatcher = hooks.start().expect("inside tokio");
    for _ in 0..50 {
        publish(&acme).await;
        sleep(Duration::from_secs(1)).await;
    }
    sleep(MINUTE).await;
    assert_eq!(counts(&acme, hook_id).await, [(51, 50)]);
    assert_eq!(calls.load(Ordering::SeqCst), 1, "one call, and none while there is nothing to count");
    dispatcher.shutdown_within(HOUR).await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn delivering_what_is_due_counts_before_it_returns() {
    let (hooks, acme, hook_id) = service(|_, _| Fault::None).await;
    let recent = async || acme.recent_attempts(hook_id).await.expect("it is there");
    assert_eq!(recent().await, RecentAttempts::default());
    for attempts in 1..4 {
        publish(&acme).await;
        assert_eq!(hooks.deliver_due().await.expect("delivered"), 1);
        assert_eq!(counts(&acme, hook_id).await, [(attempts, attempts - 1)]);
    }
    let of_late = recent().await;
    assert_eq!((of_late.attempts, of_late.successes), (3, 2));
    assert!(of_late.took.is_some(), "failed ones are measured too");
    let unknown = HookId::new(999);
    let refused = acme.statistics(unknown, Timestamp::default()).await.expect_err("not there");
    assert_eq!(refused.kind(), &ErrorKind::NotFound);
    assert_eq!(acme.recent_attempts(unknown).await.expect_err("not there").kind(), &ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_recorded_is_not_counted() {
    let plan = |call, nth| if call == Call::Settle && nth < 1_000 { Fault::Before } else { Fault::None };
    let (hooks, acme, hook_id) = service(plan).await;
    publish(&acme).await;
    let dispatcher = hooks.start().expect("inside tokio");
    sleep(MINUTE).await;
    dispatcher.shutdown_within(HOUR).await;
    assert_eq!(counts(&acme, hook_id).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_counts_nothing_twice() {
    let plan = |call, nth| match (call, nth) {
        (Call::Count, 0) => Fault::After,
        (Call::Count, 1) => Fault::Before,
        _ => Fault::None,
    };
    let (hooks, acme, hook_id) = service(plan).await;
    for right in [[(1, 0)], [(1, 0)], [(2, 1)]] {
        publish(&acme).await;
        hooks.deliver_due().await.expect("delivered");
        assert_eq!(counts(&acme, hook_id).await, right);
    }
}
