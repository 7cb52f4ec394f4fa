use std::fmt;

use zeroize::Zeroizing;

use super::hmac::mac;

/// Keys whose text is what signs, as GitHub and Stripe have it. They never print, and are wiped when dropped.
#[derive(Clone)]
pub(super) struct TextKeys(Vec<Zeroizing<Vec<u8>>>);

impl TextKeys {
    /// The keys of these texts. An empty one is none: everybody could sign by it.
    pub(super) fn new<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Self {
        let keys = keys.into_iter().filter(|key| !key.as_ref().is_empty());
        Self(keys.map(|key| Zeroizing::new(key.as_ref().to_vec())).collect())
    }

    /// Whether one of `tags` is that of what `parts` are together, under one of the keys.
    pub(super) fn verify(&self, parts: &[&[u8]], tags: &[Vec<u8>]) -> bool {
        self.0.iter().any(|key| mac(key, parts).is_any(tags))
    }
}

impl fmt::Debug for TextKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
