//! Reads filters from JSON: a [`Filter`], or every rule that the JSON breaks.

use serde_json::{Map, Value};
use thiserror::Error;

use super::filter::{Condition, Filter, Operator};
use super::findings::Findings;
use super::pointer::Pointer;
use super::violation::{Rule, Violation};

/// The operators of a condition.
const OPERATORS: [&str; 3] = ["equals", "exists", "one_of"];

impl Filter {
    /// The maximum number of conditions.
    pub const MAX_CONDITIONS: usize = 16;

    /// The maximum number of characters of a pointer.
    pub const MAX_POINTER_CHARS: usize = 256;

    /// The maximum number of values of `one_of`.
    pub const MAX_VALUES: usize = 64;

    /// The maximum number of characters of a value that is a string.
    pub const MAX_VALUE_CHARS: usize = 256;

    /// The maximum number of bytes of the whole filter as JSON.
    pub const MAX_BYTES: usize = 4096;

    /// Creates a filter from its JSON form.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidFilter`] with every violation; their fields are paths such as `filter[1].pointer`. A filter without
    /// a condition and a condition that names no field are refused, so that nothing passes by accident.
    ///
    /// ```
    /// use hookwire::model::{Filter, Rule};
    /// use serde_json::json;
    ///
    /// let error = Filter::new(&json!([{"pointer": "", "starts_with": "E"}])).expect_err("two faults");
    /// let found: Vec<_> = error.violations.iter().map(|it| (it.field(), it.rule())).collect();
    /// assert_eq!(found, [("filter[0].pointer", Rule::Empty), ("filter[0]", Rule::UnknownOperator)]);
    /// ```
    pub fn new(json: &Value) -> Result<Self, InvalidFilter> {
        Self::check("filter", json).map_err(|violations| InvalidFilter { violations })
    }

    /// Reads the value of the attribute `field`.
    pub(crate) fn check(field: &str, given: &Value) -> Result<Self, Vec<Violation>> {
        let mut found = Findings::default();
        let filter = found.conditions(field, given);
        filter.filter(|_| found.0.is_empty()).ok_or(found.0)
    }
}

/// An error for JSON that is no [`Filter`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{}", .violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
#[non_exhaustive]
pub struct InvalidFilter {
    /// Every violation.
    pub violations: Vec<Violation>,
}

impl TryFrom<Value> for Filter {
    type Error = InvalidFilter;

    fn try_from(json: Value) -> Result<Self, InvalidFilter> {
        Self::new(&json)
    }
}

impl Findings {
    fn conditions(&mut self, field: &str, given: &Value) -> Option<Filter> {
        let Value::Array(list) = given else {
            self.wrong_type(field, "an array of conditions", given);
            return None;
        };
        if list.is_empty() {
            self.add(field, Rule::Empty, "names no field; leave `filter` out to get every event");
        }
        let list = self.bounded(field, list, Filter::MAX_CONDITIONS);
        let read = |(index, given)| self.condition(&format!("{field}[{index}]"), given);
        let conditions: Vec<_> = list.iter().enumerate().map(read).collect();
        let filter = Filter(conditions.into_iter().collect::<Option<_>>()?);
        self.filter_size(field, &filter);
        Some(filter)
    }

    fn filter_size(&mut self, field: &str, filter: &Filter) {
        let bytes = serde_json::to_string(filter).map_or(usize::MAX, |text| text.len());
        if bytes > Filter::MAX_BYTES {
            let message = format!("has {bytes} bytes as JSON; shorten it to {}", Filter::MAX_BYTES);
            self.exceeds(field, Rule::TooLong, (bytes, Filter::MAX_BYTES), message);
        }
    }

    fn condition(&mut self, field: &str, given: &Value) -> Option<Condition> {
        let Value::Object(object) = given else {
            self.wrong_type(field, "an object with `pointer` and an operator", given);
            return None;
        };
        let pointer = self.pointer(&format!("{field}.pointer"), object);
        let operator = self.operator(field, object);
        Some(Condition { pointer: pointer?, operator: operator? })
    }

    fn pointer(&mut self, field: &str, object: &Map<String, Value>) -> Option<Pointer> {
        match object.get("pointer") {
            Some(Value::String(text)) => {
                self.length(field, text, Filter::MAX_POINTER_CHARS);
                Pointer::parse(text).map_err(|(rule, message)| self.add(field, rule, message)).ok()
            }
            Some(other) => {
                self.wrong_type(field, "a string", other);
                None
            }
            None => {
                self.add(field, Rule::Required, "is missing; name a field, for example `/amount/currency`");
                None
            }
        }
    }

