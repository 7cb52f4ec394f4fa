//! `PublishBatcher`: calls to publish that share a transaction.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hookwire::model::TenantId;
use hookwire::store::{Claim, ClaimRequest, Publication, PublishAnswer, Published, StoreError};
use tokio::sync::oneshot::{self, Receiver, Sender};

/// The most rows, and the most bytes of payload, that are published in one transaction.
pub(crate) const MAX_BATCH: Size = Size { rows: 512, bytes: 4 * 1024 * 1024 };

/// The most transactions that are written at once.
const MAX_WRITERS: usize = 2;

/// Batches calls to publish, of any tenants. Calls of a tenant whose events are being written would wait for locks.
/// They are queued until that transaction ends or they fill one of their own. So more callers make larger batches, and
/// a single caller waits for nobody.
#[derive(Debug, Default)]
pub(crate) struct PublishBatcher {
    queue: Mutex<Queue>,
    calls: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Call>,
    /// The writers, by the number of their first call, with the tenants whose events they are writing.
    writers: HashMap<u64, HashSet<TenantId>>,
}

/// A call to publish: its items, and the claim under which their deliveries may be held.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) items: Vec<Arc<Publication>>,
    pub(crate) hold: Option<ClaimRequest>,
    number: u64,
    answer: Sender<Result<Published, StoreError>>,
}

/// The right to write batches. If the last one is dropped, the calls that still wait fail.
#[derive(Debug)]
pub(crate) struct WriterPermit {
    batcher: Arc<PublishBatcher>,
    number: u64,
}

/// The size of a transaction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

impl Size {
    pub(crate) fn add(&mut self, item: &Publication) {
        self.rows += 1 + item.routing.targets.len();
        self.bytes += item.event.payload.get().len();
    }

    pub(crate) const fn reaches(self, most: Self) -> bool {
        self.rows >= most.rows || self.bytes >= most.bytes
    }
}

impl Call {
    /// Creates a call, and the receiver of its answer.
    pub(crate) fn new(
        items: Vec<Arc<Publication>>,
        hold: Option<ClaimRequest>,
    ) -> (Self, Receiver<Result<Published, StoreError>>) {
        let (answer, answered) = oneshot::channel();
        (Self { items, hold, number: 0, answer }, answered)
    }

    fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        self.items.iter().map(|item| &item.tenant)
    }

    /// Whether both may be held for the same dispatcher, or none of them for any.
    fn goes_with(&self, other: &Self) -> bool {
        let terms = |hold: Option<ClaimRequest>| hold.map(|it| (it.holder, it.lease, it.quota));
        terms(self.hold) == terms(other.hold)
    }
}

impl PublishBatcher {
    /// Adds a call. Returns its number, and a permit to write if there is one.
    pub(crate) fn add(self: &Arc<Self>, call: Call) -> (u64, Option<WriterPermit>) {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let mut queue = self.queue();
        queue.waiting.push(Call { number, ..call });
        let is_free = queue.writers.len() < MAX_WRITERS;
        let permit = is_free.then(|| {
            queue.writers.insert(number, HashSet::new());
            WriterPermit { batcher: Arc::clone(self), number }
        });
        (number, permit)
    }

    /// Withdraws a call that still waits. Returns `false` for one that is being written, and will get its answer.
    pub(crate) fn withdraw(&self, number: u64) -> bool {
        self.queue().waiting.extract_if(.., |call| call.number == number).count() > 0
    }

    /// A panic under the lock leaves the queue consistent, so a poisoned lock is used like any other.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WriterPermit {
    /// Takes the next batch: the first waiting call whose tenants nobody else writes, or the first one if enough wait, and
    /// those that go with it, up to a size of `most`. `None` if there is none, which ends the permit: the others write what
    /// still waits. Calls whose callers have gone are left out.
    pub(crate) fn next(&self, most: Size) -> Option<Vec<Call>> {
        let mut queue = self.batcher.queue();
        queue.writers.remove(&self.number);
        queue.waiting.retain(|call| !call.answer.is_closed());
        let batch = queue.take(most);
        if batch.is_empty() {
            return None;
        }
        queue.writers.insert(self.number, batch.iter().flat_map(Call::tenants).cloned().collect());
        Some(batch)
    }
}

impl Queue {
    /// The tenants whose events are being written.
    fn writing(&self) -> HashSet<TenantId> {
        self.writers.values().flatten().cloned().collect()
    }

