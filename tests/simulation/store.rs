//! The store as one process sees it: watched at the store's side, with a network in between that fails.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookwire::assist;
use hookwire::model::{MessageId, TenantId};
use hookwire::registry::{RegistryChange, Revision};
use hookwire::routing;
use hookwire::store::{
    ClaimRequest, Claimed, HolderId, MemoryStore, Publication, PublishAnswer, Published, RouteAnswer, Routed,
    Routing, Settled, Settlement, Store, StoreError, StoreErrorKind, WakeMark, delegate_store,
};
use tokio::time::sleep;

use crate::bug::Bug;
use crate::ledger::Ledger;
use crate::process::{Failing, Process};

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) memory: Arc<MemoryStore>,
    pub(crate) process: Arc<Process>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) bug: Option<Arc<Bug>>,
}

impl Link {
    /// Carries a call to the store and its answer back, as the network lets it.
    async fn carry<T>(
        &self,
        effect: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let faults = self.process.draw_faults();
        self.pass(faults.before).await;
        if faults.fails == Some(Failing::Before) {
            return Err(StoreErrorKind::Unavailable.into());
        }
        let answer = effect.await;
        self.pass(faults.after).await;
        match faults.fails {
            Some(_) => Err(StoreErrorKind::Unavailable.into()),
            None => answer,
        }
    }

    async fn pass(&self, time: Duration) {
        if !time.is_zero() {
            sleep(time).await;
        }
        self.process.live().await;
    }

    async fn claim_now(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        let mut claimed = match &self.bug {
            Some(bug) => self.memory.claim(&bug.request(request)).await?,
            None => self.memory.claim(request).await?,
        };
        self.ledger.claimed(&self.process, request.holder, &claimed.deliveries);
        if let Some(bug) = &self.bug {
            bug.held(&self.memory, &claimed.deliveries, self.ledger.now()).await?;
            bug.forget(&mut claimed);
        }
        Ok(claimed)
    }

    async fn publish_now(
        &self,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Result<Published, StoreError> {
        if let Some(published) = self.bug.as_ref().and_then(|bug| bug.publish(items)) {
            return Ok(published);
        }
        let published = self.memory.publish(items, hold).await?;
        if let Some(request) = hold {
            self.ledger.claimed(&self.process, request.holder, &published.held);
        }
        if let Some(bug) = &self.bug {
            bug.held(&self.memory, &published.held, self.ledger.now()).await?;
        }
        for (item, answer) in items.iter().zip(&published.answers) {
            if let PublishAnswer::Stored(_) = answer {
                self.routed(&item.tenant, (&*item.event).into(), &item.event.message_id, &item.routing)
                    .await?;
            }
        }
        Ok(published)
    }

    /// Notes who shall get a message, and checks that these are the right ones at this moment.
    async fn routed(
        &self,
        tenant: &TenantId,
        occasion: routing::RoutingKey<'_>,
        message: &MessageId,
        routing: &Routing,
    ) -> Result<(), StoreError> {
        let registry = self.memory.registry(tenant).await?;
        if *routing
            != routing::route(occasion, &registry, &assist::catalog()).into_iter().collect::<Routing>()
        {
            self.ledger.violation(format!("{message} was routed by an old registry"));
        }
        let key = (tenant.clone(), message.clone());
        self.ledger.book().targets.insert(key, routing.targets.clone());
        self.ledger.note(&format!("stored {tenant}/{message} for {:?}", routing.targets));
        Ok(())
    }

    async fn route_now(&self, items: &[Routed]) -> Result<Vec<RouteAnswer>, StoreError> {
        let answers = self.memory.route(items).await?;
        for (item, answer) in items.iter().zip(&answers) {
            if let (RouteAnswer::Routed, Ok(routing)) = (answer, &item.routing) {
                let event = &item.unrouted.event;
                self.routed(&item.unrouted.tenant, event.into(), &event.message_id, routing).await?;
            }
        }
        Ok(answers)
    }

    async fn commit_now(
        &self,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Result<Revision, StoreError> {
        if self.bug.as_ref().is_some_and(|bug| bug.forgets(change)) {
            return Ok(expected);
        }
        let revision = self.memory.commit(tenant, expected, change).await?;
        if let RegistryChange::Create(new) = change {
            let host = new.webhook.url().as_str().split('/').nth(2).unwrap_or_default().to_owned();
            self.ledger.note(&format!("webhook {} of {tenant} is {host}", new.hook_id()));
            self.ledger.book().hosts.insert(host, (tenant.clone(), new.hook_id()));
        }
        Ok(revision)
    }

    async fn settle_now(&self, items: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        let settled = match &self.bug {
            Some(bug) => bug.settle(&self.memory, items).await?,
            None => self.memory.settle(items).await?,
        };
        self.ledger.settled(items, &settled);
        Ok(settled)
    }

    async fn release_now(&self, holder: HolderId) -> Result<(), StoreError> {
        self.memory.release(holder).await?;
        self.ledger.released(holder);
        Ok(())
    }
}

#[async_trait]
impl Store for Link {
    async fn commit(
        &self,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Result<Revision, StoreError> {
        self.carry(self.commit_now(tenant, expected, change)).await
    }

    async fn publish(
        &self,
        publications: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Result<Published, StoreError> {
        self.carry(self.publish_now(publications, hold)).await
    }

    async fn route(&self, routed: &[Routed]) -> Result<Vec<RouteAnswer>, StoreError> {
        self.carry(self.route_now(routed)).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        self.carry(self.claim_now(request)).await
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        let answer = self.carry(self.settle_now(settlements)).await;
        if answer.is_err() {
            self.ledger.unsettled(settlements);
        }
        answer
    }

    async fn release(&self, holder: HolderId) -> Result<(), StoreError> {
        self.carry(self.release_now(holder)).await
    }

    async fn wake(&self, since: WakeMark) {
        if self.bug.as_ref().is_some_and(|bug| bug.forgets_to_wake()) {
            pending::<()>().await;
        }
        self.memory.wake(since).await;
    }

    delegate_store! { |self| *self.memory; poll_every }
    delegate_store! { |self| *self.memory, |_method, call| self.carry(call);
    registry, health, disabled, tenants, redeliver, add, erase_payload, recover, claim_of, event, messages, deliveries, attempts, stats, count, statistics, tend, erase }
}
