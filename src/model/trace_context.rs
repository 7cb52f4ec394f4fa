//! [`TraceContext`]: the trace in which an event was published, by W3C Trace Context.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The trace in which an event was published, by [W3C Trace Context](https://www.w3.org/TR/trace-context/).
///
/// It is read from a `traceparent` header and written as one. A header of a later version is read as far as this one knows
/// it, as the standard asks for.
///
/// ```
/// use hookwire::model::TraceContext;
///
/// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let context: TraceContext = header.parse()?;
/// let context = context.with_state("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")?;
/// assert_eq!(context.to_string(), header);
/// assert!("4bf92f3577b34da6a3ce929d0e0e4736".parse::<TraceContext>().is_err());
/// # Ok::<_, hookwire::model::InvalidTraceContext>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "Headers", into = "Headers")]
pub struct TraceContext {
    trace_id: u128,
    parent_id: u64,
    flags: u8,
    state: Option<String>,
}

/// The JSON form: the headers by their names.
#[derive(Deserialize, Serialize)]
struct Headers {
    traceparent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tracestate: Option<String>,
}

/// The flag of a version that is not known: whether the trace is recorded. All versions have it.
const SAMPLED: u8 = 1;

/// The most entries of a `tracestate`, and the most bytes of the key and of the value of one.
const MAX_ENTRIES: usize = 32;
const MAX_ENTRY_BYTES: usize = 256;

impl TraceContext {
    /// The maximum number of bytes of a `tracestate`. The standard asks for no more to be passed on.
    pub const MAX_STATE_BYTES: usize = 512;

    /// Sets what vendors of tracing add: the header `tracestate`. An empty one is none.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidTraceContext::Tracestate`] if it is no such header, or is longer than
    /// [`MAX_STATE_BYTES`](Self::MAX_STATE_BYTES).
    pub fn with_state(self, tracestate: impl Into<String>) -> Result<Self, InvalidTraceContext> {
        let state = tracestate.into();
        if !is_state(&state) {
            return Err(InvalidTraceContext::Tracestate);
        }
        Ok(Self { state: Some(state).filter(|state| !state.is_empty()), ..self })
    }

    /// Returns the header `tracestate`, if there is one.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// Writes the header `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.parent_id, self.flags)
    }
}

/// Reads the header `traceparent`.
impl FromStr for TraceContext {
    type Err = InvalidTraceContext;

    fn from_str(traceparent: &str) -> Result<Self, InvalidTraceContext> {
        parse(traceparent).ok_or(InvalidTraceContext::Traceparent)
    }
}

fn parse(traceparent: &str) -> Option<TraceContext> {
    let mut parts = traceparent.splitn(5, '-');
    let version = hex(parts.next()?, 2)?;
    let (trace_id, parent_id) = (hex(parts.next()?, 32)?, hex(parts.next()?, 16)?);
    let flags = u8::try_from(hex(parts.next()?, 2)?).ok()?;
    let is_known = version == 0;
    if version == 0xff || trace_id == 0 || parent_id == 0 || (is_known && parts.next().is_some()) {
        return None;
    }
    let flags = if is_known { flags } else { flags & SAMPLED };
    Some(TraceContext { trace_id, parent_id: u64::try_from(parent_id).ok()?, flags, state: None })
}

/// Reads exactly so many digits, which are in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_hex = text.len() == digits && text.bytes().all(is_digit);
    is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

fn is_state(state: &str) -> bool {
    let entries = || state.split(',').map(|entry| entry.trim_matches([' ', '\t']));
    let is_entry = |entry: &str| {
        entry.is_empty() || entry.split_once('=').is_some_and(|(key, value)| is_key(key) && is_value(value))
    };
    state.len() <= TraceContext::MAX_STATE_BYTES
        && entries().count() <= MAX_ENTRIES
        && entries().all(is_entry)
}

