//! The delivery log: deliveries, attempts, explanations, redelivery and recovery.

use std::collections::BTreeMap;

use super::error::Error;
use super::explanation::Explanation;
use super::logged_delivery::LoggedDelivery;
use super::tenant::Tenant;
use crate::model::{
    Attempt, Delivery, DeliveryId, DeliveryQuery, DeliveryState, End, HookId, MessageId, MessageQuery,
    MessageRecord, Page, PageRequest, Scope, Stopped, Timestamp,
};
use crate::store::{Recovered, Recovery, Redelivery};

impl Tenant {
    /// Returns the fate of an event at each webhook: delivered, pending, or the reason why not, with the outcome of the
    /// last attempt where none has succeeded.
    ///
    /// [`for_operator`](Self::for_operator) shows details and answers too, as in [`attempts`](Self::attempts).
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when the tenant has no such message, or no longer has it,
    /// [`MissingScope`](crate::ErrorKind::MissingScope), [`Store`](crate::ErrorKind::Store).
    pub async fn explain(&self, message_id: &MessageId) -> Result<Explanation, Error> {
        self.require(Scope::Read)?;
        let record = self.core.store().event(&self.id, message_id).await?;
        let record = record.ok_or_else(|| Error::not_found(&format!("message {message_id}")))?;
        let mut deliveries = self.all(DeliveryQuery::new().message(message_id.clone())).await?;
        deliveries.reverse();
        let stopped = self.hide_dues(&mut deliveries).await?;
        let last_attempts = self.last_attempts(&deliveries).await?;
        let event = self.core.event_key(record.event.event_id).into_owned();
        Ok(Explanation { record, deliveries, last_attempts, stopped, event })
    }

    /// Removes the due times of deliveries of stopped webhooks, because nothing happens then. Returns these webhooks.
    async fn hide_dues(&self, deliveries: &mut [Delivery]) -> Result<BTreeMap<HookId, Stopped>, Error> {
        if !deliveries.iter().any(|it| it.state == DeliveryState::Pending) {
            return Ok(BTreeMap::new());
        }
        let registry = self.core.store().registry(&self.id).await?;
        let stopped: BTreeMap<_, _> = registry.all_stopped().collect();
        for delivery in deliveries.iter_mut().filter(|it| stopped.contains_key(&it.hook_id)) {
            delivery.due_at = None;
        }
        Ok(stopped)
    }

    /// Reads the last attempt of each delivery that was attempted and not delivered.
    async fn last_attempts(&self, deliveries: &[Delivery]) -> Result<BTreeMap<DeliveryId, Attempt>, Error> {
        let is_told = |it: &&Delivery| it.attempts > 0 && it.state != DeliveryState::Ended(End::Delivered);
        let told: Vec<_> = deliveries.iter().filter(is_told).map(|delivery| delivery.id).collect();
        let attempts = self.attempts_of(&told).await?;
        let last =
            told.into_iter().zip(attempts).filter_map(|(id, made)| Some((id, made.into_iter().next_back()?)));
        Ok(last.collect())
    }

    /// Lists events, newest first: also those that went to nobody, and those that wait for routing.
    ///
    /// # Errors
    ///
    /// As [`deliveries`](Self::deliveries).
    pub async fn messages(&self, query: &MessageQuery) -> Result<Page<MessageRecord>, Error> {
        self.require(Scope::Read)?;
        Ok(self.core.store().messages(&self.id, query).await?)
    }

    /// Lists deliveries, newest first.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when the query begins after a cursor that no page gave,
    /// [`MissingScope`](crate::ErrorKind::MissingScope), [`Store`](crate::ErrorKind::Store).
    pub async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<Delivery>, Error> {
        self.require(Scope::Read)?;
        let mut page = self.core.store().deliveries(&self.id, query).await?;
        self.hide_dues(&mut page.items).await?;
        Ok(page)
    }

