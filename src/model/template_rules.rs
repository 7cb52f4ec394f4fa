//! Reads templates from JSON: a [`BodyTemplate`], or every rule that the JSON breaks.

use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;
use serde_json::value::RawValue;

use super::findings::Findings;
use super::json_tokens::tokens;
use super::template::{BodyTemplate, Parameter};
use super::template_reader::{Reader, shown};
use super::violation::{Rule, Violation};

impl BodyTemplate {
    /// The maximum number of bytes, without white space between values.
    pub const MAX_BYTES: usize = 8192;

    /// The maximum number of objects and arrays within each other.
    pub const MAX_DEPTH: usize = 32;

    /// The maximum number of parameters.
    pub const MAX_PARAMETERS: usize = 100;

    /// The maximum number of times that a value may stand in the body, by its own parameter and by those of the objects
    /// and arrays that it is in.
    ///
    /// It bounds a body to the template and this many times the payload, of which quotes and backslashes count twice where an
    /// object or an array stands within text.
    pub const MAX_REPEATS: usize = 8;

    /// Creates a template from its JSON form.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidTemplate`] with every violation; their fields are paths such as `template.items[0].name`. A template
    /// beyond [`MAX_BYTES`](Self::MAX_BYTES) or [`MAX_DEPTH`](Self::MAX_DEPTH) is not checked further.
    ///
    /// ```
    /// use hookwire::model::{BodyTemplate, Rule};
    /// use serde_json::json;
    ///
    /// let error = BodyTemplate::new(&json!({"text": "${payload.name", "by": ["${user}"]})).expect_err("two faults");
    /// let found: Vec<_> = error.violations.iter().map(|it| (it.field(), it.rule())).collect();
    /// assert_eq!(found, [("template.by[0]", Rule::UnknownParameter), ("template.text", Rule::Format)]);
    /// ```
    pub fn new(json: &Value) -> Result<Self, InvalidTemplate> {
        Self::check("template", json).map_err(|violations| InvalidTemplate { violations })
    }

    /// Creates a template from its text, as somebody writes it in an editor. Keys keep their order, and numbers their
    /// digits.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new). If the text is no JSON, the violation says in which line and column.
    ///
    /// ```
    /// use hookwire::model::BodyTemplate;
    ///
    /// let error = BodyTemplate::parse("{\n  \"text\": ${payload}\n}").expect_err("quotes are missing");
    /// let violation = &error.violations[0];
    /// assert_eq!((violation.param("line"), violation.param("column")), (Some("2"), Some("11")));
    /// ```
    pub fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        Self::check_text("template", text).map_err(|violations| InvalidTemplate { violations })
    }

    /// Reads the value of the attribute `field`.
    pub(crate) fn check(field: &str, given: &Value) -> Result<Self, Vec<Violation>> {
        Self::check_text(field, &given.to_string())
    }

    fn check_text(field: &str, text: &str) -> Result<Self, Vec<Violation>> {
        let mut found = Findings::default();
        let template = found.read_template(field, text);
        template.filter(|_| found.0.is_empty()).ok_or(found.0)
    }
}

/// An error for JSON that is no [`BodyTemplate`].
#[derive(Clone, Debug, Eq, thiserror::Error, PartialEq)]
#[error("{}", .violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
#[non_exhaustive]
pub struct InvalidTemplate {
    /// Every violation.
    pub violations: Vec<Violation>,
}

impl<'de> Deserialize<'de> for BodyTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(json.get()).map_err(D::Error::custom)
    }
}

