use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use thiserror::Error;
use zeroize::Zeroizing;

use super::UnsealError;
use super::form::{Form, NONCE, VERSION, associated};
use crate::model::{HookId, KeyId, SealedSecrets, TenantId};

/// The keys that seal webhooks' secrets: the present one, and older ones that only open.
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
    present: SealingKey,
    older: Vec<SealingKey>,
}

impl SealingKeys {
    /// A set of one key, which seals and opens.
    pub const fn new(present: SealingKey) -> Self {
        Self { present, older: Vec::new() }
    }

    /// The set with one more key that opens what it sealed when it was the present one.
    ///
    /// # Errors
    ///
    /// [`InvalidSealingKey::Repeated`] when the set has a key of this id.
    pub fn with_older(mut self, key: SealingKey) -> Result<Self, InvalidSealingKey> {
        if self.get(&key.id).is_some() {
            return Err(InvalidSealingKey::Repeated(key.id));
        }
        self.older.push(key);
        Ok(self)
    }

    /// Seals a key ring for one webhook by the present key. The nonce must be random, and used once: two texts
    /// under one nonce give both away.
    ///
    /// # Panics
    ///
    /// Never, for texts of less than 256 GiB.
    pub fn seal(&self, clear: &[u8], of: (&TenantId, HookId), nonce: [u8; NONCE]) -> SealedSecrets {
        let head = self.present.head();
        let payload = Payload { msg: clear, aad: &associated(&head, of) };
        let encrypted = self.present.cipher().encrypt(&nonce.into(), payload);
        let encrypted = encrypted.expect("a key ring is shorter than 256 GiB");
        SealedSecrets::new([&head[..], &nonce, &encrypted].concat())
    }

    /// Opens what was sealed for one webhook, or stored in clear.
    ///
    /// # Errors
    ///
    /// [`UnsealError`] when the key was not given, or does not open it.
    pub fn open(
        &self,
        stored: &SealedSecrets,
        of: (&TenantId, HookId),
    ) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        super::open(Some(self), stored, of)
    }

    /// Whether the present key sealed this: whether there is nothing to do for a change of keys.
    pub fn is_present(&self, stored: &SealedSecrets) -> bool {
        let form = Form::read(stored.expose());
        matches!(form, Some(Form::Sealed(sealed)) if sealed.key_id == self.present.id)
    }

    pub(super) fn get(&self, id: &KeyId) -> Option<&SealingKey> {
        [&self.present].into_iter().chain(&self.older).find(|key| key.id == *id)
    }
}

/// A key of 32 bytes that seals secrets, with its id.
///
/// It never prints, and is wiped when dropped.
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
    /// The key with these bytes, which must be random.
    pub fn new(id: KeyId, bytes: [u8; 32]) -> Self {
        Self { id, bytes: Zeroizing::new(bytes) }
    }

    /// The key that `text` holds, as `openssl rand -base64 32` writes it.
    ///
    /// # Errors
    ///
    /// [`InvalidSealingKey`] when it is not the padded standard base64 of 32 bytes.
    pub fn from_base64(id: KeyId, text: &str) -> Result<Self, InvalidSealingKey> {
        let decoded = STANDARD.decode(text).map(Zeroizing::new).map_err(|_| InvalidSealingKey::Base64)?;
        let bytes: &[u8; 32] = decoded.as_slice().try_into().map_err(|_| InvalidSealingKey::Length)?;
        Ok(Self::new(id, *bytes))
    }

    /// Nothing where this key did not seal exactly these bytes with these associated data.
    pub(super) fn open(&self, aad: &[u8], nonce: &[u8; NONCE], msg: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.cipher().decrypt(nonce.into(), Payload { msg, aad }).ok().map(Zeroizing::new)
    }

    /// What stands before the nonce.
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

/// What was given is no key to seal by. It never shows in the message.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvalidSealingKey {
    /// The text is no padded standard base64.
    #[error("a sealing key is written in padded standard base64, without a line break")]
    Base64,
    /// There are more or fewer than 32 bytes.
    #[error("a sealing key has 32 bytes")]
    Length,
    /// Two keys have this id.
    #[error("two sealing keys have the id `{0}`; give each an id of its own")]
    Repeated(KeyId),
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!((both.is_present(&before), both.is_present(&after)), (false, true));
        assert_eq!(opened(&old, after.expose()), Err(UnsealError::NoKey(id("new"))));
    }

    #[test]
    fn what_was_stored_in_clear_opens_and_counts_as_not_sealed() {
        let keys = SealingKeys::new(key("a", 1));
        assert_eq!(opened(&keys, CLEAR), Ok(CLEAR.to_vec()));
        assert!(!keys.is_present(&SealedSecrets::new(CLEAR)));
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
        assert_eq!(SealingKey::from_base64(id("a"), &line).err(), Some(InvalidSealingKey::Base64));
        let twice = SealingKeys::new(key("a", 1)).with_older(key("a", 2));
        assert_eq!(twice.err(), Some(InvalidSealingKey::Repeated(id("a"))));
    }
}
