//! Secrets leave where they are asked for, and nowhere by accident.

use std::fmt::{self, Debug};
use std::time::Duration;

use hookwire::clock::ManualClock;
use hookwire::model::{DeliveryOptions, KeyId, SealedSecrets, SignatureScheme};
use hookwire::sealing::{SealingKey, SealingKeys};
use hookwire::service::Rotation;
use hookwire::signature::{
    GitHubVerifier, KeyRing, PrivateKey, Secret, SigningKey, StripeVerifier, Verifier, VerifyingKey,
};
use hookwire::store::{ClaimRequest, HolderId, MemoryStore, Quota, Store};
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{DeliveryQuery, Event, TenantId, WebhookDraft, Webhooks, assist};

use crate::support::log::Log;
use crate::support::material::Material;
use crate::support::store::WatchedStore;

const SEALING: [u8; 32] = *b"the key that seals all the rest.";

fn sealing_keys() -> SealingKeys {
    SealingKeys::new(SealingKey::new(KeyId::new("2026").expect("short"), SEALING))
}

/// The texts that a run showed, and the keys that it had.
#[derive(Default)]
struct Shown {
    texts: Vec<String>,
    keys: Vec<Material>,
}

impl Shown {
    fn debug(&mut self, value: &impl Debug) {
        self.texts.extend([format!("{value:?}"), format!("{value:#?}")]);
    }

    fn error(&mut self, error: &(dyn std::error::Error + 'static)) {
        let chain = std::iter::successors(Some(error), |error| error.source());
        self.texts.extend(chain.map(ToString::to_string));
        self.texts.push(format!("{error:?}"));
    }

    fn key(&mut self, text: &str) {
        self.keys.push(Material::in_text(text));
    }

    /// The texts in which a key shows.
    fn leaks(&self) -> Vec<&String> {
        self.texts.iter().filter(|text| self.keys.iter().any(|key| key.shows_in(text))).collect()
    }
}

struct World {
    hooks: Webhooks,
    store: WatchedStore,
    transport: RecordingTransport,
    clock: ManualClock,
}

/// A service whose receivers fail at first.
fn world(keys: Option<SealingKeys>) -> World {
    let clock = ManualClock::default();
    let store = WatchedStore::new(MemoryStore::with_clock(clock.clone()));
    let transport = RecordingTransport::answering(|_, nth| Answer::status(if nth < 1 { 500 } else { 200 }));
    let builder = Webhooks::builder(assist::catalog()).store(store.clone()).transport(transport.clone());
    let builder = builder.clock(clock.clone());
    let builder = match keys {
        Some(keys) => builder.seal_with(keys),
        None => builder,
    };
    World { hooks: builder.build().expect("sound"), store, transport, clock }
}

/// Registers, publishes, fails, delivers, rotates and reveals, and looks at everything on the way.
async fn run(world: &World) -> Shown {
    let (mut shown, hooks) = (Shown::default(), &world.hooks);
    let acme = hooks.tenant(TenantId::new("acme").expect("short"));
    let draft = WebhookDraft::new("hook", "https://hooks.example/").subscribe(assist::DEVICE_ADD);
    let created = acme.create(&draft).await.expect("created");
    let hook_id = created.webhook().hook_id();
    shown.key(&created.secret().expose());
    shown.debug(&created);
    for _ in 0..2 {
        acme.publish(Event::new(assist::DEVICE_ADD, &1).expect("JSON")).await.expect("published");
    }
    hooks.deliver_due().await.expect("one fails");
    world.clock.advance(Duration::from_secs(60));
    hooks.deliver_due().await.expect("delivered");
    assert_eq!(world.transport.requests().len(), 3);
    let rotated = acme.rotate_secret(hook_id, Rotation::default()).await.expect("rotated");
    shown.key(&rotated.expose());
    shown.debug(&rotated);
    shown.debug(&acme.reveal_secret(hook_id).await.expect("revealed"));
    let asymmetric = DeliveryOptions::new().with_signature(SignatureScheme::V1a);
    acme.set_options(hook_id, asymmetric).await.expect("set");
    look(world, &mut shown).await;
    shown
}

/// Looks at what there is after a run.
async fn look(World { hooks, store, transport, .. }: &World, shown: &mut Shown) {
    let tenant = TenantId::new("acme").expect("short");
    let acme = hooks.tenant(tenant.clone()).for_operator();
    let registry = store.registry(&tenant).await.expect("in memory");
    let registered = &registry.webhooks[0];
    let hook_id = registered.hook_id();
    let clear = sealing_keys().open(&registered.secrets, (&tenant, hook_id)).expect("its key");
    let ring = KeyRing::read(&clear).expect("a ring");
    shown.key(&ring.current().expose());
    shown.keys.push(Material::of(&SEALING));
    acme.publish(Event::new(assist::DEVICE_ADD, &1).expect("JSON")).await.expect("published");
    let request = ClaimRequest {
        holder: HolderId::new(7),
        lease: Duration::from_secs(60),
        limit: 9,
        max_bytes: usize::MAX,
        quota: Quota::default(),
        start_within: Duration::from_secs(1),
    };
    let claimed = store.claim(&request).await.expect("in memory");
    assert_eq!(claimed.deliveries.len(), 1);
    let details = acme.details(hook_id).await.expect("there");
    shown.texts.push(serde_json::to_string(&(&details.webhook, &details.options)).expect("JSON"));
    shown.debug(&(&ring, &claimed, &registry, details, hooks, &acme));
    shown.debug(&(store, transport, acme.list().await, acme.deliveries(&DeliveryQuery::new()).await));
    let copied = SealedSecrets::new(registered.secrets.expose()[..40].to_vec());
    store.overwrite(&tenant, |it| it.secrets = copied.clone()).await;
    shown.error(&acme.reveal_secret(hook_id).await.expect_err("broken"));
}

#[tokio::test]
async fn no_secret_shows_in_debug_json_errors_or_logs() {
    let log = Log::default();
    let guard = log.record_thread();
    let mut shown = run(&world(Some(sealing_keys()))).await;
    drop(guard);
    let text = log.text();
    for part in ["DEBUG hookwire::dispatcher", "the secret was rotated", "the secret was revealed"] {
        assert!(text.contains(part), "the log is whole: {part}");
    }
    shown.texts.push(text);
    assert!(shown.texts.len() > 10 && shown.keys.len() == 4);
    assert_eq!(shown.leaks(), [""; 0]);
}

/// Without keys what is stored is in clear, and shows no more for that.
#[tokio::test]
async fn no_secret_shows_on_a_service_without_keys_either() {
    let log = Log::default();
    let guard = log.record_thread();
    let mut shown = run(&world(None)).await;
    drop(guard);
    shown.texts.push(log.text());
    assert_eq!(shown.leaks(), [""; 0]);
}

/// A type that prints its key, and a log that tells it, to see them found.
#[test]
fn a_secret_that_shows_is_found() {
    struct Careless(Secret);

    impl Debug for Careless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "Careless({})", *self.0.expose())
        }
    }

    let secret = Secret::from_random(SEALING);
    let log = Log::default();
    let guard = log.record_thread();
    tracing::trace!(secret = %*secret.expose(), "planted");
    drop(guard);
    let mut shown = Shown::default();
    shown.key(&secret.expose());
    shown.debug(&Careless(secret));
    shown.texts.push(log.text());
    assert_eq!(shown.leaks().len(), 3);
}

