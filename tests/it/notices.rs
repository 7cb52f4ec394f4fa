//! What observers are told: after it is recorded, only if it holds, and each thing once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookwire::model::{
    DeliveryOptions, FailureKind, PageRequest, SignatureScheme, Status, Timestamp, WebhookPatch,
};
use hookwire::registry::Backlog;
use hookwire::service::{Notice, Rotation};
use hookwire::store::MemoryStore;
use hookwire::testing::{Answer, Call, Fault, FaultyStore, RecordingTransport, TokioClock};
use hookwire::{Event, HookId, MessageId, Tenant, TenantId, WebhookDraft, Webhooks, assist};
use tokio::time::sleep;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The notices of a service, each as a line.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn hear(&self, notice: &Notice<'_>) {
        let line = match notice {
            Notice::Attempted { delivery, attempt, .. } => {
                format!("attempted {} {}: {}", delivery.webhook.hook_id, attempt.number, attempt.outcome)
            }
            Notice::Disabled { webhook, disabled, .. } => {
                format!("disabled {}: {:?}", webhook.hook_id, disabled.reason)
            }
            Notice::Enabled { webhook, .. } => format!("enabled {}", webhook.hook_id),
            Notice::Ended { delivery, end, .. } => format!("ended {}: {end}", delivery.webhook.hook_id),
            Notice::Failing { webhook, .. } => format!("failing {}", webhook.hook_id),
            Notice::Recovered { webhook, .. } => format!("recovered {}", webhook.hook_id),
            Notice::Refused { delivery, detail, .. } => {
                format!("refused {}: {detail}", delivery.webhook.hook_id)
            }
            Notice::SecretRevealed { webhook, .. } => format!("revealed {}", webhook.hook_id),
            Notice::SecretRotated { webhook, .. } => format!("rotated {}", webhook.hook_id),
            Notice::Swept { expired, cancelled, .. } => format!("swept {expired} and {cancelled}"),
            // They come with every delivery; a test of their own hears them.
            Notice::Published { .. } | Notice::Settled { .. } | Notice::Stored { .. } => return,
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// Takes what was told since the last call.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn service(
    transport: RecordingTransport,
    plan: impl Fn(Call, u64) -> Fault + Send + Sync + 'static,
) -> (Webhooks, Told) {
    let told = Told::default();
    let heard = told.clone();
    let clock = TokioClock::new();
    let hooks = Webhooks::builder(assist::catalog())
        .store(FaultyStore::new(MemoryStore::with_clock(clock), plan))
        .clock(clock)
        .transport(transport)
        .observe(|_| panic!("an observer of the host"))
        .observe(move |notice| heard.hear(notice))
        .build();
    (hooks.expect("sound"), told)
}

fn sound(transport: RecordingTransport) -> (Webhooks, Told) {
    service(transport, |_, _| Fault::None)
}

async fn one_webhook(hooks: &Webhooks) -> (Tenant, HookId) {
    let acme = hooks.tenant(TenantId::new("acme").expect("a short name"));
    let draft = WebhookDraft::new("a", "https://a.example/").subscribe(assist::DEVICE_ONLINE);
    let hook_id = acme.create(&draft).await.expect("a sound draft").webhook().hook_id();
    (acme, hook_id)
}

async fn publish(tenant: &Tenant) {
    let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({"deviceName": "LAB-4"})).expect("JSON");
    tenant.publish(event).await.expect("published");
}

