//! JSON Pointers (RFC 6901), which name a field within a payload.

use std::borrow::Cow;

use serde::Serialize;

use super::violation::Rule;

/// A JSON Pointer that names a field: `/amount/currency`. The whole document, `""`, is no field.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Pointer(String);

impl Pointer {
    /// Reads a pointer, or says which rule the text breaks and what to do.
    pub(super) fn parse(text: &str) -> Result<Self, (Rule, String)> {
        let escapes_badly = text.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1']));
        if text.is_empty() {
            Err((Rule::Empty, "names no field; write for example `/amount/currency`".to_owned()))
        } else if !text.starts_with('/') {
            Err((Rule::Format, "does not begin with `/`; write for example `/amount/currency`".to_owned()))
        } else if escapes_badly {
            Err((Rule::Format, "has a `~` that escapes nothing; write `~0` for `~`, `~1` for `/`".to_owned()))
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// Returns the keys and indices that lead to the field.
    pub(super) fn tokens(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.0.split('/').skip(1).map(|token| match token.contains('~') {
            // In this order: `~01` stands for `~1`.
            true => token.replace("~1", "/").replace("~0", "~").into(),
            false => token.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_names_the_keys_and_indices_that_lead_to_a_field() {
        let tokens = |text| Pointer::parse(text).expect(text).tokens().collect::<Vec<_>>().join(" ");
        assert_eq!(tokens("/amount/currency"), "amount currency");
        assert_eq!(tokens("/items/0"), "items 0");
        assert_eq!(tokens("/a~1b~0c/~01"), "a/b~c ~1");
        assert_eq!(Pointer::parse("/").expect("the empty key").tokens().collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        let rule = |text: &str| Pointer::parse(text).map(drop).map_err(|(rule, _)| rule);
        assert_eq!(rule(""), Err(Rule::Empty));
        for text in ["a", "a/b", "#/a", "$.a", "/a~", "/~2", "/~~0"] {
            assert_eq!(rule(text), Err(Rule::Format), "{text}");
        }
    }
}
