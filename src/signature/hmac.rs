//! HMAC-SHA256 over parts, and the comparison of tags in constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Computes the tag of `content` with `key`.
pub(super) fn sign(key: &[u8], content: &[u8]) -> [u8; 32] {
    mac(key, &[content]).0.finalize().into_bytes().into()
}

/// Computes the tag of the concatenated `parts`, for comparison only.
pub(super) fn mac(key: &[u8], parts: &[&[u8]]) -> Tag {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
    for part in parts {
        mac.update(part);
    }
    Tag(mac)
}

/// A tag that can only be compared in constant time.
pub(super) struct Tag(Hmac<Sha256>);

impl Tag {
    /// Tells whether one of `tags` equals this one. Each is compared in constant time.
    pub(super) fn is_any(&self, tags: &[Vec<u8>]) -> bool {
        tags.iter().any(|tag| self.0.clone().verify_slice(tag).is_ok())
    }
}
