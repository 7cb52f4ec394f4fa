//! Whether two JSON texts have the same content, however they are written; and the value to which a pointer leads.
//!
//! White space, the order of an object's keys and the way in which a string is escaped do not matter. Numbers are compared
//! as they are written, and values of a repeated key in their order, because receivers differ in how they read them.
//! Nothing here recurses: payloads may be nested as deep as they are long.

use std::borrow::Cow;

use serde_json::{Number, Value as Json};

use super::json_tokens::{tokens, unquoted};

/// Returns whether two texts, which are valid JSON, have the same content.
pub(super) fn same_json(first: &str, second: &str) -> bool {
    first == second || Tree::read(first).equals(&Tree::read(second))
}

/// A text's values. A value comes before those within it, so the first is the whole.
pub(super) struct Tree<'a>(Vec<Value<'a>>);

pub(super) struct Value<'a> {
    /// The value as it is written.
    text: &'a str,
    content: Content<'a>,
}

enum Content<'a> {
    /// Members by their keys, as they are written. Those of one key are in the order of the text.
    Object(Vec<(&'a str, usize)>),
    Array(Vec<usize>),
    /// What is between the quotes.
    Text(&'a str),
    /// A number, a boolean, or null.
    Plain,
}

/// An object or array that is being read.
struct Open<'a> {
    value: usize,
    begin: usize,
    /// The key whose value comes next.
    key: Option<&'a str>,
}

impl<'a> Tree<'a> {
    pub(super) fn read(text: &'a str) -> Self {
        let (mut tree, mut open) = (Self(Vec::new()), Vec::new());
        for (begin, token) in tokens(text) {
            match token {
                "{" => tree.enter(Content::Object(Vec::new()), begin, &mut open),
                "[" => tree.enter(Content::Array(Vec::new()), begin, &mut open),
                "}" | "]" => tree.leave(open.pop(), &text[..begin + 1]),
                "," | ":" => {}
                _ if token.starts_with('"') => tree.string(token, &mut open),
                _ => {
                    tree.add(Value { text: token, content: Content::Plain }, &mut open);
                }
            }
        }
        tree
    }

    fn enter(&mut self, content: Content<'a>, begin: usize, open: &mut Vec<Open<'a>>) {
        let value = self.add(Value { text: "", content }, open);
        open.push(Open { value, begin, key: None });
    }

    /// Ends an object or array, which is the end of `text`. The sort is stable, so repeated keys stay in order.
    fn leave(&mut self, open: Option<Open<'a>>, text: &'a str) {
        let Some(open) = open else { return };
        let Some(value) = self.0.get_mut(open.value) else { return };
        value.text = &text[open.begin..];
        if let Content::Object(members) = &mut value.content {
            members.sort_by(|(one, _), (other, _)| units(one).cmp(units(other)));
        }
    }

    fn string(&mut self, token: &'a str, open: &mut [Open<'a>]) {
        let is_object =
            |it: &Open<'_>| matches!(self.0.get(it.value), Some(Value { content: Content::Object(_), .. }));
        match open.last_mut().filter(|it| it.key.is_none() && is_object(it)) {
            Some(object) => object.key = Some(unquoted(token)),
            None => {
                self.add(Value { text: token, content: Content::Text(unquoted(token)) }, open);
            }
        }
    }

    fn add(&mut self, value: Value<'a>, open: &mut [Open<'a>]) -> usize {
        let number = self.0.len();
        self.0.push(value);
        if let Some(parent) = open.last_mut() {
            match self.0.get_mut(parent.value).map(|value| &mut value.content) {
                Some(Content::Object(members)) => {
                    members.push((parent.key.take().unwrap_or_default(), number))
                }
                Some(Content::Array(items)) => items.push(number),
                _ => {}
            }
        }
        number
    }

    /// Returns the value to which these keys and indices lead. Of the values of a repeated key, the last counts.
    pub(super) fn at<'p>(&self, mut path: impl Iterator<Item = Cow<'p, str>>) -> Option<&Value<'a>> {
        let value = path.try_fold(0, |value, token| self.within(value, &token))?;
        self.0.get(value)
    }

    fn within(&self, value: usize, token: &str) -> Option<usize> {
        match &self.0.get(value)?.content {
            Content::Object(members) => {
                let is_before = |(key, _): &(&str, usize)| units(key).le(token.encode_utf16());
                let last = members.partition_point(is_before).checked_sub(1)?;
                members.get(last).filter(|(key, _)| is_text(key, token)).map(|(_, value)| *value)
            }
            Content::Array(items) => items.get(index(token)?).copied(),
            Content::Text(_) | Content::Plain => None,
        }
    }

    fn equals(&self, other: &Self) -> bool {
        let mut pairs = vec![(0, 0)];
        while let Some((one, another)) = pairs.pop() {
            let (Some(one), Some(another)) = (self.0.get(one), other.0.get(another)) else { return false };
            let is_same = match (&one.content, &another.content) {
                (Content::Object(these), Content::Object(those)) => {
                    pairs.extend(these.iter().zip(those).map(|((_, one), (_, another))| (*one, *another)));
                    let keys = these.iter().zip(those).all(|((one, _), (other, _))| same_text(one, other));
                    keys && these.len() == those.len()
                }
                (Content::Array(these), Content::Array(those)) => {
                    pairs.extend(these.iter().copied().zip(those.iter().copied()));
                    these.len() == those.len()
                }
                (Content::Text(one), Content::Text(other)) => same_text(one, other),
                (Content::Plain, Content::Plain) => one.text == another.text,
                _ => false,
            };
            if !is_same {
                return false;
            }
        }
        true
    }
}

