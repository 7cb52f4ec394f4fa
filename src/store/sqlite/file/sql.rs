//! Running statements, and their errors.

use std::error::Error;
use std::path::PathBuf;

use rusqlite::types::FromSql;
use rusqlite::{Connection, ErrorCode, Params, Row};
use serde::Deserialize;
use thiserror::Error;

use crate::model::{InvalidCursor, InvalidMessageId, InvalidTenantId, Timestamp};
use crate::store::error::{StoreError, StoreErrorKind};

/// A [`StoreError`] into which `?` converts errors of SQLite and of stored documents. `From` impls on [`StoreError`]
/// itself would put those types into the public API.
#[derive(Debug)]
pub(crate) struct SqlError(StoreError);

impl SqlError {
    /// Creates the error of stored data that breaks the store's own rules.
    pub(crate) fn corrupt(what: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(StoreError::new(StoreErrorKind::Corrupt, what))
    }

    pub(crate) const fn kind(&self) -> StoreErrorKind {
        self.0.kind()
    }

    pub(crate) fn detail(&self) -> String {
        self.0.detail()
    }

    /// Creates an error after which another try may succeed.
    pub(crate) fn lost(what: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(StoreError::new(StoreErrorKind::Unavailable, what))
    }
}

impl From<StoreErrorKind> for SqlError {
    fn from(kind: StoreErrorKind) -> Self {
        Self(kind.into())
    }
}

impl From<SqlError> for StoreError {
    fn from(fault: SqlError) -> Self {
        fault.0
    }
}

/// An error of SQLite with the file, and advice.
#[derive(Debug, Error)]
#[error("{path:?} {advice}")]
struct FileError {
    path: PathBuf,
    advice: &'static str,
    source: rusqlite::Error,
}

impl SqlError {
    /// Creates the error of a failed statement, with the path of the file.
    pub(crate) fn of(connection: &Connection, source: rusqlite::Error) -> Self {
        let (kind, advice) = judge(&source);
        let path = connection.path().map(PathBuf::from).unwrap_or_default();
        Self(StoreError::new(kind, FileError { path, advice, source }))
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
impl From<rusqlite::Error> for SqlError {
    fn from(error: rusqlite::Error) -> Self {
        Self::corrupt(error)
    }
}

impl From<serde_json::Error> for SqlError {
    fn from(error: serde_json::Error) -> Self {
        Self::corrupt(error)
    }
}

impl From<InvalidCursor> for SqlError {
    fn from(error: InvalidCursor) -> Self {
        Self(error.into())
    }
}

impl From<InvalidTenantId> for SqlError {
    fn from(error: InvalidTenantId) -> Self {
        Self::corrupt(error)
    }
}

impl From<InvalidMessageId> for SqlError {
    fn from(error: InvalidMessageId) -> Self {
        Self::corrupt(error)
    }
}

/// The three things that are done with a statement, each of which is parsed once for a connection.
pub(crate) trait Sql {
    /// Executes it, and tells how many rows it changed.
    fn run(&self, sql: &str, params: impl Params) -> Result<usize, SqlError>;

    /// Reads its first row, if there is one.
    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&mut Cells<'_>) -> Result<T, SqlError>,
    ) -> Result<Option<T>, SqlError>;

    /// Reads all its rows.
    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&mut Cells<'_>) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError>;
}

/// A row, read cell by cell in the order of its statement's columns: a reader stands beside the list that it reads.
pub(crate) struct Cells<'a> {
    row: &'a Row<'a>,
    next: usize,
}

impl<'a> Cells<'a> {
    const fn of(row: &'a Row<'a>) -> Self {
        Self { row, next: 0 }
    }

    pub(crate) fn get<T: FromSql>(&mut self) -> Result<T, SqlError> {
        self.next += 1;
        Ok(self.row.get(self.next - 1)?)
    }

    /// Reads text in place.
    pub(crate) fn text(&mut self) -> Result<&'a str, SqlError> {
        self.optional_text()?.ok_or_else(|| SqlError::corrupt("a text is missing"))
    }

    pub(crate) fn optional_text(&mut self) -> Result<Option<&'a str>, SqlError> {
        self.next += 1;
        self.row.get_ref(self.next - 1)?.as_str_or_null().map_err(SqlError::corrupt)
    }

    pub(crate) fn json<T: Deserialize<'a>>(&mut self) -> Result<T, SqlError> {
        Ok(serde_json::from_str(self.text()?)?)
    }

    pub(crate) fn optional_json<T: Deserialize<'a>>(&mut self) -> Result<Option<T>, SqlError> {
        Ok(self.optional_text()?.map(serde_json::from_str).transpose()?)
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, SqlError> {
        Ok(Timestamp::from_millis(self.get()?))
    }

    pub(crate) fn optional_time(&mut self) -> Result<Option<Timestamp>, SqlError> {
        Ok(self.get::<Option<i64>>()?.map(Timestamp::from_millis))
    }

    /// Reads a count as it was written by [`as_i64`].
    pub(crate) fn count(&mut self) -> Result<usize, SqlError> {
        usize::try_from(self.get::<i64>()?).map_err(SqlError::corrupt)
    }
}

impl Sql for Connection {
    fn run(&self, sql: &str, params: impl Params) -> Result<usize, SqlError> {
        let execute = || self.prepare_cached(sql)?.execute(params);
        execute().map_err(|error| SqlError::of(self, error))
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&mut Cells<'_>) -> Result<T, SqlError>,
    ) -> Result<Option<T>, SqlError> {
        let told = |error| SqlError::of(self, error);
        let mut statement = self.prepare_cached(sql).map_err(told)?;
        let mut rows = statement.query(params).map_err(told)?;
        rows.next().map_err(told)?.map(|row| read(&mut Cells::of(row))).transpose()
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&mut Cells<'_>) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        let told = |error| SqlError::of(self, error);
        let mut statement = self.prepare_cached(sql).map_err(told)?;
        let mut rows = statement.query(params).map_err(told)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(told)? {
            all.push(read(&mut Cells::of(row))?);
        }
        Ok(all)
    }
}

/// Reads a row of one number: what most queries ask for.
pub(crate) fn number(cells: &mut Cells<'_>) -> Result<i64, SqlError> {
    cells.get()
}

/// A count as SQLite keeps it; one that does not fit is nothing that a store could count.
pub(crate) fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A file in memory with the schema.
#[cfg(test)]
pub(crate) fn new_file() -> Connection {
    let mut connection = Connection::open_in_memory().expect("memory");
    super::schema::migrate(&mut connection, 0, Timestamp::default()).expect("schema");
    connection
}

/// How SQLite runs a statement, a line for each table.
#[cfg(test)]
pub(crate) fn query_plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("statement");
    let parameters = vec![rusqlite::types::Null; statement.parameter_count()];
    let rows = statement.query_map(rusqlite::params_from_iter(parameters), |row| row.get(3));
    rows.expect("plan").map(|line| line.expect("line")).collect()
}
