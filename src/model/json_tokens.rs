//! The tokens of a JSON text. Nothing here recurses: payloads may be nested as deep as they are long.

/// Returns the tokens of a text, with the places where they begin: brackets, commas, colons, strings with their quotes,
/// and numbers, booleans and null.
///
/// The text is valid JSON. Of any other text the tokens are of no use, but they come to an end, and none is empty.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..)?;
        let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        let token = &trimmed[..length(trimmed)?];
        let begin = at + rest.len() - trimmed.len();
        at = begin + token.len();
        Some((begin, token))
    })
}

/// Returns the length of the token with which a text begins; `None` if there is no text.
fn length(text: &str) -> Option<usize> {
    let ends = |it| matches!(it, ',' | ']' | '}' | ' ' | '\t' | '\n' | '\r');
    Some(match text.bytes().next()? {
        b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
        b'"' => string_length(text),
        _ => text.find(ends).unwrap_or(text.len()),
    })
}

/// Returns the length of the string with which a text begins, quotes included.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text[1..].find(|it| {
        let ends = it == '"' && !is_escaped;
        is_escaped = it == '\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

/// Returns what is between the quotes of a string.
pub(super) fn unquoted(string: &str) -> &str {
    let rest = string.strip_prefix('"').unwrap_or(string);
    rest.strip_suffix('"').unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> Vec<&str> {
        tokens(text).map(|(_, token)| token).collect()
    }

    #[test]
    fn a_text_is_split_at_its_tokens() {
        let text = " {\"a\\\"\" :\t[1.10,true , null\n],\"\":\"\u{e9}{}\\\\\"} ";
        let expected = [
            "{",
            "\"a\\\"\"",
            ":",
            "[",
            "1.10",
            ",",
            "true",
            ",",
            "null",
            "]",
            ",",
            "\"\"",
            ":",
            "\"\u{e9}{}\\\\\"",
            "}",
        ];
        assert_eq!(split(text), expected);
        assert_eq!(split("-1e999"), ["-1e999"]);
        assert_eq!(split(" "), [""; 0]);
        assert_eq!((unquoted(r#""a\"""#), unquoted(r#""""#)), (r#"a\""#, ""));
    }

    proptest! {
        #[test]
        fn tokens_stand_where_they_say_and_only_white_space_is_between_them(text in ".{0,40}") {
            let mut end = 0;
            for (begin, token) in tokens(&text) {
                prop_assert!(!token.is_empty() && text[end..begin].trim_ascii().is_empty());
                prop_assert!(text[begin..].starts_with(token));
                end = begin + token.len();
            }
            prop_assert!(text[end..].trim_ascii().is_empty());
        }
    }
}
