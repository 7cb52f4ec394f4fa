//! Collects every violation of a draft, a filter or a template while it is checked.

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

    /// Notes a number that is greater than it may be.
    pub(crate) fn exceeds(&mut self, field: &str, rule: Rule, (count, max): (usize, usize), message: String) {
        let violation = Violation::new(field, rule, message);
        self.0.push(violation.with("count", count).with("max", max));
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
        let (article, kind) = kind_of(given);
        let message = format!("must be {wanted}, not {article}{kind}");
        self.0.push(Violation::new(field, Rule::WrongType, message).with("given", kind));
    }

    pub(crate) fn text<'a>(&mut self, field: &str, given: &'a Option<Given<String>>) -> Option<&'a str> {
        self.typed(field, "a string", given.as_ref()?).map(String::as_str)
    }

    pub(crate) fn length(&mut self, field: &str, text: &str, max: usize) {
        let length = text.chars().count();
        if length > max {
            let message = format!("has {length} characters; shorten it to {max}");
            self.exceeds(field, Rule::TooLong, (length, max), message);
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
            self.exceeds(field, Rule::TooMany, (list.len(), max), message);
        }
        &list[..list.len().min(max)]
    }
}

/// Names the kind of a value that is not of the wanted one, with what stands before it in a sentence.
const fn kind_of(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Null => ("", "null"),
        Value::Bool(_) => ("a ", "boolean"),
        Value::Number(_) => ("this ", "number"),
        Value::String(_) => ("this ", "string"),
        Value::Array(_) => ("an ", "array"),
        Value::Object(_) => ("an ", "object"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_the_wrong_type_is_named() {
        let told = |value: &Value| {
            let mut found = Findings::default();
            found.wrong_type("a", "a thing", value);
            let violation = found.0.remove(0);
            (violation.message().to_owned(), violation.param("given").expect("the kind").to_owned())
        };
        for (value, words, kind) in [
            (json!(true), "a boolean", "boolean"),
            (json!(7), "this number", "number"),
            (json!("a"), "this string", "string"),
            (json!([]), "an array", "array"),
            (json!({}), "an object", "object"),
            (Value::Null, "null", "null"),
        ] {
            assert_eq!(told(&value), (format!("must be a thing, not {words}"), kind.to_owned()));
        }
    }
}
