//! [`KeyRing`]: the current key of a webhook and those that it replaced, with rotation and stored form.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::encoding::InvalidKey;
use super::key::SigningKey;
use super::message::{Message, Signature};
use super::ready::ReadyKeys;
use crate::model::{SignatureScheme, Timestamp};

/// The keys of one webhook: the current one, and replaced ones that still sign until their overlap ends.
///
/// ```
/// use std::time::Duration;
/// use hookwire::model::Timestamp;
/// use hookwire::signature::{KeyRing, Secret};
///
/// let now = Timestamp::from_secs(1_700_000_000);
/// let ring = KeyRing::new(Secret::from_random([1; 32]));
/// let ring = ring.rotate(Secret::from_random([2; 32]), Duration::from_secs(86_400), now);
/// assert_eq!(KeyRing::read(&ring.expose())?.current().expose(), ring.current().expose());
/// # Ok::<_, hookwire::signature::InvalidKeyRing>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyRing {
    current: SigningKey,
    /// Oldest first.
    previous: Vec<Previous>,
}

#[derive(Clone, Debug)]
struct Previous {
    key: SigningKey,
    until: Timestamp,
}

impl KeyRing {
    /// The maximum number of previous keys that are kept, as in Svix.
    const MAX_PREVIOUS: usize = 10;

    /// Creates a ring of one key.
    pub fn new(key: impl Into<SigningKey>) -> Self {
        Self { current: key.into(), previous: Vec::new() }
    }

    /// Returns the current key.
    pub const fn current(&self) -> &SigningKey {
        &self.current
    }

    /// Makes `key` the current one. The key that it replaces still signs for `overlap`, or no more if that is zero.
    #[must_use]
    pub fn rotate(self, key: impl Into<SigningKey>, overlap: Duration, now: Timestamp) -> Self {
        let mut previous = self.previous;
        previous.retain(|key| key.until > now);
        if !overlap.is_zero() {
            previous.push(Previous { key: self.current, until: now.plus(overlap) });
        }
        let surplus = previous.len().saturating_sub(Self::MAX_PREVIOUS);
        previous.drain(..surplus);
        Self { current: key.into(), previous }
    }

    /// Signs `message` with every key that is valid at its time, the current one last, for
    /// [`Message::headers`].
    pub fn sign(&self, message: &Message<'_>) -> Vec<Signature> {
        self.ready(message.scheme).sign(message)
    }

    /// Makes the keys ready to sign many messages in `scheme`.
    pub(crate) fn ready(&self, scheme: SignatureScheme) -> ReadyKeys {
        let previous = self.previous.iter().map(|key| (key.key.ready(scheme), key.until));
        ReadyKeys { previous: previous.collect(), current: self.current.ready(scheme) }
    }

    /// Returns the stored form of the ring, unencrypted. It is [sealed](crate::sealing) if the host has
    /// sealing keys. Whoever has it can sign as the host.
    ///
    /// # Panics
    ///
    /// Never panics: text and numbers always serialise.
    pub fn expose(&self) -> Zeroizing<Vec<u8>> {
        let previous = self.previous.iter();
        let stored = StoredRing {
            current: self.current.expose(),
            previous: previous.map(|key| (key.key.expose(), key.until)).collect(),
        };
        Zeroizing::new(serde_json::to_vec(&stored).expect("text and numbers always serialise"))
    }

    /// Reads the bytes that [`expose`](Self::expose) returned.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidKeyRing`] if the bytes are anything else.
    pub fn read(clear: &[u8]) -> Result<Self, InvalidKeyRing> {
        let stored: StoredRing = serde_json::from_slice(clear).map_err(|_| InvalidKeyRing::Form)?;
        let previous = stored.previous.into_iter();
        let previous = previous.map(|(key, until)| Ok(Previous { key: key.parse()?, until }));
        Ok(Self { current: stored.current.parse()?, previous: previous.collect::<Result<_, InvalidKey>>()? })
    }
}

/// The stored form of a [`KeyRing`].
#[derive(Deserialize, Serialize)]
struct StoredRing {
    current: Zeroizing<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    previous: Vec<(Zeroizing<String>, Timestamp)>,
}

