//! A store whose calls fail by a plan.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::store::{Store, StoreError, StoreErrorKind, delegate_store};

/// A store whose calls fail by a plan.
///
/// ```
/// use hookwire::store::MemoryStore;
/// use hookwire::testing::{Call, Fault, FaultyStore};
///
/// // The first publish takes effect, but its answer is lost.
/// let store = FaultyStore::new(MemoryStore::new(), |call, nth| match (call, nth) {
///     (Call::Publish, 0) => Fault::After,
///     _ => Fault::None,
/// });
/// ```
pub struct FaultyStore<S> {
    store: S,
    plan: Box<dyn Fn(Call, u64) -> Fault + Send + Sync>,
    counts: Mutex<HashMap<Call, u64>>,
}

/// The way in which a call of a [`FaultyStore`] fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// The call takes effect, but its answer is lost.
    After,
    /// The call fails without effect.
    Before,
    /// The call takes effect at once, and its answer comes later by this duration.
    Late(Duration),
    /// The call does not fail.
    None,
}

/// A method of [`Store`] that can fail.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(missing_docs, reason = "each is named like its method")]
#[non_exhaustive]
pub enum Call {
    Add,
    Attempts,
    Claim,
    Commit,
    Count,
    Deliveries,
    Disabled,
    Erase,
    ErasePayload,
    Event,
    Health,
    Messages,
    Publish,
    Recover,
    Redeliver,
    Registry,
    Release,
    Route,
    Settle,
    Statistics,
    Stats,
    Tenants,
    Tend,
}

impl<S: Store> FaultyStore<S> {
    /// Creates a store whose calls fail by `plan`. The second argument of `plan` is the number of earlier calls of
    /// the same method.
    pub fn new(store: S, plan: impl Fn(Call, u64) -> Fault + Send + Sync + 'static) -> Self {
        Self { store, plan: Box::new(plan), counts: Mutex::default() }
    }

    async fn with<T: Send>(
        &self,
        call: Call,
        answer: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let fault = (self.plan)(call, self.count(call));
        let planned = |when| StoreError::new(StoreErrorKind::Unavailable, format!("planned fault {when}"));
        match fault {
            Fault::After => answer.await.and_then(|_| Err(planned("after the effect"))),
            Fault::Before => Err(planned("before the effect")),
            Fault::Late(by) => {
                let answer = answer.await;
                tokio::time::sleep(by).await;
                answer
            }
            Fault::None => answer.await,
        }
    }

    fn count(&self, call: Call) -> u64 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(call).or_default();
        *count += 1;
        *count - 1
    }
}

impl<S: fmt::Debug> fmt::Debug for FaultyStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").field("store", &self.store).finish_non_exhaustive()
    }
}

#[async_trait]
impl<S: Store> Store for FaultyStore<S> {
    delegate_store! { |self| self.store; wake, poll_every }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Registry, call); registry }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Commit, call); commit }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Health, call); health }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Disabled, call); disabled }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Tenants, call); tenants }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Publish, call); publish }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Route, call); route }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Redeliver, call); redeliver }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Add, call); add }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::ErasePayload, call); erase_payload }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Recover, call); recover }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Claim, call); claim, claim_of }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Settle, call); settle }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Release, call); release }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Event, call); event }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Messages, call); messages }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Deliveries, call); deliveries }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Attempts, call); attempts }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Stats, call); stats }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Count, call); count }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Statistics, call); statistics }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Tend, call); tend }
    delegate_store! { |self| self.store, |_method, call| self.with(Call::Erase, call); erase }
}
