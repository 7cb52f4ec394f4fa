//! Values as rows keep them.

use std::sync::Arc;

use hookwire::delivery::{Health, LaneClass};
use hookwire::model::{
    DeptId, End, EventId, HookId, MessageId, SealedSecrets, SourceId, StampedEvent, TenantId, Timestamp,
};
use hookwire::registry::{RegisteredWebhook, Version};
use hookwire::store::{Fence, HolderId};
use serde_json::value::RawValue;
use tokio_postgres::Row;

use crate::fault::Fault;

/// `lane.id`.
pub(crate) type LaneId = i64;

pub(crate) const PENDING: i16 = 0;

pub(crate) const DISABLED: i16 = 0;
pub(crate) const ENABLED: i16 = 1;
pub(crate) const DELETED: i16 = 2;

/// The classes by their numbers.
pub(crate) const CLASSES: [LaneClass; 3] = [LaneClass::Proven, LaneClass::Hanging, LaneClass::Unproven];

pub(crate) const fn class_number(class: LaneClass) -> i16 {
    match class {
        LaneClass::Proven => 0,
        LaneClass::Hanging => 1,
        LaneClass::Unproven => 2,
    }
}

pub(crate) const EXPIRED: i16 = 5;

pub(crate) fn end_number(end: End) -> Result<i16, Fault> {
    match end {
        End::Cancelled => Ok(2),
        End::Delivered => Ok(3),
        End::Exhausted => Ok(4),
        End::Expired => Ok(EXPIRED),
        other => Err(Fault::corrupt(format!("this store does not know the end {other:?}"))),
    }
}

pub(crate) fn end_of(number: i16) -> Result<End, Fault> {
    let ends = [End::Cancelled, End::Delivered, End::Exhausted, End::Expired];
    let known = ends.into_iter().find(|end| end_number(*end).is_ok_and(|it| it == number));
    known.ok_or_else(|| Fault::corrupt(format!("{number} is no state of a delivery")))
}

/// Fences are counted up from zero and never come near the half that the database's integers do not have.
pub(crate) fn fence_number(fence: Fence) -> i64 {
    i64::try_from(fence.get()).unwrap_or(i64::MAX)
}

pub(crate) fn fence_of(number: i64) -> Fence {
    Fence::new(number.unsigned_abs())
}

pub(crate) fn holder_bytes(holder: HolderId) -> Vec<u8> {
    holder.get().to_be_bytes().to_vec()
}

/// A count as the database keeps it; one that does not fit is nothing that a store could count.
pub(crate) fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A small count, like [`whole`].
pub(crate) fn small(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

pub(crate) fn time(row: &Row, column: &str) -> Result<Timestamp, Fault> {
    Ok(Timestamp::from_millis(row.try_get(column)?))
}

pub(crate) fn optional_time(row: &Row, column: &str) -> Result<Option<Timestamp>, Fault> {
    Ok(row.try_get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

/// A lane, and its row, from which the webhook is read where it is wanted.
pub(crate) struct Lane {
    pub(crate) id: LaneId,
    pub(crate) tenant: TenantId,
    pub(crate) hook: HookId,
    pub(crate) status: i16,
    pub(crate) ready: bool,
    pub(crate) wake_at: Option<i64>,
    pub(crate) floor: Option<i64>,
    pub(crate) backoff_until: i64,
    pub(crate) epoch: i64,
    pub(crate) health: Health,
    row: Row,
}

/// What [`Lane::read`] and [`registered`] read.
macro_rules! lane_columns {
    () => {
        "lane.id, lane.tenant, lane.hook, lane.status, lane.ready, lane.wake_at, lane.floor, \
         lane.paused_until, lane.epoch, lane.version, lane.health::text AS health, \
         lane.webhook::text AS webhook, lane.options::text AS options, \
         lane.disabled::text AS disabled, lane.secrets"
    };
}
pub(crate) use lane_columns;

impl Lane {
    pub(crate) fn read(row: Row) -> Result<Self, Fault> {
        Ok(Self {
            id: row.try_get("id")?,
            tenant: TenantId::new(row.try_get::<_, &str>("tenant")?)?,
            hook: HookId::new(row.try_get("hook")?),
            status: row.try_get("status")?,
            ready: row.try_get("ready")?,
            wake_at: row.try_get("wake_at")?,
            floor: row.try_get("floor")?,
            backoff_until: row.try_get("paused_until")?,
            epoch: row.try_get("epoch")?,
            health: serde_json::from_str(row.try_get("health")?)?,
            row,
        })
    }

    /// The webhook as it is in this row.
    pub(crate) fn registered(&self) -> Result<RegisteredWebhook, Fault> {
        registered(&self.row)
    }

    pub(crate) const fn is_enabled(&self) -> bool {
        self.status == ENABLED
    }

    /// Whether nothing waits in it that is due.
    pub(crate) fn is_idle(&self, now: i64) -> bool {
        !self.ready && self.wake_at.is_none_or(|at| at > now) && self.backoff_until <= now
    }
}

fn version(row: &Row) -> Result<Version, Fault> {
    Ok(Version::new(row.try_get::<_, i64>("version")?.unsigned_abs()))
}

pub(crate) fn version_number(version: Version) -> i64 {
    i64::try_from(version.get()).unwrap_or(i64::MAX)
}

/// The webhook of a lane that is not deleted.
pub(crate) fn registered(row: &Row) -> Result<RegisteredWebhook, Fault> {
    let disabled: Option<&str> = row.try_get("disabled")?;
    Ok(RegisteredWebhook {
        webhook: serde_json::from_str(row.try_get("webhook")?)?,
        options: serde_json::from_str(row.try_get("options")?)?,
        secrets: SealedSecrets::new(row.try_get::<_, Vec<u8>>("secrets")?),
        version: version(row)?,
        disabled: disabled.map(serde_json::from_str).transpose()?,
    })
}

/// What [`event`] reads.
macro_rules! event_columns {
    () => {
        "event.message, event.event_id, event.time, event.department, event.source, event.actor, event.payload"
    };
}
pub(crate) use event_columns;

pub(crate) fn event(row: &Row) -> Result<StampedEvent, Fault> {
    let source: Option<&str> = row.try_get("source")?;
    let payload = RawValue::from_string(row.try_get("payload")?)?;
    Ok(StampedEvent {
        message_id: message(row)?,
        event_id: event_id(row)?,
        time: time(row, "time")?,
        department: row.try_get::<_, Option<i64>>("department")?.map(DeptId::new),
        source: source.map(SourceId::new).transpose()?,
        actor: row.try_get("actor")?,
        payload: Arc::from(payload),
    })
}

pub(crate) fn message(row: &Row) -> Result<MessageId, Fault> {
    Ok(MessageId::new(row.try_get::<_, &str>("message")?)?)
}

pub(crate) fn event_id(row: &Row) -> Result<EventId, Fault> {
    Ok(EventId::new(u32::try_from(row.try_get::<_, i64>("event_id")?)?))
}
