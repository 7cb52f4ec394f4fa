//! Values as rows keep them.

use std::borrow::Cow;
use std::sync::Arc;

use rusqlite::Row;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::sql::{SqlError, time};
use crate::delivery::{Health, LaneClass};
use crate::model::{
    DeliveryOptions, DeptId, DisableReason, End, EventId, HookId, MessageId, SealedSecrets, SourceId,
    StampedEvent, TenantId, Timestamp, Webhook,
};
use crate::registry::{RegisteredWebhook, Version};
use crate::retry::RetryState;
use crate::store::lease::{Fence, HolderId};
use crate::store::records::RoutingRecord;
use crate::store::routing::Skipped;

/// `lane.id`.
pub(crate) type LaneId = i64;

pub(crate) const WAITING: i64 = 0;
pub(crate) const HELD: i64 = 1;
pub(crate) const CANCELLED: i64 = 2;

pub(crate) const DISABLED: i64 = 0;
pub(crate) const ENABLED: i64 = 1;

pub(crate) fn end_number(end: End) -> i64 {
    match end {
        End::Cancelled => CANCELLED,
        End::Delivered => 3,
        End::Exhausted => 4,
        End::Expired => 5,
    }
}

pub(crate) fn end_of(number: i64) -> Result<End, SqlError> {
    let ends = [End::Cancelled, End::Delivered, End::Exhausted, End::Expired];
    let known = ends.into_iter().find(|end| end_number(*end) == number);
    known.ok_or_else(|| SqlError::corrupt(format!("{number} is no state of a delivery")))
}

pub(crate) const fn class_number(class: LaneClass) -> i64 {
    match class {
        LaneClass::Proven => 0,
        LaneClass::Hanging => 1,
        LaneClass::Unproven => 2,
    }
}

pub(crate) fn class_of(number: i64) -> LaneClass {
    let classes = [LaneClass::Proven, LaneClass::Hanging];
    classes.into_iter().find(|class| class_number(*class) == number).unwrap_or(LaneClass::Unproven)
}

/// Fences are counted up from zero and never come near the half that SQLite's integers do not have.
pub(crate) fn fence_number(fence: Fence) -> i64 {
    i64::try_from(fence.get()).unwrap_or(i64::MAX)
}

pub(crate) fn fence_of(number: i64) -> Fence {
    Fence::new(number.unsigned_abs())
}

pub(crate) const fn holder_bytes(holder: HolderId) -> [u8; 16] {
    holder.get().to_be_bytes()
}

pub(crate) fn holder_of(bytes: [u8; 16]) -> HolderId {
    HolderId::new(u128::from_be_bytes(bytes))
}

/// A delivery that has not ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenDelivery {
    pub(crate) id: i64,
    pub(crate) event: i64,
    pub(crate) attempts: u32,
    pub(crate) retry: RetryState,
}

impl OpenDelivery {
    /// Reads `delivery`, `event`, `attempts` and `retry`.
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, SqlError> {
        let retry = row.get_ref("retry")?.as_str_or_null().map_err(SqlError::corrupt)?;
        Ok(Self {
            id: row.get("delivery")?,
            event: row.get("event")?,
            attempts: row.get("attempts")?,
            retry: RetryState::from_doc(retry)?,
        })
    }

    /// Returns the value of `retry`.
    pub(crate) fn retry_doc(&self) -> Result<Option<String>, SqlError> {
        Ok(self.retry.to_doc()?)
    }
}

/// A lane without the webhook's own document.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) id: LaneId,
    pub(crate) tenant: i64,
    pub(crate) name: TenantId,
    pub(crate) hook: HookId,
    pub(crate) status: i64,
    pub(crate) epoch: i64,
    pub(crate) backoff_until: Timestamp,
    pub(crate) health: Health,
}

/// The statement for [`Lane::read`], to be followed by a condition on `lane`.
pub(crate) const SELECT_LANE: &str = "SELECT lane.id, lane.tenant, name, hook, status, epoch, paused_until, \
    health FROM lane JOIN tenant ON tenant.id = lane.tenant WHERE ";

impl Lane {
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, SqlError> {
        Ok(Self {
            id: row.get("id")?,
            tenant: row.get("tenant")?,
            name: TenantId::new(row.get_ref("name")?.as_str().map_err(SqlError::corrupt)?)?,
            hook: HookId::new(row.get("hook")?),
            status: row.get("status")?,
            epoch: row.get("epoch")?,
            backoff_until: time(row, "paused_until")?,
            health: serde_json::from_str(row.get_ref("health")?.as_str().map_err(SqlError::corrupt)?)?,
        })
    }

