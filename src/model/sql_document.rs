//! The JSON text by which a host's own transaction publishes an event.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::integer_id::{DeptId, EventId};
use super::text_id::{MessageId, SourceId, TenantId};
use super::time::Timestamp;
use super::trace_context::TraceContext;

/// The argument of the SQL function that publishes. Times and ids are numbers. The payload is a string: PostgreSQL reads
/// no JSON that has `\u0000` or half a surrogate pair in it, and a string has their backslashes escaped.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SqlDocument<'a> {
    pub(super) tenant: Cow<'a, TenantId>,
    pub(super) message_id: MessageId,
    pub(super) event_id: EventId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) department: Option<DeptId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<Cow<'a, SourceId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) actor: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trace: Option<Cow<'a, TraceContext>>,
    pub(super) payload_text: Cow<'a, str>,
}

/// The error of a text that [`to_sql_document`](crate::Tenant::to_sql_document) has not made.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("this is no text of `to_sql_document`: {0}")]
pub struct InvalidSqlDocument(pub(super) String);
