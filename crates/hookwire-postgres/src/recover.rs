//! Recovering: what a webhook has missed is delivered again, step by step.

use async_trait::async_trait;
use hookwire::model::{DeliveryId, TenantId};
use hookwire::store::{Recovered, Recovery, Redelivery};

use crate::connection::session::{Operation, Tx};
use crate::error::{QueryError, ReadRow};
use crate::insert::find_lanes;
use crate::publish::Redeliver;
use crate::rows::{LaneId, as_i64};
use crate::schedule::lanes;
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
        // Of two who recover the same webhook, the later sees what the other has made.
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
