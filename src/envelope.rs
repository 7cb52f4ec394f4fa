//! The bytes that a receiver gets: an event in its envelope.
//!
//! ```
//! use hookwire::envelope;
//! use hookwire::model::{EnvelopeKind, MessageId, Timestamp};
//! use hookwire::{assist, Event, TenantId};
//!
//! let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({"deviceName": "LAB-4"}))?
//!     .message_id(MessageId::new("msg_1")?)
//!     .at(Timestamp::from_millis(1_688_928_870_551));
//! let event = event.published(|| unreachable!("named above"), Timestamp::default());
//! let tenant = TenantId::new("815262805")?;
//! let body = envelope::body(EnvelopeKind::Assist, &event, "DEVICE_ONLINE", &tenant);
//! assert_eq!(
//!     std::str::from_utf8(&body)?,
//!     r#"{"payload":{"deviceName":"LAB-4"},"eventType":"DEVICE_ONLINE","eventTime":"1688928870551","orgId":"815262805"}"#,
//! );
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::model::{EnvelopeKind, PublishedEvent, TenantId};

/// The body of a request: `event` in the envelope `kind`, under the `key` of its event type.
///
/// The same event gives the same bytes each time, and its payload stands in them unchanged.
///
/// # Panics
///
/// Never: text, numbers and parsed JSON always serialise.
pub fn body(kind: EnvelopeKind, event: &PublishedEvent, key: &str, tenant: &TenantId) -> Bytes {
    let bytes = match kind {
        EnvelopeKind::Assist => serde_json::to_vec(&AssistEnvelope {
            payload: &event.payload,
            event_type: key,
            event_time: event.time.as_millis().to_string(),
            event_by: event.actor.as_deref(),
            org_id: tenant.as_str(),
        }),
        EnvelopeKind::StandardWebhooks => serde_json::to_vec(&StandardEnvelope {
            event_type: key,
            timestamp: event.time.to_string(),
            data: &event.payload,
        }),
    };
    bytes.expect("text, numbers and parsed JSON always serialise").into()
}

/// Zoho Assist's: the time is milliseconds as text, and `eventBy` is absent where nobody acted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AssistEnvelope<'a> {
    payload: &'a RawValue,
    event_type: &'a str,
    event_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_by: Option<&'a str>,
    org_id: &'a str,
}

/// Standard Webhooks': the time is that of the event, in ISO 8601.
#[derive(Serialize)]
struct StandardEnvelope<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    timestamp: String,
    data: &'a RawValue,
}
