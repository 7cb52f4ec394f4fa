//! "Click Ping URL to test the callback URL", before the webhook exists, and "Click Ping Event to test the
//! selected event to trigger a test run on the same".

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::model::{
    CallbackUrl, DeliveryOptions, EnvelopeKind, FailureKind, HookId, Outcome, Rule, Status, WebhookPatch,
};
use hookwire::registry::Backlog;
use hookwire::service::{PingOutcome, PingReport, Tenant};
use hookwire::signature::Verifier;
use hookwire::transport::{SendLimits, Transport, TransportError};
use hookwire::{DeliveryQuery, DeptId, ErrorKind, EventId, assist};
use http::{Request, Response};
use serde_json::{Value, json};

use super::support::{Answer, RecordingTransport, Service, body, broken, create, created, named};

fn answering(status: u16) -> Service {
    Service::on(RecordingTransport::answering(move |_, _| Answer::status(status)))
}

/// Asserts that a ping left nothing behind in log and counts.
async fn assert_no_trace(service: &Service, tenant: &Tenant) {
    let sent = service.transport.requests().len();
    service.clock.advance(Duration::from_secs(30 * 24 * 60 * 60));
    assert!(service.deliver().await.is_empty(), "not tried again");
    assert_eq!(service.transport.requests().len(), sent);
    assert!(tenant.deliveries(&DeliveryQuery::new()).await.expect("in memory").items.is_empty());
    assert_eq!(tenant.stats().await.expect("in memory").pending(), 0);
}

fn violations(report: &PingReport) -> Vec<(&str, Rule)> {
    match &report.outcome {
        PingOutcome::Invalid(violations) => broken(violations),
        other => panic!("it was sent: {other:?}"),
    }
}

#[tokio::test]
async fn a_url_can_be_tried_before_any_webhook_exists() {
    let service = Service::new();
    let acme = service.acme();
    let report = acme.ping_url("https://new.example/hook?x=1").await.expect("sent");
    assert!(report.is_success());
    let sent = service.transport.requests();
    assert_eq!(
        (sent[0].method().as_str(), sent[0].uri().to_string()),
        ("POST", "https://new.example/hook?x=1".to_owned())
    );
    assert_eq!(sent[0].headers()["webhook-ping"], "url");
    assert_eq!(body(&sent[0]), json!({"type": "ping"}));
    assert_no_trace(&service, &acme).await;
}

#[tokio::test]
async fn whatever_the_receiver_does_is_in_the_report() {
    for (status, success) in
        [(200, true), (204, true), (302, false), (404, false), (410, false), (500, false)]
    {
        let service = answering(status);
        let report = service.acme().ping_url("https://a.example/").await.expect("sent");
        assert_eq!(report.is_success(), success, "{status}");
        let PingOutcome::Sent(Outcome::Answered { status: seen, .. }) = report.outcome else {
            panic!("answered {status}")
        };
        assert_eq!(seen.as_u16(), status);
        assert_no_trace(&service, &service.acme()).await;
    }
}

#[tokio::test]
async fn a_receiver_that_cannot_be_reached_is_a_report_and_no_error() {
    let transport = RecordingTransport::answering(|_, _| Answer::fail(FailureKind::Timeout));
    let report = Service::on(transport).acme().ping_url("https://a.example/").await.expect("sent");
    assert!(!report.is_success());
    assert!(matches!(&report.outcome, PingOutcome::Sent(outcome) if outcome.is_timeout()), "{report:?}");
}

#[tokio::test]
async fn an_unsound_url_is_reported_with_every_violation_and_not_dialled() {
    let service = Service::new();
    let acme = service.acme();
    let report = acme.ping_url("http://user@a.example/#top").await.expect("a report");
    let every = [("url", Rule::NotHttps), ("url", Rule::NoUserInfo), ("url", Rule::NoFragment)];
    assert_eq!(violations(&report), every);
    assert_eq!(violations(&acme.ping_url("").await.expect("a report")), [("url", Rule::NotUrl)]);
    let draft = hookwire::WebhookDraft::new("a", "http://a.example/").subscribe(assist::DEVICE_ADD);
    let report = acme.ping_event(&draft, assist::DEVICE_ADD).await.expect("a report");
    assert_eq!(violations(&report), [("url", Rule::NotHttps)]);
    assert!(!report.is_success() && service.transport.requests().is_empty());
}

