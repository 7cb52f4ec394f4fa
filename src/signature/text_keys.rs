//! Keys of the GitHub and Stripe verifiers, which sign with their text.

use std::fmt;

use zeroize::Zeroizing;

use super::hmac::HmacKey;

/// Keys that sign with their text, as those of GitHub and Stripe do. `Debug` does not show them, and they are
/// wiped from memory when dropped.
#[derive(Clone)]
pub(super) struct TextKeys(Vec<Zeroizing<Vec<u8>>>);

impl TextKeys {
    /// Creates the keys from texts. Empty texts are skipped, because everybody could sign with them.
    pub(super) fn new<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Self {
        let keys = keys.into_iter().filter(|key| !key.as_ref().is_empty());
        Self(keys.map(|key| Zeroizing::new(key.as_ref().to_vec())).collect())
    }

    /// Tells whether one of `tags` is that of the concatenated `parts`, with one of the keys.
    pub(super) fn verify(&self, parts: &[&[u8]], tags: &[Vec<u8>]) -> bool {
        self.0.iter().any(|key| HmacKey::new(key).mac(parts).is_any(tags))
    }
}

impl fmt::Debug for TextKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
