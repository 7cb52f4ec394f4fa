//! Values as the columns keep them, and the rows that several operations read.

use std::sync::Arc;

use hookwire::delivery::{Health, LaneClass};
use hookwire::model::{
    CreationRecord, DeptId, Disabled, End, EventId, HookId, MessageId, SealedSecrets, SourceId, StampedEvent,
    TenantId, Timestamp, TraceContext, Webhook,
};
use hookwire::registry::{RegisteredWebhook, Version};
use hookwire::retry::RetryState;
use hookwire::store::{Fence, HolderId, Receipt};
use serde_json::value::RawValue;
use tokio_postgres::Row;

use crate::error::{QueryError, ReadRow};
use crate::time::Millis;

/// The id of a lane: `lane.id`.
pub(crate) type LaneId = i64;

/// `delivery.state` of a delivery that has not ended. [`end_number`] has the others.
pub(crate) const PENDING: i16 = 0;
/// `delivery.state` of a delivery that has expired.
pub(crate) const EXPIRED: i16 = 5;

/// `lane.status` of a webhook that is disabled or paused, or whose tenant is suspended.
pub(crate) const DISABLED: i16 = 0;
/// `lane.status` of a webhook that is enabled.
pub(crate) const ENABLED: i16 = 1;
/// `lane.status` of a webhook that is deleted.
pub(crate) const DELETED: i16 = 2;

/// The classes of lanes, by their numbers.
pub(crate) const CLASSES: [LaneClass; 3] = [LaneClass::Proven, LaneClass::Hanging, LaneClass::Unproven];

pub(crate) const fn class_number(class: LaneClass) -> i16 {
    match class {
        LaneClass::Proven => 0,
        LaneClass::Hanging => 1,
        LaneClass::Unproven => 2,
    }
}

pub(crate) fn end_number(end: End) -> Result<i16, QueryError> {
    match end {
        End::Cancelled => Ok(2),
        End::Delivered => Ok(3),
        End::Exhausted => Ok(4),
        End::Expired => Ok(EXPIRED),
        End::Erased => Ok(6),
        other => Err(QueryError::corrupt(format!("this store does not know the end {other:?}"))),
    }
}

pub(crate) fn end_of(number: i16) -> Result<End, QueryError> {
    let ends = [End::Cancelled, End::Delivered, End::Erased, End::Exhausted, End::Expired];
    let known = ends.into_iter().find(|end| end_number(*end).is_ok_and(|it| it == number));
    known.ok_or_else(|| QueryError::corrupt(format!("{number} is no state of a delivery")))
}

/// Fences count up from zero, and never reach the half that a `bigint` does not have.
pub(crate) fn fence_number(fence: Fence) -> i64 {
    i64::try_from(fence.get()).unwrap_or(i64::MAX)
}

pub(crate) fn fence_of(number: i64) -> Fence {
    Fence::new(number.unsigned_abs())
}

pub(crate) fn holder_bytes(holder: HolderId) -> Vec<u8> {
    holder.get().to_be_bytes().to_vec()
}