#[tokio::test]
async fn an_event_can_be_tried_on_a_draft_that_is_not_registered() {
    let service = Service::new();
    let acme = service.acme();
    let draft = named("draft").subscribe(assist::DEVICE_ONLINE);
    let report = acme.ping_event(&draft, assist::DEVICE_ONLINE).await.expect("sent");
    assert!(report.is_success());
    let sent = service.transport.requests();
    assert_eq!(sent[0].uri().host(), Some("draft.example"));
    assert_eq!(sent[0].headers()["webhook-ping"], "event");
    assert!(!sent[0].headers().contains_key("webhook-signature"), "a draft has no secret");
    assert!(acme.list().await.expect("in memory").is_empty());
    assert_no_trace(&service, &acme).await;
}

#[tokio::test]
async fn every_event_is_tried_in_the_real_envelope_with_its_sample() {
    let service = Service::new();
    let acme = service.acme();
    let draft = named("draft");
    for kind in assist::catalog().iter() {
        acme.ping_event(&draft, kind.id()).await.expect("sent");
        let sample: Value = serde_json::from_str(kind.sample().get()).expect("JSON");
        let expected = json!({"payload": sample, "eventType": kind.key(), "orgId": "acme",
            "eventTime": "1767225600000"});
        assert_eq!(service.transport.requests().last().map(body), Some(expected));
    }
}

#[tokio::test]
async fn a_registered_webhook_is_pinged_as_it_would_be_delivered_to() {
    let service = Service::new();
    let acme = service.acme();
    let hook = created(&acme, &named("hook").subscribe(assist::DEVICE_ADD)).await;
    let options = DeliveryOptions::new().with_header("x-team", "devices").expect("free to use");
    let options = options.with_envelope(EnvelopeKind::StandardWebhooks);
    acme.set_options(hook.webhook().hook_id(), options).await.expect("it is there");
    acme.ping_event(hook.webhook().hook_id(), assist::DEVICE_ADD).await.expect("sent");
    let sent = service.transport.requests();
    assert_eq!(sent[0].headers()["x-team"], "devices");
    assert_eq!(sent[0].headers()["webhook-ping"], "event");
    assert_eq!(body(&sent[0])["type"], "DEVICE_ADD");
    let verifier = Verifier::new([hook.secret().clone()]);
    let now = hookwire::clock::Clock::now(&service.clock);
    verifier.verify(sent[0].headers(), sent[0].body(), now).expect("signed with its secret");
}

#[tokio::test]
async fn status_departments_source_and_subscriptions_do_not_stop_a_ping() {
    let service = Service::new();
    let acme = service.acme();
    let draft = named("quiet")
        .status(Status::Disabled)
        .ignore_source("crm-sync")
        .subscribe_in(assist::DEVICE_ONLINE, [DeptId::new(7)]);
    let id = create(&acme, &draft).await.hook_id();
    for event in [assist::DEVICE_ONLINE, assist::DEVICE_DELETE] {
        assert!(acme.ping_event(id, event).await.expect("sent").is_success());
        assert!(acme.ping_event(&draft, event).await.expect("sent").is_success());
    }
    assert_eq!(service.transport.requests().len(), 4);
    assert_no_trace(&service, &acme).await;
}

