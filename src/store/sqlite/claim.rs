//! Claiming: takes what is due, lane by lane. It reads the file, and writes nothing.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tracing::warn;

use super::changes::RoutingLease;
use super::file::rows::{Head, Lane, LaneId, Position, SELECT_HEAD, event};
use super::file::sql::{Cells, Sql, SqlError, as_i64};
use super::memory::Memory;
use super::publish::Fresh;
use crate::model::{DeliveryId, StampedEvent, TenantId, Timestamp};
use crate::registry::RegisteredWebhook;
use crate::retry::RetryState;
use crate::store::claim::{Claim, ClaimRequest, Claimed};
use crate::store::error::StoreErrorKind;
use crate::store::routing::Unrouted;
use crate::store::schedule::Turn;

/// The most expired deliveries that one claim comes upon; upkeep ends the others.
const MAX_EXPIRED: usize = 256;
/// The time after which to claim again while a delivery waits to run alone.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// A claim under way, with what it has taken so far.
pub(super) struct Taking<'a> {
    file: &'a Connection,
    memory: &'a mut Memory,
    request: &'a ClaimRequest,
    now: Timestamp,
    claims: Vec<Claim>,
    bytes: usize,
    /// What is not to be sent any more, and has to be ended.
    expired: Vec<Position>,
    unroutable: Vec<Unroutable>,
}

/// The result of a claim, and what it found that has to be written.
pub(super) struct Taken {
    pub(super) claimed: Claimed,
    /// What has expired.
    pub(super) expired: Vec<Position>,
    pub(super) unroutable: Vec<Unroutable>,
}

/// An unrouted event that cannot be read. It must not stop the events after it.
pub(super) struct Unroutable {
    pub(super) event: i64,
    pub(super) reason: String,
}

impl<'a> Taking<'a> {
    pub(super) fn new(
        file: &'a Connection,
        memory: &'a mut Memory,
        request: &'a ClaimRequest,
        now: Timestamp,
    ) -> Self {
        memory.schedule.add_holder(request, now);
        let (claims, expired, unroutable) = Default::default();
        Self { file, memory, request, now, claims, bytes: 0, expired, unroutable }
    }

    /// Claims what is due, of this tenant alone or of all.
    pub(super) fn claim(mut self, only: Option<&TenantId>) -> Result<Taken, SqlError> {
        self.end_leases();
        let mut is_cut = false;
        while !is_cut
            && !self.memory.waits_for_one()
            && let Some((lane, turn)) = self.next(only)?
        {
            is_cut = match self.take_first(lane, turn) {
                Ok(goes_on) => !goes_on,
                Err(error) if self.claims.is_empty() => return Err(error),
                // What is taken is sent; the next claim meets the error again.
                Err(_) => true,
            };
        }
        let unrouted = match self.memory.has_unrouted {
            true => self.claim_unrouted(only),
            false => Ok(Vec::new()),
        };
        let unrouted = match unrouted {
            // As above: the deliveries are claimed already.
            Err(_) if !self.claims.is_empty() => Vec::new(),
            unrouted => unrouted?,
        };
        let next_in = match is_cut || !self.unroutable.is_empty() {
            true => Some(Duration::ZERO),
            false if self.memory.waits_for_one() => Some(LOOK_AGAIN),
            false => self.next_in(),
        };
        let took_all = !self.memory.has_unrouted
            && self.memory.suspects.alone.is_none()
            && self.memory.schedule.is_exhausted();
        let deliveries = self.claims;
        let claimed = Claimed { deliveries, unrouted, next_in, took_all, ..Claimed::default() };
        Ok(Taken { claimed, expired: self.expired, unroutable: self.unroutable })
    }

    /// Returns the lane that is served next: first that of a delivery that is to run alone, if it still waits.
    fn next(&mut self, only: Option<&TenantId>) -> Result<Option<(LaneId, Turn)>, SqlError> {
        let holder = self.request.holder;
        if let Some((position, turn)) = self.take_alone(only)
            && self.memory.schedule.may_take(holder, &position.lane, self.now)
            && self.memory.read_first(self.file, position.lane, turn)? == Some(position)
        {
            return Ok(Some((position.lane, turn)));
        }
        Ok(match only {
            Some(tenant) => self.memory.schedule.next_of(holder, tenant, self.now),
            None => self.memory.schedule.next(holder, self.now),
        })
    }

