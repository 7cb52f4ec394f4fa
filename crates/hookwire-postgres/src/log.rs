use hookwire::model::{
    Attempt, Delivery, DeliveryId, DeliveryQuery, DeliveryState, HookId, MessageId, Page, PageRequest,
    TenantId, Timestamp,
};
use hookwire::store::{EventRecord, RoutingRecord, Stats, StatsScope};
use tokio_postgres::Row;

use crate::fault::Fault;
use crate::publish::receipt;
use crate::rows::{end_number, end_of, event, event_columns, event_id, message, optional_time, time, whole};
use crate::session::Sessions;

pub(crate) async fn read_event(
    sessions: &Sessions,
    tenant: &TenantId,
    id: &MessageId,
) -> Result<Option<EventRecord>, Fault> {
    let rows = sessions.rows(EVENT, &[&tenant.as_str(), &id.as_str()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(EventRecord { event: event(row)?.into(), receipt: receipt(row)?, routing: routing(row)? }))
}

fn routing(row: &Row) -> Result<RoutingRecord, Fault> {
    if row.try_get::<_, Option<i64>>("routed_at")?.is_none() {
        return Ok(RoutingRecord::Waiting);
    }
    if let Some(reason) = row.try_get("unroutable")? {
        return Ok(RoutingRecord::Unroutable(reason));
    }
    let skipped: Option<&str> = row.try_get("skipped_doc")?;
    Ok(RoutingRecord::Routed(skipped.map(serde_json::from_str).transpose()?.unwrap_or_default()))
}

pub(crate) async fn deliveries(
    sessions: &Sessions,
    tenant: &TenantId,
    query: &DeliveryQuery,
) -> Result<Page<Delivery>, Fault> {
    let limit = query.page.limit();
    let cursor: Option<i64> = query.page.cursor_as()?;
    let hook = query.webhook.map(HookId::get);
    let message = query.message.as_ref().map(MessageId::as_str);
    let state = query.state.map(state_number).transpose()?;
    let since = query.since.map_or(i64::MIN, Timestamp::as_millis);
    let before = cursor.unwrap_or(i64::MAX);
    let sql = if message.is_some() { OF_EVENT } else { OF_LANES };
    let rows = sessions
        .rows(sql, &[&tenant.as_str(), &hook, &message, &state, &since, &before, &whole(limit + 1)])
        .await?;
    let mut items = rows.iter().map(delivery).collect::<Result<Vec<_>, _>>()?;
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| has_more).map(|last| last.id.to_string());
    Ok(Page::new(items, next))
}

/// States as a listing tells them apart.
fn state_number(state: DeliveryState) -> Result<i16, Fault> {
    match state {
        DeliveryState::Ended(end) => end_number(end),
        DeliveryState::Pending => Ok(0),
    }
}

fn delivery(row: &Row) -> Result<Delivery, Fault> {
    let (state, due_at) = match row.try_get("standing")? {
        0 => (DeliveryState::Pending, Some(time(row, "due")?)),
        ended => (DeliveryState::Ended(end_of(ended)?), None),
    };
    Ok(Delivery {
        id: DeliveryId::new(row.try_get("id")?),
        message_id: message(row)?,
        event_id: event_id(row)?,
        hook_id: HookId::new(row.try_get("hook")?),
        state,
        attempts: row.try_get::<_, i32>("attempts")?.unsigned_abs(),
        created_at: time(row, "created_at")?,
        due_at,
        ended_at: optional_time(row, "over_at")?,
        origin: row.try_get::<_, Option<i64>>("origin")?.map(DeliveryId::new),
    })
}

pub(crate) async fn attempts(
    sessions: &Sessions,
    tenant: &TenantId,
    id: DeliveryId,
) -> Result<Option<Vec<Attempt>>, Fault> {
    let rows = sessions.rows(ATTEMPTS, &[&id.get(), &tenant.as_str()]).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let docs = rows.iter().map(|row| Ok(row.try_get::<_, Option<&str>>("doc")?));
    let docs = docs.collect::<Result<Vec<_>, Fault>>()?.into_iter().flatten();
    docs.map(|doc| Ok(serde_json::from_str(doc)?)).collect::<Result<_, _>>().map(Some)
}

/// Counts along the index of what is pending; what has ended is not looked at.
pub(crate) async fn stats(sessions: &Sessions, scope: &StatsScope) -> Result<Stats, Fault> {
    let (tenant, hook) = match scope {
        StatsScope::All => (None, None),
        StatsScope::Tenant(tenant) => (Some(tenant.as_str()), None),
        StatsScope::Webhook(tenant, hook) => (Some(tenant.as_str()), Some(hook.get())),
    };
    let rows = sessions.rows(STATS, &[&tenant, &hook]).await?;
    let row = rows.first().ok_or_else(|| Fault::corrupt("no answer"))?;
    let now = time(row, "now")?;
    Ok(Stats {
        pending: row.try_get::<_, i64>("pending")?.unsigned_abs(),
        held: row.try_get::<_, i64>("held")?.unsigned_abs(),
        oldest_due: optional_time(row, "oldest")?.map(|due| now.since(due)),
    })
}

pub(crate) async fn tenants(sessions: &Sessions, page: &PageRequest) -> Result<Page<TenantId>, Fault> {
    let after = page.cursor_as::<TenantId>()?;
    let after = after.as_ref().map_or("", TenantId::as_str);
    let rows = sessions.rows(TENANTS, &[&after, &whole(page.limit() + 1)]).await?;
    let names = rows.iter().map(|row| Ok(row.try_get("name")?));
    let mut names = names.collect::<Result<Vec<&str>, Fault>>()?;
    let has_more = names.len() > page.limit();
    names.truncate(page.limit());
    let next = names.last().filter(|_| has_more).map(ToString::to_string);
    // A name that cannot be read was written by hand: there is no such tenant.
    Ok(Page::new(names.iter().filter_map(|name| TenantId::new(name).ok()).collect(), next))
}

const EVENT: &str = concat!(
    "SELECT ",
    event_columns!(),
    ", published_at, targets, coalesce(json_array_length(skipped), 0) AS passed_over, routed_at, \
     unroutable, skipped::text AS skipped_doc FROM event WHERE tenant = $1 AND message = $2"
);

/// How deliveries stand, whatever has not been swept yet; to be followed by where they come from.
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

/// Along the index of each lane of the tenant.
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

/// Tenants with webhooks or events, those included whose events only wait for routing.
const TENANTS: &str = "
    WITH RECURSIVE waiting (name) AS (
        (SELECT tenant FROM event WHERE routed_at IS NULL AND tenant > $1 ORDER BY tenant LIMIT 1)
        UNION ALL
        SELECT (SELECT tenant FROM event WHERE routed_at IS NULL AND tenant > waiting.name
            ORDER BY tenant LIMIT 1) FROM waiting WHERE waiting.name IS NOT NULL
    )
    SELECT name FROM (
        (SELECT name FROM waiting WHERE name IS NOT NULL LIMIT $2)
        UNION
        (SELECT name FROM tenant WHERE name > $1
            AND (EXISTS (SELECT FROM lane WHERE lane.tenant = tenant.name)
                OR EXISTS (SELECT FROM event WHERE event.tenant = tenant.name))
            ORDER BY name LIMIT $2)
    ) AS listed ORDER BY name LIMIT $2";
