//! The error of every store.

use std::error::Error;
use std::fmt;

use crate::error_chain::chain;
use crate::model::InvalidCursor;

/// A store could not do what was asked.
///
/// `Display` speaks for the store; the cause, if there is one, is [`source`](Error::source).
///
/// ```
/// use hookwire::store::{StoreError, StoreErrorKind};
///
/// let error = StoreError::new(StoreErrorKind::Unavailable, "connection reset");
/// assert!(error.kind().can_retry_help());
/// assert_eq!(error.to_string(), "the store cannot be reached");
/// ```
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// Creates an error of this kind with its cause.
    pub fn new(kind: StoreErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// Returns the kind of the error.
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Returns the error and all its causes as one text, for the operator.
    pub fn detail(&self) -> String {
        chain(self)
    }
}

impl From<StoreErrorKind> for StoreError {
    fn from(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl From<InvalidCursor> for StoreError {
    fn from(error: InvalidCursor) -> Self {
        Self::new(StoreErrorKind::InvalidCursor, error)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Conflict => "the registry was changed in the meantime",
            StoreErrorKind::Corrupt => "the store holds what it should not",
            StoreErrorKind::Full => "the store's disk is full",
            StoreErrorKind::InvalidCursor => "there is no such page",
            StoreErrorKind::Overloaded => "the store has no room for more work now",
            StoreErrorKind::Unavailable => "the store cannot be reached",
        })
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// The kinds of [`StoreError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The registry has changed since it was read. Read it again and decide anew.
    Conflict,
    /// A stored value breaks the rules of the store. Trying again does not help.
    Corrupt,
    /// There is no room on the store's disk; nothing of what was asked was done. Trying again helps once
    /// there is room.
    Full,
    /// The page was asked for by a cursor that the listing did not give. Trying again does not help.
    InvalidCursor,
    /// The store waited for room as long as it may. Trying again later helps.
    Overloaded,
    /// The store did not answer; what was asked may or may not have been done. Trying again helps.
    Unavailable,
}

impl StoreErrorKind {
    /// Whether the same call may succeed later.
    pub const fn can_retry_help(self) -> bool {
        matches!(self, Self::Full | Self::Overloaded | Self::Unavailable)
    }
}
