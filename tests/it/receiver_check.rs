//! Pings that nobody takes for events, and the check whether a receiver verifies what it gets.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use hookwire::clock::ManualClock;
use hookwire::model::{DeliveryOptions, FailureKind, Rule, SignatureScheme, Timestamp};
use hookwire::service::{ProbeKind, ReceiverCheck, Tenant, Verdict};
use hookwire::signature::{GitHubVerifier, StripeVerifier, Verifier, VerifyingKey};
use hookwire::store::MemoryStore;
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Event, HookId, MessageId, TenantId, WebhookDraft, Webhooks, assist};
use http::Request;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

type Keys = Arc<OnceLock<VerifyingKey>>;

struct World {
    hooks: Webhooks,
    acme: Tenant,
    hook_id: HookId,
    transport: RecordingTransport,
}

impl World {
    /// One webhook, whose receiver answers so, given its key.
    async fn new(
        scheme: SignatureScheme,
        answer: impl Fn(&VerifyingKey, &Request<Bytes>) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let keys = Keys::default();
        let known = Arc::clone(&keys);
        let transport =
            RecordingTransport::answering(move |request, _| answer(known.get().expect("a key"), request));
        let clock = ManualClock::at(NOW);
        let hooks = Webhooks::builder(assist::catalog())
            .store(MemoryStore::with_clock(clock.clone()))
            .clock(clock)
            .transport(transport.clone())
            .build()
            .expect("sound");
        let acme = hooks.tenant(TenantId::new("acme").expect("a short name"));
        let draft = WebhookDraft::new("a", "https://a.example/").subscribe(assist::DEVICE_ONLINE);
        let hook_id = acme.create(&draft).await.expect("sound").webhook().hook_id();
        let options = DeliveryOptions::new().with_signature(scheme);
        acme.set_options(hook_id, options).await.expect("there");
        keys.set(acme.reveal_secret(hook_id).await.expect("there")).expect("once");
        Self { hooks, acme, hook_id, transport }
    }

    async fn check(&self) -> ReceiverCheck {
        self.acme.check_receiver(self.hook_id).await.expect("checked")
    }
}

fn verifies(scheme: SignatureScheme, key: &VerifyingKey, request: &Request<Bytes>, body: &[u8]) -> bool {
    let (headers, text) = (request.headers(), key.expose());
    match scheme {
        SignatureScheme::GitHub => GitHubVerifier::new([&*text]).verify(headers, body).is_ok(),
        SignatureScheme::Stripe => StripeVerifier::new([&*text]).verify(headers, body, NOW).is_ok(),
        _ => Verifier::new([key.clone()]).verify(headers, body, NOW).is_ok(),
    }
}

fn judged(is_accepted: bool) -> Answer {
    Answer::status(if is_accepted { 204 } else { 401 })
}

fn failed(check: &ReceiverCheck) -> Vec<ProbeKind> {
    check.probes.iter().filter(|probe| probe.verdict == Verdict::Failed).map(|probe| probe.kind).collect()
}

#[tokio::test]
async fn a_receiver_that_verifies_passes_in_every_scheme() {
    use SignatureScheme::{GitHub, Stripe, V1, V1a};
    for (scheme, probes) in [(V1, 5), (V1a, 5), (GitHub, 4), (Stripe, 5)] {
        let world = World::new(scheme, move |key, it| judged(verifies(scheme, key, it, it.body()))).await;
        let check = world.check().await;
        assert!(check.is_passed() && check.probes.len() == probes, "{scheme:?}: {check:?}");
        assert_eq!(check.to_string(), "your endpoint accepts what is authentic, and nothing else");
        assert!(world.transport.requests().iter().all(|it| it.headers()["webhook-ping"] == "check"));
        assert_eq!(world.acme.details(world.hook_id).await.expect("there").failing_since, None);
    }
}

#[tokio::test]
async fn a_receiver_that_accepts_forgeries_is_told_so() {
    let world = World::new(SignatureScheme::V1, |_, _| judged(true)).await;
    let check = world.check().await;
    let all = [ProbeKind::WrongSignature, ProbeKind::ChangedBody, ProbeKind::OldTimestamp];
    assert_eq!(failed(&check), all);
    assert!(check.to_string().starts_with("your endpoint accepts forgeries"), "{check}");
    assert_eq!(check.to_string().lines().count(), 3, "{check}");
}

