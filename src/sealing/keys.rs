//! [`SealingKeys`]: the keys, and the encryption of a webhook's secrets by them (feature `seal`).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use thiserror::Error;
use zeroize::Zeroizing;

use super::format::{NONCE, Stored, VERSION, associated_data};
use crate::model::{HookId, KeyId, SealedSecrets, TenantId};

/// The keys that seal webhooks' secrets: the current one, and older ones that only open.
///
/// ```
/// use hookwire::TenantId;
/// use hookwire::model::{HookId, KeyId};
/// use hookwire::sealing::{SealingKey, SealingKeys};
///
/// let old = SealingKey::from_base64(KeyId::new("2025")?, "Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8=")?;
/// let new = SealingKey::new(KeyId::new("2026")?, [7; 32]);
/// let keys = SealingKeys::new(new).with_older(old)?;
///
/// let (tenant, hook_id, nonce) = (TenantId::new("acme")?, HookId::new(1), [9; 24]); // random each time
/// let sealed = keys.seal(b"{}", (&tenant, hook_id), nonce);
/// assert_eq!(*keys.open(&sealed, (&tenant, hook_id))?, b"{}");
/// assert!(keys.open(&sealed, (&tenant, HookId::new(2))).is_err());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SealingKeys {
    current: SealingKey,
    older: Vec<SealingKey>,
}

impl SealingKeys {
    /// Creates a set of one key, which seals and opens.
    pub const fn new(current: SealingKey) -> Self {
        Self { current, older: Vec::new() }
    }

    /// Adds a key that only opens: one that was the current key before.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidSealingKey::Repeated`] if the set has a key with this id.
    pub fn with_older(mut self, key: SealingKey) -> Result<Self, InvalidSealingKey> {
        if self.get(&key.id).is_some() {
            return Err(InvalidSealingKey::Repeated(key.id));
        }
        self.older.push(key);
        Ok(self)
    }

    /// Seals a key ring for one webhook with the current key. The nonce must be random and used only once: two
    /// texts sealed with one nonce reveal each other.
    ///
    /// # Panics
    ///
    /// Panics if `clear` has 256 GiB or more.
    pub fn seal(&self, clear: &[u8], of: (&TenantId, HookId), nonce: [u8; NONCE]) -> SealedSecrets {
        let head = self.current.head();
        let payload = Payload { msg: clear, aad: &associated_data(&head, of) };
        let encrypted = self.current.cipher().encrypt(&nonce.into(), payload);
        let encrypted = encrypted.expect("a key ring is shorter than 256 GiB");
        SealedSecrets::new([&head[..], &nonce, &encrypted].concat())
    }

    /// Tells whether the current key sealed these secrets. If so, they need no resealing.
    pub fn is_current(&self, stored: &SealedSecrets) -> bool {
        let stored = Stored::parse(stored.expose());
        matches!(stored, Some(Stored::Sealed(sealed)) if sealed.key_id == self.current.id)
    }

    pub(super) fn get(&self, id: &KeyId) -> Option<&SealingKey> {
        [&self.current].into_iter().chain(&self.older).find(|key| key.id == *id)
    }
}

/// A key of 32 bytes that seals secrets, with its id.
///
/// `Debug` shows the id only. The key is wiped from memory when dropped.
///
/// ```
/// use hookwire::model::KeyId;
/// use hookwire::sealing::SealingKey;
///
/// let key = SealingKey::new(KeyId::new("2026")?, [7; 32]);
/// assert_eq!(format!("{key:?}"), "SealingKey(2026, [redacted])");
/// # Ok::<_, hookwire::model::InvalidKeyId>(())
/// ```
#[derive(Clone)]
pub struct SealingKey {
    id: KeyId,
    bytes: Zeroizing<[u8; 32]>,
}

impl SealingKey {
    /// Creates a key from random bytes.
    pub fn new(id: KeyId, bytes: [u8; 32]) -> Self {
        Self { id, bytes: Zeroizing::new(bytes) }
    }

