//! Events as a host publishes them, and as they are stored.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::integer_id::{DeptId, EventId};
use super::same_json::same_json;
use super::sql_document::{InvalidSqlDocument, SqlDocument};
use super::text_id::{MessageId, SourceId, TenantId};
use super::time::Timestamp;
use super::trace_context::TraceContext;
use super::violation::{Rule, Violation};

/// A Rust type that is the payload of one kind of event.
///
/// ```
/// use hookwire::{Event, EventId};
/// use hookwire::model::Payload;
///
/// #[derive(serde::Serialize)]
/// struct OrderPaid {
///     order: u64,
/// }
///
/// impl Payload for OrderPaid {
///     const EVENT: EventId = EventId::new(1);
/// }
///
/// let event = Event::of(&OrderPaid { order: 4711 })?;
/// assert_eq!(event.payload().get(), r#"{"order":4711}"#);
/// # Ok::<_, hookwire::model::InvalidEvent>(())
/// ```
pub trait Payload: Serialize {
    /// The kind of event whose payload this type is.
    const EVENT: EventId;
}

/// An event to be published.
///
/// Only the kind of event and the payload are required. Publishing adds a message id and a time if they are
/// missing. Set the message id to make publishing idempotent.
///
/// ```
/// use hookwire::{assist, DeptId, Event, SourceId};
///
/// let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({"deviceName": "LAB-4"}))?
///     .department(DeptId::new(7))
///     .source(SourceId::new("agent")?)
///     .actor("maria@example.com");
/// # let _ = event;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Event {
    event_id: EventId,
    payload: Arc<RawValue>,
    message_id: Option<MessageId>,
    time: Option<Timestamp>,
    department: Option<DeptId>,
    source: Option<SourceId>,
    actor: Option<String>,
    trace: Option<TraceContext>,
}

impl Event {
    /// The maximum number of characters of an actor. An e-mail address has at most 254 (RFC 5321, section 4.5.3.1).
    pub const MAX_ACTOR_CHARS: usize = 256;

    /// Creates an event of this kind, with `payload` serialised to JSON.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidEvent`] if the payload does not serialise to JSON.
    pub fn new<T: Serialize + ?Sized>(event: EventId, payload: &T) -> Result<Self, InvalidEvent> {
        let payload = to_raw_value(payload).map_err(|source| InvalidEvent { source })?;
        Ok(Self {
            event_id: event,
            payload: payload.into(),
            message_id: None,
            time: None,
            department: None,
            source: None,
            actor: None,
            trace: None,
        })
    }

    /// Creates the event whose payload is `payload`.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidEvent`] if the payload does not serialise to JSON.
    pub fn of<P: Payload>(payload: &P) -> Result<Self, InvalidEvent> {
        Self::new(P::EVENT, payload)
    }

    /// Sets the message id. Publishing another event with the same id and content does nothing.
    #[must_use]
    pub fn message_id(self, id: MessageId) -> Self {
        Self { message_id: Some(id), ..self }
    }

    /// Sets the time at which it happened. Default: the time of publishing.
    #[must_use]
    pub fn at(self, time: impl Into<Timestamp>) -> Self {
        Self { time: Some(time.into()), ..self }
    }

    /// Sets the department in which it happened.
    #[must_use]
    pub fn department(self, department: DeptId) -> Self {
        Self { department: Some(department), ..self }
    }

    /// Sets the source of the write that caused it.
    #[must_use]
    pub fn source(self, source: SourceId) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Sets the person who caused it: `eventBy` in Assist's envelope.
    ///
    /// Publishing fails if it has more than [`MAX_ACTOR_CHARS`](Self::MAX_ACTOR_CHARS) characters, or a control
    /// character.
    #[must_use]
    pub fn actor(self, actor: impl Into<String>) -> Self {
        Self { actor: Some(actor.into()), ..self }
    }

