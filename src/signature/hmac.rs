//! HMAC-SHA256 over parts, and the comparison of tags in constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A key in the form from which each tag is computed. It is wiped from memory when dropped.
pub(super) struct HmacKey(Hmac<Sha256>);

impl HmacKey {
    pub(super) fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes any key"))
    }

    /// Computes the tag of the concatenated `parts`.
    pub(super) fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.mac(parts).0.finalize().into_bytes().into()
    }

    /// Computes the tag of the concatenated `parts`, for comparison only.
    pub(super) fn mac(&self, parts: &[&[u8]]) -> Tag {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        Tag(mac)
    }
}

/// A tag that can only be compared in constant time.
pub(super) struct Tag(Hmac<Sha256>);

impl Tag {
    /// Tells whether one of `tags` equals this one. Each is compared in constant time.
    pub(super) fn is_any(&self, tags: &[Vec<u8>]) -> bool {
        tags.iter().any(|tag| self.0.clone().verify_slice(tag).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use zeroize::ZeroizeOnDrop;

    use super::*;

    #[test]
    fn the_hashers_of_which_a_key_consists_are_wiped_when_dropped() {
        const fn is_wiped<T: ZeroizeOnDrop>() {}
        is_wiped::<Sha256>();
    }
}
