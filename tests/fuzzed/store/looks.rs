//! Compares what the store and its model show of registries, events, deliveries and counts.

use std::collections::BTreeMap;

use hookwire::TenantId;
use hookwire::model::{Delivery, DeliveryQuery, PageRequest};
use hookwire::store::StatsScope;

use super::super::Verdict;
use super::acts::{Play, sound};
use super::model::{Row, State};

impl Play {
    /// Compares everything that can be read with the model.
    pub(super) async fn look(&self) -> Verdict {
        for name in ["acme", "globex"] {
            let tenant = TenantId::new(name).expect("a short name");
            self.webhooks_are_right(&tenant).await?;
            self.deliveries_are_right(&tenant).await?;
        }
        self.counts_are_right().await
    }

    async fn webhooks_are_right(&self, tenant: &TenantId) -> Verdict {
        let registry = sound(self.subject.store.registry(tenant).await)?;
        let revision = self.model.revision(tenant);
        ensure!(registry.revision == revision, "{:?} instead of {revision:?}", registry.revision);
        let seen: Vec<_> =
            registry.webhooks.iter().map(|it| (&it.webhook, it.version, it.disabled)).collect();
        let lanes = self.model.lanes.iter().filter(|((name, _), lane)| name == tenant && !lane.deleted);
        let right: Vec<_> =
            lanes.map(|(_, it)| (&it.hook.webhook, it.hook.version, it.hook.disabled)).collect();
        ensure!(seen == right, "{seen:?} instead of {right:?}");
        Ok(())
    }

    async fn deliveries_are_right(&self, tenant: &TenantId) -> Verdict {
        let seen = self.pages(tenant).await?;
        let right = self.model.rows.iter().filter(|(_, row)| row.lane.0 == *tenant);
        let right: BTreeMap<_, _> = right.collect();
        ensure!(seen.len() == right.len(), "{} deliveries instead of {}", seen.len(), right.len());
        for delivery in &seen {
            let Some(row) = right.get(&delivery.id) else { return Err(format!("{delivery:?} of nothing")) };
            ensure!(self.is_right(delivery, row), "{delivery:?} instead of {row:?} at {:?}", self.model.now);
            let attempts = sound(self.subject.store.attempts(tenant, &[delivery.id]).await)?;
            let attempts = attempts.into_iter().flatten().next().map(|all| all.len());
            ensure!(attempts == Some(row.attempts as usize), "{attempts:?} attempts of {row:?}");
        }
        Ok(())
    }

    async fn pages(&self, tenant: &TenantId) -> Result<Vec<Delivery>, String> {
        let (mut seen, mut page) = (Vec::new(), PageRequest::first().with_limit(50));
        loop {
            let query = DeliveryQuery::new().page(page);
            let next = sound(self.subject.store.deliveries(tenant, &query).await)?;
            seen.extend(next.items);
            let Some(cursor) = next.next else { return Ok(seen) };
            page = PageRequest::after(cursor).with_limit(50);
        }
    }

    fn is_right(&self, delivery: &Delivery, row: &Row) -> bool {
        let same = delivery.hook_id == row.lane.1 && delivery.message_id == row.message;
        let history = delivery.attempts == row.attempts && delivery.origin == row.origin;
        same && history && row.may_read_as(delivery.state, self.model.now)
    }

    /// Only where nothing has changed by itself since, which a store may count before or after it notices.
    async fn counts_are_right(&self) -> Verdict {
        let now = self.model.now;
        let rows = || self.model.rows.values();
        let is_open = |row: &&Row| !matches!(row.state, State::Ended(..));
        let lapsed = |row: &Row| matches!(row.state, State::Held(lease) if lease.until <= now);
        if rows().filter(is_open).any(|row| row.expires <= now || lapsed(row)) {
            return Ok(());
        }
        let stats = sound(self.subject.store.stats(&StatsScope::All).await)?;
        let right = (rows().filter(is_open).count(), rows().filter(|row| row.held(now).is_some()).count());
        let seen = (stats.pending(), stats.held);
        ensure!(seen == (right.0 as u64, right.1 as u64), "{seen:?} pending and held instead of {right:?}");
        Ok(())
    }
}
