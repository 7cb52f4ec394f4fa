//! The verdict on a run: the rules that hold when all has ended, checked against the log.

use std::collections::{BTreeMap, BTreeSet};

use hookwire::model::{Attempt, Delivery, DeliveryState, End, HookId, MessageId, PageRequest};
use hookwire::policy::Policy;
use hookwire::store::{MemoryStore, RoutingRecord, Store};
use hookwire::{DeliveryQuery, TenantId};

use crate::ledger::{Book, HookKey, Ledger, MessageKey, Request};

/// The time after a request in which a stop of its dispatcher may lose the outcome.
const LOST_WITHIN_MS: i64 = 5 * 60 * 1000;

/// The log of a world, beside what its receivers saw.
struct Log {
    deliveries: Vec<(TenantId, Delivery, Vec<Attempt>)>,
    /// Requests that stand in the log.
    logged: BTreeSet<usize>,
    broken: Vec<String>,
}

pub(crate) async fn judge(memory: &MemoryStore, ledger: &Ledger, policy: &Policy, tenants: &[TenantId]) {
    let mut log = Log { deliveries: Vec::new(), logged: BTreeSet::new(), broken: Vec::new() };
    for tenant in tenants {
        log.read(memory, tenant).await;
    }
    let confirmed: Vec<_> = ledger.book().confirmed.keys().cloned().collect();
    for key in &confirmed {
        log.find_event(memory, key).await;
    }
    {
        let book = ledger.book();
        log.find_targets(&book);
        log.match_attempts(&book);
        log.match_requests(&book);
        log.judge_ends(&book, policy);
    }
    for (tenant, delivery, attempts) in &log.deliveries {
        let (id, state, attempts) = (delivery.id, delivery.state, attempts.len());
        ledger.note(&format!("delivery {id} of {tenant} after {attempts} attempts: {state:?}"));
    }
    log.broken.into_iter().for_each(|what| ledger.violation(what));
}

impl Log {
    async fn read(&mut self, memory: &MemoryStore, tenant: &TenantId) {
        let all = DeliveryQuery::new().page(PageRequest::first().with_limit(PageRequest::MAX_LIMIT));
        let page = memory.deliveries(tenant, &all).await.expect("memory answers");
        assert!(page.next.is_none(), "a world fits one page");
        let ids: Vec<_> = page.items.iter().map(|delivery| delivery.id).collect();
        let attempts = memory.attempts(tenant, &ids).await.expect("memory answers");
        for (delivery, attempts) in page.items.into_iter().zip(attempts) {
            self.deliveries.push((tenant.clone(), delivery, attempts.expect("listed")));
        }
    }

    async fn find_event(&mut self, memory: &MemoryStore, key: &MessageKey) {
        let event = memory.event(&key.0, &key.1).await.expect("memory answers");
        match event.map(|record| record.routing) {
            Some(RoutingRecord::Routed(_) | RoutingRecord::Unroutable(_)) => {}
            Some(RoutingRecord::Waiting) => self.broken.push(format!("{}/{} was never routed", key.0, key.1)),
            None => self.broken.push(format!("{}/{} was confirmed and is lost", key.0, key.1)),
        }
    }

    /// Every webhook that was to get a message has one delivery of it, and nobody else has.
    fn find_targets(&mut self, book: &Book) {
        let mut found: BTreeMap<MessageKey, Vec<HookId>> = BTreeMap::new();
        for (tenant, delivery, _) in self.deliveries.iter().filter(|it| it.1.origin.is_none()) {
            let key = (tenant.clone(), delivery.message_id.clone());
            found.entry(key).or_default().push(delivery.hook_id);
        }
        found.values_mut().for_each(|hooks| hooks.sort());
        let routed = book.targets.iter().filter(|(_, hooks)| !hooks.is_empty());
        let routed: BTreeMap<_, _> = routed.map(|(key, hooks)| (key.clone(), hooks.clone())).collect();
        if found != routed {
            self.broken.push(format!("deliveries {found:?} are not those promised: {routed:?}"));
        }
    }

    /// Each logged attempt is a request of which the transport told the same.
    fn match_attempts(&mut self, book: &Book) {
        let mut seen: BTreeMap<Sight, Vec<usize>> = BTreeMap::new();
        for (number, request) in book.requests.iter().enumerate() {
            if let Some(outcome) = &request.outcome {
                let at = request.start + request.skew;
                let sight = (request.hook.clone(), request.message.clone(), at, outcome.clone());
                seen.entry(sight).or_default().push(number);
            }
        }
        for (tenant, delivery, attempts) in &self.deliveries {
            for attempt in attempts {
                let hook = (tenant.clone(), delivery.hook_id);
                let at = attempt.at.as_millis();
                let sight = (hook, delivery.message_id.clone(), at, attempt.outcome.to_string());
                match seen.get_mut(&sight).and_then(Vec::pop) {
                    Some(number) => drop(self.logged.insert(number)),
                    None => self.broken.push(format!("no receiver saw what the log tells: {sight:?}")),
                }
            }
        }
    }

