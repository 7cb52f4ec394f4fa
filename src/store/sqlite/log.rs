//! Reading: events, deliveries, attempts and counts. Runs on the reading threads.

use std::collections::HashMap;

use rusqlite::{Connection, named_params};

use super::file::rows::{end_number, end_of, event, event_id, kind_and_time, message, receipt, routing};
use super::file::sql::{Cells, Sql, SqlError, as_i64, number};
use super::memory::tenant;
use crate::model::{
    Attempt, Delivery, DeliveryId, DeliveryQuery, DeliveryState, EventId, HookId, MessageId, MessageQuery,
    MessageRecord, Page, TenantId, Timestamp,
};
use crate::store::publication::Receipt;
use crate::store::records::{EventRecord, Stats, StatsScope};
use crate::store::time::KeptTime;

/// What the file does not tell: the present time, and which deliveries are held until when.
pub(super) struct Present {
    pub(super) now: KeptTime,
    pub(super) held: HashMap<i64, Timestamp>,
}

impl Present {
    /// The held deliveries, for a statement.
    fn ids(&self) -> String {
        let ids: Vec<_> = self.held.keys().collect();
        serde_json::to_string(&ids).unwrap_or_default()
    }
}

pub(super) fn read_event(
    connection: &Connection,
    name: &TenantId,
    id: &MessageId,
) -> Result<Option<EventRecord>, SqlError> {
    const SELECT: &str = "SELECT payload IS NOT NULL, message, meta, payload, published_at, targets, skipped, routed IS NULL, routing
        FROM event JOIN tenant ON tenant.id = event.tenant WHERE tenant.name = ? AND message = ?";
    connection.one(SELECT, [name.as_str(), id.as_str()], |cells| {
        let has_payload = cells.get()?;
        let (event, receipt) = (event(cells)?.into(), receipt(cells)?);
        Ok(EventRecord { event, has_payload, receipt, routing: routing(cells)? })
    })
}

pub(super) fn messages(
    connection: &Connection,
    name: &TenantId,
    query: &MessageQuery,
) -> Result<Page<MessageRecord>, SqlError> {
    let cursor: Option<i64> = query.page.cursor_as()?;
    let Some(tenant) = tenant(connection, name)? else { return Ok(Page::new(Vec::new(), None)) };
    // Without a filter a page is short only at the end.
    let is_filtered = query.event.is_some() || query.since.is_some() || query.until.is_some();
    let last = if is_filtered { last_looked_at(connection, tenant.id, cursor)? } else { None };
    let values = named_params! {
        ":tenant": tenant.id,
        ":event": query.event.map(EventId::get),
        ":since": query.since.map_or(i64::MIN, Timestamp::as_millis),
        ":until": query.until.map_or(i64::MAX, Timestamp::as_millis),
        ":before": cursor.unwrap_or(i64::MAX),
        ":last": last.unwrap_or(i64::MIN),
        ":most": as_i64(query.page.limit() + 1),
    };
    let read = |cells: &mut Cells<'_>| Ok((cells.get::<i64>()?, message_record(cells)?));
    let items = connection.all(SELECT_MESSAGES, values, read)?;
    let is_short = items.len() <= query.page.limit();
    let mut page = Page::from_surplus(items, query.page.limit(), |(id, _)| id.to_string());
    if is_short {
        page.next = last.map(|id| id.to_string());
    }
    Ok(page.map(|(_, message)| message))
}

/// Returns the last of the events that one page may look at; `None` if there are fewer. The next page has the others.
fn last_looked_at(
    connection: &Connection,
    tenant: i64,
    cursor: Option<i64>,
) -> Result<Option<i64>, SqlError> {
    const SELECT: &str = "SELECT id FROM event WHERE tenant = ? AND id < ? ORDER BY id DESC LIMIT 1 OFFSET ?";
    connection.one(SELECT, (tenant, cursor.unwrap_or(i64::MAX), MAX_LOOKED_AT - 1), number)
}

/// The most events that one page of messages looks at, and the most deliveries of one of deliveries. Where few pass the filter,
/// it has fewer than it may have.
const MAX_LOOKED_AT: i64 = 10_000;

const SELECT_MESSAGES: &str =
    "SELECT id, message, meta, published_at, targets, skipped, routed IS NULL FROM event
    WHERE tenant = :tenant AND id < :before AND id >= :last
        AND published_at >= :since AND published_at < :until
        AND (:event IS NULL OR meta ->> '$.event_id' = :event)
    ORDER BY id DESC LIMIT :most";

fn message_record(cells: &mut Cells<'_>) -> Result<MessageRecord, SqlError> {
    let message_id = message(cells)?;
    let (event_id, time) = kind_and_time(cells)?;
    let Receipt { published_at, targets, skipped } = receipt(cells)?;
    let is_waiting = cells.get()?;
    Ok(MessageRecord { message_id, event_id, time, published_at, targets, skipped, is_waiting })
}

