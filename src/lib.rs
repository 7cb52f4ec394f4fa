//! Outbound webhooks for a service: registered, matched, signed, delivered, retried and explained.
//!
//! It is a library. There is no server to run, and no queue to operate: the state is in a SQLite file, or in a
//! PostgreSQL database that the host has.
//!
//! Users of the host register webhooks: a callback URL, and the events that they want. The host publishes events.
//! hookwire signs each by [Standard Webhooks](https://www.standardwebhooks.com), delivers it to every webhook that
//! wants it, retries for days, and can say of each event whether it was sent and, if not, why.
//!
//! | question | answer |
//! |---|---|
//! | Does it commit with my data? | Yes: [the event is written in your own transaction](guide::durability#the-event-and-your-own-data), by any driver. |
//! | How do I test it? | [With a recording transport and a clock that you move](guide::testing). |
//! | How do I see what is stuck? | [By `stats`, `explain`, SQL, metrics and log lines](guide::operations). |
//! | What does it pull in? | [No more than its features ask for](#features). |
//! | How do I stop it? | [By `shutdown_within`; what is left waits in the store](guide::operations#stopping). |
//!
//! # A first delivery
//!
//! An event of the host is a Rust type with a [`Payload`] implementation, and an entry in the [`Catalog`]:
//!
//! ```
//! # #[cfg(all(feature = "dispatcher", feature = "http-transport"))]
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! use hookwire::model::EventType;
//! use hookwire::store::MemoryStore;
//! use hookwire::{Catalog, Event, EventId, Payload, TenantId, WebhookDraft, Webhooks};
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
//! let sample = InvoicePaid { invoice: 4711, cents: 1_999 };
//! let catalog = Catalog::builder().event(EventType::of("invoice.paid", "Invoice paid", &sample)).build()?;
//! let hooks = Webhooks::builder(catalog).store(MemoryStore::new()).build()?;
//! let dispatcher = hooks.start()?; // delivers in the background
//!
//! let acme = hooks.tenant(TenantId::new("acme")?); // one of the host's customers
//! let draft = WebhookDraft::new("Bookkeeping", "https://hooks.invalid/").subscribe(InvoicePaid::EVENT);
//! let created = acme.create(&draft).await?; // or every violation at once
//! let _for_the_receiver = created.secret().expose();
//!
//! let event = Event::of(&InvoicePaid { invoice: 4712, cents: 2_500 })?;
//! let sent = acme.publish(event).await?; // stored when this returns
//!
//! println!("{}", acme.explain(sent.message_id()).await?); // delivered, pending, or why not
//! dispatcher.shutdown_within(std::time::Duration::from_secs(20)).await;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! `MemoryStore` ends with the process. `store::SqliteStore` keeps everything in one file, for one process;
//! `PostgresStore`, of the crate `hookwire-postgres`, in a schema that many processes share. With both, the host
//! can write the event in the transaction that writes its own data. For PostgreSQL, by any driver:
//! [`Tenant::to_sql_document`] makes the parameter of `PostgresStore::publish_statement`. For SQLite, the
//! [outbox](guide::durability#the-event-and-your-own-data) is a table in the host's own file.
//!
//! `cargo run --example quickstart` in the repository delivers to a real HTTPS receiver.
//!
//! # Zoho Assist
//!
//! Zoho Assist's webhook system is built in, under its own names: see [`assist`].
//!
//! ```
//! # #[cfg(all(feature = "dispatcher", feature = "http-transport"))]
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! use hookwire::store::MemoryStore;
//! use hookwire::{DeptId, Event, TenantId, WebhookDraft, Webhooks, assist};
//!
//! let hooks = Webhooks::builder(assist::catalog()).limits(assist::limits()).store(MemoryStore::new()).build()?;
//! let acme = hooks.tenant(TenantId::new("acme")?);
//! let draft = WebhookDraft::new("Device log", "https://hooks.invalid/assist")
//!     .ignore_source("crm-sync")
//!     .subscribe_in(assist::DEVICE_ONLINE, [DeptId::new(7)]);
//! let created = acme.create(&draft).await?; // or every violation at once
//!
//! let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({"deviceName": "LAB-4"}))?;
//! acme.publish(event.department(DeptId::new(7))).await?;
//! # let _ = created;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it fits together
//!
//! ```text
//!  host -- publish --> service --> routing --> Store <-- claim, settle -- dispatcher
//!                                                                            |
//!                            receiver <-- Transport <-- signature, envelope --
//! ```
//!
//! - [`Webhooks`] and [`Tenant`] are the API of the host.
//! - Every decision is a pure function: [`registry`] (may this be registered?), [`routing`] (which webhooks get this
//!   event?), [`delivery`] and [`retry`] (what follows from this attempt?), [`signature`], [`envelope`].
//! - Two traits do the I/O: [`store::Store`] keeps the state, [`transport::Transport`] makes the request. A host whose
//!   keys are in a key service implements a third, [`signer::Signer`]. Every date comes from a [`clock::Clock`].
//! - The `dispatcher` claims due deliveries, sends them and records their outcome.
//!
//! # Tasks
//!
//! | to | see |
//! |---|---|
//! | register what a user posted as JSON, and answer with every violation | [`WebhookDraft`], [`Error::violations`] |
//! | offer events, and describe them to receivers | [`Catalog`], [`Payload`], [`Catalog::openapi`] |
//! | take and show webhooks by the keys of events, in plain words | [`plain`] |
//! | let users choose among events by their payloads | [`model::Filter`] |
//! | let users subscribe to all events, those of later releases too | [`model::EventPattern`] |
//! | show the fate of an event, send it again | [`Tenant::explain`], [`Tenant::deliveries`], [`Tenant::redeliver`] |
//! | show how a webhook does | [`Tenant::statistics`], [`Tenant::recent_attempts`], [`Tenant::deliveries_with_attempts`] |
//! | commit an event with your own data | [durability](guide::durability#the-event-and-your-own-data) |
//! | limit tenants by their plans | [`limits_for`](service::WebhooksBuilder::limits_for) |
//! | change retries, quotas, deadlines, the size of payloads | [`policy`] |
//! | open or close networks, use an egress proxy | `transport::HttpTransport` |
//! | let users write the bodies that they get, as Zoho Assist's *Manage Parameters*; show a preview | [`model::BodyTemplate`], [`envelope::render`] |
//! | set a webhook's headers, envelope or signature | [`model::DeliveryOptions`] |
//! | spare a receiver: a rate, or a cap of what is under way | [`with_rate`](model::DeliveryOptions::with_rate), [`with_max_in_flight`](model::DeliveryOptions::with_max_in_flight) |
//! | let deliveries wait: of a webhook, or of a tenant that does not pay | [`Tenant::pause`], [`Tenant::suspend`] |
//! | send what a webhook has missed | [`Tenant::recover`] for what failed, [`Tenant::recover_skipped`] for what came while it was disabled |
//! | erase what a message says | [`Tenant::erase_payload`] |
//! | send receivers the trace of an event | [`Event::trace_context`], [`send_trace_context`](service::WebhooksBuilder::send_trace_context) |
//! | change a webhook's secret without a gap | [`Tenant::rotate_secret`] |
//! | move webhooks here from another sender | [from Svix](guide::from_svix), [from a table of your own](guide::from_a_table) |
//! | find out whether a receiver verifies what it gets | [`Tenant::check_receiver`] |
//! | find out why a receiver does not verify it | [`signature::diagnose`] |
//! | receive, verify, recognise replays | [`signature`](signature#receiving) |
//! | test your own code, without waiting | [`guide::testing`] |
//! | run it: alarms, logs, backups | [`guide`] |
//! | have metrics, alerts with a runbook, a dashboard | [operations](guide::operations#metrics) |
//! | know what it holds, what it takes, and when to split it | [`guide::sizing`] |
//! | know what stays the same in the next version | [`guide::stability`] |
//! | take up a new version, or go back | [`guide::upgrades`] |
//!
//! # What is promised
//!
//! - **At least once.** When `publish` has returned, the event is as durable as the store makes it. Each matching
//!   webhook gets it, or its delivery ends in the log with the reason. An event that is delivered twice, after a crash
//!   or a lost answer, carries the same `webhook-id`.
//! - **Isolation.** A receiver that hangs takes from the others only what its own cap allows. Once it is known to
//!   hang, all such receivers together have a tenth of the places: see [`store::Quota`].
//! - **No way in.** No registered URL makes the process talk to an address that the transport's policy
//!   forbids: see [Security](#security).
//! - **Explainable.** For every event and webhook there is an answer to "was it sent, and if not why".
//!
//! Order is not promised: receivers should go by the event's time.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `aws-lc-rs` | yes | [TLS](#tls) by aws-lc-rs |
//! | `dispatcher` | yes | `dispatcher`: delivery in the background, on tokio |
//! | `http-transport` | yes | `transport::HttpTransport`: hyper, rustls and the address guard |
//! | `metrics` | | `metrics`: counts, durations and gauges, through the facade of that name |
//! | `ring` | | [TLS](#tls) by ring, unless `aws-lc-rs` is on |
//! | `schemars` | | `EventType::with_schema_of`: the JSON Schema of a payload from its Rust type |
//! | `seal` | | [`sealing`]'s keys: webhooks' secrets are encrypted before a store sees them |
//! | `sqlite` | yes | `store::SqliteStore`: one file, safe against crashes and power cuts |
//! | `testing` | | `testing`: doubles for your tests, the conformance suites of the traits |
//!
//! Features only add names. Without any, the typed core, the pure modules, the traits, the memory store and
//! the service remain, and no runtime.
//!
//! ## TLS
//!
//! The features `aws-lc-rs` and `ring` choose the crypto provider of rustls. With both it is aws-lc-rs, so that a feature
//! that another crate of the tree turns on breaks nothing. With neither, `transport::HttpTransport` takes the provider that
//! the host has installed for its process, at the time when it is built or reconfigured:
//!
//! ```toml
//! hookwire = { version = "0.1", default-features = false, features = ["dispatcher", "http-transport", "sqlite"] }
//! ```
//!
//! ```
//! # #[cfg(all(feature = "http-transport", feature = "aws-lc-rs"))]
//! # {
//! use rustls::crypto::{CryptoProvider, aws_lc_rs};
//!
//! let provider = CryptoProvider { kx_groups: vec![aws_lc_rs::kx_group::SECP384R1], ..aws_lc_rs::default_provider() };
//! provider.install_default().expect("the first of the process"); // before the transport is built
//! hookwire::transport::HttpTransport::new()?;
//! # }
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! If there is none, building the transport fails with `TransportFault::NoCryptoProvider`. hookwire itself never installs one.
//!
//! With both features on, rustls finds no provider by itself any more: code of the host that leaves the choice to rustls, by
//! `ServerConfig::builder()` for instance, panics unless the process has installed one.
//!
//! # Implementing a store
//!
//! [`store::Store`] lists its contract in twenty-seven numbered points; `store_conformance!` turns each into a
//! test for your implementation. Start from the page of [`store`].
//!
//! # Implementing a transport
//!
//! [`transport::Transport`] has two methods: `send` makes one request, `check` tells whether a URL could be
//! dialled at all. `examples/custom_transport.rs` is a complete one.
//!
//! # Security
//!
//! A webhook URL makes the process send a request, from inside the host's network, to where a stranger says.
//! `HttpTransport` judges every address, literal or resolved, and dials only an address that it has judged. It follows
//! no redirect, because a checked address could lead to an unchecked one. It reads no proxy from the environment, and
//! caps the time and size of every answer. Its builder opens and closes networks, and takes an egress proxy;
//! `reconfigure` changes them while it runs.
//!
//! Secrets print as `[redacted]`, and leave through methods named `expose` alone. With [`sealing`] keys the store gets
//! them encrypted. Without, it gets them in clear: then protect its backups as you protect passwords.
//!
//! The detail of a failure may name addresses inside the host's network, and a receiver's answer may be meant for
//! somebody else than the owner of the webhook. So a [`Tenant`] handle shows the
//! [class of a failure](model::FailureKind) and the status of an answer; [`Tenant::for_operator`] shows all.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod catch_panic;
mod error_chain;
mod notify;
mod openapi;
mod request;
mod timer;

pub mod assist;
pub mod clock;
pub mod delivery;
#[cfg(feature = "dispatcher")]
pub mod dispatcher;
pub mod envelope;
pub mod guide;
pub mod handshake;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod model;
pub mod plain;
pub mod policy;
pub mod registry;
pub mod retry;
pub mod routing;
pub mod sealing;
pub mod service;
pub mod signature;
pub mod signer;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;

pub use model::{
    Catalog, DeliveryQuery, DeptId, Event, EventId, HookId, MessageId, Payload, SourceId, TenantId, Webhook,
    WebhookDraft,
};
pub use service::{Error, ErrorKind, Tenant, Webhooks};
