//! The events that customers can subscribe to.

use std::sync::LazyLock;

use hookwire::model::EventType;
use hookwire::{Catalog, EventId, Payload};
use serde::Serialize;

/// The payload of `invoice.paid`.
#[derive(Serialize)]
pub struct InvoicePaid {
    pub invoice: i64,
    pub cents: i64,
    pub currency: String,
}

impl Payload for InvoicePaid {
    const EVENT: EventId = EventId::new(1);
}

/// The payload of `invoice.overdue`.
#[derive(Serialize)]
pub struct InvoiceOverdue {
    pub invoice: i64,
    pub days: u32,
}

impl Payload for InvoiceOverdue {
    const EVENT: EventId = EventId::new(2);
}

/// All events, with a sample of each for documents and pings. Customers may filter by payload, and subscribe to `invoice.*`.
pub static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let paid = InvoicePaid { invoice: 4711, cents: 1_999, currency: "EUR".to_owned() };
    let overdue = InvoiceOverdue { invoice: 4711, days: 14 };
    Catalog::builder()
        .event(EventType::of("invoice.paid", "Invoice paid", &paid))
        .event(EventType::of("invoice.overdue", "Invoice overdue", &overdue))
        .allow_filters()
        .allow_patterns()
        .build()
        .expect("every test builds it")
});
