//! Secrets that are sealed before a store sees them.

use std::error::Error as _;
use std::time::Duration;

use hookwire::clock::ManualClock;
use hookwire::model::{
    DeliveryOptions, DeliveryState, FailureKind, HookId, KeyId, Outcome, PageRequest, SealedSecrets,
    SignatureScheme, WebhookPatch,
};
use hookwire::registry::RegisteredWebhook;
use hookwire::sealing::{SealingKey, SealingKeys, UnsealError};
use hookwire::service::{PingOutcome, Rotation, Tenant};
use hookwire::signature::{KeyRing, Verifier};
use hookwire::store::{Durability, MemoryStore, SqliteStore, Store};
use hookwire::testing::RecordingTransport;
use hookwire::{DeliveryQuery, Error, ErrorKind, Event, TenantId, WebhookDraft, Webhooks, assist};

use crate::sqlite::Directory;
use crate::support::material::Material;
use crate::support::store::WatchedStore;

fn id(text: &str) -> KeyId {
    KeyId::new(text).expect("short")
}

/// The key of this name, and no other.
fn only(name: &str) -> SealingKeys {
    SealingKeys::new(key(name))
}

fn key(name: &str) -> SealingKey {
    SealingKey::new(id(name), bytes(name))
}

/// Not all alike, so that they are not found by chance.
fn bytes(name: &str) -> [u8; 32] {
    std::array::from_fn(|at| {
        name.as_bytes()[at % name.len()].wrapping_add(u8::try_from(7 * at).expect("small"))
    })
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("short")
}

fn draft() -> WebhookDraft {
    WebhookDraft::new("hook", "https://hooks.example/").subscribe(assist::DEVICE_ADD)
}

/// A store on which services with different keys can be run, one after the other.
struct World {
    store: WatchedStore,
    transport: RecordingTransport,
    clock: ManualClock,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::default();
        let store = WatchedStore::new(MemoryStore::with_clock(clock.clone()));
        Self { store, transport: RecordingTransport::new(), clock }
    }

    fn run(&self, keys: Option<SealingKeys>) -> Webhooks {
        service(self.store.clone(), &self.transport, &self.clock, keys)
    }

    async fn secrets(&self, of: &str) -> Vec<SealedSecrets> {
        let registry = self.store.registry(&tenant(of)).await.expect("in memory");
        registry.webhooks.into_iter().map(|it| it.secrets).collect()
    }
}

fn service(
    store: impl Store,
    transport: &RecordingTransport,
    clock: &ManualClock,
    keys: Option<SealingKeys>,
) -> Webhooks {
    let builder = Webhooks::builder(assist::catalog()).store(store);
    let builder = builder.transport(transport.clone()).clock(clock.clone());
    let builder = match keys {
        Some(keys) => builder.seal_with(keys),
        None => builder,
    };
    builder.build().expect("sound")
}

async fn create(hooks: &Webhooks, name: &str) -> (Tenant, HookId, Material) {
    let tenant = hooks.tenant(tenant(name));
    let created = tenant.create(&draft()).await.expect("created");
    let material = Material::in_text(&created.secret().expose());
    (tenant, created.webhook().hook_id(), material)
}

async fn publish(tenant: &Tenant) {
    tenant.publish(Event::new(assist::DEVICE_ADD, &1).expect("JSON")).await.expect("published");
}

/// A webhook's life, and the keys that it had.
async fn live(hooks: &Webhooks) -> Vec<Material> {
    let (acme, hook_id, first) = create(hooks, "acme").await;
    publish(&acme).await;
    hooks.deliver_due().await.expect("delivered");
    let second =
        Material::in_text(&acme.rotate_secret(hook_id, Rotation::default()).await.expect("rotated").expose());
    acme.patch(hook_id, &WebhookPatch::new().name("other")).await.expect("patched");
    acme.disable(hook_id).await.expect("disabled");
    let options = DeliveryOptions::new().with_signature(SignatureScheme::V1a);
    acme.set_options(hook_id, options).await.expect("set");
    hooks.reseal(&PageRequest::first()).await.expect("resealed");
    vec![first, second]
}

/// The private key, which no method of a tenant gives out.
fn private_key(secrets: &SealedSecrets, keys: &SealingKeys) -> Material {
    let clear = keys.open(secrets, (&tenant("acme"), HookId::new(1))).expect("its keys");
    let text = KeyRing::read(&clear).expect("a ring").current().expose();
    assert!(text.starts_with("whsk_"));
    Material::in_text(&text)
}

/// Whether the store was handed each of the keys that a webhook had in its life.
async fn seen_by_store(keys: Option<SealingKeys>) -> Vec<bool> {
    let world = World::new();
    let mut material = live(&world.run(keys)).await;
    material.push(private_key(&world.secrets("acme").await[0], &only("2026")));
    material.push(Material::of(&bytes("2026")));
    let seen = world.store.seen();
    assert!(!world.store.secrets().is_empty() && !seen.is_empty());
    material.iter().map(|key| key.shows_in(&seen)).collect()
}