#[tokio::test]
async fn a_ping_that_fails_is_neither_tried_again_nor_held_against_the_webhook() {
    for status in [410, 429, 503] {
        let service = answering(status);
        let acme = service.acme();
        let id = create(&acme, &named("hook").subscribe(assist::DEVICE_ADD)).await.hook_id();
        let before = format!("{:?}", acme.details(id).await.expect("it is there"));
        assert!(!acme.ping_event(id, assist::DEVICE_ADD).await.expect("sent").is_success());
        assert_no_trace(&service, &acme).await;
        assert_eq!(format!("{:?}", acme.details(id).await.expect("it is there")), before);
        assert_eq!(service.transport.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_delivery_carries_no_mark_of_a_ping() {
    let service = Service::new();
    let acme = service.acme();
    create(&acme, &named("hook").subscribe(assist::DEVICE_ADD)).await;
    acme.publish(super::support::event(assist::DEVICE_ADD)).await.expect("known");
    assert!(!service.deliver().await[0].headers().contains_key("webhook-ping"));
}

#[tokio::test]
async fn each_ping_is_a_message_of_its_own() {
    let service = Service::new();
    let acme = service.acme();
    let id = create(&acme, &named("hook").subscribe(assist::DEVICE_ADD)).await.hook_id();
    for _ in 0..2 {
        acme.ping_event(id, assist::DEVICE_ADD).await.expect("sent");
    }
    let sent = service.transport.requests();
    assert_ne!(sent[0].headers()["webhook-id"], sent[1].headers()["webhook-id"]);
}

#[tokio::test]
async fn an_edited_webhook_is_pinged_at_its_new_url() {
    let service = Service::new();
    let acme = service.acme();
    let id = create(&acme, &named("old").subscribe(assist::DEVICE_ADD)).await.hook_id();
    acme.patch(id, &WebhookPatch::new().url("https://new.example/")).await.expect("it is there");
    acme.disable(id).await.expect("it is there");
    acme.enable(id, Backlog::Resume).await.expect("it is there");
    acme.ping_event(id, assist::DEVICE_ADD).await.expect("sent");
    assert_eq!(service.transport.requests()[0].uri().host(), Some("new.example"));
}

#[tokio::test]
async fn unknown_events_and_webhooks_are_errors_and_nothing_is_sent() {
    let service = Service::new();
    let acme = service.acme();
    let error = acme.ping_event(&named("a"), EventId::new(18)).await.expect_err("unknown event");
    assert_eq!(error.kind(), &ErrorKind::UnknownEvent);
    let error = acme.ping_event(HookId::new(1), assist::DEVICE_ADD).await.expect_err("no webhook");
    assert_eq!(error.kind(), &ErrorKind::NotFound);
    assert!(service.transport.requests().is_empty());
}

/// Resolves no name, and would panic if it were asked to send.
#[derive(Debug)]
struct Unresolved;

#[async_trait]
impl Transport for Unresolved {
    async fn send(&self, _: Request<Bytes>, _: &SendLimits) -> Result<Response<Bytes>, TransportError> {
        panic!("the look-up is not tried twice")
    }

    async fn check(&self, _: &CallbackUrl) -> Result<(), TransportError> {
        Err(TransportError::new(FailureKind::Dns, "no such name"))
    }
}

#[tokio::test]
async fn a_name_that_is_not_resolved_is_reported_without_a_second_look_up() {
    let hooks = Service::build(RecordingTransport::new(), |builder| builder.transport(Unresolved)).hooks;
    let acme = hooks.tenant("acme".parse().expect("a plain name"));
    let report = acme.for_operator().ping_url("https://gone.example/").await.expect("reported");
    let PingOutcome::Sent(Outcome::Failed { kind, detail }) = report.outcome else { panic!("it failed") };
    assert_eq!((kind, detail.as_str()), (FailureKind::Dns, "host name not resolved: no such name"));
}

/// Panics whenever it is called, or only when it is to send.
#[derive(Debug)]
enum Panics {
    Always,
    Sending,
}

#[async_trait]
impl Transport for Panics {
    async fn send(&self, _: Request<Bytes>, _: &SendLimits) -> Result<Response<Bytes>, TransportError> {
        panic!("planted")
    }

    async fn check(&self, _: &CallbackUrl) -> Result<(), TransportError> {
        match self {
            Self::Always => panic!("planted"),
            Self::Sending => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_panic_of_the_hosts_transport_is_a_failed_ping() {
    for transport in [Panics::Always, Panics::Sending] {
        let hooks = Service::build(RecordingTransport::new(), |builder| builder.transport(transport)).hooks;
        let acme = hooks.tenant("acme".parse().expect("a plain name")).for_operator();
        let hook_id = created(&acme, &named("hook").subscribe(assist::DEVICE_ADD)).await.webhook().hook_id();
        let by_url = acme.ping_url("https://hook.example/").await.expect("reported");
        let by_event = acme.ping_event(hook_id, assist::DEVICE_ADD).await.expect("reported");
        for report in [by_url, by_event] {
            let PingOutcome::Sent(Outcome::Failed { kind, detail }) = report.outcome else {
                panic!("it failed")
            };
            assert_eq!(kind, FailureKind::Prepare);
            assert!(detail.contains("the transport panicked"), "{detail}");
        }
    }
}
