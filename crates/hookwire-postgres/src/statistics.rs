//! Counts of attempts by the hour. Each counter has its own rows, so that none waits for another's lock.

use std::time::Duration;

use async_trait::async_trait;
use hookwire::model::{HookId, TenantId, Timestamp};
use hookwire::store::{Counted, HolderId, Hour, HourCount, Statistics, TendRequest};

use crate::connection::session::{MUCH_WITHIN, Operation, Sessions, Tx};
use crate::error::{QueryError, ReadRow};
use crate::rows::{LaneId, as_i64, holder_bytes, optional_time};
use crate::schedule::lanes;
use crate::time::Millis;

/// Adds to what was counted. What is counted of a webhook that is gone is dropped.
pub(crate) struct Count {
    pub(crate) holder: HolderId,
    pub(crate) counts: Vec<Counted>,
}

/// Removes hours that ended long ago, and returns how many rows.
pub(crate) struct RemoveHours(pub(crate) TendRequest);

#[async_trait]
impl Operation for Count {
    type Output = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), QueryError> {
        let tenants: Vec<_> = self.counts.iter().map(|item| item.tenant.as_str()).collect();
        let hooks: Vec<_> = self.counts.iter().map(|item| item.hook.get()).collect();
        let hours: Vec<_> = self.counts.iter().map(|item| item.hour.get()).collect();
        let attempts: Vec<_> = self.counts.iter().map(|item| i64::from(item.attempts)).collect();
        let successes: Vec<_> = self.counts.iter().map(|item| i64::from(item.successes)).collect();
        let last: Vec<_> = self.counts.iter().map(|item| item.last_success_at.map(Millis::from)).collect();
        let found = tx.rows(FIND, &[&tenants, &hooks]).await?;
        let lanes: Vec<LaneId> = found.iter().map(|row| row.read("id")).collect::<Result<_, _>>()?;
        // A lane that is forgotten meanwhile would leave its counts behind.
        let lanes = lanes::lock_ids(tx, &lanes).await?;
        let holder = holder_bytes(self.holder);
        tx.run(ADD, &[&tenants, &hooks, &hours, &attempts, &successes, &lanes, &holder]).await?;
        tx.run(SUCCEEDED, &[&tenants, &hooks, &last, &lanes]).await.map(drop)
    }
}

#[async_trait]
impl Operation for RemoveHours {
    type Output = usize;

    fn within(&self) -> Duration {
        MUCH_WITHIN
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<usize, QueryError> {
        let first = Hour::first_kept(tx.now().await?.timestamp(), self.0.keep);
        Ok(usize::try_from(tx.run(REMOVE_HOURS, &[&first.get(), &as_i64(self.0.limit)]).await?)?)
    }
}

pub(crate) async fn read(
    sessions: &Sessions,
    tenant: &TenantId,
    hook_id: HookId,
    since: Timestamp,
) -> Result<Option<Statistics>, QueryError> {
    let params = [&tenant.as_str() as _, &hook_id.get() as _, &Hour::of(since).get() as _];
    let rows = sessions.rows_of_many(STATISTICS, &params).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let mut statistics =
        Statistics { last_success_at: optional_time(first, "succeeded_at")?, ..Statistics::default() };
    for row in &rows {
        // A webhook without hours has one row.
        let Some(hour) = row.read::<Option<i64>>("hour")? else { break };
        let count = |name| row.read::<i64>(name).map(i64::unsigned_abs);
        let (attempts, successes) = (count("attempts")?, count("successes")?);
        statistics.hours.push(HourCount { hour: Hour::new(hour), attempts, successes });
    }
    Ok(Some(statistics))
}

/// Removes what was counted of lanes that are forgotten.
pub(crate) const FORGET_HOURS: &str = "DELETE FROM statistic WHERE lane = ANY ($1)";

const FIND: &str = "SELECT lane.id FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::bigint[]) AS asked (tenant, hook)) AS asked \
    CROSS JOIN LATERAL (SELECT id FROM lane WHERE lane.tenant = asked.tenant AND lane.hook = asked.hook \
        AND status < 2 OFFSET 0) AS lane";

/// The locked lanes of what was counted, each looked up by its key whatever the server believes of the table.
macro_rules! of_lanes {
    ($locked:literal) => {
        concat!(
            " CROSS JOIN LATERAL (SELECT id, ctid AS place FROM lane WHERE lane.tenant = counted.tenant \
            AND lane.hook = counted.hook AND status < 2 OFFSET 0) AS lane WHERE lane.id = ANY (",
            $locked,
            ") "
        )
    };
}

const ADD: &str = concat!(
    "INSERT INTO statistic AS it (lane, hour, holder, attempts, successes) \
    SELECT lane.id, hour, $7::bytea, sum(attempts)::bigint, sum(successes)::bigint \
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) \
        AS counted (tenant, hook, hour, attempts, successes)",
    of_lanes!("$6::bigint[]"),
    "GROUP BY lane.id, hour ORDER BY lane.id, hour \
    ON CONFLICT (lane, hour, holder) DO UPDATE SET attempts = it.attempts + excluded.attempts, \
        successes = it.successes + excluded.successes"
);

const SUCCEEDED: &str = concat!(
    "UPDATE lane SET succeeded_at = greatest(succeeded_at, last.at) FROM (SELECT lane.place, max(at) AS at \
        FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS counted (tenant, hook, at)",
    of_lanes!("$4::bigint[]"),
    "AND at IS NOT NULL GROUP BY lane.place) AS last WHERE lane.ctid = last.place"
);

pub(crate) const STATISTICS: &str = "SELECT succeeded_at, hour, attempts, successes FROM lane LEFT JOIN LATERAL (\
        SELECT hour, sum(attempts)::bigint AS attempts, sum(successes)::bigint AS successes FROM statistic \
        WHERE statistic.lane = lane.id AND hour >= $3 GROUP BY hour) AS hours ON true \
    WHERE lane.tenant = $1 AND lane.hook = $2 AND status < 2 ORDER BY hour";

const REMOVE_HOURS: &str = "DELETE FROM statistic WHERE ctid = ANY (ARRAY(\
    SELECT ctid FROM statistic WHERE hour + 0 < $1 ORDER BY hour + 0 LIMIT $2 FOR UPDATE SKIP LOCKED))";

/// Returns the statements of counting, for a test that reads their plans.
#[doc(hidden)]
pub fn statistics_statements() -> Vec<(&'static str, String)> {
    [
        ("find", FIND),
        ("add", ADD),
        ("succeeded", SUCCEEDED),
        ("statistics", STATISTICS),
        ("remove_hours", REMOVE_HOURS),
    ]
    .map(|(name, sql)| (name, sql.to_owned()))
    .to_vec()
}