/// Converts a count to a `bigint`. A larger one is nothing that a store could hold.
pub(crate) fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Converts a small count, like [`as_i64`].
pub(crate) fn as_i32(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Reads a column of ids from each row.
pub(crate) fn ids(rows: &[Row], column: &str) -> Result<Vec<i64>, QueryError> {
    rows.iter().map(|row| row.read(column)).collect()
}

pub(crate) fn time(row: &Row, column: &str) -> Result<Timestamp, QueryError> {
    row.read(column).map(Millis::timestamp)
}

pub(crate) fn optional_time(row: &Row, column: &str) -> Result<Option<Timestamp>, QueryError> {
    Ok(row.read::<Option<Millis>>(column)?.map(Millis::timestamp))
}

/// Returns the value of `retry`.
pub(crate) fn retry_doc(retry: &RetryState) -> Result<Option<String>, QueryError> {
    Ok(retry.to_doc()?)
}

/// A lane. It keeps its row, from which the webhook is read only where it is needed.
pub(crate) struct Lane {
    pub(crate) id: LaneId,
    pub(crate) tenant: TenantId,
    pub(crate) hook: HookId,
    pub(crate) status: i16,
    pub(crate) ready: bool,
    pub(crate) wake_at: Option<Millis>,
    pub(crate) backoff_until: Option<Millis>,
    pub(crate) epoch: i64,
    pub(crate) version: i64,
    pub(crate) health: Health,
    /// Whether its webhook has a limit beside those of each holder.
    pub(crate) is_limited: bool,
    row: Row,
}

/// Joins to each row of `$wanted` the place of the delivery with its id, so that `delivery.ctid = found.place` is that delivery.
///
/// It is looked up by the primary key, whatever the server believes of the table: `OFFSET 0` lets it see no other
/// condition. A statement says `state < 1` beside it for pending deliveries, and not `state = 0`: a table that was
/// small when a statement was planned would be gone through along an index of all pending ones. Conditions on
/// `delivery` itself are checked again when the row is written; those on `found` are not.
macro_rules! found {
    ($wanted:literal) => {
        concat!(
            " CROSS JOIN LATERAL (SELECT ctid AS place FROM delivery WHERE delivery.id = ",
            $wanted,
            ".id OFFSET 0) AS found "
        )
    };
}
pub(crate) use found;

/// The event of `$tenant` with the message id `$message`, or the one after it: the statement asks for the message id again.
///
/// It is looked up by both. A table that had few events when a statement was planned would otherwise be gone through:
/// the index of a tenant's newest events seems as good then. That one has no order of message ids.
macro_rules! event_of {
    ($tenant:literal, $message:literal) => {
        concat!(
            "(SELECT * FROM event WHERE event.tenant = ",
            $tenant,
            " AND event.message >= ",
            $message,
            " ORDER BY event.message LIMIT 1)"
        )
    };
}
pub(crate) use event_of;

/// The columns that [`Lane::read`] and [`registered`] read.
macro_rules! lane_columns {
    () => {
        "lane.id, lane.tenant, lane.hook, lane.status, lane.ready, lane.wake_at, lane.user_paused_at, lane.rate, lane.cap, \
         lane.paused_until, lane.epoch, lane.version, lane.health::text AS health, \
         lane.webhook::text AS webhook, lane.options::text AS options, \
         lane.disabled::text AS disabled, lane.disabled_at, lane.secrets, lane.creation_key"
    };
}
pub(crate) use lane_columns;

impl Lane {
    pub(crate) fn read(row: Row) -> Result<Self, QueryError> {
        Ok(Self {
            id: row.read("id")?,
            tenant: TenantId::new(row.read::<&str>("tenant")?)?,
            hook: HookId::new(row.read("hook")?),
            status: row.read("status")?,
            ready: row.read("ready")?,
            wake_at: row.read("wake_at")?,
            backoff_until: row.read("paused_until")?,
            epoch: row.read("epoch")?,
            version: row.read("version")?,
            health: serde_json::from_str(row.read("health")?)?,
            is_limited: row.read::<Option<i32>>("rate")?.is_some()
                || row.read::<Option<i32>>("cap")?.is_some(),
            row,
        })
    }

    /// Reads the webhook from the row.
    pub(crate) fn registered(&self) -> Result<RegisteredWebhook, QueryError> {
        registered(&self.row)
    }

    pub(crate) const fn is_enabled(&self) -> bool {
        self.status == ENABLED
    }

    /// Whether none of its deliveries is due.
    pub(crate) fn is_idle(&self, now: Millis) -> bool {
        !self.ready
            && self.wake_at.is_none_or(|at| at > now)
            && self.backoff_until.is_none_or(|until| until <= now)
    }
}

fn version(row: &Row) -> Result<Version, QueryError> {
    Ok(Version::new(row.read::<i64>("version")?.unsigned_abs()))
}

pub(crate) fn version_number(version: Version) -> i64 {
    i64::try_from(version.get()).unwrap_or(i64::MAX)
}

/// Reads the webhook of a lane that is not deleted.
pub(crate) fn registered(row: &Row) -> Result<RegisteredWebhook, QueryError> {
    let webhook: Webhook = serde_json::from_str(row.read("webhook")?)?;
    let reason = row.read::<Option<&str>>("disabled")?.map(serde_json::from_str).transpose()?;
    let at = row.read::<Option<Millis>>("disabled_at")?.map(Millis::timestamp);
    // Code without the column leaves a time there when it enables a webhook.
    let disabled = (!webhook.status().is_enabled()).then_some(Disabled { reason, at });
    Ok(RegisteredWebhook {
        webhook,
        options: serde_json::from_str(row.read("options")?)?,
        secrets: SealedSecrets::new(row.read::<Vec<u8>>("secrets")?),
        version: version(row)?,
        disabled,
        paused: optional_time(row, "user_paused_at")?,
        creation: creation(row)?,
    })
}

fn creation(row: &Row) -> Result<Option<CreationRecord>, QueryError> {
    let Some(kept) = row.read::<Option<&[u8]>>("creation_key")? else { return Ok(None) };
    Ok(Some(CreationRecord::from_bytes(kept.try_into()?)))
}

/// The columns that [`event`] reads.
macro_rules! event_columns {
    () => {
        "event.message, event.event_id, event.time, event.department, event.source, event.actor, \
         event.trace::text AS trace, event.payload"
    };
}
pub(crate) use event_columns;

/// Reads an event, with `null` for a payload that was removed: the column is empty then.
pub(crate) fn event(row: &Row) -> Result<StampedEvent, QueryError> {
    let source: Option<&str> = row.read("source")?;
    let payload: Option<String> = row.read::<Option<String>>("payload")?.filter(|it| !it.is_empty());
    let payload = payload.map_or_else(|| Ok(RawValue::NULL.to_owned()), RawValue::from_string)?;
    Ok(StampedEvent {
        message_id: message(row)?,
        event_id: event_id(row)?,
        time: time(row, "time")?,
        department: row.read::<Option<i64>>("department")?.map(DeptId::new),
        source: source.map(SourceId::new).transpose()?,
        actor: row.read("actor")?,
        trace: trace(row)?,
        payload: Arc::from(payload),
    })
}

/// Reads the trace of an event. One that this code cannot read is none: an event is delivered without it.
fn trace(row: &Row) -> Result<Option<TraceContext>, QueryError> {
    let trace: Option<&str> = row.read("trace")?;
    Ok(trace.and_then(|trace| serde_json::from_str(trace).ok()))
}

pub(crate) fn message(row: &Row) -> Result<MessageId, QueryError> {
    Ok(MessageId::new(row.read::<&str>("message")?)?)
}

pub(crate) fn event_id(row: &Row) -> Result<EventId, QueryError> {
    Ok(EventId::new(u32::try_from(row.read::<i64>("event_id")?)?))
}

/// The columns that [`receipt`] reads.
macro_rules! receipt_columns {
    () => {
        "event.published_at, event.targets, coalesce(json_array_length(event.skipped), 0) AS skipped_count"
    };
}
pub(crate) use receipt_columns;

pub(crate) fn receipt(row: &Row) -> Result<Receipt, QueryError> {
    Ok(Receipt {
        published_at: time(row, "published_at")?,
        targets: usize::try_from(row.read::<i32>("targets")?)?,
        skipped: usize::try_from(row.read::<i32>("skipped_count")?)?,
    })
}
