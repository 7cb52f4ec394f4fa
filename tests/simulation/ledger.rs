//! Everything that happened in a world, and what of it broke a promise at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use hookwire::TenantId;
use hookwire::clock::Clock;
use hookwire::model::{DeliveryId, HookId, MessageId};
use hookwire::policy::Policy;
use hookwire::store::{Claim, HolderId, Settled, Settlement};
use hookwire::testing::TokioClock;

use crate::prng::mix;
use crate::process::Process;

pub(crate) type HookKey = (TenantId, HookId);
pub(crate) type MessageKey = (TenantId, MessageId);

#[derive(Debug)]
pub(crate) struct Ledger {
    clock: TokioClock,
    policy: Policy,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) violations: Vec<String>,
    pub(crate) lines: Vec<String>,
    pub(crate) hash: u64,
    /// The webhook behind each host name.
    pub(crate) hosts: BTreeMap<String, HookKey>,
    pub(crate) leases: BTreeMap<u64, Lease>,
    /// The newest fence of each delivery.
    newest: BTreeMap<DeliveryId, u64>,
    pub(crate) requests: Vec<Request>,
    /// When processes were killed or their dispatchers stopped, which may break attempts off.
    pub(crate) stops: Vec<(usize, i64)>,
    /// Fences of settlements of which some call failed, or that came too late.
    pub(crate) unsettled: BTreeSet<u64>,
    /// The webhooks that publishing promised the message to.
    pub(crate) targets: BTreeMap<MessageKey, Vec<HookId>>,
    /// The content that was confirmed under each id.
    pub(crate) confirmed: BTreeMap<MessageKey, u64>,
    /// Webhooks of which the backlog may have been dropped.
    pub(crate) dropped: BTreeSet<HookKey>,
    pub(crate) switches: BTreeMap<HookKey, Switch>,
}

/// A claim, as the store gave it.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) process: usize,
    holder: HolderId,
    pub(crate) hook: HookKey,
    pub(crate) message: MessageId,
    delivery: DeliveryId,
    until: i64,
    /// Settled, or given up by its holder.
    over: bool,
    request: Option<usize>,
}

/// A request, as the receiver saw it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) process: usize,
    pub(crate) skew: i64,
    pub(crate) hook: HookKey,
    pub(crate) message: MessageId,
    pub(crate) start: i64,
    pub(crate) fence: Option<u64>,
    pub(crate) running: bool,
    /// The result; `None` if the act was broken off.
    pub(crate) outcome: Option<String>,
}

/// The act that turned a webhook off, and the one that is turning it on.
#[derive(Debug, Default)]
pub(crate) struct Switch {
    off: Vec<Off>,
    enabling: usize,
    enables: usize,
}

#[derive(Clone, Copy, Debug)]
struct Off {
    process: usize,
    at: i64,
    deleted: bool,
}

impl Ledger {
    pub(crate) fn new(clock: TokioClock, policy: Policy) -> Self {
        Self { clock, policy, book: Mutex::default() }
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().as_millis()
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("no check panics")
    }

    pub(crate) fn note(&self, line: &str) {
        let now = self.now();
        self.book().note(now, line);
    }

    pub(crate) fn violation(&self, what: String) {
        let now = self.now();
        let mut book = self.book();
        book.note(now, &format!("VIOLATION {what}"));
        book.violations.push(what);
    }

    /// The store gave these claims to a process.
    pub(crate) fn claimed(&self, process: &Process, holder: HolderId, claims: &[Claim]) {
        let now = self.now();
        for claim in claims {
            let broken = self.book().claim(process.number, holder, claim, now, &self.policy);
            broken.into_iter().for_each(|what| self.violation(what));
        }
    }

    /// The store answered these settlements.
    pub(crate) fn settled(&self, items: &[Settlement], answers: &[Settled]) {
        for (item, answer) in items.iter().zip(answers) {
            self.note(&format!("settle {} fence {} {:?} {answer:?}", item.id, item.fence.get(), item.next));
            let broken = self.book().settle(item, *answer);
            broken.into_iter().for_each(|what| self.violation(what));
        }
    }

    /// A call that settled these failed, so that they may not be recorded.
    pub(crate) fn unsettled(&self, items: &[Settlement]) {
        self.book().unsettled.extend(items.iter().map(|item| item.fence.get()));
    }

