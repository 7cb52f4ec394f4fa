//! Rows that cannot be read: their deliveries are set aside, so that they stop no others.
//!
//! A delivery whose row or event cannot be read is set aside for good, in a state of its own. It is tried again by each
//! store that connects, because a later version may be able to read it, and ends when it expires. A webhook whose row
//! cannot be read rests, and is looked at again every hour. Both are told to the operator once.

use std::time::Duration;

use async_trait::async_trait;
use tracing::warn;

use crate::connection::session::{MUCH_WITHIN, Operation, Tx};
use crate::error::QueryError;
use crate::rows::{LaneId, as_i64, found, ids};
use crate::schedule::lanes::{self, EarliestDue};
use crate::time::Millis;

/// The time after which a webhook is looked at again whose row cannot be read.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);

/// What a claim could not read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unreadable {
    pub(crate) deliveries: Vec<i64>,
    pub(crate) lanes: Vec<LaneId>,
}

impl Unreadable {
    pub(crate) fn is_empty(&self) -> bool {
        self.deliveries.is_empty() && self.lanes.is_empty()
    }
}

/// Sets aside what cannot be read. Returns the lanes of which the operator has not been told.
pub(crate) struct SetAside(pub(crate) Unreadable);

#[async_trait]
impl Operation for SetAside {
    type Output = Vec<LaneId>;

    async fn run(&self, tx: &Tx<'_>) -> Result<Vec<LaneId>, QueryError> {
        let Unreadable { deliveries, lanes } = &self.0;
        let lanes = lanes::lock_ids(tx, lanes).await?;
        let now = tx.now().await?;
        let untold = ids(&tx.rows(UNTOLD, &[&lanes]).await?, "id")?;
        tx.run(REST, &[&lanes, &now, &now.plus(LOOK_EVERY)]).await?;
        lanes::refresh(tx, &lanes, now, EarliestDue::Nothing).await?;
        tx.run(SET_ASIDE, &[&deliveries, &now]).await?;
        Ok(untold)
    }
}

impl SetAside {
    /// Tells the operator, without the causes: they might quote what does not belong into logs.
    pub(crate) fn warn(&self, untold: &[LaneId]) {
        for lane in untold {
            warn!(lane, "the row of a lane cannot be read; nothing of it is delivered");
        }
        for delivery in &self.0.deliveries {
            warn!(delivery, "the row of a delivery or of its event cannot be read; it is set aside");
        }
    }
}

/// Lets deliveries wait again that were set aside before `before`, and lanes that rested. Returns the number of deliveries.
pub(crate) struct TryAgain {
    pub(crate) before: Millis,
    pub(crate) limit: usize,
}

#[async_trait]
impl Operation for TryAgain {
    type Output = usize;

    fn within(&self) -> Duration {
        MUCH_WITHIN
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<usize, QueryError> {
        let limit = as_i64(self.limit);
        let aside = tx.rows(ASIDE, &[&self.before, &limit]).await?;
        let deliveries = ids(&aside, "id")?;
        let mut wanted = ids(&aside, "lane")?;
        wanted.extend(ids(&tx.rows(RESTING, &[&self.before, &limit]).await?, "id")?);
        let locked = lanes::lock_ids(tx, &wanted).await?;
        let now = tx.now().await?;
        tx.run(AWAKE, &[&locked, &self.before]).await?;
        tx.run(AGAIN, &[&deliveries, &now]).await?;
        lanes::refresh(tx, &locked, now, EarliestDue::At(now)).await?;
        Ok(deliveries.len())
    }
}

const UNTOLD: &str = "SELECT id FROM lane WHERE id = ANY ($1) AND unreadable_at IS NULL";

const REST: &str = "UPDATE lane SET unreadable_at = coalesce(unreadable_at, $2), \
    paused_until = greatest(paused_until, $3) WHERE id = ANY ($1)";

/// `due` has the time at which it was set aside.
const SET_ASIDE: &str = concat!(
    "UPDATE delivery SET state = 1, holder = NULL, held_until = NULL, due = $2 FROM unnest($1::bigint[]) AS aside (id)",
    found!("aside"),
    "WHERE delivery.ctid = found.place AND state < 1"
);

const ASIDE: &str =
    "SELECT id, lane FROM delivery WHERE state = 1 AND due < $1 ORDER BY lane, expires LIMIT $2";

const RESTING: &str = "SELECT id FROM lane WHERE unreadable_at < $1 LIMIT $2";

const AWAKE: &str = "UPDATE lane SET unreadable_at = NULL, paused_until = NULL \
    WHERE id = ANY ($1) AND unreadable_at < $2";

const AGAIN: &str = "UPDATE delivery SET state = 0, due = $2 WHERE id = ANY ($1) AND state = 1";
