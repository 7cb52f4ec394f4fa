//! The writer: runs transactions on its connection, and applies their changes to the memory after the commit.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use rusqlite::Connection;

use super::changes::Changes;
use super::claim::{Taken, Taking};
use super::file::rows::Position;
use super::file::sql::{Cells, Sql, SqlError};
use super::log::Present;
use super::memory::Memory;
use super::publish::Written;
use super::suspects::Suspects;
use super::transaction::Transaction;
use crate::clock::Clock;
use crate::model::{TenantId, Timestamp};
use crate::store::claim::{Claim, ClaimRequest, Claimed};
use crate::store::lease::HolderId;
use crate::store::publication::Published;
use crate::store::time::{KeptTime, StoreTime};

/// How often the store's time is noted in the file, within a transaction that writes anyway.
const KEEP_TIME_EVERY: Duration = Duration::from_secs(60);

/// The only connection that writes, and what is kept in memory beside the file.
pub(super) struct WriterState {
    pub(super) connection: Connection,
    shared: Arc<Shared>,
    /// Whether work has come that a dispatcher should hear of.
    pub(super) has_new_work: bool,
    kept: Timestamp,
}

/// What the threads that read share with the writer.
pub(super) struct Shared {
    memory: RwLock<Memory>,
    clock: Arc<dyn Clock>,
    time: StoreTime,
}

impl Shared {
    pub(super) fn now(&self) -> KeptTime {
        self.time.kept(&*self.clock)
    }

    /// Returns what the file does not tell.
    pub(super) fn present(&self) -> Present {
        Present { held: self.memory().all_held(), now: self.now() }
    }

