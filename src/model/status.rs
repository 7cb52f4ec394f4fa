//! Whether a webhook is enabled.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The status of a webhook: `0` or `1` in JSON.
///
/// A disabled webhook counts for the limits, keeps its pending deliveries, and can be edited and pinged.
///
/// ```
/// use hookwire::model::Status;
///
/// assert_eq!(Status::try_from(1)?, Status::Enabled);
/// assert!(Status::try_from(2).is_err());
/// assert_eq!(Status::from(true), Status::Enabled);
/// # Ok::<_, hookwire::model::InvalidStatus>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "super::integer_id::LenientInteger", into = "i64")]
#[expect(clippy::exhaustive_enums, reason = "the wire format has these two values and no other")]
pub enum Status {
    /// `0`: the webhook gets no events.
    Disabled,
    /// `1`: the webhook gets events. The default of a draft.
    #[default]
    Enabled,
}

impl Status {
    /// Returns whether the status is [`Enabled`](Self::Enabled).
    pub const fn is_enabled(self) -> bool {
        matches!(self, Self::Enabled)
    }
}

/// An error for a number that is not a [`Status`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a status is 0 (disabled) or 1 (enabled), not {number}")]
#[non_exhaustive]
pub struct InvalidStatus {
    /// The refused number.
    pub number: i64,
}

impl From<bool> for Status {
    fn from(is_enabled: bool) -> Self {
        if is_enabled { Self::Enabled } else { Self::Disabled }
    }
}

impl TryFrom<i64> for Status {
    type Error = InvalidStatus;

    fn try_from(number: i64) -> Result<Self, InvalidStatus> {
        match number {
            0 => Ok(Self::Disabled),
            1 => Ok(Self::Enabled),
            number => Err(InvalidStatus { number }),
        }
    }
}

impl TryFrom<super::integer_id::LenientInteger> for Status {
    type Error = InvalidStatus;

    fn try_from(long: super::integer_id::LenientInteger) -> Result<Self, InvalidStatus> {
        long.0.try_into()
    }
}

impl From<Status> for i64 {
    fn from(status: Status) -> Self {
        match status {
            Status::Disabled => 0,
            Status::Enabled => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_zero_and_one_are_statuses() {
        for (number, status) in [(0, Status::Disabled), (1, Status::Enabled)] {
            assert_eq!(Status::try_from(number), Ok(status));
            assert_eq!(i64::from(status), number);
        }
        for number in [-1, 2, i64::MAX] {
            assert_eq!(Status::try_from(number), Err(InvalidStatus { number }));
        }
    }
}
