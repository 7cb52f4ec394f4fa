//! The log: events, deliveries, attempts and statistics, as they are read.

use std::collections::HashMap;

use hookwire::model::{
    Attempt, Delivery, DeliveryId, DeliveryQuery, DeliveryState, EventId, HookId, MessageId, MessageQuery,
    MessageRecord, Page, PageRequest, TenantId, Timestamp,
};
use hookwire::store::{EventRecord, Receipt, RoutingRecord, Stats, StatsScope};
use tokio_postgres::Row;

use crate::connection::session::Sessions;
use crate::connection::statements::Params;
use crate::error::{QueryError, ReadRow};
use crate::registry::LISTED;
use crate::rows::{
    PENDING, as_i64, end_number, end_of, event, event_columns, event_id, event_of, message, optional_time,
    receipt, receipt_columns, time,
};
use crate::schedule::lanes::unheld;
use crate::statistics::STATISTICS;
use crate::time::Millis;

/// The most deliveries that one listing looks at.
const MAX_LOOKED_AT: usize = 10_000;

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

/// Lists deliveries. A listing goes along the deliveries of the tenant's webhooks, the newest first.
pub(crate) async fn deliveries(
    sessions: &Sessions,
    tenant: &TenantId,
    query: &DeliveryQuery,
) -> Result<Page<Delivery>, QueryError> {
    let state = query.state.map(state_number).transpose()?;
    let (tenant, message) = (tenant.as_str(), query.message.as_ref().map(MessageId::as_str));
    let (hook, event) = (query.webhook.map(HookId::get), query.event.map(event_number));
    let (since, until) = period(query.since, query.until);
    let sql = if message.is_some() { OF_EVENT } else { OF_LANES };
    let mut listing = Listing::of(&query.page)?;
    while let Some((before, size)) = listing.window() {
        let params: Params<'_> = &[&tenant, &hook, &message, &state, &since, &before, &size, &until, &event];
        listing.add(&sessions.rows_of_many(sql, params).await?, delivery)?;
    }
    Ok(listing.page())
}

/// Lists events, along an index of those of the tenant.
pub(crate) async fn messages(
    sessions: &Sessions,
    tenant: &TenantId,
    query: &MessageQuery,
) -> Result<Page<MessageRecord>, QueryError> {
    let (tenant, event) = (tenant.as_str(), query.event.map(event_number));
    let (since, until) = period(query.since, query.until);
    let mut listing = Listing::of(&query.page)?;
    while let Some((before, size)) = listing.window() {
        let params: Params<'_> = &[&tenant, &event, &since, &until, &before, &size];
        listing.add(&sessions.rows_of_many(MESSAGES, params).await?, message_record)?;
    }
    Ok(listing.page())
}

fn event_number(event: EventId) -> i64 {
    event.get().into()
}

/// The times from which and up to which a listing goes.
fn period(since: Option<Timestamp>, until: Option<Timestamp>) -> (Millis, Millis) {
    (since.map_or(Millis::MIN, Millis::from), until.map_or(Millis::MAX, Millis::from))
}

/// A page of a listing, newest first, which is read window by window. It looks at a bounded number of rows: where few
/// pass the filter, the page has fewer than it may have, and a next one.
struct Listing<T> {
    limit: usize,
    /// Those that pass the filter, with their ids.
    items: Vec<(i64, T)>,
    /// The last row that was looked at, whether it passes or not; `None` if there are no more.
    lowest: Option<i64>,
    looked_at: usize,
    size: usize,
}

impl<T> Listing<T> {
    fn of(page: &PageRequest) -> Result<Self, QueryError> {
        let limit = page.limit();
        let lowest = Some(page.cursor_as()?.unwrap_or(i64::MAX));
        Ok(Self { limit, items: Vec::new(), lowest, looked_at: 0, size: limit + 1 })
    }

    /// The id below which the next window is, and its size; `None` if the page is complete.
    fn window(&self) -> Option<(i64, i64)> {
        let is_open = self.items.len() <= self.limit && self.size > 0;
        self.lowest.filter(|_| is_open).map(|before| (before, as_i64(self.size)))
    }

    /// Adds the rows of a window. Where none passes, there is one row without an item.
    fn add(&mut self, rows: &[Row], read: impl Fn(&Row) -> Result<T, QueryError>) -> Result<(), QueryError> {
        for row in rows {
            if let Some(id) = row.read::<Option<i64>>("id")? {
                self.items.push((id, read(row)?));
            }
        }
        let is_full = |first: &Row| Ok::<_, QueryError>(first.read::<i64>("looked_at")? >= as_i64(self.size));
        self.lowest = match rows.first() {
            Some(first) if is_full(first)? => first.read("lowest")?,
            _ => None,
        };
        self.looked_at += self.size;
        self.size = (self.size * 4).min(MAX_LOOKED_AT.saturating_sub(self.looked_at));
        Ok(())
    }