    fn operator(&mut self, field: &str, object: &Map<String, Value>) -> Option<Operator> {
        let (known, unknown): (Vec<_>, Vec<_>) = object
            .iter()
            .filter(|(key, _)| *key != "pointer")
            .partition(|(key, _)| OPERATORS.contains(&key.as_str()));
        if let Some((key, _)) = unknown.first() {
            let key: String = key.chars().take(32).collect();
            let message = format!("{key:?} is no operator; use one of `equals`, `exists`, `one_of`");
            self.add(field, Rule::UnknownOperator, message);
        } else if known.is_empty() {
            let message = "has no operator; add one of `equals`, `exists`, `one_of`";
            self.add(field, Rule::Required, message);
        }
        if known.len() > 1 {
            let message = format!("has {} operators; make a condition of each", known.len());
            self.add(field, Rule::Conflict, message);
        }
        let read = |(key, given): (&String, &Value)| self.operand(&format!("{field}.{key}"), key, given);
        let read: Vec<_> = known.into_iter().map(read).collect();
        read.into_iter().next().flatten()
    }

    fn operand(&mut self, field: &str, operator: &str, given: &Value) -> Option<Operator> {
        match (operator, given) {
            ("exists", Value::Bool(wanted)) => Some(Operator::Exists(*wanted)),
            ("exists", other) => {
                self.wrong_type(field, "true or false", other);
                None
            }
            ("one_of", Value::Array(values)) => self.values(field, values).map(Operator::OneOf),
            ("one_of", other) => {
                self.wrong_type(field, "an array of values", other);
                None
            }
            (_, value) => self.scalar(field, value).map(Operator::Equals),
        }
    }

    fn values(&mut self, field: &str, values: &[Value]) -> Option<Vec<Value>> {
        if values.is_empty() {
            self.add(field, Rule::Empty, "is empty; name at least one value");
        }
        let values = self.bounded(field, values, Filter::MAX_VALUES);
        let read = |(index, value)| self.scalar(&format!("{field}[{index}]"), value);
        let values: Vec<_> = values.iter().enumerate().map(read).collect();
        values.into_iter().collect()
    }

