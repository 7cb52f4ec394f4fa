//! Delivers anew: what a webhook was skipped for, a message under a new id; and erases payloads.

use super::error::Error;
use super::publishing::new_message_id;
use super::tenant::Tenant;
use crate::model::{
    HookId, MessageId, MessageQuery, MessageRecord, PageRequest, Scope, StampedEvent, Timestamp,
};
use crate::registry::{Refusal, Registry};
use crate::routing::{self, Verdict};
use crate::store::{Addition, EventRecord, Recovered, RoutingRecord};

impl Tenant {
    /// Delivers to a webhook some of the events since `since` that it was skipped for, because it was disabled, did not
    /// subscribe to them or was not there yet, newest first. Returns their number and where to go on.
    ///
    /// Events are routed by the webhook as it is now: those that it would not get today it does not get. An event of which
    /// it has a delivery already is left out, so nothing is made twice; [`recover`](Self::recover) is for what failed. Each
    /// step looks at as many events as its page allows, and reads those whose department, source or payload the webhook asks
    /// for, one by one. Follow [`Recovered::next`] to the end to deliver all. New events go first. A message that
    /// [`redeliver_as_new`](Self::redeliver_as_new) made for another webhook is an event like any other.
    ///
    /// It needs a scope of its own, [`Scope::Recover`], because it shows a receiver events of before its registration.
    ///
    /// ```
    /// # async fn run(acme: hookwire::Tenant, hook_id: hookwire::HookId) -> Result<(), hookwire::Error> {
    /// use std::time::{Duration, SystemTime};
    /// use hookwire::model::PageRequest;
    ///
    /// let since = SystemTime::now() - Duration::from_secs(24 * 60 * 60);
    /// let mut page = PageRequest::first();
    /// while let Some(next) = acme.recover_skipped(hook_id, since, &page).await?.next {
    ///     page = PageRequest::after(next);
    /// }
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
    /// Some of the new deliveries are made. Call it again with the same page.
    pub async fn recover_skipped(
        &self,
        hook_id: HookId,
        since: impl Into<Timestamp>,
        page: &PageRequest,
    ) -> Result<Recovered, Error> {
        self.require(Scope::Recover)?;
        let registry = self.core.store().registry(&self.id).await?;
        registry.get(hook_id).ok_or(Refusal::NotFound(hook_id))?;
        let query = MessageQuery::new().since(since.into()).page(page.clone());
        let messages = self.core.store().messages(&self.id, &query).await?;
        let expires = self.core.policy().expires();
        let mut additions = Vec::new();
        for message in messages.items {
            if self.would_get(hook_id, &message, &registry).await? {
                additions.push(Addition { message: message.message_id, hook: hook_id, expires });
            }
        }
        let made = self.core.store().add(&self.id, &additions).await?;
        self.core.new_work.notify();
        Ok(Recovered { made: made.iter().flatten().count(), next: messages.next })
    }

    /// Returns whether a webhook would get an event of the log today, unless its payload is gone, which the store knows.
    async fn would_get(
        &self,
        hook_id: HookId,
        message: &MessageRecord,
        registry: &Registry,
    ) -> Result<bool, Error> {
        let Some(registered) = registry.get(hook_id).filter(|_| !message.is_waiting) else {
            return Ok(false);
        };
        // An event that could not be routed has neither.
        let was_routed = message.targets + message.skipped > 0;
        match routing::verdict_by_kind(message.event_id, &registered.webhook, self.core.catalog()) {
            Some(Verdict::Skip(_)) => Ok(false),
            Some(Verdict::Deliver) if was_routed => Ok(true),
            // Read by itself, as the payloads of a page may together be too large.
            Some(Verdict::Deliver) | None => {
                let record = self.core.store().event(&self.id, &message.message_id).await?;
                Ok(record.is_some_and(|record| self.is_routed_to(hook_id, &record, registry)))
            }
        }
    }

    fn is_routed_to(&self, hook_id: HookId, record: &EventRecord, registry: &Registry) -> bool {
        let is_routed = matches!(record.routing, RoutingRecord::Routed(_)) && record.has_payload;
        let gets = |route: &routing::Route| route.hook_id == hook_id && route.verdict == Verdict::Deliver;
        is_routed && routing::route(&*record.event, registry, self.core.catalog()).iter().any(gets)
    }

    /// Sends a message to one webhook again, as a new message with an id of its own, and returns that id.
    ///
    /// A [redelivery](Self::redeliver) keeps the id of the message, so a receiver that remembers what it has seen ignores
    /// it. This one it takes for a new event, with the time and the payload of the old one. No other webhook gets it, and
    /// the webhook gets it whatever it subscribes to.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) when the tenant has no such message or webhook, or the payload is gone,
    /// [`MissingScope`](crate::ErrorKind::MissingScope), [`Overloaded`](crate::ErrorKind::Overloaded),
    /// [`Conflict`](crate::ErrorKind::Conflict), [`Store`](crate::ErrorKind::Store), as [`publish`](Self::publish) says.
    ///
    /// # Cancellation
    ///
    /// The new message is published or not. List the messages to find out.
    pub async fn redeliver_as_new(
        &self,
        message_id: &MessageId,
        hook_id: HookId,
    ) -> Result<MessageId, Error> {
        self.require(Scope::Update)?;
        let record = self.core.store().event(&self.id, message_id).await?;
        let record = record.filter(|record| record.has_payload);
        let record =
            record.ok_or_else(|| Error::not_found(&format!("message {message_id} with its payload")))?;
        let new_id = new_message_id(self.core.now().as_millis());
        let event = StampedEvent { message_id: new_id, ..StampedEvent::clone(&record.event) };
        self.publish_to(hook_id, event).await.map(|sent| sent.message_id().clone())
    }

    /// Erases the payload of a message, and what is kept of receivers' answers to it. The rows of the log stay.
    ///
    /// Deliveries of it that have not ended end as [`Erased`](crate::model::End::Erased); an attempt that is under way may
    /// still end. A file or table may hold the bytes until it uses the space again.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound), [`MissingScope`](crate::ErrorKind::MissingScope),
    /// [`Store`](crate::ErrorKind::Store), [`Conflict`](crate::ErrorKind::Conflict) while the message waits for routing,
    /// because a transaction of the host wrote it: a dispatcher routes it in a moment.
    ///
    /// # Cancellation
    ///
    /// All of it is erased or nothing. Call it again.
    pub async fn erase_payload(&self, message_id: &MessageId) -> Result<(), Error> {
        self.require(Scope::Delete)?;
        let is_there = self.core.store().erase_payload(&self.id, message_id).await?;
        is_there.then_some(()).ok_or_else(|| Error::not_found(&format!("message {message_id}")))
    }
}
