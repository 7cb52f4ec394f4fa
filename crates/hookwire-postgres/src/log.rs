//! The log: events, deliveries, attempts and statistics, as they are read.

use hookwire::model::{
    Attempt, Delivery, DeliveryId, DeliveryQuery, DeliveryState, HookId, MessageId, Page, TenantId,
};
use hookwire::store::{EventRecord, RoutingRecord, Stats, StatsScope};
use tokio_postgres::Row;

use crate::connection::session::Sessions;
use crate::error::{QueryError, ReadRow};
use crate::rows::{
    PENDING, as_i64, end_number, end_of, event, event_columns, event_id, message, optional_time, receipt,
    receipt_columns, time,
};
use crate::time::Millis;

pub(crate) async fn read_event(
    sessions: &Sessions,
    tenant: &TenantId,
    id: &MessageId,
) -> Result<Option<EventRecord>, QueryError> {
    let rows = sessions.rows(EVENT, &[&tenant.as_str(), &id.as_str()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(EventRecord {
        event: event(row)?.into(),
        has_payload: !row.read::<&str>("payload")?.is_empty(),
        receipt: receipt(row)?,
        routing: routing(row)?,
    }))
}

fn routing(row: &Row) -> Result<RoutingRecord, QueryError> {
    if row.read::<Option<Millis>>("routed_at")?.is_none() {
        return Ok(RoutingRecord::Waiting);
    }
    if let Some(reason) = row.read("unroutable")? {
        return Ok(RoutingRecord::Unroutable(reason));
    }
    let skipped: Option<&str> = row.read("skipped_doc")?;
    Ok(RoutingRecord::Routed(skipped.map(serde_json::from_str).transpose()?.unwrap_or_default()))
}

pub(crate) async fn deliveries(
    sessions: &Sessions,
    tenant: &TenantId,
    query: &DeliveryQuery,
) -> Result<Page<Delivery>, QueryError> {
    let limit = query.page.limit();
    let cursor: Option<i64> = query.page.cursor_as()?;
    let hook = query.webhook.map(HookId::get);
    let message = query.message.as_ref().map(MessageId::as_str);
    let state = query.state.map(state_number).transpose()?;
    let since = query.since.map_or(Millis::MIN, Millis::from);
    let before = cursor.unwrap_or(i64::MAX);
    let sql = if message.is_some() { OF_EVENT } else { OF_LANES };
    let rows = sessions
        .rows_of_many(sql, &[&tenant.as_str(), &hook, &message, &state, &since, &before, &as_i64(limit + 1)])
        .await?;
    let items = rows.iter().map(delivery).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::from_surplus(items, limit, |last| last.id.to_string()))
}

/// The number of a state, as listings filter by it.
fn state_number(state: DeliveryState) -> Result<i16, QueryError> {
    match state {
        DeliveryState::Ended(end) => end_number(end),
        DeliveryState::Pending => Ok(PENDING),
    }
}

fn delivery(row: &Row) -> Result<Delivery, QueryError> {
    let (state, due_at) = match row.read("standing")? {
        PENDING => (DeliveryState::Pending, Some(time(row, "due")?)),
        ended => (DeliveryState::Ended(end_of(ended)?), None),
    };
    Ok(Delivery {
        id: DeliveryId::new(row.read("id")?),
        message_id: message(row)?,
        event_id: event_id(row)?,
        hook_id: HookId::new(row.read("hook")?),
        state,
        attempts: row.read::<i32>("attempts")?.unsigned_abs(),
        created_at: time(row, "created_at")?,
        due_at,
        ended_at: optional_time(row, "over_at")?,
        origin: row.read::<Option<i64>>("origin")?.map(DeliveryId::new),
    })
}

pub(crate) async fn attempts(
    sessions: &Sessions,
    tenant: &TenantId,
    id: DeliveryId,
) -> Result<Option<Vec<Attempt>>, QueryError> {
    let rows = sessions.rows(ATTEMPTS, &[&id.get(), &tenant.as_str()]).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let docs = rows.iter().map(|row| row.read::<Option<&str>>("doc"));
    let docs = docs.collect::<Result<Vec<_>, _>>()?.into_iter().flatten();
    docs.map(|doc| Ok(serde_json::from_str(doc)?)).collect::<Result<_, _>>().map(Some)
}

