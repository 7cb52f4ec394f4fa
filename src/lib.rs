//! Outbound webhooks that a service embeds.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bell;
mod request;

pub mod assist;
pub mod clock;
pub mod delivery;
#[cfg(feature = "dispatcher")]
pub mod dispatcher;
pub mod envelope;
pub mod model;
pub mod policy;
pub mod registry;
pub mod retry;
pub mod routing;
pub mod service;
pub mod signature;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;

pub use model::{DeliveryQuery, DeptId, Event, EventId, Payload, SourceId, TenantId, WebhookDraft};
pub use registry::Backlog;
pub use service::{Error, ErrorKind, Webhooks};
