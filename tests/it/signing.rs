//! Signing: the key of each scheme, rotation, and a signer of the host's own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::clock::{Clock, ManualClock};
use hookwire::model::{
    DeliveryOptions, DeliveryState, FailureKind, HookId, MessageId, Outcome, Scope, Scopes, SignatureScheme,
    Timestamp,
};
use hookwire::service::{Created, PingOutcome, Rotation, Tenant, WebhooksBuilder};
use hookwire::signature::{
    GitHubVerifier, KeyRing, Message, PrivateKey, Secret, Signature, StripeVerifier, Verifier, VerifyError,
    VerifyingKey,
};
use hookwire::signer::{SignError, Signer};
use hookwire::store::MemoryStore;
use hookwire::testing::{Answer, RecordingTransport, TokioClock};
use hookwire::{DeliveryQuery, Event, TenantId, WebhookDraft, Webhooks, assist};
use http::Request;
use serde_json::json;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct World {
    hooks: Webhooks,
    acme: Tenant,
    transport: RecordingTransport,
    clock: ManualClock,
}

impl World {
    fn new() -> Self {
        Self::build(|builder| builder)
    }

    fn build(configure: impl FnOnce(WebhooksBuilder) -> WebhooksBuilder) -> Self {
        let (transport, clock) =
            (RecordingTransport::new(), ManualClock::at(Timestamp::from_secs(1_700_000_000)));
        let builder = Webhooks::builder(assist::catalog())
            .store(MemoryStore::with_clock(clock.clone()))
            .transport(transport.clone())
            .clock(clock.clone());
        let hooks = configure(builder).build().expect("sound");
        let acme = hooks.tenant(TenantId::new("acme").expect("short"));
        Self { hooks, acme, transport, clock }
    }

    async fn create(&self) -> Created {
        let draft = WebhookDraft::new("hook", "https://hooks.example/").subscribe(assist::DEVICE_ADD);
        self.acme.create(&draft).await.expect("created")
    }

    async fn sign_by(&self, hook_id: HookId, scheme: SignatureScheme) -> VerifyingKey {
        let options = DeliveryOptions::new().with_signature(scheme);
        self.acme.set_options(hook_id, options).await.expect("set");
        self.acme.reveal_secret(hook_id).await.expect("revealed")
    }

    /// Publishes and delivers one event, and gives the request that left.
    async fn deliver(&self) -> Request<Bytes> {
        let event = Event::new(assist::DEVICE_ADD, &json!({"deviceName": "Büro-4"})).expect("JSON");
        self.acme.publish(event).await.expect("published");
        self.hooks.deliver_due().await.expect("delivered");
        self.transport.requests().pop().expect("sent")
    }

    fn verify(&self, key: &VerifyingKey, sent: &Request<Bytes>) -> Result<(), VerifyError> {
        let verifier = Verifier::new([key.clone()]);
        verifier.verify(sent.headers(), sent.body(), self.clock.now()).map(|_| ())
    }
}

#[tokio::test]
async fn a_webhook_changes_between_secret_and_pair_without_a_gap() {
    let world = World::new();
    let created = world.create().await;
    let (hook_id, secret) = (created.webhook().hook_id(), VerifyingKey::from(created.secret().clone()));
    let public = world.sign_by(hook_id, SignatureScheme::V1a).await;
    assert!(matches!(public, VerifyingKey::Public(_)), "the private half stays");
    let sent = world.deliver().await;
    assert_eq!((world.verify(&secret, &sent), world.verify(&public, &sent)), (Ok(()), Ok(())));
    world.clock.advance(DAY);
    let sent = world.deliver().await;
    assert_eq!(
        (world.verify(&secret, &sent), world.verify(&public, &sent)),
        (Err(VerifyError::NoMatch), Ok(()))
    );
    let new_secret = world.sign_by(hook_id, SignatureScheme::V1).await;
    let sent = world.deliver().await;
    assert_eq!((world.verify(&new_secret, &sent), world.verify(&public, &sent)), (Ok(()), Ok(())));
    assert_eq!(world.verify(&secret, &sent), Err(VerifyError::NoMatch), "the first secret is not used again");
}

#[tokio::test]
async fn a_rotation_keeps_the_kind_of_the_key_and_the_old_one_for_a_day() {
    for scheme in [SignatureScheme::V1, SignatureScheme::V1a] {
        let world = World::new();
        let hook_id = world.create().await.webhook().hook_id();
        let old = world.sign_by(hook_id, scheme).await;
        world.clock.advance(DAY);
        let new = world.acme.rotate_secret(hook_id, Rotation::default()).await.expect("rotated");
        assert_eq!(*new.expose(), *world.acme.reveal_secret(hook_id).await.expect("revealed").expose());
        assert_eq!(matches!(new, VerifyingKey::Public(_)), scheme.is_asymmetric());
        world.clock.advance(DAY - Duration::from_secs(1));
        let sent = world.deliver().await;
        assert_eq!((world.verify(&old, &sent), world.verify(&new, &sent)), (Ok(()), Ok(())));
        world.clock.advance(Duration::from_secs(1));
        let sent = world.deliver().await;
        assert_eq!(
            (world.verify(&old, &sent), world.verify(&new, &sent)),
            (Err(VerifyError::NoMatch), Ok(()))
        );
    }
}