    /// Sets the trace in which it is published. It is kept with the event, and sent to receivers if
    /// [`send_trace_context`](crate::service::WebhooksBuilder::send_trace_context) is on.
    ///
    /// It is not part of the event's content: publishing again in another trace does nothing.
    ///
    /// ```
    /// use hookwire::{Event, EventId};
    ///
    /// let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"; // of the request at hand
    /// let event = Event::new(EventId::new(1), "payload")?.trace_context(traceparent.parse()?);
    /// # let _ = event;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn trace_context(self, context: TraceContext) -> Self {
        Self { trace: Some(context), ..self }
    }

    /// Returns the kind of event.
    pub const fn event_id(&self) -> EventId {
        self.event_id
    }

    /// Returns the payload, as JSON.
    pub fn payload(&self) -> &RawValue {
        &self.payload
    }

    /// Returns the department and the source.
    pub(crate) const fn origin(&self) -> (Option<DeptId>, Option<&SourceId>) {
        (self.department, self.source.as_ref())
    }

    /// Returns every rule that the actor and the message id break. The other texts have types that check them.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        text_violations(self.actor.as_deref(), self.message_id.as_ref())
    }

    /// Returns the JSON that the SQL function `hookwire.publish(text)` takes, with `id` if the event has none.
    pub(crate) fn to_sql_document(&self, tenant: &TenantId, id: impl FnOnce() -> MessageId) -> String {
        let document = SqlDocument {
            tenant: Cow::Borrowed(tenant),
            message_id: self.message_id.clone().unwrap_or_else(id),
            event_id: self.event_id,
            time: self.time,
            department: self.department,
            source: self.source.as_ref().map(Cow::Borrowed),
            actor: self.actor.as_deref().map(Cow::Borrowed),
            trace: self.trace.as_ref().map(Cow::Borrowed),
            payload_text: self.payload.get().into(),
        };
        serde_json::to_string(&document).expect("numbers and strings serialise")
    }

    /// Adds a message id and a time if they are missing.
    ///
    /// ```
    /// use hookwire::model::{MessageId, Timestamp};
    /// use hookwire::{Event, EventId};
    ///
    /// let event = Event::new(EventId::new(1), "payload")?.message_id(MessageId::new("order-1")?);
    /// let stamped = event.stamped(|| unreachable!("it has an id"), Timestamp::from_secs(5));
    /// assert_eq!(stamped.message_id.as_str(), "order-1");
    /// assert_eq!(stamped.time, Timestamp::from_secs(5));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn stamped(self, id: impl FnOnce() -> MessageId, now: Timestamp) -> StampedEvent {
        StampedEvent {
            message_id: self.message_id.unwrap_or_else(id),
            event_id: self.event_id,
            time: self.time.unwrap_or(now),
            department: self.department,
            source: self.source,
            actor: self.actor,
            trace: self.trace,
            payload: self.payload,
        }
    }
}

/// An event with its message id and time, as stores keep it and receivers get it.
///
/// [`Event::stamped`] creates one.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "stores build it; a new field must not be forgotten")]
pub struct StampedEvent {
    /// Its id, unique within the tenant.
    pub message_id: MessageId,
    /// The kind of event.
    pub event_id: EventId,
    /// The time at which it happened.
    pub time: Timestamp,
    /// The department in which it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<DeptId>,
    /// The source of the write that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceId>,
    /// The person who caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The trace in which it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    /// The payload: JSON, byte for byte as it was published.
    pub payload: Arc<RawValue>,
}

impl StampedEvent {
    /// Reads the text that [`to_sql_document`](crate::Tenant::to_sql_document) makes: the tenant and the event, which has
    /// happened `now` if the text says no time. For stores to build on.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidSqlDocument`] for any other text.
    pub fn from_sql_document(text: &str, now: Timestamp) -> Result<(TenantId, Self), InvalidSqlDocument> {
        let invalid = |error: serde_json::Error| InvalidSqlDocument(error.to_string());
        let document: SqlDocument<'_> = serde_json::from_str(text).map_err(invalid)?;
        let payload = RawValue::from_string(document.payload_text.into_owned()).map_err(invalid)?;
        let event = Self {
            message_id: document.message_id,
            event_id: document.event_id,
            time: document.time.unwrap_or(now),
            department: document.department,
            source: document.source.map(Cow::into_owned),
            actor: document.actor.map(Cow::into_owned),
            trace: document.trace.map(Cow::into_owned),
            payload: Arc::from(payload),
        };
        match event.violations().first() {
            Some(violation) => Err(InvalidSqlDocument(violation.to_string())),
            None => Ok((document.tenant.into_owned(), event)),
        }
    }

