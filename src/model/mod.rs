//! The data types of hookwire, each parsed once and valid from then on.
//!
//! Nothing here does I/O, reads a clock or draws a random number. Every type has a constructor that checks its
//! rule, and `serde` uses the same constructor, so that every value is valid.
//!
//! Start with [`WebhookDraft`] (a request for a webhook), [`Webhook`] (a registered one) and [`Event`].

mod attempt;
mod callback_url;
mod catalog;
mod creation;
mod delivery;
mod disable_reason;
mod disabled;
mod draft;
mod event;
mod events;
mod filter;
mod filter_rules;
mod findings;
mod formats;
mod integer_id;
mod json_tokens;
mod message;
mod number;
mod options;
mod page;
mod patch;
mod pointer;
mod same_json;
mod scope;
mod sealed_secrets;
mod sql_document;
mod status;
mod stopped;
mod subscription;
mod template;
mod template_missing;
mod template_reader;
mod template_rules;
mod text_id;
mod time;
mod trace_context;
mod violation;
mod webhook;

pub use attempt::{Attempt, FailureKind, Outcome};
pub use callback_url::{CallbackUrl, InvalidCallbackUrl};
pub use catalog::{Catalog, CatalogBuilder, CatalogFault, EventType, InvalidCatalog};
pub use creation::{CreationKey, CreationRecord, InvalidCreationKey};
pub use delivery::{Delivery, DeliveryQuery, DeliveryState, End, InvalidDeliveryState};
pub use disable_reason::DisableReason;
pub use disabled::Disabled;
pub use draft::WebhookDraft;
pub use event::{Event, InvalidEvent, Payload, StampedEvent};
pub use events::{EventPattern, Events, InvalidEventPattern};
pub use filter::Filter;
pub use filter_rules::InvalidFilter;
pub use formats::{EnvelopeKind, SignatureScheme};
pub use integer_id::{DeliveryId, DeptId, EventId, HookId};
pub use message::{MessageQuery, MessageRecord};
pub use options::{DeliveryOptions, InvalidHeader};
pub use page::{InvalidCursor, Page, PageRequest};
pub use patch::WebhookPatch;
pub use scope::{InvalidScope, Scope, ScopePrefix, Scopes};
pub use sealed_secrets::SealedSecrets;
pub use sql_document::InvalidSqlDocument;
pub use status::{InvalidStatus, Status};
pub use stopped::Stopped;
pub use subscription::{Departments, DeptSet, EmptyDepartments, Subscription};
pub use template::BodyTemplate;
pub use template_missing::MissingMember;
pub use template_rules::InvalidTemplate;
pub use text_id::{
    InvalidKeyId, InvalidMessageId, InvalidSourceId, InvalidTenantId, KeyId, MessageId, SourceId, TenantId,
};
pub use time::{InvalidTimestamp, Timestamp};
pub use trace_context::{InvalidTraceContext, TraceContext};
pub use violation::{InvalidRule, Rule, Violation};
pub use webhook::{InvalidWebhook, Webhook};

pub(crate) use attempt::millis;
pub(crate) use draft::{FromJson, Given, SubscriptionDraft};
pub(crate) use filter::LazyPayload;
pub(crate) use findings::Findings;
pub(crate) use number::{is_zero, number};
pub(crate) use template::TemplateValues;
pub(crate) use webhook::WebhookParts;