pub(super) fn deliveries(
    connection: &Connection,
    name: &TenantId,
    query: &DeliveryQuery,
    present: &Present,
) -> Result<Page<Delivery>, SqlError> {
    let cursor: Option<i64> = query.page.cursor_as()?;
    let Some(tenant) = tenant(connection, name)? else { return Ok(Page::new(Vec::new(), None)) };
    let listing = Listing { connection, tenant: tenant.id, query, present, held: present.ids() };
    let Looked { items, down_to } = listing.before(cursor.unwrap_or(i64::MAX))?;
    let is_short = items.len() <= query.page.limit();
    let mut page = Page::from_surplus(items, query.page.limit(), |last| last.id.to_string());
    if is_short {
        page.next = down_to.map(|id| id.to_string());
    }
    Ok(page)
}

/// What a listing has found.
struct Looked {
    items: Vec<Delivery>,
    /// The last delivery that it looked at; `None` if it looked at all.
    down_to: Option<i64>,
}

/// A listing of a tenant's deliveries. Each statement of it goes along an index: by event, or by lane.
struct Listing<'a> {
    connection: &'a Connection,
    tenant: i64,
    query: &'a DeliveryQuery,
    present: &'a Present,
    held: String,
}

impl Listing<'_> {
    fn before(&self, before: i64) -> Result<Looked, SqlError> {
        if let Some(message) = &self.query.message {
            let event = "SELECT id FROM event WHERE tenant = ? AND message = ?";
            let event = self.connection.one(event, (self.tenant, message.as_str()), number)?;
            return Ok(Looked { items: self.select(BY_EVENT, event, (i64::MIN, before))?, down_to: None });
        }
        let lanes = "SELECT id FROM lane WHERE tenant = ?1 AND (?2 IS NULL OR hook = ?2)";
        let lanes = self.connection.all(lanes, (self.tenant, self.query.webhook.map(HookId::get)), number)?;
        let down_to = if self.has_filter() { self.down_to(&lanes, before)? } else { None };
        Ok(Looked { items: self.newest_of(&lanes, (down_to, before))?, down_to })
    }

    /// Whether it may have to look at many deliveries to find a few.
    const fn has_filter(&self) -> bool {
        let DeliveryQuery { event, state, since, until, .. } = self.query;
        event.is_some() || state.is_some() || since.is_some() || until.is_some()
    }

    /// Returns the oldest delivery that is looked at. Of each lane, so many are; the others are older than it.
    fn down_to(&self, lanes: &[i64], before: i64) -> Result<Option<i64>, SqlError> {
        const NTH: &str =
            "SELECT id FROM delivery WHERE lane = ? AND id < ? ORDER BY id DESC LIMIT 1 OFFSET ?";
        let others = (MAX_LOOKED_AT / as_i64(lanes.len()).max(1) - 1).max(0);
        let mut down_to = None;
        for lane in lanes {
            down_to = down_to.max(self.connection.one(NTH, (*lane, before, others), number)?);
        }
        Ok(down_to)
    }

    /// Merges lanes: what is older than enough from those before is not looked at in the next.
    fn newest_of(
        &self,
        lanes: &[i64],
        (down_to, before): (Option<i64>, i64),
    ) -> Result<Vec<Delivery>, SqlError> {
        let enough = self.query.page.limit() + 1;
        let lowest = down_to.map_or(i64::MIN, |id| id - 1);
        let mut newest: Vec<Delivery> = Vec::new();
        for lane in lanes {
            let after = newest.get(enough - 1).map_or(lowest, |last| last.id.get());
            newest.extend(self.select(BY_LANE, Some(*lane), (after, before))?);
            newest.sort_unstable_by_key(|delivery| std::cmp::Reverse(delivery.id));
            newest.truncate(enough);
        }
        Ok(newest)
    }

    fn select(
        &self,
        by: &str,
        of: Option<i64>,
        (after, before): (i64, i64),
    ) -> Result<Vec<Delivery>, SqlError> {
        let query = self.query;
        let values = named_params! {
            ":of": of,
            ":hook": query.webhook.map(HookId::get),
            ":event": query.event.map(EventId::get),
            ":state": query.state.map(state_number),
            ":since": query.since.map_or(i64::MIN, Timestamp::as_millis),
            ":until": query.until.map_or(i64::MAX, Timestamp::as_millis),
            ":after": after,
            ":before": before,
            ":held": self.held,
            ":most": as_i64(query.page.limit() + 1),
        };
        self.connection.all(&select_deliveries(by), values, |cells| delivery(cells, self.present))
    }
}