#[tokio::test]
async fn options_that_leave_the_kind_of_key_leave_the_key() {
    let world = World::new();
    let created = world.create().await;
    let hook_id = created.webhook().hook_id();
    for scheme in [SignatureScheme::GitHub, SignatureScheme::Stripe, SignatureScheme::V1] {
        assert_eq!(*world.sign_by(hook_id, scheme).await.expose(), *created.secret().expose());
    }
}

#[tokio::test]
async fn the_forms_of_github_and_stripe_verify_by_the_text_of_the_secret() {
    let world = World::new();
    let hook_id = world.create().await.webhook().hook_id();
    let old = world.sign_by(hook_id, SignatureScheme::GitHub).await.expose();
    let sent = world.deliver().await;
    assert_eq!(GitHubVerifier::new([&*old]).verify(sent.headers(), sent.body()), Ok(()));
    assert!(!sent.headers().contains_key("webhook-signature") && sent.headers().contains_key("webhook-id"));
    let new = world.acme.rotate_secret(hook_id, Rotation::default()).await.expect("rotated").expose();
    let sent = world.deliver().await;
    assert_eq!(GitHubVerifier::new([&*new]).verify(sent.headers(), sent.body()), Ok(()), "room for one");
    world.sign_by(hook_id, SignatureScheme::Stripe).await;
    let sent = world.deliver().await;
    for secret in [old, new] {
        let verified = StripeVerifier::new([&*secret]).verify(sent.headers(), sent.body(), world.clock.now());
        assert_eq!(verified, Ok(world.clock.now()));
    }
}

#[tokio::test]
async fn pings_of_a_webhook_are_signed_by_its_scheme() {
    let world = World::new();
    let hook_id = world.create().await.webhook().hook_id();
    let public = world.sign_by(hook_id, SignatureScheme::V1a).await;
    assert!(world.acme.ping_event(hook_id, assist::DEVICE_ADD).await.expect("sent").is_success());
    let sent = world.transport.requests().pop().expect("sent");
    assert_eq!(world.verify(&public, &sent), Ok(()));
}

#[tokio::test]
async fn a_private_key_shows_nowhere() {
    let world = World::new();
    let hook_id = world.create().await.webhook().hook_id();
    let public = world.sign_by(hook_id, SignatureScheme::V1a).await;
    let rotated = world.acme.rotate_secret(hook_id, Rotation::default()).await.expect("rotated");
    let details = world.acme.details(hook_id).await.expect("there");
    for text in [public.expose().to_string(), rotated.expose().to_string(), format!("{details:?}")] {
        assert!(!text.contains("whsk_"), "{text}");
    }
    let narrowed = world.acme.with_scopes(Scopes::none().with(Scope::Read));
    assert!(narrowed.set_options(hook_id, DeliveryOptions::new()).await.is_err());
}

/// A call of a signer, with its arguments.
type Asked = (String, HookId, SignatureScheme, MessageId, Timestamp, Bytes);

/// A key service of the host's own, that signs by what `act` tells.
#[derive(Debug)]
struct KeyService {
    act: Act,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Fail,
    Hang,
    Nothing,
    Panic,
    Sign,
}

const SERVICE_SECRET: [u8; 32] = [9; 32];

#[async_trait]
impl Signer for KeyService {
    async fn sign(
        &self,
        tenant: &TenantId,
        hook_id: HookId,
        message: &Message<'_>,
    ) -> Result<Vec<Signature>, SignError> {
        let Message { scheme, id, at, body } = *message;
        let asked = (tenant.to_string(), hook_id, scheme, id.clone(), at, Bytes::copy_from_slice(body));
        self.asked.lock().expect("whole").push(asked);
        match self.act {
            Act::Fail => Err(SignError::new("key 7 at 10.0.0.9 is disabled")),
            Act::Hang => std::future::pending().await,
            Act::Nothing => Ok(Vec::new()),
            Act::Panic => panic!("planted"),
            Act::Sign => Ok(KeyRing::new(Secret::from_random(SERVICE_SECRET)).sign(message)),
        }
    }
}

impl World {
    fn signing(act: Act) -> (Self, Arc<Mutex<Vec<Asked>>>) {
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let signer = KeyService { act, asked: Arc::clone(&asked) };
        (Self::build(|builder| builder.signer(signer)), asked)
    }
}

