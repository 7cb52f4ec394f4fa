//! [`Message`]: the content that each scheme signs, and the headers that carry the signatures.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;

use super::headers::{HUB_SIGNATURE, STRIPE_SIGNATURE, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};
use super::hex;
use crate::model::{MessageId, SignatureScheme, Timestamp};

/// The message of one attempt, before it is signed.
///
/// ```
/// use hookwire::model::{MessageId, SignatureScheme, Timestamp};
/// use hookwire::signature::Message;
///
/// let id = MessageId::new("msg_1")?;
/// let at = Timestamp::from_secs(1_700_000_000);
/// let message = Message { scheme: SignatureScheme::V1, id: &id, at, body: b"{}" };
/// assert_eq!(*message.content(), *b"msg_1.1700000000.{}");
/// # Ok::<_, hookwire::model::InvalidMessageId>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "all that any scheme signs")]
pub struct Message<'a> {
    /// The form of the signature.
    pub scheme: SignatureScheme,
    /// The message id, which is the same on each retry.
    pub id: &'a MessageId,
    /// The time of the attempt; its whole seconds are signed.
    pub at: Timestamp,
    /// The exact bytes of the body.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Returns the exact bytes that the scheme signs.
    pub fn content(&self) -> Cow<'a, [u8]> {
        match self.scheme {
            SignatureScheme::GitHub => self.body.into(),
            SignatureScheme::Stripe | SignatureScheme::V1 | SignatureScheme::V1a => {
                self.parts(&self.timestamp()).concat().into()
            }
        }
    }

    /// Returns the parts of the [content](Self::content), with `timestamp` as the text of the time.
    pub(super) fn parts<'b>(&'b self, timestamp: &'b str) -> [&'b [u8]; 5] {
        match self.scheme {
            SignatureScheme::V1 | SignatureScheme::V1a => {
                standard_parts(self.id.as_str(), timestamp, self.body)
            }
            SignatureScheme::GitHub => [b"", b"", b"", b"", self.body],
            SignatureScheme::Stripe => [b"", b"", timestamp.as_bytes(), b".", self.body],
        }
    }

    /// Returns the time as the text that is signed.
    pub(super) fn timestamp(&self) -> String {
        self.at.as_secs().to_string()
    }

    /// Returns the headers that carry `signatures`, which are in the order of their keys: the current one last.
    ///
    /// They include `webhook-id` and `webhook-timestamp` for every scheme, although GitHub's signs neither
    /// and Stripe's signs the time only. Entries are separated by single spaces. Entries of `v1` follow those of
    /// `v1a`, for verifiers that read the last entry only. GitHub's form has room for one signature: the last.
    ///
    /// # Errors
    ///
    /// Returns [`MissingSignature`] if the scheme can carry none of `signatures`.
    ///
    /// # Panics
    ///
    /// Never: ids, digits, base64 and hex are ASCII.
    pub fn headers(&self, signatures: &[Signature]) -> Result<HeaderMap, MissingSignature> {
        let mut headers = HeaderMap::with_capacity(3);
        self.write_headers(signatures, &mut headers).map(|()| headers)
    }

    /// Adds the [headers](Self::headers) to others, in place of those of the same names.
    pub(crate) fn write_headers(
        &self,
        signatures: &[Signature],
        headers: &mut HeaderMap,
    ) -> Result<(), MissingSignature> {
        let id_end = self.id.as_str().len();
        let mut text = String::with_capacity(id_end + TIME_BYTES + ENTRY_BYTES * signatures.len());
        text.push_str(self.id.as_str());
        text.push_str(&self.timestamp());
        let time_end = text.len();
        let name = self.add_signatures(signatures, &mut text).ok_or(MissingSignature(self.scheme))?;
        // The values share one allocation, also when the request is copied.
        let text = Bytes::from(text);
        let ascii = |part| {
            HeaderValue::from_maybe_shared(text.slice(part)).expect("ids, digits, base64 and hex are ASCII")
        };
        headers.insert(WEBHOOK_ID, ascii(0..id_end));
        headers.insert(WEBHOOK_TIMESTAMP, ascii(id_end..time_end));
        headers.insert(name, ascii(time_end..text.len()));
        Ok(())
    }

    /// Adds the value of the header that carries the signatures, whose name it returns. `None` if it can carry none.
    fn add_signatures(&self, signatures: &[Signature], text: &mut String) -> Option<HeaderName> {
        let mut tags = signatures.iter().filter_map(Signature::hmac).map(hex::encode);
        match self.scheme {
            SignatureScheme::V1 | SignatureScheme::V1a => {
                let symmetric = signatures.iter().filter(|it| it.hmac().is_some());
                let ordered = signatures.iter().filter(|it| it.hmac().is_none()).chain(symmetric);
                for (index, signature) in ordered.enumerate() {
                    if index > 0 {
                        text.push(' ');
                    }
                    signature.add_entry(text);
                }
                (!signatures.is_empty()).then_some(WEBHOOK_SIGNATURE)
            }
            SignatureScheme::GitHub => {
                text.extend(["sha256=", &tags.next_back()?]);
                Some(HUB_SIGNATURE)
            }
            SignatureScheme::Stripe => {
                text.extend(["t=", &self.timestamp(), ",v1=", &tags.next()?]);
                tags.for_each(|tag| text.extend([",v1=", &tag]));
                Some(STRIPE_SIGNATURE)
            }
        }
    }
}

