//! Values as rows keep them. Each list of columns stands beside the reader that takes them in this order.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::sql::{Cells, SqlError};
use crate::delivery::Health;
use crate::model::{
    CreationRecord, DeliveryOptions, DeptId, DisableReason, Disabled, End, EventId, HookId, MessageId,
    SealedSecrets, SourceId, StampedEvent, TenantId, Timestamp, TraceContext, Webhook,
};
use crate::registry::{RegisteredWebhook, Version};
use crate::retry::RetryState;
use crate::store::pace::Pace;
use crate::store::publication::Receipt;
use crate::store::records::RoutingRecord;
use crate::store::routing::Skipped;

/// `lane.id`.
pub(crate) type LaneId = i64;

pub(crate) const CANCELLED: i64 = 2;

pub(crate) const DISABLED: i64 = 0;
pub(crate) const ENABLED: i64 = 1;
pub(crate) const DELETED: i64 = 2;

pub(crate) fn end_number(end: End) -> i64 {
    match end {
        End::Cancelled => CANCELLED,
        End::Delivered => 3,
        End::Exhausted => 4,
        End::Expired => 5,
        End::Erased => 6,
    }
}

pub(crate) fn end_of(number: i64) -> Result<End, SqlError> {
    let ends = [End::Cancelled, End::Delivered, End::Erased, End::Exhausted, End::Expired];
    let known = ends.into_iter().find(|end| end_number(*end) == number);
    known.ok_or_else(|| SqlError::corrupt(format!("{number} is no state of a delivery")))
}

/// Where a delivery waits: its position in its lane is told by the order of the fields.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Position {
    pub(crate) lane: LaneId,
    pub(crate) epoch: i64,
    /// Whether it goes behind first attempts.
    pub(crate) behind: bool,
    pub(crate) due: Timestamp,
    pub(crate) id: i64,
}

impl Position {
    /// Before every position.
    pub(crate) const START: Self =
        Self { lane: i64::MIN, epoch: 0, behind: false, due: Timestamp::from_millis(i64::MIN), id: 0 };

    /// Reads `lane`, `epoch`, `behind`, `due` and `id`.
    pub(crate) fn read(cells: &mut Cells<'_>) -> Result<Self, SqlError> {
        Ok(Self {
            lane: cells.get()?,
            epoch: cells.get()?,
            behind: cells.get()?,
            due: cells.time()?,
            id: cells.get()?,
        })
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
    pub(crate) backoff_until: Option<Timestamp>,
    pub(crate) health: Health,
    pub(crate) pace: Pace,
}

/// The statement for [`Lane::read`], to be followed by a condition on `lane`.
pub(crate) const SELECT_LANE: &str = "SELECT lane.id, lane.tenant, name, hook, status, epoch, backoff_until, \
    health, rate, cap FROM lane JOIN tenant ON tenant.id = lane.tenant WHERE ";

impl Lane {
    pub(crate) fn read(cells: &mut Cells<'_>) -> Result<Self, SqlError> {
        Ok(Self {
            id: cells.get()?,
            tenant: cells.get()?,
            name: TenantId::new(cells.text()?)?,
            hook: HookId::new(cells.get()?),
            status: cells.get()?,
            epoch: cells.get()?,
            backoff_until: cells.optional_time()?,
            health: cells.json()?,
            pace: Pace { rate: cells.get()?, max_in_flight: cells.get()? },
        })
    }

    pub(crate) const fn is_enabled(&self) -> bool {
        self.status == ENABLED
    }

