//! The reasons for which hookwire disables a webhook. When it does is decided in `delivery::disabling`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// The reason for which hookwire disabled a webhook by itself.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DisableReason {
    /// Every attempt has failed since this time.
    Failing {
        /// The time at which the first of these attempts failed.
        since: Timestamp,
    },
    /// The receiver answered 410 Gone.
    Gone,
}

impl fmt::Display for DisableReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failing { since } => write!(f, "every attempt has failed since {since}"),
            Self::Gone => f.write_str("the receiver answered 410 Gone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_to_people() {
        let failing = DisableReason::Failing { since: Timestamp::default() };
        let text = "every attempt has failed since 1970-01-01T00:00:00.000Z";
        assert_eq!(failing.to_string(), text);
        assert_eq!(DisableReason::Gone.to_string(), "the receiver answered 410 Gone");
    }
}
