//! Templates: the body of a request as its receiver wants it, with values of the event in their places.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::event::StampedEvent;
use super::filter::LazyPayload;
use super::json_tokens::{tokens, unquoted};
use super::text_id::TenantId;

/// A template of a webhook's bodies: JSON in which parameters stand for values of the event.
///
/// Zoho Assist calls it *Manage Parameters*. Its documentation shows no syntax, so this one is our own. A template is any
/// JSON. The strings in it may have parameters:
///
/// | parameter | its value | type |
/// |---|---|---|
/// | `${payload}` | the payload | any |
/// | `${payload.device.name}`, `${payload.items.0}` | a member of the payload, an item of an array from 0 | any; `null` if there is none |
/// | `${eventType}` | the key of the event | string |
/// | `${eventTime}` | when it happened, in milliseconds since the Unix epoch, as in Assist's envelope | string |
/// | `${eventBy}` | who caused it | string or `null` |
/// | `${orgId}` | the tenant | string |
/// | `${department}` | the department in which it happened | number or `null` |
/// | `${messageId}` | the message id, as in the header `webhook-id` | string |
/// | `${$}` | a dollar sign: `${$}{` is a literal `${` | string |
///
/// - A string that is one parameter and nothing else is replaced by the value, with its type: `"${payload.load}"` becomes
///   `1.10`. The value is written as it is in the payload.
/// - Within other text, the value is inserted as text: `"Device ${payload.name} is on"`. A string is inserted without its
///   quotes, an object or an array as its JSON, and `null` as nothing.
/// - Everything else is kept: keys, also those with `${`, and numbers as they are written. White space between values is
///   not kept.
/// - A name of a member is what stands between two dots. Members whose names have a dot or a `}` cannot be named.
///
/// Each event gives valid JSON, and the same event gives the same bytes. The size is bounded: no part of the payload stands in
/// it more than [`MAX_REPEATS`](Self::MAX_REPEATS) times. The bounds are our choice: see the constants.
///
/// [`envelope::render`](crate::envelope::render) shows what an event becomes, and [`missing_in`](Self::missing_in) tells what
/// it names that a sample of the payload lacks. A
/// [subscription](super::Subscription::with_template) or a [webhook](super::DeliveryOptions::with_template) has a template where the
/// [catalog allows it](super::CatalogBuilder::allow_templates). It is stored in clear. `Debug` does not print it, because its
/// texts may be credentials; `Display` does, and with `#` in lines.
///
/// In JSON it is the template itself. It deserialises from JSON by `serde_json` alone, as payloads do.
///
/// ```
/// use hookwire::model::{BodyTemplate, MessageId, Timestamp};
/// use hookwire::{assist, envelope, Event, TenantId};
///
/// let template = BodyTemplate::parse(
///     r#"{"text": "${payload.deviceName} is on", "load": "${payload.load}", "by": "${eventBy}", "v": 1.0}"#,
/// )?;
/// let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({"deviceName": "LAB-4", "load": 7}))?;
/// let event = event.stamped(|| MessageId::new("msg_1").expect("short"), Timestamp::default());
/// let body = envelope::render(&template, &event, "DEVICE_ONLINE", &TenantId::new("acme")?);
/// assert_eq!(body, r#"{"text":"LAB-4 is on","load":7,"by":null,"v":1.0}"#);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct BodyTemplate {
    /// The template as JSON, without white space between values.
    pub(super) source: Arc<RawValue>,
    pub(super) pieces: Arc<[Piece]>,
}

/// A piece of the body. The pieces together are JSON.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Piece {
    /// JSON text that stays.
    Literal(String),
    /// A parameter within a string.
    Text(Parameter),
    /// A parameter in place of a value.
    Value(Parameter),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Parameter {
    Department,
    EventBy,
    EventTime,
    EventType,
    MessageId,
    OrgId,
    /// The payload, or the member to which these names lead.
    Payload(Vec<String>),
}

impl Parameter {
    /// Returns whether the value of `other` is within the value of this one, or is the same.
    pub(super) fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Payload(path), Self::Payload(other)) => other.starts_with(path),
            _ => self == other,
        }
    }
}

/// The parameter as it is written.
impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Department => "department",
            Self::EventBy => "eventBy",
            Self::EventTime => "eventTime",
            Self::EventType => "eventType",
            Self::MessageId => "messageId",
            Self::OrgId => "orgId",
            Self::Payload(path) => {
                f.write_str("${payload")?;
                path.iter().try_for_each(|name| write!(f, ".{name}"))?;
                return f.write_str("}");
            }
        };
        write!(f, "${{{name}}}")
    }
}