#[tokio::test]
async fn no_store_sees_a_secret() {
    assert_eq!(seen_by_store(Some(only("2026"))).await, [false; 4]);
}

#[tokio::test]
async fn a_service_without_keys_is_found_by_the_same_check() {
    assert_eq!(seen_by_store(None).await, [true, true, true, false]);
}

/// Whether each key that a webhook had lies in the files of the embedded store.
async fn lies_on_disk(keys: Option<SealingKeys>) -> Vec<bool> {
    let directory = Directory::new();
    let options = SqliteStore::options().durability(Durability::ProcessCrash);
    let store = options.open(directory.file()).await.expect("a new file");
    let hooks = service(store, &RecordingTransport::new(), &ManualClock::default(), keys);
    let material = live(&hooks).await;
    let files = std::fs::read_dir(directory.root()).expect("the directory").flatten();
    let written: Vec<u8> =
        files.flat_map(|file| std::fs::read(file.path()).expect("a file of the store")).collect();
    material.iter().map(|key| key.shows_in(&written)).collect()
}

#[tokio::test]
async fn no_secret_lies_in_the_files_of_the_embedded_store() {
    assert_eq!(lies_on_disk(Some(only("2026"))).await, [false; 2]);
    assert_eq!(lies_on_disk(None).await, [true; 2], "the check finds what is there");
}

#[tokio::test]
async fn sealed_secrets_sign_and_are_revealed_as_ever() {
    let world = World::new();
    let hooks = world.run(Some(only("2026")));
    let acme = hooks.tenant(tenant("acme"));
    let created = acme.create(&draft()).await.expect("created");
    let hook_id = created.webhook().hook_id();
    let old = acme.reveal_secret(hook_id).await.expect("revealed");
    assert_eq!(*old.expose(), *created.secret().expose());
    let new = acme.rotate_secret(hook_id, Rotation::default()).await.expect("rotated");
    publish(&acme).await;
    hooks.deliver_due().await.expect("delivered");
    let sent = world.transport.requests().pop().expect("sent");
    let now = hookwire::clock::Clock::now(&world.clock);
    for key in [old, new] {
        assert!(Verifier::new([key]).verify(sent.headers(), sent.body(), now).is_ok());
    }
}

#[tokio::test]
async fn each_try_of_a_commit_has_a_nonce_of_its_own() {
    let world = World::new();
    let hooks = world.run(Some(only("2026")));
    world.store.conflict(3);
    create(&hooks, "acme").await;
    let mut nonces: Vec<_> = world.store.secrets().iter().map(|it| it.expose().slice(6..6 + 24)).collect();
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 4);
}

/// Why a webhook's secret could not be revealed.
async fn closed(tenant: &Tenant, hook_id: HookId) -> UnsealError {
    cause(&tenant.reveal_secret(hook_id).await.expect_err("closed"))
}

fn cause(error: &Error) -> UnsealError {
    assert_eq!(error.kind(), &ErrorKind::Store);
    error.source().and_then(|source| source.downcast_ref()).cloned().expect("the source is typed")
}

#[tokio::test]
async fn sealed_secrets_copied_to_another_webhook_do_not_open() {
    let world = World::new();
    let hooks = world.run(Some(only("2026")));
    let (acme, first, _) = create(&hooks, "acme").await;
    let (_, second, _) = create(&hooks, "acme").await;
    let (globex, same_id, _) = create(&hooks, "globex").await;
    assert_eq!(same_id, first, "only the tenant differs");
    let copied = world.secrets("acme").await.remove(0);
    let copy = |it: &mut RegisteredWebhook| it.secrets = copied.clone();
    world.store.overwrite(&tenant("acme"), copy).await;
    world.store.overwrite(&tenant("globex"), copy).await;
    assert!(acme.reveal_secret(first).await.is_ok());
    assert_eq!(closed(&acme, second).await, UnsealError::Broken(id("2026")));
    assert_eq!(closed(&globex, same_id).await, UnsealError::Broken(id("2026")));
    publish(&globex).await;
    hooks.deliver_due().await.expect("claimed");
    assert!(world.transport.requests().is_empty(), "nothing leaves that is not signed");
}

/// The last outcome of the tenant's only delivery, and its state.
async fn outcome(tenant: &Tenant) -> (Outcome, DeliveryState) {
    let delivery = tenant.deliveries(&DeliveryQuery::new()).await.expect("listed").items.remove(0);
    let mut attempts = tenant.attempts(delivery.id).await.expect("logged");
    (attempts.pop().expect("tried").outcome, delivery.state)
}

#[tokio::test]
async fn without_its_key_nothing_is_sent_and_the_key_is_named() {
    let world = World::new();
    let (_, hook_id, _) = create(&world.run(Some(only("2025"))), "acme").await;
    for keys in [None, Some(only("2026"))] {
        let acme = world.run(keys).tenant(tenant("acme")).for_operator();
        assert_eq!(closed(&acme, hook_id).await, UnsealError::NoKey(id("2025")));
        assert_eq!(
            cause(&acme.rotate_secret(hook_id, Rotation::default()).await.expect_err("closed")),
            UnsealError::NoKey(id("2025"))
        );
        let ping = acme.ping_event(hook_id, assist::DEVICE_ADD).await.expect("reported");
        let PingOutcome::Sent(Outcome::Failed { kind, detail }) = ping.outcome else { panic!("{ping:?}") };
        assert_eq!(kind, FailureKind::Prepare);
        assert!(detail.contains("`2025`"), "{detail}");
    }
    assert!(world.transport.requests().is_empty());
}

