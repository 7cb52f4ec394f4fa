//! [`Operations`]: work of many steps that goes on after the answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hookwire::model::PageRequest;
use hookwire::store::Recovered;
use hookwire::{Error, TenantId};
use serde::Serialize;
use uuid::Uuid;

/// The most operations of a tenant at once, and the most that are kept of all tenants, the ended ones too.
const MAX_OF_TENANT: usize = 4;
const MAX_KEPT: usize = 1_000;

/// The operations that this process has begun, until newer ones take their places.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operations(Arc<Mutex<HashMap<Uuid, Operation>>>);

/// How far an operation is.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Operation {
    pub(crate) id: Uuid,
    #[serde(skip)]
    tenant: TenantId,
    state: State,
    /// The number of deliveries that it has made.
    pub(crate) made: usize,
    /// The order in which they began.
    #[serde(skip)]
    number: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Cancelled,
    Done,
    Failed,
    Running,
}

/// An operation that is under way until this is dropped, be it by a panic or with the runtime.
struct Running {
    operations: Operations,
    id: Uuid,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.operations.fail(self.id);
    }
}

impl Operation {
    #[cfg(feature = "page")]
    pub(crate) const fn is_running(&self) -> bool {
        matches!(self.state, State::Running)
    }

    #[cfg(feature = "page")]
    pub(crate) const fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed)
    }
}

impl Operations {
    /// Begins an operation: takes its first step, so that what is refused is refused at once, and goes on in the background.
    /// `None` if the tenant has as many under way as it may.
    pub(crate) async fn begin<F, Fut>(&self, tenant: &TenantId, step: F) -> Result<Option<Operation>, Error>
    where
        F: Fn(PageRequest) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Recovered, Error>> + Send,
    {
        if self.is_full(tenant) {
            return Ok(None);
        }
        let first = step(PageRequest::first()).await?;
        let operation = self.add(tenant, &first);
        if let Some(next) = first.next {
            self.go_on(operation.id, next, step);
        }
        Ok(Some(operation))
    }

    /// Goes on with an operation: `step` does the part of it that a page tells, until there is no next one.
    fn go_on<F, Fut>(&self, id: Uuid, next: String, step: F)
    where
        F: Fn(PageRequest) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Recovered, Error>> + Send,
    {
        let (running, mut next) = (Running { operations: self.clone(), id }, Some(next));
        tokio::spawn(async move {
            while let Some(cursor) = next {
                let done = step(PageRequest::after(cursor)).await;
                next = running.operations.note(running.id, &done);
            }
        });
    }

    /// Notes what a step did, and returns where the next one begins, if there is one to do.
    fn note(&self, id: Uuid, done: &Result<Recovered, Error>) -> Option<String> {
        let mut all = self.lock();
        let operation = all.get_mut(&id)?;
        let Ok(Recovered { made, next }) = done else {
            operation.state = State::Failed;
            return None;
        };
        operation.made += made;
        if operation.state == State::Running && next.is_none() {
            operation.state = State::Done;
        }
        next.clone().filter(|_| operation.state == State::Running)
    }

    /// Returns an operation of a tenant.
    pub(crate) fn get(&self, tenant: &TenantId, id: Uuid) -> Option<Operation> {
        self.lock().get(&id).filter(|it| it.tenant == *tenant).cloned()
    }

    /// Cancels an operation after the step that is under way, unless it has ended.
    pub(crate) fn cancel(&self, tenant: &TenantId, id: Uuid) -> Option<Operation> {
        let mut all = self.lock();
        let operation = all.get_mut(&id).filter(|it| it.tenant == *tenant)?;
        if operation.state == State::Running {
            operation.state = State::Cancelled;
        }
        Some(operation.clone())
    }

    /// Whether a tenant has as many operations under way as it may.
    fn is_full(&self, tenant: &TenantId) -> bool {
        let all = self.lock();
        let running = all.values().filter(|it| it.tenant == *tenant && it.state == State::Running);
        running.count() >= MAX_OF_TENANT
    }

    /// Adds an operation of a tenant, whose first step is done.
    fn add(&self, tenant: &TenantId, first: &Recovered) -> Operation {
        let mut all = self.lock();
        if all.len() >= MAX_KEPT {
            let ended = all.values().filter(|it| it.state != State::Running);
            let oldest = ended.min_by_key(|it| it.number).map(|it| it.id);
            oldest.and_then(|id| all.remove(&id));
        }
        let number = all.values().map(|it| it.number + 1).max().unwrap_or_default();
        let state = if first.next.is_some() { State::Running } else { State::Done };
        let (id, tenant) = (Uuid::new_v4(), tenant.clone());
        let operation = Operation { id, tenant, state, made: first.made, number };
        all.insert(id, operation.clone());
        operation
    }

    /// Ends an operation that is still under way.
    fn fail(&self, id: Uuid) {
        let mut all = self.lock();
        if let Some(operation) = all.get_mut(&id).filter(|it| it.state == State::Running) {
            operation.state = State::Failed;
        }
    }

    /// A panic leaves the map consistent, so a poisoned lock is usable.
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Operation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
