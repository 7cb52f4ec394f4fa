//! Every stored or sent form, byte for byte: what is in a database or at a receiver today must be read
//! tomorrow. `UPDATE_GOLDEN=1` writes the files anew; look at the difference before committing it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hookwire::delivery::{Counting, Health, Report};
use hookwire::model::{
    Attempt, BodyTemplate, Delivery, DeliveryId, DeliveryOptions, DeliveryState, Departments, DisableReason,
    End, EnvelopeKind, EventPattern, EventType, FailureKind, Filter, HookId, KeyId, MessageId, Outcome,
    SealedSecrets, SignatureScheme, StampedEvent, Status, Subscription, Timestamp, TraceContext, Webhook,
};
use hookwire::registry::{self, Limits, Registry, RegistryChange, Terms, UrlRule};
use hookwire::routing::SkipReason;
use hookwire::sealing::{SealingKey, SealingKeys};
use hookwire::signature::{KeyRing, PrivateKey, Secret};
use hookwire::{DeptId, Event, SourceId, TenantId, WebhookDraft, assist, envelope};
use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{json, value::RawValue};

use crate::plain as plain_view;

const NOW: Timestamp = Timestamp::from_millis(1_688_928_870_551);

/// Compares `text` with the golden file, which ends with a newline, and gives what the file holds.
fn golden(name: &str, text: &str) -> String {
    let path = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{text}\n")).expect("the folder can be written");
    }
    let file = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let stored = file.strip_suffix('\n').expect("a newline at the end").to_owned();
    assert_eq!(text, stored, "{name}");
    stored
}

/// The form is that of the golden file.
fn written<T: Serialize>(name: &str, value: &T) -> String {
    golden(name, &serde_json::to_string(value).expect("serialises"))
}

/// The form is that of the golden file, and is read back as the same value.
fn stored<T: Serialize + DeserializeOwned>(name: &str, value: &T) -> T {
    let text = written(name, value);
    let read: T = serde_json::from_str(&text).expect("its own form");
    assert_eq!(serde_json::to_string(&read).expect("serialises"), text, "{name}");
    read
}

fn full_draft() -> WebhookDraft {
    WebhookDraft::new("Device log", "https://hooks.example.com/assist?key=1")
        .describe("Unattended devices, to the CRM")
        .ignore_source("crm-sync")
        .status(Status::Disabled)
        .subscribe(assist::UNATTENDED_SESSION_START)
        .subscribe_in(assist::DEVICE_ONLINE, [DeptId::new(9), DeptId::new(7)])
}

fn create(draft: &WebhookDraft) -> Result<Webhook, registry::Refusal> {
    let catalog = assist::catalog();
    let terms = Terms {
        catalog: &catalog,
        limits: Some(assist::limits()),
        urls: UrlRule::HttpsOnly,
        now: Timestamp::default(),
    };
    let change = registry::create(draft, SealedSecrets::default(), &Registry::default(), terms)?;
    let RegistryChange::Create(registered) = change else { panic!("a creation creates") };
    Ok(registered.webhook)
}

