//! [`Verifier`] for Standard Webhooks, and the parts that all verifiers share.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};
use thiserror::Error;

use super::headers::{WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};
use super::key::VerifyingKey;
use super::message::standard_parts;
use crate::model::{MessageId, Timestamp};

/// A verifier of requests that carry a Standard Webhooks signature, for receivers.
///
/// Secrets (`whsec_`) verify `v1`, public keys (`whpk_`) verify `v1a`. During a rotation, pass both the new and
/// the old key. A request may arrive more than once: store the ids of handled messages, or keep a
/// [`ReplayMemory`](super::ReplayMemory).
///
/// ```
/// use hookwire::signature::{Secret, Verifier, VerifyError};
/// use hookwire::model::Timestamp;
///
/// let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
/// let unsigned = http::HeaderMap::new();
/// let refused = Verifier::new([secret]).verify(&unsigned, b"{}", Timestamp::default());
/// assert!(matches!(refused, Err(VerifyError::MissingHeader(_))));
/// # Ok::<_, hookwire::signature::InvalidKey>(())
/// ```
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: Vec<VerifyingKey>,
    tolerance: Duration,
}

/// The number of entries of a signature header that are read, which bounds the cost of a long header. A
/// rotation sends two, and hookwire never sends more than eleven.
pub(super) const MAX_ENTRIES: usize = 32;

/// The default tolerance of timestamps: 5 minutes, as in the Standard Webhooks and Stripe libraries.
pub(super) const TOLERANCE: Duration = Duration::from_secs(5 * 60);

impl Verifier {
    /// Creates a verifier that accepts signatures of any of `keys`, and timestamps up to 5 minutes off, as
    /// the Standard Webhooks libraries do.
    pub fn new<K: Into<VerifyingKey>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self { keys: keys.into_iter().map(Into::into).collect(), tolerance: TOLERANCE }
    }

    /// Accepts timestamps up to `tolerance` before and after now.
    #[must_use]
    pub fn with_tolerance(self, tolerance: Duration) -> Self {
        Self { tolerance, ..self }
    }

    /// Verifies a request by its headers and the exact bytes of its body.
    ///
    /// # Errors
    ///
    /// Returns [`VerifyError`] if the request is not authentic. Answer it with 401 and do nothing else.
    pub fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: impl Into<Timestamp>,
    ) -> Result<Verified, VerifyError> {
        let id = single(headers, &WEBHOOK_ID)?;
        let timestamp = single(headers, &WEBHOOK_TIMESTAMP)?;
        let entries = Entries::parse(single(headers, &WEBHOOK_SIGNATURE)?);
        let sent_at = sent_at(timestamp).ok_or(VerifyError::MalformedHeader(WEBHOOK_TIMESTAMP))?;
        in_time(sent_at, self.tolerance, now.into())?;
        let content = standard_parts(id, timestamp, body).concat();
        if self.keys.iter().any(|key| entries.are_by(key, &content)) {
            Ok(Verified { message_id: id.to_owned(), sent_at, valid_for: self.tolerance })
        } else {
            Err(VerifyError::NoMatch)
        }
    }
}

/// The decoded entries of a signature header, by version. Other versions are skipped.
pub(super) struct Entries {
    v1: Vec<Vec<u8>>,
    v1a: Vec<Vec<u8>>,
}

impl Entries {
    pub(super) fn parse(header: &str) -> Self {
        let of = |version: &str| {
            let entries = header.split(' ').take(MAX_ENTRIES);
            let encoded = entries.filter_map(|entry| entry.strip_prefix(version)?.strip_prefix(','));
            encoded.filter_map(|text| STANDARD.decode(text).ok()).collect()
        };
        Self { v1: of("v1"), v1a: of("v1a") }
    }

    pub(super) fn are_by(&self, key: &VerifyingKey, content: &[u8]) -> bool {
        match key {
            VerifyingKey::Secret(key) => key.verifies(content, &self.v1),
            VerifyingKey::Public(key) => key.verifies(content, &self.v1a),
        }
    }
}

