use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

const PREFIX: &str = "whsec_";

/// A symmetric signing key of 24 to 64 bytes, written `whsec_` and base64.
///
/// It never prints; [`expose`](Self::expose) is the one way to its text. It is wiped when dropped.
///
/// ```
/// use hookwire::signature::Secret;
///
/// let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
/// assert_eq!(format!("{secret:?}"), "Secret([redacted])");
/// # Ok::<_, hookwire::signature::InvalidSecret>(())
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The secret with these random bytes: 32, between the 24 and 64 that Standard Webhooks asks for.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The text that the receiver needs. Whoever has it can sign as the host: show it to the webhook's
    /// owner alone, and keep it out of logs.
    pub fn expose(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(PREFIX.to_owned());
        STANDARD.encode_string(&*self.0, &mut text);
        text
    }

    /// The `v1` signature entry of `body`, sent as message `id` at `timestamp`.
    pub(super) fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let tag = self.mac(id, timestamp, body).finalize().into_bytes();
        format!("v1,{}", STANDARD.encode(tag))
    }

    /// Whether any of `entries` is the `v1` signature of `body`; each is compared in constant time, and the
    /// body is read once however many there are.
    pub(super) fn verifies(&self, entries: &str, id: &str, timestamp: &str, body: &[u8]) -> bool {
        let mac = self.mac(id, timestamp, body);
        let tags = entries.split(' ').filter_map(|entry| entry.strip_prefix("v1,"));
        let mut tags = tags.filter_map(|tag| STANDARD.decode(tag).ok());
        tags.any(|tag| mac.clone().verify_slice(&tag).is_ok())
    }

    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        // HMAC takes keys of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes any key");
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

impl FromStr for Secret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidSecret::Prefix)?;
        let key = STANDARD.decode(encoded).map_err(|_| InvalidSecret::Base64)?;
        let key = Zeroizing::new(key);
        if (24..=64).contains(&key.len()) { Ok(Self(key)) } else { Err(InvalidSecret::Length) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

/// The text is no [`Secret`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvalidSecret {
    /// What follows the prefix is no padded standard base64.
    #[error("a secret is padded standard base64 after `whsec_`")]
    Base64,
    /// The key is too short or too long.
    #[error("a secret has 24 to 64 bytes")]
    Length,
    /// The text does not start with `whsec_`.
    #[error("a secret starts with `whsec_`")]
    Prefix,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_key_convert_both_ways() {
        let secret = Secret::from_random([7; 32]);
        let parsed: Secret = secret.expose().parse().expect("own text");
        assert_eq!(*parsed.expose(), *secret.expose());
        assert!(secret.expose().starts_with("whsec_"));
    }

    #[test]
    fn prefix_base64_and_length_are_checked() {
        let parse = |text: &str| text.parse::<Secret>().err();
        let of_length = |bytes| format!("whsec_{}", STANDARD.encode(vec![1; bytes]));
        assert_eq!(parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Some(InvalidSecret::Prefix));
        assert_eq!(parse("whsec_%"), Some(InvalidSecret::Base64));
        assert_eq!(parse(&of_length(23)), Some(InvalidSecret::Length));
        assert_eq!(parse(&of_length(24)), None);
        assert_eq!(parse(&of_length(64)), None);
        assert_eq!(parse(&of_length(65)), Some(InvalidSecret::Length));
    }
}