fn open_event() -> Event {
    let payload = RawValue::from_string(r#"{"deviceName" : "LAB-4", "load": 1.10}"#.into()).expect("JSON");
    Event::new(assist::DEVICE_ONLINE, &payload).expect("serialises")
}

fn full_event() -> Event {
    open_event()
        .department(DeptId::new(7))
        .source(SourceId::new("agent").expect("valid"))
        .actor("maria@zylker.com")
}

fn traced_event() -> Event {
    let context: TraceContext =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("a traceparent");
    open_event().trace_context(context.with_state("rojo=1").expect("a tracestate"))
}

fn publish(event: Event) -> StampedEvent {
    event.stamped(|| MessageId::new("msg_1").expect("valid"), NOW)
}

#[test]
fn a_full_webhook() {
    let webhook = create(&full_draft()).expect("sound");
    assert_eq!(stored("webhook_full", &webhook), webhook);
}

#[test]
fn a_minimal_webhook() {
    let draft = WebhookDraft::new("a", "https://a.example/").subscribe(assist::DEVICE_ADD);
    let webhook = create(&draft).expect("sound");
    assert_eq!(stored("webhook_minimal", &webhook), webhook);
}

#[test]
fn a_subscription_for_every_department() {
    let subscription = Subscription::new(assist::DEVICE_ONLINE, Departments::All);
    assert_eq!(stored("subscription_all", &subscription), subscription);
}

#[test]
fn a_subscription_for_some_departments() {
    let departments = Departments::only([9, 7, -1].map(DeptId::new)).expect("three");
    let subscription = Subscription::new(assist::DEVICE_ONLINE, departments);
    assert_eq!(stored("subscription_only", &subscription), subscription);
}

#[test]
fn a_subscription_for_some_payloads() {
    let filter = Filter::new(&json!([
        {"pointer": "/amount/currency", "one_of": ["EUR", "USD"]},
        {"pointer": "/amount/cents", "equals": 100},
        {"pointer": "/refunded", "exists": false},
    ]));
    let subscription = Subscription::new(assist::DEVICE_ONLINE, Departments::All);
    let subscription = subscription.with_filter(filter.expect("sound"));
    assert_eq!(stored("subscription_filtered", &subscription), subscription);
}

#[test]
fn a_subscription_to_a_pattern() {
    let pattern = EventPattern::new("invoice.*").expect("a pattern");
    let departments = Departments::only([DeptId::new(7)]).expect("one");
    let subscription = Subscription::matching(pattern, departments);
    assert_eq!(stored("subscription_matching", &subscription), subscription);
}

/// A template with each parameter.
fn template() -> BodyTemplate {
    let text = r#"{"z": 1.10, "text": "${payload.deviceName} by ${eventBy} for ${$}5", "load": ["${payload.load}", "${payload.x}"],
        "all": "${payload}", "event": "${eventType}", "at": "${eventTime}", "by": "${eventBy}", "org": "${orgId}",
        "department": "${department}", "id": "${messageId}"}"#;
    BodyTemplate::parse(text).expect("sound")
}

#[test]
fn a_subscription_with_a_body_of_its_own() {
    let subscription = Subscription::new(assist::DEVICE_ONLINE, Departments::All).with_template(template());
    assert_eq!(stored("subscription_templated", &subscription), subscription);
    let options = DeliveryOptions::new().with_template(template()).with_envelope(EnvelopeKind::CloudEvents);
    assert_eq!(stored("options_templated", &options), options);
}

#[test]
fn delivery_options() {
    assert_eq!(stored("options_default", &DeliveryOptions::new()), DeliveryOptions::new());
    let headers = [("x-team", "devices"), ("authorization", "Bearer 1")];
    let add = |it: DeliveryOptions, (name, value): (&str, &str)| it.with_header(name, value).expect("free");
    let options = headers.into_iter().fold(DeliveryOptions::new(), add);
    let options = options.with_envelope(EnvelopeKind::StandardWebhooks);
    assert_eq!(stored("options_full", &options), options);
    let schemes =
        [SignatureScheme::GitHub, SignatureScheme::Stripe, SignatureScheme::V1, SignatureScheme::V1a];
    let every = schemes.map(|scheme| DeliveryOptions::new().with_signature(scheme));
    assert_eq!(stored("options_signatures", &every), every);
}

#[test]
fn an_attempt_that_was_answered() {
    let wait = Duration::from_secs(120);
    let outcome = Outcome::answered(StatusCode::SERVICE_UNAVAILABLE, Some(wait), "try \"later\"\n");
    let attempt = Attempt { number: 2, at: NOW, took: Duration::from_millis(1500), uncounted: 0, outcome };
    assert_eq!(stored("attempt_answered", &attempt), attempt);
}

#[test]
fn an_attempt_whose_answer_broke_off_and_points_elsewhere() {
    let outcome = Outcome::Answered {
        status: StatusCode::MOVED_PERMANENTLY,
        retry_after: None,
        body: "moved".into(),
        incomplete: true,
        location: Some("https://hooks.example.com/hook/".into()),
    };
    let attempt = Attempt { number: 1, at: NOW, took: Duration::from_millis(40), uncounted: 0, outcome };
    assert_eq!(stored("attempt_moved", &attempt), attempt);
}

#[test]
fn an_attempt_that_failed() {
    let outcome = Outcome::Failed { kind: FailureKind::Timeout, detail: "no answer in 15 s".into() };
    let attempt = Attempt { number: 1, at: NOW, took: Duration::from_secs(15), uncounted: 0, outcome };
    assert_eq!(stored("attempt_failed", &attempt), attempt);
}

