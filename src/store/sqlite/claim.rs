use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Row, params};

use super::super::{Claim, ClaimRequest, Claimed, HolderId};
use super::desk::Desk;
use super::rows::{Lane, LaneId, Open, class_number, class_of, event, fence_of, holder_bytes, holder_of};
use super::sql::{Fault, Sql, count, optional_time, time};
use crate::delivery::LaneClass;
use crate::model::{DeliveryId, End, StampedEvent, Timestamp};

/// The most expired deliveries that one claim ends on its way; `tend` ends the others.
const MAX_EXPIRED: usize = 256;

/// What a claim has taken so far.
struct Taking<'a> {
    request: &'a ClaimRequest,
    now: Timestamp,
    claims: Vec<Claim>,
    bytes: usize,
    expired: usize,
}

/// The first delivery that is due in a lane.
struct Head {
    open: Open,
    event: Arc<StampedEvent>,
    bytes: usize,
    fence: i64,
    expires: Timestamp,
    /// When the next after it is due.
    next_due: Option<Timestamp>,
}

/// A delivery under a claim, with what has to be known to give it back.
pub(super) struct Held {
    pub(super) open: Open,
    pub(super) lane: Lane,
    is_dropped: bool,
    holder: HolderId,
    class: LaneClass,
}

impl Desk {
    pub(super) fn claim(&mut self, request: &ClaimRequest) -> Result<Claimed, Fault> {
        let now = self.now();
        self.rota.enroll(request.holder, request.quota);
        self.end_leases(now, now)?;
        self.rota.fire(now);
        let mut taking = Taking { request, now, claims: Vec::new(), bytes: 0, expired: 0 };
        let mut is_full = false;
        while let Some(lane) = self.rota.first(request.holder) {
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
    fn take_first(&mut self, id: LaneId, taking: &mut Taking<'_>) -> Result<bool, Fault> {
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
        self.rota.set(lane.id, next, now);
        Ok(true)
    }

    fn head(&self, lane: &Lane, now: Timestamp) -> Result<Option<Head>, Fault> {
        self.connection.one(HEAD, [lane.id, lane.epoch, now.as_millis()], Head::read)
    }

    fn take(&mut self, lane: &Lane, head: Head, taking: &mut Taking<'_>) -> Result<(), Fault> {
        let (request, class) = (taking.request, lane.health.class());
        let until = taking.now.plus(request.lease).as_millis();
        let holder = holder_bytes(request.holder);
        self.connection.run(TAKE, params![holder, class_number(class), until, head.open.id])?;
        self.rota.take(request.holder, &lane.name, lane.hook, class);
        self.rota.end_turn(request.holder, lane.id);
        taking.bytes += head.bytes;
        taking.claims.push(Claim {
            id: DeliveryId::new(head.open.id),
            fence: fence_of(head.fence + 1),
            tenant: lane.name.clone(),
            hook: self.hook(lane.id)?,
            event: head.event,
            attempts: head.open.attempts,
            health: lane.health,
        });
        Ok(())
    }

    /// Makes due again what was claimed under leases that end by `until`.
    pub(super) fn end_leases(&mut self, until: Timestamp, now: Timestamp) -> Result<(), Fault> {
        for held in self.connection.all(ENDED_LEASES, [until.as_millis()], Held::read)? {
            self.requeue(&held, now, now)?;
        }
        Ok(())
    }

    /// Gives up a claim, whoever has it, and lets the delivery wait until `due`. One of a backlog that
    /// was dropped is cancelled instead.
    pub(super) fn requeue(&mut self, held: &Held, due: Timestamp, now: Timestamp) -> Result<(), Fault> {
        if held.is_dropped {
            self.end(&held.open, End::Cancelled, now)?;
        } else {
            self.connection.run(REQUEUE, params![due.as_millis(), held.open.attempts, held.open.id])?;
        }
        self.give_back(held);
        self.refresh_lane(&held.lane, now)
    }

    pub(super) fn give_back(&mut self, held: &Held) {
        self.rota.give_back(held.holder, &held.lane.name, held.lane.hook, held.class);
    }

    /// The next time at which a lane is ready or a lease ends by itself.
    fn next_in(&self, now: Timestamp) -> Result<Option<Duration>, Fault> {
        let lease = self.connection.one(NEXT_LEASE, [], |row| optional_time(row, "until"))?.flatten();
        let next = [self.rota.next_timer(), lease, self.routers.next_end()].into_iter().flatten().min();
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
    fn read(row: &Row<'_>) -> Result<Self, Fault> {
        Ok(Self {
            open: Open::read(row)?,
            event: event(row)?,
            bytes: count(row, "bytes")?,
            fence: row.get("fence")?,
            expires: time(row, "expires")?,
            next_due: optional_time(row, "next_due")?,
        })
    }
}

impl Held {
    pub(super) fn read(row: &Row<'_>) -> Result<Self, Fault> {
        Ok(Self {
            open: Open::read(row)?,
            lane: Lane::read(row)?,
            is_dropped: row.get("is_dropped")?,
            holder: holder_of(row.get("holder")?),
            class: class_of(row.get("class")?),
        })
    }
}

/// All that a claim needs of a delivery, so that it asks once.
const HEAD: &str = "
    SELECT delivery.id AS delivery, delivery.event, attempts, bytes, fence, expires, message, meta, json,
        (SELECT next.due FROM delivery AS next
            WHERE next.lane = delivery.lane AND next.epoch = delivery.epoch AND next.state = 0
            ORDER BY next.due, next.id LIMIT 1 OFFSET 1) AS next_due
    FROM delivery JOIN event ON event.seq = delivery.event JOIN payload ON payload.event = event.seq
    WHERE lane = ? AND epoch = ? AND state = 0 AND due <= ?
    ORDER BY due, delivery.id LIMIT 1";

const TAKE: &str = "UPDATE delivery SET state = 1, fence = fence + 1, holder = ?, class = ?, \
    lease_until = ? WHERE id = ?";

const REQUEUE: &str = "UPDATE delivery SET state = 0, due = ?, attempts = ?, holder = NULL, class = NULL, \
    lease_until = NULL WHERE id = ?";

const NEXT_LEASE: &str = "SELECT min(lease_until) AS until FROM delivery WHERE state = 1";

/// What [`Held::read`] reads, to be followed by conditions.
macro_rules! select_held {
    ($condition:literal) => {
        concat!(
            "SELECT delivery.id AS delivery, event, attempts, holder, class, ",
            "delivery.epoch <> lane.epoch AS is_dropped, lane.id, lane.tenant, name, hook, status, ",
            "lane.epoch, paused_until, health FROM delivery ",
            "JOIN lane ON lane.id = delivery.lane JOIN tenant ON tenant.id = lane.tenant ",
            "WHERE state = 1 AND ",
            $condition
        )
    };
}

const ENDED_LEASES: &str = select_held!("lease_until <= ?");
pub(super) const HELD_UNDER: &str = select_held!("delivery.id = ? AND delivery.fence = ?");
pub(super) const HELD_BY: &str = select_held!("holder = ?");
pub(super) const HELD_OF_EVENT: &str = select_held!("event = ?");

#[cfg(test)]
mod tests {
    use super::super::desk::{FIRST_DUE, LANES_WITH_WORK};
    use super::super::schema;
    use super::super::upkeep::{DATE_EVENT, DROPPED, EXPIRED, OLD};
    use super::*;

    /// How SQLite goes about a statement, a line for each table.
    fn plan(connection: &rusqlite::Connection, sql: &str) -> Vec<String> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("statement");
        let parameters = vec![rusqlite::types::Null; statement.parameter_count()];
        let rows = statement.query_map(rusqlite::params_from_iter(parameters), |row| row.get(3));
        rows.expect("plan").map(|line| line.expect("line")).collect()
    }

    #[test]
    fn a_claim_scans_no_table_whatever_the_backlog() {
        let mut connection = rusqlite::Connection::open_in_memory().expect("memory");
        schema::migrate(&mut connection, 0).expect("schema");
        let statements = [HEAD, TAKE, REQUEUE, NEXT_LEASE, ENDED_LEASES, HELD_UNDER, FIRST_DUE];
        for sql in statements.into_iter().chain([LANES_WITH_WORK]) {
            let plan = plan(&connection, sql);
            let scans = |line: &&String| line.starts_with("SCAN delivery") || line.contains("TEMP B-TREE");
            assert_eq!(plan.iter().find(scans), None, "{sql}: {plan:?}");
        }
        let head = plan(&connection, HEAD).join("; ");
        assert!(head.contains("USING INDEX delivery_due (lane=? AND epoch=? AND due<?)"), "{head}");
        let lease = plan(&connection, NEXT_LEASE).join("; ");
        assert!(lease.contains("delivery_lease"), "{lease}");
    }

    #[test]
    fn upkeep_scans_no_table_whatever_the_log() {
        let mut connection = rusqlite::Connection::open_in_memory().expect("memory");
        schema::migrate(&mut connection, 0).expect("schema");
        for sql in [EXPIRED, DROPPED, OLD, DATE_EVENT] {
            let plan = plan(&connection, sql);
            let scans = |line: &&String| line.starts_with("SCAN") || line.contains("TEMP B-TREE");
            assert_eq!(plan.iter().find(scans), None, "{sql}: {plan:?}");
        }
    }
}