impl Findings {
    fn read_template(&mut self, field: &str, text: &str) -> Option<BodyTemplate> {
        if let Err(error) = serde_json::from_str::<&RawValue>(text) {
            let message = format!("is no JSON: {error}; a parameter stands in quotes, \"${{payload}}\"");
            let violation = Violation::new(field, Rule::Format, message);
            self.0.push(violation.with("line", error.line()).with("column", error.column()));
            return None;
        }
        let source: String = tokens(text).map(|(_, token)| token).collect();
        self.template_size(field, &source);
        if !self.0.is_empty() {
            return None;
        }
        let mut reader = Reader::new(field, self);
        tokens(&source).for_each(|(_, token)| reader.read(token));
        let (pieces, parameters) = reader.into_parts();
        self.parameters(field, &parameters);
        // The tokens of valid JSON are valid JSON without the white space between them.
        let source = RawValue::from_string(source).ok()?;
        Some(BodyTemplate { source: Arc::from(source), pieces: pieces.into() })
    }

    fn template_size(&mut self, field: &str, source: &str) {
        let (bytes, depth) = (source.len(), depth(source));
        if source == "null" {
            self.add(field, Rule::Empty, "is null; leave it out to send the event in its envelope");
        }
        if bytes > BodyTemplate::MAX_BYTES {
            let message = format!("has {bytes} bytes as JSON; shorten it to {}", BodyTemplate::MAX_BYTES);
            self.exceeds(field, Rule::TooLong, (bytes, BodyTemplate::MAX_BYTES), message);
        }
        if depth > BodyTemplate::MAX_DEPTH {
            let message = format!("is nested {depth} levels deep; flatten it to {}", BodyTemplate::MAX_DEPTH);
            self.exceeds(field, Rule::TooDeep, (depth, BodyTemplate::MAX_DEPTH), message);
        }
    }

    /// Checks the parameters together. Each is there with its path.
    fn parameters(&mut self, field: &str, all: &[(String, Parameter)]) {
        let (count, max) = (all.len(), BodyTemplate::MAX_PARAMETERS);
        if count > max {
            let message = format!("has {count} parameters, and at most {max} are allowed; take some out");
            self.exceeds(field, Rule::TooMany, (count, max), message);
            return;
        }
        for (index, (path, parameter)) in all.iter().enumerate() {
            let (count, max) = (repeats(parameter, all), BodyTemplate::MAX_REPEATS);
            let is_last = all[index + 1..].iter().all(|(_, other)| other != parameter);
            if count > max && is_last {
                let shown = shown(&parameter.to_string());
                let message = format!(
                    "brings `{shown}` into the body {count} times, and {max} are allowed; take some out"
                );
                self.exceeds(path, Rule::TooMany, (count, max), message);
            }
        }
    }
}

/// Returns how often a value stands in the body, by its own parameter and by those of what it is in.
fn repeats(parameter: &Parameter, all: &[(String, Parameter)]) -> usize {
    all.iter().filter(|(_, other)| other.includes(parameter)).count()
}