#[test]
fn each_kind_of_failure() {
    let every = [
        FailureKind::Connect,
        FailureKind::Dns,
        FailureKind::Local,
        FailureKind::Prepare,
        FailureKind::Protocol,
        FailureKind::Refused,
        FailureKind::Timeout,
        FailureKind::Tls,
        FailureKind::TlsClientCertificate,
        FailureKind::TlsExpired,
        FailureKind::TlsIncompleteChain,
        FailureKind::TlsNotYetValid,
        FailureKind::TlsTooOld,
        FailureKind::TlsUntrusted,
        FailureKind::TlsWrongHost,
    ];
    assert_eq!(stored("failure_kinds", &every), every);
}

#[test]
fn each_state_of_a_delivery() {
    let ends = [End::Cancelled, End::Delivered, End::Exhausted, End::Expired];
    let ended = ends.into_iter().map(DeliveryState::Ended);
    let every: Vec<_> = [DeliveryState::Pending].into_iter().chain(ended).collect();
    assert_eq!(stored("delivery_states", &every), every);
}

#[test]
fn a_delivery_that_waits_and_one_that_repeats_it() {
    let waits = Delivery {
        id: DeliveryId::new(7),
        message_id: MessageId::new("msg_1").expect("short"),
        event_id: assist::DEVICE_ONLINE,
        hook_id: HookId::new(1),
        state: DeliveryState::Pending,
        attempts: 2,
        created_at: NOW,
        due_at: Some(NOW),
        ended_at: None,
        origin: None,
    };
    let (state, origin) = (DeliveryState::Ended(End::Delivered), Some(waits.id));
    let id = DeliveryId::new(8);
    let again = Delivery { id, state, due_at: None, ended_at: Some(NOW), origin, ..waits.clone() };
    written("deliveries", &[waits, again]);
}

#[test]
fn each_reason_for_passing_a_webhook_over() {
    let every =
        [SkipReason::Disabled, SkipReason::NotSubscribed, SkipReason::OtherDepartment, SkipReason::OwnSource];
    assert_eq!(stored("skip_reasons", &every), every);
    assert_eq!(stored("skip_reason_filtered", &SkipReason::Filtered), SkipReason::Filtered);
}

#[test]
fn a_published_event_with_its_payload_unchanged() {
    for (name, event) in
        [("event_full", full_event()), ("event_minimal", open_event()), ("event_traced", traced_event())]
    {
        let event = publish(event);
        let read = stored(name, &event);
        assert_eq!((read.payload.get(), read.digest()), (event.payload.get(), event.digest()));
        assert_eq!(read.trace, event.trace);
    }
}

#[test]
fn the_health_of_a_lane() {
    let timeout = |health: Health, _| health.after(Report::Timeout, Counting::default(), NOW);
    let cases = [
        ("health_fresh", Health::default()),
        ("health_proven", Health::default().after(Report::Success, Counting::default(), NOW)),
        ("health_failing", Health::default().after(Report::Failure, Counting::default(), NOW)),
        ("health_doubted", (0..1).fold(Health::default(), timeout)),
        ("health_hanging", (0..2).fold(Health::default(), timeout)),
    ];
    for (name, health) in cases {
        assert_eq!(stored(name, &health), health);
    }
}

#[test]
fn the_reasons_for_disabling() {
    for (name, reason) in
        [("disabled_failing", DisableReason::Failing { since: NOW }), ("disabled_gone", DisableReason::Gone)]
    {
        assert_eq!(stored(name, &reason), reason);
    }
}

#[test]
fn the_key_ring_in_clear() {
    let ring = KeyRing::new(Secret::from_random([1; 32]));
    let rotated = ring.clone().rotate(Secret::from_random([2; 32]), Duration::from_secs(86_400), NOW);
    let asymmetric = KeyRing::new(PrivateKey::from_random([3; 32]));
    for (name, ring) in [("key_ring", ring), ("key_ring_rotated", rotated), ("key_ring_v1a", asymmetric)] {
        let text = golden(name, std::str::from_utf8(&ring.expose()).expect("JSON"));
        let read = KeyRing::read(text.as_bytes()).expect("its own form");
        assert_eq!(*read.expose(), text.as_bytes());
    }
}