    /// Whether what waits makes a transaction of full size. Then waiting for more would only take time.
    fn is_enough(&self, most: Size) -> bool {
        let mut size = Size::default();
        self.waiting.iter().flat_map(|call| &call.items).for_each(|item| size.add(item));
        size.reaches(most)
    }

    /// Takes calls that go together, up to a size of `most`. Those of one tenant keep their order.
    fn take(&mut self, most: Size) -> Vec<Call> {
        let (mut batch, mut size) = (Vec::<Call>::new(), Size::default());
        let mut blocked = if self.is_enough(most) { HashSet::new() } else { self.writing() };
        for call in mem::take(&mut self.waiting) {
            let fits = !size.reaches(most) && batch.first().is_none_or(|first| call.goes_with(first));
            if fits && !call.tenants().any(|tenant| blocked.contains(tenant)) {
                call.items.iter().for_each(|item| size.add(item));
                batch.push(call);
            } else {
                blocked.extend(call.tenants().cloned());
                self.waiting.push(call);
            }
        }
        batch
    }
}

impl Drop for WriterPermit {
    fn drop(&mut self) {
        let mut queue = self.batcher.queue();
        if queue.writers.remove(&self.number).is_some() && queue.writers.is_empty() {
            queue.waiting.clear();
        }
    }
}

/// Splits items into parts of the size of one transaction.
pub(crate) fn split(items: &[Publication]) -> Vec<Vec<Arc<Publication>>> {
    let mut parts = Vec::new();
    let (mut part, mut size) = (Vec::new(), Size::default());
    for item in items {
        size.add(item);
        part.push(Arc::new(item.clone()));
        if size.reaches(MAX_BATCH) {
            parts.push(mem::take(&mut part));
            size = Size::default();
        }
    }
    parts.extend((!part.is_empty()).then_some(part));
    parts
}

/// Returns the numbers of the items of each tenant, in their order.
pub(crate) fn by_tenant<'a>(tenants: impl Iterator<Item = &'a TenantId>) -> BTreeMap<TenantId, Vec<usize>> {
    let mut numbers: BTreeMap<TenantId, Vec<usize>> = BTreeMap::new();
    for (number, tenant) in tenants.enumerate() {
        numbers.entry(tenant.clone()).or_default().push(number);
    }
    numbers
}

/// Returns the claim under which the deliveries of a batch may be held: that of the last call, which knows best how much
/// room there is. What others have taken since is counted by the store itself.
pub(crate) fn hold_of(calls: &[Call]) -> Option<ClaimRequest> {
    calls.last().and_then(|call| call.hold)
}

/// Gives each call its part of the answer to the batch.
pub(crate) fn answer(calls: Vec<Call>, done: Result<Published, StoreError>) {
    let published = match done {
        Ok(published) => published,
        Err(error) => return refuse(calls, error),
    };
    let mut answers = published.answers.into_iter();
    let mut held = published.held;
    for call in calls {
        let answers: Vec<_> = answers.by_ref().take(call.items.len()).collect();
        // Several calls may have published the same message: the one that stored it gets the claim.
        let stored = call.items.iter().zip(&answers).filter(|(_, it)| matches!(it, PublishAnswer::Stored(_)));
        let stored: HashSet<_> = stored.map(|(item, _)| (&item.tenant, &item.event.message_id)).collect();
        let is_its = |claim: &mut Claim| stored.contains(&(&claim.tenant, &claim.event.message_id));
        let held = held.extract_if(.., is_its).collect();
        // A caller that has gone finds out by publishing again. Its claims are due when their leases end.
        let _ = call.answer.send(Ok(Published { answers, held }));
    }
}