/// Returns how many objects and arrays are within each other.
fn depth(source: &str) -> usize {
    let mut depth = 0_usize;
    let depths = tokens(source).map(|(_, token)| {
        match token {
            "{" | "[" => depth += 1,
            "}" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth
    });
    depths.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const SOUND: [(&str, Rule); 0] = [];

    fn rules(result: Result<BodyTemplate, InvalidTemplate>) -> Vec<(String, Rule)> {
        let violations = result.map(drop).map_err(|it| it.violations).err().unwrap_or_default();
        assert!(violations.iter().all(|it| it.message().len() < 250), "{violations:?}");
        violations.iter().map(|it| (it.field().to_owned(), it.rule())).collect()
    }

    fn are(result: Result<BodyTemplate, InvalidTemplate>, expected: &[(&str, Rule)]) {
        let found = rules(result);
        let found: Vec<_> = found.iter().map(|(field, rule)| (field.as_str(), *rule)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn text_that_is_no_json_is_refused_with_line_and_column() {
        let told = |text: &str| {
            let error = BodyTemplate::parse(text).expect_err(text);
            assert_eq!(error.violations.len(), 1, "{text}");
            let violation = error.violations[0].clone();
            assert_eq!((violation.field(), violation.rule()), ("template", Rule::Format), "{text}");
            let number = |name| violation.param(name).expect(name).parse::<usize>().expect("a number");
            (number("line"), number("column"))
        };
        assert_eq!(told("${payload}"), (1, 1));
        assert_eq!(told(r#"{"a": ${payload}}"#), (1, 7));
        assert_eq!(told("{\n\"a\": 1,\n}"), (3, 1));
        for text in ["", " ", "[1] 2", "{'a': 1}", "\"a\nb\"", "[1", r#""\x""#, "\u{feff}{}", "{\"a\" 1}"] {
            assert_eq!(told(text).0, 1, "{text}");
        }
    }

    #[test]
    fn every_fault_of_a_string_is_told_with_its_path() {
        let text = r#"{"user": "${user}", "list": [1, ["${payload", "${eventType} ${EventType} ${"]],
            "a.b": "${}", "\u00e9\"": {"": "${payload.}"}, "${x}": "sound", "c": "${ payload }", "d": "${payload..a}"}"#;
        let expected = [
            ("template.user", Rule::UnknownParameter),
            ("template.list[1][0]", Rule::Format),
            ("template.list[1][1]", Rule::UnknownParameter),
            ("template.list[1][1]", Rule::Format),
            (r#"template["a.b"]"#, Rule::UnknownParameter),
            ("template[\"\u{e9}\\\"\"][\"\"]", Rule::Format),
            ("template.c", Rule::UnknownParameter),
            ("template.d", Rule::Format),
        ];
        are(BodyTemplate::parse(text), &expected);
        let of_one = |template: &str| BodyTemplate::new(&json!(template)).expect_err(template).to_string();
        assert_eq!(
            of_one("${user}"),
            "template: \"user\" is no parameter; use `payload`, `payload.NAME`, `eventType`, `eventTime`, `eventBy`, \
             `orgId`, `department` or `messageId`"
        );
        assert_eq!(
            of_one("${payload"),
            "template: has a `${` without a `}`; a literal `${` is written `${$}{`"
        );
    }

    #[test]
    fn half_a_surrogate_pair_is_refused_in_values_and_in_keys() {
        are(BodyTemplate::parse(r#"["\ud83d\ude00"]"#), &SOUND);
        let faulty = BodyTemplate::parse(r#"{"a": "\ud83d", "\ude00": "${x}"}"#);
        are(
            faulty,
            &[
                ("template.a", Rule::Format),
                ("template", Rule::Format),
                (r#"template[""]"#, Rule::UnknownParameter),
            ],
        );
    }

    #[test]
    fn a_number_that_most_receivers_cannot_read_is_refused() {
        are(BodyTemplate::parse("[1e308, -0, 123456789012345678901234567890]"), &SOUND);
        are(BodyTemplate::parse(r#"{"a": [1e999]}"#), &[("template.a[0]", Rule::Format)]);
    }

    #[test]
    fn a_template_that_is_null_is_none_and_would_be_lost_when_it_is_stored() {
        are(BodyTemplate::parse(" null "), &[("template", Rule::Empty)]);
        for sound in [json!([null]), json!(""), json!(0), json!(false), json!({}), json!("${payload}")] {
            are(BodyTemplate::new(&sound), &SOUND);
        }
    }

    #[test]
    fn sizes_are_bounded_at_both_sides_of_their_edge_and_white_space_does_not_count() {
        let of_bytes = |bytes: usize| format!("[ \"{}\" ]", "x".repeat(bytes - 4));
        are(BodyTemplate::parse(&of_bytes(8192)), &SOUND);
        are(BodyTemplate::parse(&of_bytes(8193)), &[("template", Rule::TooLong)]);
        let of_depth = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        are(BodyTemplate::parse(&of_depth(32)), &SOUND);
        are(BodyTemplate::parse(&of_depth(33)), &[("template", Rule::TooDeep)]);
        let beyond = [("template", Rule::TooLong), ("template", Rule::TooDeep)];
        are(BodyTemplate::parse(&of_depth(200_000)), &beyond);
        let of_parameters = |count: usize| {
            let names: Vec<_> = (0..count).map(|it| format!("${{payload.a{it}}}")).collect();
            BodyTemplate::new(&json!(names))
        };
        are(of_parameters(100), &SOUND);
        are(of_parameters(101), &[("template", Rule::TooMany)]);
    }

    #[test]
    fn a_value_stands_in_a_body_a_bounded_number_of_times() {
        let repeated = |lists: &[(&str, usize)]| {
            let all = lists.iter().flat_map(|(name, count)| vec![format!("${{{name}}}"); *count]);
            BodyTemplate::new(&json!(all.collect::<Vec<_>>()))
        };
        are(repeated(&[("payload", 8)]), &SOUND);
        are(repeated(&[("payload", 9)]), &[("template[8]", Rule::TooMany)]);
        are(
            repeated(&[
                ("eventBy", 8),
                ("eventType", 8),
                ("payload.a", 8),
                ("payload.b", 8),
                ("payload.aa", 8),
            ]),
            &SOUND,
        );
        are(repeated(&[("eventBy", 9)]), &[("template[8]", Rule::TooMany)]);
        are(repeated(&[("payload.a.b", 4), ("payload.a", 2), ("payload", 2)]), &SOUND);
        are(
            repeated(&[("payload.a.b", 5), ("payload.a", 2), ("payload", 2)]),
            &[("template[4]", Rule::TooMany)],
        );
        let error = repeated(&[("payload.a", 7), ("payload", 2)]).expect_err("nine times");
        let violation = &error.violations[0];
        assert_eq!((violation.param("count"), violation.param("max")), (Some("9"), Some("8")));
        assert_eq!(
            violation.message(),
            "brings `${payload.a}` into the body 9 times, and 8 are allowed; take some out"
        );
    }

    #[test]
    fn what_is_told_does_not_grow_with_what_is_sent() {
        let many = vec!["${}"; 1000];
        assert_eq!(rules(BodyTemplate::new(&json!(many))).len(), 100);
        let long = "x".repeat(8000);
        are(BodyTemplate::new(&json!(format!("${{{long}}}"))), &[("template", Rule::UnknownParameter)]);
        let found = rules(BodyTemplate::new(&json!({long: "${x}"})));
        assert!(found[0].0.len() < 100, "{found:?}");
    }

    #[test]
    fn it_is_written_as_it_was_given_and_stored_ones_keep_the_rules() {
        let text = r#"{"z":1.10,"a":12345678901234567890123,"a":"\u00e9\/","t":"${payload.n} ${orgId}"}"#;
        let template: BodyTemplate = serde_json::from_str(text).expect("sound");
        assert_eq!(serde_json::to_string(&template).expect("JSON"), text);
        assert_eq!(
            serde_json::from_str::<BodyTemplate>(&template.to_string()).expect("its own form"),
            template
        );
        assert_eq!(BodyTemplate::parse(&format!(" {} ", text.replace(',', " ,\n"))), Ok(template));
        let error = serde_json::from_str::<BodyTemplate>(r#"["${x}"]"#).expect_err("unknown");
        assert!(error.to_string().contains("template[0]: \"x\" is no parameter"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_refused(text in "[\\[\\]{}\",:\\\\u0-9a$.payload é]{0,60}") {
            if let Ok(template) = BodyTemplate::parse(&text) {
                prop_assert_eq!(BodyTemplate::parse(&template.to_string()), Ok(template));
            }
        }

        #[test]
        fn any_string_is_a_template_or_refused(text in "([${}.]|payload|eventBy|.){0,12}") {
            let refused = BodyTemplate::new(&json!(text)).map(drop).map_err(|it| it.violations.len());
            let unclosed = text.rsplit_once("${").is_some_and(|(_, rest)| !rest.contains('}'));
            prop_assert!(refused.is_err() || !unclosed, "{}", text);
        }
    }
}
