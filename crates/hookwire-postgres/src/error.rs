//! `QueryError`: the errors of statements and transactions, and what they mean to a caller of the store.

use std::error::Error;
use std::time::Duration;

use deadpool_postgres::{HookError, PoolError, TimeoutType};
use hookwire::model::{InvalidCursor, InvalidMessageId, InvalidSourceId, InvalidTenantId};
use hookwire::store::{StoreError, StoreErrorKind};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, WrongType};

/// An error of a statement or a transaction, or of reading their rows.
#[derive(Debug)]
pub(crate) enum QueryError {
    /// PostgreSQL refused, or did not answer.
    Postgres(tokio_postgres::Error),
    /// Anything else.
    Store(StoreError),
    /// PostgreSQL took longer than this for a statement.
    Unanswered(Duration),
}

impl QueryError {
    /// Creates an error for a row that breaks the store's own rules.
    pub(crate) fn corrupt(what: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Store(StoreError::new(StoreErrorKind::Corrupt, what))
    }

    /// Creates an error that another try may mend.
    pub(crate) fn unavailable(what: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Store(StoreError::new(StoreErrorKind::Unavailable, what))
    }

    /// Returns whether the transaction failed only because of concurrent ones, so that it may run again. Other clients
    /// of a pooler may have left a statement of the same name on the connection.
    pub(crate) fn is_retryable(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        let codes = [
            SqlState::DUPLICATE_PSTATEMENT,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::T_R_SERIALIZATION_FAILURE,
        ];
        error.code().is_some_and(|code| codes.contains(code))
    }

    /// Whether the same items may succeed in smaller parts: one of them is at fault, or waits for a lock that somebody
    /// holds.
    pub(crate) fn may_concern_one_item(&self) -> bool {
        match self {
            Self::Postgres(error) => error.as_db_error().is_some() && !error.is_closed(),
            Self::Store(error) => error.kind() == StoreErrorKind::Corrupt,
            Self::Unanswered(_) => false,
        }
    }
}

/// The error of a write that the database takes no writes for.
#[derive(Debug, thiserror::Error)]
#[error(
    "the transaction is read-only; reset default_transaction_read_only of the database and the user, or connect to the primary"
)]
struct ReadOnly(#[source] tokio_postgres::Error);

/// The classes of SQLSTATE whose causes pass by themselves: connections, concurrent transactions, resources, operator
/// intervention, locks, a standby that is not writable yet.
const TRANSIENT: [&str; 7] = ["08", "25", "40", "53", "55", "57", "58"];

fn kind_of(error: &tokio_postgres::Error) -> StoreErrorKind {
    let is_transient = |code: &SqlState| TRANSIENT.iter().any(|class| code.code().starts_with(class));
    // A parameter of another type than the column's: the schema is not the one that this code knows.
    let is_mismatch = error.source().is_some_and(|source| source.is::<WrongType>());
    match error.code() {
        Some(code) if !is_transient(code) => StoreErrorKind::Corrupt,
        None if is_mismatch => StoreErrorKind::Corrupt,
        Some(_) | None => StoreErrorKind::Unavailable,
    }
}

/// Reads columns of a row.
pub(crate) trait ReadRow {
    /// Reads the column of this name. One that is not there, or has another type, is a corrupt row.
    fn read<'a, T: FromSql<'a>>(&'a self, column: &str) -> Result<T, QueryError>;
}

impl ReadRow for Row {
    fn read<'a, T: FromSql<'a>>(&'a self, column: &str) -> Result<T, QueryError> {
        self.try_get(column).map_err(QueryError::corrupt)
    }
}

impl From<QueryError> for StoreError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Postgres(error) if error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => {
                Self::new(kind_of(&error), ReadOnly(error))
            }
            QueryError::Postgres(error) => Self::new(kind_of(&error), error),
            QueryError::Store(error) => error,
            QueryError::Unanswered(within) => {
                let silent = format!("PostgreSQL has not answered for {} s", within.as_secs());
                Self::new(StoreErrorKind::Unavailable, silent)
            }
        }
    }
}

impl From<tokio_postgres::Error> for QueryError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<PoolError> for QueryError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                Self::Postgres(error)
            }
            PoolError::Timeout(TimeoutType::Wait) => Self::Store(StoreErrorKind::Overloaded.into()),
            other => Self::unavailable(other),
        }
    }
}

impl From<InvalidCursor> for QueryError {
    fn from(error: InvalidCursor) -> Self {
        Self::Store(error.into())
    }
}

impl From<StoreErrorKind> for QueryError {
    fn from(kind: StoreErrorKind) -> Self {
        Self::Store(kind.into())
    }
}

/// Implements `From` for errors of values that this crate has written and cannot read.
macro_rules! corrupt_from {
    ($($error:ty),+) => {
        $(impl From<$error> for QueryError {
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
    std::array::TryFromSliceError,
    std::num::TryFromIntError
);
