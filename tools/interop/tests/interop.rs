//! What hookwire signs is verified by code that is not hookwire's, and the other way round.
//!
//! Run by `scripts/interop`, which installs that code.

mod support;

use hookwire::model::{Catalog, EnvelopeKind, EventType, SignatureScheme};
use hookwire::signature::{
    GitHubVerifier, KeyRing, PrivateKey, Secret, SigningKey, StripeVerifier, Verifier, VerifyError,
    VerifyingKey,
};
use hookwire::{EventId, assist};
use http::HeaderMap;
use interop::{Arrival, Foreign, Runtime};
use serde_json::json;

use support::{bodies, cloud_events, deliveries, longer, now, raw_bodies, sign, tampered, unsigned};

/// Every library that verifies `v1` and is not ours, but for the Rust one.
const V1: [Foreign; 5] = [
    Foreign::new(Runtime::Python, "standardwebhooks"),
    Foreign::new(Runtime::Python, "svix"),
    Foreign::new(Runtime::Python, "hmac"),
    Foreign::new(Runtime::Node, "standardwebhooks"),
    Foreign::new(Runtime::Node, "svix"),
];
const HMAC: Foreign = Foreign::new(Runtime::Python, "hmac");
const CRYPTOGRAPHY: Foreign = Foreign::new(Runtime::Python, "cryptography");
const GITHUB: [Foreign; 2] = [Foreign::new(Runtime::Python, "github"), Foreign::new(Runtime::Node, "github")];
const STRIPE: Foreign = Foreign::new(Runtime::Python, "stripe");

const CLOUD_EVENTS: Foreign = Foreign::new(Runtime::Python, "cloudevents");
const OPENAPI: Foreign = Foreign::new(Runtime::Python, "openapi");

fn all(verified: bool, number: usize) -> Vec<bool> {
    vec![verified; number]
}

/// By the Rust crate.
fn rust(key: &str, arrivals: &[Arrival]) -> Vec<bool> {
    let webhook = standardwebhooks::Webhook::new(key).expect("a key");
    arrivals.iter().map(|it| webhook.verify(&it.body, &it.headers).is_ok()).collect()
}

fn assert_every_v1(verified: bool, key: &str, arrivals: &[Arrival]) {
    let expected = all(verified, arrivals.len());
    assert_eq!(rust(key, arrivals), expected, "the Rust crate");
    for library in V1 {
        assert_eq!(library.verify(key, arrivals), expected, "{library:?}");
    }
}

fn secret(byte: u8) -> Secret {
    Secret::from_random([byte; 32])
}

#[test]
fn ours_are_verified_by_every_other_and_tampered_ones_by_none() {
    let ring = KeyRing::new(secret(1));
    let sent: Vec<_> = bodies().iter().map(|body| sign(&ring, SignatureScheme::V1, body)).collect();
    assert_every_v1(true, &secret(1).expose(), &sent);
    assert_every_v1(false, &secret(2).expose(), &sent);
    let tampered: Vec<_> = sent.iter().flat_map(tampered).collect();
    assert_every_v1(false, &secret(1).expose(), &tampered);
}

#[tokio::test]
async fn our_deliveries_are_verified_during_a_rotation_and_beside_a_pair() {
    let stranger = secret(9).expose();
    for stage in deliveries().await {
        assert_every_v1(false, &stranger, &stage.sent);
        for key in &stage.v1 {
            assert_every_v1(true, &key.expose(), &stage.sent);
        }
        for key in &stage.v1a {
            assert_eq!(CRYPTOGRAPHY.verify(&key.expose(), &stage.sent), all(true, stage.sent.len()));
        }
    }
}

/// What ours say of what others signed.
fn ours(verifier: &Verifier, arrivals: &[Arrival]) -> Vec<Result<(), VerifyError>> {
    arrivals.iter().map(|it| verifier.verify(&it.headers, &it.body, now()).map(|_| ())).collect()
}

#[test]
fn what_others_sign_is_verified_by_ours_and_tampered_ones_are_not() {
    let key = secret(1).expose();
    let (verifier, stranger) = (Verifier::new([secret(1)]), Verifier::new([secret(2)]));
    let unsigned: Vec<_> = bodies().iter().map(|body| unsigned(body)).collect();
    for library in V1 {
        for signed in library.sign(&key, &unsigned) {
            let one = std::slice::from_ref(&signed);
            assert_eq!(ours(&verifier, one), [Ok(())], "{library:?}");
            assert_eq!(ours(&stranger, one), [Err(VerifyError::NoMatch)], "{library:?}");
            let tampered = tampered(&signed);
            assert!(ours(&verifier, &tampered).iter().all(Result::is_err), "{library:?}");
        }
    }
}

#[test]
fn what_the_rust_crate_signs_is_verified_by_ours() {
    let webhook = standardwebhooks::Webhook::new(&secret(1).expose()).expect("a key");
    for body in bodies() {
        let mut arrival = unsigned(&body);
        let signature = webhook.sign("msg_1", now().as_secs(), &body).expect("UTF-8");
        arrival.headers.insert("webhook-signature", signature.parse().expect("ASCII"));
        assert_eq!(ours(&Verifier::new([secret(1)]), &[arrival]), [Ok(())]);
    }
}

#[test]
fn raw_bytes_are_signed_and_verified_alike() {
    let key = secret(1).expose();
    let raw = raw_bodies();
    let sent: Vec<_> =
        raw.iter().map(|body| sign(&KeyRing::new(secret(1)), SignatureScheme::V1, body)).collect();
    assert_eq!(HMAC.verify(&key, &sent), all(true, sent.len()));
    let unsigned: Vec<_> = raw.iter().map(|body| unsigned(body)).collect();
    let theirs = HMAC.sign(&key, &unsigned);
    assert_eq!(ours(&Verifier::new([secret(1)]), &theirs), vec![Ok(()); raw.len()]);
}

