//! Collects every violation of a draft or a filter while it is checked.

use serde_json::Value;

use super::draft::Given;
use super::violation::{Rule, Violation};

/// The violations found so far. Each check adds its own, and returns the value if it is usable.
#[derive(Default)]
pub(crate) struct Findings(pub(crate) Vec<Violation>);

impl Findings {
    pub(crate) fn add(&mut self, field: &str, rule: Rule, message: impl Into<String>) {
        self.0.push(Violation::new(field, rule, message));
    }

    /// Returns the value if it has the wanted type.
    pub(crate) fn typed<'a, T>(&mut self, field: &str, wanted: &str, given: &'a Given<T>) -> Option<&'a T> {
        match given {
            Given::Right(value) => Some(value),
            Given::Wrong(value) => {
                self.wrong_type(field, wanted, value);
                None
            }
        }
    }

    /// Refuses a value that is not of the wanted type.
    pub(crate) fn wrong_type(&mut self, field: &str, wanted: &str, given: &Value) {
        self.add(field, Rule::WrongType, format!("must be {wanted}, not {}", kind_of(given)));
    }

    pub(crate) fn text<'a>(&mut self, field: &str, given: &'a Option<Given<String>>) -> Option<&'a str> {
        self.typed(field, "a string", given.as_ref()?).map(String::as_str)
    }

    pub(crate) fn length(&mut self, field: &str, text: &str, max: usize) {
        let length = text.chars().count();
        if length > max {
            let message = format!("has {length} characters; shorten it to {max}");
            self.add(field, Rule::TooLong, message);
        }
    }

    pub(crate) fn no_controls(&mut self, field: &str, text: &str, except: &[char]) {
        if text.contains(|c: char| c.is_control() && !except.contains(&c)) {
            self.add(field, Rule::Format, "holds control characters; remove them");
        }
    }

    /// Returns the part of a list that is checked, so that a longer one costs no more and has no more violations.
    pub(crate) fn bounded<'a, T>(&mut self, field: &str, list: &'a [T], max: usize) -> &'a [T] {
        if list.len() > max {
            let message = format!("has {} entries, and at most {max} are allowed; shorten it", list.len());
            self.add(field, Rule::TooMany, message);
        }
        &list[..list.len().min(max)]
    }
}

/// Names the kind of a value that is not of the wanted one.
const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "this number",
        Value::String(_) => "this string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_the_wrong_type_is_named() {
        let named = [(json!(true), "a boolean"), (json!(7), "this number"), (json!([]), "an array")];
        for (value, kind) in named.into_iter().chain([(json!({}), "an object")]) {
            assert_eq!(kind_of(&value), kind);
        }
        assert_eq!((kind_of(&json!("a")), kind_of(&Value::Null)), ("this string", "null"));
    }
}
