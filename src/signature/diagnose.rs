//! [`diagnose`]: why a receiver does not verify a request.

use std::fmt;
use std::time::Duration;

use http::HeaderMap;

use super::headers::{WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};
use super::key::VerifyingKey;
use super::message::standard_parts;
use super::verify::{Entries, TOLERANCE, VerifyError, in_time, sent_at, single};
use crate::model::Timestamp;

/// The reason why a request with a Standard Webhooks signature is not verified. `Display` says what to do.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Diagnosis {
    /// The body is not what was signed.
    #[non_exhaustive]
    Body {
        /// The first byte that differs, counted from 0.
        at: usize,
        /// The way in which it was changed.
        change: BodyChange,
    },
    /// The request was signed later than the receiver's clock shows.
    #[non_exhaustive]
    ClockSlow {
        /// How much later.
        by: Duration,
    },
    /// A header is missing or malformed.
    Header(VerifyError),
    /// The request was signed by none of these keys.
    OtherKey,
    /// The request was signed long ago: it is a replay, or the receiver's clock is fast.
    #[non_exhaustive]
    TooOld {
        /// How long ago.
        by: Duration,
    },
    /// Nothing: the request is authentic.
    Verified,
}

/// The way in which a body was changed on its way to the verifier.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BodyChange {
    /// It is the same JSON, written anew: parsed and serialised before it was verified.
    JsonRewritten,
    /// It is another body.
    Other,
    /// It was read as text: line ends, a byte order mark, or bytes that are no UTF-8 were changed.
    ReadAsText,
}

/// Says why a receiver does not verify a request, from what it got and, if it is known, the body that was sent.
///
/// Without `sent` it cannot tell a changed body from a wrong key. The sender has the body: it is written anew from the event
/// each time, and never changes.
///
/// ```
/// use hookwire::model::Timestamp;
/// use hookwire::signature::{BodyChange, Diagnosis, Secret, diagnose};
/// use http::{HeaderMap, HeaderValue};
///
/// let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
/// let mut headers = HeaderMap::new();
/// headers.insert("webhook-id", HeaderValue::from_static("msg_p5jXN8AQM9LWM0D4loKWxJek"));
/// headers.insert("webhook-timestamp", HeaderValue::from_static("1614265330"));
/// let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
/// headers.insert("webhook-signature", HeaderValue::from_static(signature));
/// let (sent, got) = (br#"{"test": 2432232314}"#, br#"{"test":2432232314}"#);
///
/// let now = Timestamp::from_secs(1_614_265_331);
/// let diagnosis = diagnose(&headers, got, [secret], Some(sent), now);
/// assert!(matches!(diagnosis, Diagnosis::Body { at: 8, change: BodyChange::JsonRewritten, .. }));
/// assert!(diagnosis.to_string().starts_with("the JSON was written anew, from byte 8 on"));
/// # Ok::<_, hookwire::signature::InvalidKey>(())
/// ```
pub fn diagnose<K: Into<VerifyingKey>>(
    headers: &HeaderMap,
    body: &[u8],
    keys: impl IntoIterator<Item = K>,
    sent: Option<&[u8]>,
    now: impl Into<Timestamp>,
) -> Diagnosis {
    let keys: Vec<VerifyingKey> = keys.into_iter().map(Into::into).collect();
    let signed = match Signed::read(headers) {
        Ok(signed) => signed,
        Err(error) => return Diagnosis::Header(error),
    };
    if signed.is_by(&keys, body) {
        return timing(signed.at, now.into());
    }
    match sent.filter(|sent| signed.is_by(&keys, sent)) {
        Some(sent) => Diagnosis::Body { at: first_difference(sent, body), change: change(sent, body) },
        None => Diagnosis::OtherKey,
    }
}

/// What the headers say.
struct Signed<'a> {
    id: &'a str,
    timestamp: &'a str,
    at: Timestamp,
    entries: Entries,
}

impl<'a> Signed<'a> {
    fn read(headers: &'a HeaderMap) -> Result<Self, VerifyError> {
        let (id, timestamp) = (single(headers, &WEBHOOK_ID)?, single(headers, &WEBHOOK_TIMESTAMP)?);
        let entries = Entries::parse(single(headers, &WEBHOOK_SIGNATURE)?);
        let at = sent_at(timestamp).ok_or(VerifyError::MalformedHeader(WEBHOOK_TIMESTAMP))?;
        Ok(Self { id, timestamp, at, entries })
    }

    fn is_by(&self, keys: &[VerifyingKey], body: &[u8]) -> bool {
        let content = standard_parts(self.id, self.timestamp, body).concat();
        keys.iter().any(|key| self.entries.are_by(key, &content))
    }
}

fn timing(at: Timestamp, now: Timestamp) -> Diagnosis {
    match in_time(at, TOLERANCE, now) {
        Ok(()) => Diagnosis::Verified,
        Err(VerifyError::TooNew) => Diagnosis::ClockSlow { by: at.since(now) },
        Err(_) => Diagnosis::TooOld { by: now.since(at) },
    }
}

