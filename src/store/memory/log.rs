//! Reading: events, deliveries, attempts and counts.

use std::sync::Arc;

use super::state::{EventRow, Row, RowState, State};
use crate::model::{
    Attempt, Delivery, DeliveryId, DeliveryQuery, DeliveryState, End, InvalidCursor, MessageId, MessageQuery,
    MessageRecord, Page, TenantId, Timestamp,
};
use crate::store::records::{EventRecord, RoutingRecord, Stats, StatsScope};

fn message_record(row: &EventRow) -> MessageRecord {
    MessageRecord {
        message_id: row.event.message_id.clone(),
        event_id: row.event.event_id,
        time: row.event.time,
        published_at: row.receipt.published_at,
        targets: row.receipt.targets,
        skipped: row.receipt.skipped,
        is_waiting: row.routing == RoutingRecord::Waiting,
    }
}

impl State {
    pub(super) fn event(&self, name: &TenantId, id: &MessageId) -> Option<EventRecord> {
        let row = self.tenants.get(name)?.events.get(id)?;
        Some(EventRecord {
            event: Arc::clone(&row.event),
            has_payload: row.has_payload,
            receipt: row.receipt,
            routing: row.routing.clone(),
        })
    }

    pub(super) fn list_messages(
        &self,
        name: &TenantId,
        query: &MessageQuery,
    ) -> Result<Page<MessageRecord>, InvalidCursor> {
        let before: Option<u64> = query.page.cursor_as()?;
        let events = self.tenants.get(name).into_iter().flat_map(|tenant| tenant.events.values());
        let events = events.filter(|row| before.is_none_or(|before| row.number < before));
        let listed = events.map(|row| (row.number, message_record(row)));
        let mut items: Vec<_> = listed.filter(|(_, message)| query.matches(message)).collect();
        items.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        let page = Page::from_surplus(items, query.page.limit(), |(number, _)| number.to_string());
        Ok(page.map(|(_, message)| message))
    }

    pub(super) fn list_deliveries(
        &self,
        name: &TenantId,
        query: &DeliveryQuery,
    ) -> Result<Page<Delivery>, InvalidCursor> {
        let before = query.page.cursor_as()?.map(DeliveryId::new);
        let ids = self.tenants.get(name).into_iter().flat_map(|tenant| tenant.deliveries.iter().rev());
        let ids = ids.filter(|id| before.is_none_or(|before| **id < before));
        let views = ids.filter_map(|id| self.rows.get(id).map(|row| self.view(*id, row)));
        let limit = query.page.limit();
        let items = views.filter(|delivery| query.matches(delivery)).take(limit + 1).collect();
        Ok(Page::from_surplus(items, limit, |last| last.id.to_string()))
    }

    fn view(&self, id: DeliveryId, row: &Row) -> Delivery {
        let (state, due_at, ended_at) = self.standing(id, row);
        Delivery {
            id,
            message_id: row.event.message_id.clone(),
            event_id: row.event.event_id,
            hook_id: row.lane.1,
            state,
            attempts: row.made,
            created_at: row.created_at,
            due_at,
            ended_at,
            origin: row.origin,
        }
    }

    /// A delivery of a dropped backlog reads as cancelled before it is swept.
    fn standing(&self, id: DeliveryId, row: &Row) -> (DeliveryState, Option<Timestamp>, Option<Timestamp>) {
        let dropped = self.lanes.get(&row.lane).filter(|lane| lane.epoch != row.epoch);
        match (row.state, dropped) {
            (RowState::Ended(end, at), _) => (DeliveryState::Ended(end), None, Some(at.date)),
            (RowState::Held, _) => (
                DeliveryState::Pending,
                self.leases.get(id).map(|lease| self.present.shown(lease.until)),
                None,
            ),
            (RowState::Due(due), None) => (DeliveryState::Pending, Some(self.present.shown(due)), None),
            (RowState::Due(_), Some(lane)) => {
                (DeliveryState::Ended(End::Cancelled), None, Some(lane.epoch_at.date))
            }
        }
    }

    pub(super) fn attempts(&self, name: &TenantId, id: DeliveryId) -> Option<Vec<Attempt>> {
        let row = self.rows.get(&id).filter(|row| row.lane.0 == *name)?;
        Some(row.attempts.clone())
    }

    pub(super) fn stats(&self, scope: &StatsScope, now: Timestamp) -> Stats {
        let in_scope = |row: &&Row| match scope {
            StatsScope::All => true,
            StatsScope::Tenant(tenant) => row.lane.0 == *tenant,
            StatsScope::Webhook(tenant, hook) => row.lane.0 == *tenant && row.lane.1 == *hook,
        };
        let unrouted = self.unrouted(scope);
        self.rows.values().filter(in_scope).fold(unrouted, |stats, row| self.count_row(stats, row, now))
    }

    /// Counts the events that wait for routing.
    fn unrouted(&self, scope: &StatsScope) -> Stats {
        let in_scope = |name: &&TenantId| match scope {
            StatsScope::All => true,
            StatsScope::Tenant(tenant) => *name == tenant,
            StatsScope::Webhook(..) => false,
        };
        let tenants = self.unrouted.iter().filter(in_scope).filter_map(|name| self.tenants.get(name));
        tenants.fold(Stats::default(), |stats, tenant| {
            let first = tenant.unrouted.front().and_then(|id| tenant.events.get(id));
            let waited = first.map(|first| self.present.date.since(first.receipt.published_at));
            Stats {
                unrouted: stats.unrouted + tenant.unrouted.len() as u64,
                oldest_due: stats.oldest_due.max(waited),
                ..stats
            }
        })
    }

    fn count_row(&self, mut stats: Stats, row: &Row, now: Timestamp) -> Stats {
        let Some(lane) = self.lanes.get(&row.lane) else { return stats };
        match row.state {
            RowState::Held => stats.held += 1,
            RowState::Due(due) if lane.epoch == row.epoch => {
                let due = lane.backoff_until.map_or(due, |until| until.max(due));
                if !self.is_served(&row.lane) {
                    stats.stopped += 1;
                } else if due > now {
                    stats.scheduled += 1;
                } else {
                    stats.due += 1;
                    stats.oldest_due = stats.oldest_due.max(Some(now.since(due)));
                }
            }
            RowState::Due(_) | RowState::Ended(..) => {}
        }
        stats
    }
}