/// Gives the first call the error itself, and the others a copy of its kind and text.
fn refuse(calls: Vec<Call>, error: StoreError) {
    let (kind, text) = (error.kind(), error.detail());
    let mut error = Some(error);
    for call in calls {
        let error = error.take().unwrap_or_else(|| StoreError::new(kind, text.clone()));
        let _ = call.answer.send(Err(error));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hookwire::delivery::Health;
    use hookwire::model::{DeliveryId, Event, EventId, MessageId, Timestamp};
    use hookwire::registry::{RegisteredWebhook, Revision};
    use hookwire::retry::RetryState;
    use hookwire::store::{Fence, HolderId, Quota, Receipt, Routing, StoreErrorKind};

    use super::*;

    type Answered = Receiver<Result<Published, StoreError>>;

    fn acme() -> TenantId {
        TenantId::new("acme").unwrap()
    }

    fn call(ids: &[&str], holder: u128) -> (Call, Answered) {
        call_of(&acme(), ids, holder)
    }

    fn call_of(tenant: &TenantId, ids: &[&str], holder: u128) -> (Call, Answered) {
        let items = ids.iter().map(|id| {
            let event = Event::new(EventId::new(1), id).unwrap();
            let event = event.stamped(|| MessageId::new(*id).unwrap(), Timestamp::from_secs(1));
            let routing = Routing::default();
            Arc::new(Publication::new(tenant.clone(), event, Revision::default(), routing, Duration::ZERO))
        });
        let (holder, lease, quota) = (HolderId::new(holder), Duration::ZERO, Quota::default());
        let hold = ClaimRequest {
            holder,
            lease,
            limit: ids.len(),
            max_bytes: 10,
            quota,
            start_within: Duration::from_secs(1),
        };
        Call::new(items.collect(), Some(hold))
    }

    fn add(batcher: &Arc<PublishBatcher>, ids: &[&str], holder: u128) -> (Option<WriterPermit>, Answered) {
        let (call, answered) = call(ids, holder);
        (batcher.add(call).1, answered)
    }

    /// A batcher at which all writers but one are busy.
    fn batcher() -> (Arc<PublishBatcher>, Vec<WriterPermit>) {
        let batcher = Arc::<PublishBatcher>::default();
        let busy = (1..MAX_WRITERS).map(|_| {
            let (call, _answered) = call_of(&TenantId::new("busy").unwrap(), &["busy"], 9);
            let permit = batcher.add(call).1.expect("it is free");
            permit.next(rows(1));
            permit
        });
        let busy = busy.collect();
        (batcher, busy)
    }

    const fn rows(rows: usize) -> Size {
        Size { rows, bytes: usize::MAX }
    }

    fn claim_of(item: &Publication) -> Claim {
        let webhook =
            r#"{"hook_id":1,"name":"h","url":"https://hooks.example.com/","subscriptions":[{"event_id":1}]}"#;
        let hook = RegisteredWebhook::new(serde_json::from_str(webhook).unwrap());
        let (id, fence, hook) = (DeliveryId::new(1), Fence::new(1), Arc::new(hook));
        let (event, health) = (Arc::clone(&item.event), Health::default());
        Claim { id, fence, tenant: acme(), hook, event, attempts: 0, retry: RetryState::default(), health }
    }

    /// How many items each call of a group has.
    fn sizes(group: Option<Vec<Call>>) -> Vec<usize> {
        group.unwrap_or_default().iter().map(|call| call.items.len()).collect()
    }

    #[test]
    fn calls_that_go_together_make_a_group_of_bounded_size() {
        let (batcher, _busy) = batcher();
        let (permit, _first) = add(&batcher, &["a"], 1);
        let permit = permit.expect("one is free");
        let others = [(["b", "c"], 1), (["d", "e"], 1), (["f", "g"], 2)];
        let others = others.map(|(ids, holder)| add(&batcher, &ids, holder));
        assert!(others.iter().all(|(permit, _)| permit.is_none()), "all write");
        assert_eq!(sizes(permit.next(rows(3))), [1, 2]);
        assert_eq!(sizes(permit.next(rows(3))), [2], "the next is for another dispatcher");
        assert_eq!(sizes(permit.next(rows(1))), [2], "a large one comes alone");
        assert!(permit.next(rows(3)).is_none());
        let (next, _later) = add(&batcher, &["h"], 1);
        drop(permit);
        assert_eq!(
            sizes(next.expect("the right has ended").next(rows(3))),
            [1],
            "and its end takes nothing along"
        );
    }

    #[test]
    fn a_tenant_is_written_by_one_writer_at_a_time_and_others_meanwhile() {
        let (batcher, other) = (Arc::<PublishBatcher>::default(), TenantId::new("other").unwrap());
        let (first, _to_first) = add(&batcher, &["a"], 1);
        let first = first.expect("nobody writes");
        assert_eq!(sizes(first.next(rows(9))), [1]);
        let (second, _to_second) = add(&batcher, &["b", "c"], 1);
        assert!(second.expect("one is free").next(rows(9)).is_none(), "its tenant is being written");
        let (call, _to_third) = call_of(&other, &["d", "e", "f"], 1);
        let third = batcher.add(call).1.expect("one is free");
        assert_eq!(sizes(third.next(rows(9))), [3], "the other tenant does not wait");
        let (call, _to_fourth) = call_of(&other, &["g"], 1);
        assert!(batcher.add(call).1.is_none());
        assert_eq!(sizes(first.next(rows(9))), [2], "what waited for it; the other is still being written");
        let (_, _to_fifth) = add(&batcher, &["h"], 1);
        drop(third);
        assert_eq!(sizes(first.next(rows(9))), [1, 1], "a writer that is lost keeps no tenant");
    }

    #[test]
    fn a_tenant_with_enough_for_a_transaction_is_written_by_two() {
        let batcher = Arc::<PublishBatcher>::default();
        let (first, _to_first) = add(&batcher, &["a"], 1);
        let first = first.expect("nobody writes");
        assert_eq!(sizes(first.next(rows(3))), [1]);
        let (second, _to_second) = add(&batcher, &["b", "c"], 1);
        assert!(second.expect("one is free").next(rows(3)).is_none(), "too little");
        let (third, _to_third) = add(&batcher, &["d"], 1);
        assert_eq!(sizes(third.expect("one is free").next(rows(3))), [2, 1]);
    }

    #[test]
    fn only_a_call_that_waits_can_be_withdrawn() {
        let (batcher, _busy) = batcher();
        let calls = [call(&["a"], 1), call(&["b"], 1), call(&["c"], 1)];
        let (calls, _answered): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
        let mut added = calls.into_iter().map(|call| batcher.add(call)).collect::<Vec<_>>();
        let numbers: Vec<_> = added.iter().map(|(number, _)| *number).collect();
        let permit = added.remove(0).1.expect("the right to write");
        let group = permit.next(rows(1));
        assert!(!batcher.withdraw(numbers[0]), "it is being written");
        assert!(batcher.withdraw(numbers[1]) && !batcher.withdraw(numbers[1]));
        drop(group);
        assert_eq!(sizes(permit.next(rows(9))), [1], "the other still waits");
    }

    #[test]
    fn a_call_whose_caller_has_gone_is_left_out() {
        let batcher = Arc::default();
        let (permit, first) = add(&batcher, &["a"], 1);
        drop(first);
        assert!(permit.expect("the right to write").next(rows(3)).is_none());
    }

    #[test]
    fn whoever_waits_is_told_if_nobody_writes_any_more() {
        let (batcher, busy) = batcher();
        let (permit, mut first) = add(&batcher, &["a"], 1);
        drop(permit);
        assert_eq!(first.try_recv().unwrap_err(), oneshot::error::TryRecvError::Empty, "others write");
        drop(busy);
        assert_eq!(first.try_recv().unwrap_err(), oneshot::error::TryRecvError::Closed);
        assert!(add(&batcher, &["b"], 1).0.is_some());
    }

    #[test]
    fn each_call_gets_its_own_part() {
        let ((one, mut to_one), (two, mut to_two)) = (call(&["a", "b"], 1), call(&["c"], 1));
        assert_eq!(hold_of(&[call(&["a", "b"], 1).0, call(&["c"], 1).0]).map(|it| it.limit), Some(1));
        let answers = vec![PublishAnswer::IdReused, PublishAnswer::IdReused];
        answer(vec![one, two], Ok(Published { answers, held: Vec::new() }));
        assert_eq!(to_one.try_recv().unwrap().unwrap().answers.len(), 2);
        assert!(to_two.try_recv().unwrap().unwrap().answers.is_empty(), "it did not come to this one");
    }

    #[test]
    fn what_is_held_goes_to_the_one_that_was_stored() {
        let ((one, mut to_one), (two, mut to_two)) = (call(&["a"], 1), call(&["a"], 1));
        let held = vec![claim_of(&one.items[0])];
        let receipt = Receipt { published_at: Timestamp::from_secs(1), targets: 1, skipped: 0 };
        let answers = vec![PublishAnswer::Stale(Revision::default()), PublishAnswer::Stored(receipt)];
        answer(vec![one, two], Ok(Published { answers, held }));
        let held = [&mut to_one, &mut to_two].map(|it| it.try_recv().unwrap().unwrap().held.len());
        assert_eq!(held, [0, 1]);
    }

    #[test]
    fn an_error_is_everybodys() {
        let ((one, mut to_one), (two, mut to_two)) = (call(&["a"], 1), call(&["b"], 1));
        answer(vec![one, two], Err(StoreError::new(StoreErrorKind::Unavailable, "gone")));
        let texts = [&mut to_one, &mut to_two].map(|it| it.try_recv().unwrap().unwrap_err().detail());
        assert!(texts.iter().all(|text| text.contains("gone")), "{texts:?}");
    }
}
