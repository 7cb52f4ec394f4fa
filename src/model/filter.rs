//! Filters: conditions on an event's payload, by which a subscription chooses among the events of its kind.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::pointer::Pointer;
use super::same_json::Tree;

/// Conditions on the payload of an event, which must all hold.
///
/// In JSON it is an array of objects. Each has a `pointer`, a [JSON Pointer](https://www.rfc-editor.org/rfc/rfc6901) to a
/// field of the payload, and one operator:
///
/// | operator | the condition holds if |
/// |---|---|
/// | `"equals": value` | the field is there and has this value |
/// | `"one_of": [value, ..]` | the field is there and has one of these values |
/// | `"exists": true` | the field is there, `null` included |
/// | `"exists": false` | the field is not there |
///
/// A value is a string, a number, a boolean or `null`. An object or an array in the payload equals none of them. Strings
/// are compared character by character. Numbers are compared by their value, so 1 equals 1.0: exactly if both are
/// written as whole numbers, as doubles otherwise. If an object repeats a key, its last value counts.
///
/// The bounds are our choice: see the constants.
///
/// ```
/// use hookwire::model::Filter;
/// use serde_json::json;
/// use serde_json::value::to_raw_value;
///
/// let filter = Filter::new(&json!([
///     {"pointer": "/amount/currency", "one_of": ["EUR", "USD"]},
///     {"pointer": "/refunded_at", "exists": false},
/// ]))?;
/// assert!(filter.matches(&*to_raw_value(&json!({"amount": {"currency": "EUR"}}))?));
/// assert!(!filter.matches(&*to_raw_value(&json!({"amount": {"currency": "CHF"}}))?));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Value")]
pub struct Filter(pub(super) Vec<Condition>);

/// A field of the payload, and what is asked of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Condition {
    pub(super) pointer: Pointer,
    #[serde(flatten)]
    pub(super) operator: Operator,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Operator {
    Equals(Value),
    Exists(bool),
    OneOf(Vec<Value>),
}

impl Filter {
    /// Returns whether every condition holds for `payload`.
    pub fn matches(&self, payload: &RawValue) -> bool {
        self.matches_lazily(&LazyPayload::new(payload))
    }

    pub(crate) fn matches_lazily(&self, payload: &LazyPayload<'_>) -> bool {
        self.0.iter().all(|condition| condition.holds(payload.tree()))
    }
}

impl Condition {
    fn holds(&self, payload: &Tree<'_>) -> bool {
        let field = payload.at(self.pointer.tokens());
        match &self.operator {
            Operator::Equals(value) => field.is_some_and(|field| field.is(value)),
            Operator::Exists(wanted) => field.is_some() == *wanted,
            Operator::OneOf(values) => field.is_some_and(|field| values.iter().any(|value| field.is(value))),
        }
    }
}

/// A payload that is read when the first filter or parameter asks for it, and only once.
pub(crate) struct LazyPayload<'a> {
    text: &'a RawValue,
    tree: OnceCell<Tree<'a>>,
}

impl<'a> LazyPayload<'a> {
    pub(crate) const fn new(text: &'a RawValue) -> Self {
        Self { text, tree: OnceCell::new() }
    }

