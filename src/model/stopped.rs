//! [`Stopped`]: why the deliveries of a webhook wait.

use std::fmt;

use serde::Serialize;

use super::disabled::Disabled;
use super::time::Timestamp;

/// Since when and why nothing is delivered to a webhook. If several reasons apply, the first in this order counts.
///
/// `Display` writes it as a clause for a person.
///
/// ```
/// use hookwire::model::{Stopped, Timestamp};
///
/// let paused = Stopped::Paused { since: Timestamp::from_secs(0) };
/// assert_eq!(paused.to_string(), "the webhook is paused since 1970-01-01T00:00:00.000Z");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stopped {
    /// The webhook is disabled. New events skip it.
    Disabled(Disabled),
    /// The webhook is paused. New events wait.
    Paused {
        /// When it was paused.
        since: Timestamp,
    },
    /// The tenant is suspended. New events wait.
    Suspended {
        /// When it was suspended.
        since: Timestamp,
    },
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled(disabled) => write!(f, "the webhook is {disabled}"),
            Self::Paused { since } => write!(f, "the webhook is paused since {since}"),
            Self::Suspended { since } => write!(f, "the tenant is suspended since {since}"),
        }
    }
}