/// What the parameters of a template stand for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TemplateValues<'a> {
    pub(crate) event: &'a StampedEvent,
    /// The key of the event's type.
    pub(crate) key: &'a str,
    pub(crate) tenant: &'a TenantId,
}

impl BodyTemplate {
    /// Returns the JSON text in which parameters are replaced by values.
    pub(crate) fn render(&self, values: TemplateValues<'_>) -> String {
        let payload = LazyPayload::new(&values.event.payload);
        let mut body = String::with_capacity(self.source.get().len() + values.event.payload.get().len());
        for piece in &*self.pieces {
            match piece {
                Piece::Literal(text) => body.push_str(text),
                Piece::Value(parameter) => body.push_str(&values.json_of(parameter, &payload)),
                Piece::Text(parameter) => push_text(&mut body, &values.json_of(parameter, &payload)),
            }
        }
        body
    }
}

impl<'a> TemplateValues<'a> {
    /// Returns the value of a parameter as JSON. That of the payload is as it is written there.
    fn json_of(&self, parameter: &Parameter, payload: &LazyPayload<'a>) -> Cow<'a, str> {
        let event = self.event;
        match parameter {
            Parameter::Department => event.department.map_or(NULL, |id| id.to_string().into()),
            Parameter::EventBy => event.actor.as_deref().map_or(NULL, quoted),
            Parameter::EventTime => quoted(&event.time.as_millis().to_string()),
            Parameter::EventType => quoted(self.key),
            Parameter::MessageId => quoted(event.message_id.as_str()),
            Parameter::OrgId => quoted(self.tenant.as_str()),
            Parameter::Payload(path) if path.is_empty() => event.payload.get().into(),
            Parameter::Payload(path) => payload.member(path).map_or(NULL, Cow::Borrowed),
        }
    }
}

const NULL: Cow<'static, str> = Cow::Borrowed("null");

/// Writes a text as a JSON string.
pub(super) fn quoted(text: &str) -> Cow<'static, str> {
    serde_json::to_string(text).expect("text serialises").into()
}

/// Adds a value, which is JSON, to what is between the quotes of a string.
fn push_text(body: &mut String, json: &str) {
    match json.bytes().next() {
        Some(b'"') => body.push_str(unquoted(json)),
        Some(b'{' | b'[') => body.push_str(unquoted(&quoted(json))),
        _ if json == NULL => {}
        _ => body.push_str(json),
    }
}

/// Writes the template as JSON; with `#` in lines, indented by two blanks.
impl fmt::Display for BodyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return f.write_str(self.source.get());
        }
        let (mut depth, mut last) = (0_usize, "");
        for (_, token) in tokens(self.source.get()) {
            let is_end = matches!(token, "}" | "]");
            let was_begin = matches!(last, "{" | "[");
            depth -= usize::from(is_end && depth > 0);
            if (was_begin || is_end || last == ",") && !(was_begin && is_end) {
                write!(f, "\n{:1$}", "", 2 * depth)?;
            }
            f.write_str(if token == ":" { ": " } else { token })?;
            depth += usize::from(matches!(token, "{" | "["));
            last = token;
        }
        Ok(())
    }
}

/// Omits the text, which may hold credentials.
impl fmt::Debug for BodyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyTemplate").field("bytes", &self.source.get().len()).finish_non_exhaustive()
    }
}

impl Eq for BodyTemplate {}

impl PartialEq for BodyTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.source.get() == other.source.get()
    }
}