/// Parses a timestamp, which consists of digits only.
pub(super) fn sent_at(text: &str) -> Option<Timestamp> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).map(Timestamp::from_secs)
}

pub(super) fn in_time(sent_at: Timestamp, tolerance: Duration, now: Timestamp) -> Result<(), VerifyError> {
    let now = Timestamp::from_secs(now.as_secs());
    if now.since(sent_at) > tolerance {
        return Err(VerifyError::TooOld);
    }
    if sent_at.since(now) > tolerance {
        return Err(VerifyError::TooNew);
    }
    Ok(())
}

pub(super) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, VerifyError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(|| VerifyError::MissingHeader(name.clone()))?;
    let text = value.to_str().ok().filter(|text| !text.is_empty() && values.next().is_none());
    text.ok_or_else(|| VerifyError::MalformedHeader(name.clone()))
}

/// The signed facts of a verified request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified {
    message_id: String,
    sent_at: Timestamp,
    valid_for: Duration,
}

impl Verified {
    /// Returns the message id. Use it to handle each message once.
    pub fn message_id(&self) -> &str {
        &self.message_id
    }

    /// Returns whether it is a test and no event: a ping, or a check of the receiver. Handle nothing then, and answer as
    /// for an event.
    ///
    /// The mark is part of what is signed: published events cannot have it. GitHub's and Stripe's forms sign no id, so
    /// their verifiers cannot tell.
    pub fn is_test(&self) -> bool {
        self.message_id.starts_with(MessageId::TEST_PREFIX)
    }

    /// Returns the time of this attempt.
    pub const fn sent_at(&self) -> Timestamp {
        self.sent_at
    }

    /// Returns the start of the last second in which the same request would be verified again.
    pub(super) fn valid_until(&self) -> Timestamp {
        self.sent_at.plus(self.valid_for)
    }
}