#[tokio::test]
async fn a_signer_of_the_hosts_own_signs_what_it_is_told() {
    let (world, asked) = World::signing(Act::Sign);
    let created = world.create().await;
    let sent = world.deliver().await;
    let key = VerifyingKey::from(Secret::from_random(SERVICE_SECRET));
    assert_eq!(world.verify(&key, &sent), Ok(()));
    assert_eq!(world.verify(&created.secret().clone().into(), &sent), Err(VerifyError::NoMatch));
    let id = MessageId::new(sent.headers()["webhook-id"].to_str().expect("ASCII")).expect("an id");
    let (hook_id, now) = (created.webhook().hook_id(), world.clock.now());
    let expected = ("acme".to_owned(), hook_id, SignatureScheme::V1, id, now, sent.body().clone());
    assert_eq!(*asked.lock().expect("whole"), [expected]);
}

/// Publishes, delivers what is due once, and gives the outcome; nothing may have been sent.
async fn unsigned(world: &World) -> (Outcome, DeliveryState) {
    let event = Event::new(assist::DEVICE_ADD, &1).expect("JSON");
    world.acme.publish(event).await.expect("published");
    world.hooks.deliver_due().await.expect("claimed");
    assert!(world.transport.requests().is_empty());
    let delivery = world.acme.deliveries(&DeliveryQuery::new()).await.expect("listed").items.remove(0);
    let mut attempts = world.acme.for_operator().attempts(delivery.id).await.expect("logged");
    (attempts.remove(0).outcome, delivery.state)
}

#[tokio::test(start_paused = true)]
async fn a_signer_that_fails_is_a_failed_attempt_which_is_tried_again() {
    for (act, told) in [
        (Act::Fail, "the request could not be signed: key 7 at 10.0.0.9 is disabled"),
        (Act::Nothing, "the request could not be signed: there is no signature that the scheme V1 can carry"),
        (Act::Hang, "the signer took longer than the deadline"),
        (Act::Panic, "the signer panicked"),
    ] {
        let (world, asked) = World::signing(act);
        world.create().await;
        let (outcome, state) = unsigned(&world).await;
        assert_eq!(outcome, Outcome::Failed { kind: FailureKind::Prepare, detail: told.to_owned() });
        assert!(!outcome.is_timeout() && !outcome.to_string().contains("10.0.0.9"), "{outcome}");
        assert_eq!(state, DeliveryState::Pending);
        world.clock.advance(Duration::from_secs(60));
        world.hooks.deliver_due().await.expect("claimed");
        assert_eq!(asked.lock().expect("whole").len(), 2, "{told}");
    }
}

#[tokio::test]
async fn a_ping_that_cannot_be_signed_says_so_and_sends_nothing() {
    for act in [Act::Fail, Act::Panic] {
        let (world, _) = World::signing(act);
        let hook_id = world.create().await.webhook().hook_id();
        let report = world.acme.ping_event(hook_id, assist::DEVICE_ADD).await.expect("reported");
        let PingOutcome::Sent(Outcome::Failed { kind, .. }) = &report.outcome else { panic!("{report:?}") };
        assert_eq!(*kind, FailureKind::Prepare);
        assert!(world.transport.requests().is_empty());
    }
}

/// A signer that takes most of the deadline leaves the transport the rest.
#[tokio::test(start_paused = true)]
async fn signing_and_sending_share_one_deadline() {
    #[derive(Debug)]
    struct Slow;

    #[async_trait]
    impl Signer for Slow {
        async fn sign(
            &self,
            _: &TenantId,
            _: HookId,
            message: &Message<'_>,
        ) -> Result<Vec<Signature>, SignError> {
            tokio::time::sleep(Duration::from_secs(10)).await;
            Ok(KeyRing::new(PrivateKey::from_random([1; 32])).sign(message))
        }
    }

    let clock = TokioClock::new();
    let transport = RecordingTransport::answering(|_, _| Answer::hang());
    let store = MemoryStore::with_clock(clock);
    let builder = Webhooks::builder(assist::catalog()).store(store).transport(transport.clone());
    let hooks = builder.clock(clock).signer(Slow).build().expect("sound");
    let acme = hooks.tenant(TenantId::new("acme").expect("short"));
    let draft = WebhookDraft::new("hook", "https://hooks.example/").subscribe(assist::DEVICE_ADD);
    acme.create(&draft).await.expect("created");
    acme.publish(Event::new(assist::DEVICE_ADD, &1).expect("JSON")).await.expect("published");
    hooks.deliver_due().await.expect("delivered");
    let delivery = acme.deliveries(&DeliveryQuery::new()).await.expect("listed").items.remove(0);
    let attempt = acme.attempts(delivery.id).await.expect("logged").remove(0);
    assert!(attempt.outcome.is_timeout(), "{attempt:?}");
    assert_eq!((transport.requests().len(), attempt.took), (1, Duration::from_secs(15)));
}