    pub(crate) fn released(&self, holder: HolderId) {
        let mut book = self.book();
        let given_up = book.leases.values_mut().filter(|lease| lease.holder == holder);
        given_up.for_each(|lease| lease.over = true);
    }

    /// A receiver saw a request; gives its number.
    pub(crate) fn request(&self, process: &Process, host: &str, message: MessageId) -> Option<usize> {
        let now = self.now();
        self.note(&format!("request p{} {host} {message}", process.number));
        let Some(hook) = self.book().hosts.get(host).cloned() else {
            self.violation(format!("a request went to {host}, which nobody registered"));
            return None;
        };
        let skew = i64::try_from(process.skew.as_millis()).expect("small");
        let (start, process) = (now, process.number);
        let request =
            Request { process, skew, hook, message, start, fence: None, running: true, outcome: None };
        let (number, broken) = self.book().start(request, &self.policy);
        broken.into_iter().for_each(|what| self.violation(what));
        Some(number)
    }

    /// A publish of this content was confirmed.
    pub(crate) fn confirm(&self, key: &MessageKey, content: u64) {
        let first = *self.book().confirmed.entry(key.clone()).or_insert(content);
        if first != content {
            self.violation(format!("{}/{} was confirmed for two contents", key.0, key.1));
        }
    }

    /// A process was killed or its dispatcher stopped.
    pub(crate) fn stop(&self, process: &Process, how: &str) {
        self.note(&format!("{how} p{}", process.number));
        let now = self.now();
        self.book().stops.push((process.number, now));
    }

    pub(crate) fn answered(&self, number: usize, outcome: Option<String>) {
        let line = format!("request {number} ended: {}", outcome.as_deref().unwrap_or("broken off"));
        self.note(&line);
        let mut book = self.book();
        let request = &mut book.requests[number];
        (request.running, request.outcome) = (false, outcome);
    }
}

impl Book {
    fn note(&mut self, now: i64, line: &str) {
        let line = format!("{now} {line}");
        self.hash = line.bytes().fold(self.hash, |hash, byte| mix(hash ^ u64::from(byte)));
        self.lines.push(line);
    }

    fn claim(
        &mut self,
        process: usize,
        holder: HolderId,
        claim: &Claim,
        now: i64,
        policy: &Policy,
    ) -> Option<String> {
        let (id, fence) = (claim.id, claim.fence.get());
        let hook = (claim.tenant.clone(), claim.hook.hook_id());
        self.note(now, &format!("claim p{process} {id} fence {fence} {} {}", hook.1, claim.event.message_id));
        let live = self.newest.insert(id, fence).and_then(|newest| self.leases.get(&newest));
        let twice = live.is_some_and(|lease| !lease.over && lease.until > now);
        let until = now + i64::try_from(policy.lease().as_millis()).expect("short");
        let message = claim.event.message_id.clone();
        let lease = Lease { process, holder, hook, message, delivery: id, until, over: false, request: None };
        let used = self.leases.insert(fence, lease).is_some();
        match (twice, used) {
            (true, _) => Some(format!("delivery {id} was claimed while its lease held")),
            (_, true) => Some(format!("fence {fence} was used twice")),
            _ => None,
        }
    }

    fn settle(&mut self, item: &Settlement, answer: Settled) -> Option<String> {
        let fence = item.fence.get();
        if answer == Settled::Fenced {
            self.unsettled.insert(fence);
            return None;
        }
        let stale = self.newest.get(&item.id) != Some(&fence);
        let lease = self.leases.get_mut(&fence)?;
        let again = std::mem::replace(&mut lease.over, true);
        let what = if stale { "stale" } else { "used" };
        (stale || again)
            .then(|| format!("a settlement of delivery {} with a {what} fence took effect", item.id))
    }

    /// Starts a request, and checks what may run and start at this moment.
    fn start(&mut self, mut request: Request, policy: &Policy) -> (usize, Vec<String>) {
        let mut broken = Vec::new();
        let number = self.requests.len();
        request.fence = self.lease_for(&request, policy);
        match request.fence {
            Some(fence) => broken.extend(self.overlap(fence, &request)),
            None => broken.push(format!("request {number} started without a lease that leaves time for it")),
        }
        broken.extend(self.turned_off(&request, policy));
        if let Some(lease) = request.fence.and_then(|fence| self.leases.get_mut(&fence)) {
            lease.request = Some(number);
        }
        self.requests.push(request);
        broken.extend(self.crowd(number, policy));
        (number, broken)
    }

