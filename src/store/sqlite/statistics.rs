//! Counts of attempts, by the hour.

use rusqlite::{Connection, params};

use super::file::rows::LaneId;
use super::file::sql::{Sql, SqlError, as_i64, number};
use super::transaction::Transaction;
use crate::model::{HookId, TenantId, Timestamp};
use crate::store::records::TendRequest;
use crate::store::statistics::{Counted, Hour, HourCount, Statistics};

const LANE: &str = "SELECT lane.id FROM tenant JOIN lane ON lane.tenant = tenant.id \
    WHERE tenant.name = ? AND hook = ? AND status < 2";

const ADD: &str = "INSERT INTO statistic (lane, hour, attempts, successes) VALUES (?, ?, ?, ?) \
    ON CONFLICT (lane, hour) DO UPDATE SET attempts = attempts + excluded.attempts, \
        successes = successes + excluded.successes";

const SUCCEEDED: &str =
    "UPDATE lane SET succeeded_at = ?1 WHERE id = ?2 AND coalesce(succeeded_at < ?1, TRUE)";

const HOURS: &str =
    "SELECT hour, attempts, successes FROM statistic WHERE lane = ? AND hour >= ? ORDER BY hour";

const REMOVE: &str = "DELETE FROM statistic WHERE (lane, hour) IN (
    SELECT lane, hour FROM statistic INDEXED BY statistic_hour WHERE hour < ? ORDER BY hour LIMIT ?)";

pub(super) fn read(
    connection: &Connection,
    tenant: &TenantId,
    hook_id: HookId,
    since: Timestamp,
) -> Result<Option<Statistics>, SqlError> {
    let lane = connection.one(LANE, params![tenant.as_str(), hook_id.get()], number)?;
    let Some(lane) = lane else { return Ok(None) };
    let hours = connection.all(HOURS, [lane, Hour::of(since).get()], |cells| {
        let hour = Hour::new(cells.get()?);
        let (attempts, successes): (i64, i64) = (cells.get()?, cells.get()?);
        Ok(HourCount { hour, attempts: attempts.unsigned_abs(), successes: successes.unsigned_abs() })
    })?;
    let last = "SELECT succeeded_at FROM lane WHERE id = ?";
    let last_success_at = connection.one(last, [lane], |cells| cells.optional_time())?.flatten();
    Ok(Some(Statistics { hours, last_success_at }))
}

impl Transaction<'_> {
    /// Adds to what was counted. What is counted of a webhook that is gone is dropped.
    pub(super) fn count(&self, counts: &[Counted]) -> Result<(), SqlError> {
        for item in counts {
            let key = params![item.tenant.as_str(), item.hook.get()];
            let Some(lane) = self.connection.one(LANE, key, number)? else { continue };
            let counted = params![lane, item.hour.get(), item.attempts, item.successes];
            self.connection.run(ADD, counted)?;
            if let Some(at) = item.last_success_at {
                self.connection.run(SUCCEEDED, [at.as_millis(), lane])?;
            }
        }
        Ok(())
    }

    /// Removes hours that ended long ago, and returns how many.
    pub(super) fn remove_hours(&self, request: &TendRequest) -> Result<usize, SqlError> {
        let first = Hour::first_kept(self.now.date, request.keep);
        self.connection.run(REMOVE, [first.get(), as_i64(request.limit)])
    }

    /// Removes what was counted of a lane that is forgotten.
    pub(super) fn forget_hours(&self, lane: LaneId) -> Result<(), SqlError> {
        self.connection.run("DELETE FROM statistic WHERE lane = ?", [lane]).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::sql::{new_file, query_plan};
    use super::*;

    #[test]
    fn statistics_scan_no_table_whatever_they_hold() {
        let connection = new_file();
        for sql in [LANE, ADD, SUCCEEDED, HOURS, REMOVE] {
            let plan = query_plan(&connection, sql).join("; ");
            let scans = ["SCAN statistic", "SCAN lane", "SCAN tenant", "TEMP B-TREE"];
            assert!(!scans.iter().any(|scan| plan.contains(scan)), "{sql}: {plan}");
        }
        assert!(query_plan(&connection, REMOVE).join("; ").contains("statistic_hour"));
    }
}