    /// Each change is whole before anything in it can panic, so a poisoned lock is as good.
    fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn memory_mut(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl WriterState {
    /// Counts one more opening of the file, before anything can be claimed, and reads what there is to know of it.
    pub(super) fn open(connection: Connection, clock: Arc<dyn Clock>) -> Result<Self, SqlError> {
        let kept = connection.one("SELECT store_time, wall_time FROM meta", [], kept_time)?.flatten();
        let time = StoreTime::start(kept, &*clock);
        let now = time.kept(&*clock);
        connection.run("BEGIN IMMEDIATE", [])?;
        connection.run("UPDATE meta SET boots = boots + 1", [])?;
        let suspects = Suspects::open(&connection, now.time)?;
        keep_time(&connection, now)?;
        connection.run("COMMIT", [])?;
        let boots = connection.one("SELECT boots FROM meta", [], |cells| cells.get::<i64>())?;
        let memory = Memory::read(&connection, boots.unwrap_or_default().unsigned_abs(), suspects, now.time)?;
        let shared = Arc::new(Shared { memory: RwLock::new(memory), clock, time });
        Ok(Self { connection, shared, has_new_work: false, kept: now.time })
    }

    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Runs `work` in a transaction, and applies its changes to the memory after the commit. An error rolls it back.
    pub(super) fn transact<T>(
        &mut self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        self.shared.memory_mut().forget_idle();
        self.connection.run("BEGIN IMMEDIATE", [])?;
        let (done, changes, now) = self.run(work);
        let done = done.and_then(|done| self.keep_time(now).map(|()| done));
        let done = done.and_then(|done| self.connection.run("COMMIT", []).map(|_| done));
        match done {
            Ok(done) => {
                self.take_over(changes, now);
                Ok(done)
            }
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    /// A planted fault: takes over what a transaction has changed before it is known whether it is committed.
    #[cfg(test)]
    pub(super) fn transact_ahead<T>(
        &mut self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        self.connection.run("BEGIN IMMEDIATE", [])?;
        let (done, changes, now) = self.run(work);
        self.take_over(changes, now);
        self.roll_back();
        done
    }

    fn run<T>(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, SqlError>,
    ) -> (Result<T, SqlError>, Changes, KeptTime) {
        let (memory, now) = (self.shared.memory(), self.shared.now());
        let mut transaction = Transaction::new(&self.connection, &memory, now);
        let done = work(&mut transaction);
        (done, transaction.changes, now)
    }

    fn take_over(&mut self, changes: Changes, now: KeptTime) {
        let has_new_work = changes.has_new_work;
        let mut memory = self.shared.memory_mut();
        memory.apply(changes, now.time);
        self.has_new_work |= has_new_work | memory.schedule.take_freed();
    }

    fn keep_time(&mut self, now: KeptTime) -> Result<(), SqlError> {
        if now.time.since(self.kept) < KEEP_TIME_EVERY || self.connection.is_autocommit() {
            return Ok(());
        }
        self.kept = now.time;
        keep_time(&self.connection, now)
    }

    fn roll_back(&self) {
        // An error like a full disk may have ended the transaction. What fails is reported by the next one, which
        // cannot begin.
        if !self.connection.is_autocommit() {
            let _ = self.connection.run("ROLLBACK", []);
        }
    }

    /// Claims due deliveries, of this tenant alone or of all. Expired and unroutable items that it finds are written in
    /// transactions of their own.
    pub(super) fn claim(
        &mut self,
        only: Option<&TenantId>,
        request: &ClaimRequest,
    ) -> Result<Claimed, SqlError> {
        let now = self.shared.now().time;
        let shared = Arc::clone(&self.shared);
        // Before anything is taken, which would be held for nobody if it failed.
        self.end_watch(now)?;
        // One look at the file: each statement by itself would take and give back its locks.
        self.connection.run("BEGIN", [])?;
        let taken = Taking::new(&self.connection, &mut shared.memory_mut(), request, now).claim(only);
        self.roll_back();
        let Taken { mut claimed, expired, unroutable } = taken?;
        claimed.expired = self.expire(expired, now);
        if !unroutable.is_empty() {
            // If that fails, the next claim finds them again.
            let write = |it: &mut Transaction<'_>| {
                unroutable.iter().try_for_each(|at| it.write_unroutable(at.event, &at.reason))
            };
            let _ = self.transact(write);
        }
        self.note(&claimed.deliveries, now)?;
        Ok(claimed)
    }

    /// Ends what a claim found expired, and returns how many were ended.
    fn expire(&mut self, positions: Vec<Position>, now: Timestamp) -> usize {
        if positions.is_empty() {
            return 0;
        }
        let end = |it: &mut Transaction<'_>| {
            positions.iter().try_fold(0, |ended, at| Ok(ended + usize::from(it.expire_one(*at)?)))
        };
        self.transact(end).unwrap_or_else(|_| {
            // They are found again.
            let mut memory = self.shared.memory_mut();
            positions.iter().for_each(|position| memory.wait(*position, now));
            0
        })
    }

    /// Removes the notes of claims, once they are watched no more.
    fn end_watch(&mut self, now: Timestamp) -> Result<(), SqlError> {
        if self.shared.memory().suspects.has_ended(now) {
            self.transact(|it| Suspects::end_watch(it.connection))?;
            self.shared.memory_mut().suspects.watch_ended();
        }
        Ok(())
    }

    /// Notes what was claimed in the file, if that is watched. What cannot be noted is not sent.
    fn note(&mut self, claims: &[Claim], now: Timestamp) -> Result<(), SqlError> {
        let ids: Vec<_> = claims.iter().map(|claim| claim.id.get()).collect();
        if !self.shared.memory().suspects.must_note(&ids, now) {
            return Ok(());
        }
        let noted = self.transact(|it| it.suspects().note(it.connection, &ids));
        let mut memory = self.shared.memory_mut();
        match noted {
            Ok(()) => memory.suspects.noted(&ids),
            Err(_) => memory.end_claims(&claims.iter().map(|claim| claim.id).collect::<Vec<_>>(), now),
        }
        noted
    }

    /// Notes that the file is closed in good order. If that fails, the next opening takes it for a kill.
    pub(super) fn close(&mut self) -> Result<(), SqlError> {
        self.transact(|it| Suspects::close(it.connection))
    }

    /// Lets what a publish wrote be claimed, at once if the publisher asked for it.
    pub(super) fn hand_out(&mut self, written: Written, hold: Option<&ClaimRequest>) -> Published {
        let now = self.shared.now().time;
        let mut memory = self.shared.memory.write().unwrap_or_else(PoisonError::into_inner);
        // While claims are noted, none is made here: it would have to be noted, too.
        let hold = hold.filter(|_| !memory.suspects.is_watching(now) && memory.suspects.alone.is_none());
        let held = match hold {
            Some(request) => {
                let mut taking = Taking::new(&self.connection, &mut memory, request, now);
                for fresh in &written.fresh {
                    // What cannot be held waits.
                    let _ = taking.hold(fresh);
                }
                taking.held()
            }
            None => {
                written.fresh.iter().for_each(|fresh| memory.wait(fresh.position, now));
                Vec::new()
            }
        };
        let published = Published { answers: written.answers, held };
        self.has_new_work |= published.leaves_work();
        published
    }

    pub(super) fn release(&mut self, holder: HolderId) -> Result<(), SqlError> {
        let now = self.shared.now().time;
        self.shared.memory_mut().release(holder, now);
        self.has_new_work = true;
        Ok(())
    }
}

fn kept_time(cells: &mut Cells<'_>) -> Result<Option<KeptTime>, SqlError> {
    let (time, date) = (cells.optional_time()?, cells.optional_time()?);
    Ok(time.zip(date).map(|(time, date)| KeptTime { time, date }))
}

fn keep_time(connection: &Connection, now: KeptTime) -> Result<(), SqlError> {
    let keep = "UPDATE meta SET store_time = ?, wall_time = ?";
    connection.run(keep, [now.time.as_millis(), now.date.as_millis()]).map(|_| ())
}
