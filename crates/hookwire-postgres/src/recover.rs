//! Recovering: what a webhook has missed is delivered again, step by step, and what it was skipped for is added.

use std::collections::HashMap;

use async_trait::async_trait;
use hookwire::model::{DeliveryId, HookId, TenantId};
use hookwire::store::{Addition, Recovered, Recovery, Redelivery};

use crate::connection::session::{Operation, Tx};
use crate::error::{QueryError, ReadRow};
use crate::insert::{NewDelivery, draw_ids, find_lanes, insert};
use crate::publish::Redeliver;
use crate::rows::{DELETED, Lane, LaneId, as_i64, event_of};
use crate::schedule::lanes::{self, EarliestDue};
use crate::time::Millis;

/// The most deliveries that one step looks at, unless its page is larger.
const LOOKED_AT: usize = 1_000;

/// Repeats some of the deliveries that a webhook has missed, newest first.
pub(crate) struct Recover {
    pub(crate) tenant: TenantId,
    pub(crate) recovery: Recovery,
}

/// The missed deliveries among those that a step looks at.
struct Missed {
    ids: Vec<i64>,
    /// The last delivery that is done with. `None` if there are no more.
    last: Option<i64>,
}

#[async_trait]
impl Operation for Recover {
    type Output = Recovered;

    async fn run(&self, tx: &Tx<'_>) -> Result<Recovered, QueryError> {
        let (tenant, it) = (&self.tenant, &self.recovery);
        let lane = find_lanes(tx, tenant, std::iter::once(it.hook)).await?;
        let Some(lane) = lane.get(&it.hook) else { return Ok(Recovered::default()) };
        // The lock serializes recoveries of a webhook, so the later one sees what the other has made.
        lanes::lock_ids(tx, &[*lane]).await?;
        let missed = self.missed(tx, *lane).await?;
        let again = |id: i64| Redelivery { origin: DeliveryId::new(id), expires: it.expires };
        let items = missed.ids.into_iter().map(again).collect();
        let made = Redeliver { tenant: tenant.clone(), items, behind: true }.run(tx).await?;
        Ok(Recovered { made: made.iter().flatten().count(), next: missed.last.map(|last| last.to_string()) })
    }
}

impl Recover {
    async fn missed(&self, tx: &Tx<'_>, lane: LaneId) -> Result<Missed, QueryError> {
        let (since, page) = (Millis::from(self.recovery.since), &self.recovery.page);
        let before = page.cursor_as()?.unwrap_or(i64::MAX);
        let (limit, size) = (page.limit(), LOOKED_AT.max(page.limit()));
        let params = (as_i64(limit + 1), as_i64(size));
        let rows = tx.rows(MISSED, &[&lane, &since, &before, &params.0, &params.1]).await?;
        // Where none was missed, there is one row without a delivery.
        let ids = rows.iter().map(|row| row.read::<Option<i64>>("id"));
        let mut ids: Vec<i64> = ids.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        let has_more = ids.len() > limit;
        ids.truncate(limit);
        let last = match rows.first() {
            _ if has_more => ids.last().copied(),
            Some(row) if row.read::<i64>("looked_at")? >= params.1 => row.read("lowest")?,
            _ => None,
        };
        Ok(Missed { ids, last })
    }
}

/// Makes deliveries of events to webhooks that have none of them.
pub(crate) struct Add {
    pub(crate) tenant: TenantId,
    pub(crate) items: Vec<Addition>,
}

#[async_trait]
impl Operation for Add {
    type Output = Vec<Option<DeliveryId>>;

    async fn run(&self, tx: &Tx<'_>) -> Result<Vec<Option<DeliveryId>>, QueryError> {
        let found = find_lanes(tx, &self.tenant, self.items.iter().map(|item| item.hook)).await?;
        // The lock serializes additions to a webhook, so the later one sees what the other has made.
        let mut locked = lanes::lock(tx, &found.values().copied().collect::<Vec<_>>()).await?;
        locked.retain(|lane| lane.status != DELETED);
        let lanes: HashMap<HookId, &Lane> = locked.iter().map(|lane| (lane.hook, lane)).collect();
        let (now, mut ids) = (tx.now().await?, draw_ids(tx, self.items.len()).await?.into_iter());
        let (mut answers, mut touched) = (Vec::new(), Vec::new());
        for item in &self.items {
            let row = match lanes.get(&item.hook).zip(ids.next()) {
                Some((lane, id)) => self.row(tx, item, lane, (id, now)).await?,
                None => None,
            };
            answers.push(row.as_ref().map(|row| DeliveryId::new(row.id)));
            touched.extend(row.iter().map(|row| row.lane));
            insert(tx, row.as_slice(), now).await?;
        }
        lanes::refresh(tx, &touched, now, EarliestDue::At(now)).await?;
        Ok(answers)
    }
}

impl Add {
    /// Returns the row of a delivery that is to be made.
    async fn row(
        &self,
        tx: &Tx<'_>,
        item: &Addition,
        lane: &Lane,
        (id, now): (i64, Millis),
    ) -> Result<Option<NewDelivery>, QueryError> {
        let (tenant, message) = (self.tenant.as_str(), item.message.as_str());
        let Some(event) = tx.first(ADDABLE, &[&tenant, &message, &lane.id]).await? else { return Ok(None) };
        Ok(Some(NewDelivery {
            id,
            lane: lane.id,
            epoch: lane.epoch,
            event: event.read("seq")?,
            origin: None,
            bytes: usize::try_from(event.read::<i32>("bytes")?)?,
            due: now,
            held: None,
            behind: true,
            expires: now.plus(item.expires),
        }))
    }
}

/// An event that was routed and has its payload, if the lane has no delivery of it. It stays until the transaction ends.
const ADDABLE: &str = concat!(
    "SELECT seq, octet_length(payload) AS bytes FROM event WHERE seq = (SELECT seq FROM ",
    event_of!("$1", "$2"),
    " AS event WHERE event.message = $2) AND routed_at IS NOT NULL AND payload <> '' \
    AND NOT EXISTS (SELECT FROM delivery WHERE delivery.event = event.seq AND delivery.lane = $3) FOR SHARE OF event"
);

/// The deliveries of an event that repeat one are few, and found by the event.
const MISSED: &str = "
    WITH looked AS MATERIALIZED (
        SELECT id, event, state, ended_at FROM delivery WHERE lane = $1 AND id < $3 ORDER BY id DESC LIMIT $5)
    SELECT looked_at, lowest, missed.id FROM (SELECT count(*) AS looked_at, min(id) AS lowest FROM looked) AS window_of
    LEFT JOIN (
        SELECT id FROM looked WHERE state IN (4, 5) AND ended_at >= $2 AND NOT EXISTS (
            SELECT FROM delivery AS later WHERE later.event = looked.event AND later.origin = looked.id)
        ORDER BY id DESC LIMIT $4
    ) AS missed ON true
    ORDER BY missed.id DESC";

/// Returns the statement that finds what was missed, for a test that counts what it reads.
#[doc(hidden)]
pub fn missed_statement() -> String {
    MISSED.to_owned()
}
