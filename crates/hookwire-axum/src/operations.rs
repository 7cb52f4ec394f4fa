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
    made: usize,
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

impl Operations {
    /// Goes on with an operation: `step` does the part of it that a page tells, until there is no next one.
    pub(crate) fn go_on<F, Fut>(&self, id: Uuid, next: String, step: F)
    where
        F: Fn(PageRequest) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Recovered, Error>> + Send,
    {
        let (operations, mut next) = (self.clone(), Some(next));
        tokio::spawn(async move {
            while let Some(cursor) = next {
                let done = step(PageRequest::after(cursor)).await;
                next = operations.note(id, &done);
            }
        });
    }

    /// Notes what a step did, and returns where the next one begins, if there is one to do.
    pub(crate) fn note(&self, id: Uuid, done: &Result<Recovered, Error>) -> Option<String> {
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

    /// Adds an operation of a tenant; `None` if it has as many under way as it may.
    pub(crate) fn add(&self, tenant: &TenantId) -> Option<Operation> {
        let mut all = self.lock();
        let is_running = |it: &&Operation| it.tenant == *tenant && it.state == State::Running;
        if all.values().filter(is_running).count() >= MAX_OF_TENANT {
            return None;
        }
        if all.len() >= MAX_KEPT {
            let ended = all.values().filter(|it| it.state != State::Running);
            let oldest = ended.min_by_key(|it| it.number)?.id;
            all.remove(&oldest);
        }
        let number = all.values().map(|it| it.number + 1).max().unwrap_or_default();
        let (id, tenant) = (Uuid::new_v4(), tenant.clone());
        let operation = Operation { id, tenant, state: State::Running, made: 0, number };
        all.insert(id, operation.clone());
        Some(operation)
    }

    /// A panic leaves the map consistent, so a poisoned lock is usable.
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Operation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