impl<'a> Value<'a> {
    /// Returns the value as it is written.
    pub(super) const fn text(&self) -> &'a str {
        self.text
    }

    /// Returns whether it is this string, number, boolean or null. Numbers are compared by their value.
    pub(super) fn is(&self, scalar: &Json) -> bool {
        match (&self.content, scalar) {
            (Content::Text(written), Json::String(text)) => is_text(written, text),
            (Content::Plain, Json::Number(number)) => is_number(self.text, number),
            (Content::Plain, Json::Bool(value)) => self.text == if *value { "true" } else { "false" },
            (Content::Plain, Json::Null) => self.text == "null",
            _ => false,
        }
    }
}

/// Reads the index of an array, which RFC 6901 writes without signs and leading zeros.
fn index(token: &str) -> Option<usize> {
    let is_plain = token == "0" || token.starts_with(|it: char| matches!(it, '1'..='9'));
    token.parse().ok().filter(|_| is_plain)
}

fn is_text(written: &str, text: &str) -> bool {
    units(written).eq(text.encode_utf16())
}

/// Whole numbers are compared exactly, others as doubles.
fn is_number(written: &str, number: &Number) -> bool {
    match (written.parse::<i128>(), number.as_i128()) {
        (Ok(written), Some(number)) => written == number,
        _ => written.parse::<f64>().is_ok_and(|written| number.as_f64() == Some(written)),
    }
}

fn same_text(one: &str, other: &str) -> bool {
    one == other || units(one).eq(units(other))
}

/// The UTF-16 units of a string: JSON can escape half a surrogate pair, which is no character.
fn units(written: &str) -> impl Iterator<Item = u16> {
    let mut rest = written.encode_utf16();
    std::iter::from_fn(move || {
        let unit = rest.next()?;
        if unit != u16::from(b'\\') {
            return Some(unit);
        }
        let escaped = rest.next()?;
        Some(match u8::try_from(escaped).unwrap_or_default() {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => u16::from(b'\n'),
            b'r' => u16::from(b'\r'),
            b't' => u16::from(b'\t'),
            b'u' => rest.by_ref().take(4).fold(0, |unit, digit| unit << 4 | hex_digit(digit)),
            _ => escaped,
        })
    })
}

