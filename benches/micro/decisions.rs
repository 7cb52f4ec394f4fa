//! The pure decisions: routing, the envelope, the digest and the signature.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use hookwire::model::{EnvelopeKind, SignatureScheme};
use hookwire::routing::route;
use hookwire::signature::{KeyRing, Message, SigningKey};
use hookwire::{assist, envelope};

use crate::{event, registry, tenant};

/// Bytes of a payload: of an ordinary event, and of a large one.
const SIZES: [usize; 2] = [300, 64 * 1024];

#[divan::bench(args = [10, 100, 1_000, 10_000, 100_000])]
fn routing(bencher: Bencher<'_, '_>, webhooks: usize) {
    let (registry, catalog) = (registry(webhooks), assist::catalog());
    let event = event(1, 300);
    bencher.bench_local(|| route(black_box(&event), black_box(&registry), black_box(&catalog)));
}

#[divan::bench(args = SIZES)]
fn envelope_assist(bencher: Bencher<'_, '_>, bytes: usize) {
    build(bencher, EnvelopeKind::Assist, bytes);
}

#[divan::bench(args = SIZES)]
fn envelope_standard(bencher: Bencher<'_, '_>, bytes: usize) {
    build(bencher, EnvelopeKind::StandardWebhooks, bytes);
}

fn build(bencher: Bencher<'_, '_>, kind: EnvelopeKind, bytes: usize) {
    let event = event(1, bytes);
    let tenant = tenant(1);
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| envelope::body(kind, black_box(&event), "device.online", black_box(&tenant)));
}

#[divan::bench(args = SIZES)]
fn digest(bencher: Bencher<'_, '_>, bytes: usize) {
    let event = event(1, bytes);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| black_box(&event).digest());
}

#[divan::bench(args = SIZES)]
fn signed_v1(bencher: Bencher<'_, '_>, bytes: usize) {
    sign(bencher, SignatureScheme::V1, bytes);
}

#[divan::bench(args = SIZES)]
fn signed_v1a(bencher: Bencher<'_, '_>, bytes: usize) {
    sign(bencher, SignatureScheme::V1a, bytes);
}

/// Makes the signature and its headers.
fn sign(bencher: Bencher<'_, '_>, scheme: SignatureScheme, bytes: usize) {
    let event = event(1, bytes);
    let body = envelope::body(EnvelopeKind::StandardWebhooks, &event, "device.online", &tenant(1));
    let ring = KeyRing::new(SigningKey::from_random(scheme, [7; 32]));
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let message = Message { scheme, id: &event.message_id, at: event.time, body: black_box(&body) };
        message.headers(&ring.sign(&message))
    });
}