/// The bytes of a timestamp until the year 2286.
const TIME_BYTES: usize = 10;

/// The bytes of an entry of `v1`, which most are.
const ENTRY_BYTES: usize = "v1,".len() + 44;

/// Returns the parts of what Standard Webhooks signs.
pub(super) const fn standard_parts<'a>(id: &'a str, timestamp: &'a str, body: &'a [u8]) -> [&'a [u8]; 5] {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body]
}

/// A signature of the [content](Message::content) of a message by one key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the algorithms of the schemes")]
pub enum Signature {
    /// An ed25519 signature, for `v1a`.
    Ed25519([u8; 64]),
    /// An HMAC-SHA256 tag, for every other scheme.
    HmacSha256([u8; 32]),
}

impl Signature {
    const fn hmac(&self) -> Option<&[u8; 32]> {
        match self {
            Self::Ed25519(_) => None,
            Self::HmacSha256(tag) => Some(tag),
        }
    }

    /// Adds the entry of `webhook-signature`.
    fn add_entry(&self, entries: &mut String) {
        let (version, bytes) = match self {
            Self::Ed25519(bytes) => ("v1a,", bytes.as_slice()),
            Self::HmacSha256(tag) => ("v1,", tag.as_slice()),
        };
        entries.push_str(version);
        STANDARD.encode_string(bytes, entries);
    }
}

/// The error when there is no signature that the scheme can carry.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("there is no signature that the scheme {0:?} can carry")]
pub struct MissingSignature(SignatureScheme);

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(scheme: SignatureScheme, signatures: &[Signature]) -> Option<String> {
        let id = MessageId::new("m").expect("valid");
        let message = Message { scheme, id: &id, at: Timestamp::from_secs(5), body: b"{}" };
        let mut text = String::new();
        message.add_signatures(signatures, &mut text).map(|_| text)
    }

    #[test]
    fn entries_that_every_verifier_reads_stand_last() {
        let (new, old) = (Signature::Ed25519([1; 64]), Signature::HmacSha256([2; 32]));
        for order in [[old, new], [new, old]] {
            let entries = carried(SignatureScheme::V1a, &order).expect("two");
            let kinds: Vec<_> = entries.split(' ').filter_map(|entry| entry.split(',').next()).collect();
            assert_eq!(kinds, ["v1a", "v1"]);
        }
    }

    #[test]
    fn a_form_with_room_for_one_signature_carries_that_of_the_present_key() {
        let tags = [Signature::HmacSha256([1; 32]), Signature::HmacSha256([2; 32])];
        let header = carried(SignatureScheme::GitHub, &tags).expect("one");
        assert_eq!(header, format!("sha256={}", "02".repeat(32)));
        let header = carried(SignatureScheme::Stripe, &tags).expect("both");
        assert_eq!(header, format!("t=5,v1={},v1={}", "01".repeat(32), "02".repeat(32)));
    }

    #[test]
    fn a_signature_of_another_algorithm_is_none() {
        for scheme in [SignatureScheme::GitHub, SignatureScheme::Stripe] {
            assert_eq!(carried(scheme, &[Signature::Ed25519([1; 64])]), None);
        }
        for scheme in
            [SignatureScheme::V1, SignatureScheme::V1a, SignatureScheme::GitHub, SignatureScheme::Stripe]
        {
            assert_eq!(carried(scheme, &[]), None);
        }
    }
}