/// The reason why a request was not verified.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum VerifyError {
    /// A header is empty, repeated or malformed.
    #[error("header `{0}` is malformed")]
    MalformedHeader(HeaderName),
    /// A header is missing.
    #[error("header `{0}` is missing")]
    MissingHeader(HeaderName),
    /// No signature of the request was made by one of the keys.
    #[error("no signature matches")]
    NoMatch,
    /// The timestamp is further ahead than the tolerance. Check the clocks.
    #[error("the timestamp is too new")]
    TooNew,
    /// The timestamp is further back than the tolerance. It may be a replay, or the clocks differ.
    #[error("the timestamp is too old")]
    TooOld,
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::model::SignatureScheme;
    use crate::signature::{KeyRing, Message, PrivateKey, PublicKey, Secret, SigningKey};

    /// Signing key, id, timestamp, body and signature: the first two from the tests of the official
    /// libraries, the third from the text of Standard Webhooks (made over the first one's message).
    const VECTORS: [[&str; 5]; 3] = [
        [
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            r#"{"test": 2432232314}"#,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ],
        [
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            "1649367553",
            r#"{"email":"test@example.com","username":"test_user"}"#,
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        ],
        [
            "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            r#"{"test": 2432232314}"#,
            "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
        ],
    ];

    fn headers(id: &str, timestamp: &str, signature: &str) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).expect("header value");
        HeaderMap::from_iter([
            (WEBHOOK_ID, value(id)),
            (WEBHOOK_TIMESTAMP, value(timestamp)),
            (WEBHOOK_SIGNATURE, value(signature)),
        ])
    }

    fn verify(vector: [&str; 5], headers: &HeaderMap, off_by: i64) -> Result<Verified, VerifyError> {
        let now = Timestamp::from_secs(vector[2].parse::<i64>().expect("number") + off_by);
        let key: SigningKey = vector[0].parse().expect("key");
        Verifier::new([key.verifying_key()]).verify(headers, vector[3].as_bytes(), now)
    }

    fn sign(ring: &KeyRing, id: &str, body: &[u8], at: Timestamp) -> HeaderMap {
        let id = MessageId::new(id).expect("id");
        let message = Message { scheme: SignatureScheme::V1, id: &id, at, body };
        message.headers(&ring.sign(&message)).expect("signed")
    }

    #[test]
    fn the_vectors_of_the_official_libraries_are_signed_and_verified() {
        for vector in VECTORS {
            let [secret, id, timestamp, body, signature] = vector;
            let ring = KeyRing::new(secret.parse::<SigningKey>().expect("key"));
            let now = Timestamp::from_secs(timestamp.parse().expect("number"));
            let signed = sign(&ring, id, body.as_bytes(), now);
            assert_eq!(signed, headers(id, timestamp, signature));
            assert_eq!(verify(vector, &signed, 0).expect("verified").message_id(), id);
        }
    }

    #[test]
    fn the_tolerance_holds_on_both_sides_of_its_edges() {
        let vector = VECTORS[0];
        let signed = headers(vector[1], vector[2], vector[4]);
        for (off_by, expected) in
            [(300, None), (301, Some(VerifyError::TooOld)), (-300, None), (-301, Some(VerifyError::TooNew))]
        {
            assert_eq!(verify(vector, &signed, off_by).err(), expected, "{off_by}");
        }
    }

    #[test]
    fn a_receiver_sets_the_tolerance() {
        let [key, id, timestamp, body, signature] = VECTORS[0];
        let key: SigningKey = key.parse().expect("key");
        let verifier = Verifier::new([key.verifying_key()]).with_tolerance(Duration::from_secs(10));
        let sent_at: i64 = timestamp.parse().expect("number");
        let at = |off_by: i64| {
            let now = Timestamp::from_secs(sent_at + off_by);
            verifier.verify(&headers(id, timestamp, signature), body.as_bytes(), now).err()
        };
        assert_eq!((at(10), at(11), at(-11)), (None, Some(VerifyError::TooOld), Some(VerifyError::TooNew)));
    }

    #[test]
    fn any_matching_entry_of_the_list_is_enough_and_others_are_passed_over() {
        let vector = VECTORS[0];
        for list in [
            format!("v1,AAAA {}", vector[4]),
            format!("{} v1a,xyz", vector[4]),
            format!("nonsense v2,q {}", vector[4]),
        ] {
            assert!(verify(vector, &headers(vector[1], vector[2], &list), 0).is_ok(), "{list}");
        }
        for list in ["v1,", "v1", "nonsense", "v1,AAAA", "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="] {
            let refused = verify(vector, &headers(vector[1], vector[2], list), 0);
            assert_eq!(refused, Err(VerifyError::NoMatch), "{list}");
        }
    }

    #[test]
    fn missing_doubled_and_malformed_headers_are_told_apart() {
        let vector = VECTORS[0];
        let whole = headers(vector[1], vector[2], vector[4]);
        for name in [WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE] {
            let mut without = whole.clone();
            without.remove(&name);
            assert_eq!(verify(vector, &without, 0), Err(VerifyError::MissingHeader(name.clone())));
            let mut doubled = whole.clone();
            doubled.append(&name, HeaderValue::from_static("x"));
            assert_eq!(verify(vector, &doubled, 0), Err(VerifyError::MalformedHeader(name)));
        }
        for timestamp in ["-1", "+1", "1.5", "x", "99999999999999999999"] {
            let refused = verify(vector, &headers(vector[1], timestamp, vector[4]), 0);
            assert_eq!(refused, Err(VerifyError::MalformedHeader(WEBHOOK_TIMESTAMP)), "{timestamp}");
        }
    }

    #[test]
    fn a_signature_of_one_version_is_none_of_the_other() {
        let vector = VECTORS[2];
        let public: PublicKey = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=".parse().expect("key");
        let (now, body) = (Timestamp::from_secs(1_614_265_330), vector[3].as_bytes());
        let given =
            |list: &str| Verifier::new([public]).verify(&headers(vector[1], vector[2], list), body, now);
        assert!(given(vector[4]).is_ok());
        assert_eq!(given(&vector[4].replace("v1a,", "v1,")), Err(VerifyError::NoMatch));
        assert_eq!(given(VECTORS[0][4]), Err(VerifyError::NoMatch));
        let known: Secret = VECTORS[0][0].parse().expect("secret");
        let disguised = headers(vector[1], vector[2], &VECTORS[0][4].replace("v1,", "v1a,"));
        assert_eq!(Verifier::new([known]).verify(&disguised, body, now), Err(VerifyError::NoMatch));
    }

    #[test]
    fn a_verifier_without_keys_verifies_nothing() {
        let vector = VECTORS[0];
        let verifier = Verifier::new(Vec::<Secret>::new());
        let (now, body) = (Timestamp::from_secs(1_614_265_330), vector[3].as_bytes());
        let refused = verifier.verify(&headers(vector[1], vector[2], vector[4]), body, now);
        assert_eq!(refused, Err(VerifyError::NoMatch));
    }

    #[test]
    fn only_so_many_entries_are_looked_at() {
        let vector = VECTORS[2];
        let list = |before: usize| format!("{}{}", "v1a,AAAA ".repeat(before), vector[4]);
        assert!(verify(vector, &headers(vector[1], vector[2], &list(MAX_ENTRIES - 1)), 0).is_ok());
        let refused = verify(vector, &headers(vector[1], vector[2], &list(MAX_ENTRIES)), 0);
        assert_eq!(refused, Err(VerifyError::NoMatch));
    }

    proptest! {
        #[test]
        fn v1a_verifies_what_was_signed_and_nothing_else(
            seed in any::<[u8; 32]>(),
            body in proptest::collection::vec(any::<u8>(), 1..100),
            flip in any::<prop::sample::Index>(),
        ) {
            let (now, key) = (Timestamp::from_secs(5), PrivateKey::from_random(seed));
            let verifier = Verifier::new([key.public()]);
            let signed = sign(&KeyRing::new(key), "m", &body, now);
            prop_assert!(verifier.verify(&signed, &body, now).is_ok());
            let mut tampered = body.clone();
            tampered[flip.index(body.len())] ^= 1;
            prop_assert_eq!(verifier.verify(&signed, &tampered, now), Err(VerifyError::NoMatch));
        }

        #[test]
        fn what_was_signed_verifies_and_nothing_else_does(
            key in any::<[u8; 32]>(),
            other_key in any::<[u8; 32]>(),
            id in "[A-Za-z0-9_-]{1,64}",
            seconds in 0_i64..10_000_000_000,
            body in proptest::collection::vec(any::<u8>(), 0..300),
            flip in any::<prop::sample::Index>(),
        ) {
            let now = Timestamp::from_secs(seconds);
            let ring = KeyRing::new(Secret::from_random(key));
            let signed = sign(&ring, &id, &body, now);
            let verifier = Verifier::new([Secret::from_random(key)]);
            prop_assert!(verifier.verify(&signed, &body, now).is_ok());
            let mut tampered = body.clone();
            tampered.push(0);
            prop_assert_eq!(verifier.verify(&signed, &tampered, now), Err(VerifyError::NoMatch));
            if !body.is_empty() {
                let mut tampered = body.clone();
                tampered[flip.index(body.len())] ^= 1;
                prop_assert_eq!(verifier.verify(&signed, &tampered, now), Err(VerifyError::NoMatch));
            }
            if key != other_key {
                let stranger = Verifier::new([Secret::from_random(other_key)]);
                prop_assert_eq!(stranger.verify(&signed, &body, now), Err(VerifyError::NoMatch));
            }
        }

        #[test]
        fn no_header_bytes_panic(
            id in proptest::collection::vec(32_u8..=255, 0..40),
            timestamp in proptest::collection::vec(32_u8..=255, 0..30),
            signature in proptest::collection::vec(32_u8..=255, 0..120),
        ) {
            let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap_or(HeaderValue::from_static(""));
            let headers = HeaderMap::from_iter([
                (WEBHOOK_ID, value(&id)),
                (WEBHOOK_TIMESTAMP, value(&timestamp)),
                (WEBHOOK_SIGNATURE, value(&signature)),
            ]);
            let verifier = Verifier::new([Secret::from_random([0; 32])]);
            prop_assert!(verifier.verify(&headers, b"", Timestamp::default()).is_err());
        }
    }
}