#[test]
fn v1a_agrees_with_cryptography() {
    let bodies = [bodies(), raw_bodies()].concat();
    let unsigned: Vec<_> = bodies.iter().map(|body| unsigned(body)).collect();
    for seed in 0..3 {
        let key = PrivateKey::from_random([seed; 32]);
        let (public, ring) = (VerifyingKey::from(key.public()), KeyRing::new(key.clone()));
        let sent: Vec<_> = bodies.iter().map(|body| sign(&ring, SignatureScheme::V1a, body)).collect();
        assert_eq!(CRYPTOGRAPHY.verify(&public.expose(), &sent), all(true, sent.len()));
        let tampered: Vec<_> = sent.iter().flat_map(tampered).collect();
        assert_eq!(CRYPTOGRAPHY.verify(&public.expose(), &tampered), all(false, tampered.len()));
        let theirs = CRYPTOGRAPHY.sign(&SigningKey::from(key).expose(), &unsigned);
        assert_eq!(ours(&Verifier::new([public]), &theirs), vec![Ok(()); bodies.len()]);
    }
}

#[test]
fn githubs_form_agrees_with_its_library_and_its_documentation() {
    let (ring, key) = (KeyRing::new(secret(1)), secret(1).expose());
    // The library knows no empty body.
    let bodies: Vec<_> = bodies().into_iter().filter(|body| !body.is_empty()).collect();
    let sent: Vec<_> = bodies.iter().map(|body| sign(&ring, SignatureScheme::GitHub, body)).collect();
    let other: Vec<_> = sent.iter().map(longer).collect();
    let unsigned: Vec<_> = bodies.iter().map(|body| unsigned(body)).collect();
    let verifier = GitHubVerifier::new([&*key]);
    for library in GITHUB {
        assert_eq!(library.verify(&key, &sent), all(true, sent.len()), "{library:?}");
        assert_eq!(library.verify(&key, &other), all(false, other.len()), "{library:?}");
        for theirs in library.sign(&key, &unsigned) {
            assert_eq!(verifier.verify(&theirs.headers, &theirs.body), Ok(()), "{library:?}");
            let refused = verifier.verify(&theirs.headers, &longer(&theirs).body);
            assert_eq!(refused, Err(VerifyError::NoMatch), "{library:?}");
        }
    }
}

#[test]
fn stripes_form_agrees_with_its_library_also_during_a_rotation() {
    let overlap = std::time::Duration::from_secs(60);
    let ring = KeyRing::new(secret(1)).rotate(secret(2), overlap, now());
    let sent: Vec<_> = bodies().iter().map(|body| sign(&ring, SignatureScheme::Stripe, body)).collect();
    let other: Vec<_> = sent.iter().map(longer).collect();
    let unsigned: Vec<_> = bodies().iter().map(|body| unsigned(body)).collect();
    for key in [secret(1).expose(), secret(2).expose()] {
        assert_eq!(STRIPE.verify(&key, &sent), all(true, sent.len()));
        assert_eq!(STRIPE.verify(&key, &other), all(false, other.len()));
        let verifier = StripeVerifier::new([&*key]);
        for theirs in STRIPE.sign(&key, &unsigned) {
            assert!(verifier.verify(&theirs.headers, &theirs.body, now()).is_ok());
            let refused = verifier.verify(&theirs.headers, &longer(&theirs).body, now());
            assert_eq!(refused, Err(VerifyError::NoMatch));
        }
    }
    assert_eq!(STRIPE.verify(&secret(3).expose(), &sent), all(false, sent.len()));
}

#[test]
fn the_description_of_a_catalog_is_openapi() {
    let events = EventType::new(EventId::new(1), "a", "A", &"sample").with_schema(json!({"type": "string"}));
    let ours = Catalog::builder().event(events.deprecated().in_module("M")).build().expect("sound");
    let mut broken = ours.openapi("A", "1");
    broken["webhooks"]["a"]["post"]["parameters"][0]["in"] = json!("nowhere");
    let kind = ours.get(EventId::new(1)).expect("in the catalog").clone();
    let events = Catalog::builder().event(kind).envelope(EnvelopeKind::CloudEvents).build().expect("sound");
    let documents = [
        assist::catalog().openapi("Zoho Assist", "1.0"),
        ours.openapi("A", "1"),
        events.openapi("A", "1"),
        broken,
    ];
    let arrivals = documents.map(|it| Arrival { headers: HeaderMap::new(), body: it.to_string().into() });
    assert_eq!(OPENAPI.verify("", &arrivals), [true, true, true, false]);
}

#[tokio::test]
async fn our_cloud_events_are_read_by_their_library_and_broken_ones_are_not() {
    for (sent, expected) in cloud_events().await {
        let body = String::from_utf8(sent.body.clone()).expect("JSON");
        let with = |body: String| Arrival { body: body.into(), ..sent.clone() };
        let mut plain = sent.clone();
        plain.headers.insert("content-type", "application/json".parse().expect("ASCII"));
        let arrivals = [
            sent.clone(),
            with(body.replacen("\"id\"", "\"ID\"", 1)),
            with(body.replacen("\"source\":\"", "\"source\":\"x", 1)),
            with(body.replacen("\"1.0\"", "\"0.9\"", 1)),
            plain,
        ];
        let verified = CLOUD_EVENTS.verify(&expected.to_string(), &arrivals);
        assert_eq!(verified, [true, false, false, false, false], "{body}");
    }
}