    fn page(self) -> Page<T> {
        let is_short = self.items.len() <= self.limit;
        let mut page = Page::from_surplus(self.items, self.limit, |(id, _)| id.to_string());
        if is_short {
            page.next = self.lowest.map(|lowest| lowest.to_string());
        }
        page.map(|(_, item)| item)
    }
}

fn message_record(row: &Row) -> Result<MessageRecord, QueryError> {
    let Receipt { published_at, targets, skipped } = receipt(row)?;
    Ok(MessageRecord {
        message_id: message(row)?,
        event_id: event_id(row)?,
        time: time(row, "time")?,
        published_at,
        targets,
        skipped,
        is_waiting: row.read::<Option<Millis>>("routed_at")?.is_none(),
    })
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
    deliveries: &[DeliveryId],
) -> Result<Vec<Option<Vec<Attempt>>>, QueryError> {
    let ids: Vec<_> = deliveries.iter().map(|id| id.get()).collect();
    let mut made: HashMap<i64, Vec<Attempt>> = HashMap::new();
    for row in sessions.rows_of_many(ATTEMPTS, &[&tenant.as_str(), &ids]).await? {
        let doc = row.read::<Option<&str>>("doc")?.map(serde_json::from_str).transpose()?;
        made.entry(row.read("id")?).or_default().extend(doc);
    }
    Ok(ids.iter().map(|id| made.get(id).cloned()).collect())
}

/// Counts pending deliveries, along their index. Ended ones are not read.
pub(crate) async fn stats(sessions: &Sessions, scope: &StatsScope) -> Result<Stats, QueryError> {
    let rows = match scope {
        StatsScope::All => sessions.rows_of_many(STATS, &[]).await?,
        StatsScope::Tenant(tenant) => sessions.rows_of_many(STATS_OF_TENANT, &[&tenant.as_str()]).await?,
        StatsScope::Webhook(tenant, hook) => {
            sessions.rows_of_many(STATS_OF_WEBHOOK, &[&tenant.as_str(), &hook.get()]).await?
        }
    };
    let row = rows.first().ok_or_else(|| QueryError::corrupt("no answer"))?;
    let now = time(row, "now")?;
    let count = |name| row.read::<i64>(name).map(i64::unsigned_abs);
    let first = [optional_time(row, "first_due")?, optional_time(row, "first_unrouted")?];
    Ok(Stats {
        due: count("due")?,
        scheduled: count("scheduled")?,
        stopped: count("stopped")?,
        held: count("held")?,
        unrouted: count("unrouted")?,
        oldest_due: first.into_iter().flatten().map(|at| now.since(at)).max(),
    })
}

const EVENT: &str = concat!(
    "SELECT ",
    event_columns!(),
    ", ",
    receipt_columns!(),
    ", routed_at, unroutable, skipped::text AS skipped_doc FROM ",
    event_of!("$1", "$2"),
    " AS event WHERE message = $2"
);

/// Lists a window of deliveries with their state, also those of dropped backlogs that upkeep has not ended yet. `$window`
/// selects their ids. Each row tells of the window too.
macro_rules! standing {
    ($($window:tt)+) => {
        concat!(
            "WITH newest AS MATERIALIZED (",
            $($window)+,
            " ORDER BY id DESC LIMIT $7), ",
            "listed AS (SELECT delivery.id, event.message, event.event_id, lane.hook, attempts, created_at, ",
            "origin, greatest(due, held_until) AS due, CASE WHEN is_dropped THEN 2 WHEN state = 1 THEN 0 ELSE state END::smallint AS standing, ",
            "CASE WHEN is_dropped THEN epoch_at ELSE ended_at END AS over_at ",
            "FROM newest JOIN delivery ON delivery.id = newest.id JOIN lane ON lane.id = delivery.lane ",
            "JOIN event ON event.seq = delivery.event ",
            "CROSS JOIN LATERAL (SELECT state < 2 AND delivery.epoch <> lane.epoch AND ",
            unheld!("(SELECT clock_ms())"),
            " AS is_dropped) AS it) ",
            "SELECT looked_at, lowest, listed.* ",
            "FROM (SELECT count(*) AS looked_at, min(id) AS lowest FROM newest) AS looked ",
            "LEFT JOIN listed ON created_at >= $5 AND created_at < $8 AND ($2::bigint IS NULL OR hook = $2) ",
            "AND ($9::bigint IS NULL OR event_id = $9) ",
            "AND ($3::text IS NULL OR message = $3) AND ($4::smallint IS NULL OR standing = $4) ",
            "ORDER BY id DESC"
        )
    };
}

const OF_EVENT: &str = standing!(concat!(
    "SELECT delivery.id FROM ",
    event_of!("$1", "$3"),
    " AS event CROSS JOIN LATERAL (SELECT id FROM delivery WHERE delivery.event = event.seq OFFSET 0) AS delivery \
     WHERE event.message = $3 AND delivery.id < $6"
));

