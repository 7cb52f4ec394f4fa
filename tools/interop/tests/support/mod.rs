//! What arrives: signed by hand, delivered by a service, or tampered with.

use bytes::Bytes;
use hookwire::clock::{Clock, SystemClock};
use hookwire::model::{DeliveryOptions, EnvelopeKind, HookId, MessageId, SignatureScheme, Timestamp};
use hookwire::service::{Rotation, Tenant};
use hookwire::signature::{KeyRing, Message, VerifyingKey};
use hookwire::store::MemoryStore;
use hookwire::testing::RecordingTransport;
use hookwire::{Event, TenantId, WebhookDraft, Webhooks, assist};
use http::{HeaderValue, Request};
use interop::Arrival;
use serde_json::{Value, json};

/// The clock that the other libraries read as well.
pub(super) fn now() -> Timestamp {
    SystemClock::default().now()
}

/// Bodies that every library takes: text, of more than one script, and none at all.
pub(super) fn bodies() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"test": 2432232314}"#,
        "",
        r#"{"name": "Zoë, Ωmega, 日本, 🚀", "n": 1.10}"#,
        "a.b\r\n\0\u{feff}",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// Bodies that are no text.
pub(super) fn raw_bodies() -> Vec<Vec<u8>> {
    vec![(0..=255).collect(), vec![0xff; 1000], vec![0xc3, 0x28]]
}

/// `body` as message `msg_1`, sent now.
pub(super) fn sign(ring: &KeyRing, scheme: SignatureScheme, body: &[u8]) -> Arrival {
    let id = MessageId::new("msg_1").expect("an id");
    let message = Message { scheme, id: &id, at: now(), body };
    let headers = message.headers(&ring.sign(&message)).expect("signed");
    Arrival { headers, body: body.to_vec() }
}

/// The same without a signature.
pub(super) fn unsigned(body: &[u8]) -> Arrival {
    let (id, at) = (HeaderValue::from_static("msg_1"), HeaderValue::from(now().as_secs()));
    let headers = [("webhook-id", id), ("webhook-timestamp", at)];
    let headers = headers.into_iter().map(|(name, value)| (http::HeaderName::from_static(name), value));
    Arrival { headers: headers.collect(), body: body.to_vec() }
}

/// The arrival with a body that is longer by a byte.
pub(super) fn longer(sent: &Arrival) -> Arrival {
    Arrival { body: [&*sent.body, b" "].concat(), ..sent.clone() }
}

/// The arrival with another body, id, time and signature, one at a time.
pub(super) fn tampered(sent: &Arrival) -> Vec<Arrival> {
    let with = |name: &'static str, value: &str| {
        let mut other = sent.clone();
        other.headers.insert(name, value.parse().expect("ASCII"));
        other
    };
    let signature = sent.headers["webhook-signature"].to_str().expect("ASCII");
    let (version, text) = signature.split_once(',').expect("one entry");
    let first = if text.starts_with('A') { "B" } else { "A" };
    vec![
        longer(sent),
        with("webhook-id", "msg_2"),
        with("webhook-timestamp", &(now().as_secs() + 2).to_string()),
        with("webhook-timestamp", &(now().as_secs() - 400).to_string()),
        with("webhook-signature", &format!("{version},{first}{}", &text[1..])),
        with("webhook-signature", &format!("v9,{text}")),
    ]
}

/// What a service sent in one stage, and the keys that must verify it.
pub(super) struct Stage {
    pub(super) sent: Vec<Arrival>,
    pub(super) v1: Vec<VerifyingKey>,
    pub(super) v1a: Vec<VerifyingKey>,
}

/// One webhook through its life: with its first secret, during a rotation, and with a pair beside it.
pub(super) async fn deliveries() -> Vec<Stage> {
    let transport = RecordingTransport::new();
    let builder = Webhooks::builder(assist::catalog()).store(MemoryStore::new());
    let hooks = builder.transport(transport.clone()).build().expect("sound");
    let acme = hooks.tenant(TenantId::new("acme").expect("short"));
    let draft = WebhookDraft::new("hook", "https://hooks.example/").subscribe(assist::DEVICE_ADD);
    let created = acme.create(&draft).await.expect("created");
    let (hook_id, first) = (created.webhook().hook_id(), VerifyingKey::from(created.secret().clone()));

    let sent = deliver(&hooks, &acme, &transport).await;
    let alone = Stage { sent, v1: vec![first.clone()], v1a: vec![] };
    let second = acme.rotate_secret(hook_id, Rotation::default()).await.expect("rotated");
    let sent = deliver(&hooks, &acme, &transport).await;
    let rotated = Stage { sent, v1: vec![first.clone(), second.clone()], v1a: vec![] };
    let public = to_pair(&acme, hook_id).await;
    let sent = deliver(&hooks, &acme, &transport).await;
    let pair = Stage { sent, v1: vec![first, second], v1a: vec![public] };
    vec![alone, rotated, pair]
}

async fn to_pair(acme: &Tenant, hook_id: HookId) -> VerifyingKey {
    let options = DeliveryOptions::new().with_signature(SignatureScheme::V1a);
    acme.set_options(hook_id, options).await.expect("set");
    acme.reveal_secret(hook_id).await.expect("revealed")
}

async fn deliver(hooks: &Webhooks, acme: &Tenant, transport: &RecordingTransport) -> Vec<Arrival> {
    let before = transport.requests().len();
    for name in ["LAB-4", "Büro 日本 🚀"] {
        let event = Event::new(assist::DEVICE_ADD, &serde_json::json!({"deviceName": name})).expect("JSON");
        acme.publish(event).await.expect("published");
    }
    hooks.deliver_due().await.expect("delivered");
    transport.requests().split_off(before).into_iter().map(arrived).collect()
}

fn arrived(request: Request<Bytes>) -> Arrival {
    Arrival { headers: request.headers().clone(), body: request.body().to_vec() }
}

/// Events in the envelope of CloudEvents, as a service sends them, each with what it says.
pub(super) async fn cloud_events() -> Vec<(Arrival, Value)> {
    let transport = RecordingTransport::new();
    let builder = Webhooks::builder(assist::catalog()).store(MemoryStore::new());
    let hooks = builder.transport(transport.clone()).build().expect("sound");
    let tenant = hooks.tenant(TenantId::new("a/b c").expect("short"));
    let draft = WebhookDraft::new("hook", "https://hooks.example/").subscribe(assist::DEVICE_ADD);
    let hook_id = tenant.create(&draft).await.expect("created").webhook().hook_id();
    let options = DeliveryOptions::new().with_envelope(EnvelopeKind::CloudEvents);
    tenant.set_options(hook_id, options).await.expect("set");
    let mut all = Vec::new();
    for (number, data) in
        [json!({"deviceName": "B\u{fc}ro", "n": [1.5, null]}), json!("text"), Value::Null].iter().enumerate()
    {
        let id = MessageId::new(format!("msg_{number}")).expect("short");
        let event = Event::new(assist::DEVICE_ADD, data).expect("JSON").message_id(id);
        let event = event.at(Timestamp::from_millis(1_688_928_870_551));
        tenant.publish(event).await.expect("published");
        hooks.deliver_due().await.expect("delivered");
        let expected = json!({
            "specversion": "1.0", "id": format!("msg_{number}"), "source": "/tenants/a%2Fb%20c", "type": "DEVICE_ADD",
            "time": 1_688_928_870_551_i64, "datacontenttype": "application/json", "data": data,
        });
        all.push((arrived(transport.requests().pop().expect("delivered")), expected));
    }
    all
}
