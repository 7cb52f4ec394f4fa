//! The delivery log: deliveries, attempts, explanations, redelivery and recovery.

use std::collections::{BTreeMap, HashSet};

use super::error::{Error, ErrorKind};
use super::explanation::Explanation;
use super::tenant::Tenant;
use crate::model::{
    Attempt, Delivery, DeliveryId, DeliveryQuery, DeliveryState, End, HookId, MessageId, Page, PageRequest,
    Scope, Timestamp,
};
use crate::store::Redelivery;

impl Tenant {
    /// Returns the fate of an event at each webhook: delivered, pending, or the reason why not, with the outcome of the
    /// last attempt where none has succeeded.
    ///
    /// [`for_operator`](Self::for_operator) shows details and answers too, as in [`attempts`](Self::attempts).
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) when the tenant has no such message, or no longer has it,
    /// [`MissingScope`](ErrorKind::MissingScope), [`Store`](ErrorKind::Store).
    pub async fn explain(&self, message_id: &MessageId) -> Result<Explanation, Error> {
        self.require(Scope::Read)?;
        let record = self.core.store().event(&self.id, message_id).await?;
        let record = record.ok_or_else(|| not_found(&format!("message {message_id}")))?;
        let mut deliveries = self.all(DeliveryQuery::new().message(message_id.clone())).await?;
        deliveries.reverse();
        let last_attempts = self.last_attempts(&deliveries).await?;
        Ok(Explanation { record, deliveries, last_attempts })
    }

    /// Reads the last attempt of each delivery that was attempted and not delivered.
    async fn last_attempts(&self, deliveries: &[Delivery]) -> Result<BTreeMap<DeliveryId, Attempt>, Error> {
        let is_told = |it: &&Delivery| it.attempts > 0 && it.state != DeliveryState::Ended(End::Delivered);
        let mut last = BTreeMap::new();
        for delivery in deliveries.iter().filter(is_told) {
            // They are gone if the tenant's data is being removed meanwhile.
            let attempts = self.core.store().attempts(&self.id, delivery.id).await?.unwrap_or_default();
            last.extend(attempts.into_iter().next_back().map(|it| (delivery.id, self.seen(it))));
        }
        Ok(last)
    }

    /// Lists deliveries, newest first.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) when the query begins after a cursor that no page gave,
    /// [`MissingScope`](ErrorKind::MissingScope), [`Store`](ErrorKind::Store).
    pub async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<Delivery>, Error> {
        self.require(Scope::Read)?;
        Ok(self.core.store().deliveries(&self.id, query).await?)
    }

    /// Lists the attempts of a delivery, in order, with the class of each failure and the status of each answer.
    ///
    /// [`for_operator`](Self::for_operator) shows details and answers too, and
    /// [`show_response_bodies`](super::WebhooksBuilder::show_response_bodies) shows the answers to tenants.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound), [`MissingScope`](ErrorKind::MissingScope),
    /// [`Store`](ErrorKind::Store).
    pub async fn attempts(&self, delivery: DeliveryId) -> Result<Vec<Attempt>, Error> {
        self.require(Scope::Read)?;
        let attempts = self.core.store().attempts(&self.id, delivery).await?;
        let attempts = attempts.ok_or_else(|| not_found(&format!("delivery {delivery}")))?;
        Ok(attempts.into_iter().map(|it| self.seen(it)).collect())
    }

    /// Returns the attempt as this handle shows it.
    fn seen(&self, attempt: Attempt) -> Attempt {
        Attempt { outcome: self.visibility.redact(attempt.outcome), ..attempt }
    }

    /// Makes a new delivery of the same message, to the webhook as it is now.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) when the tenant has no such delivery or its webhook is gone,
    /// [`MissingScope`](ErrorKind::MissingScope), [`Store`](ErrorKind::Store).
    ///
    /// # Cancellation
    ///
    /// The new delivery is made or not. List the deliveries to find out.
    pub async fn redeliver(&self, delivery: DeliveryId) -> Result<DeliveryId, Error> {
        self.require(Scope::Update)?;
        let made = self.redeliver_all(&[delivery]).await?;
        let new = made.first().copied().flatten();
        new.ok_or_else(|| not_found(&format!("delivery {delivery} with its webhook")))
    }

    /// Redelivers the deliveries of a webhook that were given up or expired since `since`, and returns their number.
    ///
    /// Deliveries that were redelivered already are left out, so calling it again after it has returned makes none
    /// twice.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound), [`MissingScope`](ErrorKind::MissingScope),
    /// [`Store`](ErrorKind::Store).
    ///
    /// # Cancellation
    ///
    /// Some of the new deliveries may be made. Call it again to make the others.
    pub async fn recover(&self, hook_id: HookId, since: impl Into<Timestamp>) -> Result<usize, Error> {
        self.require(Scope::Update)?;
        self.get_registered(hook_id).await?;
        let deliveries = self.all(DeliveryQuery::new().webhook(hook_id).since(since)).await?;
        let repeated: HashSet<_> = deliveries.iter().filter_map(|delivery| delivery.origin).collect();
        let missed = |it: &&Delivery| is_missed(it.state) && !repeated.contains(&it.id);
        let missed: Vec<_> = deliveries.iter().filter(missed).map(|it| it.id).collect();
        let mut made = 0;
        for some in missed.chunks(PageRequest::MAX_LIMIT.into()) {
            made += self.redeliver_all(some).await?.into_iter().flatten().count();
        }
        Ok(made)
    }

    async fn redeliver_all(&self, origins: &[DeliveryId]) -> Result<Vec<Option<DeliveryId>>, Error> {
        let expires = self.core.policy().expires();
        let items: Vec<_> = origins.iter().map(|origin| Redelivery { origin: *origin, expires }).collect();
        let made = self.core.store().redeliver(&self.id, &items).await?;
        self.core.new_work.notify();
        Ok(made)
    }

    /// Reads every page of a listing.
    async fn all(&self, query: DeliveryQuery) -> Result<Vec<Delivery>, Error> {
        let mut query = query.page(PageRequest::first().with_limit(PageRequest::MAX_LIMIT));
        let mut all = Vec::new();
        loop {
            let page = self.core.store().deliveries(&self.id, &query).await?;
            all.extend(page.items);
            let Some(next) = page.next else { return Ok(all) };
            query.page = PageRequest::after(next).with_limit(PageRequest::MAX_LIMIT);
        }
    }
}

const fn is_missed(state: DeliveryState) -> bool {
    matches!(state, DeliveryState::Ended(End::Exhausted | End::Expired))
}

fn not_found(what: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no {what}"))
}
