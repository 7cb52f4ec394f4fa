//! Registering asks the receiver, where the host says so.

use hookwire::handshake::Handshake;
use hookwire::model::{FailureKind, Rule, WebhookPatch};
use hookwire::service::Tenant;
use hookwire::store::MemoryStore;
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Event, TenantId, WebhookDraft, Webhooks, assist};

const ALLOWED: &str = "webhook-allowed-origin";

/// A service whose handshake asks for 100 requests a minute. Receivers at `yes` consent, at `no` they answer only,
/// at `slow` they want half as many; at `gone` nobody is there.
fn service() -> (Webhooks, Tenant, RecordingTransport) {
    let transport = RecordingTransport::answering(|request, _| match request.uri().host() {
        Some("yes.example") => Answer::status(200).header(ALLOWED, "events.example.com"),
        Some("slow.example") => Answer::status(200).header(ALLOWED, "*").header("webhook-allowed-rate", "50"),
        Some("gone.example") => Answer::fail(FailureKind::Connect),
        _ => Answer::status(200),
    });
    let handshake = Handshake::new("events.example.com").expect("a name");
    let handshake = handshake.with_rate(100.try_into().expect("not zero"));
    let builder = Webhooks::builder(assist::catalog()).store(MemoryStore::new()).handshake(handshake);
    let hooks = builder.transport(transport.clone()).build().expect("sound");
    let acme = hooks.tenant(TenantId::new("acme").expect("short"));
    (hooks, acme, transport)
}

fn draft(host: &str) -> WebhookDraft {
    WebhookDraft::new(host, format!("https://{host}.example/hooks")).subscribe(assist::DEVICE_ADD)
}

#[tokio::test]
async fn a_receiver_that_allows_it_is_asked_once_and_told_by_whom_ever_after() {
    let (hooks, acme, transport) = service();
    let created = acme.create(&draft("yes")).await.expect("allowed");
    assert!(created.warnings().is_empty());
    acme.publish(Event::new(assist::DEVICE_ADD, &1).expect("JSON")).await.expect("published");
    hooks.deliver_due().await.expect("delivered");
    acme.ping_url("https://yes.example/hooks").await.expect("sent");
    let sent = transport.requests();
    let methods: Vec<_> = sent.iter().map(|it| it.method().as_str()).collect();
    assert_eq!(methods, ["OPTIONS", "POST", "POST"]);
    assert!(sent.iter().all(|it| it.headers()["webhook-request-origin"] == "events.example.com"));
    assert_eq!(sent[0].headers()["webhook-request-rate"], "100");
    assert_eq!((sent[0].uri().path(), sent[0].body().len()), ("/hooks", 0));
}

#[tokio::test]
async fn a_receiver_that_does_not_allow_it_is_not_registered() {
    let (_, acme, transport) = service();
    for host in ["no", "gone"] {
        let error = acme.create(&draft(host)).await.expect_err("not allowed");
        let broken: Vec<_> = error.violations().iter().map(|it| (it.field(), it.rule())).collect();
        assert_eq!(broken, [("url", Rule::Unwanted)], "{host}");
    }
    assert!(acme.list().await.expect("listed").is_empty());
    assert_eq!(transport.requests().len(), 2);
}

#[tokio::test]
async fn a_new_url_is_asked_and_the_old_one_not_again() {
    let (_, acme, transport) = service();
    let hook_id = acme.create(&draft("yes")).await.expect("allowed").webhook().hook_id();
    acme.patch(hook_id, &WebhookPatch::new().name("other")).await.expect("the same URL");
    acme.replace(hook_id, &draft("yes")).await.expect("the same URL");
    assert_eq!(transport.requests().len(), 1);
    let error = acme.replace(hook_id, &draft("no")).await.expect_err("not allowed");
    assert_eq!(error.violations()[0].rule(), Rule::Unwanted);
    let patch = WebhookPatch::new().url("https://no.example/");
    assert!(acme.patch(hook_id, &patch).await.is_err());
    assert_eq!(transport.requests().len(), 3);
}

#[tokio::test]
async fn a_receiver_that_wants_less_is_registered_with_a_warning() {
    let (_, acme, _) = service();
    let created = acme.create(&draft("slow")).await.expect("allowed");
    assert!(created.warnings()[0].contains("50 requests a minute"), "{:?}", created.warnings());
}

#[tokio::test]
async fn a_url_that_breaks_a_rule_is_not_asked() {
    let (_, acme, transport) = service();
    let draft = WebhookDraft::new("a", "http://yes.example/").subscribe(assist::DEVICE_ADD);
    assert!(acme.create(&draft).await.is_err());
    assert!(transport.requests().is_empty());
}
