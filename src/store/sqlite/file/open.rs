//! Opening the file: its lock, the checks before anything is written, and the settings of connections.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, TransactionBehavior, ffi};

use super::super::error::OpenError;
use super::super::options::SqliteOptions;
use super::schema::{self, APPLICATION_ID, VERSION};

/// Files up to this size are read through on open; faults of larger ones show when they are read.
const MAX_CHECKED: u64 = 64 * 1024 * 1024;

/// How many symbolic links are followed from one to the next: as many as Linux does.
const MAX_LINKS: usize = 40;

/// The right to a file, which ends with this value, also when the process is killed.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child process that is being spawned has the handle for a moment, too. If this fails,
        // the lock ends with the last handle.
        let _ = self.0.unlock();
    }
}

/// Takes the file for this store alone, by whichever name it goes.
pub(crate) fn lock(path: &Path) -> Result<Lock, OpenError> {
    let not_writable = |path: &Path, source| OpenError::NotWritable { path: path.to_path_buf(), source };
    let name = beside(path, ".lock").map_err(|source| not_writable(path, source))?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&name);
    let file = file.map_err(|source| not_writable(&name, source))?;
    file.try_lock().map_err(|error| lock_error(path, error))?;
    Ok(Lock(file))
}

/// Classifies the failure to lock an open file. Another store has the lock, or the file system cannot lock: ENOTSUP,
/// ENOLCK, EINVAL or ENOSYS.
fn lock_error(path: &Path, error: TryLockError) -> OpenError {
    let path = path.to_path_buf();
    match error {
        TryLockError::WouldBlock => OpenError::InUse { path },
        TryLockError::Error(source) => OpenError::NotLockable { path, source },
    }
}

/// The name of a file that stands beside the store's own.
fn beside(path: &Path, ending: &str) -> io::Result<PathBuf> {
    let mut name = real_name(path)?.into_os_string();
    name.push(ending);
    Ok(name.into())
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
pub(crate) fn open_writer(path: &Path, options: &SqliteOptions) -> Result<Connection, OpenError> {
    let open_error = |error| open_error(path, error);
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(open_error)?;
    make_ready(&mut connection, path, options).map_err(|error| blame(&connection, error))?;
    Ok(connection)
}

/// Checks the file, sets the connection up, and brings the file to the present version.
fn make_ready(connection: &mut Connection, path: &Path, options: &SqliteOptions) -> Result<(), OpenError> {
    let open_error = |error| open_error(path, error);
    let found = check(connection, path)?;
    set_up(connection, options).map_err(open_error)?;
    check_writable(connection, found).map_err(open_error)?;
    // One of a later version says itself that this code may use it.
    if found < VERSION {
        schema::migrate(connection, found, options.clock.now()).map_err(open_error)?;
    }
    Ok(())
}

/// Opens a connection that reads alone.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let open_error = |error| open_error(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(open_error)?;
    connection.pragma_update(None, "query_only", true).map_err(open_error)?;
    keep_plans(&connection, 64).map_err(open_error)?;
    Ok(connection)
}

/// Checks that the file is writable by an empty write. SQLite opens a read-only file without an error.
fn check_writable(connection: &mut Connection, version: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.pragma_update(None, "user_version", version)?;
    transaction.rollback()
}

/// Looks at the file without changing it, and gives its version.
fn check(connection: &Connection, path: &Path) -> Result<i64, OpenError> {
    let open_error = |error| open_error(path, error);
    let ask = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(open_error);
    let found = ask("PRAGMA user_version")?;
    let (tables, owner) = (ask("SELECT count(*) FROM sqlite_schema")?, ask("PRAGMA application_id")?);
    let path = path.to_path_buf();
    if tables > 0 && owner != APPLICATION_ID {
        return Err(OpenError::Foreign { path });
    }
    if found > VERSION && ask("SELECT reader FROM meta").unwrap_or(found) > VERSION {
        return Err(OpenError::Newer { path, found, known: VERSION });
    }
    let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    if size > MAX_CHECKED {
        return Ok(found);
    }
    let health = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match health.map_err(open_error)? {
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
    // Not more: SQLite goes through the whole cache at each commit that has split a page.
    connection.pragma_update(None, "cache_size", -4 * 1024)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    keep_plans(connection, 128)
}

/// Parses and plans each statement once. SQLite would otherwise plan many of them anew for each value that
/// is bound, in the hope of a better index: that took half of the writer's time, and our plans are fixed.
fn keep_plans(connection: &Connection, statements: usize) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(statements);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}

