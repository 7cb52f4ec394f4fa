//! Counts of attempts, by the hour.

use super::state::{LaneKey, State};
use crate::model::{HookId, TenantId, Timestamp};
use crate::store::records::TendRequest;
use crate::store::statistics::{Counted, Hour, HourCount, Statistics};

impl State {
    pub(super) fn count(&mut self, item: &Counted) {
        let key = (item.tenant.clone(), item.hook);
        let Some(lane) = self.lanes.get_mut(&key).filter(|lane| !lane.deleted) else { return };
        let (attempts, successes) = lane.hours.entry(item.hour).or_default();
        *attempts += u64::from(item.attempts);
        *successes += u64::from(item.successes);
        lane.last_success_at = lane.last_success_at.max(item.last_success_at);
        self.counted.insert((item.hour, key));
    }

    pub(super) fn statistics(
        &self,
        tenant: &TenantId,
        hook_id: HookId,
        since: Timestamp,
    ) -> Option<Statistics> {
        let lane = self.lanes.get(&(tenant.clone(), hook_id)).filter(|lane| !lane.deleted)?;
        let hours = lane.hours.range(Hour::of(since)..);
        let hours = hours.map(|(hour, (attempts, successes))| HourCount {
            hour: *hour,
            attempts: *attempts,
            successes: *successes,
        });
        Some(Statistics { hours: hours.collect(), last_success_at: lane.last_success_at })
    }

    /// Removes hours that ended long ago, and returns how many.
    pub(super) fn remove_hours(&mut self, request: &TendRequest) -> usize {
        let first = Hour::first_kept(self.present.date, request.keep);
        let mut removed = 0;
        while removed < request.limit && self.counted.first().is_some_and(|(hour, _)| *hour < first) {
            let Some((hour, key)) = self.counted.pop_first() else { break };
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.hours.remove(&hour);
            }
            removed += 1;
        }
        removed
    }

    /// Removes what was counted of a lane that is forgotten.
    pub(super) fn forget_hours(&mut self, key: &LaneKey, hours: impl IntoIterator<Item = Hour>) {
        for hour in hours {
            self.counted.remove(&(hour, key.clone()));
        }
    }
}
