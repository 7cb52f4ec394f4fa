use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::secret::{InvalidSecret, Secret};
use super::{WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};
use crate::model::{MessageId, SealedSecrets, Timestamp};

/// The keys of one webhook: the present one, and those before it that still sign along.
///
/// ```
/// use std::time::Duration;
/// use hookwire::model::Timestamp;
/// use hookwire::signature::{KeyRing, Secret};
///
/// let now = Timestamp::from_secs(1_700_000_000);
/// let ring = KeyRing::new(Secret::from_random([1; 32]));
/// let ring = ring.rotate(Secret::from_random([2; 32]), Duration::from_secs(86_400), now);
/// assert_eq!(KeyRing::open(&ring.seal())?.current().expose(), ring.current().expose());
/// # Ok::<_, hookwire::signature::InvalidKeyRing>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyRing {
    current: Secret,
    /// Oldest first.
    previous: Vec<Previous>,
}

#[derive(Clone, Debug)]
struct Previous {
    secret: Secret,
    until: Timestamp,
}

impl KeyRing {
    /// The most previous keys that are kept, as in Svix.
    const MOST_PREVIOUS: usize = 10;

    /// A ring of one key.
    pub const fn new(secret: Secret) -> Self {
        Self { current: secret, previous: Vec::new() }
    }

    /// The key that a receiver should use.
    pub const fn current(&self) -> &Secret {
        &self.current
    }

    /// The ring with `secret` as its key, the present one signing along for `overlap`.
    #[must_use]
    pub fn rotate(self, secret: Secret, overlap: Duration, now: Timestamp) -> Self {
        let mut previous = self.previous;
        previous.retain(|key| key.until > now);
        previous.push(Previous { secret: self.current, until: now.plus(overlap) });
        let surplus = previous.len().saturating_sub(Self::MOST_PREVIOUS);
        previous.drain(..surplus);
        Self { current: secret, previous }
    }

    /// The three headers of an attempt at `now`.
    ///
    /// Entries stand apart by single spaces and the present key signs last: that order is read right
    /// even by verifiers that look at the last entry alone.
    ///
    /// # Panics
    ///
    /// Never: ids, digits and base64 are ASCII.
    pub fn headers(&self, id: &MessageId, body: &[u8], now: Timestamp) -> HeaderMap {
        let timestamp = now.as_secs().to_string();
        let live = self.previous.iter().filter(|key| key.until > now).map(|key| &key.secret);
        let entries = live.chain([&self.current]);
        let entries: Vec<_> = entries.map(|key| key.sign(id.as_str(), &timestamp, body)).collect();
        let header = |text: &str| HeaderValue::from_str(text).expect("ids, digits and base64 are ASCII");
        HeaderMap::from_iter([
            (WEBHOOK_ID, header(id.as_str())),
            (WEBHOOK_TIMESTAMP, header(&timestamp)),
            (WEBHOOK_SIGNATURE, header(&entries.join(" "))),
        ])
    }

    /// The form in which a store keeps the ring.
    ///
    /// # Panics
    ///
    /// Never: text and numbers always serialise.
    pub fn seal(&self) -> SealedSecrets {
        let previous = self.previous.iter();
        let stored = StoredRing {
            current: self.current.expose(),
            previous: previous.map(|key| (key.secret.expose(), key.until)).collect(),
        };
        let bytes = serde_json::to_vec(&stored).expect("text and numbers always serialise");
        SealedSecrets::new(bytes)
    }

    /// Opens what [`seal`](Self::seal) made.
    ///
    /// # Errors
    ///
    /// [`InvalidKeyRing`] when the bytes are something else.
    pub fn open(sealed: &SealedSecrets) -> Result<Self, InvalidKeyRing> {
        let stored: StoredRing = serde_json::from_slice(sealed.expose()).map_err(|_| InvalidKeyRing::Form)?;
        let previous = stored.previous.into_iter();
        let previous = previous.map(|(secret, until)| Ok(Previous { secret: secret.parse()?, until }));
        Ok(Self {
            current: stored.current.parse()?,
            previous: previous.collect::<Result<_, InvalidSecret>>()?,
        })
    }
}

/// The stored form of a [`KeyRing`].
#[derive(Deserialize, Serialize)]
struct StoredRing {
    current: Zeroizing<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    previous: Vec<(Zeroizing<String>, Timestamp)>,
}

/// The bytes are no stored [`KeyRing`]. They never show in the message.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvalidKeyRing {
    /// The bytes are not of the stored form.
    #[error("the stored secrets are not in the form that was written")]
    Form,
    /// A key among them is none.
    #[error("a stored secret is broken")]
    Secret(#[from] InvalidSecret),
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn secret(byte: u8) -> Secret {
        Secret::from_random([byte; 32])
    }

    fn entries(ring: &KeyRing, now: Timestamp) -> Vec<String> {
        let headers = ring.headers(&MessageId::new("m").expect("valid"), b"{}", now);
        let list = headers[WEBHOOK_SIGNATURE].to_str().expect("ASCII");
        list.split(' ').map(str::to_owned).collect()
    }

    fn entry(byte: u8, now: Timestamp) -> String {
        secret(byte).sign("m", &now.as_secs().to_string(), b"{}")
    }

    #[test]
    fn the_old_key_signs_along_until_the_overlap_ends_and_the_new_one_last() {
        let start = Timestamp::from_secs(1_000);
        let ring = KeyRing::new(secret(1)).rotate(secret(2), DAY, start);
        let (before, after) = (start.plus(DAY - Duration::from_secs(1)), start.plus(DAY));
        assert_eq!(entries(&ring, before), [entry(1, before), entry(2, before)]);
        assert_eq!(entries(&ring, after), [entry(2, after)]);
    }

    #[test]
    fn a_sealed_ring_opens_with_every_key() {
        let start = Timestamp::from_secs(1_000);
        let ring = KeyRing::new(secret(1)).rotate(secret(2), DAY, start);
        let opened = KeyRing::open(&ring.seal()).expect("own form");
        assert_eq!(entries(&opened, start), entries(&ring, start));
        assert_eq!(KeyRing::open(&SealedSecrets::new("{}")).err(), Some(InvalidKeyRing::Form));
        let broken = SealedSecrets::new(r#"{"current":"whsec_AA=="}"#);
        assert_eq!(KeyRing::open(&broken).err(), Some(InvalidKeyRing::Secret(InvalidSecret::Length)));
    }

    #[test]
    fn rotating_for_ever_keeps_a_bounded_number_of_keys() {
        let start = Timestamp::from_secs(1_000);
        let ring = (0..30).fold(KeyRing::new(secret(0)), |ring, n| ring.rotate(secret(n), DAY, start));
        assert_eq!(entries(&ring, start).len(), KeyRing::MOST_PREVIOUS + 1);
    }
}