/// The error of bytes that are not a stored [`KeyRing`]. The message never shows them.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvalidKeyRing {
    /// The bytes are not of the stored form.
    #[error("the stored secrets are not in the form that was written")]
    Form,
    /// One of the keys is invalid.
    #[error("a stored key is broken")]
    Key(#[from] InvalidKey),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MessageId;
    use crate::signature::{PrivateKey, Secret, WEBHOOK_SIGNATURE};

    const DAY: Duration = Duration::from_secs(86_400);

    fn secret(byte: u8) -> Secret {
        Secret::from_random([byte; 32])
    }

    fn entries(ring: &KeyRing, at: Timestamp) -> Vec<String> {
        let id = MessageId::new("m").expect("valid");
        let message = Message { scheme: SignatureScheme::V1, id: &id, at, body: b"{}" };
        let headers = message.headers(&ring.sign(&message)).expect("signed");
        let list = headers[WEBHOOK_SIGNATURE].to_str().expect("ASCII");
        list.split(' ').map(str::to_owned).collect()
    }

    fn entry(key: impl Into<SigningKey>, at: Timestamp) -> String {
        entries(&KeyRing::new(key), at).remove(0)
    }

    #[test]
    fn the_old_key_signs_along_until_the_overlap_ends_and_the_new_one_last() {
        let start = Timestamp::from_secs(1_000);
        let ring = KeyRing::new(secret(1)).rotate(secret(2), DAY, start);
        let (before, after) = (start.plus(DAY - Duration::from_secs(1)), start.plus(DAY));
        assert_eq!(entries(&ring, before), [entry(secret(1), before), entry(secret(2), before)]);
        assert_eq!(entries(&ring, after), [entry(secret(2), after)]);
    }

    #[test]
    fn a_key_that_is_replaced_without_overlap_is_gone_at_once() {
        let start = Timestamp::from_secs(1_000);
        let ring = KeyRing::new(secret(1)).rotate(secret(2), Duration::ZERO, start);
        assert_eq!(entries(&ring, start), [entry(secret(2), start)]);
        assert!(!String::from_utf8_lossy(&ring.expose()).contains(&*secret(1).expose()));
    }

    #[test]
    fn a_key_of_another_kind_signs_along_where_every_verifier_finds_it() {
        let (start, pair) = (Timestamp::from_secs(1_000), PrivateKey::from_random([2; 32]));
        let to_pair = KeyRing::new(secret(1)).rotate(pair.clone(), DAY, start);
        let from_pair = KeyRing::new(pair.clone()).rotate(secret(1), DAY, start);
        let both = [entry(pair, start), entry(secret(1), start)];
        assert_eq!(entries(&to_pair, start), both);
        assert_eq!(entries(&from_pair, start), both);
    }

    #[test]
    fn a_ring_is_read_back_with_every_key() {
        let start = Timestamp::from_secs(1_000);
        let ring = KeyRing::new(secret(1)).rotate(PrivateKey::from_random([2; 32]), DAY, start);
        let read = KeyRing::read(&ring.expose()).expect("own form");
        assert_eq!(entries(&read, start), entries(&ring, start));
        assert_eq!(KeyRing::read(b"{}").err(), Some(InvalidKeyRing::Form));
        let broken = KeyRing::read(br#"{"current":"whsec_AA=="}"#);
        assert_eq!(broken.err(), Some(InvalidKeyRing::Key(InvalidKey::Length)));
    }

    #[test]
    fn a_key_whose_overlap_is_over_is_not_kept() {
        let start = Timestamp::from_secs(1_000);
        let ring = KeyRing::new(secret(1)).rotate(secret(2), DAY, start);
        let ring = ring.rotate(secret(3), DAY, start.plus(DAY));
        let kept = String::from_utf8(ring.expose().to_vec()).expect("JSON");
        assert!(kept.contains(&*secret(2).expose()) && !kept.contains(&*secret(1).expose()));
    }

    #[test]
    fn rotating_for_ever_keeps_a_bounded_number_of_keys() {
        let start = Timestamp::from_secs(1_000);
        let ring = (0..30).fold(KeyRing::new(secret(0)), |ring, n| ring.rotate(secret(n), DAY, start));
        assert_eq!(entries(&ring, start).len(), KeyRing::MAX_PREVIOUS + 1);
    }
}