    /// Where a new delivery waits.
    pub(crate) const fn position(&self, id: i64, due: Timestamp) -> Position {
        Position { lane: self.id, epoch: self.epoch, behind: false, due, id }
    }
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paused: Option<Timestamp>,
}

/// Writes `doc`. When the webhook was disabled has a column of its own.
pub(crate) fn hook_doc(hook: &RegisteredWebhook) -> Result<String, SqlError> {
    let webhook = Cow::Borrowed(&hook.webhook);
    let options = Cow::Borrowed(&hook.options);
    let disabled = hook.disabled.and_then(|it| it.reason);
    Ok(serde_json::to_string(&HookDoc { webhook, options, disabled, paused: hook.paused })?)
}

/// The statement for [`registered`], to be followed by a condition on `lane`.
pub(crate) const SELECT_HOOK: &str =
    "SELECT doc, secrets, version, disabled_at, creation_key FROM lane WHERE ";

pub(crate) fn registered(cells: &mut Cells<'_>) -> Result<RegisteredWebhook, SqlError> {
    let HookDoc { webhook, options, disabled: reason, paused } = cells.json()?;
    let (secrets, version) = (cells.get::<Vec<u8>>()?, cells.get::<i64>()?.unsigned_abs());
    let at = cells.optional_time()?;
    // Code without the column leaves a time there when it enables a webhook.
    let disabled = (!webhook.status().is_enabled()).then_some(Disabled { reason, at });
    Ok(RegisteredWebhook {
        webhook: webhook.into_owned(),
        options: options.into_owned(),
        secrets: SealedSecrets::new(secrets),
        version: Version::new(version),
        disabled,
        paused,
        creation: cells.get::<Option<[u8; 64]>>()?.map(CreationRecord::from_bytes),
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<TraceContext>,
}

pub(crate) fn event_meta(event: &StampedEvent) -> Result<String, SqlError> {
    let meta = Meta {
        event_id: event.event_id,
        time: event.time,
        department: event.department,
        source: event.source.clone(),
        actor: event.actor.clone(),
        trace: event.trace.clone(),
    };
    Ok(serde_json::to_string(&meta)?)
}

/// Reads `meta` for the kind of event alone.
pub(crate) fn event_id(cells: &mut Cells<'_>) -> Result<EventId, SqlError> {
    Ok(kind_and_time(cells)?.0)
}

/// Reads `meta` for the kind of event and its time.
pub(crate) fn kind_and_time(cells: &mut Cells<'_>) -> Result<(EventId, Timestamp), SqlError> {
    let Meta { event_id, time, .. } = cells.json()?;
    Ok((event_id, time))
}

/// Reads `message`, `meta` and `payload`, which is `null` once it was removed.
pub(crate) fn event(cells: &mut Cells<'_>) -> Result<StampedEvent, SqlError> {
    let message_id = message(cells)?;
    let meta: Meta = cells.json()?;
    Ok(StampedEvent {
        message_id,
        event_id: meta.event_id,
        time: meta.time,
        department: meta.department,
        source: meta.source,
        actor: meta.actor,
        trace: meta.trace,
        payload: match cells.get::<Option<String>>()? {
            Some(json) => RawValue::from_string(json)?.into(),
            None => RawValue::NULL.to_owned().into(),
        },
    })
}

pub(crate) fn message(cells: &mut Cells<'_>) -> Result<MessageId, SqlError> {
    Ok(MessageId::new(cells.text()?)?)
}

/// Reads `published_at`, `targets` and `skipped`.
pub(crate) fn receipt(cells: &mut Cells<'_>) -> Result<Receipt, SqlError> {
    Ok(Receipt { published_at: cells.time()?, targets: cells.count()?, skipped: cells.count()? })
}

/// `event.routing`, which is null where nothing was skipped.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum RoutingDoc {
    Skipped(Vec<Skipped>),
    Unroutable(String),
}

pub(crate) fn skipped_doc(skipped: &[Skipped]) -> Result<Option<String>, SqlError> {
    let doc = || serde_json::to_string(&RoutingDoc::Skipped(skipped.to_vec()));
    Ok(if skipped.is_empty() { None } else { Some(doc()?) })
}

pub(crate) fn unroutable_doc(reason: &str) -> Result<String, SqlError> {
    Ok(serde_json::to_string(&RoutingDoc::Unroutable(reason.to_owned()))?)
}

/// Reads `routed IS NULL` and `routing`.
pub(crate) fn routing(cells: &mut Cells<'_>) -> Result<RoutingRecord, SqlError> {
    let is_waiting: bool = cells.get()?;
    Ok(match cells.optional_json()? {
        _ if is_waiting => RoutingRecord::Waiting,
        None => RoutingRecord::Routed(Vec::new()),
        Some(RoutingDoc::Skipped(skipped)) => RoutingRecord::Routed(skipped),
        Some(RoutingDoc::Unroutable(reason)) => RoutingRecord::Unroutable(reason),
    })
}

/// What a claim reads of a delivery and its event.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) attempts: u32,
    pub(crate) retry: RetryState,
    pub(crate) expires: Timestamp,
    pub(crate) event: Arc<StampedEvent>,
}

pub(crate) const SELECT_HEAD: &str = "SELECT attempts, retry, expires, message, meta, payload \
    FROM delivery JOIN event ON event.id = delivery.event WHERE delivery.id = ? AND state = 0";

impl Head {
    pub(crate) fn read(cells: &mut Cells<'_>) -> Result<Self, SqlError> {
        Ok(Self {
            attempts: cells.get()?,
            retry: RetryState::from_doc(cells.optional_text()?)?,
            expires: cells.time()?,
            event: Arc::new(event(cells)?),
        })
    }
}
