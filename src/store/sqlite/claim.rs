//! Claiming: takes what is due, lane by lane, and ends leases, which makes their deliveries due again.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Row, params};

use super::file::rows::{
    Lane, LaneId, OpenDelivery, class_number, class_of, event, fence_of, holder_bytes, holder_of,
};
use super::file::sql::{Sql, SqlError, count, optional_time, time};
use super::state::WriterState;
use crate::delivery::LaneClass;
use crate::model::{DeliveryId, End, StampedEvent, Timestamp};
use crate::store::claim::{Claim, ClaimRequest, Claimed};
use crate::store::lease::HolderId;

/// The most expired deliveries that one claim ends on its way; `tend` ends the others.
const MAX_EXPIRED: usize = 256;

/// A claim under way, with what it has taken so far.
struct Taking<'a> {
    request: &'a ClaimRequest,
    now: Timestamp,
    claims: Vec<Claim>,
    bytes: usize,
    expired: usize,
}

/// The first delivery that is due in a lane.
struct Head {
    open: OpenDelivery,
    event: Arc<StampedEvent>,
    bytes: usize,
    fence: i64,
    expires: Timestamp,
    /// When the next after it is due.
    next_due: Option<Timestamp>,
}

/// A delivery under a claim, with what has to be known to give it back.
pub(super) struct ClaimedRow {
    pub(super) open: OpenDelivery,
    pub(super) lane: Lane,
    is_dropped: bool,
    holder: HolderId,
    class: LaneClass,
}

impl WriterState {
    pub(super) fn claim(&mut self, request: &ClaimRequest) -> Result<Claimed, SqlError> {
        let now = self.now();
        self.schedule.add_holder(request.holder, request.quota);
        self.end_leases(now, now)?;
        self.schedule.fire_timers(now);
        let mut taking = Taking { request, now, claims: Vec::new(), bytes: 0, expired: 0 };
        let mut is_full = false;
        while let Some(lane) = self.schedule.first(request.holder) {
            is_full = !self.take_first(lane, &mut taking)?;
            if is_full {
                break;
            }
        }
        let unrouted = self.claim_unrouted(request, now)?;
        let next_in = if is_full { Some(Duration::ZERO) } else { self.next_in(now)? };
        Ok(Claimed { deliveries: taking.claims, unrouted, next_in, ..Claimed::default() })
    }

    /// Takes the first delivery of a lane; false when that would be more than was asked for.
    fn take_first(&mut self, id: LaneId, taking: &mut Taking<'_>) -> Result<bool, SqlError> {
        let now = taking.now;
        let Some(lane) = self.lane(id)? else { return self.refresh(id, now).map(|()| true) };
        let Some(head) = self.head(&lane, now)? else {
            return self.refresh_lane(&lane, now).map(|()| true);
        };
        if taking.is_full(&head) {
            return Ok(false);
        }
        let next = head.next_due.map(|due| lane.gives(due));
        if head.expires <= now {
            self.end(&head.open, End::Expired, now)?;
            taking.expired += 1;
        } else {
            self.take(&lane, head, taking)?;
        }
        self.schedule.set(lane.id, next, now);
        Ok(true)
    }

    fn head(&self, lane: &Lane, now: Timestamp) -> Result<Option<Head>, SqlError> {
        self.connection.one(HEAD, [lane.id, lane.epoch, now.as_millis()], Head::read)
    }

    fn take(&mut self, lane: &Lane, head: Head, taking: &mut Taking<'_>) -> Result<(), SqlError> {
        let (request, class) = (taking.request, lane.health.class());
        let until = taking.now.plus(request.lease).as_millis();
        let holder = holder_bytes(request.holder);
        self.connection.run(TAKE, params![holder, class_number(class), until, head.open.id])?;
        self.schedule.take(request.holder, &lane.name, lane.hook, class);
        self.schedule.end_turn(request.holder, lane.id);
        taking.bytes += head.bytes;
        taking.claims.push(Claim {
            id: DeliveryId::new(head.open.id),
            fence: fence_of(head.fence + 1),
            tenant: lane.name.clone(),
            hook: self.hook(lane.id)?,
            event: head.event,
            attempts: head.open.attempts,
            retry: head.open.retry,
            health: lane.health,
        });
        Ok(())
    }

    /// Makes due again what was claimed under leases that end by `until`.
    pub(super) fn end_leases(&mut self, until: Timestamp, now: Timestamp) -> Result<(), SqlError> {
        for held in self.connection.all(ENDED_LEASES, [until.as_millis()], ClaimedRow::read)? {
            self.requeue(&held, now, now)?;
        }
        Ok(())
    }

    /// Gives up a claim, whoever has it, and lets the delivery wait until `due`. One of a backlog that
    /// was dropped is cancelled instead.
    pub(super) fn requeue(
        &mut self,
        held: &ClaimedRow,
        due: Timestamp,
        now: Timestamp,
    ) -> Result<(), SqlError> {
        if held.is_dropped {
            self.end(&held.open, End::Cancelled, now)?;
        } else {
            let (open, retry) = (&held.open, held.open.retry_doc()?);
            self.connection.run(REQUEUE, params![due.as_millis(), open.attempts, retry, open.id])?;
        }
        self.give_back(held);
        self.refresh_lane(&held.lane, now)
    }

