//! Reading: events, deliveries, attempts and counts. Runs on the reading threads.

use rusqlite::{Connection, Row, named_params};

use super::file::rows::{end_of, event, event_id, message, routing};
use super::file::sql::{Sql, SqlError, as_i64, optional_time, time};
use super::publish::receipt;
use super::state;
use crate::model::{
    Attempt, Delivery, DeliveryId, DeliveryQuery, DeliveryState, HookId, MessageId, Page, TenantId, Timestamp,
};
use crate::store::records::{EventRecord, Stats, StatsScope};

pub(super) fn read_event(
    connection: &Connection,
    name: &TenantId,
    id: &MessageId,
) -> Result<Option<EventRecord>, SqlError> {
    const SELECT: &str = "SELECT message, meta, json, published_at, targets, skipped, routing
        FROM event LEFT JOIN payload ON payload.event = event.seq
        JOIN tenant ON tenant.id = event.tenant
        WHERE tenant.name = ? AND message = ?";
    connection.one(SELECT, [name.as_str(), id.as_str()], |row| {
        let has_payload = row.get::<_, Option<String>>("json")?.is_some();
        Ok(EventRecord { event: event(row)?, has_payload, receipt: receipt(row)?, routing: routing(row)? })
    })
}

pub(super) fn deliveries(
    connection: &Connection,
    name: &TenantId,
    query: &DeliveryQuery,
) -> Result<Page<Delivery>, SqlError> {
    let cursor: Option<i64> = query.page.cursor_as()?;
    let Some(tenant) = state::tenant(connection, name)? else { return Ok(Page::new(Vec::new(), None)) };
    let limit = query.page.limit();
    let values = named_params! {
        ":tenant": tenant.id,
        ":hook": query.webhook.map(HookId::get),
        ":message": query.message.as_ref().map(MessageId::as_str),
        ":state": query.state.map(state_number),
        ":since": query.since.map_or(i64::MIN, Timestamp::as_millis),
        ":before": cursor.unwrap_or(i64::MAX),
        ":most": as_i64(limit + 1),
    };
    let items = connection.all(&select_deliveries(query), values, delivery)?;
    Ok(Page::from_surplus(items, limit, |last| last.id.to_string()))
}

/// The listing by the index that leaves least to look at. The plus signs keep SQLite from choosing
/// otherwise.
fn select_deliveries(query: &DeliveryQuery) -> String {
    const BY_EVENT: &str = "delivery.event = (SELECT seq FROM event AS it \
        WHERE it.tenant = :tenant AND it.message = :message) AND +delivery.tenant = :tenant";
    const BY_LANE: &str = "delivery.lane = (SELECT id FROM lane AS it \
        WHERE it.tenant = :tenant AND it.hook = :hook) AND +delivery.tenant = :tenant";
    let by = match (&query.message, query.webhook) {
        (Some(_), _) => BY_EVENT,
        (None, Some(_)) => BY_LANE,
        (None, None) => "delivery.tenant = :tenant",
    };
    format!(
        "SELECT * FROM (SELECT delivery.id, message, meta, hook, attempts, created_at, origin, due, lease_until,
            CASE WHEN state = 0 AND delivery.epoch <> lane.epoch THEN 2 ELSE state END AS standing,
            CASE WHEN state = 0 AND delivery.epoch <> lane.epoch THEN epoch_at
                ELSE delivery.ended_at END AS over_at
        FROM delivery CROSS JOIN event ON event.seq = delivery.event
        CROSS JOIN lane ON lane.id = delivery.lane
        WHERE {by} AND delivery.id < :before)
        WHERE created_at >= :since
            AND (:hook IS NULL OR hook = :hook) AND (:message IS NULL OR message = :message)
            AND (:state IS NULL OR max(standing, 1) = :state)
        ORDER BY id DESC LIMIT :most"
    )
}

/// States as a listing tells them apart: what waits and what is held are both pending.
fn state_number(state: DeliveryState) -> i64 {
    match state {
        DeliveryState::Ended(end) => super::file::rows::end_number(end),
        DeliveryState::Pending => 1,
    }
}

fn delivery(row: &Row<'_>) -> Result<Delivery, SqlError> {
    let (state, due_at) = match row.get("standing")? {
        0 => (DeliveryState::Pending, Some(time(row, "due")?)),
        1 => (DeliveryState::Pending, optional_time(row, "lease_until")?),
        ended => (DeliveryState::Ended(end_of(ended)?), None),
    };
    Ok(Delivery {
        id: DeliveryId::new(row.get("id")?),
        message_id: message(row)?,
        event_id: event_id(row)?,
        hook_id: HookId::new(row.get("hook")?),
        state,
        attempts: row.get("attempts")?,
        created_at: time(row, "created_at")?,
        due_at,
        ended_at: optional_time(row, "over_at")?,
        origin: row.get::<_, Option<i64>>("origin")?.map(DeliveryId::new),
    })
}

pub(super) fn attempts(
    connection: &Connection,
    name: &TenantId,
    id: DeliveryId,
) -> Result<Option<Vec<Attempt>>, SqlError> {
    let Some(tenant) = state::tenant(connection, name)? else { return Ok(None) };
    let known = "SELECT 1 FROM delivery WHERE id = ? AND tenant = ?";
    if connection.one(known, [id.get(), tenant.id], |_| Ok(()))?.is_none() {
        return Ok(None);
    }
    let select = "SELECT doc FROM attempt WHERE delivery = ? ORDER BY number";
    let read = |row: &Row<'_>| Ok(serde_json::from_str(&row.get::<_, String>("doc")?)?);
    connection.all(select, [id.get()], read).map(Some)
}

/// Counts along the indexes of what waits and what is held; what has ended is not looked at.
pub(super) fn stats(connection: &Connection, scope: &StatsScope, now: Timestamp) -> Result<Stats, SqlError> {
    let (name, hook) = match scope {
        StatsScope::All => (None, None),
        StatsScope::Tenant(tenant) => (Some(tenant), None),
        StatsScope::Webhook(tenant, hook) => (Some(tenant), Some(hook.get())),
    };
    let tenant = match name {
        Some(name) => match state::tenant(connection, name)? {
            Some(tenant) => Some(tenant.id),
            None => return Ok(Stats::default()),
        },
        None => None,
    };
    let scope = named_params! {":tenant": tenant, ":hook": hook};
    let waiting = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, optional_time(row, "oldest")?));
    let (waits, oldest) = connection.one(COUNT_WAITING, scope, waiting)?.unwrap_or_default();
    let held = connection.one(COUNT_HELD, scope, super::file::sql::number)?.unwrap_or_default();
    Ok(Stats {
        pending: waits.unsigned_abs() + held.unsigned_abs(),
        held: held.unsigned_abs(),
        oldest_due: oldest.filter(|due| *due <= now).map(|due| now.since(due)),
    })
}

const COUNT_WAITING: &str = "SELECT count(*), min(CASE WHEN status = 1 THEN due END) AS oldest
    FROM lane CROSS JOIN delivery ON delivery.lane = lane.id AND delivery.epoch = lane.epoch
    WHERE state = 0 AND (:tenant IS NULL OR lane.tenant = :tenant) AND (:hook IS NULL OR hook = :hook)";

const COUNT_HELD: &str = "SELECT count(*) FROM delivery CROSS JOIN lane ON lane.id = delivery.lane
    WHERE state = 1 AND (:tenant IS NULL OR lane.tenant = :tenant) AND (:hook IS NULL OR hook = :hook)";
