//! The error of opening the file.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

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
        /// The message of SQLite.
        found: String,
    },
    /// The file is a database of another program.
    #[error("{path:?} is a database of another program; choose another file")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Another store has the file open, in this process or another.
    /// [`wait_for_owner`](super::SqliteOptions::wait_for_owner) waits for it.
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
    /// A thread of the store could not be started.
    #[error(
        "{path:?} is not open: a thread could not be started; raise the limit of threads of this user or container"
    )]
    NoThread {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is no SQLite database at all.
    #[error("{path:?} is no SQLite database; choose another file")]
    NotDatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file system has no working locks, as some network file systems. Put the file on a local disk.
    #[error("{path:?} cannot be locked; its file system has no working locks, so put it on a local disk")]
    NotLockable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system or of SQLite.
        source: io::Error,
    },
    /// The file, one that stands beside it, or its directory cannot be written or is not there.
    #[error("{path:?} cannot be written; its directory must exist, and both must be writable")]
    NotWritable {
        /// The file that cannot be written: the store's own, or `-wal`, `-shm` or `.lock` beside it.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Something else failed: the source tells what.
    #[error("{path:?} cannot be opened")]
    Other {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
}
