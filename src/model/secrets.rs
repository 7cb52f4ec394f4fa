use std::fmt;

use bytes::Bytes;
use zeroize::Zeroizing;

/// A webhook's signing keys as a store keeps them: opaque bytes, which only the service can open if the host
/// gave it keys to seal by, and which are in clear if not (see [`sealing`](crate::sealing)).
///
/// A store writes them down and gives them back unchanged. They never print, and are wiped from memory when the last
/// clone is dropped; what they were made of is, if it was handed over whole, as a `Vec` is.
///
/// ```
/// use hookwire::model::SealedSecrets;
///
/// let sealed = SealedSecrets::new("whsec_c2VjcmV0");
/// assert_eq!(format!("{sealed:?}"), "SealedSecrets([redacted])");
/// ```
#[derive(Clone, Default)]
pub struct SealedSecrets(Bytes);

impl SealedSecrets {
    /// Wraps what the service sealed, or what a store read back.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(Bytes::from_owner(Zeroizing::new(Vec::from(bytes.into()))))
    }

    /// The bytes to write down. Where they are in clear, whoever reads them can sign as the host: keep them
    /// like a password.
    pub const fn expose(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for SealedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedSecrets([redacted])")
    }
}
