//! The task that claims, starts attempts, does upkeep and shuts down.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::warn;

use super::attempt::{answer, attempt};
use super::routing::route_all;
use super::settler::{self, Settling, backoff};
use super::shared::{Leased, Shared, Slot};
use super::slow_start::{Answer, LaneKey, SlowStart, Turn};
use crate::catch_panic::catch_panic;
use crate::delivery::{Next, Report};
use crate::model::TenantId;
use crate::service::{Core, Error};
use crate::store::{Claim, Claimed, Settlement, StoreError, TendRequest, WakeMark};

/// The time without a success after which a lane starts again with one attempt at once. Our own choice: longer than a
/// receiver takes to restart.
const LONG_FAILURE: Duration = Duration::from_secs(60);
/// The time between two steps of upkeep.
const TEND_EVERY: Duration = Duration::from_secs(60);
/// The most rows that one step of upkeep handles.
const TEND_STEP: usize = 500;
/// The longest wait for attempts at shutdown. No attempt takes as long.
const LONGEST_GRACE: Duration = Duration::from_secs(24 * 60 * 60);
/// The time that the store has to release claims at shutdown.
const RELEASE_WITHIN: Duration = Duration::from_secs(5);

/// The attempts that were running when a dispatcher was stopped, counted by how they ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Drained {
    /// The number of attempts that ended in time.
    pub finished: usize,
    /// The number of claims that were released, because they were not started or were broken off. Their deliveries are
    /// due again at once. Receivers may get those that were broken off twice.
    pub released: usize,
}

/// A running dispatcher, which claims deliveries and starts attempts.
pub(super) struct Driver {
    core: Arc<Core>,
    /// The tenant whose deliveries it claims; `None` for those of all.
    only: Option<TenantId>,
    shared: Arc<Shared>,
    attempts: JoinSet<Option<Ended>>,
    slow_start: SlowStart<Taken>,
    settler: UnboundedSender<Settling>,
    settler_task: JoinHandle<()>,
    tend_at: Instant,
    started: usize,
    handoff: Option<HandoffGuard>,
}

/// A claim that has not been started, with the slot that it takes.
#[derive(Debug)]
struct Taken {
    leased: Leased,
    slot: Slot,
}

/// The end of an attempt that may change the pace of its lane.
struct Ended {
    lane: LaneKey,
    turn: Option<Turn>,
    answer: Answer,
    backs_off: bool,
}

/// When the driver looks for work again, and the hints that wake it earlier. It takes no hints while it has no room, or
/// while the store fails.
struct Wait {
    at: Option<Instant>,
    hints: Option<(WakeMark, u64)>,
    /// Whether a slot that is freed may be room for what is due already.
    wants_room: bool,
}

/// Lets publishers hand deliveries off to the driver, until it is dropped.
struct HandoffGuard {
    core: Arc<Core>,
    shared: Arc<Shared>,
}

impl Drop for HandoffGuard {
    fn drop(&mut self) {
        self.core.clear_handoff();
        self.shared.close_queue();
    }
}

impl Driver {
    pub(super) fn new(core: Arc<Core>) -> Self {
        let shared = Arc::new(Shared::new(core.policy()));
        let (settler, settler_task) = settler::spawn(Arc::clone(&core), Arc::clone(&shared));
        Self {
            shared,
            attempts: JoinSet::new(),
            slow_start: SlowStart::new(core.policy().quota().per_webhook()),
            settler,
            settler_task,
            tend_at: Instant::now(),
            started: 0,
            handoff: None,
            only: None,
            core,
        }
    }

    /// Claims deliveries of one tenant alone, and leaves upkeep to others.
    pub(super) fn of(self, tenant: TenantId) -> Self {
        Self { only: Some(tenant), ..self }
    }

    /// Lets publishers hand deliveries off; `None` if another dispatcher of the service does already.
    pub(super) fn accept_handoffs(self) -> Option<Self> {
        let core = Arc::clone(&self.core);
        let shared = Arc::clone(&self.shared);
        let handoff = Arc::clone(&self.shared);
        core.set_handoff(handoff).then(|| Self { handoff: Some(HandoffGuard { core, shared }), ..self })
    }

    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Delivers until `stop` completes with the time that running attempts still have.
    pub(super) async fn run(mut self, stop: impl Future<Output = Duration>) -> Drained {
        let mut stop = pin!(stop);
        let grace = loop {
            let working = async {
                let wait = self.work().await;
                self.wait(wait).await;
            };
            tokio::select! {
                biased;
                grace = &mut stop => break grace,
                () = working => {}
            }
        };
        self.drain(grace).await
    }

