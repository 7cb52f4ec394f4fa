//! A webhook's signing keys in the form in which a store keeps them. `service::secrets` decides when they are sealed,
//! `sealing` encrypts them.

use std::fmt;

use bytes::Bytes;
use zeroize::Zeroizing;

/// A webhook's signing keys as opaque bytes, in the form in which a store keeps them.
///
/// They are encrypted if the host configured [`sealing`](crate::sealing), and in clear if not. A store returns them
/// unchanged. `Debug` does not print them. They are wiped from memory when the last clone is dropped. Pass a
/// `Vec<u8>`, not a slice, to have the original wiped too.
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
    /// Creates a value from bytes that the service sealed, or that a store read.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(Bytes::from_owner(Zeroizing::new(Vec::from(bytes.into()))))
    }

    /// Returns the bytes to store. Protect them like passwords if they are not encrypted: whoever reads them can sign
    /// as the host.
    pub const fn expose(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for SealedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedSecrets([redacted])")
    }
}
