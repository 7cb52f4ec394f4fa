//! A host's own events: a catalog of Rust types, in the Standard Webhooks envelope.
//!
//! ```sh
//! cargo run --example custom_events
//! ```

#![allow(clippy::print_stdout)]

mod support;

use std::sync::Arc;

use hookwire::model::{Catalog, EventType, MessageId, ScopePrefix};
use hookwire::registry::Limits;
use hookwire::store::MemoryStore;
use hookwire::{Event, EventId, Payload, TenantId, WebhookDraft, Webhooks};
use http::StatusCode;
use serde::Serialize;

/// The payload of an event; its type ties it to the event, so publishing needs neither id nor JSON.
#[derive(Serialize)]
struct OrderPaid {
    order: u64,
    cents: u64,
}

impl Payload for OrderPaid {
    const EVENT: EventId = EventId::new(1);
}

#[derive(Serialize)]
struct OrderShipped {
    order: u64,
    carrier: &'static str,
}

impl Payload for OrderShipped {
    const EVENT: EventId = EventId::new(2);
}

fn catalog() -> Result<Catalog, support::Error> {
    let paid = EventType::of("order.paid", "Order paid", &OrderPaid { order: 1, cents: 4_200 });
    let shipped = EventType::of("order.shipped", "Order shipped", &OrderShipped { order: 1, carrier: "DHL" });
    let catalog = Catalog::builder()
        .event(paid.in_module("Orders"))
        .event(shipped.in_module("Orders"))
        .scope_prefix(ScopePrefix::new("Shop.webhooks"))
        .build()?;
    Ok(catalog)
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let url = support::http(Arc::new(|_, body| {
        println!("received {}", String::from_utf8_lossy(body));
        StatusCode::OK
    }))
    .await?;

    let hooks = Webhooks::builder(catalog()?)
        .limits_for(|tenant| match tenant.as_str() {
            "free" => None, // webhooks are not part of this plan
            _ => Some(Limits::default().with_webhooks(50)),
        })
        .store(MemoryStore::new())
        .allow_loopback_http()
        .build()?;

    let shop = hooks.tenant(TenantId::new("shop-1")?);
    let draft = WebhookDraft::new("ERP", &url).subscribe(OrderPaid::EVENT).subscribe(OrderShipped::EVENT);
    shop.create(&draft).await?;

    // Named, the message id makes publishing idempotent.
    let paid = || Event::of(&OrderPaid { order: 4_711, cents: 1_999 });
    let id = MessageId::new("order-4711-paid")?;
    shop.publish(paid()?.message_id(id.clone())).await?;
    let again = shop.publish(paid()?.message_id(id)).await?;
    println!("the same event again: duplicate = {}", again.is_duplicate());

    shop.publish(Event::of(&OrderShipped { order: 4_711, carrier: "DHL" })?).await?;
    println!("{} requests made", hooks.deliver_due().await?);

    let free = hooks.tenant(TenantId::new("free")?);
    if let Err(error) = free.create(&draft).await {
        println!("on the free plan: {error}");
    }
    Ok(())
}