    pub(super) fn give_back(&mut self, held: &ClaimedRow) {
        self.schedule.give_back(held.holder, &held.lane.name, held.lane.hook, held.class);
    }

    /// The next time at which a lane is ready or a lease ends by itself.
    fn next_in(&self, now: Timestamp) -> Result<Option<Duration>, SqlError> {
        let lease = self.connection.one(NEXT_LEASE, [], |row| optional_time(row, "until"))?.flatten();
        let next =
            [self.schedule.next_timer(), lease, self.routing_leases.next_end()].into_iter().flatten().min();
        Ok(next.map(|at| at.since(now)))
    }
}

impl Taking<'_> {
    fn is_full(&self, head: &Head) -> bool {
        let is_large = !self.claims.is_empty() && self.bytes + head.bytes > self.request.max_bytes;
        is_large || self.claims.len() >= self.request.limit || self.expired >= MAX_EXPIRED
    }
}

impl Head {
    fn read(row: &Row<'_>) -> Result<Self, SqlError> {
        Ok(Self {
            open: OpenDelivery::read(row)?,
            event: event(row)?,
            bytes: count(row, "bytes")?,
            fence: row.get("fence")?,
            expires: time(row, "expires")?,
            next_due: optional_time(row, "next_due")?,
        })
    }
}

impl ClaimedRow {
    pub(super) fn read(row: &Row<'_>) -> Result<Self, SqlError> {
        Ok(Self {
            open: OpenDelivery::read(row)?,
            lane: Lane::read(row)?,
            is_dropped: row.get("is_dropped")?,
            holder: holder_of(row.get("holder")?),
            class: class_of(row.get("class")?),
        })
    }
}

/// All that a claim needs of a delivery, so that it asks once.
const HEAD: &str = "
    SELECT delivery.id AS delivery, delivery.event, attempts, retry, bytes, fence, expires, message, meta, json,
        (SELECT next.due FROM delivery AS next
            WHERE next.lane = delivery.lane AND next.epoch = delivery.epoch AND next.state = 0
            ORDER BY next.due, next.id LIMIT 1 OFFSET 1) AS next_due
    FROM delivery JOIN event ON event.seq = delivery.event JOIN payload ON payload.event = event.seq
    WHERE lane = ? AND epoch = ? AND state = 0 AND due <= ?
    ORDER BY due, delivery.id LIMIT 1";

const TAKE: &str = "UPDATE delivery SET state = 1, fence = fence + 1, holder = ?, class = ?, \
    lease_until = ? WHERE id = ?";

const REQUEUE: &str = "UPDATE delivery SET state = 0, due = ?, attempts = ?, retry = ?, holder = NULL, class = NULL, \
    lease_until = NULL WHERE id = ?";

const NEXT_LEASE: &str = "SELECT min(lease_until) AS until FROM delivery WHERE state = 1";

/// The statement for [`ClaimedRow::read`], to be followed by conditions.
macro_rules! select_claimed {
    ($condition:literal) => {
        concat!(
            "SELECT delivery.id AS delivery, event, attempts, retry, holder, class, ",
            "delivery.epoch <> lane.epoch AS is_dropped, lane.id, lane.tenant, name, hook, status, ",
            "lane.epoch, paused_until, health FROM delivery ",
            "JOIN lane ON lane.id = delivery.lane JOIN tenant ON tenant.id = lane.tenant ",
            "WHERE state = 1 AND ",
            $condition
        )
    };
}

const ENDED_LEASES: &str = select_claimed!("lease_until <= ?");
pub(super) const HELD_UNDER: &str = select_claimed!("delivery.id = ? AND delivery.fence = ?");
pub(super) const HELD_BY: &str = select_claimed!("holder = ?");
pub(super) const HELD_OF_EVENT: &str = select_claimed!("event = ?");

#[cfg(test)]
mod tests {
    use super::super::file::sql::{new_file, query_plan};
    use super::super::state::{FIRST_DUE, LANES_WITH_WORK};
    use super::*;

    #[test]
    fn a_claim_scans_no_table_whatever_the_backlog() {
        let connection = new_file();
        let statements = [HEAD, TAKE, REQUEUE, NEXT_LEASE, ENDED_LEASES, HELD_UNDER, FIRST_DUE];
        for sql in statements.into_iter().chain([LANES_WITH_WORK]) {
            let plan = query_plan(&connection, sql);
            let scans = |line: &&String| line.starts_with("SCAN delivery") || line.contains("TEMP B-TREE");
            assert_eq!(plan.iter().find(scans), None, "{sql}: {plan:?}");
        }
        let head = query_plan(&connection, HEAD).join("; ");
        assert!(head.contains("USING INDEX delivery_due (lane=? AND epoch=? AND due<?)"), "{head}");
        let lease = query_plan(&connection, NEXT_LEASE).join("; ");
        assert!(lease.contains("delivery_lease"), "{lease}");
    }
}
