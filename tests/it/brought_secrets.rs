//! What a team brings when it moves here: its customers' secrets, and the names of its headers.

use std::time::Duration;

use hookwire::clock::{Clock, SystemClock};
use hookwire::model::{DeliveryOptions, Rule, SignatureScheme, WebhookPatch};
use hookwire::service::{BuildError, Rotation, WebhooksBuilder};
use hookwire::signature::{Secret, Verifier, VerifyError};
use hookwire::store::MemoryStore;
use hookwire::testing::RecordingTransport;
use hookwire::{Error, Event, HookId, Tenant, TenantId, WebhookDraft, Webhooks, assist};
use http::{HeaderName, HeaderValue, Request};

/// 24 bytes, and 16.
const LONG: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SHORT: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZg==";

struct World {
    hooks: Webhooks,
    acme: Tenant,
    transport: RecordingTransport,
}

impl World {
    fn new(with: impl FnOnce(WebhooksBuilder) -> WebhooksBuilder) -> Self {
        let transport = RecordingTransport::new();
        let builder =
            Webhooks::builder(assist::catalog()).store(MemoryStore::new()).transport(transport.clone());
        let hooks = with(builder).build().expect("sound");
        let acme = hooks.tenant(TenantId::new("acme").expect("a short name"));
        Self { hooks, acme, transport }
    }

    async fn create(&self, draft: &WebhookDraft) -> HookId {
        self.acme.create(draft).await.expect("a sound draft").webhook().hook_id()
    }

    /// Delivers an event, and returns its request.
    async fn request(&self) -> Request<bytes::Bytes> {
        let event =
            Event::new(assist::DEVICE_ONLINE, &serde_json::json!({"deviceName": "LAB-4"})).expect("JSON");
        self.acme.publish(event).await.expect("published");
        self.hooks.deliver_due().await.expect("delivered");
        self.transport.requests().pop().expect("a request")
    }
}

fn plain(builder: WebhooksBuilder) -> WebhooksBuilder {
    builder
}

fn draft() -> WebhookDraft {
    WebhookDraft::new("a", "https://a.example/").subscribe(assist::DEVICE_ONLINE)
}

fn verify(secret: &str, request: &Request<bytes::Bytes>) -> Result<(), VerifyError> {
    let verifier = Verifier::new([secret.parse::<Secret>().expect("a secret")]);
    let now = SystemClock::default().now();
    verifier.verify(request.headers(), request.body(), now).map(drop)
}

/// The fields and rules of a refusal.
fn broken(error: &Error) -> Vec<(&str, Rule)> {
    error.violations().iter().map(|it| (it.field(), it.rule())).collect()
}

#[tokio::test]
async fn a_receiver_goes_on_with_the_secret_that_it_has() {
    let world = World::new(plain);
    let hook_id = world.create(&draft().secret(LONG)).await;
    assert_eq!(*world.acme.reveal_secret(hook_id).await.expect("there").expose(), *LONG);
    verify(LONG, &world.request().await).expect("the secret of before");
}

#[tokio::test]
async fn a_short_secret_needs_the_host_s_consent() {
    let refused = World::new(plain).acme.create(&draft().secret(SHORT)).await.expect_err("16 bytes");
    assert_eq!(broken(&refused), [("secret", Rule::TooShort)]);
    let world = World::new(WebhooksBuilder::accept_short_secrets);
    world.create(&draft().secret(SHORT)).await;
    verify(SHORT, &world.request().await).expect("a verifier reads what others made");
}

#[tokio::test]
async fn what_is_no_secret_is_refused_beside_every_other_violation_and_never_shown() {
    let world = World::new(WebhooksBuilder::accept_short_secrets);
    for text in
        ["", "whsec_", "whsec_MDEy", "s3cr3t-text", "whsk_AAAA", "whsec_MfKQ9r8 GKYqrTwjUPD8ILPZIo2LaLaSw"]
    {
        let error = world.acme.create(&WebhookDraft::new("", "https://a.example/").secret(text)).await;
        let error = error.expect_err("no secret");
        let found = [("name", Rule::Required), ("subscriptions", Rule::Required), ("secret", Rule::Format)];
        assert_eq!(broken(&error), found, "{text:?}");
        assert!(!format!("{error:?} {error}").contains("s3cr3t"), "{error}");
        let error = world.acme.create(&draft().secret(text)).await.expect_err("no secret");
        assert_eq!(broken(&error), [("secret", Rule::Format)], "{text:?}");
    }
    assert!(world.acme.list().await.expect("listed").is_empty(), "nothing is changed");
    assert!(!format!("{:?}", draft().secret(LONG)).contains(LONG));
}

