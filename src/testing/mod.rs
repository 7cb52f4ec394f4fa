//! Tools for tests of hosts, and of stores and transports (feature `testing`).
//!
//! # Testing a host
//!
//! Build the service on a [`MemoryStore`](crate::store::MemoryStore) and a [`RecordingTransport`]. Let your code
//! publish, call [`deliver_due`](crate::Webhooks::deliver_due), and check the recorded requests:
//!
//! ```
//! use hookwire::testing::{Answer, RecordingTransport};
//! use hookwire::clock::ManualClock;
//! use hookwire::store::MemoryStore;
//! use hookwire::{assist, Event, TenantId, WebhookDraft, Webhooks};
//! use std::time::Duration;
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! // The receiver fails once, then accepts.
//! let transport = RecordingTransport::answering(|_, nth| match nth {
//!     0 => Answer::status(503),
//!     _ => Answer::status(204),
//! });
//! let clock = ManualClock::default();
//! let hooks = Webhooks::builder(assist::catalog())
//!     .store(MemoryStore::with_clock(clock.clone()))
//!     .transport(transport.clone())
//!     .clock(clock.clone())
//!     .build()?;
//! let acme = hooks.tenant(TenantId::new("acme")?);
//! let draft = WebhookDraft::new("Device log", "https://hooks.example.com/")
//!     .subscribe(assist::DEVICE_ONLINE);
//! acme.create(&draft).await?;
//!
//! acme.publish(Event::new(assist::DEVICE_ONLINE, &serde_json::json!({}))?).await?;
//! assert_eq!(hooks.deliver_due().await?, 1); // the attempt that fails
//! clock.advance(Duration::from_secs(6)); // 5 s and 20 % jitter
//! assert_eq!(hooks.deliver_due().await?, 1); // the one that succeeds
//!
//! let requests = transport.requests();
//! assert_eq!(requests[0].headers()["webhook-id"], requests[1].headers()["webhook-id"]);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! To run a dispatcher through hours of retries, give tokio's paused time to both the service and the store. This
//! needs tokio's feature `test-util`. In your `Cargo.toml`:
//!
//! ```toml
//! [dev-dependencies]
//! hookwire = { version = "0.1", features = ["testing"] }
//! tokio = { version = "1", features = ["macros", "rt", "test-util"] }
//! ```
//!
//! Put `#[tokio::test(start_paused = true)]` above a test like this:
//!
//! ```
//! use std::time::Duration;
//! use hookwire::store::MemoryStore;
//! use hookwire::testing::{Answer, RecordingTransport, TokioClock};
//! use hookwire::{assist, Event, TenantId, WebhookDraft, Webhooks};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
//! // The receiver is down for the first five requests: more than two hours.
//! let transport = RecordingTransport::answering(|_, nth| Answer::status(if nth < 5 { 503 } else { 204 }));
//! let clock = TokioClock::new();
//! let hooks = Webhooks::builder(assist::catalog())
//!     .store(MemoryStore::with_clock(clock)) // the same clock, or no retry ever falls due
//!     .transport(transport.clone())
//!     .clock(clock)
//!     .build()?;
//! let dispatcher = hooks.start()?;
//! let acme = hooks.tenant(TenantId::new("acme")?);
//! let draft = WebhookDraft::new("Device log", "https://hooks.example.com/")
//!     .subscribe(assist::DEVICE_ONLINE);
//! acme.create(&draft).await?;
//! let sent = acme.publish(Event::new(assist::DEVICE_ONLINE, &serde_json::json!({}))?).await?;
//!
//! tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await; // returns at once
//! assert_eq!(transport.requests().len(), 6);
//! let told = acme.explain(sent.message_id()).await?.to_string();
//! assert!(told.contains("delivered after 6 attempts"), "{told}");
//! dispatcher.shutdown_within(Duration::from_secs(20)).await;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`RecordingTransport`] keeps every request, and answers by a script with statuses, failures or silence.
//! - [`ManualClock`](crate::clock::ManualClock) moves only when a test advances it.
//! - [`TokioClock`] follows tokio's paused time, so that a dispatcher runs through days in a moment.
//! - [`published`] and [`assert_published`] tell what your code has published, whether or not a webhook wants it.
//! - [`MemoryStore::publish_sql_document`](crate::store::MemoryStore::publish_sql_document) takes what your transaction
//!   would hand to the SQL function, so that code for PostgreSQL is tested without a database.
//! - [`FaultyStore`] makes calls of a store fail, before or after they take effect.
//!
//! # Testing a store or a transport
//!
//! [`store_conformance!`](crate::store_conformance) makes one test of each point of the contract of
//! [`Store`](crate::store::Store). [`transport_conformance!`](crate::transport_conformance) makes one test of each
//! point of the contract of [`Transport`](crate::transport::Transport) that can be observed from outside.

pub mod conformance;
mod faulty;
mod published;
mod recording;
mod tokio_clock;

pub use faulty::{Call, Fault, FaultyStore};
pub use published::{assert_published, published};
pub use recording::{Answer, RecordingTransport};
pub use tokio_clock::TokioClock;

#[doc(no_inline)]
pub use crate::{store_conformance, transport_conformance};