#[tokio::test]
async fn each_thing_that_a_receiver_forgets_is_found_by_itself() {
    let scheme = SignatureScheme::V1;
    let ignores_body = move |key: &VerifyingKey, it: &Request<Bytes>| {
        judged(verifies(scheme, key, it, br#"{"type":"ping"}"#))
    };
    assert_eq!(failed(&World::new(scheme, ignores_body).await.check().await), [ProbeKind::ChangedBody]);
    let ignores_time = |key: &VerifyingKey, it: &Request<Bytes>| {
        let sent: i64 =
            it.headers()["webhook-timestamp"].to_str().expect("digits").parse().expect("a number");
        let verifier = Verifier::new([key.clone()]);
        judged(verifier.verify(it.headers(), it.body(), Timestamp::from_secs(sent)).is_ok())
    };
    assert_eq!(failed(&World::new(scheme, ignores_time).await.check().await), [ProbeKind::OldTimestamp]);
    let handled = Mutex::new(HashSet::new());
    let refuses_repeats = move |key: &VerifyingKey, it: &Request<Bytes>| {
        let id = it.headers()["webhook-id"].clone();
        let is_new = || handled.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        judged(verifies(scheme, key, it, it.body()) && is_new())
    };
    assert_eq!(failed(&World::new(scheme, refuses_repeats).await.check().await), [ProbeKind::Repeated]);
}

#[tokio::test]
async fn a_receiver_that_accepts_nothing_is_asked_once() {
    let silent = |_: &VerifyingKey, _: &Request<Bytes>| Answer::fail(FailureKind::Connect);
    let refusing = World::new(SignatureScheme::V1, |_, _| judged(false)).await.check().await;
    assert_eq!((failed(&refusing), refusing.probes.len()), (vec![ProbeKind::Valid], 1), "{refusing:?}");
    assert!(refusing.to_string().contains("check its secret"), "{refusing}");
    let unreached = World::new(SignatureScheme::V1, silent).await.check().await;
    assert_eq!((failed(&unreached), unreached.probes.len()), (vec![], 1), "{unreached:?}");
    assert!(!unreached.is_passed() && unreached.to_string().contains("could not connect"), "{unreached}");
}

#[tokio::test]
async fn a_receiver_that_breaks_is_not_accused_of_accepting() {
    for status in [500, 503, 429, 408, 302] {
        let world = World::new(SignatureScheme::V1, move |key, it| {
            Answer::status(if verifies(SignatureScheme::V1, key, it, it.body()) { 200 } else { status })
        })
        .await;
        let check = world.check().await;
        assert!(!check.is_passed() && failed(&check).is_empty(), "{status}: {check:?}");
        let told = format!("your endpoint gave no clear answer to a forged signature (answered {status}");
        assert!(check.to_string().starts_with(&told), "{check}");
    }
}

#[tokio::test]
async fn what_is_signed_says_that_a_ping_is_a_test() {
    let world = World::new(SignatureScheme::V1, |_, _| judged(true)).await;
    let key = world.acme.reveal_secret(world.hook_id).await.expect("there");
    assert!(world.acme.ping(world.hook_id).await.expect("pinged").is_success());
    assert!(world.acme.ping_event(world.hook_id, assist::DEVICE_ONLINE).await.expect("pinged").is_success());
    let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({})).expect("JSON");
    world.acme.publish(event).await.expect("published");
    world.hooks.deliver_due().await.expect("delivered");
    let verifier = Verifier::new([key]);
    let is_test =
        |it: &Request<Bytes>| verifier.verify(it.headers(), it.body(), NOW).expect("signed").is_test();
    let told: Vec<_> = world.transport.requests().iter().map(is_test).collect();
    assert_eq!(told, [true, true, false]);
}

#[tokio::test]
async fn nothing_is_published_as_a_test() {
    let world = World::new(SignatureScheme::V1, |_, _| judged(true)).await;
    let id = MessageId::new("test_1").expect("valid");
    let event =
        || Event::new(assist::DEVICE_ONLINE, &serde_json::json!({})).expect("JSON").message_id(id.clone());
    let broken = |error: hookwire::Error| {
        error.violations().iter().map(|it| (it.field().to_owned(), it.rule())).collect::<Vec<_>>()
    };
    let right = [("message_id".to_owned(), Rule::Reserved)];
    assert_eq!(broken(world.acme.publish(event()).await.expect_err("reserved")), right);
    assert_eq!(broken(world.acme.check(&event()).expect_err("reserved")), right);
    assert!(world.acme.explain(&id).await.is_err(), "nothing is changed");
}