#[tokio::test]
async fn a_replaced_webhook_keeps_its_secret() {
    let world = World::new(plain);
    let hook_id = world.create(&draft()).await;
    let error = world.acme.replace(hook_id, &draft().secret(LONG)).await.expect_err("a second secret");
    assert_eq!(broken(&error), [("secret", Rule::Reserved)]);
    world.acme.patch(hook_id, &WebhookPatch::new().name("b")).await.expect("sound");
    let json = serde_json::json!({"name": "a", "url": "https://a.example/", "secret": LONG,
        "subscriptions": [{"event_id": assist::DEVICE_ONLINE}]});
    let draft: WebhookDraft = serde_json::from_value(json).expect("every object is a draft");
    let created = world.acme.create(&draft).await.expect("unknown attributes are ignored");
    assert_ne!(*created.secret().expose(), *LONG, "JSON brings no secret");
}

#[tokio::test]
async fn a_rotation_says_its_overlap_and_may_bring_the_secret() {
    let world = World::new(plain);
    let hook_id = world.create(&draft().secret(LONG)).await;
    let brought = format!("{}abcd", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let new = world.acme.rotate_secret(hook_id, Rotation::default().secret(&brought)).await.expect("rotated");
    assert_eq!(*new.expose(), *brought);
    let request = world.request().await;
    verify(LONG, &request).expect("the old key signs along");
    verify(&brought, &request).expect("and the new one signs");
    let last = world.acme.rotate_secret(hook_id, Rotation::default().overlap(Duration::ZERO)).await;
    let last = last.expect("rotated").expose();
    let request = world.request().await;
    verify(&last, &request).expect("the new key signs");
    assert!(verify(&brought, &request).is_err(), "and the one that leaked does not");
    // Keys whose overlap was promised keep it.
    verify(LONG, &request).expect("the first one is in its overlap");
}

#[tokio::test]
async fn a_pair_of_keys_is_not_replaced_by_a_secret() {
    let world = World::new(plain);
    let hook_id = world.create(&draft()).await;
    let asymmetric = DeliveryOptions::new().with_signature(SignatureScheme::V1a);
    world.acme.set_options(hook_id, asymmetric).await.expect("there");
    for (text, rule) in [(LONG, Rule::Format), (SHORT, Rule::TooShort), ("whsk_AA==", Rule::Format)] {
        let error = world.acme.rotate_secret(hook_id, Rotation::default().secret(text)).await;
        assert_eq!(broken(&error.expect_err("no pair")), [("secret", rule)], "{text}");
    }
}

#[tokio::test]
async fn headers_come_under_the_host_s_prefix_too() {
    let agent = HeaderValue::from_static("Acme-Webhooks/2");
    let world = World::new(|builder| builder.header_prefix("svix").user_agent(agent.clone()));
    let hook_id = world.create(&draft()).await;
    let secret = world.acme.reveal_secret(hook_id).await.expect("there").expose();
    let request = world.request().await;
    let headers = request.headers();
    for ending in ["id", "timestamp", "signature"] {
        let named = |prefix: &str| headers.get(format!("{prefix}-{ending}"));
        assert!(named("svix").is_some() && named("svix") == named("webhook"), "{ending}: {headers:?}");
    }
    assert_eq!(headers["user-agent"], agent);
    verify(&secret, &request).expect("the standard headers are there");
    world.acme.ping_url("https://a.example/").await.expect("pinged");
    let ping = world.transport.requests().pop().expect("a request");
    assert_eq!(ping.headers()["user-agent"], agent);
}

#[tokio::test]
async fn a_webhook_s_own_header_does_not_replace_the_signature_s() {
    let world = World::new(|builder| builder.header_prefix("svix"));
    let hook_id = world.create(&draft()).await;
    let options = DeliveryOptions::new().with_header("svix-id", "mine").expect("a header");
    world.acme.set_options(hook_id, options).await.expect("there");
    let request = world.request().await;
    assert_eq!(request.headers()["svix-id"], request.headers()["webhook-id"]);
    assert_eq!(request.headers().get_all(HeaderName::from_static("svix-id")).iter().count(), 1);
}

#[test]
fn a_prefix_that_is_no_part_of_a_name_is_refused() {
    for prefix in ["", "x:", "a b", "\u{e9}", "svix\n"] {
        let builder = Webhooks::builder(assist::catalog()).store(MemoryStore::new());
        let error = builder.transport(RecordingTransport::new()).header_prefix(prefix).build().err();
        assert!(matches!(error, Some(BuildError::HeaderPrefix { .. })), "{prefix:?}");
    }
}
