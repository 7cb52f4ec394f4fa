//! State that the driver shares with its attempts, with publishers and with its handle.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{info, warn};

use super::calls::Calls;
use super::own_side::{Ended, News, OwnSide, Sign};
use super::start_within::StartWithin;
use super::unprepared::Unprepared;
use crate::model::{FailureKind, Outcome};
use crate::policy::Policy;
use crate::service::{ClockOffset, Handoff};
use crate::store::{Claim, ClaimRequest, HolderId, StoreError};

/// The state of a dispatcher at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DispatcherHealth {
    /// Whether the dispatcher runs.
    pub running: bool,
    /// The number of deliveries that it holds.
    pub in_flight: usize,
    /// The number of calls of the store that have failed in a row.
    pub store_failures: u32,
    /// The error of the last of them, with its causes.
    pub last_store_error: Option<String>,
    /// The time since the oldest of its calls of the store began that has not answered yet. A store that hangs does not
    /// fail: its calls are out for long.
    pub store_waiting: Option<Duration>,
    /// How far this machine's clock is off, if it is by more than two minutes: the dates of the answers of at least three
    /// hosts, and of most, agree about it. Receivers refuse what is signed too early or too late.
    pub clock_off: Option<ClockOffset>,
    /// The most attempts that it runs at once while its own side cannot open connections: descriptors or ports have run
    /// out, or at least ten hosts of five tenants could not be reached and none answered. Such failures have the kind
    /// [`Local`](FailureKind::Local).
    pub narrowed_to: Option<usize>,
    /// The detail of the last of these failures.
    pub last_own_failure: Option<String>,
}

/// State shared by the driver, its attempts, publishers and the handle.
#[derive(Debug)]
pub(super) struct Shared {
    request: ClaimRequest,
    /// The number of deliveries that are claimed and not settled.
    in_flight: AtomicUsize,
    bytes: AtomicUsize,
    /// The calls of the store, but for the waits for its notifications.
    pub(super) calls: Calls,
    /// The number of attempts that were recorded.
    recorded: AtomicUsize,
    /// Notified when a slot is free again, which may be room for more.
    pub(super) freed: Notify,
    /// Notified when a slot is free again whose delivery may come again.
    pub(super) unended: Notify,
    /// Notified when a publisher hands deliveries off.
    pub(super) handed_off: Notify,
    started: Instant,
    pub(super) unprepared: Unprepared,
    start_within: StartWithin,
    queue: Mutex<Queue>,
    store: Mutex<StoreHealth>,
    own: Mutex<OwnHealth>,
}

#[derive(Debug, Default)]
struct Queue {
    closed: bool,
    claims: Vec<Leased>,
}

#[derive(Debug, Default)]
struct StoreHealth {
    failures: u32,
    last: Option<String>,
}

#[derive(Debug)]
struct OwnHealth {
    side: OwnSide,
    /// The number of attempts that run.
    running: usize,
    last: Option<String>,
}

/// An attempt that runs, until this is dropped.
#[derive(Debug)]
pub(super) struct Running<'a>(&'a Shared);

/// A claim, with the end of its lease by this machine's own clock.
#[derive(Debug)]
pub(super) struct Leased {
    pub(super) claim: Claim,
    pub(super) until: Instant,
    /// The time within which its request begins, if its webhook has a rate.
    pub(super) start_within: Duration,
}

/// The slot that a claim takes until it is settled.
#[derive(Debug)]
pub(super) struct Slot {
    shared: Arc<Shared>,
    bytes: usize,
    /// Whether the end of the delivery is recorded.
    has_ended: bool,
}

impl Shared {
    pub(super) fn new(policy: &Policy) -> Self {
        let request = ClaimRequest {
            holder: HolderId::new(uuid::Uuid::new_v4().as_u128()),
            lease: policy.lease(),
            limit: policy.quota().in_all(),
            max_bytes: policy.in_flight_bytes(),
            quota: policy.quota(),
            start_within: Duration::ZERO,
        };
        Self {
            request,
            in_flight: AtomicUsize::default(),
            bytes: AtomicUsize::default(),
            calls: Calls::default(),
            recorded: AtomicUsize::default(),
            freed: Notify::default(),
            unended: Notify::default(),
            handed_off: Notify::default(),
            started: Instant::now(),
            unprepared: Unprepared::default(),
            start_within: StartWithin::default(),
            queue: Mutex::default(),
            store: Mutex::default(),
            own: Mutex::new(OwnHealth {
                side: OwnSide::new(policy.quota().in_all()),
                running: 0,
                last: None,
            }),
        }
    }

    pub(super) const fn holder(&self) -> HolderId {
        self.request.holder
    }

    /// Returns a request for as much as there is room for; `None` without room, or while nothing is started.
    pub(super) fn request(&self) -> Option<ClaimRequest> {
        if self.paused_until().is_some() {
            return None;
        }
        let quota = self.request.quota;
        let quota = self.own().side.narrowed_to().map_or(quota, |width| quota.with_in_all(width));
        let limit = quota.in_all().saturating_sub(self.in_flight());
        let max_bytes = self.request.max_bytes.saturating_sub(self.bytes.load(Ordering::SeqCst));
        let start_within = self.start_within.get();
        let request = ClaimRequest { limit, max_bytes, quota, start_within, ..self.request };
        (limit > 0 && max_bytes > 0).then_some(request)
    }