    /// The claim that the request belongs to. Where a message was redelivered, several fit: the one that
    /// ends first, so that the others stay for later requests.
    fn lease_for(&self, request: &Request, policy: &Policy) -> Option<u64> {
        let needed = policy.deadline();
        let needed = i64::try_from(needed.as_millis()).expect("short");
        let fits = |lease: &Lease| {
            let same = lease.hook == request.hook && lease.message == request.message;
            let unused = !lease.over && lease.request.is_none() && lease.process == request.process;
            // Times are whole milliseconds, rounded either way.
            same && unused && lease.until - request.start >= needed - 1
        };
        let fitting = self.leases.iter().filter(|(_, lease)| fits(lease));
        fitting.min_by_key(|(_, lease)| lease.until).map(|(fence, _)| *fence)
    }

    fn overlap(&self, fence: u64, request: &Request) -> Option<String> {
        let delivery = self.leases.get(&fence)?.delivery;
        let holds = |other: &u64| {
            let lease = self.leases.get(other)?;
            (lease.delivery == delivery && !lease.over && lease.until > request.start).then_some(lease)
        };
        let running = self.requests.iter().filter(|it| it.running);
        let other = running.filter_map(|it| it.fence).filter(|it| *it != fence).find_map(|it| holds(&it))?;
        Some(format!("delivery {delivery} ran in p{} and p{} at once", other.process, request.process))
    }

    fn turned_off(&self, request: &Request, policy: &Policy) -> Option<String> {
        let lease = i64::try_from(policy.lease().as_millis()).expect("short");
        let off = &self.switches.get(&request.hook)?.off;
        let late = |it: &&Off| it.process == request.process || request.start > it.at + lease;
        let off = off.iter().find(late)?;
        let (hook, what) = (request.hook.1, if off.deleted { "deleting" } else { "disabling" });
        Some(format!(
            "p{} called webhook {hook} after {what} it returned in p{}",
            request.process, off.process
        ))
    }

    fn crowd(&self, number: usize, policy: &Policy) -> Option<String> {
        let request = &self.requests[number];
        let ours = self.requests.iter().filter(|it| it.running && it.process == request.process);
        let (mut all, mut tenant, mut webhook) = (0, 0, 0);
        for other in ours {
            all += 1;
            tenant += usize::from(other.hook.0 == request.hook.0);
            webhook += usize::from(other.hook == request.hook);
        }
        let quota = policy.quota();
        let over = all > quota.in_all() || tenant > quota.per_tenant() || webhook > quota.per_webhook();
        over.then(|| format!("over the limit: {all} in all, {tenant} of a tenant, {webhook} of a webhook"))
    }
}

/// Registry changes: what holds from when they return.
impl Ledger {
    /// Tells a later [`off`](Self::off) whether the webhook was being enabled in between; `None` if it is.
    pub(crate) fn turning_off(&self, hook: &HookKey) -> Option<usize> {
        let mut book = self.book();
        let switch = book.switches.entry(hook.clone()).or_default();
        (switch.enabling == 0).then_some(switch.enables)
    }

    /// Disabling or deleting returned.
    pub(crate) fn off(&self, hook: &HookKey, process: usize, asked: Option<usize>, deleted: bool) {
        let at = self.now();
        let mut book = self.book();
        let switch = book.switches.entry(hook.clone()).or_default();
        if deleted || asked == Some(switch.enables) {
            switch.off.push(Off { process, at, deleted });
        }
    }

    /// Enabling begins: from now on attempts may start.
    pub(crate) fn enabling(self: &Arc<Self>, hook: &HookKey) -> Enabling {
        let mut book = self.book();
        let switch = book.switches.entry(hook.clone()).or_default();
        switch.off.retain(|off| off.deleted);
        switch.enabling += 1;
        switch.enables += 1;
        drop(book);
        Enabling { ledger: Arc::clone(self), hook: hook.clone() }
    }
}

/// A call that enables a webhook, until it returned or was dropped.
pub(crate) struct Enabling {
    ledger: Arc<Ledger>,
    hook: HookKey,
}

impl Drop for Enabling {
    fn drop(&mut self) {
        if let Some(switch) = self.ledger.book().switches.get_mut(&self.hook) {
            switch.enabling -= 1;
        }
    }
}
