//! [`SigningKey`] and [`VerifyingKey`]: a key of any scheme, on the side of the sender and of the receiver.

use std::str::FromStr;

use zeroize::Zeroizing;

use super::ed25519::{PrivateKey, PublicKey};
use super::encoding::InvalidKey;
use super::ready::ReadyKey;
use super::secret::Secret;
use crate::model::SignatureScheme;

/// A key that signs: `whsec_` for the symmetric schemes, `whsk_` for `v1a`.
///
/// ```
/// use hookwire::model::SignatureScheme;
/// use hookwire::signature::SigningKey;
///
/// let key = SigningKey::from_random(SignatureScheme::V1a, [7; 32]);
/// assert!(key.expose().starts_with("whsk_"));
/// assert!(key.verifying_key().expose().starts_with("whpk_"));
/// ```
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the keys of Standard Webhooks 1.0")]
pub enum SigningKey {
    /// A key that signs and verifies.
    Secret(Secret),
    /// The private key of a pair.
    Private(PrivateKey),
}

impl SigningKey {
    /// Creates a key of the kind that `scheme` needs from random bytes.
    pub fn from_random(scheme: SignatureScheme, bytes: [u8; 32]) -> Self {
        if scheme.is_asymmetric() {
            Self::Private(PrivateKey::from_random(bytes))
        } else {
            Self::Secret(Secret::from_random(bytes))
        }
    }

    /// Returns the text of the key. Keep it like a password.
    pub fn expose(&self) -> Zeroizing<String> {
        match self {
            Self::Secret(key) => key.expose(),
            Self::Private(key) => key.expose(),
        }
    }

    /// Returns the key that the receiver needs.
    pub fn verifying_key(&self) -> VerifyingKey {
        match self {
            Self::Secret(key) => VerifyingKey::Secret(key.clone()),
            Self::Private(key) => VerifyingKey::Public(key.public()),
        }
    }

    /// Makes the key ready to sign in `scheme`.
    pub(super) fn ready(&self, scheme: SignatureScheme) -> ReadyKey {
        match self {
            Self::Private(key) => ReadyKey::Private(key.clone()),
            Self::Secret(key) => ReadyKey::Hmac(match scheme {
                SignatureScheme::GitHub | SignatureScheme::Stripe => key.of_text(),
                // The old key of a rotation from `V1` to `V1a` signs as it did.
                SignatureScheme::V1 | SignatureScheme::V1a => key.of_bytes(),
            }),
        }
    }
}

impl From<Secret> for SigningKey {
    fn from(key: Secret) -> Self {
        Self::Secret(key)
    }
}

impl From<PrivateKey> for SigningKey {
    fn from(key: PrivateKey) -> Self {
        Self::Private(key)
    }
}

/// Parses keys that begin with `whsec_` or `whsk_`. White space around them is ignored.
impl FromStr for SigningKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        if text.trim_start().starts_with(PrivateKey::PREFIX) {
            text.parse().map(Self::Private)
        } else {
            text.parse().map(Self::Secret)
        }
    }
}

/// A key with which a receiver verifies: `whsec_` for the symmetric schemes, `whpk_` for `v1a`.
///
/// ```
/// use hookwire::signature::{Verifier, VerifyingKey};
///
/// let key: VerifyingKey = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=".parse()?;
/// let verifier = Verifier::new([key]);
/// # let _ = verifier;
/// # Ok::<_, hookwire::signature::InvalidKey>(())
/// ```
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the keys of Standard Webhooks 1.0")]
pub enum VerifyingKey {
    /// A key that signs and verifies. Whoever has it can sign as the host.
    Secret(Secret),
    /// The public key of a pair.
    Public(PublicKey),
}

impl VerifyingKey {
    /// Returns the text for the receiver. If it begins with `whsec_`, keep it like a password.
    pub fn expose(&self) -> Zeroizing<String> {
        match self {
            Self::Secret(key) => key.expose(),
            Self::Public(key) => Zeroizing::new(key.to_string()),
        }
    }
}

impl From<Secret> for VerifyingKey {
    fn from(key: Secret) -> Self {
        Self::Secret(key)
    }
}

impl From<PublicKey> for VerifyingKey {
    fn from(key: PublicKey) -> Self {
        Self::Public(key)
    }
}

/// Parses keys that begin with `whsec_` or `whpk_`. White space around them is ignored.
impl FromStr for VerifyingKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        if text.trim_start().starts_with(PublicKey::PREFIX) {
            text.parse().map(Self::Public)
        } else {
            text.parse().map(Self::Secret)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_for_the_receiver_is_read_back_as_the_key_that_verifies() {
        for (scheme, prefix) in [(SignatureScheme::V1, "whsec_"), (SignatureScheme::V1a, "whpk_")] {
            let text = SigningKey::from_random(scheme, [7; 32]).verifying_key().expose();
            let read: VerifyingKey = text.parse().expect("own text");
            assert!(text.starts_with(prefix), "a {scheme:?} key begins otherwise");
            assert_eq!(*read.expose(), *text);
        }
    }

    /// Each kind of key, by its text.
    fn texts() -> [Zeroizing<String>; 3] {
        let [secret, private] =
            [SignatureScheme::V1, SignatureScheme::V1a].map(|it| SigningKey::from_random(it, [7; 32]));
        [secret.expose(), private.expose(), private.verifying_key().expose()]
    }

    /// Parses a text as the key that its kind is, on either side.
    fn parse(text: &str) -> Result<Zeroizing<String>, InvalidKey> {
        if text.contains(PublicKey::PREFIX) {
            text.parse::<VerifyingKey>().map(|it| it.expose())
        } else {
            text.parse::<SigningKey>().map(|it| it.expose())
        }
    }

    #[test]
    fn white_space_around_a_pasted_key_is_ignored_and_inside_it_is_named() {
        for text in texts() {
            for (before, after) in [("", "\n"), (" ", ""), ("\t", "\r\n"), ("\u{a0}", "\u{2003}")] {
                let read = parse(&format!("{before}{}{after}", *text)).expect("only white space around it");
                assert_eq!(*read, *text);
            }
            for blank in [" ", "\n", "\r\n  "] {
                let (start, end) = text.split_at(20);
                let broken = parse(&format!("{start}{blank}{end}"));
                assert_eq!(broken.err(), Some(InvalidKey::WhiteSpace), "{blank:?} inside");
            }
        }
    }
}
