//! Erasing the payload of one event, with the answers to it and all that was to come of it.

use async_trait::async_trait;
use hookwire::model::{Attempt, MessageId, TenantId};
use hookwire::store::StoreErrorKind;
use tokio_postgres::Row;

use crate::connection::session::{Operation, Tx};
use crate::error::{QueryError, ReadRow};
use crate::rows::{LaneId, event_of, ids};
use crate::schedule::lanes::{self, EarliestDue};
use crate::upkeep;

/// Erases a payload. Returns whether the tenant has the event.
pub(crate) struct ErasePayload {
    pub(crate) tenant: TenantId,
    pub(crate) message: MessageId,
}

#[async_trait]
impl Operation for ErasePayload {
    type Output = bool;

    async fn run(&self, tx: &Tx<'_>) -> Result<bool, QueryError> {
        let wanted = [&self.tenant.as_str() as _, &self.message.as_str() as _];
        let Some(row) = tx.first(FIND, &wanted).await? else { return Ok(false) };
        let seq: i64 = row.read("seq")?;
        let lanes: Vec<LaneId> = ids(&tx.rows(LANES, &[&seq]).await?, "lane")?;
        let locked = lanes::lock_ids(tx, &lanes).await?;
        // The event is locked last, and may have changed meanwhile.
        let Some(row) = tx.first(LOCK, &[&seq]).await? else { return Ok(false) };
        if row.read("is_waiting")? {
            return Err(StoreErrorKind::Conflict.into());
        }
        let now = tx.now().await?;
        tx.run(END, &[&seq, &now]).await?;
        for row in tx.rows(ANSWERS, &[&seq]).await? {
            erase_answer(tx, &row).await?;
        }
        upkeep::strip(tx, &[seq]).await?;
        lanes::refresh(tx, &locked, now, EarliestDue::Nothing).await?;
        Ok(true)
    }
}

/// Takes the answer out of an attempt. One that cannot be read goes as a whole.
async fn erase_answer(tx: &Tx<'_>, row: &Row) -> Result<(), QueryError> {
    const FIRST: &str = "UPDATE delivery SET first_attempt = $3::text::json WHERE id = $1 AND $2 = 1";
    const LATER: &str = "UPDATE attempt SET doc = $3::text::json WHERE delivery = $1 AND number = $2";
    let (delivery, number): (i64, i32) = (row.read("delivery")?, row.read("number")?);
    let attempt = serde_json::from_str::<Attempt>(row.read("doc")?).map(Attempt::without_answer);
    let doc = match attempt {
        Ok(attempt) => serde_json::to_string(&attempt)?,
        Err(_) => "{}".to_owned(),
    };
    let set = if number == 1 { FIRST } else { LATER };
    tx.run(set, &[&delivery, &number, &doc]).await.map(drop)
}

const FIND: &str = concat!("SELECT seq FROM ", event_of!("$1", "$2"), " AS event WHERE event.message = $2");

const LOCK: &str = "SELECT routed_at IS NULL AS is_waiting FROM event WHERE seq = $1 FOR UPDATE";

const LANES: &str = "SELECT DISTINCT lane FROM delivery WHERE event = $1";

/// What was dropped and is not held has ended as cancelled.
const END: &str = "UPDATE delivery SET state = 6, holder = NULL, held_until = NULL, ended_at = $2 FROM lane \
    WHERE delivery.event = $1 AND delivery.state < 2 AND lane.id = delivery.lane \
        AND (lane.epoch = delivery.epoch OR held_until > $2)";

const ANSWERS: &str = "SELECT id AS delivery, 1 AS number, first_attempt::text AS doc FROM delivery \
        WHERE event = $1 AND first_attempt IS NOT NULL \
    UNION ALL SELECT delivery, number, doc::text FROM attempt \
        WHERE delivery IN (SELECT id FROM delivery WHERE event = $1)";
