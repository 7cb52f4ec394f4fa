//! HMAC-SHA256 over parts, and the comparison of tags in constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The tag of `content` under `key`.
pub(super) fn sign(key: &[u8], content: &[u8]) -> [u8; 32] {
    mac(key, &[content]).0.finalize().into_bytes().into()
}

/// The tag of what `parts` are together, to be compared with.
pub(super) fn mac(key: &[u8], parts: &[&[u8]]) -> Tag {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
    for part in parts {
        mac.update(part);
    }
    Tag(mac)
}

/// A tag that never leaves, so that nobody compares it byte by byte.
pub(super) struct Tag(Hmac<Sha256>);

impl Tag {
    /// Whether one of `tags` is this one; each is compared in constant time.
    pub(super) fn is_any(&self, tags: &[Vec<u8>]) -> bool {
        tags.iter().any(|tag| self.0.clone().verify_slice(tag).is_ok())
    }
}