    /// Starts all that can be started, and returns when to look again.
    async fn work(&mut self) -> Wait {
        let mark = self.core.new_work.mark();
        while let Some(ended) = self.attempts.try_join_next() {
            self.end(ended.ok().flatten());
        }
        self.start_queued();
        self.tend().await;
        let paused_until = self.shared.paused_until();
        match self.claim().await {
            Ok(None) => Wait { at: paused_until, hints: None, wants_room: true },
            Ok(Some(claimed)) => {
                let poll = self.core.store().poll_every();
                let next_in = claimed.next_in.into_iter().chain(poll).min();
                let at = next_in.and_then(|next_in| Instant::now().checked_add(next_in));
                Wait { at, hints: Some((claimed.mark, mark)), wants_room: !claimed.took_all }
            }
            Err(error) => {
                let failures = self.shared.store_failed(&error);
                warn!(error = error.detail(), failures, "due deliveries could not be claimed yet");
                let at = Some(Instant::now() + backoff(failures));
                Wait { at, hints: None, wants_room: true }
            }
        }
    }

    /// Claims as much as there is room for, and starts it; `None` without room.
    async fn claim(&mut self) -> Result<Option<Claimed>, StoreError> {
        let Some(request) = self.shared.request() else { return Ok(None) };
        let (until, start_within) = (self.shared.lease_end(Instant::now()), request.start_within);
        let store = self.core.store();
        let claimed = match &self.only {
            Some(tenant) => store.claim_of(tenant, &request),
            None => store.claim(&request),
        };
        let mut claimed = self.shared.calls.answer(claimed).await?;
        self.shared.store_answered();
        self.core.tell_swept(claimed.expired, 0);
        for claim in std::mem::take(&mut claimed.deliveries) {
            self.start(Leased { claim, until, start_within });
        }
        if !claimed.unrouted.is_empty() {
            route_all(&self.core, &self.shared.calls, std::mem::take(&mut claimed.unrouted)).await;
            claimed.next_in = Some(Duration::ZERO);
        }
        Ok(Some(claimed))
    }

    fn start_queued(&mut self) {
        let leased = self.shared.take_queued();
        leased.into_iter().for_each(|leased| self.start(leased));
    }

    /// Starts an attempt, or lets the claim wait because its lane is held back.
    fn start(&mut self, leased: Leased) {
        let Claim { tenant, hook, health, .. } = &leased.claim;
        let lane = (tenant.clone(), hook.hook_id());
        let has_failed_long =
            health.failing_since().is_some_and(|since| self.core.now().since(since) >= LONG_FAILURE);
        let needs_care = has_failed_long || health.backoffs() > 0;
        let slot = self.shared.slot(&leased.claim);
        if let Some((taken, turn)) = self.slow_start.admit(&lane, needs_care, Taken { leased, slot }) {
            self.spawn(lane, taken, turn);
        }
    }

    fn spawn(&mut self, lane: LaneKey, Taken { leased, slot }: Taken, turn: Option<Turn>) {
        let (core, shared) = (Arc::clone(&self.core), Arc::clone(&self.shared));
        let settler = self.settler.clone();
        self.started += 1;
        self.attempts.spawn(async move {
            // An attempt that panics is not settled; its delivery is due again when its lease ends.
            let settlement = catch_panic(pin!(attempt(&core, &shared, &leased, turn.as_ref()))).await;
            let Leased { claim, until, .. } = leased;
            let answer = settlement.as_ref().map_or(Answer::Other, answer);
            if let Some(turn) = turn.as_ref().filter(|_| answer == Answer::Success) {
                turn.succeeded();
            }
            let backs_off = settlement.as_ref().is_some_and(|it| it.backoff.is_some());
            if let Some(settlement) = settlement {
                // The settler lives as long as any attempt does.
                let _ = settler.send(Settling { claim, settlement, slot, until });
            }
            let is_paced = turn.is_some() || answer == Answer::Limit;
            is_paced.then_some(Ended { lane, turn, answer, backs_off })
        });
    }

