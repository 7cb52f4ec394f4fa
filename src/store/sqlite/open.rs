use std::error::Error;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use thiserror::Error;

use super::options::SqliteOptions;
use super::schema::{self, APPLICATION_ID, VERSION};

/// Files up to this size are read through on open; faults of larger ones show when they are read.
const MAX_CHECKED: u64 = 64 * 1024 * 1024;

/// How many symbolic links are followed from one to the next: as many as Linux does.
const MAX_LINKS: usize = 40;

/// The file cannot be opened as a store. Nothing in it was changed.
///
/// `Display` names the file and says what to do; the cause, if there is one, is the source.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file is damaged or cut short. Restore it from a backup, or move it away to start anew.
    #[error("{path:?} is damaged ({found}); restore it from a backup, or move it away to start anew")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        found: String,
    },
    /// The file is a database of another program.
    #[error("{path:?} is a database of another program; choose another file")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Another store has the file open, in this process or another.
    #[error("{path:?} is in use by another store; close it first, or share one store behind an `Arc`")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a later version of hookwire.
    #[error("{path:?} has schema version {found}, and this hookwire knows {known} at most; update hookwire")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of the file.
        found: i64,
        /// The latest version that this code knows.
        known: i64,
    },
    /// The file is no SQLite database at all.
    #[error("{path:?} is no SQLite database; choose another file")]
    NotDatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file or its directory cannot be written, or is not there.
    #[error("{path:?} cannot be written; its directory must exist, and both must be writable")]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something else failed: the source tells what.
    #[error("{path:?} cannot be opened")]
    Other {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// The right to a file, which ends with this value, also when the process is killed.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would not do: a program that is being started meanwhile has the handle for a moment, too.
        // What fails here ends with the last handle.
        let _ = self.0.unlock();
    }
}

/// Takes the file for this store alone, by whichever name it goes.
pub(super) fn lock(path: &Path) -> Result<Lock, OpenError> {
    let not_writable = |source| OpenError::NotWritable { path: path.to_path_buf(), source };
    let mut name = real_name(path).map_err(not_writable)?.into_os_string();
    name.push(".lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&name);
    let file = file.map_err(not_writable)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(not_writable(source)),
    }
}

/// The name that every path to the file leads to, also while the file is yet to be made. SQLite finds its log by
/// this name as well.
fn real_name(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match std::fs::canonicalize(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let directory =
            path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let Ok(target) = std::fs::read_link(&path) else {
            return Ok(std::fs::canonicalize(directory)?.join(path.file_name().unwrap_or_default()));
        };
        path = directory.join(target);
    }
    Err(io::Error::other("its symbolic links lead to too many others"))
}

/// Opens the connection that writes, on a file that is sound and of the present version. By SQLite alone: the file
/// may be another database that this process has open, and to close any other handle on it would end the locks that
/// its connections hold (POSIX drops those of the whole process).
pub(super) fn open_writer(path: &Path, options: &SqliteOptions) -> Result<Connection, OpenError> {
    let tell = |error| tell(path, error);
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(tell)?;
    let found = check(&connection, path)?;
    set_up(&connection, options).map_err(tell)?;
    check_writable(&mut connection, found).map_err(tell)?;
    if found < VERSION {
        schema::migrate(&mut connection, found).map_err(tell)?;
    }
    Ok(connection)
}

/// Opens a connection that reads alone.
pub(super) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let tell = |error| tell(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(tell)?;
    connection.pragma_update(None, "query_only", true).map_err(tell)?;
    keep_plans(&connection, 64).map_err(tell)?;
    Ok(connection)
}

/// SQLite opens what it cannot write for reading, and tells so when something is written: nothing, here.
fn check_writable(connection: &mut Connection, version: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.pragma_update(None, "user_version", version)?;
    transaction.rollback()
}

/// Looks at the file without changing it, and gives its version.
fn check(connection: &Connection, path: &Path) -> Result<i64, OpenError> {
    let tell = |error| tell(path, error);
    let ask = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(tell);
    let found = ask("PRAGMA user_version")?;
    let (tables, owner) = (ask("SELECT count(*) FROM sqlite_schema")?, ask("PRAGMA application_id")?);
    let path = path.to_path_buf();
    if tables > 0 && owner != APPLICATION_ID {
        return Err(OpenError::Foreign { path });
    }
    if found > VERSION {
        return Err(OpenError::Newer { path, found, known: VERSION });
    }
    let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    if size > MAX_CHECKED {
        return Ok(found);
    }
    let health = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match health.map_err(tell)? {
        health if health == "ok" => Ok(found),
        health => Err(OpenError::Corrupt { path, found: health }),
    }
}

fn set_up(connection: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    // Somebody who looks at the file with a tool may hold its lock.
    connection.busy_timeout(options.publish_timeout)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", options.durability.synchronous())?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    connection.pragma_update(None, "cache_size", -16 * 1024)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    keep_plans(connection, 128)
}

/// Parses and plans each statement once. SQLite would otherwise plan many of them anew for each value that
/// is bound, in the hope of a better index: that took half of the writer's time, and our plans are fixed.
fn keep_plans(connection: &Connection, statements: usize) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(statements);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}

fn tell(path: &Path, error: rusqlite::Error) -> OpenError {
    let path = path.to_path_buf();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Corrupt { path, found: error.to_string() },
        Some(ErrorCode::NotADatabase) => OpenError::NotDatabase { path },
        Some(ErrorCode::DatabaseBusy) => OpenError::InUse { path },
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
            OpenError::NotWritable { path, source: io::Error::other(error) }
        }
        _ => OpenError::Other { path, source: Box::new(error) },
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::super::claim::HELD_UNDER;
    use super::*;

    #[test]
    fn a_file_is_free_although_somebody_else_still_has_the_handle() {
        let name = std::env::temp_dir().join(format!("hookwire-{}-locked", std::process::id()));
        let first = lock(&name).expect("a new file");
        let inherited = first.0.try_clone().expect("a handle");
        drop(first);
        drop(lock(&name).expect("it is free"));
        drop(inherited);
        std::fs::remove_file(name.with_extension("lock")).expect("removed");
    }

    #[test]
    fn what_can_only_be_read_is_told_before_something_is_to_be_written() {
        let directory = std::env::temp_dir().join(format!("hookwire-{}-read-only", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let file = directory.join("hooks.db");
        let mut connection = Connection::open(&file).expect("a new file");
        set_up(&connection, &SqliteOptions::default()).expect("set up");
        schema::migrate(&mut connection, 0).expect("schema");
        check_writable(&mut connection, VERSION).expect("it can be written");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let mut reader = Connection::open_with_flags(&file, flags).expect("it can be read");
        let error = tell(&file, check_writable(&mut reader, VERSION).expect_err("but not written"));
        drop((connection, reader));
        std::fs::remove_dir_all(&directory).expect("removed");
        assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
    }

    #[test]
    fn a_statement_is_planned_once_whatever_is_bound() {
        let mut connection = Connection::open_in_memory().expect("memory");
        schema::migrate(&mut connection, 0).expect("schema");
        keep_plans(&connection, 8).expect("settings");
        let mut statement = connection.prepare(HELD_UNDER).expect("a statement");
        for value in 0..10 {
            assert!(!statement.exists([value, value]).expect("executed"));
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