/// Reads the newest of each webhook, from an index alone, and of these the newest of all.
const OF_LANES: &str = standing!(
    "SELECT newest.id FROM lane CROSS JOIN LATERAL (SELECT id FROM delivery \
     WHERE delivery.lane = lane.id AND delivery.id < $6 ORDER BY id DESC LIMIT $7) AS newest \
     WHERE lane.tenant = $1 AND ($2::bigint IS NULL OR lane.hook = $2)"
);

/// A condition `tenant = $1` would let the server scan the events of all tenants by `seq`, because that index then has
/// the same order.
const MESSAGES: &str = concat!(
    "WITH newest AS MATERIALIZED (SELECT event.seq AS id, message, event_id, time, routed_at, ",
    receipt_columns!(),
    " FROM event WHERE (tenant, seq) < ($1, $5) AND tenant >= $1 ORDER BY tenant DESC, seq DESC LIMIT $6) ",
    "SELECT looked_at, lowest, newest.* ",
    "FROM (SELECT count(*) AS looked_at, min(id) AS lowest FROM newest) AS looked ",
    "LEFT JOIN newest ON published_at >= $3 AND published_at < $4 AND ($2::bigint IS NULL OR event_id = $2) ",
    "ORDER BY id DESC"
);

/// The first attempt of each delivery, or one row without a document, and the later ones.
const ATTEMPTS: &str = "WITH wanted AS MATERIALIZED (SELECT delivery.id, first_attempt \
        FROM (SELECT DISTINCT unnest($2::bigint[]) AS id) AS asked CROSS JOIN LATERAL (\
            SELECT id, lane, first_attempt FROM delivery WHERE delivery.id = asked.id OFFSET 0) AS delivery \
        WHERE (SELECT tenant FROM lane WHERE lane.id = delivery.lane) = $1) \
    SELECT id, doc::text AS doc FROM (SELECT id, 1 AS number, first_attempt AS doc FROM wanted \
        UNION ALL SELECT wanted.id, later.number, later.doc FROM wanted CROSS JOIN LATERAL (\
            SELECT number, doc FROM attempt WHERE attempt.delivery = wanted.id OFFSET 0) AS later) AS made \
    ORDER BY id, number";

/// Counts the pending deliveries of the lanes that `$lanes` says, and the events waiting for routing that `$events` says.
macro_rules! counted {
    ($lanes:literal, $events:literal) => {
        concat!(
            "SELECT max(now) AS now, count(*) FILTER (WHERE is_held) AS held, ",
            "count(*) FILTER (WHERE is_waiting AND status = 1 AND at <= now) AS due, ",
            "count(*) FILTER (WHERE is_waiting AND status = 1 AND at > now) AS scheduled, ",
            "count(*) FILTER (WHERE is_waiting AND status <> 1) AS stopped, ",
            "min(at) FILTER (WHERE is_waiting AND status = 1 AND at <= now) AS first_due, ",
            "max(unrouted) AS unrouted, max(first_unrouted) AS first_unrouted ",
            "FROM (SELECT clock_ms() AS now) AS clock CROSS JOIN (SELECT count(*) AS unrouted, ",
            "min(published_at) AS first_unrouted FROM event WHERE routed_at IS NULL AND ",
            $events,
            ") AS events LEFT JOIN (lane CROSS JOIN LATERAL (",
            "SELECT epoch, held_until, due FROM delivery WHERE delivery.lane = lane.id AND state = 0 UNION ALL ",
            "SELECT epoch, held_until, due FROM delivery WHERE delivery.lane = lane.id AND state = 1",
            ") AS waiting) ON ",
            $lanes,
            " CROSS JOIN LATERAL (SELECT coalesce(held_until > now, false) AS is_held, ",
            "waiting.epoch = lane.epoch AND NOT coalesce(held_until > now, false) AS is_waiting, ",
            "greatest(due, paused_until) AS at) AS it"
        )
    };
}

const STATS: &str = counted!("true", "true");
const STATS_OF_TENANT: &str = counted!("lane.tenant = $1", "tenant = $1");
/// An event that waits for routing has no webhook yet.
const STATS_OF_WEBHOOK: &str = counted!("lane.tenant = $1 AND hook = $2", "false");

/// Returns the statements of the log, for a test that counts what they read.
#[doc(hidden)]
pub fn log_statements() -> Vec<(&'static str, String)> {
    [
        ("event", EVENT),
        ("of_event", OF_EVENT),
        ("of_lanes", OF_LANES),
        ("messages", MESSAGES),
        ("attempts", ATTEMPTS),
        ("disabled", LISTED),
        ("statistics", STATISTICS),
        ("stats_of_tenant", STATS_OF_TENANT),
        ("stats_of_webhook", STATS_OF_WEBHOOK),
    ]
    .map(|(name, sql)| (name, sql.to_owned()))
    .to_vec()
}