    /// Each request that does not stand in the log was lost with its dispatcher or its settlement, and was
    /// repeated.
    fn match_requests(&mut self, book: &Book) {
        for (number, request) in book.requests.iter().enumerate() {
            if self.logged.contains(&number) {
                continue;
            }
            if !is_excused(book, request) && !self.is_replaced(request) {
                self.broken.push(format!("request {number} is not in the log: {request:?}"));
            }
            if !self.is_repeated(book, request) {
                self.broken.push(format!("request {number} was lost and never repeated: {request:?}"));
            }
        }
    }

    /// The log keeps the first and the last of attempts in a row that use no step of the schedule.
    fn is_replaced(&self, request: &Request) -> bool {
        self.deliveries.iter().any(|(tenant, delivery, attempts)| {
            let same = *tenant == request.hook.0
                && delivery.hook_id == request.hook.1
                && delivery.message_id == request.message;
            let replaces = |attempt: &Attempt| {
                attempt.replaces_previous() && attempt.at.as_millis() > request.start + request.skew
            };
            same && attempts.iter().any(replaces)
        })
    }

    fn is_repeated(&self, book: &Book, request: &Request) -> bool {
        let later = |number: &usize| {
            let other = &book.requests[*number];
            same(other, &request.hook, &request.message) && other.start > request.start
        };
        let ended = self.deliveries.iter().any(|(tenant, delivery, _)| {
            let same = *tenant == request.hook.0
                && delivery.hook_id == request.hook.1
                && delivery.message_id == request.message;
            same && matches!(delivery.state, DeliveryState::Ended(End::Cancelled | End::Expired))
        });
        ended || self.logged.iter().any(later)
    }

    fn judge_ends(&mut self, book: &Book, policy: &Policy) {
        for (tenant, delivery, attempts) in &self.deliveries {
            let dropped = book.dropped.contains(&(tenant.clone(), delivery.hook_id));
            if let Some(what) = wrong_end(delivery, attempts, dropped, policy) {
                self.broken.push(format!("{what}: {delivery:?} {attempts:?}"));
            }
        }
    }
}

type Sight = (HookKey, MessageId, i64, String);

fn same(request: &Request, hook: &HookKey, message: &MessageId) -> bool {
    request.hook == *hook && request.message == *message
}

fn is_excused(book: &Book, request: &Request) -> bool {
    let near = request.start..request.start + LOST_WITHIN_MS;
    let stopped = book.stops.iter().any(|(process, at)| *process == request.process && near.contains(at));
    let unsettled = book.unsettled.iter().filter_map(|fence| book.leases.get(fence));
    let ours = |it: &&crate::ledger::Lease| {
        it.process == request.process && it.hook == request.hook && it.message == request.message
    };
    stopped || unsettled.filter(ours).count() > 0
}

/// Returns the fault of a delivery's end, if it has one.
fn wrong_end(
    delivery: &Delivery,
    attempts: &[Attempt],
    dropped: bool,
    policy: &Policy,
) -> Option<&'static str> {
    let successes = attempts.iter().filter(|attempt| attempt.outcome.is_success()).count();
    let counted = attempts.iter().filter(|attempt| attempt.uncounted == 0).count();
    let numbered = attempts.first().is_none_or(|first| first.number == 1)
        && attempts.windows(2).all(|pair| follows(&pair[0], &pair[1]))
        && attempts.last().map_or(0, |last| last.number) == delivery.attempts;
    let succeeded = attempts.last().is_some_and(|last| last.outcome.is_success());
    let lived = delivery.ended_at.map(|at| at.since(delivery.created_at)).unwrap_or_default();
    let most = usize::try_from(policy.rules().retry.attempts()).unwrap_or(usize::MAX);
    let sound = match delivery.state {
        DeliveryState::Pending => return Some("a delivery never ended"),
        DeliveryState::Ended(End::Delivered) => succeeded && successes == 1,
        DeliveryState::Ended(End::Exhausted) => successes == 0 && counted == most,
        DeliveryState::Ended(End::Expired) => successes == 0 && lived >= policy.expires(),
        DeliveryState::Ended(_) => successes == 0 && dropped,
    };
    (!sound || !numbered).then_some("a delivery ended without the reason for it")
}

/// Whether an attempt is the next one, or the next that the log keeps.
const fn follows(before: &Attempt, next: &Attempt) -> bool {
    let steps = next.number.saturating_sub(before.number);
    steps == 1 || (next.replaces_previous() && steps == next.uncounted.saturating_sub(before.uncounted))
}
