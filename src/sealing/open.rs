//! Opening stored secrets, with and without the feature `seal`.

use zeroize::Zeroizing;

use super::error::UnsealError;
use super::format::{Stored, associated_data};
#[cfg(feature = "seal")]
use super::keys::SealingKeys;
#[cfg(not(feature = "seal"))]
use super::no_keys::SealingKeys;
use crate::model::{HookId, SealedSecrets, TenantId};

/// Opens the stored secrets of a webhook with `keys`, if there are any.
pub(crate) fn open(
    keys: Option<&SealingKeys>,
    stored: &SealedSecrets,
    of: (&TenantId, HookId),
) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
    match Stored::parse(stored.expose()).ok_or(UnsealError::Form)? {
        Stored::Clear(clear) => Ok(Zeroizing::new(clear.to_vec())),
        Stored::Sealed(sealed) => match keys.and_then(|keys| keys.get(&sealed.key_id)) {
            Some(key) => key
                .open(&associated_data(sealed.head, of), sealed.nonce, sealed.rest)
                .ok_or(UnsealError::Broken(sealed.key_id)),
            None => Err(UnsealError::NoKey(sealed.key_id)),
        },
    }
}

#[cfg(feature = "seal")]
impl SealingKeys {
    /// Opens the secrets of one webhook, whether they were sealed or stored unencrypted.
    ///
    /// # Errors
    ///
    /// Returns [`UnsealError`] if the key was not passed or does not open them.
    pub fn open(
        &self,
        stored: &SealedSecrets,
        of: (&TenantId, HookId),
    ) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        open(Some(self), stored, of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::KeyId;

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