const BY_LANE: &str = "delivery.lane = :of";

const BY_EVENT: &str = "delivery.id IN (SELECT own.id FROM event AS it
        JOIN delivery AS own ON own.id >= it.first AND own.id < it.first + it.made WHERE it.id = :of
    UNION ALL SELECT again.id FROM delivery AS again WHERE again.event = :of AND again.origin IS NOT NULL)";

/// What waits in an earlier epoch and is not held has been dropped.
fn select_deliveries(by: &str) -> String {
    format!(
        "SELECT id, message, meta, hook, standing, attempts, created_at, due,
            CASE WHEN standing = 2 AND state = 0 THEN epoch_at ELSE ended_at END, origin
        FROM (SELECT delivery.*, message, meta, hook, epoch_at, CASE WHEN state > 0 THEN state
                WHEN delivery.epoch <> lane.epoch AND delivery.id NOT IN (SELECT value FROM json_each(:held)) THEN 2
                ELSE 1 END AS standing
            FROM delivery CROSS JOIN event ON event.id = delivery.event
            CROSS JOIN lane ON lane.id = delivery.lane
            WHERE {by} AND delivery.id > :after AND delivery.id < :before)
        WHERE created_at >= :since AND created_at < :until AND (:hook IS NULL OR hook = :hook)
            AND (:event IS NULL OR meta ->> '$.event_id' = :event) AND (:state IS NULL OR standing = :state)
        ORDER BY id DESC LIMIT :most"
    )
}

/// States as a listing tells them apart.
fn state_number(state: DeliveryState) -> i64 {
    match state {
        DeliveryState::Ended(end) => end_number(end),
        DeliveryState::Pending => 1,
    }
}

fn delivery(cells: &mut Cells<'_>, present: &Present) -> Result<Delivery, SqlError> {
    let id: i64 = cells.get()?;
    let (message_id, event_id, hook_id) = (message(cells)?, event_id(cells)?, HookId::new(cells.get()?));
    let standing = cells.get()?;
    let state = if standing == 1 { DeliveryState::Pending } else { DeliveryState::Ended(end_of(standing)?) };
    let (attempts, created_at, due) = (cells.get()?, cells.time()?, cells.time()?);
    let due = present.held.get(&id).copied().unwrap_or(due);
    Ok(Delivery {
        id: DeliveryId::new(id),
        message_id,
        event_id,
        hook_id,
        state,
        attempts,
        created_at,
        due_at: (state == DeliveryState::Pending).then(|| present.now.shown(due)),
        ended_at: cells.optional_time()?,
        origin: cells.get::<Option<i64>>()?.filter(|origin| *origin > 0).map(DeliveryId::new),
    })
}

pub(super) fn attempts(
    connection: &Connection,
    name: &TenantId,
    ids: &[DeliveryId],
) -> Result<Vec<Option<Vec<Attempt>>>, SqlError> {
    let Some(tenant) = tenant(connection, name)? else { return Ok(vec![None; ids.len()]) };
    ids.iter().map(|id| attempts_of(connection, tenant.id, *id)).collect()
}

fn attempts_of(
    connection: &Connection,
    tenant: i64,
    id: DeliveryId,
) -> Result<Option<Vec<Attempt>>, SqlError> {
    const FIRST: &str = "SELECT first_attempt FROM delivery JOIN lane ON lane.id = delivery.lane
        WHERE delivery.id = ? AND lane.tenant = ?";
    const LATER: &str = "SELECT doc FROM attempt WHERE delivery = ? ORDER BY number";
    let first = connection.one(FIRST, [id.get(), tenant], |cells| cells.optional_json())?;
    let Some(first) = first else { return Ok(None) };
    let later = connection.all(LATER, [id.get()], |cells| cells.json())?;
    Ok(Some(first.into_iter().chain(later).collect()))
}

