//! Outbound webhooks that a service embeds: registered, matched, signed, delivered, retried, explained.
//!
//! Your users register webhooks: a callback URL, the events that they want. Your service publishes what
//! happens. hookwire delivers it to every webhook that wants it, signed by
//! [Standard Webhooks](https://www.standardwebhooks.com), retries for days, and can tell of each event
//! whether it was sent, and if not why. It is a library: there is no server to run, and no queue.
//!
//! It implements Zoho Assist's webhook system whole, under its own names ([`assist`]), and serves a host's
//! own events just as well ([`model::Catalog`]).
//!
//! # A first delivery
//!
//! ```
//! # #[cfg(all(feature = "dispatcher", feature = "http-transport"))]
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! use hookwire::store::MemoryStore;
//! use hookwire::{assist, DeptId, Event, TenantId, WebhookDraft, Webhooks};
//!
//! let hooks = Webhooks::builder(assist::catalog()).store(MemoryStore::new()).build()?;
//! let dispatcher = hooks.start()?; // delivers in the background
//!
//! let acme = hooks.tenant(TenantId::new("acme")?);
//! let draft = WebhookDraft::new("Device log", "https://hooks.invalid/assist")
//!     .ignore_source("crm-sync")
//!     .subscribe_in(assist::DEVICE_ONLINE, [DeptId::new(7)]);
//! let created = acme.create(&draft).await?; // or every violation at once
//! let _for_the_receiver = created.secret().expose();
//!
//! let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({"deviceName": "LAB-4"}))?;
//! let sent = acme.publish(event.department(DeptId::new(7))).await?; // stored when this returns
//!
//! println!("{}", acme.explain(sent.message_id()).await?); // delivered, pending, or why not
//! dispatcher.shutdown_within(std::time::Duration::from_secs(20)).await;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! `cargo run --example quickstart` in the repository tells the whole story with a real HTTPS receiver.
//!
//! What goes on is told by `tracing`, under the target `hookwire`.
//!
//! # Finding your way
//!
//! | to | see |
//! |---|---|
//! | register what a user posted as JSON, and answer with all that is wrong | [`WebhookDraft`], [`Error::violations`] |
//! | publish events of your own | [`model::Catalog`], [`Payload`] |
//! | show what became of an event, send it again | [`explain`](service::Tenant::explain), [`deliveries`](service::Tenant::deliveries), [`redeliver`](service::Tenant::redeliver) |
//! | have an event commit with your own data | [durability](guide::durability#the-event-and-your-own-data) |
//! | limit tenants by their plans | [`limits_for`](service::WebhooksBuilder::limits_for) |
//! | change retries, quotas, deadlines, the size of payloads | [`policy`] |
//! | open or close networks, use an egress proxy | `transport::HttpTransport` |
//! | let a webhook send headers of its own, in another envelope or signature | [`model::DeliveryOptions`] |
//! | change a webhook's secret without a gap | [`rotate_secret`](service::Tenant::rotate_secret) |
//! | receive, verify and know replays | [`signature`](signature#receiving) |
//! | test your own code, with time that is passed over | [`testing`](testing#testing-a-host) |
//!
//! # How it fits together
//!
//! ```text
//!  host -- publish --> service --> routing --> Store <-- claim, settle -- dispatcher
//!                                                                            |
//!                            receiver <-- Transport <-- signature, envelope --
//! ```
//!
//! - [`Webhooks`] and [`service::Tenant`] are what a host calls.
//! - Every decision is a pure function that can be read and tested by itself: [`registry`] (may this be
//!   registered?), [`routing`] (who gets this event?), [`delivery`] and [`retry`] (what follows from this
//!   attempt?), [`signature`], [`envelope`].
//! - Two seams carry them out: [`store::Store`], where state lives, and [`transport::Transport`], how a
//!   request leaves. [`signer::Signer`] is a third, for hosts whose keys live in a key service. [`clock::Clock`] is the only thing that reads the time.
//! - The [`dispatcher`] claims what is due, sends it and records what came of it.
//!
//! # What is promised
//!
//! - **At least once.** When `publish` has returned, the event is as durable as the store makes it, and
//!   each matching webhook gets it, or its delivery ends in the log with the reason. What is delivered
//!   twice, after a crash or a lost answer, carries the same `webhook-id`.
//! - **Isolation.** A receiver that hangs takes from the others only what its own cap allows, and, once it
//!   is known to hang, only its share of a tenth: see [`store::Quota`].
//! - **No way in.** No registered URL makes the process talk to an address that the transport's policy
//!   forbids: see [Security](#security).
//! - **Explainable.** For every event and webhook there is an answer to "was it sent, and if not why".
//!
//! Order is not promised: receivers should go by the event's time.
//!
//! The guide has a page on [durability](guide::durability) and one on [security](guide::security).
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `dispatcher` | yes | [`dispatcher`]: delivery in the background, on tokio |
//! | `http-transport` | yes | `transport::HttpTransport`: hyper, rustls and the address guard |
//! | `seal` | | [`sealing`]'s keys: webhooks' secrets are encrypted before a store sees them |
//! | `sqlite` | yes | `store::SqliteStore`: one file, safe against crashes and power cuts |
//! | `testing` | | [`testing`]: doubles for your tests, the conformance suites of the seams |
//!
//! Features only add names. Without any, the typed core, the pure modules, the traits, the memory store and
//! the service remain, and no runtime.
//!
//! # Implementing a store
//!
//! [`store::Store`] lists its contract in nineteen numbered points; `store_conformance!` turns each into a
//! test for your implementation. Start from the page of [`store`].
//!
//! # Implementing a transport
//!
//! [`transport::Transport`] has two methods: `send` makes one request, `check` tells whether a URL could be
//! dialled at all. `examples/custom_transport.rs` is a complete one.
//!
//! # Security
//!
//! A webhook URL is an order from a stranger to make a request from inside your network. `HttpTransport`
//! judges every address, literal or resolved, and dials only what it has judged; it follows no redirect,
//! reads no proxy from the environment, and caps the time and size of every answer. Redirects are not
//! followed because a checked address could lead to one that is not. Networks of your own are opened and
//! closed by its builder, which also takes your egress proxy; `reconfigure` changes them while it runs.
//!
//! Secrets print as `[redacted]` and leave through methods named `expose` alone. A store gets them sealed if the
//! host gives keys for it ([`sealing`]), and in clear if not: then protect its backups as you protect passwords.
//!
//! Details of failures may name addresses inside your network, and what receivers answer is not always
//! theirs who registered them: a [`Tenant`](service::Tenant) handle shows the
//! [class of a failure](model::FailureKind) and the status of an answer;
//! [`for_operator`](service::Tenant::for_operator) shows all.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error_chain;
mod notify;
mod request;

pub mod assist;
pub mod clock;
pub mod delivery;
#[cfg(feature = "dispatcher")]
pub mod dispatcher;
pub mod envelope;
pub mod guide;
pub mod handshake;
pub mod model;
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