    /// Parses a key as `openssl rand -base64 32` writes it. White space around it, such as a line break, is ignored.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidSealingKey`] if `text` is not the padded standard base64 of 32 bytes.
    pub fn from_base64(id: KeyId, text: &str) -> Result<Self, InvalidSealingKey> {
        let decoded =
            STANDARD.decode(text.trim()).map(Zeroizing::new).map_err(|_| InvalidSealingKey::Base64)?;
        let bytes: &[u8; 32] = decoded.as_slice().try_into().map_err(|_| InvalidSealingKey::Length)?;
        Ok(Self::new(id, *bytes))
    }

    /// Decrypts `msg`. Returns `None` if this key did not seal exactly these bytes with this associated data.
    pub(super) fn open(&self, aad: &[u8], nonce: &[u8; NONCE], msg: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.cipher().decrypt(nonce.into(), Payload { msg, aad }).ok().map(Zeroizing::new)
    }

    /// Returns the bytes before the nonce.
    fn head(&self) -> Vec<u8> {
        let id = self.id.as_str().as_bytes();
        let length = u8::try_from(id.len()).expect("a key id has at most 32 bytes");
        [&[VERSION, length], id].concat()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.bytes).into())
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({}, [redacted])", self.id)
    }
}

/// The error of an invalid sealing key. The message never shows the key.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvalidSealingKey {
    /// The text is not padded standard base64.
    #[error("a sealing key is written in padded standard base64, without white space inside it")]
    Base64,
    /// The key does not have 32 bytes.
    #[error("a sealing key has 32 bytes")]
    Length,
    /// Two keys have the same id.
    #[error("two sealing keys have the id `{0}`; give each an id of its own")]
    Repeated(KeyId),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::error::UnsealError;

    const CLEAR: &[u8] = br#"{"current":"whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}"#;
    const HOOK: HookId = HookId::new(42);

    fn id(text: &str) -> KeyId {
        KeyId::new(text).expect("short")
    }

    fn key(text: &str, byte: u8) -> SealingKey {
        SealingKey::new(id(text), [byte; 32])
    }

    fn tenant(text: &str) -> TenantId {
        TenantId::new(text).expect("short")
    }

    fn sealed_by(keys: &SealingKeys) -> SealedSecrets {
        keys.seal(CLEAR, (&tenant("acme"), HOOK), [5; NONCE])
    }

    fn opened(keys: &SealingKeys, bytes: &[u8]) -> Result<Vec<u8>, UnsealError> {
        let opened = keys.open(&SealedSecrets::new(bytes.to_vec()), (&tenant("acme"), HOOK));
        opened.map(|clear| clear.to_vec())
    }

    /// Computed by libsodium's `crypto_aead_xchacha20poly1305_ietf_encrypt`, called from Python by PyNaCl 1.6.2:
    /// key 0 to 31, nonce 100 to 123, the associated data put together by hand.
    #[test]
    fn an_independent_implementation_seals_to_the_same_bytes() {
        let expected = concat!(
            "0107323032362d3031",
            "6465666768696a6b6c6d6e6f707172737475767778797a7b",
            "07519ac58d5cececf312a71dd107ceac38e41320a16e8be1c91725f66e1c3941ee44022f69f4b696af44244d1114",
            "49002ba7914edaf075f78a4d4a19beb59c114e0c872fa9814bf7e50dc674959a6e15",
        );
        let bytes = std::array::from_fn(|at| u8::try_from(at).expect("below 32"));
        let nonce = std::array::from_fn(|at| u8::try_from(100 + at).expect("below 124"));
        let keys = SealingKeys::new(SealingKey::new(id("2026-01"), bytes));
        let zylker = tenant("Zylker GmbH & Söhne");
        let sealed = keys.seal(CLEAR, (&zylker, HOOK), nonce);
        let text: String = sealed.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, expected);
        assert_eq!(*keys.open(&sealed, (&zylker, HOOK)).expect("its own"), CLEAR);
    }

    #[test]
    fn what_is_sealed_shows_nothing_of_it_and_opens() {
        let keys = SealingKeys::new(key("a", 1));
        let sealed = sealed_by(&keys);
        assert!(!sealed.expose().windows(6).any(|part| CLEAR.windows(6).any(|clear| clear == part)));
        assert_eq!(opened(&keys, sealed.expose()), Ok(CLEAR.to_vec()));
    }

    #[test]
    fn another_key_of_the_same_id_does_not_open_it() {
        let sealed = sealed_by(&SealingKeys::new(key("a", 1)));
        let other = SealingKeys::new(key("a", 2));
        assert_eq!(opened(&other, sealed.expose()), Err(UnsealError::Broken(id("a"))));
    }

    #[test]
    fn a_key_that_was_not_given_is_named() {
        let sealed = sealed_by(&SealingKeys::new(key("2025", 1)));
        let error = opened(&SealingKeys::new(key("2026", 1)), sealed.expose()).expect_err("no such key");
        assert_eq!(error, UnsealError::NoKey(id("2025")));
        assert!(error.to_string().contains("`2025`"), "{error}");
    }

    #[test]
    fn in_the_row_of_another_tenant_or_webhook_it_does_not_open() {
        let keys = SealingKeys::new(key("a", 1));
        let sealed = sealed_by(&keys);
        for (name, hook_id) in [("acme", HookId::new(43)), ("acmf", HOOK), ("acm", HOOK), ("acme2", HOOK)] {
            let elsewhere = keys.open(&sealed, (&tenant(name), hook_id));
            assert_eq!(elsewhere.err(), Some(UnsealError::Broken(id("a"))), "{name} {hook_id}");
        }
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let keys = SealingKeys::new(key("ab", 1)).with_older(key("ac", 1)).expect("another id");
        let sealed = sealed_by(&keys);
        for at in 0..sealed.expose().len() {
            assert!(opened(&keys, &sealed.expose()[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut changed = sealed.expose().to_vec();
                changed[at] ^= 1 << bit;
                assert!(opened(&keys, &changed).is_err(), "byte {at}, bit {bit}");
            }
        }
        let longer = [sealed.expose(), &b"\0"[..]].concat();
        assert_eq!(opened(&keys, &longer), Err(UnsealError::Broken(id("ab"))));
    }

    #[test]
    fn older_keys_open_and_the_present_one_seals() {
        let old = SealingKeys::new(key("old", 1));
        let both = SealingKeys::new(key("new", 2)).with_older(key("old", 1)).expect("another id");
        let (before, after) = (sealed_by(&old), sealed_by(&both));
        for sealed in [&before, &after] {
            assert_eq!(opened(&both, sealed.expose()), Ok(CLEAR.to_vec()));
        }
        assert_eq!((both.is_current(&before), both.is_current(&after)), (false, true));
        assert_eq!(opened(&old, after.expose()), Err(UnsealError::NoKey(id("new"))));
    }

    #[test]
    fn what_was_stored_in_clear_opens_and_counts_as_not_sealed() {
        let keys = SealingKeys::new(key("a", 1));
        assert_eq!(opened(&keys, CLEAR), Ok(CLEAR.to_vec()));
        assert!(!keys.is_current(&SealedSecrets::new(CLEAR)));
        assert_eq!(opened(&keys, b"whsec_"), Err(UnsealError::Form));
    }

    #[test]
    fn keys_are_parsed_from_base64_of_32_bytes_and_need_ids_of_their_own() {
        let parse = |bytes: &[u8]| SealingKey::from_base64(id("a"), &STANDARD.encode(bytes));
        let sealed = sealed_by(&SealingKeys::new(key("a", 7)));
        let parsed = SealingKeys::new(parse(&[7; 32]).expect("32 bytes"));
        assert_eq!(opened(&parsed, sealed.expose()), Ok(CLEAR.to_vec()));
        assert_eq!(parse(&[7; 31]).err(), Some(InvalidSealingKey::Length));
        assert_eq!(parse(&[7; 33]).err(), Some(InvalidSealingKey::Length));
        let line = format!("{}\n", STANDARD.encode([7; 32]));
        assert!(SealingKey::from_base64(id("a"), &line).is_ok(), "as a file has it");
        let cut = line.replace('=', "\n=");
        assert_eq!(SealingKey::from_base64(id("a"), &cut).err(), Some(InvalidSealingKey::Base64));
        let twice = SealingKeys::new(key("a", 1)).with_older(key("a", 2));
        assert_eq!(twice.err(), Some(InvalidSealingKey::Repeated(id("a"))));
    }
}
