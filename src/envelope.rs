//! The bodies of requests: an event in an envelope, or by a template.
//!
//! ```
//! use hookwire::envelope;
//! use hookwire::model::{EnvelopeKind, MessageId, Timestamp};
//! use hookwire::{assist, Event, TenantId};
//!
//! let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({"deviceName": "LAB-4"}))?
//!     .message_id(MessageId::new("msg_1")?)
//!     .at(Timestamp::from_millis(1_688_928_870_551));
//! let event = event.stamped(|| unreachable!("it has an id"), Timestamp::default());
//! let tenant = TenantId::new("815262805")?;
//! let body = envelope::body(EnvelopeKind::Assist, &event, "DEVICE_ONLINE", &tenant);
//! assert_eq!(
//!     std::str::from_utf8(&body)?,
//!     r#"{"payload":{"deviceName":"LAB-4"},"eventType":"DEVICE_ONLINE","eventTime":"1688928870551","orgId":"815262805"}"#,
//! );
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

use std::fmt::{self, Display};

use bytes::Bytes;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::model::{
    BodyTemplate, EnvelopeKind, MessageId, StampedEvent, TemplateValues, TenantId, Timestamp,
};

/// Returns the body of a request: `event` in the envelope `kind`, with the `key` of its event type.
///
/// The same event always gives the same bytes, which contain its payload unchanged.
///
/// # Panics
///
/// Never: text, numbers and parsed JSON always serialise.
pub fn body(kind: EnvelopeKind, event: &StampedEvent, key: &str, tenant: &TenantId) -> Bytes {
    let (id, actor) = (event.message_id.as_str(), event.actor.as_deref().unwrap_or_default());
    let texts = [event.payload.get(), key, id, actor, tenant.as_str()];
    let mut bytes = Vec::with_capacity(texts.iter().map(|text| text.len()).sum::<usize>() + OTHER_BYTES);
    let written = match kind {
        EnvelopeKind::Assist => serde_json::to_writer(
            &mut bytes,
            &AssistEnvelope {
                payload: &event.payload,
                event_type: key,
                event_time: AsText(event.time.as_millis()),
                event_by: event.actor.as_deref(),
                org_id: tenant.as_str(),
            },
        ),
        EnvelopeKind::CloudEvents => serde_json::to_writer(
            &mut bytes,
            &CloudEvent {
                specversion: "1.0",
                id: &event.message_id,
                source: AsText(Source(tenant)),
                event_type: key,
                time: AsText(event.time),
                datacontenttype: JSON,
                data: &event.payload,
            },
        ),
        EnvelopeKind::StandardWebhooks => serde_json::to_writer(
            &mut bytes,
            &StandardEnvelope { event_type: key, timestamp: AsText(event.time), data: &event.payload },
        ),
    };
    written.expect("text, numbers and parsed JSON always serialise");
    bytes.into()
}

/// Returns the body of a request: the `template` with the values of `event` in the places of its parameters, with the `key`
/// of its event type. Its media type is `application/json`.
///
/// The same event always gives the same bytes. For a preview, render the catalog's sample:
///
/// ```
/// use hookwire::model::{BodyTemplate, MessageId, Timestamp};
/// use hookwire::{assist, envelope, Event, TenantId};
///
/// let catalog = assist::catalog();
/// let online = catalog.get(assist::DEVICE_ONLINE).expect("in the catalog");
/// let sample = Event::new(online.id(), online.sample())?
///     .stamped(|| MessageId::new("msg_1").expect("short"), Timestamp::default());
/// let template = BodyTemplate::parse(r#"{"device": "${payload.deviceName}", "event": "${eventType}"}"#)?;
/// let preview = envelope::render(&template, &sample, online.key(), &TenantId::new("acme")?);
/// assert_eq!(preview, r#"{"device":"PRIME","event":"DEVICE_ONLINE"}"#);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn render(template: &BodyTemplate, event: &StampedEvent, key: &str, tenant: &TenantId) -> Bytes {
    template.render(TemplateValues { event, key, tenant }).into()
}

/// Returns the media type of a body in the envelope `kind`, for the header `content-type`.
///
/// ```
/// use hookwire::envelope;
/// use hookwire::model::EnvelopeKind;
///
/// assert_eq!(envelope::media_type(EnvelopeKind::CloudEvents), "application/cloudevents+json");
/// assert_eq!(envelope::media_type(EnvelopeKind::Assist), "application/json");
/// ```
pub const fn media_type(kind: EnvelopeKind) -> &'static str {
    match kind {
        EnvelopeKind::Assist | EnvelopeKind::StandardWebhooks => JSON,
        EnvelopeKind::CloudEvents => "application/cloudevents+json",
    }
}

/// The media type of JSON.
pub(crate) const JSON: &str = "application/json";

/// The room for what an envelope has besides its texts: names, punctuation and the time.
const OTHER_BYTES: usize = 160;

/// A value that is written as the text that displays it.
struct AsText<T>(T);

impl<T: Display> Serialize for AsText<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// The envelope of Zoho Assist. The time is in milliseconds as text, and `eventBy` is absent if there is no actor.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AssistEnvelope<'a> {
    payload: &'a RawValue,
    event_type: &'a str,
    event_time: AsText<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_by: Option<&'a str>,
    org_id: &'a str,
}