/// Counts along the index of what waits; what has ended is not looked at.
pub(super) fn stats(
    connection: &Connection,
    scope: &StatsScope,
    present: &Present,
) -> Result<Stats, SqlError> {
    let (name, hook) = match scope {
        StatsScope::All => (None, None),
        StatsScope::Tenant(tenant) => (Some(tenant), None),
        StatsScope::Webhook(tenant, hook) => (Some(tenant), Some(hook.get())),
    };
    let tenant = match name {
        Some(name) => match tenant(connection, name)? {
            Some(tenant) => Some(tenant.id),
            None => return Ok(Stats::default()),
        },
        None => None,
    };
    let now = present.now;
    let held = present.ids();
    let parameters =
        named_params! {":tenant": tenant, ":hook": hook, ":held": held, ":now": now.time.as_millis()};
    let waiting = |cells: &mut Cells<'_>| {
        Ok((counted(cells)?, counted(cells)?, counted(cells)?, cells.optional_time()?))
    };
    let (due, scheduled, stopped, first_due) =
        connection.one(COUNT_WAITING, parameters, waiting)?.unwrap_or_default();
    let parameters = named_params! {":tenant": tenant, ":hook": hook, ":held": held};
    let held = connection.one(COUNT_HELD, parameters, counted)?.unwrap_or_default();
    let unrouted = |cells: &mut Cells<'_>| Ok((counted(cells)?, cells.optional_time()?));
    let (unrouted, first_unrouted) = match hook {
        // They have no webhook yet.
        Some(_) => (0, None),
        None => {
            connection.one(COUNT_UNROUTED, named_params! {":tenant": tenant}, unrouted)?.unwrap_or_default()
        }
    };
    let due_for = first_due.map(|due| now.time.since(due));
    let unrouted_for = first_unrouted.map(|at| now.date.since(at));
    Ok(Stats { due, scheduled, stopped, held, unrouted, oldest_due: due_for.max(unrouted_for) })
}

fn counted(cells: &mut Cells<'_>) -> Result<u64, SqlError> {
    Ok(cells.get::<i64>()?.unsigned_abs())
}

const COUNT_WAITING: &str = "SELECT count(*) FILTER (WHERE status = 1 AND at <= :now),
        count(*) FILTER (WHERE status = 1 AND at > :now), count(*) FILTER (WHERE status <> 1),
        min(at) FILTER (WHERE status = 1 AND at <= :now)
    FROM (SELECT status, max(due, coalesce(backoff_until, due)) AS at
        FROM lane CROSS JOIN delivery ON delivery.lane = lane.id AND delivery.epoch = lane.epoch
        WHERE state = 0 AND (:tenant IS NULL OR lane.tenant = :tenant) AND (:hook IS NULL OR hook = :hook)
            AND delivery.id NOT IN (SELECT value FROM json_each(:held)))";

/// A held delivery waits, as the file tells it, until it is settled.
const COUNT_HELD: &str = "SELECT count(*) FROM json_each(:held)
    CROSS JOIN delivery ON delivery.id = value CROSS JOIN lane ON lane.id = delivery.lane
    WHERE state = 0 AND (:tenant IS NULL OR lane.tenant = :tenant) AND (:hook IS NULL OR hook = :hook)";

const COUNT_UNROUTED: &str = "SELECT count(*), min(published_at) FROM event
    WHERE routed IS NULL AND (:tenant IS NULL OR tenant = :tenant)";

#[cfg(test)]
mod tests {
    use super::super::file::sql::{new_file, query_plan};
    use super::*;
    use crate::model::PageRequest;

    #[test]
    fn a_page_of_messages_looks_at_a_bounded_number_and_goes_on_in_the_next() {
        let connection = new_file();
        let fill = "INSERT INTO tenant (id, name) VALUES (1, 'acme');
            INSERT INTO event (tenant, message, digest, published_at, routed, meta)
            WITH RECURSIVE counter (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n <= 10000)
            SELECT 1, 'm' || n, x'', n, 0, '{\"event_id\":1,\"time\":0}' FROM counter";
        connection.execute_batch(fill).expect("rows");
        let acme = TenantId::new("acme").expect("valid");
        let first = MessageQuery::new().until(Timestamp::from_millis(2));
        let page = messages(&connection, &acme, &first).expect("a page");
        assert!(page.items.is_empty(), "{page:?}");
        let next = PageRequest::after(page.next.expect("there is one more"));
        let page = messages(&connection, &acme, &first.page(next)).expect("a page");
        assert_eq!((page.items.len(), page.next), (1, None));
    }

    #[test]
    fn the_log_scans_no_table_whatever_it_holds() {
        let connection = new_file();
        for by in [BY_EVENT, BY_LANE] {
            let plan = query_plan(&connection, &select_deliveries(by)).join("; ");
            assert!(!plan.contains("SCAN delivery") && !plan.contains("SCAN event"), "{plan}");
        }
        let lane = query_plan(&connection, &select_deliveries(BY_LANE)).join("; ");
        assert!(!lane.contains("TEMP B-TREE"), "{lane}");
        let messages = query_plan(&connection, SELECT_MESSAGES).join("; ");
        assert!(messages.contains("event_tenant") && !messages.contains("TEMP B-TREE"), "{messages}");
        for count in [COUNT_WAITING, COUNT_HELD, COUNT_UNROUTED] {
            let plan = query_plan(&connection, count).join("; ");
            let by_index = plan.replace("SCAN event USING INDEX event_unrouted", "");
            assert!(!by_index.contains("SCAN delivery") && !by_index.contains("SCAN event"), "{plan}");
        }
    }
}