    fn scalar(&mut self, field: &str, value: &Value) -> Option<Value> {
        match value {
            Value::Array(_) | Value::Object(_) => {
                self.wrong_type(field, "a string, a number, a boolean or null", value);
                return None;
            }
            Value::String(text) => {
                self.length(field, text, Filter::MAX_VALUE_CHARS);
            }
            Value::Bool(_) | Value::Null | Value::Number(_) => {}
        }
        Some(value.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn broken(json: &Value) -> Vec<(String, Rule)> {
        let violations = Filter::new(json).map(drop).map_err(|it| it.violations).err().unwrap_or_default();
        assert!(violations.iter().all(|it| it.message().len() < 200), "{violations:?}");
        violations.iter().map(|it| (it.field().to_owned(), it.rule())).collect()
    }

    /// Returns the rules that one condition breaks.
    fn of(condition: Value) -> Vec<(String, Rule)> {
        broken(&json!([condition]))
    }

    fn at(field: &str, rule: Rule) -> Vec<(String, Rule)> {
        vec![(field.to_owned(), rule)]
    }

    #[test]
    fn a_filter_names_a_field() {
        for (json, rule) in [
            (json!([]), Rule::Empty),
            (json!({}), Rule::WrongType),
            (json!("/a"), Rule::WrongType),
            (json!(null), Rule::WrongType),
        ] {
            assert_eq!(broken(&json), at("filter", rule), "{json}");
        }
        assert_eq!(of(json!({"equals": 1})), at("filter[0].pointer", Rule::Required));
        assert_eq!(of(json!({"pointer": "", "equals": 1})), at("filter[0].pointer", Rule::Empty));
        assert_eq!(of(json!({"pointer": null, "equals": 1})), at("filter[0].pointer", Rule::WrongType));
        assert_eq!(of(json!({"pointer": "a", "equals": 1})), at("filter[0].pointer", Rule::Format));
        assert_eq!(of(json!(["/a"])), at("filter[0]", Rule::WrongType));
    }

    #[test]
    fn a_condition_has_one_operator() {
        for sound in
            [json!({"equals": null}), json!({"exists": false}), json!({"one_of": [null, 1, "a", true]})]
        {
            let mut sound = sound;
            sound["pointer"] = json!("/a");
            assert_eq!(of(sound.clone()), [], "{sound}");
        }
        let rules = |condition: Value| of(condition);
        assert_eq!(rules(json!({"pointer": "/a"})), at("filter[0]", Rule::Required));
        let unknown = json!({"pointer": "/a", "starts_with": "E"});
        assert_eq!(rules(unknown), at("filter[0]", Rule::UnknownOperator));
        let capitals = json!({"pointer": "/a", "Equals": "E"});
        assert_eq!(rules(capitals), at("filter[0]", Rule::UnknownOperator));
        let beside = json!({"pointer": "/a", "equals": 1, "x": 1});
        assert_eq!(rules(beside), at("filter[0]", Rule::UnknownOperator));
        let two = json!({"pointer": "/a", "equals": 1, "exists": true});
        assert_eq!(rules(two), at("filter[0]", Rule::Conflict));
    }

    #[test]
    fn values_are_scalars_and_one_of_has_at_least_one() {
        let operand = |operator: &str, value: Value| of(json!({"pointer": "/a", operator: value}));
        assert_eq!(operand("equals", json!({})), at("filter[0].equals", Rule::WrongType));
        assert_eq!(operand("equals", json!([1])), at("filter[0].equals", Rule::WrongType));
        assert_eq!(operand("exists", json!(1)), at("filter[0].exists", Rule::WrongType));
        assert_eq!(operand("one_of", json!("a")), at("filter[0].one_of", Rule::WrongType));
        assert_eq!(operand("one_of", json!([])), at("filter[0].one_of", Rule::Empty));
        assert_eq!(operand("one_of", json!([1, []])), at("filter[0].one_of[1]", Rule::WrongType));
    }

    #[test]
    fn every_violation_is_told_at_once() {
        let found = broken(&json!([
            {"pointer": "a", "equals": {}, "exists": 1, "x": 1},
            {"pointer": "/a", "equals": 1},
            7,
        ]));
        let expected = [
            ("filter[0].pointer", Rule::Format),
            ("filter[0]", Rule::UnknownOperator),
            ("filter[0]", Rule::Conflict),
            ("filter[0].equals", Rule::WrongType),
            ("filter[0].exists", Rule::WrongType),
            ("filter[2]", Rule::WrongType),
        ];
        assert_eq!(found, expected.map(|(field, rule)| (field.to_owned(), rule)));
    }

    #[test]
    fn numbers_and_sizes_are_bounded_at_both_sides_of_their_edge() {
        let condition = json!({"pointer": "/a", "equals": 1});
        assert_eq!(broken(&json!(vec![condition.clone(); 16])), []);
        assert_eq!(broken(&json!(vec![condition; 17])), at("filter", Rule::TooMany));
        let one_of = |count: usize| of(json!({"pointer": "/a", "one_of": vec![1; count]}));
        assert_eq!(one_of(64), []);
        assert_eq!(one_of(65), at("filter[0].one_of", Rule::TooMany));
        let equals = |chars: usize| of(json!({"pointer": "/a", "equals": "é".repeat(chars)}));
        assert_eq!(equals(256), []);
        assert_eq!(equals(257), at("filter[0].equals", Rule::TooLong));
        let pointer =
            |chars: usize| of(json!({"pointer": format!("/{}", "é".repeat(chars - 1)), "exists": true}));
        assert_eq!(pointer(256), []);
        assert_eq!(pointer(257), at("filter[0].pointer", Rule::TooLong));
        let endless = json!(vec![Value::Null; 100_000]);
        assert_eq!(broken(&endless).len(), 17, "violations do not grow with what is sent");
        assert_eq!(of(json!({"pointer": "/a", "one_of": vec![json!([]); 100_000]})).len(), 65);
        let keys: Map<_, _> = (0..100_000).map(|key| (key.to_string(), Value::Null)).collect();
        assert_eq!(of(Value::Object(keys)).len(), 2);
    }

    #[test]
    fn a_filter_is_bounded_as_a_whole() {
        let of_bytes = |bytes: usize| {
            let value = |length| Value::from("x".repeat(length));
            let mut values = vec![value(252); 15];
            let text = |values: &[Value]| json!([{"pointer": "/a", "one_of": values}]);
            let rest = bytes - text(&values).to_string().len() - 3;
            values.push(value(rest));
            text(&values)
        };
        assert_eq!(of_bytes(4096).to_string().len(), 4096);
        assert_eq!(broken(&of_bytes(4096)), []);
        assert_eq!(broken(&of_bytes(4097)), at("filter", Rule::TooLong));
    }

    #[test]
    fn a_filter_is_written_as_it_was_given_and_stored_ones_keep_the_rules() {
        let text = r#"[{"pointer":"/a","one_of":["EUR",1.0,null]},{"pointer":"/b","exists":false},{"pointer":"/c","equals":7}]"#;
        let filter: Filter = serde_json::from_str(text).expect("sound");
        assert_eq!(serde_json::to_string(&filter).expect("JSON"), text);
        let error = serde_json::from_str::<Filter>(r#"[{"pointer":"/a","like":1}]"#).expect_err("unknown");
        assert!(error.to_string().contains("filter[0]: \"like\" is no operator"), "{error}");
    }
}
