//! [`SealingKeys`] in a build without the feature `seal`.

use zeroize::Zeroizing;

use super::format::NONCE;
use crate::model::{HookId, KeyId, SealedSecrets, TenantId};

/// Sealing keys that no value can have.
pub(crate) enum SealingKeys {}

impl SealingKeys {
    pub(crate) fn seal(&self, _: &[u8], _: (&TenantId, HookId), _: [u8; NONCE]) -> SealedSecrets {
        match *self {}
    }

    pub(crate) fn is_current(&self, _: &SealedSecrets) -> bool {
        match *self {}
    }

    pub(super) fn get(&self, _: &KeyId) -> Option<&Self> {
        match *self {}
    }

    pub(super) fn open(&self, _: &[u8], _: &[u8; NONCE], _: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        match *self {}
    }
}
