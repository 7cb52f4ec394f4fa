//! One request of a delivery and its outcome, as the log shows them.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::number::is_zero;
use super::time::Timestamp;

/// One HTTP request of a delivery and its outcome.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "stores build it; a new field must not be forgotten")]
pub struct Attempt {
    /// Its number within the delivery, counted from 1.
    pub number: u32,
    /// The time at which it started, which is also the signed time.
    pub at: Timestamp,
    /// The time from its start to its outcome.
    #[serde(rename = "took_ms", with = "millis")]
    pub took: Duration,
    /// The number of attempts in a row, up to this one, that used no step of the schedule for the same cause. Zero if
    /// it used a step.
    ///
    /// Of such attempts in a row the log keeps the first and the last.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uncounted: u32,
    /// Its outcome.
    pub outcome: Outcome,
}

impl Attempt {
    /// Returns the attempt without the receiver's answer.
    #[must_use]
    pub fn without_answer(mut self) -> Self {
        if let Outcome::Answered { body, .. } = &mut self.outcome {
            body.clear();
        }
        self
    }

    /// Returns whether the log keeps this attempt in place of the one before it. For stores to build on.
    pub const fn replaces_previous(&self) -> bool {
        self.uncounted > 2
    }
}

/// The outcome of a request.
///
/// A failed request is an outcome and not an error: it is recorded, and the delivery is tried again.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "an answer came, or none did")]
pub enum Outcome {
    /// An answer came, whatever its status. Its head was complete. [`answered`](Self::answered) makes one.
    Answered {
        /// The status of the answer.
        #[serde(with = "status_code")]
        status: StatusCode,
        /// The time for which the receiver asked to get no request, from `Retry-After`.
        #[serde(rename = "retry_after_ms", default, with = "optional_millis")]
        retry_after: Option<Duration>,
        /// The start of the body, as text. Empty for readers who may not see it.
        body: String,
        /// Whether the body broke off, or went on for too long after the head. `body` has what came in time.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        incomplete: bool,
        /// The URL to which a 3xx answer points, which is not followed. It is absolute and has no user, query or
        /// fragment, and at most 1,024 bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location: Option<String>,
    },
    /// No answer came.
    Failed {
        /// The class of the failure.
        kind: FailureKind,
        /// The details, for the operator: they may name internal addresses. Empty for everybody else.
        detail: String,
    },
}

impl Outcome {
    /// Creates the outcome of an answer with a complete body and no `Location`.
    ///
    /// ```
    /// use hookwire::model::Outcome;
    /// use http::StatusCode;
    ///
    /// assert!(Outcome::answered(StatusCode::OK, None, "thanks").is_success());
    /// ```
    pub fn answered(status: StatusCode, retry_after: Option<Duration>, body: impl Into<String>) -> Self {
        Self::Answered { status, retry_after, body: body.into(), incomplete: false, location: None }
    }

    /// Returns whether the receiver answered with a 2xx status. Nothing else counts as delivered.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Answered { status, .. } if status.is_success())
    }

    /// Returns whether the attempt failed on the sender's side, so that it tells nothing of the receiver.
    pub(crate) const fn is_local(&self) -> bool {
        matches!(self, Self::Failed { kind: FailureKind::Local | FailureKind::Prepare, .. })
    }

    /// Returns whether the receiver took longer than the deadline.
    pub const fn is_timeout(&self) -> bool {
        matches!(self, Self::Failed { kind: FailureKind::Timeout, .. })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { status, location: Some(location), .. } => {
                write!(f, "answered {} and points to {location}", status.as_u16())
            }
            Self::Answered { status, .. } => write!(f, "answered {}", status.as_u16()),
            Self::Failed { kind, .. } => kind.fmt(f),
        }
    }
}