/// The structured form of a CloudEvent. The time is that of the event.
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'a str,
    id: &'a MessageId,
    source: AsText<Source<'a>>,
    #[serde(rename = "type")]
    event_type: &'a str,
    time: AsText<Timestamp>,
    datacontenttype: &'a str,
    data: &'a RawValue,
}

/// The source of a tenant's events, a path: with the id of a message, which is unique within the tenant, it names one event.
struct Source<'a>(&'a TenantId);

/// Escapes what may not stand in a segment of a path (RFC 3986, section 3.3), and some that may.
impl Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/tenants/")?;
        self.0.as_str().bytes().try_for_each(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                write!(f, "{}", char::from(byte))
            }
            _ => write!(f, "%{byte:02X}"),
        })
    }
}

/// The envelope of Standard Webhooks. The time is that of the event, in ISO 8601.
#[derive(Serialize)]
struct StandardEnvelope<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    timestamp: AsText<Timestamp>,
    data: &'a RawValue,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::model::{Event, EventId};

    const KINDS: [EnvelopeKind; 3] =
        [EnvelopeKind::Assist, EnvelopeKind::CloudEvents, EnvelopeKind::StandardWebhooks];

    fn event(payload: &str, actor: Option<&str>, millis: i64) -> StampedEvent {
        let payload = RawValue::from_string(payload.to_owned()).expect("JSON");
        let event = Event::new(EventId::new(13), &payload).expect("serialises");
        let event = actor.map(|actor| event.clone().actor(actor)).unwrap_or(event);
        let time = Timestamp::from_millis(millis);
        event.stamped(|| MessageId::new("m").expect("valid"), time)
    }

    fn sent(kind: EnvelopeKind, event: &StampedEvent) -> Bytes {
        body(kind, event, "DEVICE_ONLINE", &TenantId::new("acme").expect("valid"))
    }

    fn keys(bytes: &Bytes) -> Vec<String> {
        let object: serde_json::Map<_, _> = serde_json::from_slice(bytes).expect("an object");
        let mut keys: Vec<_> = object.into_iter().map(|(key, _)| key).collect();
        keys.sort();
        keys
    }

    #[test]
    fn payload_bytes_stand_unchanged_in_each_envelope() {
        for payload in [r#"{"b" : 1.10,  "a":1e2, "\u0041": "é"}"#, "null", "[ ]", "12345678901234567890"] {
            for kind in KINDS {
                let bytes = sent(kind, &event(payload, None, 0));
                let text = std::str::from_utf8(&bytes).expect("JSON");
                assert!(text.contains(payload), "{text}");
            }
        }
    }

    #[test]
    fn event_by_is_absent_where_nobody_acted() {
        let nobody = sent(EnvelopeKind::Assist, &event("{}", None, 0));
        assert_eq!(keys(&nobody), ["eventTime", "eventType", "orgId", "payload"]);
        let somebody = sent(EnvelopeKind::Assist, &event("{}", Some("maria"), 0));
        assert_eq!(keys(&somebody), ["eventBy", "eventTime", "eventType", "orgId", "payload"]);
    }

    #[test]
    fn the_standard_envelope_tells_neither_actor_nor_tenant() {
        let bytes = sent(EnvelopeKind::StandardWebhooks, &event("{}", Some("maria"), 0));
        assert_eq!(keys(&bytes), ["data", "timestamp", "type"]);
    }

    #[test]
    fn times_stand_as_text_in_the_form_of_each_envelope() {
        let event = event("{}", None, 1_688_928_870_551);
        let read = |kind| serde_json::from_slice::<Value>(&sent(kind, &event)).expect("JSON");
        assert_eq!(read(EnvelopeKind::Assist)["eventTime"], "1688928870551");
        assert_eq!(read(EnvelopeKind::StandardWebhooks)["timestamp"], "2023-07-09T18:54:30.551Z");
        assert_eq!(read(EnvelopeKind::CloudEvents)["time"], "2023-07-09T18:54:30.551Z");
    }

    #[test]
    fn a_cloud_event_has_the_message_id_and_its_tenant_as_a_path() {
        let bytes = sent(EnvelopeKind::CloudEvents, &event("{}", Some("maria"), 0));
        let expected = ["data", "datacontenttype", "id", "source", "specversion", "time", "type"];
        assert_eq!(keys(&bytes), expected);
        let source = |tenant: &str| Source(&TenantId::new(tenant).expect("valid")).to_string();
        assert_eq!(source("acme-1._~"), "/tenants/acme-1._~");
        assert_eq!(source("a/b c%\u{e9}|\""), "/tenants/a%2Fb%20c%25%C3%A9%7C%22");
    }

    proptest! {
        #[test]
        fn any_text_survives_in_the_envelope_and_the_same_event_gives_the_same_bytes(
            actor in any::<String>(),
            key in any::<String>(),
            payload in any::<String>(),
            millis in any::<i64>(),
        ) {
            let event = event(&Value::from(payload.clone()).to_string(), Some(&actor), millis);
            let tenant = TenantId::new("acme").expect("valid");
            let bytes = body(EnvelopeKind::Assist, &event, &key, &tenant);
            let read: Value = serde_json::from_slice(&bytes).expect("JSON");
            prop_assert_eq!(&read["eventBy"], &actor);
            prop_assert_eq!(&read["eventType"], &key);
            prop_assert_eq!(&read["payload"], &payload);
            prop_assert_eq!(&read["eventTime"], &millis.to_string());
            prop_assert_eq!(body(EnvelopeKind::Assist, &event, &key, &tenant), bytes);
        }
    }
}
