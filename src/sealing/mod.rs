//! Sealing: webhooks' secrets are encrypted before a store sees them, if the host gives keys for it.
//!
//! With the feature `seal` and [`seal_with`], the service seals a webhook's secrets by XChaCha20-Poly1305
//! when it writes them. What is sealed is bound to its tenant and webhook: copied into another row, it does not
//! open. Without keys, secrets are stored in clear.
//!
//! What was stored in clear before still opens, and is sealed at the webhook's next change, or at once by
//! [`reseal`].
//!
//! # Changing keys
//!
//! Every sealed secret carries the id of its key. To change keys, with several processes on one store:
//!
//! 1. give every process the new key as an older one, which only opens;
//! 2. make it the present one, and the one so far an older one;
//! 3. run [`reseal`] over all tenants, until nothing is left to do;
//! 4. drop the old key. Backups from before still need it.
//!
//! # The sealed form
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the version: 1 |
//! | 1 | the length of the key id |
//! | 1 to 32 | the key id |
//! | 24 | the nonce, random at each write |
//! | rest | the key ring in JSON, encrypted, and the tag of 16 bytes |
//!
//! Associated data are what stands before the nonce, the webhook's id as 8 bytes big-endian, and the tenant's.
//! What starts with `{` is a key ring in clear.
//!
//! [`seal_with`]: crate::service::WebhooksBuilder#method.seal_with
//! [`reseal`]: crate::Webhooks#method.reseal

#[cfg(not(feature = "seal"))]
mod absent;
mod form;
#[cfg(feature = "seal")]
mod keys;

use thiserror::Error;
use zeroize::Zeroizing;

#[cfg(not(feature = "seal"))]
pub(crate) use absent::SealingKeys;
#[cfg(feature = "seal")]
pub use keys::{InvalidSealingKey, SealingKey, SealingKeys};

use crate::model::{HookId, KeyId, SealedSecrets, TenantId};
use form::{Form, associated};

/// Why stored secrets do not open. Nothing of them shows in the message.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum UnsealError {
    /// The key with the id does not open them: they were changed, belong to another webhook, or were sealed by
    /// other bytes under the same id.
    #[error("they were changed, belong to another webhook, or key `{0}` is not the one that sealed them")]
    Broken(KeyId),
    /// The bytes are of no form that this version knows.
    #[error("they are in no form that this version of hookwire knows")]
    Form,
    /// The key that sealed them was not given.
    #[error("they are sealed by key `{0}`: give it to `seal_with`, of the feature `seal`")]
    NoKey(KeyId),
}

/// Opens what a store keeps for a webhook, by the keys that there are.
pub(crate) fn open(
    keys: Option<&SealingKeys>,
    stored: &SealedSecrets,
    of: (&TenantId, HookId),
) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
    match Form::read(stored.expose()).ok_or(UnsealError::Form)? {
        Form::Clear(clear) => Ok(Zeroizing::new(clear.to_vec())),
        Form::Sealed(sealed) => match keys.and_then(|keys| keys.get(&sealed.key_id)) {
            Some(key) => key
                .open(&associated(sealed.head, of), sealed.nonce, sealed.rest)
                .ok_or(UnsealError::Broken(sealed.key_id)),
            None => Err(UnsealError::NoKey(sealed.key_id)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_keys_what_is_clear_opens_and_what_is_sealed_names_its_key() {
        let tenant = TenantId::new("acme").expect("short");
        let opened = |bytes: &[u8]| {
            let stored = SealedSecrets::new(bytes.to_vec());
            open(None, &stored, (&tenant, HookId::new(1))).map(|clear| clear.to_vec())
        };
        assert_eq!(opened(b"{}"), Ok(b"{}".to_vec()));
        let sealed = [b"\x01\x03old".as_slice(), &[0; 24 + 16]].concat();
        let missing = KeyId::new("old").expect("short");
        assert_eq!(opened(&sealed), Err(UnsealError::NoKey(missing)));
        let unknown: [&[u8]; 5] = [b"", b"[]", b"\x01", b"\x02\x03old", &sealed[..20]];
        for bytes in unknown {
            assert_eq!(opened(bytes), Err(UnsealError::Form), "{bytes:?}");
        }
    }
}