fn open_error(path: &Path, error: rusqlite::Error) -> OpenError {
    let path = path.to_path_buf();
    match error.sqlite_error_code() {
        _ if is_lock_failure(&error) => OpenError::NotLockable { path, source: io::Error::other(error) },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Corrupt { path, found: error.to_string() },
        Some(ErrorCode::NotADatabase) => OpenError::NotDatabase { path },
        Some(ErrorCode::DatabaseBusy) => OpenError::InUse { path },
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
            OpenError::NotWritable { path, source: io::Error::other(error) }
        }
        _ => OpenError::Other { path, source: Box::new(error) },
    }
}

/// SQLite has locks of its own, by another call of the operating system, on the file and on `-shm`.
fn is_lock_failure(error: &rusqlite::Error) -> bool {
    let codes = [
        ffi::SQLITE_IOERR_CHECKRESERVEDLOCK,
        ffi::SQLITE_IOERR_LOCK,
        ffi::SQLITE_IOERR_RDLOCK,
        ffi::SQLITE_IOERR_SHMLOCK,
        ffi::SQLITE_IOERR_UNLOCK,
        ffi::SQLITE_PROTOCOL,
    ];
    error.sqlite_error().is_some_and(|it| codes.contains(&it.extended_code))
}

/// Names the file that cannot be written, as SQLite does not: the store's own, or `-wal` or `-shm` beside it. Only
/// `-wal` may be opened to find out: SQLite has locks on the others, and closing them would end those.
fn blame(connection: &Connection, error: OpenError) -> OpenError {
    let OpenError::NotWritable { path, source } = error else { return error };
    if connection.is_readonly(MAIN_DB).unwrap_or(true) {
        return OpenError::NotWritable { path, source };
    }
    let present = |ending| beside(&path, ending).ok().filter(|it| it.exists());
    let log = present("-wal").filter(|it| OpenOptions::new().append(true).open(it).is_err());
    let path = log.or_else(|| present("-shm")).unwrap_or(path);
    OpenError::NotWritable { path, source }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::super::super::queue::WAITING_AFTER;
    use super::*;
    use crate::model::Timestamp;

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
    fn a_file_system_without_locks_is_told_from_a_file_that_cannot_be_written() {
        let name = Path::new("hooks.db");
        // ENOTSUP, ENOLCK, EINVAL and ENOSYS of Linux.
        for code in [95, 37, 22, 38] {
            let error = lock_error(name, TryLockError::Error(io::Error::from_raw_os_error(code)));
            assert!(matches!(error, OpenError::NotLockable { .. }), "{error:?}");
            assert!(error.to_string().contains("no working locks"), "{error}");
        }
        for code in [ffi::SQLITE_IOERR_LOCK, ffi::SQLITE_IOERR_SHMLOCK, ffi::SQLITE_PROTOCOL] {
            let error = open_error(name, rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
            assert!(matches!(error, OpenError::NotLockable { .. }), "{error:?}");
        }
        assert!(matches!(lock_error(name, TryLockError::WouldBlock), OpenError::InUse { .. }));
    }

    #[test]
    fn what_can_only_be_read_is_told_before_something_is_to_be_written() {
        let directory = std::env::temp_dir().join(format!("hookwire-{}-read-only", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let file = directory.join("hooks.db");
        let mut connection = Connection::open(&file).expect("a new file");
        set_up(&connection, &SqliteOptions::default()).expect("set up");
        schema::migrate(&mut connection, 0, Timestamp::default()).expect("schema");
        check_writable(&mut connection, VERSION).expect("it can be written");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let mut reader = Connection::open_with_flags(&file, flags).expect("it can be read");
        let error = open_error(&file, check_writable(&mut reader, VERSION).expect_err("but not written"));
        drop((connection, reader));
        std::fs::remove_dir_all(&directory).expect("removed");
        assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
    }

    #[test]
    fn a_statement_is_planned_once_whatever_is_bound() {
        let mut connection = Connection::open_in_memory().expect("memory");
        schema::migrate(&mut connection, 0, Timestamp::default()).expect("schema");
        keep_plans(&connection, 8).expect("settings");
        let mut statement = connection.prepare(WAITING_AFTER).expect("a statement");
        for value in 0..10 {
            assert!(!statement.exists([value; 6]).expect("executed"));
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
