//! Outbound webhooks that a service embeds.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bell;

pub mod assist;
pub mod clock;
pub mod delivery;
pub mod envelope;
pub mod model;
pub mod registry;
pub mod retry;
pub mod routing;
pub mod signature;
pub mod store;

pub use model::{DeliveryQuery, DeptId, Event, EventId, SourceId, TenantId, WebhookDraft};
