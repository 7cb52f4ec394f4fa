//! Testing your service: what it publishes, what its receivers get, and what happens when they or the store fail.
//!
//! Build the [`Webhooks`](crate::Webhooks) where your program starts, and pass them to the code that publishes. A test then
//! passes others, with the doubles of the feature `testing`:
//!
//! ```toml
//! [dev-dependencies]
//! hookwire = { version = "0.1", features = ["testing"] }
//! ```
//!
//! # A whole test
//!
//! A service of invoices publishes an event when one is paid. The test pays one, and looks at it from both sides: what the
//! service has published, and what a receiver gets that is down at first.
//!
//! ```
//! use hookwire::model::EventType;
//! use hookwire::{Catalog, Event, EventId, Payload, TenantId, Webhooks};
//!
//! #[derive(serde::Serialize)]
//! struct InvoicePaid {
//!     invoice: i64,
//!     cents: i64,
//! }
//!
//! impl Payload for InvoicePaid {
//!     const EVENT: EventId = EventId::new(1);
//! }
//!
//! /// The events of the service. Its program and its tests build their `Webhooks` from it.
//! fn catalog() -> Result<Catalog, Box<dyn std::error::Error>> {
//!     let sample = InvoicePaid { invoice: 4711, cents: 1_999 };
//!     Ok(Catalog::builder().event(EventType::of("invoice.paid", "Invoice paid", &sample)).build()?)
//! }
//!
//! /// The code under test.
//! struct Invoices {
//!     hooks: Webhooks,
//! }
//!
//! impl Invoices {
//!     async fn pay(&self, customer: &str, invoice: i64, cents: i64) -> Result<(), Box<dyn std::error::Error>> {
//!         // .. your own data; then the event, or both in one transaction.
//!         let customer = self.hooks.tenant(TenantId::new(customer)?);
//!         customer.publish(Event::of(&InvoicePaid { invoice, cents })?).await?;
//!         Ok(())
//!     }
//! }
//!
//! # #[cfg(feature = "testing")]
//! # tokio::runtime::Runtime::new()?.block_on(async { // in your tests: #[tokio::test]
//! use std::time::Duration;
//!
//! use hookwire::WebhookDraft;
//! use hookwire::clock::{Clock, ManualClock};
//! use hookwire::signature::Verifier;
//! use hookwire::store::MemoryStore;
//! use hookwire::testing::{Answer, RecordingTransport, assert_published};
//!
//! // The receiver is down for the first request. Nothing leaves the process.
//! let transport = RecordingTransport::answering(|_, nth| Answer::status(if nth == 0 { 503 } else { 204 }));
//! let clock = ManualClock::default();
//! let hooks = Webhooks::builder(catalog()?)
//!     .store(MemoryStore::with_clock(clock.clone())) // the same clock, or no retry ever falls due
//!     .transport(transport.clone())
//!     .clock(clock.clone())
//!     .build()?;
//!
//! // A customer registers a webhook.
//! let acme = hooks.tenant(TenantId::new("acme")?);
//! let draft = WebhookDraft::new("Bookkeeping", "https://books.example.com/hook").subscribe(InvoicePaid::EVENT);
//! let created = acme.create(&draft).await?;
//!
//! // The service does its work.
//! let service = Invoices { hooks: hooks.clone() };
//! service.pay("acme", 4712, 2_500).await?;
//!
//! // It has published the event, whoever gets it.
//! let event = assert_published(&acme, InvoicePaid::EVENT, |payload| payload["invoice"] == 4712).await;
//!
//! // What is due is delivered in this task: the first attempt, and in time the second.
//! assert_eq!(hooks.deliver_due().await?, 1);
//! assert_eq!(hooks.deliver_due().await?, 0, "the second is not due yet");
//! clock.advance(Duration::from_secs(6)); // 5 s, and 20 % jitter at most
//! assert_eq!(hooks.deliver_due().await?, 1);
//!
//! // The receiver verifies what it got, and reads it.
//! let requests = transport.requests();
//! let (headers, body) = (requests[1].headers(), requests[1].body());
//! let verified = Verifier::new([created.secret().clone()]).verify(headers, body, clock.now())?;
//! assert_eq!(verified.message_id(), event.message_id.as_str());
//! let body: serde_json::Value = serde_json::from_slice(body)?;
//! assert_eq!((&body["type"], &body["data"]["cents"]), (&"invoice.paid".into(), &2_500.into()));
//!
//! // And the customer can see what came of it.
//! let told = acme.explain(&event.message_id).await?.to_string();
//! assert!(told.contains("delivered after 2 attempts"), "{told}");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! `Webhooks::deliver_due` claims, sends and records as a running dispatcher does, for all tenants, and returns the number of
//! attempts when nothing is due any more; [`Tenant::deliver_due`](crate::Tenant::deliver_due) does so for one. A test needs no dispatcher beside it, and no pause: an event that is not due is
//! not sent.
//!
//! # What to test, and how
//!
//! | question | answer |
//! |---|---|
//! | Is the event published, with this payload? | `testing::assert_published`; `testing::published` has them all |
//! | Is *nothing* published, as when the own transaction is rolled back? | `testing::published` is empty |
//! | Who gets it, and why not the others? | [`Tenant::explain`](crate::Tenant::explain); [`routing::route`](crate::routing::route) without a service |
//! | What does a receiver get? | `RecordingTransport::requests`, and a [`Verifier`](crate::signature::Verifier) |
//! | What happens when a receiver fails, hangs, or answers 410? | `RecordingTransport::answering`, with `Answer::fail`, `Answer::hang`, `Answer::status` |
//! | What happens hours later? | [`ManualClock::advance`](crate::clock::ManualClock::advance) and `deliver_due`; or a dispatcher in tokio's paused time, with `TokioClock` |
//! | What does my code do when the store fails? | `FaultyStore`, before or after the call has taken effect |
//! | Does my receiver verify what it gets? | [`Tenant::check_receiver`](crate::Tenant::check_receiver), against its own address |
//!
//! The module `testing` has an example for each double, and the conformance suites for stores and transports of your own.
//!
//! # With a transaction of your own
//!
//! Code that hands the event to the SQL function of PostgreSQL is tested without a database:
//! [`MemoryStore::publish_sql_document`](crate::store::MemoryStore::publish_sql_document) takes the text that
//! [`Tenant::to_sql_document`](crate::Tenant::to_sql_document) made, and `deliver_due` routes it. To test the transaction
//! itself, use the real store, with a tenant for each test and [`Tenant::deliver_due`](crate::Tenant::deliver_due), or with a
//! schema for each: `PostgresOptions::schema`. With SQLite, use a file in a directory of the test's own.
