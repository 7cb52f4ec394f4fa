//! Reads the tokens of a template: its pieces, and what is wrong with its strings.

use std::fmt::Write;

use serde_json::Value;

use super::findings::Findings;
use super::json_tokens::unquoted;
use super::template::{Parameter, Piece, quoted};
use super::violation::{Rule, Violation};

/// The characters of a key or a parameter that are shown.
const MAX_SHOWN_CHARS: usize = 64;

pub(super) fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN_CHARS).collect()
}

/// The violations that are told of the strings of a template.
const MAX_VIOLATIONS: usize = 100;

/// Makes the pieces of a template of its tokens.
pub(super) struct Reader<'a> {
    field: &'a str,
    found: &'a mut Findings,
    /// The objects and arrays that are open.
    levels: Vec<Level>,
    pieces: Vec<Piece>,
    /// The parameters with their paths.
    parameters: Vec<(String, Parameter)>,
}

/// An open object or array.
enum Level {
    /// An array, with the index of the item.
    Array(usize),
    /// An object, with the key of the member, once it was read.
    Object(Option<String>),
}

impl<'a> Reader<'a> {
    pub(super) fn new(field: &'a str, found: &'a mut Findings) -> Self {
        Self { field, found, levels: Vec::new(), pieces: Vec::new(), parameters: Vec::new() }
    }

    /// Returns the pieces, and the parameters with their paths.
    pub(super) fn into_parts(self) -> (Vec<Piece>, Vec<(String, Parameter)>) {
        (self.pieces, self.parameters)
    }

    pub(super) fn read(&mut self, token: &str) {
        match token {
            "{" => self.levels.push(Level::Object(None)),
            "[" => self.levels.push(Level::Array(0)),
            "}" | "]" => drop(self.levels.pop()),
            "," => match self.levels.last_mut() {
                Some(Level::Array(index)) => *index += 1,
                Some(Level::Object(key)) => *key = None,
                None => {}
            },
            _ if token.starts_with('"') => return self.string(token),
            ":" => {}
            _ if serde_json::from_str::<Value>(token).is_err() => {
                let message = "is a number that is too large for a double";
                self.refuse(|path| Violation::new(path, Rule::Format, message));
            }
            _ => {}
        }
        self.literal(token);
    }

    fn string(&mut self, token: &str) {
        let text = serde_json::from_str::<String>(token).unwrap_or_else(|_| {
            let message = "escapes half of a surrogate pair, which is no character";
            self.refuse(|path| Violation::new(path, Rule::Format, message));
            String::new()
        });
        if let Some(Level::Object(key @ None)) = self.levels.last_mut() {
            *key = Some(text);
        } else if text.contains("${") {
            return self.text(&text);
        }
        self.literal(token);
    }

    /// Adds a string that has parameters.
    fn text(&mut self, text: &str) {
        let parts = parts(text);
        if let [Part::Parameter(name)] = parts[..] {
            match self.parameter(name) {
                Some(parameter) => self.pieces.push(Piece::Value(parameter)),
                None => self.literal(r#""$""#),
            }
            return;
        }
        self.literal("\"");
        for part in parts {
            match part {
                Part::Text(text) => self.literal(unquoted(&quoted(text))),
                Part::Parameter(name) => match self.parameter(name) {
                    Some(parameter) => self.pieces.push(Piece::Text(parameter)),
                    None => self.literal("$"),
                },
                Part::Unclosed => {
                    let message = "has a `${` without a `}`; a literal `${` is written `${$}{`";
                    self.refuse(|path| Violation::new(path, Rule::Format, message));
                }
            }
        }
        self.literal("\"");
    }

    /// Reads a parameter. Returns `None` if it stands for a dollar sign, or is refused.
    fn parameter(&mut self, name: &str) -> Option<Parameter> {
        if name == "$" {
            return None;
        }
        match parse(name) {
            Ok(parameter) => {
                self.parameters.push((self.path(), parameter.clone()));
                Some(parameter)
            }
            Err((rule, message)) => {
                self.refuse(|path| Violation::new(path, rule, message).with("parameter", shown(name)));
                None
            }
        }
    }

    fn literal(&mut self, json: &str) {
        match self.pieces.last_mut() {
            Some(Piece::Literal(text)) => text.push_str(json),
            _ => self.pieces.push(Piece::Literal(json.to_owned())),
        }
    }

    /// Notes a violation of the value that is being read, unless there are more than anybody reads.
    fn refuse(&mut self, violation: impl FnOnce(String) -> Violation) {
        if self.found.0.len() < MAX_VIOLATIONS {
            let path = self.path();
            self.found.0.push(violation(path));
        }
    }

    /// Returns the path of the value that is being read: `template.items[0].name`, `template["a.b"]`.
    fn path(&self) -> String {
        let mut path = self.field.to_owned();
        for level in &self.levels {
            let written = match level {
                Level::Array(index) => write!(path, "[{index}]"),
                Level::Object(Some(key)) if is_name(key) => write!(path, ".{}", shown(key)),
                Level::Object(Some(key)) => write!(path, "[{}]", quoted(&shown(key))),
                Level::Object(None) => Ok(()),
            };
            written.expect("a string takes what is written");
        }
        path
    }
}

/// Whether a key stands in a path without quotes.
fn is_name(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | '-'))
}

/// A part of a string that has parameters.
#[derive(Clone, Copy)]
enum Part<'a> {
    Text(&'a str),
    /// What is between `${` and `}`.
    Parameter(&'a str),
    /// A `${` that no `}` follows, and the rest.
    Unclosed,
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        if !before.is_empty() {
            parts.push(Part::Text(before));
        }
        let Some((name, after)) = after.split_once('}') else {
            parts.push(Part::Unclosed);
            return parts;
        };
        parts.push(Part::Parameter(name));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

/// Reads what is between `${` and `}`.
fn parse(name: &str) -> Result<Parameter, (Rule, String)> {
    Ok(match name {
        "department" => Parameter::Department,
        "eventBy" => Parameter::EventBy,
        "eventTime" => Parameter::EventTime,
        "eventType" => Parameter::EventType,
        "messageId" => Parameter::MessageId,
        "orgId" => Parameter::OrgId,
        "payload" => Parameter::Payload(Vec::new()),
        _ => match name.strip_prefix("payload.") {
            Some(path) if path.split('.').all(|name| !name.is_empty()) => {
                Parameter::Payload(path.split('.').map(ToOwned::to_owned).collect())
            }
            Some(_) => {
                let message =
                    format!("{:?} has a dot too many; write for example `payload.device.name`", shown(name));
                return Err((Rule::Format, message));
            }
            None => {
                return Err((Rule::UnknownParameter, format!("{:?} is no parameter; {KNOWN}", shown(name))));
            }
        },
    })
}

const KNOWN: &str = "use `payload`, `payload.NAME`, `eventType`, `eventTime`, `eventBy`, `orgId`, `department` or `messageId`";
