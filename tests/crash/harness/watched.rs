//! The store and the transport of a process, which tell who held what, and how old a claim was when it was sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::delivery::Next;
use hookwire::model::{CallbackUrl, DeliveryId};
use hookwire::store::{
    Claim, ClaimRequest, Claimed, Fence, Publication, Published, Settled, Settlement, Store, StoreError,
    delegate_store,
};
use hookwire::transport::{HttpTransport, SendLimits, Transport, TransportError};
use http::{Request, Response};
use tokio::time::Instant;

use super::ledger::{Change, Delivery, Word};

/// The time that a claim holds in the store, whatever the process believes.
pub(crate) const LEASE: Duration = Duration::from_secs(9);

/// What a process holds by its own account.
#[derive(Debug)]
pub(crate) struct Watch {
    process: u32,
    /// By fence, since a delivery may be claimed again before the answer to its settlement is here.
    held: Mutex<BTreeMap<(DeliveryId, Fence), Held>>,
}

#[derive(Debug)]
struct Held {
    delivery: Delivery,
    asked_at: Instant,
}

impl Watch {
    pub(crate) fn new(process: u32) -> Arc<Self> {
        Arc::new(Self { process, held: Mutex::default() })
    }

    fn claimed(&self, claims: &[Claim], asked_at: Instant) {
        for claim in claims {
            let hook = claim.hook.webhook.name().to_owned();
            let delivery = Delivery { hook, message: claim.event.message_id.to_string() };
            self.say(Change::Claimed, &delivery);
            self.held().insert((claim.id, claim.fence), Held { delivery, asked_at });
        }
    }

    fn settled(&self, settlements: &[Settlement], answers: &[Settled]) {
        for (settlement, answer) in settlements.iter().zip(answers) {
            let change = match (answer, settlement.next) {
                (Settled::Fenced, _) => Change::Fenced,
                (Settled::Applied(_), Next::End(_)) => Change::Ended,
                (Settled::Applied(_), Next::Extend(_)) => continue,
                (Settled::Applied(_), _) => Change::Waits,
            };
            let held = self.held().remove(&(settlement.id, settlement.fence));
            held.into_iter().for_each(|held| self.say(change, &held.delivery));
        }
    }

    fn say(&self, change: Change, delivery: &Delivery) {
        let (process, delivery) = (self.process, delivery.clone());
        println!("{}", Word::Claim { process, change, delivery });
    }

    /// The time since the delivery was asked for.
    fn age(&self, delivery: &Delivery) -> Option<Duration> {
        let held = self.held();
        let claims = held.values().filter(|it| it.delivery == *delivery);
        claims.map(|it| it.asked_at.elapsed()).max()
    }

    /// Whoever panics here fails the test anyway.
    fn held(&self) -> MutexGuard<'_, BTreeMap<(DeliveryId, Fence), Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store that tells of claims.
#[derive(Debug)]
pub(crate) struct WatchedStore<S>(pub(crate) S, pub(crate) Arc<Watch>);

#[async_trait]
impl<S: Store> Store for WatchedStore<S> {
    async fn publish(
        &self,
        publications: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Result<Published, StoreError> {
        let asked_at = Instant::now();
        let published = self.0.publish(publications, hold.map(leased).as_ref()).await?;
        self.1.claimed(&published.held, asked_at);
        Ok(published)
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        let asked_at = Instant::now();
        let claimed = self.0.claim(&leased(request)).await?;
        self.1.claimed(&claimed.deliveries, asked_at);
        Ok(claimed)
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        let answers = self.0.settle(settlements).await?;
        self.1.settled(settlements, &answers);
        Ok(answers)
    }

    delegate_store! { |self| self.0;
    registry, commit, health, disabled, tenants, route, redeliver, add, erase_payload, recover, claim_of, release, wake, poll_every, event, messages, deliveries,
    attempts, stats, count, statistics, tend, erase }
}

fn leased(request: &ClaimRequest) -> ClaimRequest {
    ClaimRequest { lease: LEASE, ..*request }
}

/// A transport that puts the process's number on each request, and the age of its claim.
#[derive(Debug)]
pub(crate) struct WatchedTransport(pub(crate) HttpTransport, pub(crate) Arc<Watch>);

#[async_trait]
impl Transport for WatchedTransport {
    async fn send(
        &self,
        mut request: Request<Bytes>,
        limits: &SendLimits,
    ) -> Result<Response<Bytes>, TransportError> {
        let age = Delivery::of(&request).and_then(|delivery| self.1.age(&delivery));
        let age = u64::try_from(age.expect("it was claimed").as_millis()).expect("short");
        request.headers_mut().insert("x-process", self.1.process.into());
        request.headers_mut().insert("x-age", age.into());
        self.0.send(request, limits).await
    }

    async fn check(&self, url: &CallbackUrl) -> Result<(), TransportError> {
        self.0.check(url).await
    }
}
