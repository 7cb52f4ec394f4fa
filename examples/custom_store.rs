//! A store of one's own: here one that tells of each call, around another.
//!
//! ```sh
//! cargo run --example custom_store
//! ```
//!
//! A store that keeps state itself implements the same trait. Its contract is in the documentation of
//! `hookwire::store::Store`, and `hookwire::testing::store_conformance!` proves that it keeps it.

#![allow(clippy::print_stdout)]

use std::time::Duration;

use async_trait::async_trait;
use hookwire::model::*;
use hookwire::registry::{Registry, RegistryChange, Revision};
use hookwire::store::*;
use hookwire::{DeliveryQuery, Event, TenantId, WebhookDraft, Webhooks, assist};

/// Tells of each call before it hands it on.
#[derive(Debug)]
struct Told<S>(S);

/// Writes the methods of a wrapper that differ in their types alone.
macro_rules! tell {
    ($($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl<S: Store> Store for Told<S> {
            $(
                async fn $name(&self, $($arg: $type),*) -> Result<$answer, StoreError> {
                    let answer = self.0.$name($($arg),*).await;
                    println!("store: {:<10} {}", stringify!($name), if answer.is_ok() { "ok" } else { "failed" });
                    answer
                }
            )*

            async fn wake(&self, since: WakeMark) {
                self.0.wake(since).await;
            }

            fn poll_every(&self) -> Option<Duration> {
                self.0.poll_every()
            }
        }
    };
}

tell! {
    registry(tenant: &TenantId) -> Registry;
    commit(tenant: &TenantId, expected: Revision, change: &RegistryChange) -> Revision;
    tenants(page: &PageRequest) -> Page<TenantId>;
    publish(publications: &[Publication], hold: Option<&ClaimRequest>) -> Published;
    route(routed: &[Routed]) -> Vec<RouteAnswer>;
    redeliver(tenant: &TenantId, redeliveries: &[Redelivery]) -> Vec<Option<DeliveryId>>;
    claim(request: &ClaimRequest) -> Claimed;
    settle(settlements: &[Settlement]) -> Vec<Settled>;
    release(holder: HolderId) -> ();
    event(tenant: &TenantId, id: &MessageId) -> Option<EventRecord>;
    deliveries(tenant: &TenantId, query: &DeliveryQuery) -> Page<Delivery>;
    attempts(tenant: &TenantId, delivery: DeliveryId) -> Option<Vec<Attempt>>;
    stats(scope: &StatsScope) -> Stats;
    tend(request: &TendRequest) -> Tended;
    erase(tenant: &TenantId, limit: usize) -> Erased;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hooks = Webhooks::builder(assist::catalog()).store(Told(MemoryStore::new())).build()?;
    let acme = hooks.tenant(TenantId::new("acme")?);

    println!("# registering");
    // A name that is never resolved, so nothing leaves this machine.
    let draft = WebhookDraft::new("CRM", "https://hooks.invalid/").subscribe(assist::DEVICE_ADD);
    let created = acme.create(&draft).await?;
    created.warnings().iter().for_each(|warning| println!("warning: {warning}"));

    println!("# publishing");
    let event = Event::new(assist::DEVICE_ADD, &serde_json::json!({"deviceName": "LAB-4"}))?;
    let sent = acme.publish(event).await?;

    println!("# delivering");
    hooks.deliver_due().await?;

    println!("# explaining");
    println!("{}", acme.explain(sent.message_id()).await?);
    Ok(())
}
