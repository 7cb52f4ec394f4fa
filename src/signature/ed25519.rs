//! The key pair of the scheme `v1a`: [`PrivateKey`] and [`PublicKey`].

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{KEYPAIR_LENGTH, PUBLIC_KEY_LENGTH, Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use super::encoding::{InvalidKey, decode};

/// An ed25519 private key, written as `whsk_` and the base64 of its seed and public key.
///
/// `Debug` does not show it; only [`expose`](Self::expose) returns its text. It is wiped from memory when dropped.
///
/// ```
/// use hookwire::signature::PrivateKey;
///
/// let key = PrivateKey::from_random([7; 32]);
/// assert!(key.public().to_string().starts_with("whpk_"));
/// assert_eq!(format!("{key:?}"), "PrivateKey([redacted])");
/// ```
#[derive(Clone)]
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    pub(super) const PREFIX: &str = "whsk_";

    /// Creates the key with this random seed.
    pub fn from_random(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&Zeroizing::new(seed)))
    }

    /// Returns the public key, with which a receiver verifies.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Returns the text of the key. Whoever has it can sign as the host; no receiver needs it.
    pub fn expose(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(Self::PREFIX.to_owned());
        STANDARD.encode_string(*Zeroizing::new(self.0.to_keypair_bytes()), &mut text);
        text
    }

    pub(super) fn sign(&self, content: &[u8]) -> [u8; 64] {
        self.0.sign(content).to_bytes()
    }
}

impl FromStr for PrivateKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let bytes = decode(Self::PREFIX, text)?;
        let pair: &[u8; KEYPAIR_LENGTH] = bytes.as_slice().try_into().map_err(|_| InvalidKey::Length)?;
        SigningKey::from_keypair_bytes(pair).map(Self).map_err(|_| InvalidKey::Curve)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey([redacted])")
    }
}

/// An ed25519 public key, written as `whpk_` and base64. It is not a secret.
///
/// ```
/// use hookwire::signature::PublicKey;
///
/// let text = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
/// let key: PublicKey = text.parse()?;
/// assert_eq!(key.to_string(), text);
/// # Ok::<_, hookwire::signature::InvalidKey>(())
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    pub(super) const PREFIX: &str = "whpk_";

    /// Tells whether one of `signatures` is valid for `content`, by the strict rules of RFC 8032: each
    /// signature has one valid encoding.
    pub(super) fn verifies(&self, content: &[u8], signatures: &[Vec<u8>]) -> bool {
        let mut parsed = signatures.iter().filter_map(|bytes| Signature::from_slice(bytes).ok());
        parsed.any(|signature| self.0.verify_strict(content, &signature).is_ok())
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let bytes = decode(Self::PREFIX, text)?;
        let bytes: &[u8; PUBLIC_KEY_LENGTH] = bytes.as_slice().try_into().map_err(|_| InvalidKey::Length)?;
        let key = VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak());
        key.map(Self).ok_or(InvalidKey::Curve)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, STANDARD.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Section 7.1 of RFC 8032: seed, public key, message and signature.
    const RFC_8032: [[&str; 4]; 3] = [
        [
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ],
        [
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ],
        [
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ],
    ];

    fn unhex(text: &str) -> Vec<u8> {
        let pair = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
        (0..text.len()).step_by(2).map(pair).collect()
    }

    #[test]
    fn the_vectors_of_rfc_8032_are_signed_and_verified() {
        for vector in RFC_8032 {
            let [seed, public, message, signature] = vector.map(unhex);
            let key = PrivateKey::from_random(seed.try_into().expect("32 bytes"));
            assert_eq!(key.public().0.as_bytes().as_slice(), public);
            assert_eq!(key.sign(&message).as_slice(), signature);
            assert!(key.public().verifies(&message, &[signature]));
        }
    }

    #[test]
    fn text_and_keys_convert_both_ways() {
        let key = PrivateKey::from_random([7; 32]);
        let parsed: PrivateKey = key.expose().parse().expect("own text");
        assert_eq!(*parsed.expose(), *key.expose());
        assert_eq!(parsed.public(), key.public().to_string().parse().expect("own text"));
    }

    #[test]
    fn debug_shows_the_public_half_alone() {
        let key = PrivateKey::from_random([7; 32]);
        assert_eq!(format!("{key:?}"), "PrivateKey([redacted])");
        assert_eq!(format!("{:?}", key.public()), format!("PublicKey({})", key.public()));
    }

    #[test]
    fn halves_that_do_not_belong_together_and_weak_keys_are_refused() {
        let key = PrivateKey::from_random([7; 32]);
        let mut pair = key.0.to_keypair_bytes();
        pair[63] ^= 1;
        let parse = |bytes: &[u8]| format!("whsk_{}", STANDARD.encode(bytes)).parse::<PrivateKey>().err();
        assert_eq!(parse(&pair), Some(InvalidKey::Curve));
        assert_eq!(parse(&pair[..32]), Some(InvalidKey::Length));
        let parse = |bytes: &[u8]| format!("whpk_{}", STANDARD.encode(bytes)).parse::<PublicKey>().err();
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(parse(&neutral), Some(InvalidKey::Curve));
        assert_eq!(parse(&neutral[1..]), Some(InvalidKey::Length));
        assert_eq!("whsk_".parse::<PublicKey>().err(), Some(InvalidKey::Prefix("whpk_")));
    }

    #[test]
    fn a_signature_in_another_disguise_does_not_pass() {
        /// The order of the group, little-endian.
        const ORDER: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let key = PrivateKey::from_random([7; 32]);
        let mut signature = key.sign(b"m");
        let mut carry = 0;
        for (byte, addend) in signature[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(addend) + carry;
            (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
        }
        assert!(key.public().verifies(b"m", &[key.sign(b"m").to_vec()]));
        assert!(!key.public().verifies(b"m", &[signature.to_vec()]));
    }
}
