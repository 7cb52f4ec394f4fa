//! The words of hookwire as types: pure data, each parsed once and valid from then on.
//!
//! Nothing here does I/O, reads a clock or draws a random number. Every type is built through a
//! constructor that checks its rule, and `serde` enters by the same door, so a value that exists is a
//! value that holds its rule.
//!
//! Start with [`WebhookDraft`] (what somebody asks for), [`Webhook`] (what was registered) and
//! [`Event`] (what happened).

mod attempt;
mod callback_url;
mod catalog;
mod delivery;
mod disable_reason;
mod draft;
mod event;
mod id;
mod number;
mod options;
mod page;
mod patch;
mod scope;
mod secrets;
mod status;
mod subscription;
mod time;
mod violation;
mod webhook;

pub use attempt::{Attempt, FailureKind, Outcome};
pub use callback_url::{CallbackUrl, InvalidCallbackUrl};
pub use catalog::{Catalog, CatalogBuilder, CatalogFault, EventType, InvalidCatalog};
pub use delivery::{Delivery, DeliveryQuery, DeliveryState, End};
pub use disable_reason::DisableReason;
pub use draft::WebhookDraft;
pub use event::{Event, InvalidEvent, Payload, StampedEvent};
pub use id::{
    InvalidKeyId, InvalidMessageId, InvalidSourceId, InvalidTenantId, KeyId, MessageId, SourceId, TenantId,
};
pub use number::{DeliveryId, DeptId, EventId, HookId};
pub use options::{DeliveryOptions, EnvelopeKind, InvalidHeader, SignatureScheme};
pub use page::{InvalidCursor, Page, PageRequest};
pub use patch::WebhookPatch;
pub use scope::{InvalidScope, Scope, ScopePrefix, Scopes};
pub use secrets::SealedSecrets;
pub use status::{InvalidStatus, Status};
pub use subscription::{Departments, DeptSet, EmptyDepartments, Subscription};
pub use time::Timestamp;
pub use violation::{Rule, Violation};
pub use webhook::{InvalidWebhook, Webhook};

pub(crate) use draft::{Given, SubscriptionDraft};
pub(crate) use webhook::WebhookParts;
