//! Suspects: deliveries that may have killed the process, and are kept from killing it again and again.
//!
//! For ten minutes after an opening that follows a kill, claims are noted in the file. A delivery that is still noted
//! at the next kill was under way then. After three kills it runs alone, so that no other delivery is suspected in its
//! place. From the fifth kill on it is put off, each time for longer, and is noted whenever it is claimed. It is never
//! dropped, because the process may have been killed for another reason. Other claims write nothing.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rusqlite::{Connection, params};
use tracing::warn;

use super::file::rows::Position;
use super::file::sql::{Cells, Sql, SqlError};
use crate::model::Timestamp;
use crate::store::schedule::Turn;

/// How long claims are noted after an opening that follows a kill. With the two numbers below, our own choice: a
/// process that a delivery ends is mostly started again within seconds.
const WATCH: Duration = Duration::from_secs(10 * 60);
/// The kills after which a delivery runs alone.
const ALONE: i64 = 3;
/// The kills after which a delivery is put off.
const PUT_OFF: i64 = 5;
/// The delay after that many kills. Each further kill doubles it.
const FIRST_DELAY: Duration = Duration::from_secs(60 * 60);
/// The longest that it is put off.
const MAX_DELAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Which deliveries were claimed when the process was killed, and how often in a row.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    kills: HashMap<i64, i64>,
    /// What the file notes as claimed at present.
    noted: HashSet<i64>,
    /// What it notes although the claim has ended without a settlement.
    outdated: Vec<i64>,
    watch_until: Option<Timestamp>,
    /// The delivery that runs alone, or will once no other is under way.
    pub(super) alone: Option<(Position, Turn)>,
}

impl Suspects {
    /// Reads them at an opening, within its transaction, and notes that the file is open.
    pub(super) fn open(file: &Connection, now: Timestamp) -> Result<Self, SqlError> {
        let was_open = file.one("SELECT is_open FROM meta", [], |cells| cells.get::<bool>())?;
        let was_killed = was_open.unwrap_or_default();
        file.run("UPDATE meta SET is_open = 1", [])?;
        file.run(FORGET_ENDED, [])?;
        if !was_killed {
            Self::end_watch(file)?;
        }
        let read = |cells: &mut Cells<'_>| Ok((cells.get()?, cells.get()?));
        let kills: HashMap<i64, i64> =
            file.all("SELECT delivery, kills FROM suspect", [], read)?.into_iter().collect();
        if was_killed {
            kills.iter().try_for_each(|(delivery, kills)| put_off(file, *delivery, *kills, now))?;
        }
        let watch_until = was_killed.then(|| now.plus(WATCH));
        Ok(Self { kills, watch_until, ..Self::default() })
    }

    /// Notes that the file is closed in good order: nothing that was claimed has ended the process.
    pub(super) fn close(file: &Connection) -> Result<(), SqlError> {
        file.run("UPDATE meta SET is_open = 0", [])?;
        Self::end_watch(file)
    }

    /// Returns whether all claims are noted.
    pub(super) fn is_watching(&self, now: Timestamp) -> bool {
        self.watch_until.is_some_and(|until| now < until)
    }

    /// Returns whether a watch has ended of which the file still has notes.
    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        self.watch_until.is_some_and(|until| now >= until)
    }

    /// Returns whether claims of these have to be noted.
    pub(super) fn must_note(&self, claimed: &[i64], now: Timestamp) -> bool {
        let are_suspected = || claimed.iter().any(|id| self.kills.contains_key(id));
        !claimed.is_empty() && (self.is_watching(now) || are_suspected())
    }

    /// Returns whether no other delivery may be under way together with this one.
    pub(super) fn runs_alone(&self, delivery: i64) -> bool {
        self.kills.get(&delivery).is_some_and(|kills| *kills >= ALONE)
    }

    /// Notes claims in the file. Each has one more kill than before, which holds if the process is killed now.
    pub(super) fn note(&self, file: &Connection, claimed: &[i64]) -> Result<(), SqlError> {
        const NOTE: &str = "INSERT OR REPLACE INTO suspect (delivery, kills) VALUES (?, ?)";
        self.outdated.iter().try_for_each(|id| forget(file, *id))?;
        claimed.iter().try_for_each(|id| {
            let kills = self.kills.get(id).copied().unwrap_or_default();
            file.run(NOTE, params![id, kills + 1]).map(|_| ())
        })
    }

    /// Takes over what was written down, once that is committed.
    pub(super) fn noted(&mut self, claimed: &[i64]) {
        self.outdated.clear();
        self.noted.extend(claimed);
    }

    /// Takes the note of a settled delivery out of the file.
    pub(super) fn settle(&self, file: &Connection, delivery: i64) -> Result<(), SqlError> {
        if self.noted.contains(&delivery) { forget(file, delivery) } else { Ok(()) }
    }

    /// Takes over that a delivery was settled: it did not end the process.
    pub(super) fn settled(&mut self, delivery: i64) {
        self.noted.remove(&delivery);
        self.kills.remove(&delivery);
        self.leave(delivery);
    }

    /// Records that a claim has ended without a settlement, so that its note is outdated.
    pub(super) fn given_back(&mut self, delivery: i64) {
        self.outdated.extend(self.noted.take(&delivery));
        self.leave(delivery);
    }

    fn leave(&mut self, delivery: i64) {
        self.alone = self.alone.filter(|(position, _)| position.id != delivery);
    }

    /// Removes the notes of a watch that has ended, except of what was put off.
    pub(super) fn end_watch(file: &Connection) -> Result<(), SqlError> {
        file.run("DELETE FROM suspect WHERE kills < ?", [PUT_OFF]).map(|_| ())
    }

    /// Takes over that the watch has ended.
    pub(super) fn watch_ended(&mut self) {
        self.kills.retain(|_, kills| *kills >= PUT_OFF);
        self.noted.retain(|id| self.kills.contains_key(id));
        (self.outdated, self.watch_until) = (Vec::new(), None);
    }
}

/// Lets a delivery wait that is due and has seen so many kills.
fn put_off(file: &Connection, delivery: i64, kills: i64, now: Timestamp) -> Result<(), SqlError> {
    const LATER: &str = "UPDATE delivery SET due = ? WHERE id = ? AND state = 0 AND due <= ?";
    let Some(doublings) = u32::try_from(kills - PUT_OFF).ok() else { return Ok(()) };
    let factor = 2u32.checked_pow(doublings).unwrap_or(u32::MAX);
    let delay = FIRST_DELAY.saturating_mul(factor).min(MAX_DELAY);
    if file.run(LATER, params![now.plus(delay).as_millis(), delivery, now.as_millis()])? > 0 {
        warn!(
            target: "hookwire", delivery, kills, ?delay,
            "the process was killed at least five times in a row while a delivery was under way; it is put off"
        );
    }
    Ok(())
}

fn forget(file: &Connection, delivery: i64) -> Result<(), SqlError> {
    file.run("DELETE FROM suspect WHERE delivery = ?", [delivery]).map(|_| ())
}

/// Waiting ones alone can be claimed again.
const FORGET_ENDED: &str = "DELETE FROM suspect \
    WHERE NOT EXISTS (SELECT 1 FROM delivery WHERE id = suspect.delivery AND state = 0)";
