//! [`Secret`]: the symmetric key of the schemes `v1`, GitHub and Stripe.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::encoding::{InvalidKey, decode};
use super::hmac::HmacKey;

/// A symmetric signing key of 16 to 64 bytes, written as `whsec_` and base64.
///
/// Standard Webhooks asks for at least 24, and hookwire makes 32. Keys of 16 are read, because other senders have made
/// some.
///
/// `Debug` does not show it; only [`expose`](Self::expose) returns its text. It is wiped from memory when dropped.
///
/// ```
/// use hookwire::signature::Secret;
///
/// let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
/// assert_eq!(format!("{secret:?}"), "Secret([redacted])");
/// # Ok::<_, hookwire::signature::InvalidKey>(())
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    pub(super) const PREFIX: &str = "whsec_";

    /// The least number of bytes by Standard Webhooks.
    const STANDARD_BYTES: usize = 24;

    /// Creates a secret of 32 random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// Returns whether it has fewer than the 24 bytes that Standard Webhooks asks for.
    pub fn is_short(&self) -> bool {
        self.0.len() < Self::STANDARD_BYTES
    }

    /// Returns the text that the receiver needs. Whoever has it can sign as the host: show it only to the
    /// owner of the webhook, and keep it out of logs.
    pub fn expose(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(Self::PREFIX.to_owned());
        STANDARD.encode_string(&*self.0, &mut text);
        text
    }

    /// Returns the key that signs with the bytes of the secret, as Standard Webhooks does.
    pub(super) fn of_bytes(&self) -> HmacKey {
        HmacKey::new(&self.0)
    }

    /// Returns the key that signs with the text of the secret, as GitHub and Stripe do.
    pub(super) fn of_text(&self) -> HmacKey {
        HmacKey::new(self.expose().as_bytes())
    }

    /// Tells whether one of `tags` is that of `content`. Each is compared in constant time, and the content is
    /// read only once.
    pub(super) fn verifies(&self, content: &[u8], tags: &[Vec<u8>]) -> bool {
        self.of_bytes().mac(&[content]).is_any(tags)
    }
}

impl FromStr for Secret {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let key = decode(Self::PREFIX, text)?;
        if (16..=64).contains(&key.len()) { Ok(Self(key)) } else { Err(InvalidKey::Length) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
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
    fn debug_shows_that_there_is_a_secret_and_not_which() {
        assert_eq!(format!("{:?}", Secret::from_random([7; 32])), "Secret([redacted])");
    }

    #[test]
    fn prefix_base64_and_length_are_checked() {
        let parse = |text: &str| text.parse::<Secret>().err();
        let of_length = |bytes| format!("whsec_{}", STANDARD.encode(vec![1; bytes]));
        let prefix = InvalidKey::Prefix("whsec_");
        assert_eq!(parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Some(prefix));
        assert_eq!(parse("whsec_%"), Some(InvalidKey::Base64));
        assert_eq!(parse(&of_length(15)), Some(InvalidKey::Length));
        assert_eq!(parse(&of_length(16)), None);
        assert_eq!(parse(&of_length(64)), None);
        assert_eq!(parse(&of_length(65)), Some(InvalidKey::Length));
        let is_short = |bytes| of_length(bytes).parse::<Secret>().is_ok_and(|it| it.is_short());
        assert_eq!((is_short(23), is_short(24)), (true, false));
    }
}