    /// Lists deliveries with their attempts, newest first. It takes no more calls of the store than
    /// [`deliveries`](Self::deliveries) and one.
    ///
    /// [`for_operator`](Self::for_operator) shows details and answers too, as in [`attempts`](Self::attempts).
    ///
    /// ```
    /// # async fn show(acme: hookwire::Tenant, hook_id: hookwire::HookId) -> Result<(), Box<dyn std::error::Error>> {
    /// use hookwire::DeliveryQuery;
    ///
    /// let page = acme.deliveries_with_attempts(&DeliveryQuery::new().webhook(hook_id)).await?;
    /// for logged in &page.items {
    ///     for attempt in &logged.attempts {
    ///         println!("{}: {}", logged.delivery.message_id, attempt.outcome);
    ///     }
    /// }
    /// let answer = serde_json::to_string(&page)?; // {"items": [{"delivery": {..}, "attempts": [..]}, ..], ..}
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`deliveries`](Self::deliveries).
    pub async fn deliveries_with_attempts(
        &self,
        query: &DeliveryQuery,
    ) -> Result<Page<LoggedDelivery>, Error> {
        let page = self.deliveries(query).await?;
        let ids: Vec<_> = page.items.iter().map(|delivery| delivery.id).collect();
        let mut attempts = self.attempts_of(&ids).await?.into_iter();
        Ok(page.map(|delivery| LoggedDelivery { delivery, attempts: attempts.next().unwrap_or_default() }))
    }

    /// Lists the attempts of a delivery, in order, with the class of each failure and the status of each answer.
    ///
    /// [`for_operator`](Self::for_operator) shows details and answers too, and
    /// [`show_response_bodies`](super::WebhooksBuilder::show_response_bodies) shows the answers to tenants.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound), [`MissingScope`](crate::ErrorKind::MissingScope),
    /// [`Store`](crate::ErrorKind::Store).
    pub async fn attempts(&self, delivery: DeliveryId) -> Result<Vec<Attempt>, Error> {
        self.require(Scope::Read)?;
        let attempts = self.core.store().attempts(&self.id, &[delivery]).await?.into_iter().flatten().next();
        let attempts = attempts.ok_or_else(|| Error::not_found(&format!("delivery {delivery}")))?;
        Ok(attempts.into_iter().map(|it| self.seen(it)).collect())
    }

    /// Reads the attempts of each delivery. One that is gone, because upkeep or an erasure has removed it meanwhile, has
    /// none.
    async fn attempts_of(&self, deliveries: &[DeliveryId]) -> Result<Vec<Vec<Attempt>>, Error> {
        let mut all = Vec::with_capacity(deliveries.len());
        for part in deliveries.chunks(usize::from(PageRequest::MAX_LIMIT)) {
            let read = self.core.store().attempts(&self.id, part).await?;
            let seen = |made: Vec<Attempt>| made.into_iter().map(|it| self.seen(it)).collect();
            all.extend(read.into_iter().map(|made| made.map_or_else(Vec::new, seen)));
        }
        Ok(all)
    }

    /// Returns the attempt as this handle shows it.
    fn seen(&self, attempt: Attempt) -> Attempt {
        Attempt { outcome: self.visibility.redact(attempt.outcome), ..attempt }
    }

    /// Makes a new delivery of the same message, to the webhook as it is now.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when the tenant has no such delivery, or its webhook or payload is gone,
    /// [`MissingScope`](crate::ErrorKind::MissingScope), [`Store`](crate::ErrorKind::Store).
    ///
    /// # Cancellation
    ///
    /// The new delivery is made or not. List the deliveries to find out.
    pub async fn redeliver(&self, delivery: DeliveryId) -> Result<DeliveryId, Error> {
        self.require(Scope::Update)?;
        let again = Redelivery { origin: delivery, expires: self.core.policy().expires() };
        let made = self.core.store().redeliver(&self.id, &[again]).await?;
        self.core.new_work.notify();
        let new = made.first().copied().flatten();
        new.ok_or_else(|| Error::not_found(&format!("delivery {delivery} with its webhook and its payload")))
    }

    /// Redelivers some of the deliveries of a webhook that were given up or expired since `since`, newest first, and returns
    /// their number and where to go on.
    ///
    /// Follow [`Recovered::next`] to the end to redeliver all. Deliveries that were redelivered already are left out, so
    /// nothing is made twice, however often it is called and wherever it begins. New events go first: what is recovered
    /// stands behind their first attempts.
    ///
    /// ```
    /// # async fn run(acme: hookwire::Tenant, hook_id: hookwire::HookId) -> Result<(), hookwire::Error> {
    /// use std::time::{Duration, SystemTime};
    /// use hookwire::model::PageRequest;
    ///
    /// let since = SystemTime::now() - Duration::from_secs(24 * 60 * 60);
    /// let (mut page, mut made) = (PageRequest::first(), 0);
    /// loop {
    ///     let recovered = acme.recover(hook_id, since, &page).await?;
    ///     made += recovered.made;
    ///     let Some(next) = recovered.next else { break };
    ///     page = PageRequest::after(next); // keep it to go on from here after a restart
    /// }
    /// println!("{made} are delivered again");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound), [`Invalid`](crate::ErrorKind::Invalid) when the page begins after a
    /// cursor that no call gave, [`MissingScope`](crate::ErrorKind::MissingScope), [`Store`](crate::ErrorKind::Store).
    ///
    /// # Cancellation
    ///
    /// The new deliveries are made or not. Call it again with the same page.
    pub async fn recover(
        &self,
        hook_id: HookId,
        since: impl Into<Timestamp>,
        page: &PageRequest,
    ) -> Result<Recovered, Error> {
        self.require(Scope::Update)?;
        self.get_registered(hook_id).await?;
        let (since, expires) = (since.into(), self.core.policy().expires());
        let recovery = Recovery { hook: hook_id, since, expires, page: page.clone() };
        let recovered = self.core.store().recover(&self.id, &recovery).await?;
        self.core.new_work.notify();
        Ok(recovered)
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