    /// Returns every rule that the actor and the message id break. The other texts have types that check them.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        text_violations(self.actor.as_deref(), Some(&self.message_id))
    }

    /// Returns the SHA-256 digest of the content, which tells a repeated publish from a message id that is used for
    /// another event.
    ///
    /// Time and trace are not part of it: a publish that is repeated after a lost answer may carry others.
    pub fn digest(&self) -> [u8; 32] {
        let department = self.department.map(|id| id.to_string());
        let parts = [
            Some(self.payload.get()),
            department.as_deref(),
            self.source.as_ref().map(SourceId::as_str),
            self.actor.as_deref(),
        ];
        let mut hash = Sha256::new_with_prefix(self.event_id.get().to_be_bytes());
        for part in parts {
            // The length keeps neighbours apart; no part has the length that stands for "none".
            let length = part.map_or(u64::MAX, |text| text.len() as u64);
            hash.update(length.to_be_bytes());
            hash.update(part.unwrap_or_default());
        }
        hash.finalize().into()
    }

    /// Returns whether two events have the same content, whatever their times and traces and however their payloads are written: white
    /// space, the order of an object's keys and the way in which strings are escaped do not matter.
    ///
    /// Equal [digests](Self::digest) tell the same sooner. Numbers are compared as they are written.
    ///
    /// ```
    /// use hookwire::model::{MessageId, StampedEvent, Timestamp};
    /// use hookwire::{Event, EventId};
    ///
    /// let stamped = |payload: &str| -> Result<StampedEvent, Box<dyn std::error::Error>> {
    ///     let payload: Box<serde_json::value::RawValue> = serde_json::from_str(payload)?;
    ///     let id = MessageId::new("order-1")?;
    ///     Ok(Event::new(EventId::new(1), &payload)?.stamped(|| id, Timestamp::default()))
    /// };
    /// let event = stamped(r#"{"a": 1, "b": "\u00e9"}"#)?;
    /// assert!(event.has_content_of(&stamped(r#"{"b":"é","a":1}"#)?));
    /// assert!(!event.has_content_of(&stamped(r#"{"b":"é","a":1.0}"#)?));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn has_content_of(&self, other: &Self) -> bool {
        (self.event_id, self.department) == (other.event_id, other.department)
            && (&self.source, &self.actor) == (&other.source, &other.actor)
            && same_json(self.payload.get(), other.payload.get())
    }

    /// Returns the event as the log shows it once its payload was removed: with `null` in its place.
    #[must_use]
    pub fn without_payload(&self) -> Self {
        Self { payload: RawValue::NULL.to_owned().into(), ..self.clone() }
    }
}

fn text_violations(actor: Option<&str>, id: Option<&MessageId>) -> Vec<Violation> {
    let mut violations = actor_violations(actor.unwrap_or_default());
    if id.is_some_and(MessageId::is_test) {
        let message = "begins with `test_`, by which receivers tell tests from events; choose another";
        violations.push(Violation::new("message_id", Rule::Reserved, message));
    }
    violations
}

fn actor_violations(actor: &str) -> Vec<Violation> {
    let length = actor.chars().count();
    let max = Event::MAX_ACTOR_CHARS;
    let too_long = (length > max).then(|| {
        let message = format!("has {length} characters; shorten it to {max}");
        Violation::new("actor", Rule::TooLong, message)
    });
    let controls = actor
        .contains(char::is_control)
        .then(|| Violation::new("actor", Rule::Format, "holds control characters; remove them"));
    too_long.into_iter().chain(controls).collect()
}

/// An error for a payload that does not serialise to JSON.
#[derive(Debug, Error)]
#[error("the payload does not serialise to JSON")]
#[non_exhaustive]
pub struct InvalidEvent {
    source: serde_json::Error,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stamped(event: Event) -> StampedEvent {
        event.stamped(|| MessageId::new("generated").expect("valid"), Timestamp::from_millis(5))
    }

    fn traced() -> TraceContext {
        let context: Result<TraceContext, _> =
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse();
        context.and_then(|context| context.with_state("a=1")).expect("valid")
    }

    fn event() -> Event {
        Event::new(EventId::new(1), &json!({"a": 1})).expect("serialises")
    }

    #[test]
    fn what_was_left_open_is_filled_in_and_what_was_named_stays() {
        let open = stamped(event());
        assert_eq!((open.message_id.as_str(), open.time.as_millis()), ("generated", 5));
        let id = MessageId::new("mine").expect("valid");
        let named = stamped(event().message_id(id).at(Timestamp::from_millis(3)));
        assert_eq!((named.message_id.as_str(), named.time.as_millis()), ("mine", 3));
    }

    #[test]
    fn the_digest_tells_contents_apart_and_passes_over_the_time() {
        let digest = |event| stamped(event).digest();
        let other = Event::new(EventId::new(2), &json!({"a": 1})).expect("serialises");
        let source = SourceId::new("x").expect("valid");
        assert_eq!(digest(event()), digest(event().at(Timestamp::from_millis(9))));
        assert_eq!(digest(event()), digest(event().trace_context(traced())));
        assert_ne!(digest(event()), digest(other));
        assert_ne!(digest(event()), digest(event().department(DeptId::new(1))));
        assert_ne!(digest(event().source(source)), digest(event().actor("x")));
        assert_ne!(digest(event()), digest(event().actor("")));
    }