    pub(crate) const fn is_enabled(&self) -> bool {
        self.status == ENABLED
    }
}

fn version(row: &Row<'_>) -> Result<Version, SqlError> {
    Ok(Version::new(row.get::<_, i64>("version")?.unsigned_abs()))
}

pub(crate) fn version_number(version: Version) -> i64 {
    i64::try_from(version.get()).unwrap_or(i64::MAX)
}

/// `lane.doc`: what is registered, apart from secrets and version, which have columns of their own.
#[derive(Deserialize, Serialize)]
struct HookDoc<'a> {
    webhook: Cow<'a, Webhook>,
    options: Cow<'a, DeliveryOptions>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    disabled: Option<DisableReason>,
}

pub(crate) fn hook_doc(hook: &RegisteredWebhook) -> Result<String, SqlError> {
    let webhook = Cow::Borrowed(&hook.webhook);
    let options = Cow::Borrowed(&hook.options);
    Ok(serde_json::to_string(&HookDoc { webhook, options, disabled: hook.disabled })?)
}

/// Reads `doc`, `secrets` and `version`.
pub(crate) fn registered(row: &Row<'_>) -> Result<RegisteredWebhook, SqlError> {
    let doc: HookDoc<'_> = serde_json::from_str(row.get_ref("doc")?.as_str().map_err(SqlError::corrupt)?)?;
    Ok(RegisteredWebhook {
        webhook: doc.webhook.into_owned(),
        options: doc.options.into_owned(),
        secrets: SealedSecrets::new(row.get::<_, Vec<u8>>("secrets")?),
        version: version(row)?,
        disabled: doc.disabled,
    })
}

/// `event.meta`: an event without its message id and payload.
#[derive(Deserialize, Serialize)]
struct Meta {
    event_id: EventId,
    time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    department: Option<DeptId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<SourceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
}

pub(crate) fn event_meta(event: &StampedEvent) -> Result<String, SqlError> {
    let (source, actor) = (event.source.clone(), event.actor.clone());
    let (event_id, time, department) = (event.event_id, event.time, event.department);
    Ok(serde_json::to_string(&Meta { event_id, time, department, source, actor })?)
}

pub(crate) fn event_id(row: &Row<'_>) -> Result<EventId, SqlError> {
    let meta: Meta = serde_json::from_str(row.get_ref("meta")?.as_str().map_err(SqlError::corrupt)?)?;
    Ok(meta.event_id)
}

/// Reads `message`, `meta` and `json`, which is null once the payload was removed.
pub(crate) fn event(row: &Row<'_>) -> Result<Arc<StampedEvent>, SqlError> {
    let meta: Meta = serde_json::from_str(row.get_ref("meta")?.as_str().map_err(SqlError::corrupt)?)?;
    let json: Option<String> = row.get("json")?;
    let payload = json.map_or_else(|| Ok(RawValue::NULL.to_owned()), RawValue::from_string)?;
    Ok(Arc::new(StampedEvent {
        message_id: message(row)?,
        event_id: meta.event_id,
        time: meta.time,
        department: meta.department,
        source: meta.source,
        actor: meta.actor,
        payload: payload.into(),
    }))
}

pub(crate) fn message(row: &Row<'_>) -> Result<MessageId, SqlError> {
    Ok(MessageId::new(row.get_ref("message")?.as_str().map_err(SqlError::corrupt)?)?)
}

/// `event.routing`, which is null while the event waits for it.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum RoutingDoc {
    Skipped(Vec<Skipped>),
    Unroutable(String),
}

pub(crate) fn skipped_doc(skipped: &[Skipped]) -> Result<String, SqlError> {
    Ok(serde_json::to_string(&RoutingDoc::Skipped(skipped.to_vec()))?)
}

pub(crate) fn unroutable_doc(reason: &str) -> Result<String, SqlError> {
    Ok(serde_json::to_string(&RoutingDoc::Unroutable(reason.to_owned()))?)
}

pub(crate) fn routing(row: &Row<'_>) -> Result<RoutingRecord, SqlError> {
    let Some(doc) = row.get::<_, Option<String>>("routing")? else { return Ok(RoutingRecord::Waiting) };
    Ok(match serde_json::from_str(&doc)? {
        RoutingDoc::Skipped(skipped) => RoutingRecord::Routed(skipped),
        RoutingDoc::Unroutable(reason) => RoutingRecord::Unroutable(reason),
    })
}