    /// Returns the time until which nothing is started, because our own side has just failed.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.own().side.paused_until().filter(|until| *until > Instant::now())
    }

    /// Begins an attempt under a lease that ends at `until`, unless our own side has failed since it was claimed.
    pub(super) fn begin(&self, until: Instant) -> Option<Running<'_>> {
        let claimed_at = until - self.request.lease;
        let mut own = self.own();
        let may_start = own.side.may_start(own.running, claimed_at);
        may_start.then(|| {
            own.running += 1;
            Running(self)
        })
    }

    /// Returns whether the request of a claim may begin now. Where its webhook has a rate, it may until its time is over.
    pub(super) fn may_begin(&self, leased: &Leased) -> bool {
        let asked_at = leased.until - self.request.lease;
        leased.claim.hook.options.rate().is_none()
            || self.start_within.may_begin(asked_at.elapsed(), leased.start_within)
    }

    /// Marks a failure as our own if it is, and narrows the dispatcher while our own side fails.
    pub(super) fn judge(&self, claim: &Claim, started: Instant, outcome: Outcome) -> Outcome {
        let host = claim.hook.webhook.url().as_url().host_str().unwrap_or_default();
        let mut own = self.own();
        let running = own.running;
        let ended = Ended { sign: Sign::of(&outcome), host, tenant: &claim.tenant, started, running };
        let judged = own.side.judge(ended, Instant::now());
        if judged.news == Some(News::Ended) {
            own.last = None;
            info!("connections can be opened again; as many attempts run at once as before");
        }
        let Outcome::Failed { detail, .. } = &outcome else { return outcome };
        if !judged.is_ours {
            return outcome;
        }
        if judged.news == Some(News::Began) {
            warn!(
                error = detail,
                "no connections can be opened from here; few attempts run at once until it is over"
            );
        }
        own.last = Some(detail.clone());
        Outcome::Failed { kind: FailureKind::Local, detail: detail.clone() }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub(super) fn count_recorded(&self, attempts: usize) {
        self.recorded.fetch_add(attempts, Ordering::SeqCst);
    }

    pub(super) fn recorded(&self) -> usize {
        self.recorded.load(Ordering::SeqCst)
    }

    /// Returns the end of a lease that was requested at `asked_at`.
    pub(super) fn lease_end(&self, asked_at: Instant) -> Instant {
        asked_at + self.request.lease
    }

    pub(super) fn slot(self: &Arc<Self>, claim: &Claim) -> Slot {
        let bytes = claim.event.payload.get().len();
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        Slot { shared: Arc::clone(self), bytes, has_ended: false }
    }

    /// Takes what publishers handed off.
    pub(super) fn take_queued(&self) -> Vec<Leased> {
        std::mem::take(&mut self.queue().claims)
    }

    /// Refuses what publishers hand off from now on.
    pub(super) fn close_queue(&self) {
        self.queue().closed = true;
    }

    pub(super) fn store_answered(&self) {
        *self.store() = StoreHealth::default();
    }

    /// Records a failure of the store, and returns how many there were in a row.
    pub(super) fn store_failed(&self, error: &StoreError) -> u32 {
        let mut store = self.store();
        store.failures = store.failures.saturating_add(1);
        store.last = Some(error.detail());
        store.failures
    }

    /// Returns what is known here: all but whether the dispatcher runs, and its clock.
    pub(super) fn health(&self) -> DispatcherHealth {
        let store = self.store();
        let own = self.own();
        DispatcherHealth {
            in_flight: self.in_flight(),
            store_failures: store.failures,
            last_store_error: store.last.clone(),
            store_waiting: self.calls.longest(),
            narrowed_to: own.side.narrowed_to(),
            last_own_failure: own.last.clone(),
            ..DispatcherHealth::default()
        }
    }

    /// The values are whole whenever the locks are free, so poisoned locks are usable.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self) -> MutexGuard<'_, OwnHealth> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> MutexGuard<'_, StoreHealth> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handoff for Shared {
    /// `None` while the dispatcher is narrowed: each of many publishers at once would be offered the little that is left.
    fn offer(&self) -> Option<(ClaimRequest, Duration)> {
        if self.own().side.narrowed_to().is_some() {
            return None;
        }
        let asked_at = self.started.elapsed();
        self.request().map(|request| (request, asked_at))
    }

    fn take(&self, claims: Vec<Claim>, asked_at: Duration) -> Result<(), Vec<Claim>> {
        let mut queue = self.queue();
        if queue.closed {
            return Err(claims);
        }
        let until = self.lease_end(self.started + asked_at);
        // None of them is of a webhook with a rate.
        let start_within = Duration::MAX;
        queue.claims.extend(claims.into_iter().map(|claim| Leased { claim, until, start_within }));
        drop(queue);
        self.handed_off.notify_one();
        Ok(())
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.own().running -= 1;
    }
}

impl Slot {
    /// Frees the slot of a delivery whose end is recorded, so that it does not come again.
    pub(super) fn end(mut self) {
        self.has_ended = true;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.shared.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
        self.shared.freed.notify_one();
        if !self.has_ended {
            self.shared.unended.notify_one();
        }
    }
}
