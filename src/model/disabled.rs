//! [`Disabled`]: since when and why a webhook is disabled.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::disable_reason::DisableReason;
use super::time::Timestamp;

/// Since when and why a webhook is disabled.
///
/// `Display` writes it as a clause for a person.
///
/// ```
/// use hookwire::model::{DisableReason, Disabled, Timestamp};
///
/// let mut disabled = Disabled::by_call(Timestamp::from_secs(0));
/// assert_eq!(disabled.to_string(), "disabled since 1970-01-01T00:00:00.000Z");
/// disabled.reason = Some(DisableReason::Gone);
/// let text = "disabled since 1970-01-01T00:00:00.000Z, because the receiver answered 410 Gone";
/// assert_eq!(disabled.to_string(), text);
/// ```
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Disabled {
    /// The reason for which hookwire disabled it; `None` if a call did, or if it was registered so.
    pub reason: Option<DisableReason>,
    /// When it was disabled; `None` for a webhook that a version without this record disabled.
    pub at: Option<Timestamp>,
}

impl Disabled {
    /// Disabled at this time by a call, or registered so.
    pub const fn by_call(at: Timestamp) -> Self {
        Self { reason: None, at: Some(at) }
    }
}

impl fmt::Display for Disabled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("disabled")?;
        self.at.map_or(Ok(()), |at| write!(f, " since {at}"))?;
        self.reason.map_or(Ok(()), |reason| write!(f, ", because {reason}"))
    }
}
