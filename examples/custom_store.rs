//! A store of one's own: here one that tells of each call, around another.
//!
//! ```sh
//! cargo run --example custom_store
//! ```
//!
//! A store that keeps state itself implements the same trait. Its contract is in the documentation of
//! `hookwire::store::Store`, and `hookwire::testing::store_conformance!` proves that it keeps it.

#![allow(clippy::print_stdout)]

use async_trait::async_trait;
use hookwire::store::{MemoryStore, Store, StoreError, delegate_store};
use hookwire::{Event, TenantId, WebhookDraft, Webhooks, assist};

/// Tells of each call before it hands it on.
#[derive(Debug)]
struct Told<S>(S);

impl<S: Store> Told<S> {
    async fn tell<T: Send>(
        &self,
        method: &str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let answer = call.await;
        println!("store: {:<10} {}", method, if answer.is_ok() { "ok" } else { "failed" });
        answer
    }
}

#[async_trait]
impl<S: Store> Store for Told<S> {
    delegate_store! { |self| self.0; wake, poll_every }
    delegate_store! { |self| self.0, |method, call| self.tell(method, call);
    registry, commit, health, disabled, tenants, publish, route, redeliver, add, erase_payload, recover, claim, claim_of, settle, release,
    event, messages, deliveries, attempts, stats, count, statistics, tend, erase }
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