fn hex_digit(unit: u16) -> u16 {
    let digit = char::from_u32(unit.into()).and_then(|it| it.to_digit(16)).unwrap_or_default();
    u16::try_from(digit).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn same(one: &str, other: &str) -> bool {
        for text in [one, other] {
            assert!(RawValue::from_string(text.to_owned()).is_ok(), "{text}");
        }
        assert_eq!(same_json(one, other), same_json(other, one));
        assert!(Tree::read(one).equals(&Tree::read(one)) && Tree::read(other).equals(&Tree::read(other)));
        same_json(one, other)
    }

    #[test]
    fn the_way_of_writing_does_not_matter() {
        for (one, other) in [
            (r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#),
            (r#"{"a":1,"b":2}"#, "\n{ \"a\" : 1 ,\t\"b\":2 }\r "),
            (
                r#"{"b":{"d":[1,{"y":0,"x":0}],"c":null},"a":{}}"#,
                r#"{"a":{},"b":{"c":null,"d":[1,{"x":0,"y":0}]}}"#,
            ),
            (r#""A\u00e9\/\ud83d\ude00""#, "\"\\u0041é/\u{1f600}\""),
            (r#""\"\\\b\f\n\r\t""#, r#""\u0022\u005C\u0008\u000c\u000a\u000D\u0009""#),
            (r#"{"\u0061":1,"b":2}"#, r#"{"b":2,"a":1}"#),
            (r#"{"a":1,"b":0,"a":2}"#, r#"{"b":0,"a":1,"a":2}"#),
            (r#""\ud800""#, r#""\uD800""#),
            ("[ ]", "[]"),
            ("{ }", "{}"),
        ] {
            assert!(same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn the_content_does() {
        for (one, other) in [
            ("1", "1.0"),
            ("1e2", "1E2"),
            ("100", "1e2"),
            ("-0", "0"),
            ("true", "false"),
            ("null", r#""null""#),
            ("1", r#""1""#),
            ("[1,2]", "[2,1]"),
            ("[1,2]", "[1]"),
            ("[[1],2]", "[[1,2]]"),
            ("[]", "{}"),
            (r#"["a"]"#, r#"{"a":"a"}"#),
            (r#"{"a":1}"#, r#"{"a":1,"b":2}"#),
            (r#"{"a":1}"#, r#"{"b":1}"#),
            (r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#),
            (r#"{"a":{"b":1}}"#, r#"{"b":{"a":1}}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#),
            (r#"{"a":1,"a":1}"#, r#"{"a":1}"#),
            (r#""\ud800""#, r#""\ud801""#),
            (r#""\ud800""#, r#""\\ud800""#),
            (r#""\ud83d""#, "\"\u{1f600}\""),
            (r#""a\"""#, r#""a""#),
            (r#""""#, r#"" ""#),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn neither_depth_nor_breadth_overflows_the_stack_or_takes_long() {
        let depth = 200_000;
        let nested = |inner: &str| format!("{}{inner}{}", r#"{"a":["#.repeat(depth), "]}".repeat(depth));
        let spaced = nested("1").replace(':', " : ");
        assert!(same_json(&nested("1"), &spaced) && !same_json(&nested("1"), &nested("2")));
        let members = |numbers: &mut dyn Iterator<Item = usize>| {
            let members: Vec<_> = numbers.map(|it| format!(r#""{}{it}":{it}"#, "k".repeat(20))).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(same_json(&members(&mut (0..depth)), &members(&mut (0..depth).rev())));
    }

    /// A value, written in two ways.
    fn twice() -> impl Strategy<Value = (String, String)> {
        let number = any::<i32>().prop_map(|it| (it.to_string(), format!(" {it}")));
        let text = ".{0,4}".prop_map(|it| (quoted(&it), escaped(&it)));
        let leaf = prop_oneof![number, text, Just(("null".to_owned(), "\tnull\n".to_owned()))];
        leaf.prop_recursive(4, 64, 6, |inner| {
            let keys = prop::collection::btree_map("[ab\u{e9}\"\\\\]{0,3}", inner.clone(), 0..6);
            prop_oneof![
                prop::collection::vec(inner, 0..6).prop_map(|items| {
                    let (one, other): (Vec<_>, Vec<_>) = items.into_iter().unzip();
                    (format!("[{}]", one.join(",")), format!("[ {} ]", other.join(" , ")))
                }),
                keys.prop_map(|members| {
                    let one: Vec<_> =
                        members.iter().map(|(key, value)| format!("{}:{}", quoted(key), value.0)).collect();
                    let other = members.iter().rev();
                    let other: Vec<_> =
                        other.map(|(key, value)| format!("{} : {}", escaped(key), value.1)).collect();
                    (format!("{{{}}}", one.join(",")), format!("{{{}}}", other.join(",")))
                }),
            ]
        })
    }

    fn quoted(text: &str) -> String {
        serde_json::to_string(text).expect("a string")
    }

    fn escaped(text: &str) -> String {
        let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        format!("\"{units}\"")
    }

    proptest! {
        #[test]
        fn a_value_is_the_same_however_it_is_written((one, other) in twice()) {
            prop_assert!(same(&one, &other), "{one} {other}");
        }

        /// Without repeated keys and numbers of other forms, it agrees with values that are compared as such.
        #[test]
        fn it_agrees_with_parsed_values((one, _) in twice(), (_, other) in twice()) {
            let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
            prop_assert_eq!(same(&one, &other), parsed(&one) == parsed(&other));
        }

        /// What a store kept may be damaged: it must not panic.
        #[test]
        fn what_is_no_json_does_not_panic(one in "[\\[\\]{}\",:\\\\u0-9a é]{0,40}", other in ".{0,20}") {
            same_json(&one, &other);
        }
    }
}
