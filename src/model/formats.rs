//! `EnvelopeKind` and `SignatureScheme`: the formats of bodies and of signatures. A new scheme of signatures begins here.

use serde::{Deserialize, Serialize};

/// The format of a request's body.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EnvelopeKind {
    /// The format of Zoho Assist: `{"payload", "eventType", "eventTime", "eventBy", "orgId"}`.
    Assist,
    /// The structured format of [CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md):
    /// `{"specversion", "id", "source", "type", "time", "datacontenttype", "data"}`, with the media type
    /// `application/cloudevents+json`. The id is the message id; the source is the tenant, as `/tenants/acme`.
    CloudEvents,
    /// The format of Standard Webhooks: `{"type", "timestamp", "data"}`.
    StandardWebhooks,
}

/// The format of a signature. The documentation of [`signature`](crate::signature) says what each one signs.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SignatureScheme {
    /// The format of GitHub: one HMAC-SHA256 of the body alone. It does not detect replays; use it only for
    /// receivers that support no other.
    #[serde(rename = "github")]
    GitHub,
    /// The format of Stripe: HMAC-SHA256 of time and body.
    Stripe,
    /// `v1` of Standard Webhooks: HMAC-SHA256 of id, time and body.
    #[default]
    V1,
    /// `v1a` of Standard Webhooks: ed25519 of id, time and body. The receiver gets a public key.
    V1a,
}

impl SignatureScheme {
    /// Returns whether the receiver verifies with a public key.
    pub const fn is_asymmetric(self) -> bool {
        match self {
            Self::GitHub | Self::Stripe | Self::V1 => false,
            Self::V1a => true,
        }
    }
}
