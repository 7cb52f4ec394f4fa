//! Registering asks the receiver, where the host says so.

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::handshake::Handshake;
use hookwire::model::{CallbackUrl, FailureKind, HookId, Rule, WebhookPatch};
use hookwire::service::{Tenant, WebhooksBuilder};
use hookwire::store::MemoryStore;
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::transport::{SendLimits, Transport, TransportError};
use hookwire::{ErrorKind, Event, EventId, TenantId, WebhookDraft, Webhooks, assist};
use http::{Request, Response};

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
    let hooks = builder(transport.clone()).build().expect("sound");
    let acme = hooks.tenant(TenantId::new("acme").expect("short"));
    (hooks, acme, transport)
}

fn builder(transport: impl Transport) -> WebhooksBuilder {
    let handshake = Handshake::new("events.example.com").expect("a name");
    let handshake = handshake.with_rate(100.try_into().expect("not zero"));
    let builder = Webhooks::builder(assist::catalog()).store(MemoryStore::new());
    builder.handshake(handshake).transport(transport)
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

fn rules(error: &hookwire::Error) -> Vec<(&str, Rule)> {
    error.violations().iter().map(|it| (it.field(), it.rule())).collect()
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_whole_and_its_receiver_not_asked() {
    let (_, acme, transport) = service();
    let plain = WebhookDraft::new("a", "http://yes.example/").subscribe(assist::DEVICE_ADD);
    let nameless = WebhookDraft::new("", "https://yes.example/").subscribe(EventId::new(99));
    for (draft, broken) in [
        (plain, vec![("url", Rule::NotHttps)]),
        (nameless, vec![("name", Rule::Required), ("subscriptions[0].event_id", Rule::UnknownEvent)]),
    ] {
        let error = acme.create(&draft).await.expect_err("refused");
        assert_eq!(rules(&error), broken);
    }
    assert!(transport.requests().is_empty());
    let hook_id = acme.create(&draft("yes")).await.expect("allowed").webhook().hook_id();
    let nameless = WebhookPatch::new().name("").url("https://slow.example/");
    assert!(acme.patch(hook_id, &nameless).await.is_err());
    assert!(acme.replace(hook_id, &WebhookDraft::new("", "https://slow.example/")).await.is_err());
    assert!(acme.replace(HookId::new(99), &draft("slow")).await.is_err());
    assert_eq!(transport.requests().len(), 1, "of what could be registered alone");
}

#[tokio::test]
async fn what_no_limit_leaves_room_for_has_nobody_asked() {
    let (_, acme, transport) = service();
    for _ in 0..10 {
        acme.create(&draft("yes")).await.expect("allowed");
    }
    let error = acme.create(&draft("slow")).await.expect_err("ten have the event");
    assert_eq!(*error.kind(), ErrorKind::LimitReached);
    assert!(transport.requests().iter().all(|it| it.uri().host() == Some("yes.example")));
    let builder = builder(transport.clone()).limits_for(|_| None);
    let none = builder.build().expect("sound").tenant(TenantId::new("acme").expect("short"));
    assert_eq!(*none.create(&draft("slow")).await.expect_err("no webhooks").kind(), ErrorKind::NotInEdition);
    assert_eq!(transport.requests().len(), 10);
}

/// A look-up that answers for each host what `RecordingTransport` never does.
#[derive(Debug)]
struct Checked(RecordingTransport);

#[async_trait]
impl Transport for Checked {
    async fn send(&self, it: Request<Bytes>, limits: &SendLimits) -> Result<Response<Bytes>, TransportError> {
        self.0.send(it, limits).await
    }

    async fn check(&self, url: &CallbackUrl) -> Result<(), TransportError> {
        match url.as_str() {
            url if url.contains("inside") => Err(TransportError::new(FailureKind::Refused, "it is inside")),
            url if url.contains("nowhere") => Err(TransportError::new(FailureKind::Dns, "it is nowhere")),
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_receiver_without_an_allowed_address_is_not_asked() {
    let transport = RecordingTransport::answering(|_, _| Answer::status(200).header(ALLOWED, "*"));
    let hooks = builder(Checked(transport.clone())).build().expect("sound");
    let acme = hooks.tenant(TenantId::new("acme").expect("short"));
    for (host, rule) in [("inside", Rule::AddressRefused), ("nowhere", Rule::Unwanted)] {
        let error = acme.create(&draft(host)).await.expect_err("nobody can have agreed");
        assert_eq!(rules(&error), [("url", rule)], "{host}");
        let nameless =
            WebhookDraft::new("", format!("https://{host}.example/")).subscribe(assist::DEVICE_ADD);
        assert_eq!(rules(&acme.create(&nameless).await.expect_err("refused"))[0], ("name", Rule::Required));
    }
    assert!(transport.requests().is_empty());
    acme.create(&draft("somewhere")).await.expect("allowed");
    assert_eq!(transport.requests().len(), 1);
}