/// Counts pending deliveries, along their index. Ended ones are not read.
pub(crate) async fn stats(sessions: &Sessions, scope: &StatsScope) -> Result<Stats, QueryError> {
    let (tenant, hook) = match scope {
        StatsScope::All => (None, None),
        StatsScope::Tenant(tenant) => (Some(tenant.as_str()), None),
        StatsScope::Webhook(tenant, hook) => (Some(tenant.as_str()), Some(hook.get())),
    };
    let rows = sessions.rows_of_many(STATS, &[&tenant, &hook]).await?;
    let row = rows.first().ok_or_else(|| QueryError::corrupt("no answer"))?;
    let now = time(row, "now")?;
    Ok(Stats {
        pending: row.read::<i64>("pending")?.unsigned_abs(),
        held: row.read::<i64>("held")?.unsigned_abs(),
        oldest_due: optional_time(row, "oldest")?.map(|due| now.since(due)),
    })
}

const EVENT: &str = concat!(
    "SELECT ",
    event_columns!(),
    ", ",
    receipt_columns!(),
    ", routed_at, unroutable, skipped::text AS skipped_doc FROM event WHERE tenant = $1 AND message = $2"
);

/// Lists deliveries with their state, also those of dropped backlogs that upkeep has not ended yet.
macro_rules! standing {
    ($from:literal) => {
        concat!(
            "SELECT * FROM (SELECT delivery.id, event.message, event.event_id, lane.hook, attempts, created_at, ",
            "origin, due, CASE WHEN is_dropped THEN 2 ELSE state END::smallint AS standing, ",
            "CASE WHEN is_dropped THEN epoch_at ELSE ended_at END AS over_at FROM ",
            $from,
            " CROSS JOIN LATERAL (SELECT state = 0 AND delivery.epoch <> lane.epoch AND ",
            "(holder IS NULL OR due <= (SELECT clock_ms())) AS is_dropped) AS it) AS listed ",
            "WHERE created_at >= $5 AND ($2::bigint IS NULL OR hook = $2) ",
            "AND ($3::text IS NULL OR message = $3) AND ($4::smallint IS NULL OR standing = $4) ",
            "ORDER BY id DESC LIMIT $7"
        )
    };
}

const OF_EVENT: &str = standing!(
    "event JOIN delivery ON delivery.event = event.seq JOIN lane ON lane.id = delivery.lane \
     AND event.tenant = $1 AND event.message = $3 AND delivery.id < $6"
);

/// Goes along the index of each lane of the tenant.
const OF_LANES: &str = standing!(
    "lane JOIN delivery ON delivery.lane = lane.id AND lane.tenant = $1 \
     AND ($2::bigint IS NULL OR lane.hook = $2) AND delivery.id < $6 \
     JOIN event ON event.seq = delivery.event"
);

const ATTEMPTS: &str = "SELECT doc::text AS doc FROM delivery JOIN lane ON lane.id = delivery.lane \
    LEFT JOIN attempt ON attempt.delivery = delivery.id \
    WHERE delivery.id = $1 AND lane.tenant = $2 ORDER BY number";

const STATS: &str = "
    SELECT max(now) AS now, count(*) FILTER (WHERE is_held OR is_present) AS pending,
        count(*) FILTER (WHERE is_held) AS held,
        min(due) FILTER (WHERE is_present AND NOT is_held AND status = 1 AND due <= now) AS oldest
    FROM (SELECT clock_ms() AS now) AS clock LEFT JOIN (lane JOIN delivery ON delivery.lane = lane.id
            AND state = 0 AND ($1::text IS NULL OR tenant = $1) AND ($2::bigint IS NULL OR hook = $2)
        ) ON true
    CROSS JOIN LATERAL (SELECT holder IS NOT NULL AND due > now AS is_held,
        delivery.epoch = lane.epoch AS is_present) AS it";