    #[test]
    fn an_actor_is_short_and_plain_and_all_that_is_wrong_is_told_at_once() {
        let rules = |actor: &str| -> Vec<Rule> {
            stamped(event().actor(actor)).violations().iter().map(Violation::rule).collect()
        };
        assert_eq!(stamped(event()).violations(), []);
        for sound in ["", "maria@example.com", "M\u{e4}x", &"\u{e9}".repeat(256)] {
            assert_eq!(rules(sound), [], "{sound}");
        }
        assert_eq!(rules(&"\u{e9}".repeat(257)), [Rule::TooLong]);
        for control in ["\0", "a\r\nb", "\t", "\u{7f}", "\u{85}"] {
            assert_eq!(rules(control), [Rule::Format], "{control:?}");
        }
        assert_eq!(rules(&"\n".repeat(257)), [Rule::TooLong, Rule::Format]);
    }

    #[test]
    fn payload_bytes_survive_a_round_trip_unchanged() {
        let raw = RawValue::from_string(r#"{"b" : 1.10, "a":1e2}"#.into()).expect("json");
        let event = stamped(Event::new(EventId::new(1), &raw).expect("serialises"));
        let stored = serde_json::to_string(&event).expect("serialises");
        let loaded: StampedEvent = serde_json::from_str(&stored).expect("deserialises");
        assert_eq!(loaded.payload.get(), r#"{"b" : 1.10, "a":1e2}"#);
        assert_eq!(loaded.digest(), event.digest());
    }

    #[test]
    fn the_document_leaves_out_what_is_open_and_keeps_the_bytes_of_the_payload() {
        let id = || MessageId::new("generated").expect("valid");
        let acme = TenantId::new("a \"b\"").expect("valid");
        let raw = RawValue::from_string(r#"{"b" : 1.10, "a":1e2}"#.into()).expect("json");
        let event = Event::new(EventId::new(1), &raw).expect("serialises");
        let open = r#"{"tenant":"a \"b\"","message_id":"generated","event_id":1,"payload_text":"{\"b\" : 1.10, \"a\":1e2}"}"#;
        assert_eq!(event.to_sql_document(&acme, id), open);
        let (mine, source) = (MessageId::new("mine").expect("valid"), SourceId::new("crm").expect("valid"));
        let named = event.message_id(mine).at(Timestamp::from_millis(3)).department(DeptId::new(7));
        let named = named.source(source).actor("m\u{e4}x\n").to_sql_document(&acme, id);
        let rest =
            "\"time\":3,\"department\":7,\"source\":\"crm\",\"actor\":\"m\u{e4}x\\n\",\"payload_text\"";
        assert!(named.contains(rest) && named.contains(r#""message_id":"mine""#), "{named}");
    }

    #[test]
    fn a_document_is_read_back_and_any_other_text_is_refused() {
        let (acme, now) = (TenantId::new("acme").expect("valid"), Timestamp::from_millis(9));
        let id = || MessageId::new("generated").expect("valid");
        let event = Event::new(EventId::new(1), "LAB-4")
            .expect("serialises")
            .actor("m\u{e4}x")
            .department(DeptId::new(7));
        let text = event.to_sql_document(&acme, id);
        let (tenant, read) = StampedEvent::from_sql_document(&text, now).expect("its own text");
        assert_eq!((tenant, read.time), (acme.clone(), now));
        assert_eq!(read.digest(), event.clone().stamped(id, now).digest());
        let timed = event.at(Timestamp::from_millis(3)).to_sql_document(&acme, id);
        assert_eq!(StampedEvent::from_sql_document(&timed, now).expect("its own text").1.time.as_millis(), 3);
        let text = Event::new(EventId::new(1), "LAB-4").expect("serialises").trace_context(traced());
        let text = text.to_sql_document(&acme, id);
        assert!(text.contains(r#""trace":{"traceparent":"00-4bf9"#), "{text}");
        assert_eq!(
            StampedEvent::from_sql_document(&text, now).expect("its own text").1.trace,
            Some(traced())
        );
        for other in [
            "",
            "{}",
            &text.replace("00-4bf9", "4bf9"),
            &text.replace("acme", ""),
            &text.replace("generated", "test_1"),
            &text.replace("LAB", "\\"),
        ] {
            assert!(StampedEvent::from_sql_document(other, now).is_err(), "{other}");
        }
    }

    #[test]
    fn a_payload_that_is_no_json_is_refused() {
        let map = std::collections::HashMap::from([((1, 2), 3)]);
        let error = Event::new(EventId::new(1), &map).expect_err("tuple keys");
        assert_eq!(error.to_string(), "the payload does not serialise to JSON");
    }
}