impl Serialize for BodyTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::model::{DeptId, Event, EventId, MessageId, Timestamp};

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect(json)
    }

    /// An event without department and actor.
    fn bare(payload: &str) -> StampedEvent {
        let event = Event::new(EventId::new(1), &raw(payload)).expect("JSON");
        event.stamped(|| MessageId::new("msg_1").expect("short"), Timestamp::from_millis(1_688_928_870_551))
    }

    fn full(payload: &str) -> StampedEvent {
        let actor = Some("M\u{e4}x \"M\"".to_owned());
        StampedEvent { department: Some(DeptId::new(-7)), actor, ..bare(payload) }
    }

    fn render_of(template: &str, event: &StampedEvent) -> String {
        let template = BodyTemplate::parse(template).expect(template);
        let tenant = TenantId::new("ac\"me").expect("valid");
        template.render(TemplateValues { event, key: "device.on", tenant: &tenant })
    }

    fn render(template: &str, payload: &str) -> String {
        render_of(template, &bare(payload))
    }

    #[test]
    fn a_string_that_is_a_parameter_becomes_the_value_as_it_is_written() {
        let payload = r#"{"n" : 1.10, "big":12345678901234567890123, "e":1e2, "t": "\u00e9\/", "o": {"a" : [ 1,{"b":true} ]}, "z":null}"#;
        for (parameter, value) in [
            ("payload", payload),
            ("payload.n", "1.10"),
            ("payload.big", "12345678901234567890123"),
            ("payload.e", "1e2"),
            ("payload.t", r#""\u00e9\/""#),
            ("payload.o", r#"{"a" : [ 1,{"b":true} ]}"#),
            ("payload.o.a", r#"[ 1,{"b":true} ]"#),
            ("payload.o.a.0", "1"),
            ("payload.o.a.1.b", "true"),
            ("payload.z", "null"),
        ] {
            assert_eq!(render(&format!(r#""${{{parameter}}}""#), payload), value, "{parameter}");
            let within = render(&format!(r#"{{"k":["${{{parameter}}}",1]}}"#), payload);
            assert_eq!(within, format!(r#"{{"k":[{value},1]}}"#));
        }
    }

    #[test]
    fn what_the_payload_has_not_is_null() {
        for path in ["x", "o.x", "n.x", "a.2", "a.x", "a.-1", "a.00", "o.x.y", "N"] {
            let template = format!(r#"["${{payload.{path}}}","<${{payload.{path}}}>"]"#);
            assert_eq!(render(&template, r#"{"n":1,"o":{},"a":[0,1]}"#), r#"[null,"<>"]"#, "{path}");
            assert_eq!(render(&template, "7"), r#"[null,"<>"]"#, "{path}");
        }
    }

    #[test]
    fn of_a_repeated_member_the_last_counts_as_for_filters() {
        assert_eq!(render(r#""${payload.a}""#, r#"{"a":1,"b":2,"\u0061":3,"c":4}"#), "3");
    }

    #[test]
    fn what_is_known_of_an_event_has_its_type() {
        let template =
            r#"["${eventType}","${eventTime}","${eventBy}","${orgId}","${department}","${messageId}"]"#;
        let of_full = r#"["device.on","1688928870551","Mäx \"M\"","ac\"me",-7,"msg_1"]"#;
        let of_bare = r#"["device.on","1688928870551",null,"ac\"me",null,"msg_1"]"#;
        assert_eq!(
            (render_of(template, &full("1")), render(template, "1")),
            (of_full.into(), of_bare.into())
        );
        let text = r#""${eventType} ${eventTime} ${eventBy} ${orgId} ${department} ${messageId}""#;
        let of_full = r#""device.on 1688928870551 Mäx \"M\" ac\"me -7 msg_1""#;
        let of_bare = r#""device.on 1688928870551  ac\"me  msg_1""#;
        assert_eq!((render_of(text, &full("1")), render(text, "1")), (of_full.into(), of_bare.into()));
    }

    #[test]
    fn within_other_text_a_value_is_text() {
        let payload = r#"{"s":"a \"b\" \u00e9\n","n":1.10,"o":{"k":"\\ \n"},"b":false,"z":null,"e":""}"#;
        let template = r#"["<${payload.s}>","${payload.n}${payload.b}","=${payload.o}","${payload.z}${payload.e}"," ${payload.n}"]"#;
        let expected = r#"["<a \"b\" \u00e9\n>","1.10false","={\"k\":\"\\\\ \\n\"}",""," 1.10"]"#;
        assert_eq!(render(template, payload), expected);
        assert_eq!(render("\"\u{e9}\\n${payload.n} \\u00e9\\\"\"", payload), "\"\u{e9}\\n1.10 \u{e9}\\\"\"");
    }

    #[test]
    fn a_dollar_sign_can_be_written_everywhere() {
        for (template, body) in [
            (r#""$""#, r#""$""#),
            (r#""$5 {a}""#, r#""$5 {a}""#),
            (r#""$${payload}""#, r#""$1""#),
            (r#""${$}""#, r#""$""#),
            (r#""${$}{payload}""#, r#""${payload}""#),
            (r#""${$}${payload}""#, r#""$1""#),
            (r#""\u0024{payload}""#, "1"),
            (r#"{"${payload}":"{$}"}"#, r#"{"${payload}":"{$}"}"#),
        ] {
            assert_eq!(render(template, "1"), body, "{template}");
        }
    }

    #[test]
    fn the_envelope_of_assist_can_be_written_as_a_template() {
        let template = r#"{"payload":"${payload}","eventType":"${eventType}","eventTime":"${eventTime}","eventBy":"${eventBy}","orgId":"${orgId}"}"#;
        let expected = r#"{"payload":{"a" : 1},"eventType":"device.on","eventTime":"1688928870551","eventBy":"Mäx \"M\"","orgId":"ac\"me"}"#;
        assert_eq!(render_of(template, &full(r#"{"a" : 1}"#)), expected);
    }

    #[test]
    fn a_payload_of_any_depth_is_inserted() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let body = render(r#"["${payload.a}"]"#, &deep);
        assert_eq!(body.len(), 200_002);
    }

    #[test]
    fn it_is_shown_in_lines_and_its_texts_are_not_debugged() {
        let template = BodyTemplate::parse(r#"{"a":[1,{"b": "x: {,}"}],"c":{},"d":[ ],"e":"hidden"}"#);
        let template = template.expect("sound");
        let lines = "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x: {,}\"\n    }\n  ],\n  \"c\": {},\n  \"d\": [],\n  \"e\": \"hidden\"\n}";
        assert_eq!(format!("{template:#}"), lines);
        assert_eq!(template.to_string(), r#"{"a":[1,{"b":"x: {,}"}],"c":{},"d":[],"e":"hidden"}"#);
        assert_eq!(BodyTemplate::parse(lines), Ok(template.clone()), "which changes nothing");
        assert!(!format!("{template:?}").contains("hidden"));
    }

    /// Generates JSON whose strings have parameters, and some that only look like them.
    fn document(text: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(".{0,3}", inner, 0..4)
                    .prop_map(|it| Value::Object(it.into_iter().collect())),
            ]
        })
    }

    fn with_parameters() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            ".{0,3}".prop_map(|text| text.replace("${", "$")),
            Just("${payload.a}".to_owned()),
            Just("${payload.b.0}".to_owned()),
            Just("${eventBy}".to_owned()),
            Just("${orgId}".to_owned()),
            Just("${$}".to_owned()),
        ];
        prop::collection::vec(piece, 1..3).prop_map(|pieces| pieces.concat().replace("$${", "${"))
    }

    proptest! {
        #[test]
        fn json_without_parameters_renders_to_itself(template in document(".{0,6}".prop_map(|it| it.replace("${", "$")))) {
            prop_assume!(!template.is_null());
            let text = template.to_string();
            prop_assert_eq!(render(&text, "1"), text);
            let spaced = serde_json::to_string_pretty(&template).expect("JSON");
            prop_assert_eq!(render(&spaced, "1"), template.to_string());
        }

        #[test]
        fn what_is_rendered_is_json_and_the_same_each_time(
            template in document(with_parameters()),
            payload in document(".{0,4}".boxed()),
            actor in prop::option::of("[^\\p{Cc}]{0,4}"),
        ) {
            let Ok(template) = BodyTemplate::new(&template) else { return Ok(()) };
            let payload = json!({"a": payload, "b": [payload]}).to_string();
            let event = StampedEvent { actor, ..bare(&payload) };
            let tenant = TenantId::new("acme").expect("valid");
            let values = TemplateValues { event: &event, key: "a.b", tenant: &tenant };
            let body = template.render(values);
            prop_assert!(serde_json::from_str::<Value>(&body).is_ok(), "{}", body);
            prop_assert_eq!(template.render(values), body);
        }

        /// No part of the payload stands in the body more often than it may; in text, quotes and backslashes count twice.
        #[test]
        fn the_size_of_a_body_is_bounded(names in prop::collection::vec("[ab](\\.[ab]){0,2}", 1..60), whole in 0..9_usize) {
            let values = names.iter().map(|name| format!("<${{payload.{name}}}>"));
            let wholes = (0..whole).map(|_| "<${payload}>".to_owned());
            let template = json!(values.chain(wholes).collect::<Vec<_>>());
            let Ok(template) = BodyTemplate::new(&template) else { return Ok(()) };
            let payload = r#"{"a":{"a":{"a":"\\\"","b":1},"b":{"a":[],"b":2}},"b":{"a":{"a":3,"b":4},"b":"\"\"\"\""}}"#;
            let event = bare(payload);
            let body = template.render(TemplateValues { event: &event, key: "a.b", tenant: &TenantId::new("acme").expect("valid") });
            let most = template.to_string().len() + BodyTemplate::MAX_REPEATS * 2 * payload.len();
            prop_assert!(body.len() <= most, "{}", body.len());
        }
    }
}