/// The reason why no answer came.
///
/// Each is retried, because names, certificates and networks get repaired. The documentation of each kind says
/// what has to change for a retry to succeed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// No connection to the receiver. A retry can succeed unchanged.
    Connect,
    /// The host name was not resolved. A retry can succeed unchanged.
    Dns,
    /// The sender's own machine could not open a connection: it ran out of descriptors, ports, memory or threads, or
    /// reached no network, no resolver, or not its egress proxy. The receiver is not at fault. A retry succeeds once
    /// that is repaired.
    Local,
    /// The request could not be prepared: the webhook's secrets do not open, the host's own signer failed, or
    /// its own transport panicked. A retry succeeds once that is repaired.
    Prepare,
    /// The connection broke off, or what came was not HTTP. A retry can succeed unchanged. The receiver
    /// may have got the event.
    Protocol,
    /// The address guard refused the address. A retry succeeds once the name resolves to
    /// another.
    Refused,
    /// The deadline passed. A retry can succeed unchanged. The receiver may have got the event.
    Timeout,
    /// TLS failed for none of the reasons below. A retry succeeds once the receiver's TLS is repaired.
    Tls,
    /// The receiver asks for a client certificate, which hookwire does not send. A retry succeeds once it asks
    /// for none.
    TlsClientCertificate,
    /// The receiver's certificate has expired. A retry succeeds once it is renewed.
    TlsExpired,
    /// The receiver sent its certificate alone, and its issuer is not trusted. A retry succeeds once it sends the
    /// whole chain: its certificate and all intermediate ones.
    TlsIncompleteChain,
    /// The receiver's certificate is not valid yet. A retry succeeds from then on, or once a wrong clock
    /// is corrected.
    TlsNotYetValid,
    /// The receiver speaks nothing newer than TLS 1.1. A retry succeeds once it speaks TLS 1.2
    /// or 1.3.
    TlsTooOld,
    /// The receiver's certificate is self-signed, or the last issuer of its chain is not trusted. A retry succeeds
    /// once it sends one by a public authority, with its chain.
    TlsUntrusted,
    /// The receiver's certificate is for other hosts. A retry succeeds once it names this one.
    TlsWrongHost,
}

impl FailureKind {
    /// Returns a description that a tenant may see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "could not connect",
            Self::Dns => "host name not resolved",
            Self::Local => "the sender could not open a connection",
            Self::Prepare => "request could not be prepared",
            Self::Protocol => "connection broke off",
            Self::Refused => "address refused",
            Self::Timeout => "timed out",
            Self::Tls => "TLS failed",
            Self::TlsClientCertificate => {
                "TLS failed: the receiver asks for a client certificate, and none is sent"
            }
            Self::TlsExpired => "TLS failed: the certificate has expired",
            Self::TlsIncompleteChain => {
                "TLS failed: the certificate's issuer is not trusted, or was not sent; send the whole chain"
            }
            Self::TlsNotYetValid => "TLS failed: the certificate is not valid yet",
            Self::TlsTooOld => "TLS failed: only TLS 1.2 and 1.3 are spoken",
            Self::TlsUntrusted => "TLS failed: the certificate is self-signed, or its issuer is not trusted",
            Self::TlsWrongHost => "TLS failed: the certificate is for another host",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

pub(crate) mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        u64::try_from(took.as_millis()).unwrap_or(u64::MAX).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

mod optional_millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let millis = duration.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX));
        millis.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}

mod status_code {
    use http::StatusCode;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
        status.as_u16().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
        StatusCode::from_u16(u16::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> Outcome {
        let status = StatusCode::from_u16(status).expect("status");
        Outcome::answered(status, None, "")
    }

    fn moved(to: &str) -> Outcome {
        Outcome::Answered {
            status: StatusCode::MOVED_PERMANENTLY,
            retry_after: None,
            body: String::new(),
            incomplete: true,
            location: Some(to.to_owned()),
        }
    }

    #[test]
    fn what_an_earlier_version_stored_is_a_complete_answer_without_a_location() {
        let stored = r#"{"answered":{"status":200,"retry_after_ms":null,"body":""}}"#;
        let outcome: Outcome = serde_json::from_str(stored).expect("readable");
        assert_eq!(outcome, answered(200));
        assert_eq!(serde_json::to_string(&outcome).expect("JSON"), stored);
        let moved = moved("https://example.com/");
        let text = serde_json::to_string(&moved).expect("JSON");
        assert_eq!(serde_json::from_str::<Outcome>(&text).expect("its own form"), moved);
    }

    #[test]
    fn success_is_2xx_and_nothing_else() {
        for (status, success) in [(199, false), (200, true), (299, true), (300, false), (304, false)] {
            assert_eq!(answered(status).is_success(), success, "{status}");
        }
        let failed = Outcome::Failed { kind: FailureKind::Timeout, detail: String::new() };
        assert!(!failed.is_success() && failed.is_timeout());
    }

    #[test]
    fn what_a_tenant_sees_is_a_class() {
        assert_eq!(answered(503).to_string(), "answered 503");
        let moved = moved("https://example.com/hook/").to_string();
        assert_eq!(moved, "answered 301 and points to https://example.com/hook/");
        assert_eq!(FailureKind::Refused.to_string(), "address refused");
    }
}
