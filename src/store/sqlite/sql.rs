use std::error::Error;
use std::path::PathBuf;

use rusqlite::{Connection, ErrorCode, Params, Row};
use thiserror::Error;

use super::super::{StoreError, StoreErrorKind};
use crate::model::{InvalidCursor, InvalidMessageId, InvalidTenantId, Timestamp};

/// A [`StoreError`] into which `?` turns what SQLite and stored documents raise. Without it those types
/// would show in the public API.
#[derive(Debug)]
pub(super) struct Fault(StoreError);

impl Fault {
    /// What was read breaks the store's own rules.
    pub(super) fn corrupt(what: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(StoreError::new(StoreErrorKind::Corrupt, what))
    }

    /// Something that another try may mend.
    pub(super) fn lost(what: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(StoreError::new(StoreErrorKind::Unavailable, what))
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        fault.0
    }
}

/// What SQLite says of the file, and what to do.
#[derive(Debug, Error)]
#[error("{path:?} {advice}")]
struct FileFault {
    path: PathBuf,
    advice: &'static str,
    source: rusqlite::Error,
}

impl Fault {
    /// What went wrong with the file that is open here.
    pub(super) fn of(connection: &Connection, source: rusqlite::Error) -> Self {
        let (kind, advice) = judge(&source);
        let path = connection.path().map(PathBuf::from).unwrap_or_default();
        Self(StoreError::new(kind, FileFault { path, advice, source }))
    }
}

fn judge(error: &rusqlite::Error) -> (StoreErrorKind, &'static str) {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (StoreErrorKind::Unavailable, "is locked by another program; let that end its transaction")
        }
        Some(ErrorCode::DiskFull) => {
            (StoreErrorKind::Full, "cannot grow; make room on its disk, and the store goes on by itself")
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            (StoreErrorKind::Corrupt, "is damaged; restore it from a backup")
        }
        Some(ErrorCode::ConstraintViolation) | None => {
            (StoreErrorKind::Corrupt, "holds what contradicts itself; restore it from a backup")
        }
        Some(_) => (StoreErrorKind::Unavailable, "cannot be read or written now; look at its disk"),
    }
}

/// A column does not hold what it should.
impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::corrupt(error)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::corrupt(error)
    }
}

impl From<InvalidCursor> for Fault {
    fn from(error: InvalidCursor) -> Self {
        Self(error.into())
    }
}

impl From<InvalidTenantId> for Fault {
    fn from(error: InvalidTenantId) -> Self {
        Self::corrupt(error)
    }
}

impl From<InvalidMessageId> for Fault {
    fn from(error: InvalidMessageId) -> Self {
        Self::corrupt(error)
    }
}

/// The three things that are done with a statement, each of which is parsed once for a connection.
pub(super) trait Sql {
    /// Executes it, and tells how many rows it changed.
    fn run(&self, sql: &str, params: impl Params) -> Result<usize, Fault>;

    /// Reads its first row, if there is one.
    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault>;

    /// Reads all its rows.
    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault>;
}

impl Sql for Connection {
    fn run(&self, sql: &str, params: impl Params) -> Result<usize, Fault> {
        let execute = || self.prepare_cached(sql)?.execute(params);
        execute().map_err(|error| Fault::of(self, error))
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        let told = |error| Fault::of(self, error);
        let mut statement = self.prepare_cached(sql).map_err(told)?;
        let mut rows = statement.query(params).map_err(told)?;
        rows.next().map_err(told)?.map(read).transpose()
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let told = |error| Fault::of(self, error);
        let mut statement = self.prepare_cached(sql).map_err(told)?;
        let mut rows = statement.query(params).map_err(told)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(told)? {
            all.push(read(row)?);
        }
        Ok(all)
    }
}

/// Reads the first column of a row: what most questions ask for.
pub(super) fn number(row: &Row<'_>) -> Result<i64, Fault> {
    Ok(row.get(0)?)
}

pub(super) fn time(row: &Row<'_>, column: &str) -> Result<Timestamp, Fault> {
    Ok(Timestamp::from_millis(row.get(column)?))
}

pub(super) fn optional_time(row: &Row<'_>, column: &str) -> Result<Option<Timestamp>, Fault> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

/// A count as SQLite keeps it; one that does not fit is nothing that a store could count.
pub(super) fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count as it was written by [`whole`].
pub(super) fn count(row: &Row<'_>, column: &str) -> Result<usize, Fault> {
    usize::try_from(row.get::<_, i64>(column)?).map_err(Fault::corrupt)
}