    pub(super) fn tree(&self) -> &Tree<'a> {
        self.tree.get_or_init(|| Tree::read(self.text.get()))
    }

    /// Returns the value to which these names of members and indices lead, as it is written.
    pub(super) fn member(&self, path: &[String]) -> Option<&'a str> {
        let value = self.tree().at(path.iter().map(|name| Cow::Borrowed(name.as_str())))?;
        Some(value.text())
    }

    #[cfg(test)]
    pub(crate) fn was_read(&self) -> bool {
        self.tree.get().is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn passes(condition: Value, payload: &str) -> bool {
        let payload = RawValue::from_string(payload.to_owned()).expect(payload);
        Filter::new(&json!([condition])).expect("sound").matches(&payload)
    }

    fn equals(value: &Value, written: &str) -> bool {
        let payload = format!(r#"{{"a": {written}}}"#);
        let one_of = passes(json!({"pointer": "/a", "one_of": ["other", value]}), &payload);
        let equals = passes(json!({"pointer": "/a", "equals": value}), &payload);
        assert_eq!(one_of, equals, "{value} {written}");
        equals
    }

    #[test]
    fn numbers_are_equal_by_value_however_they_are_written() {
        for written in ["1", "1.0", "1.00", "1e0", "10E-1"] {
            assert!(equals(&json!(1), written) && equals(&json!(1.0), written), "{written}");
        }
        assert!(equals(&json!(0), "-0") && equals(&json!(0.5), "5e-1"));
        assert!(equals(&json!(u64::MAX), "18446744073709551615"));
        for (value, written) in [
            (json!(9_007_199_254_740_993_i64), "9007199254740992"),
            (json!(u64::MAX), "18446744073709551614"),
            (json!(1), "1.1"),
            (json!(1), "\"1\""),
            (json!(1), "true"),
            (json!(0), "null"),
            (json!(1), "1e999"),
        ] {
            assert!(!equals(&value, written), "{value} {written}");
        }
    }

    #[test]
    fn other_values_are_equal_to_themselves_alone() {
        assert!(equals(&json!("é/\u{1f600}"), r#""\u00e9\/\ud83d\ude00""#));
        assert!(
            equals(&json!(null), "null") && equals(&json!(true), "true") && equals(&json!(false), "false")
        );
        for (value, written) in [
            (json!("EUR"), r#""eur""#),
            (json!("EUR"), r#""EUR ""#),
            (json!("null"), "null"),
            (json!(null), r#""null""#),
            (json!(true), r#""true""#),
            (json!(true), "false"),
            (json!(null), "false"),
            (json!(""), "[]"),
            (json!(""), "{}"),
            (json!("a"), r#"["a"]"#),
            (json!("\u{fffd}"), r#""\ud800""#),
        ] {
            assert!(!equals(&value, written), "{value} {written}");
        }
    }

    #[test]
    fn a_field_that_is_null_exists_and_one_that_is_not_there_equals_nothing() {
        let exists = |pointer: &str, payload: &str| {
            let asked = |wanted: bool| passes(json!({"pointer": pointer, "exists": wanted}), payload);
            assert_ne!(asked(true), asked(false), "{pointer} {payload}");
            asked(true)
        };
        for (pointer, payload) in [
            ("/a", r#"{"a": null}"#),
            ("/a/0/b", r#"{"a": [{"b": {}}]}"#),
            ("/10", "[0,1,2,3,4,5,6,7,8,9,10]"),
            ("/a~1b/~0", r#"{"a\/b": {"\u007e": 1}}"#),
            ("/", r#"{"": 1}"#),
            ("/0", r#"{"0": 1}"#),
        ] {
            assert!(exists(pointer, payload), "{pointer} {payload}");
        }
        for (pointer, payload) in [
            ("/a", r#"{"A": 1}"#),
            ("/a", r#""a""#),
            ("/a", "7"),
            ("/a/b", r#"{"a": "b"}"#),
            ("/1", "[0]"),
            ("/00", "[0]"),
            ("/01", "[0,1]"),
            ("/+0", "[0]"),
            ("/-", "[0]"),
            ("/-1", "[0]"),
            ("/99999999999999999999", "[0]"),
            ("/a", "[]"),
            ("/a/", r#"{"a": {}}"#),
        ] {
            assert!(!exists(pointer, payload), "{pointer} {payload}");
            assert!(!passes(json!({"pointer": pointer, "equals": null}), payload), "{pointer} {payload}");
        }
    }

    #[test]
    fn every_condition_must_hold_and_of_a_repeated_key_the_last_value_counts() {
        let both = json!([{"pointer": "/a", "equals": 1}, {"pointer": "/b", "equals": 2}]);
        let both = Filter::new(&both).expect("sound");
        let matches = |text: &str| both.matches(&RawValue::from_string(text.to_owned()).expect("JSON"));
        assert!(matches(r#"{"a":1,"b":2}"#) && matches(r#"{"a":5,"b":2,"a":1}"#));
        assert!(!matches(r#"{"a":1}"#) && !matches(r#"{"a":1,"b":2,"a":5}"#) && !matches("null"));
    }

    #[test]
    fn depth_and_numbers_beyond_doubles_elsewhere_do_not_matter() {
        let deep = format!(
            r#"{{"deep":{}{},"huge":1e999,"half":"\ud800","a":1}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert!(passes(json!({"pointer": "/a", "equals": 1}), &deep));
    }

    /// Generates JSON of few keys and values, so that pointers often lead somewhere.
    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            (0..3_i64).prop_map(Value::from),
            (0..3_i32).prop_map(|it| json!(f64::from(it))),
            "[ab~/]{0,1}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::hash_map("[ab~/]{0,1}", inner, 0..4)
                    .prop_map(|it| Value::Object(it.into_iter().collect())),
            ]
        })
    }

    fn scalar() -> impl Strategy<Value = Value> {
        document().prop_filter("a scalar", |it| !it.is_object() && !it.is_array())
    }

    /// Numbers as doubles, as which the small ones of these tests are compared.
    fn as_doubles(value: &Value) -> Value {
        value.as_f64().map_or_else(|| value.clone(), Value::from)
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_pointers_of_serde_json(
            payload in document(),
            pointer in "(/([ab01]|~0|~1){0,1}){1,3}",
            values in prop::collection::vec(scalar(), 1..3),
        ) {
            let field = payload.pointer(&pointer);
            let text = payload.to_string();
            let has = |value: &Value| field.is_some_and(|it| as_doubles(it) == as_doubles(value));
            let expected = [field.is_some(), has(&values[0]), values.iter().any(has)];
            let found = [
                passes(json!({"pointer": pointer, "exists": true}), &text),
                passes(json!({"pointer": pointer, "equals": values[0]}), &text),
                passes(json!({"pointer": pointer, "one_of": values}), &text),
            ];
            prop_assert_eq!(found, expected);
        }
    }
}
