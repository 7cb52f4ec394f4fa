//! Outbound webhooks that a service embeds.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod assist;
pub mod model;
pub mod registry;
pub mod transport;

pub use model::{DeliveryQuery, DeptId, Event, EventId, SourceId, TenantId, WebhookDraft};