    /// Takes the delivery that is to run alone, if this claim is for its tenant.
    fn take_alone(&mut self, only: Option<&TenantId>) -> Option<(Position, Turn)> {
        let (position, _) = self.memory.suspects.alone.as_ref()?;
        let lane = self.memory.lane(position.lane);
        let is_wanted = only.is_none_or(|only| lane.is_some_and(|lane| lane.name == *only));
        if is_wanted { self.memory.suspects.alone.take() } else { None }
    }

    /// Makes due again what was claimed under leases that have ended.
    fn end_leases(&mut self) {
        let ended: Vec<_> = self.memory.leases.ended(self.now).collect();
        self.memory.end_claims(&ended, self.now);
    }

    /// Takes the first delivery of a lane; false when that would be more than was asked for.
    fn take_first(&mut self, id: LaneId, turn: Turn) -> Result<bool, SqlError> {
        let (lane, first) = (self.memory.lane(id).cloned(), self.memory.read_first(self.file, id, turn)?);
        let (Some(lane), Some(first)) = (lane, first.filter(|it| it.due <= self.now)) else {
            self.memory.refresh(id, self.now);
            return Ok(true);
        };
        if !self.may_run(first, turn) {
            return Ok(true);
        }
        match self.file.one(SELECT_HEAD, [first.id], Head::read) {
            Ok(Some(head)) if head.expires <= self.now => {
                self.expired.push(first);
                self.memory.remove(first, self.now);
                Ok(self.expired.len() < MAX_EXPIRED)
            }
            Ok(Some(head)) if self.is_full(&head.event) => Ok(false),
            Ok(Some(head)) => {
                let hook = self.memory.hook(self.file, id)?;
                self.take(&lane, (first, turn), head, hook);
                Ok(true)
            }
            Ok(None) => {
                self.memory.remove(first, self.now);
                Ok(true)
            }
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                warn!(target: "hookwire", delivery = first.id, error = error.detail(),
                    "a delivery cannot be read; it is set aside until the store is opened again or it expires");
                self.memory.remove(first, self.now);
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns whether a delivery may be claimed now: not while others run, if it is to run alone.
    fn may_run(&mut self, first: Position, turn: Turn) -> bool {
        if self.memory.suspects.runs_alone(first.id) {
            self.memory.suspects.alone = Some((first, turn));
        }
        !self.memory.waits_for_one()
    }

    /// Takes a delivery that was just written, if it overtakes no other of its lane and there is room; otherwise it waits.
    pub(super) fn hold(&mut self, fresh: &Fresh) -> Result<(), SqlError> {
        let (holder, id) = (self.request.holder, fresh.position.lane);
        let is_idle = self.memory.is_idle(id, self.now);
        self.memory.wait(fresh.position, self.now);
        let may_take =
            is_idle && !self.is_over(&fresh.event) && self.memory.schedule.may_take(holder, &id, self.now);
        let Some(lane) = self.memory.lane(id).cloned().filter(|_| may_take) else { return Ok(()) };
        let hook = self.memory.hook(self.file, id)?;
        let (retry, event) = (RetryState::default(), Arc::clone(&fresh.event));
        let head = Head { attempts: 0, retry, expires: self.now, event };
        self.take(&lane, (fresh.position, Turn::FirstAttempt), head, hook);
        Ok(())
    }

    pub(super) fn held(self) -> Vec<Claim> {
        self.claims
    }

    fn take(
        &mut self,
        lane: &Lane,
        (position, turn): (Position, Turn),
        head: Head,
        hook: Arc<RegisteredWebhook>,
    ) {
        let times = (self.now.plus(self.request.lease), self.now);
        let held = (head.attempts, head.retry);
        let Some(fence) = self.memory.take(self.request.holder, (position, turn), held, times) else {
            return;
        };
        self.bytes += head.event.payload.get().len();
        self.claims.push(Claim {
            id: DeliveryId::new(position.id),
            fence,
            tenant: lane.name.clone(),
            hook,
            event: head.event,
            attempts: head.attempts,
            retry: head.retry,
            health: lane.health,
        });
    }

    /// Returns whether this event would exceed the request. An event that is larger by itself comes alone.
    fn is_full(&self, event: &StampedEvent) -> bool {
        (!self.claims.is_empty() && self.is_over(event)) || self.claims.len() >= self.request.limit
    }

    fn is_over(&self, event: &StampedEvent) -> bool {
        let bytes = self.bytes + event.payload.get().len();
        self.claims.len() >= self.request.limit || bytes > self.request.max_bytes
    }

    /// Hands out the oldest unrouted events of each tenant, or of this one alone, for which nobody else is routing.
    fn claim_unrouted(&mut self, only: Option<&TenantId>) -> Result<Vec<Unrouted>, SqlError> {
        let (mut claimed, mut last) = (Vec::new(), 0);
        while let Some((id, name)) = self.next_unrouted(last)? {
            last = id;
            let room = self.request.limit.saturating_sub(claimed.len());
            if room == 0 {
                break;
            }
            let is_asked_for = only.is_none_or(|only| *only == name);
            if is_asked_for && self.memory.routing_lease(&name).is_none_or(|lease| lease.until <= self.now) {
                claimed.extend(self.claim_unrouted_of(id, &name, room)?);
            }
        }
        self.memory.has_unrouted = last > 0;
        Ok(claimed)
    }

    /// The next tenant that has unrouted events: one leap along the index.
    fn next_unrouted(&self, after: i64) -> Result<Option<(i64, TenantId)>, SqlError> {
        const NEXT: &str = "SELECT id, name FROM tenant WHERE id = \
            (SELECT min(tenant) FROM event WHERE routed IS NULL AND tenant > ?)";
        self.file.one(NEXT, [after], |cells| Ok((cells.get()?, TenantId::new(cells.text()?)?)))
    }

    fn claim_unrouted_of(
        &mut self,
        tenant: i64,
        name: &TenantId,
        room: usize,
    ) -> Result<Vec<Unrouted>, SqlError> {
        const OLDEST: &str = "SELECT id, message, meta, payload FROM event \
            WHERE tenant = ? AND routed IS NULL ORDER BY id LIMIT ?";
        let fence = self.memory.leases.next_fence();
        let read = |cells: &mut Cells<'_>| Ok((cells.get()?, event(cells)));
        let mut events = Vec::new();
        for (id, read) in self.file.all(OLDEST, [tenant, as_i64(room)], read)? {
            match read {
                Ok(event) => events.push(Unrouted { tenant: name.clone(), event, fence }),
                Err(error) => self.unroutable.push(Unroutable::of(id, error)?),
            }
        }
        if !events.is_empty() {
            let (holder, until) = (self.request.holder, self.now.plus(self.request.lease));
            let lease = RoutingLease { holder, fence, until, left: events.len() };
            self.memory.routing.insert(name.clone(), lease);
        }
        Ok(events)
    }

    /// The next time at which a lane is ready or a lease ends by itself.
    fn next_in(&self) -> Option<Duration> {
        let routing = self.memory.routing.values().map(|lease| lease.until).min();
        let next = [self.memory.schedule.next_timer(), self.memory.leases.next_end(), routing];
        next.into_iter().flatten().min().map(|at| at.since(self.now))
    }
}

impl Unroutable {
    /// Creates the record of an unreadable event. Fails with `error` if the row is not the cause.
    fn of(event: i64, error: SqlError) -> Result<Self, SqlError> {
        if error.kind() != StoreErrorKind::Corrupt {
            return Err(error);
        }
        Ok(Self { event, reason: format!("its row cannot be read: {}", error.detail()) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::sql::{new_file, query_plan};
    use super::super::memory::LANES_WITH_WORK;
    use super::super::queue::WAITING_AFTER;
    use super::*;

    #[test]
    fn a_claim_scans_no_table_whatever_the_backlog() {
        let connection = new_file();
        for sql in [SELECT_HEAD, WAITING_AFTER, LANES_WITH_WORK] {
            let plan = query_plan(&connection, sql);
            let scans = |line: &&String| line.starts_with("SCAN delivery") || line.contains("TEMP B-TREE");
            assert_eq!(plan.iter().find(scans), None, "{sql}: {plan:?}");
        }
        let first = query_plan(&connection, WAITING_AFTER).join("; ");
        assert!(first.starts_with("MERGE (UNION ALL)") && first.contains("due=? AND id>?)"), "{first}");
    }
}
