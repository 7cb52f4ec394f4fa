//! Deliveries that may have ended the process, so that none of them ends it for ever.
//!
//! After an opening that follows a kill, what is claimed is noted in the file for ten minutes. What is still noted when
//! the next kill comes was being sent then. A delivery to which that has happened three times runs alone, so that no
//! other is blamed for it; after five times it is set aside. Only while it is watched does a claim write anything.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rusqlite::{Connection, params};

use super::file::rows::Position;
use super::file::sql::{Cells, Sql, SqlError};
use crate::model::Timestamp;
use crate::store::schedule::Turn;

/// How long claims are noted after an opening that follows a kill. With the two numbers below, our own choice: a
/// process that a delivery ends is mostly started again within seconds.
const WATCH: Duration = Duration::from_secs(10 * 60);
/// The kills after which a delivery runs alone.
const ALONE: i64 = 3;
/// The kills after which a delivery is set aside.
const ASIDE: i64 = 5;

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

/// How a delivery may be claimed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Alone,
    Aside,
    Free,
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
        let kills = file.all("SELECT delivery, kills FROM suspect", [], read)?.into_iter().collect();
        let watch_until = was_killed.then(|| now.plus(WATCH));
        Ok(Self { kills, watch_until, ..Self::default() })
    }

    /// Notes that the file is closed in good order: nothing that was claimed has ended the process.
    pub(super) fn close(file: &Connection) -> Result<(), SqlError> {
        file.run("UPDATE meta SET is_open = 0", [])?;
        Self::end_watch(file)
    }

    /// Returns whether claims are noted.
    pub(super) fn is_watching(&self, now: Timestamp) -> bool {
        self.watch_until.is_some_and(|until| now < until)
    }

    /// Returns whether a watch has ended of which the file still has notes.
    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        self.watch_until.is_some_and(|until| now >= until)
    }

    pub(super) fn verdict(&self, delivery: i64) -> Verdict {
        match self.kills.get(&delivery) {
            Some(kills) if *kills >= ASIDE => Verdict::Aside,
            Some(kills) if *kills >= ALONE => Verdict::Alone,
            _ => Verdict::Free,
        }
    }

    /// Writes down what is claimed: one kill more, should it come now.
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

    /// Takes over that a claim has ended by itself: nobody knows what came of it.
    pub(super) fn given_back(&mut self, delivery: i64) {
        self.outdated.extend(self.noted.take(&delivery));
        self.leave(delivery);
    }

    fn leave(&mut self, delivery: i64) {
        self.alone = self.alone.filter(|(position, _)| position.id != delivery);
    }

    /// Removes the notes of a watch that has ended, except of what is set aside.
    pub(super) fn end_watch(file: &Connection) -> Result<(), SqlError> {
        file.run("DELETE FROM suspect WHERE kills < ?", [ASIDE]).map(|_| ())
    }

    /// Takes over that the watch has ended.
    pub(super) fn watch_ended(&mut self) {
        self.kills.retain(|_, kills| *kills >= ASIDE);
        *self = Self { kills: std::mem::take(&mut self.kills), ..Self::default() };
    }
}

fn forget(file: &Connection, delivery: i64) -> Result<(), SqlError> {
    file.run("DELETE FROM suspect WHERE delivery = ?", [delivery]).map(|_| ())
}

/// Waiting ones alone can be claimed again.
const FORGET_ENDED: &str = "DELETE FROM suspect \
    WHERE NOT EXISTS (SELECT 1 FROM delivery WHERE id = suspect.delivery AND state = 0)";