#[tokio::test(start_paused = true)]
async fn attempts_and_ends_are_told_although_another_observer_panics() {
    let transport = RecordingTransport::answering(|_, nth| Answer::status(if nth == 0 { 503 } else { 200 }));
    let (hooks, told) = sound(transport);
    let (acme, _) = one_webhook(&hooks).await;
    publish(&acme).await;
    let dispatcher = hooks.start().expect("inside tokio");
    sleep(HOUR).await;
    let first = "attempted 1 1: answered 503";
    assert_eq!(told.take(), [first, "attempted 1 2: answered 200", "ended 1: delivered"]);
    dispatcher.shutdown_within(HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_recorded_is_not_told() {
    let plan = |call, nth| if call == Call::Settle && nth < 1_000 { Fault::Before } else { Fault::None };
    let (hooks, told) = service(RecordingTransport::answering(|_, _| Answer::status(410)), plan);
    let (acme, hook_id) = one_webhook(&hooks).await;
    publish(&acme).await;
    let dispatcher = hooks.start().expect("inside tokio");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(told.take(), [""; 0]);
    assert_eq!(acme.get(hook_id).await.expect("there").status(), Status::Enabled);
    dispatcher.shutdown_within(HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn sixteen_answers_of_410_disable_once() {
    let (hooks, told) = sound(RecordingTransport::answering(|_, _| Answer::status(410)));
    let (acme, hook_id) = one_webhook(&hooks).await;
    for _ in 0..16 {
        publish(&acme).await;
    }
    let began = Timestamp::default();
    let dispatcher = hooks.start().expect("inside tokio");
    sleep(HOUR).await;
    let told = told.take();
    let disabled: Vec<_> = told.iter().filter(|line| line.starts_with("disabled")).collect();
    assert_eq!(disabled, ["disabled 1: Some(Gone)"], "{told:?}");
    let listed = hooks.disabled_since(began, &PageRequest::first()).await.expect("listed").items;
    let [listed] = &listed[..] else { panic!("{listed:?}") };
    let details = acme.details(hook_id).await.expect("there");
    let disabled = details.disabled.expect("it is");
    assert_eq!((listed.hook_id, &listed.tenant, Some(listed.at)), (hook_id, acme.id(), disabled.at));
    assert!(details.failing_since.is_some(), "every answer was a failure");
    dispatcher.shutdown_within(HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_fails_for_half_the_time_is_told_of_before_it_is_disabled() {
    let is_repaired = Arc::new(AtomicBool::new(false));
    let repaired = Arc::clone(&is_repaired);
    let answer = move |_: &_, _| Answer::status(if repaired.load(Ordering::SeqCst) { 200 } else { 500 });
    let (hooks, told) = sound(RecordingTransport::answering(answer));
    let (acme, _) = one_webhook(&hooks).await;
    let dispatcher = hooks.start().expect("inside tokio");
    let told_of = |words: &[&str]| {
        let lines = told.take();
        lines.into_iter().filter(|line| words.iter().any(|word| line.starts_with(word))).collect::<Vec<_>>()
    };
    let words = ["failing", "recovered", "disabled"];
    publish(&acme).await;
    sleep(60 * HOUR - HOUR).await;
    assert_eq!(told_of(&words), [""; 0], "not in the first two and a half days");
    publish(&acme).await;
    sleep(24 * HOUR).await;
    assert_eq!(told_of(&words), ["failing 1"], "then once");
    is_repaired.store(true, Ordering::SeqCst);
    sleep(48 * HOUR).await;
    assert_eq!(told_of(&words), ["recovered 1"], "and that it is over");
    dispatcher.shutdown_within(HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn changes_by_calls_are_told_once() {
    let (hooks, told) = sound(RecordingTransport::new());
    let (acme, hook_id) = one_webhook(&hooks).await;
    assert_eq!(told.take(), [""; 0]);
    for _ in 0..2 {
        acme.disable(hook_id).await.expect("there");
    }
    acme.patch(hook_id, &WebhookPatch::new().name("b")).await.expect("sound");
    assert_eq!(told.take(), ["disabled 1: None"]);
    acme.patch(hook_id, &WebhookPatch::new().status(Status::Enabled)).await.expect("sound");
    acme.enable(hook_id, Backlog::Resume).await.expect("there");
    assert_eq!(told.take(), ["enabled 1"]);
    acme.rotate_secret(hook_id, Rotation::default()).await.expect("there");
    acme.reveal_secret(hook_id).await.expect("there");
    let asymmetric = DeliveryOptions::new().with_signature(SignatureScheme::V1a);
    acme.set_options(hook_id, asymmetric).await.expect("there");
    assert_eq!(told.take(), ["rotated 1", "revealed 1", "rotated 1"]);
    let listed = hooks.disabled_since(Timestamp::default(), &PageRequest::first()).await.expect("listed");
    assert!(listed.items.is_empty(), "{listed:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_guard_refuses_is_told() {
    let refused = RecordingTransport::answering(|_, _| Answer::fail(FailureKind::Refused));
    let (hooks, told) = sound(refused);
    let (acme, _) = one_webhook(&hooks).await;
    publish(&acme).await;
    hooks.deliver_due().await.expect("delivered");
    let told = told.take();
    assert!(told.iter().any(|line| line.starts_with("refused 1: ")), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn what_upkeep_ends_is_told_as_a_number() {
    let (hooks, told) = sound(RecordingTransport::new());
    let (acme, hook_id) = one_webhook(&hooks).await;
    for _ in 0..3 {
        publish(&acme).await;
    }
    acme.delete(hook_id).await.expect("there");
    hooks.deliver_due().await.expect("delivered");
    assert_eq!(told.take(), ["swept 0 and 3"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_claim_finds_expired_is_told_as_a_number() {
    let no_upkeep = |call, _| if call == Call::Tend { Fault::Before } else { Fault::None };
    let (hooks, told) = service(RecordingTransport::new(), no_upkeep);
    let (acme, _) = one_webhook(&hooks).await;
    for _ in 0..3 {
        publish(&acme).await;
    }
    sleep(1000 * HOUR).await;
    hooks.deliver_due().await.expect("delivered");
    assert_eq!(told.take(), ["swept 3 and 0"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_told_once_it_is_stored_or_routed_and_a_batch_once_it_is_recorded() {
    let told = Told::default();
    let heard = told.clone();
    let clock = TokioClock::new();
    let store = Arc::new(MemoryStore::with_clock(clock));
    let fails_once = |call, nth| match call {
        Call::Publish | Call::Settle if nth == 0 => Fault::Before,
        _ => Fault::None,
    };
    let observer = move |notice: &Notice<'_>| {
        let mut lines = heard.0.lock().unwrap_or_else(PoisonError::into_inner);
        match notice {
            Notice::Published { tenant, message_id, event_id, webhooks, .. } => {
                lines.push(format!("published {message_id} of {tenant}, event {event_id}, to {webhooks}"));
            }
            Notice::Settled { deliveries, .. } => lines.push(format!("settled {deliveries}")),
            Notice::Stored { events, .. } => lines.push(format!("stored {events}")),
            _ => {}
        }
    };
    let hooks = Webhooks::builder(assist::catalog()).store(FaultyStore::new(Arc::clone(&store), fails_once));
    let hooks = hooks.clock(clock).transport(RecordingTransport::new()).observe(observer);
    let hooks = hooks.build().expect("sound");
    let (acme, _) = one_webhook(&hooks).await;
    let event = |id| {
        let event = Event::new(assist::DEVICE_ONLINE, "LAB-4").expect("JSON");
        event.message_id(MessageId::new(id).expect("short"))
    };
    acme.publish(event("one")).await.expect_err("the store fails");
    assert_eq!(told.take(), [""; 0]);
    for _ in 0..2 {
        acme.publish(event("one")).await.expect("published");
    }
    assert_eq!(told.take(), ["stored 1", "published one of acme, event 13, to 1", "stored 1"]);
    store.publish_sql_document(&acme.to_sql_document(&event("two"))).expect("its own text");
    assert_eq!(told.take(), [""; 0], "it is not routed yet");
    hooks.deliver_due().await.expect("delivered");
    let told = told.take();
    assert!(told.contains(&"published two of acme, event 13, to 1".to_owned()), "{told:?}");
    let settled: u64 =
        told.iter().filter_map(|line| line.strip_prefix("settled ")?.parse::<u64>().ok()).sum();
    assert_eq!(settled, 2, "{told:?}");
}
