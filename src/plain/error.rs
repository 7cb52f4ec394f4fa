//! An error of the service, in plain words.

use std::fmt;

use serde::Serialize;

use super::violation::Violation;

/// An error in plain words, which [`Catalog::show_error`](crate::Catalog::show_error) makes. Its JSON has the names of the
/// fields, without `violations` if there are none.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Error {
    /// The kind, for code to branch on: see [`ErrorKind::as_str`](crate::ErrorKind::as_str).
    pub code: &'static str,
    /// What happened and what to do, in English. It names the violations.
    pub message: String,
    /// Every rule that the input breaks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
}

impl Error {
    pub(crate) fn new(code: &'static str, message: String, violations: Vec<Violation>) -> Self {
        let told: Vec<_> = violations.iter().map(ToString::to_string).collect();
        let message = if told.is_empty() { message } else { told.join("; ") };
        Self { code, message, violations }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
