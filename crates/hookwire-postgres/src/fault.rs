use std::error::Error;

use deadpool_postgres::{PoolError, TimeoutType};
use hookwire::model::{InvalidCursor, InvalidMessageId, InvalidSourceId, InvalidTenantId};
use hookwire::store::{StoreError, StoreErrorKind};
use tokio_postgres::error::SqlState;

/// What may fail on the way to PostgreSQL and back, into which `?` turns what is raised there.
#[derive(Debug)]
pub(crate) enum Fault {
    /// PostgreSQL says no, or nothing.
    Postgres(tokio_postgres::Error),
    /// Anything else.
    Store(StoreError),
}

impl Fault {
    /// What was read breaks the store's own rules.
    pub(crate) fn corrupt(what: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Store(StoreError::new(StoreErrorKind::Corrupt, what))
    }

    /// Something that another try may mend.
    pub(crate) fn lost(what: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Store(StoreError::new(StoreErrorKind::Unavailable, what))
    }

    /// Whether PostgreSQL broke off a transaction only because of others beside it, so that it may run again.
    pub(crate) fn is_of_others(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        let codes = [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE];
        error.code().is_some_and(|code| codes.contains(code))
    }

    /// Whether the same work in smaller parts may succeed: the fault lies in what was asked, or in a lock
    /// that somebody holds.
    pub(crate) fn may_be_of_one_item(&self) -> bool {
        match self {
            Self::Postgres(error) => error.as_db_error().is_some() && !error.is_closed(),
            Self::Store(error) => error.kind() == StoreErrorKind::Corrupt,
        }
    }
}

/// Classes of errors that pass by themselves: connections, transactions of others, resources, operators,
/// locks, a standby that took over before it may write.
const PASSING: [&str; 7] = ["08", "25", "40", "53", "55", "57", "58"];

fn kind_of(error: &tokio_postgres::Error) -> StoreErrorKind {
    let passes = |code: &SqlState| PASSING.iter().any(|class| code.code().starts_with(class));
    match error.code() {
        Some(code) if !passes(code) => StoreErrorKind::Corrupt,
        None if !error.is_closed() && is_conversion(error) => StoreErrorKind::Corrupt,
        Some(_) | None => StoreErrorKind::Unavailable,
    }
}

/// Whether a value was not what the code expects: that does not pass.
fn is_conversion(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    ["error deserializing column", "error serializing parameter", "invalid column"]
        .iter()
        .any(|start| text.starts_with(start))
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Postgres(error) => Self::new(kind_of(&error), error),
            Fault::Store(error) => error,
        }
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Postgres(error),
            PoolError::Timeout(TimeoutType::Wait) => Self::Store(StoreErrorKind::Overloaded.into()),
            other => Self::lost(other),
        }
    }
}

impl From<InvalidCursor> for Fault {
    fn from(error: InvalidCursor) -> Self {
        Self::Store(error.into())
    }
}

impl From<StoreErrorKind> for Fault {
    fn from(kind: StoreErrorKind) -> Self {
        Self::Store(kind.into())
    }
}

/// Values that were written by this crate's rules, and cannot be read by them.
macro_rules! corrupt_from {
    ($($error:ty),+) => {
        $(impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                Self::corrupt(error)
            }
        })+
    };
}

corrupt_from!(
    serde_json::Error,
    InvalidTenantId,
    InvalidMessageId,
    InvalidSourceId,
    std::num::TryFromIntError
);
