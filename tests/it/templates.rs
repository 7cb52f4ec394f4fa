//! Templates of bodies, and the envelope of CloudEvents, through the service: what a receiver gets.

use hookwire::model::{
    BodyTemplate, DeliveryOptions, Departments, EnvelopeKind, EventType, HookId, Rule, Subscription,
    WebhookPatch,
};
use hookwire::service::PingOutcome;
use hookwire::signature::Verifier;
use hookwire::store::MemoryStore;
use hookwire::testing::RecordingTransport;
use hookwire::{Catalog, ErrorKind, Event, EventId, WebhookDraft, Webhooks, assist};
use http::Request;
use serde_json::{Value, json};

use crate::seed::support::{Service, body, broken, created, from_json, invalid, named};

/// A webhook whose subscription to `DEVICE_ONLINE` has this template, and that has another subscription without one.
fn templated(template: Value) -> WebhookDraft {
    from_json(json!({"name": "a", "url": "https://a.example/",
        "subscriptions": [{"event_id": 13, "template": template}, {"event_id": 14}]}))
}

fn parse(text: &str) -> BodyTemplate {
    BodyTemplate::parse(text).expect("sound")
}

fn event(id: EventId) -> Event {
    let payload =
        serde_json::value::RawValue::from_string(r#"{"deviceName":"LAB-4", "load":1.10}"#.to_owned());
    Event::new(id, &payload.expect("JSON")).expect("JSON")
}

fn text(request: &Request<bytes::Bytes>) -> &str {
    std::str::from_utf8(request.body()).expect("JSON")
}

#[tokio::test]
async fn a_receiver_gets_the_body_that_its_template_says() {
    let service = Service::new();
    let acme = service.acme();
    let template =
        json!({"text": "${payload.deviceName} is on", "load": "${payload.load}", "org": "${orgId}"});
    let created = created(&acme, &templated(template)).await;
    acme.publish(event(assist::DEVICE_ONLINE)).await.expect("known");
    let sent = service.deliver().await;
    assert_eq!(text(&sent[0]), r#"{"load":1.10,"org":"acme","text":"LAB-4 is on"}"#);
    assert_eq!(sent[0].headers()["content-type"], "application/json");
    let now = hookwire::clock::Clock::now(&service.clock);
    let verifier = Verifier::new([created.secret().clone()]);
    verifier.verify(sent[0].headers(), sent[0].body(), now).expect("signed as it was sent");
    acme.publish(event(assist::DEVICE_OFFLINE)).await.expect("known");
    assert_eq!(body(&service.deliver().await[0])["payload"]["deviceName"], "LAB-4", "in Assist's envelope");
}

#[tokio::test]
async fn the_template_of_a_subscription_is_used_before_that_of_its_webhook() {
    let service = Service::new();
    let acme = service.acme();
    let id = created(&acme, &templated(json!(["of the subscription"]))).await.webhook().hook_id();
    let options = DeliveryOptions::new().with_template(parse(r#"["of the webhook"]"#));
    let options = options.with_envelope(EnvelopeKind::CloudEvents);
    acme.set_options(id, options).await.expect("allowed");
    for (event_id, body) in [
        (assist::DEVICE_ONLINE, r#"["of the subscription"]"#),
        (assist::DEVICE_OFFLINE, r#"["of the webhook"]"#),
    ] {
        acme.publish(event(event_id)).await.expect("known");
        let sent = service.deliver().await;
        assert_eq!(
            (text(&sent[0]), &sent[0].headers()["content-type"]),
            (body, &"application/json".parse().expect("ASCII"))
        );
    }
    acme.ping_event(id, assist::DEVICE_ADD).await.expect("sent");
    assert_eq!(text(&service.transport.requests()[2]), r#"["of the webhook"]"#, "no subscription decides");
    acme.set_options(id, DeliveryOptions::new().with_envelope(EnvelopeKind::CloudEvents))
        .await
        .expect("allowed");
    acme.publish(event(assist::DEVICE_OFFLINE)).await.expect("known");
    let sent = service.deliver().await;
    assert_eq!(sent[0].headers()["content-type"], "application/cloudevents+json");
    assert_eq!(
        (&body(&sent[0])["source"], &body(&sent[0])["type"]),
        (&json!("/tenants/acme"), &json!("DEVICE_OFFLINE"))
    );
    assert_eq!(body(&sent[0])["id"], sent[0].headers()["webhook-id"].to_str().expect("ASCII"));
}

#[tokio::test]
async fn a_ping_of_an_event_has_the_template_of_the_webhook_or_of_the_draft() {
    let service = Service::new();
    let acme = service.acme();
    let draft = templated(json!({"device": "${payload.deviceName}"}));
    acme.ping_event(&draft, assist::DEVICE_ONLINE).await.expect("sent");
    let id = created(&acme, &draft).await.webhook().hook_id();
    acme.ping_event(id, assist::DEVICE_ONLINE).await.expect("sent");
    let sent = service.transport.requests();
    assert_eq!((text(&sent[0]), text(&sent[1])), (r#"{"device":"PRIME"}"#, r#"{"device":"PRIME"}"#));
    acme.ping_event(&draft, assist::DEVICE_OFFLINE).await.expect("sent");
    assert_eq!(body(&service.transport.requests()[2])["eventType"], "DEVICE_OFFLINE");
}

#[tokio::test]
async fn a_draft_is_pinged_in_the_envelope_of_the_catalog_with_its_media_type() {
    let event = assist::catalog().get(assist::DEVICE_ADD).expect("in the catalog").clone();
    let catalog = Catalog::builder().event(event).envelope(EnvelopeKind::CloudEvents).build().expect("sound");
    let transport = RecordingTransport::new();
    let builder = Webhooks::builder(catalog).store(MemoryStore::new()).transport(transport.clone());
    let acme = builder.build().expect("sound").tenant("acme".parse().expect("a plain name"));
    acme.ping_event(&named("a"), assist::DEVICE_ADD).await.expect("sent");
    acme.ping_url("https://a.example/").await.expect("sent");
    let sent = transport.requests();
    assert_eq!(sent[0].headers()["content-type"], "application/cloudevents+json");
    assert_eq!(body(&sent[0])["specversion"], "1.0");
    assert_eq!(sent[1].headers()["content-type"], "application/json", "which is no event");
}

#[tokio::test]
async fn a_draft_with_a_faulty_template_is_not_pinged_and_what_else_is_wrong_does_not_matter() {
    let service = Service::new();
    let acme = service.acme();
    let mut faulty = templated(json!(["${user}", "${"])).describe("\u{0}");
    for event in [assist::DEVICE_ONLINE, assist::DEVICE_ADD] {
        let report = acme.ping_event(&faulty, event).await.expect("a report");
        let PingOutcome::Invalid(violations) = &report.outcome else { panic!("{report:?}") };
        let expected = [
            ("subscriptions[0].template[0]", Rule::UnknownParameter),
            ("subscriptions[0].template[1]", Rule::Format),
        ];
        assert_eq!(broken(violations), expected);
    }
    assert!(service.transport.requests().is_empty());
    faulty = templated(json!(["sound"])).describe("\u{0}").subscribe(EventId::new(99));
    assert!(acme.ping_event(&faulty, assist::DEVICE_ONLINE).await.expect("sent").is_success());
    assert_eq!(text(&service.transport.requests()[0]), r#"["sound"]"#);
}

#[tokio::test]
async fn a_faulty_template_is_refused_with_all_its_faults_and_changes_nothing() {
    let acme = Service::new().acme();
    let hook = created(&acme, &templated(json!({"a": 1}))).await.webhook().clone();
    let faulty = json!({"name": "", "subscriptions": [{"event_id": 13,
        "template": {"dept_ids": "${x}", "b": ["${payload", "${payload..c}"]}}]});
    let faults = [
        ("name", Rule::Required),
        ("subscriptions[0].template.b[0]", Rule::Format),
        ("subscriptions[0].template.b[1]", Rule::Format),
        ("subscriptions[0].template.dept_ids", Rule::UnknownParameter),
    ];
    let patch: WebhookPatch = serde_json::from_value(faulty.clone()).expect("every object is a patch");
    let error = acme.patch(hook.hook_id(), &patch).await.expect_err("faulty");
    assert_eq!(invalid(&error), faults);
    let mut draft = faulty;
    draft["url"] = json!("https://a.example/");
    assert_eq!(invalid(&acme.create(&from_json(draft.clone())).await.expect_err("faulty")), faults);
    let error = acme.replace(hook.hook_id(), &from_json(draft)).await.expect_err("faulty");
    assert_eq!(invalid(&error), faults);
    let shown = assist::catalog().show_violations(error.violations());
    assert_eq!(shown[3].path, "events[0].template.dept_ids");
    assert_eq!(acme.get(hook.hook_id()).await.expect("it is there"), hook);
    assert_eq!(acme.list().await.expect("in memory").len(), 1);
}

#[test]
fn a_draft_does_not_debug_the_text_of_a_template_sound_or_not() {
    for template in [json!({"token": "hidden"}), json!({"token": "hidden", "by": "${user}"})] {
        let text = format!("{:?}", templated(template));
        assert!(text.contains("template") && !text.contains("hidden"), "{text}");
    }
}

#[tokio::test]
async fn a_template_keeps_its_text_through_edits_of_other_attributes() {
    let acme = Service::new().acme();
    let text = r#"{"z":1.10,"a":"${payload}"}"#;
    let subscription = Subscription::new(assist::DEVICE_ADD, Departments::All).with_template(parse(text));
    let hook = created(&acme, &named("a").subscribe_to(&subscription)).await.webhook().clone();
    let renamed = acme.patch(hook.hook_id(), &WebhookPatch::new().name("b")).await.expect("sound");
    let kept = renamed.webhook().subscriptions()[0].template().map(ToString::to_string);
    assert_eq!(kept.as_deref(), Some(text));
    let without =
        WebhookPatch::new().subscriptions([&Subscription::new(assist::DEVICE_ADD, Departments::All)]);
    let changed = acme.patch(hook.hook_id(), &without).await.expect("sound");
    assert_eq!(changed.webhook().subscriptions()[0].template(), None);
}

#[tokio::test]
async fn templates_are_refused_where_the_catalog_allows_none() {
    let event = EventType::new(EventId::new(1), "a.b", "A", &json!({}));
    let catalog = Catalog::builder().event(event).build().expect("sound");
    let builder = Webhooks::builder(catalog).store(MemoryStore::new());
    let hooks = builder.transport(RecordingTransport::new()).build().expect("sound");
    let acme = hooks.tenant("acme".parse().expect("a plain name"));
    for template in [json!({"a": 1}), json!("${x}")] {
        let draft = json!({"name": "a", "url": "https://a.example/",
            "subscriptions": [{"event_id": 1, "template": template}]});
        let error = acme.create(&from_json(draft)).await.expect_err("not offered");
        assert_eq!(invalid(&error), [("subscriptions[0].template", Rule::NotOffered)]);
    }
    let hook = created(&acme, &named("a").subscribe(EventId::new(1))).await.webhook().hook_id();
    let options = DeliveryOptions::new().with_template(parse("[1]"));
    let error = acme.set_options(hook, options.clone()).await.expect_err("not offered");
    assert_eq!(invalid(&error), [("template", Rule::NotOffered)]);
    let error = acme.set_options(HookId::new(9), options).await.expect_err("no webhook");
    assert_eq!(error.kind(), &ErrorKind::NotFound);
}