fn first_difference(sent: &[u8], got: &[u8]) -> usize {
    sent.iter().zip(got).take_while(|(sent, got)| sent == got).count()
}

fn change(sent: &[u8], got: &[u8]) -> BodyChange {
    let json = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    if as_text(sent) == as_text(got) {
        BodyChange::ReadAsText
    } else if json(sent).is_some_and(|sent| json(got) == Some(sent)) {
        BodyChange::JsonRewritten
    } else {
        BodyChange::Other
    }
}

/// Returns what is left of a body whichever way it is read as text.
fn as_text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_start_matches('\u{feff}').replace("\r\n", "\n").trim_end().to_owned()
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body { at, change: BodyChange::JsonRewritten } => write!(
                f,
                "the JSON was written anew, from byte {at} on; verify the bytes of the request before you parse them"
            ),
            Self::Body { at, change: BodyChange::ReadAsText } => {
                write!(f, "the body was read as text, and differs from byte {at} on; verify its bytes")
            }
            Self::Body { at, change: BodyChange::Other } => {
                write!(f, "the body was changed, from byte {at} on; look at what stands between sender and verifier")
            }
            Self::ClockSlow { by } => {
                write!(f, "the receiver's clock is {} s slow; synchronise it", by.as_secs())
            }
            Self::Header(error) => write!(f, "{error}; let proxies pass it on as it is"),
            Self::OtherKey => f.write_str(
                "the request was signed by none of these keys; take that of this webhook, or compare the body with what was sent",
            ),
            Self::TooOld { by } => write!(
                f,
                "the request was signed {} s ago; it is a replay, or the receiver's clock is fast: synchronise it",
                by.as_secs()
            ),
            Self::Verified => f.write_str("the request is authentic"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{MessageId, SignatureScheme};
    use crate::signature::{KeyRing, Message, Secret};

    const AT: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn secret(byte: u8) -> Secret {
        Secret::from_random([byte; 32])
    }

    fn headers(body: &[u8]) -> HeaderMap {
        let id = MessageId::new("msg_1").expect("valid");
        let message = Message { scheme: SignatureScheme::V1, id: &id, at: AT, body };
        message.headers(&KeyRing::new(secret(1)).sign(&message)).expect("signed")
    }

    fn found(sent: &[u8], got: &[u8]) -> Diagnosis {
        diagnose(&headers(sent), got, [secret(1)], Some(sent), AT)
    }

    #[test]
    fn a_changed_body_is_told_with_its_place_and_the_way_it_was_changed() {
        let cases: [(&[u8], &[u8], usize, BodyChange); 7] = [
            (br#"{"a": 1}"#, br#"{"a":1}"#, 5, BodyChange::JsonRewritten),
            (br#"{"b":1,"a":"\u00e9"}"#, r#"{"a":"é","b":1}"#.as_bytes(), 2, BodyChange::JsonRewritten),
            (b"{\r\n}", b"{\n}", 1, BodyChange::ReadAsText),
            (b"\xef\xbb\xbf{}", b"{}", 0, BodyChange::ReadAsText),
            (b"{}\n", b"{}", 2, BodyChange::ReadAsText),
            (b"\"\xff\"", "\"\u{fffd}\"".as_bytes(), 1, BodyChange::ReadAsText),
            (br#"{"a":1}"#, br#"{"a":2}"#, 5, BodyChange::Other),
        ];
        for (sent, got, at, change) in cases {
            assert_eq!(
                found(sent, got),
                Diagnosis::Body { at, change },
                "{:?}",
                String::from_utf8_lossy(got)
            );
        }
    }

    #[test]
    fn keys_clocks_and_headers_are_told_apart() {
        let (sent, ours) = (b"{}", headers(b"{}"));
        assert_eq!(diagnose(&ours, sent, [secret(2)], Some(sent), AT), Diagnosis::OtherKey);
        assert_eq!(diagnose(&ours, b"", [secret(1)], None, AT), Diagnosis::OtherKey);
        let by = Duration::from_secs(420);
        let at = |now| diagnose(&ours, sent, [secret(1)], None, now);
        assert_eq!(at(AT), Diagnosis::Verified);
        assert_eq!(at(AT.minus(by)), Diagnosis::ClockSlow { by });
        assert_eq!(at(AT.plus(by)), Diagnosis::TooOld { by });
        let missing = diagnose(&HeaderMap::new(), sent, [secret(1)], None, AT);
        assert_eq!(missing, Diagnosis::Header(VerifyError::MissingHeader(WEBHOOK_ID)));
    }

    proptest! {
        #[test]
        fn whatever_came_the_diagnosis_is_that_of_the_verifier(
            sent in proptest::collection::vec(any::<u8>(), 0..20),
            got in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let found = found(&sent, &got);
            prop_assert_eq!(found == Diagnosis::Verified, sent == got);
            prop_assert!(!found.to_string().is_empty());
        }
    }
}