fn is_key(key: &str) -> bool {
    let begins = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let goes_on = |byte: u8| begins(&byte) || b"_-*/@".contains(&byte);
    key.len() <= MAX_ENTRY_BYTES && key.as_bytes().first().is_some_and(begins) && key.bytes().all(goes_on)
}

fn is_value(value: &str) -> bool {
    let fits = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'=';
    (1..=MAX_ENTRY_BYTES).contains(&value.len()) && value.bytes().all(fits)
}

/// The error for a text that is no part of a [`TraceContext`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvalidTraceContext {
    /// The text is no `traceparent`.
    #[error(
        "a traceparent is like 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, in lower case and not zero"
    )]
    Traceparent,
    /// The text is no `tracestate`, or too long.
    #[error(
        "a tracestate is at most 32 entries like vendor=value, of at most 512 bytes together; leave it out otherwise"
    )]
    Tracestate,
}

impl TryFrom<Headers> for TraceContext {
    type Error = InvalidTraceContext;

    fn try_from(headers: Headers) -> Result<Self, InvalidTraceContext> {
        let context: Self = headers.traceparent.parse()?;
        context.with_state(headers.tracestate.unwrap_or_default())
    }
}

impl From<TraceContext> for Headers {
    fn from(context: TraceContext) -> Self {
        Self { traceparent: context.to_string(), tracestate: context.state }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn context() -> TraceContext {
        PARENT.parse().expect("a header of the standard")
    }

    #[test]
    fn what_is_written_is_what_was_read() {
        let leading = "00-0000000000000000000000000000000a-000000000000000b-00";
        for header in [PARENT, leading] {
            assert_eq!(header.parse::<TraceContext>().expect(header).to_string(), header);
        }
        let later = PARENT.replace("00-4", "cc-4").replace("-01", "-03-what-is-to-come");
        assert_eq!(later.parse(), Ok(context()), "as far as it is known");
    }

    #[test]
    fn what_is_no_traceparent_is_refused() {
        let of = |from: &str, to: &str| PARENT.replacen(from, to, 1);
        for wrong in [
            String::new(),
            of("00-", "ff-"),
            of("-01", ""),
            of("-01", "-1"),
            of("-01", "-0g"),
            of("-01", "-01-more"),
            of("4bf", "4BF"),
            of("4bf", "+bf"),
            of("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            of("00f067aa0ba902b7", &"0".repeat(16)),
            of("4bf", "4bf0"),
            format!(" {PARENT}"),
        ] {
            assert_eq!(wrong.parse::<TraceContext>(), Err(InvalidTraceContext::Traceparent), "{wrong}");
        }
    }

    #[test]
    fn a_state_has_the_form_of_the_standard() {
        let entries = |n: usize| vec!["a=1"; n].join(",");
        for state in ["a=1", "a=1, 1b_-*/@c=~ !,", &entries(32), &format!("k={}", "v".repeat(256))] {
            assert_eq!(context().with_state(state).expect(state).tracestate(), Some(state));
        }
        assert_eq!(context().with_state(""), Ok(context()));
        let long = format!("k={0},l={0}", "v".repeat(255));
        for wrong in ["a", "a=", "=1", "A=1", "a=1=2", "a=\u{e9}", "a=\r\nb", &entries(33), &long] {
            assert_eq!(context().with_state(wrong), Err(InvalidTraceContext::Tracestate), "{wrong}");
        }
    }

    #[test]
    fn stored_forms_are_read_back_and_checked() {
        let context = context().with_state("a=1").expect("a state");
        let json = serde_json::to_string(&context).expect("JSON");
        assert_eq!(json, format!(r#"{{"traceparent":"{PARENT}","tracestate":"a=1"}}"#));
        assert_eq!(serde_json::from_str::<TraceContext>(&json).expect("its own form"), context);
        assert!(serde_json::from_str::<TraceContext>(&json.replace("a=1", "a")).is_err());
    }
}