    /// Starts the claims that may start because an attempt ended. When the lane backs off, its waiting claims are
    /// released, after the settlement that makes it back off.
    fn end(&mut self, ended: Option<Ended>) {
        let Some(Ended { lane, turn, answer, backs_off }) = ended else { return };
        if backs_off {
            for Taken { leased, slot } in self.slow_start.take_waiting(&lane) {
                let Leased { claim, until, .. } = leased;
                let settlement = Settlement::new(&claim, Next::Release);
                let _ = self.settler.send(Settling { claim, settlement, slot, until });
            }
        }
        if answer == Answer::Success {
            // The waiting claims were made before this success, and would be judged without it.
            let counting = self.core.policy().rules().counting();
            for Taken { leased, .. } in self.slow_start.waiting_of(&lane) {
                let health = &mut leased.claim.health;
                *health = health.after(Report::Success, counting, self.core.now());
            }
        }
        for (taken, turn) in self.slow_start.end(&lane, turn, answer) {
            self.spawn(lane.clone(), taken, Some(turn));
        }
    }

    /// Waits until there may be more to do, and starts at once what publishers hand off meanwhile.
    async fn wait(&mut self, wait: Wait) {
        let at = wait.at.map_or(self.tend_at, |at| at.min(self.tend_at));
        let core = Arc::clone(&self.core);
        let shared = Arc::clone(&self.shared);
        let mut hint = pin!(hint(&core, wait.hints));
        let mut due = pin!(sleep_until(at));
        loop {
            // Biased, so that a simulated run repeats exactly. The branch that stays in the loop comes last, so that
            // many handoffs keep nothing else waiting; `work` starts them as well.
            tokio::select! {
                biased;
                () = shared.unended.notified() => break,
                () = shared.freed.notified(), if wait.wants_room => break,
                () = &mut hint => break,
                () = &mut due => break,
                // The slot of an attempt may be free before the attempt is known to have ended.
                Some(ended) = self.attempts.join_next() => self.end(ended.ok().flatten()),
                () = shared.handed_off.notified() => self.start_queued(),
            }
        }
    }

    async fn tend(&mut self) {
        if Instant::now() < self.tend_at || self.only.is_some() {
            return;
        }
        self.core.forget_unused();
        let policy = self.core.policy();
        let (keep, keep_payloads) = (policy.keep(), policy.keep_payloads());
        let request = TendRequest { keep, keep_payloads, limit: TEND_STEP };
        let more = match self.shared.calls.answer(self.core.store().tend(&request)).await {
            Ok(tended) => {
                self.core.tell_swept(tended.expired, tended.swept);
                tended.more
            }
            Err(error) => {
                warn!(error = error.detail(), "upkeep failed; it will be tried again");
                false
            }
        };
        self.tend_at = Instant::now() + if more { Duration::ZERO } else { TEND_EVERY };
    }

    /// Lets attempts finish until `grace` is over, and releases the other claims.
    async fn drain(mut self, grace: Duration) -> Drained {
        let deadline = Instant::now() + grace.min(LONGEST_GRACE);
        self.handoff = None;
        let unstarted = self.shared.take_queued().len() + self.slow_start.waiting();
        while self.attempts.try_join_next().is_some() {}
        let under_way = self.attempts.len();
        while let Ok(Some(_)) = timeout_at(deadline, self.attempts.join_next()).await {}
        let broken_off = self.attempts.len();
        self.attempts.shutdown().await;
        self.release().await;
        Drained { finished: under_way - broken_off, released: broken_off + unstarted }
    }

    /// Waits until every outcome is recorded, and releases the claims that are left.
    async fn release(self) {
        drop(self.settler);
        let released = async {
            // The settler ends when its channel closes. If it panicked, there is nothing left to wait for.
            let _ = self.settler_task.await;
            self.core.store().release(self.shared.holder()).await
        };
        match timeout(RELEASE_WITHIN, released).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(error = error.detail(), "claims could not be given back; their leases will end")
            }
            Err(_) => warn!("claims could not be given back in time; their leases will end"),
        }
    }

    /// Delivers what is due now, and nothing that becomes due later.
    pub(super) async fn deliver_due(mut self) -> Result<usize, Error> {
        loop {
            self.tend().await;
            let before = self.started;
            let next_in = self.claim().await?.and_then(|claimed| claimed.next_in);
            let again = next_in == Some(Duration::ZERO);
            while let Some(ended) = self.attempts.join_next().await {
                self.end(ended.ok().flatten());
            }
            while self.shared.in_flight() > 0 {
                self.shared.freed.notified().await;
            }
            if self.started == before && !again {
                break;
            }
        }
        let recorded = self.shared.recorded();
        self.drain(Duration::ZERO).await;
        Ok(recorded)
    }
}

/// Waits until there may be new work.
async fn hint(core: &Core, hints: Option<(WakeMark, u64)>) {
    let Some((store, service)) = hints else { return std::future::pending().await };
    tokio::select! {
        biased;
        () = core.new_work.notified(service) => {}
        () = core.store().wake(store) => {}
    }
}
