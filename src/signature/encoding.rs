//! The text form of keys, a prefix and base64, and [`InvalidKey`].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroizing;

/// The error of a text that is not a key of the expected kind. The message never shows the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// The text after the prefix is not padded standard base64.
    #[error("a key is padded standard base64 after its prefix")]
    Base64,
    /// The bytes are not a safe ed25519 key, or its halves do not belong together.
    #[error("the bytes are no sound ed25519 key")]
    Curve,
    /// The key is too short or too long.
    #[error("`whsec_` is followed by 16 to 64 bytes, `whsk_` by 64, `whpk_` by 32")]
    Length,
    /// The text does not start with this prefix.
    #[error("the key does not start with `{0}`")]
    Prefix(&'static str),
    /// There is white space inside the key. Around it, white space is ignored.
    #[error("there is white space inside the key; paste it again, in one piece")]
    WhiteSpace,
}

/// Decodes the base64 that follows `prefix` in `text`. White space around the text is ignored: a text that was pasted
/// or read from a file often ends with a line break.
pub(super) fn decode(prefix: &'static str, text: &str) -> Result<Zeroizing<Vec<u8>>, InvalidKey> {
    let encoded = text.trim().strip_prefix(prefix).ok_or(InvalidKey::Prefix(prefix))?;
    if encoded.contains(char::is_whitespace) {
        return Err(InvalidKey::WhiteSpace);
    }
    STANDARD.decode(encoded).map(Zeroizing::new).map_err(|_| InvalidKey::Base64)
}