#[test]
fn keys_and_what_holds_them_print_redacted() {
    let (secret, private) = (Secret::from_random(SEALING), PrivateKey::from_random(SEALING));
    let mut shown = Shown::default();
    shown.key(&secret.expose());
    let ring = KeyRing::new(secret.clone()).rotate(private.clone(), Duration::MAX, Default::default());
    shown.debug(&SealedSecrets::new(ring.expose().to_vec()));
    shown.debug(&(&ring, SigningKey::from(secret.clone()), SigningKey::from(private.clone())));
    shown.debug(&(&secret, &private, VerifyingKey::from(secret.clone()), sealing_keys()));
    let (github, stripe) =
        (GitHubVerifier::new([&*secret.expose()]), StripeVerifier::new([&*secret.expose()]));
    shown.debug(&(Verifier::new([secret.clone()]), github, stripe));
    shown.debug(&Webhooks::builder(assist::catalog()).seal_with(sealing_keys()));
    for text in
        [format!("{}!", *secret.expose()), "whsk_AAAA".into(), format!("whsk_{}", &secret.expose()[6..])]
    {
        shown.error(&text.parse::<SigningKey>().expect_err("broken"));
    }
    assert_eq!(shown.leaks(), [""; 0]);
}

#[tokio::test]
async fn the_log_tells_who_had_a_secret_revealed_or_rotated() {
    let log = Log::default();
    let guard = log.record_thread();
    run(&world(None)).await;
    drop(guard);
    let text = log.text();
    let notes: Vec<_> = text.lines().filter(|line| line.contains("the secret was")).collect();
    let note = |what| format!("INFO hookwire: message=the secret was {what} tenant=acme webhook=1");
    assert_eq!(notes, [note("rotated"), note("revealed"), note("rotated")]);
}
