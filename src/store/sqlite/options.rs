//! The settings of the SQLite store.

use std::sync::Arc;
use std::time::Duration;

use super::threads::worker::{self, Spawn};
use crate::clock::{Clock, SystemClock};

/// Which failures a write survives once its call has returned.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Durability {
    /// Everything, also when the machine loses power: each group of writes is synced to the disk before
    /// its callers are answered (`synchronous=FULL`). The default.
    #[default]
    PowerLoss,
    /// Everything when the process crashes or is killed; when the machine loses power, the writes since
    /// the log was last copied into the file may be lost, about 10 MB of them, or more while somebody
    /// reads for long. The file stays sound (`synchronous=NORMAL`).
    ProcessCrash,
}

impl Durability {
    pub(super) const fn synchronous(self) -> &'static str {
        match self {
            Self::PowerLoss => "FULL",
            Self::ProcessCrash => "NORMAL",
        }
    }
}

/// The settings with which a [`SqliteStore`](crate::store::SqliteStore) is opened.
///
/// ```
/// use std::time::Duration;
/// use hookwire::store::{Durability, SqliteStore};
///
/// let options = SqliteStore::options()
///     .durability(Durability::ProcessCrash)
///     .publish_timeout(Duration::from_secs(1));
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) durability: Durability,
    pub(super) publish_timeout: Duration,
    pub(super) wait_for_owner: Duration,
    pub(super) spawn: Spawn,
}

impl SqliteOptions {
    /// Sets what survives a returned call. Default [`Durability::PowerLoss`].
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// Sets how long a call waits for room in the writer's queue before it fails as
    /// [`Overloaded`](crate::store::StoreErrorKind::Overloaded). Default 5 s.
    #[must_use]
    pub fn publish_timeout(self, publish_timeout: Duration) -> Self {
        Self { publish_timeout, ..self }
    }

    /// Sets how long opening waits for another store that has the file, in this process or another. Default zero:
    /// opening fails as [`InUse`](crate::store::OpenError::InUse) at once.
    ///
    /// The other store gives the file up when it is dropped, after the last write in its queue, or when its process
    /// ends. Opening tries again every 10 ms. So a new process may start while the old one is still in
    /// `Dispatcher::shutdown_within`: wait somewhat longer than that may take.
    ///
    /// # Cancellation
    ///
    /// If the future of [`open`](Self::open) is dropped, the wait ends, and the file is left to others.
    #[must_use]
    pub fn wait_for_owner(self, wait_for_owner: Duration) -> Self {
        Self { wait_for_owner, ..self }
    }

    /// Sets the clock that the store goes by. Default [`SystemClock`].
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }
}

impl Default for SqliteOptions {
    fn default() -> Self {
        let publish_timeout = Duration::from_secs(5);
        Self {
            clock: Arc::new(SystemClock),
            durability: Durability::default(),
            publish_timeout,
            spawn: worker::spawn,
            wait_for_owner: Duration::ZERO,
        }
    }
}