#[tokio::test]
async fn a_delivery_waits_for_the_key_that_is_missing() {
    let world = World::new();
    create(&world.run(Some(only("2025"))), "acme").await;
    let without = world.run(None);
    let acme = without.tenant(tenant("acme"));
    publish(&acme).await;
    without.deliver_due().await.expect("claimed");
    let (Outcome::Failed { kind, detail }, state) = outcome(&acme.for_operator()).await else {
        panic!("failed")
    };
    assert_eq!((kind, state), (FailureKind::Prepare, DeliveryState::Pending));
    assert!(detail.contains("`2025`"), "{detail}");
    let (shown, _) = outcome(&acme).await;
    assert!(!format!("{shown:?}").contains("2025"), "tenants see the class alone");
    world.clock.advance(Duration::from_secs(60));
    world.run(Some(only("2025"))).deliver_due().await.expect("delivered");
    assert_eq!(world.transport.requests().len(), 1);
}

#[tokio::test]
async fn what_was_stored_in_clear_opens_and_is_sealed_at_the_next_change() {
    let world = World::new();
    let (_, hook_id, material) = create(&world.run(None), "acme").await;
    let hooks = world.run(Some(only("2026")));
    let acme = hooks.tenant(tenant("acme"));
    let revealed = acme.reveal_secret(hook_id).await.expect("in clear");
    assert!(material.shows_in(revealed.expose().as_bytes()));
    assert!(material.shows_in(world.secrets("acme").await[0].expose()));
    acme.patch(hook_id, &WebhookPatch::new().name("other")).await.expect("patched");
    let stored = world.secrets("acme").await.remove(0);
    assert!(only("2026").is_current(&stored) && !material.shows_in(stored.expose()));
    let after = acme.reveal_secret(hook_id).await.expect("sealed");
    assert_eq!(*after.expose(), *revealed.expose());
}

#[tokio::test]
async fn what_does_not_open_stays_as_it_is_at_other_changes() {
    let world = World::new();
    let (_, hook_id, _) = create(&world.run(Some(only("2025"))), "acme").await;
    let before = world.secrets("acme").await.remove(0);
    let acme = world.run(Some(only("2026"))).tenant(tenant("acme"));
    acme.patch(hook_id, &WebhookPatch::new().name("other")).await.expect("patched");
    assert_eq!(world.secrets("acme").await[0].expose(), before.expose());
}

#[tokio::test]
async fn resealing_goes_over_all_tenants_so_that_an_old_key_can_be_dropped() {
    let world = World::new();
    create(&world.run(None), "clear").await;
    for name in ["acme", "acme", "globex"] {
        create(&world.run(Some(only("2025"))), name).await;
    }
    let both = only("2026").with_older(key("2025")).expect("another id");
    let (hooks, mut page, mut sealed, mut steps) = (world.run(Some(both)), PageRequest::first(), 0, 0);
    loop {
        let step = hooks.reseal(&page.clone().with_limit(1)).await.expect("in memory");
        assert_eq!(step.unopened, []);
        (sealed, steps) = (sealed + step.sealed, steps + 1);
        match step.next {
            Some(cursor) => page = PageRequest::after(cursor),
            None => break,
        }
    }
    assert_eq!(sealed, 4);
    assert!(steps >= 3, "a step is one page of tenants: {steps}");
    let new = world.run(Some(only("2026")));
    for (name, hooks) in [("clear", 1), ("acme", 2), ("globex", 1)] {
        for hook_id in 1..=hooks {
            let tenant = new.tenant(tenant(name));
            tenant.reveal_secret(HookId::new(hook_id)).await.expect("by the new key alone");
        }
    }
    assert_eq!(new.reseal(&PageRequest::first()).await.expect("in memory").sealed, 0, "nothing is left");
}

#[tokio::test]
async fn resealing_tells_what_does_not_open_and_does_the_rest() {
    let world = World::new();
    create(&world.run(Some(only("lost"))), "acme").await;
    create(&world.run(None), "globex").await;
    let step = world.run(Some(only("2026"))).reseal(&PageRequest::first()).await.expect("in memory");
    assert_eq!((step.sealed, step.next), (1, None));
    let [unopened] = &step.unopened[..] else { panic!("{:?}", step.unopened) };
    assert_eq!((&unopened.tenant, unopened.hook_id), (&tenant("acme"), HookId::new(1)));
    assert_eq!(unopened.error, UnsealError::NoKey(id("lost")));
    let without = world.run(None).reseal(&PageRequest::first()).await.expect("in memory");
    assert_eq!((without.sealed, without.unopened.len()), (0, 2), "without keys it changes nothing");
}