#[test]
fn the_sealed_key_ring() {
    let keys = SealingKeys::new(SealingKey::new(KeyId::new("2026-01").expect("short"), [4; 32]));
    let (tenant, hook_id) = (TenantId::new("815262805").expect("valid"), HookId::new(1));
    let clear = KeyRing::new(Secret::from_random([1; 32])).expose();
    let sealed = keys.seal(&clear, (&tenant, hook_id), [5; 24]);
    let text = golden("key_ring_sealed", &STANDARD.encode(sealed.expose()));
    let stored = SealedSecrets::new(STANDARD.decode(text).expect("base64"));
    assert_eq!(keys.open(&stored, (&tenant, hook_id)).as_ref(), Ok(&clear));
}

#[test]
fn the_envelopes() {
    let tenant = TenantId::new("815262805").expect("valid");
    let body = |kind, event| envelope::body(kind, &publish(event), "DEVICE_ONLINE", &tenant);
    let cases = [
        ("envelope_assist", body(EnvelopeKind::Assist, full_event())),
        ("envelope_assist_nobody", body(EnvelopeKind::Assist, open_event())),
        ("envelope_standard", body(EnvelopeKind::StandardWebhooks, full_event())),
        ("envelope_cloud_events", body(EnvelopeKind::CloudEvents, full_event())),
        ("body_by_template", envelope::render(&template(), &publish(full_event()), "DEVICE_ONLINE", &tenant)),
    ];
    for (name, bytes) in cases {
        golden(name, std::str::from_utf8(&bytes).expect("JSON"));
    }
}

#[test]
fn a_list_of_violations() {
    let draft: WebhookDraft = serde_json::from_value(json!({
        "name": 5, "url": "http://user@a.example/#top", "ignore_src": "", "status": 2,
        "subscriptions": [{"event_id": 99}, {"event_id": 13, "dept_ids": []}, {"event_id": 13}, {}],
    }))
    .expect("every object is a draft");
    let violations = create(&draft).expect_err("unsound").into_violations();
    golden("violations", &serde_json::to_string_pretty(&violations).expect("serialises"));
}

/// A webhook with everything that there is to choose, in both views.
#[test]
fn a_webhook_in_either_view() {
    let catalog = plain_view::catalog();
    let draft = plain_view::draft(json!({"name": "Books", "description": "To the books",
        "url": "https://hooks.example.com/", "ignore_source": "crm", "enabled": false,
        "events": ["invoice.paid", {"event": "invoice.*", "departments": [9, 7]},
            {"event": "order.paid", "filter": [{"pointer": "/currency", "one_of": ["EUR", "USD"]}]}]}));
    let terms = Terms {
        catalog: &catalog,
        limits: Some(Limits::default()),
        urls: UrlRule::HttpsOnly,
        now: Timestamp::default(),
    };
    let draft = catalog.draft(&draft);
    let change = registry::create(&draft, SealedSecrets::default(), &Registry::default(), terms);
    let Ok(RegistryChange::Create(registered)) = change else { panic!("{change:?}") };
    assert_eq!(stored("webhook_choosing", &registered.webhook), registered.webhook);
    written("plain_webhook", &catalog.show(&registered.webhook));
}

#[test]
fn violations_in_either_view() {
    let catalog = plain_view::catalog();
    let draft = plain_view::draft(json!({
        "name": "x".repeat(101), "url": "crm", "ignore_source": "", "enabled": 1,
        "events": ["invoice.payd", {"event": "order.paid", "departments": []}, "order.paid", 7, {},
            {"event": "*", "filter": [{"pointer": "", "like": 1}]}],
    }));
    let terms = Terms {
        catalog: &catalog,
        limits: Some(Limits::default()),
        urls: UrlRule::HttpsOnly,
        now: Timestamp::default(),
    };
    let draft = catalog.draft(&draft);
    let refused = registry::create(&draft, SealedSecrets::default(), &Registry::default(), terms);
    let violations = refused.expect_err("faulty").into_violations();
    golden("violations_choosing", &serde_json::to_string_pretty(&violations).expect("serialises"));
    let shown = catalog.show_violations(&violations);
    golden("plain_violations", &serde_json::to_string_pretty(&shown).expect("serialises"));
}

#[test]
fn the_event_types_of_assist() {
    let catalog = assist::catalog();
    let types: Vec<&EventType> = catalog.iter().collect();
    golden("event_types", &serde_json::to_string_pretty(&types).expect("serialises"));
}
