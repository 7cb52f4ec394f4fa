//! Values as rows keep them.

use std::borrow::Cow;
use std::sync::Arc;

use rusqlite::Row;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::{Fence, HolderId, RoutingRecord, Skipped};
use super::sql::{Fault, time};
use crate::delivery::{Health, LaneClass};
use crate::model::{
    DeliveryOptions, DeptId, DisableReason, End, EventId, HookId, MessageId, SealedSecrets, SourceId,
    StampedEvent, TenantId, Timestamp, Webhook,
};
use crate::registry::{RegisteredWebhook, Version};

/// `lane.id`.
pub(super) type LaneId = i64;

pub(super) const WAITING: i64 = 0;
pub(super) const HELD: i64 = 1;
pub(super) const CANCELLED: i64 = 2;

pub(super) const DISABLED: i64 = 0;
pub(super) const ENABLED: i64 = 1;

pub(super) fn end_number(end: End) -> i64 {
    match end {
        End::Cancelled => CANCELLED,
        End::Delivered => 3,
        End::Exhausted => 4,
        End::Expired => 5,
    }
}

pub(super) fn end_of(number: i64) -> Result<End, Fault> {
    let ends = [End::Cancelled, End::Delivered, End::Exhausted, End::Expired];
    let known = ends.into_iter().find(|end| end_number(*end) == number);
    known.ok_or_else(|| Fault::corrupt(format!("{number} is no state of a delivery")))
}

pub(super) const fn class_number(class: LaneClass) -> i64 {
    match class {
        LaneClass::Proven => 0,
        LaneClass::Hanging => 1,
        LaneClass::Unproven => 2,
    }
}

pub(super) fn class_of(number: i64) -> LaneClass {
    let classes = [LaneClass::Proven, LaneClass::Hanging];
    classes.into_iter().find(|class| class_number(*class) == number).unwrap_or(LaneClass::Unproven)
}

/// Fences are counted up from zero and never come near the half that SQLite's integers do not have.
pub(super) fn fence_number(fence: Fence) -> i64 {
    i64::try_from(fence.get()).unwrap_or(i64::MAX)
}

pub(super) fn fence_of(number: i64) -> Fence {
    Fence::new(number.unsigned_abs())
}

pub(super) const fn holder_bytes(holder: HolderId) -> [u8; 16] {
    holder.get().to_be_bytes()
}

pub(super) fn holder_of(bytes: [u8; 16]) -> HolderId {
    HolderId::new(u128::from_be_bytes(bytes))
}

/// A delivery that has not ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) id: i64,
    pub(super) event: i64,
    pub(super) attempts: u32,
}

impl Open {
    /// Reads `delivery`, `event` and `attempts`.
    pub(super) fn read(row: &Row<'_>) -> Result<Self, Fault> {
        Ok(Self { id: row.get("delivery")?, event: row.get("event")?, attempts: row.get("attempts")? })
    }
}

/// A lane without the webhook's own document.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) id: LaneId,
    pub(super) tenant: i64,
    pub(super) name: TenantId,
    pub(super) hook: HookId,
    pub(super) status: i64,
    pub(super) epoch: i64,
    pub(super) backoff_until: Timestamp,
    pub(super) health: Health,
}

/// What [`Lane::read`] reads, to be followed by a condition on `lane`.
pub(super) const SELECT_LANE: &str = "SELECT lane.id, lane.tenant, name, hook, status, epoch, paused_until, \
    health FROM lane JOIN tenant ON tenant.id = lane.tenant WHERE ";

impl Lane {
    pub(super) fn read(row: &Row<'_>) -> Result<Self, Fault> {
        Ok(Self {
            id: row.get("id")?,
            tenant: row.get("tenant")?,
            name: TenantId::new(row.get_ref("name")?.as_str().map_err(Fault::corrupt)?)?,
            hook: HookId::new(row.get("hook")?),
            status: row.get("status")?,
            epoch: row.get("epoch")?,
            backoff_until: time(row, "paused_until")?,
            health: serde_json::from_str(row.get_ref("health")?.as_str().map_err(Fault::corrupt)?)?,
        })
    }

    pub(super) const fn is_enabled(&self) -> bool {
        self.status == ENABLED
    }
}

fn version(row: &Row<'_>) -> Result<Version, Fault> {
    Ok(Version::new(row.get::<_, i64>("version")?.unsigned_abs()))
}

pub(super) fn version_number(version: Version) -> i64 {
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

pub(super) fn hook_doc(hook: &RegisteredWebhook) -> Result<String, Fault> {
    let webhook = Cow::Borrowed(&hook.webhook);
    let options = Cow::Borrowed(&hook.options);
    Ok(serde_json::to_string(&HookDoc { webhook, options, disabled: hook.disabled })?)
}

/// Reads `doc`, `secrets` and `version`.
pub(super) fn registered(row: &Row<'_>) -> Result<RegisteredWebhook, Fault> {
    let doc: HookDoc<'_> = serde_json::from_str(row.get_ref("doc")?.as_str().map_err(Fault::corrupt)?)?;
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

pub(super) fn event_meta(event: &StampedEvent) -> Result<String, Fault> {
    let (source, actor) = (event.source.clone(), event.actor.clone());
    let (event_id, time, department) = (event.event_id, event.time, event.department);
    Ok(serde_json::to_string(&Meta { event_id, time, department, source, actor })?)
}

pub(super) fn event_id(row: &Row<'_>) -> Result<EventId, Fault> {
    let meta: Meta = serde_json::from_str(row.get_ref("meta")?.as_str().map_err(Fault::corrupt)?)?;
    Ok(meta.event_id)
}

/// Reads `message`, `meta` and `json`.
pub(super) fn event(row: &Row<'_>) -> Result<Arc<StampedEvent>, Fault> {
    let meta: Meta = serde_json::from_str(row.get_ref("meta")?.as_str().map_err(Fault::corrupt)?)?;
    let payload = RawValue::from_string(row.get("json")?)?;
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

pub(super) fn message(row: &Row<'_>) -> Result<MessageId, Fault> {
    Ok(MessageId::new(row.get_ref("message")?.as_str().map_err(Fault::corrupt)?)?)
}

/// `event.routing`, which is null while the event waits for it.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum RoutingDoc {
    Skipped(Vec<Skipped>),
    Unroutable(String),
}

pub(super) fn skipped_doc(skipped: &[Skipped]) -> Result<String, Fault> {
    Ok(serde_json::to_string(&RoutingDoc::Skipped(skipped.to_vec()))?)
}

pub(super) fn unroutable_doc(reason: &str) -> Result<String, Fault> {
    Ok(serde_json::to_string(&RoutingDoc::Unroutable(reason.to_owned()))?)
}

pub(super) fn routing(row: &Row<'_>) -> Result<RoutingRecord, Fault> {
    let Some(doc) = row.get::<_, Option<String>>("routing")? else { return Ok(RoutingRecord::Waiting) };
    Ok(match serde_json::from_str(&doc)? {
        RoutingDoc::Skipped(skipped) => RoutingRecord::Routed(skipped),
        RoutingDoc::Unroutable(reason) => RoutingRecord::Unroutable(reason),
    })
}
