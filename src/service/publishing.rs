//! Publishing: events are checked, routed and written.

use std::iter::Peekable;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use uuid::fmt::Simple;
use uuid::{ContextV7, Uuid};

use super::core::Core;
use super::error::{Error, ErrorKind};
use super::handoff::Handoff;
use super::notice::Notice;
use super::tenant::Tenant;
use crate::delivery::Next;
use crate::model::{Event, EventId, HookId, MessageId, Scope, StampedEvent, TenantId, Violation};
use crate::registry::{Refusal, Registry};
use crate::routing::{self, Route};
use crate::store::{
    Claim, Publication, PublishAnswer, Receipt, Reservation, Routing, Settlement, StoreErrorKind,
};

/// The result of publishing an event. The event will be delivered, or its deliveries end in the log with the reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sent {
    message_id: MessageId,
    receipt: Receipt,
    duplicate: bool,
}

impl Sent {
    /// Returns the message id of the event, which [`explain`](Tenant::explain) takes and receivers get as
    /// `webhook-id`.
    pub const fn message_id(&self) -> &MessageId {
        &self.message_id
    }

    /// Returns the number of webhooks that get the event.
    pub const fn webhooks(&self) -> usize {
        self.receipt.targets
    }

    /// Returns whether the same event was published before, so that this call changed nothing.
    pub const fn is_duplicate(&self) -> bool {
        self.duplicate
    }
}

/// The webhooks that get an event.
#[derive(Clone, Copy)]
enum Recipients {
    /// Those that it is routed to.
    Routed,
    /// This one, whatever it subscribes to.
    Only(HookId),
}

/// The number of events in one call of the store.
const BATCH: usize = 256;

/// The number of times that events are routed, while the tenant's webhooks change in between.
const MAX_STALE: usize = 32;

/// The time that the store has to answer, in times of [`Policy::publish_timeout`](crate::policy::Policy::publish_timeout).
/// A store may wait for room itself, as long as that, before it begins.
const ANSWER_WITHIN: u32 = 3;

impl Tenant {
    /// Publishes an event. When this returns, the event survives the process.
    ///
    /// Without a message id, each call publishes an event of its own. With one, publishing the same event again
    /// changes nothing: repeat a call that failed or was cancelled with the same id.
    ///
    /// # Errors
    ///
    /// [`UnknownEvent`](ErrorKind::UnknownEvent), [`Invalid`](ErrorKind::Invalid) when the actor breaks a rule,
    /// [`PayloadTooLarge`](ErrorKind::PayloadTooLarge), [`MessageIdReused`](ErrorKind::MessageIdReused),
    /// [`Overloaded`](ErrorKind::Overloaded), [`Conflict`](ErrorKind::Conflict), [`Store`](ErrorKind::Store).
    ///
    /// A store that does not answer within three times
    /// [`Policy::with_publish_timeout`](crate::policy::Policy::with_publish_timeout) has failed. It may nevertheless have
    /// stored the event, or store it later.
    ///
    /// # Cancellation
    ///
    /// The event is published or not, never half.
    pub async fn publish(&self, event: Event) -> Result<Sent, Error> {
        let mut outcomes = self.publish_all([event]).await;
        outcomes.pop().unwrap_or_else(|| Err(StoreErrorKind::Corrupt.into()))
    }

    /// Publishes several events, each by itself, and returns an outcome for each, in order.
    ///
    /// # Cancellation
    ///
    /// Each event is published or not, never half.
    pub async fn publish_all(&self, events: impl IntoIterator<Item = Event>) -> Vec<Result<Sent, Error>> {
        let events: Vec<_> = events.into_iter().map(|event| self.prepare(event)).collect();
        let mut outcomes = Vec::with_capacity(events.len());
        let mut events = events.into_iter().peekable();
        while events.peek().is_some() {
            let batch = next_batch(&mut events, self.core.publishing().bytes());
            outcomes.extend(self.publish_batch(batch).await);
        }
        outcomes
    }

    /// Returns for each webhook whether publishing this event now would deliver it, or the reason why not. Publishes
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`UnknownEvent`](ErrorKind::UnknownEvent), [`MissingScope`](ErrorKind::MissingScope),
    /// [`Store`](ErrorKind::Store).
    pub async fn route(&self, event: &Event) -> Result<Vec<Route>, Error> {
        self.require(Scope::Read)?;
        self.core.check_known(event.event_id())?;
        let registry = self.core.store().registry(&self.id).await?;
        Ok(routing::route(event, &registry, self.core.catalog()))
    }

    /// Returns the JSON text that publishes `event` by SQL, within a transaction of the host's own. The text is the
    /// one parameter of the SQL statement of a store that offers this, such as `hookwire-postgres`.
    ///
    /// The text holds the payload byte for byte, as a string: any JSON passes through the database. It also fixes the message id: the event's own, or a new one. Create
    /// the text once, before the transaction, and use the same text for each try. Then a commit whose answer was lost
    /// does not publish the event a second time. An event without a time gets the time of the database when it is
    /// published.
    ///
    /// ```
    /// # fn run(hooks: hookwire::Webhooks) -> Result<(), Box<dyn std::error::Error>> {
    /// use hookwire::{Event, MessageId, TenantId, assist};
    ///
    /// let acme = hooks.tenant(TenantId::new("acme")?);
    /// let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({"deviceName": "LAB-4"}))?
    ///     .message_id(MessageId::new("lab-4-online-17")?);
    /// assert_eq!(
    ///     acme.to_sql_document(&event),
    ///     r#"{"tenant":"acme","message_id":"lab-4-online-17","event_id":13,"payload_text":"{\"deviceName\":\"LAB-4\"}"}"#
    /// );
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// This method checks nothing. The statement fails, and with it the transaction, if the actor or the message id breaks a
    /// rule or the payload is too large: call [`check`](Self::check) before the transaction. An event that is not in the catalog
    /// is no error of the statement; it ends in the log with that reason.
    pub fn to_sql_document(&self, event: &Event) -> String {
        event.to_sql_document(&self.id, || new_message_id(self.core.now().as_millis()))
    }

    /// Checks the actor and the size of the payload, as [`publish`](Self::publish) does. It reads no database. Call it
    /// before a transaction that publishes by SQL, so that no text of a user makes that transaction fail.
    ///
    /// ```
    /// # fn run(hooks: hookwire::Webhooks) -> Result<(), Box<dyn std::error::Error>> {
    /// use hookwire::{ErrorKind, Event, TenantId, assist};
    ///
    /// let acme = hooks.tenant(TenantId::new("acme")?);
    /// let event = Event::new(assist::DEVICE_ONLINE, "LAB-4")?.actor("maria\0");
    /// let refused = acme.check(&event).expect_err("a control character");
    /// assert!(matches!(refused.kind(), ErrorKind::Invalid(_)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) if the actor or the message id breaks a rule,
    /// [`PayloadTooLarge`](ErrorKind::PayloadTooLarge).
    pub fn check(&self, event: &Event) -> Result<(), Error> {
        self.core.check_content(event.violations(), event.payload())
    }

    pub(super) fn prepare(&self, event: Event) -> Result<StampedEvent, Error> {
        let now = self.core.now();
        let event = event.stamped(|| new_message_id(now.as_millis()), now);
        self.core.check_event(&event)?;
        Ok(event)
    }

    /// Publishes the valid events of a batch, and returns their outcomes in order with those of the refused ones.
    async fn publish_batch(&self, batch: Vec<Result<StampedEvent, Error>>) -> Vec<Result<Sent, Error>> {
        let mut refused = Vec::new();
        let mut sound = Vec::with_capacity(batch.len());
        for (index, event) in batch.into_iter().enumerate() {
            match event {
                Ok(event) => sound.push((index, Arc::new(event))),
                Err(error) => refused.push((index, Err(error))),
            }
        }
        let mut outcomes = self.publish_sound(sound, Recipients::Routed).await;
        outcomes.extend(refused);
        outcomes.sort_by_key(|(index, _)| *index);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    /// Publishes an event that was checked before to one webhook, whatever it subscribes to.
    pub(super) async fn publish_to(&self, hook_id: HookId, event: StampedEvent) -> Result<Sent, Error> {
        let mut outcomes = self.publish_sound(vec![(0, Arc::new(event))], Recipients::Only(hook_id)).await;
        outcomes.pop().map_or_else(|| Err(StoreErrorKind::Corrupt.into()), |(_, outcome)| outcome)
    }

    /// Waits for room for the payloads, and publishes the events.
    async fn publish_sound(
        &self,
        open: Vec<(usize, Arc<StampedEvent>)>,
        recipients: Recipients,
    ) -> Vec<(usize, Outcome)> {
        let room = self.core.publishing();
        let bytes = open.iter().map(|(_, event)| event.payload.get().len()).sum();
        let mut deadline = self.core.timer().deadline(self.core.policy().publish_timeout());
        match deadline.limit(room.reserve(bytes)).await {
            Some(reserved) => {
                self.publish_reserved(open, recipients, &Reservation::of(Arc::new(reserved))).await
            }
            None => fail_all(open, Error::no_room(room.bytes())),
        }
    }

    /// Routes and writes events, and does so again for those whose routing was out of date.
    async fn publish_reserved(
        &self,
        mut open: Vec<(usize, Arc<StampedEvent>)>,
        recipients: Recipients,
        reservation: &Reservation,
    ) -> Vec<(usize, Outcome)> {
        let limit = self.core.policy().publish_timeout().saturating_mul(ANSWER_WITHIN);
        let mut deadline = self.core.timer().deadline(limit);
        let mut outcomes = Vec::with_capacity(open.len());
        for round in 0..MAX_STALE {
            if open.is_empty() {
                break;
            }
            let written =
                deadline.limit(pin!(self.route_and_write(&open, recipients, round, reservation))).await;
            match written.unwrap_or_else(|| Err(Error::no_answer(limit))) {
                Ok(answers) => open = sort_answers(open, answers, &mut outcomes),
                Err(error) => {
                    outcomes.extend(fail_all(open, error));
                    return outcomes;
                }
            }
        }
        let conflict = |(index, _)| (index, Err(StoreErrorKind::Conflict.into()));
        outcomes.extend(open.into_iter().map(conflict));
        outcomes
    }

    async fn route_and_write(
        &self,
        events: &[(usize, Arc<StampedEvent>)],
        recipients: Recipients,
        round: usize,
        reservation: &Reservation,
    ) -> Result<Vec<PublishAnswer>, Error> {
        let registry = match (round, recipients) {
            (0, Recipients::Routed) => self.core.cached_registry(&self.id).await?,
            // A webhook that was named may be newer than what is cached.
            _ => self.core.fresh_registry(&self.id).await?,
        };
        let publication = |(_, event): &(usize, Arc<StampedEvent>)| {
            let publication = self.core.publication(&self.id, event, &registry, recipients)?;
            Ok(Publication { reservation: reservation.clone(), ..publication })
        };
        let publications = events.iter().map(publication).collect::<Result<Vec<_>, Error>>()?;
        self.write(&publications).await
    }

    async fn write(&self, publications: &[Publication]) -> Result<Vec<PublishAnswer>, Error> {
        let handoff = self.core.handoff();
        let offer = handoff.as_ref().and_then(|handoff| handoff.offer());
        let request = offer.as_ref().map(|(request, _)| request);
        // Nobody needs the time if nobody is told of it.
        let began = (!self.core.observers().is_empty()).then(|| self.core.monotonic());
        let published = self.core.store().publish(publications, request).await?;
        if let Some(began) = began {
            let took = self.core.monotonic().saturating_sub(began);
            self.core.tell(&Notice::Stored { events: publications.len(), took });
        }
        self.core.tell_published(publications, &published.answers);
        if published.leaves_work() {
            self.core.new_work.notify();
        }
        if let (Some(handoff), Some((_, asked_at))) = (handoff, offer) {
            self.core.hand_off(&*handoff, published.held, asked_at).await;
        }
        Ok(published.answers)
    }
}

type Outcome = Result<Sent, Error>;

/// Takes the events of one call of the store: at most [`BATCH`] with at most so many bytes, or one that is larger.
fn next_batch(
    events: &mut Peekable<impl Iterator<Item = Result<StampedEvent, Error>>>,
    most_bytes: usize,
) -> Vec<Result<StampedEvent, Error>> {
    let size = |event: &Result<StampedEvent, Error>| event.as_ref().map_or(0, |it| it.payload.get().len());
    let mut batch = Vec::with_capacity(events.size_hint().0.min(BATCH));
    let mut bytes = 0_usize;
    while batch.len() < BATCH {
        let fits = |event: &_| batch.is_empty() || bytes.saturating_add(size(event)) <= most_bytes;
        let Some(event) = events.next_if(fits) else { break };
        bytes += size(&event);
        batch.push(event);
    }
    batch
}

/// Moves the final answers into `outcomes`, and returns the events that must be routed again.
fn sort_answers(
    events: Vec<(usize, Arc<StampedEvent>)>,
    answers: Vec<PublishAnswer>,
    outcomes: &mut Vec<(usize, Outcome)>,
) -> Vec<(usize, Arc<StampedEvent>)> {
    let mut stale = Vec::new();
    for ((index, event), answer) in events.into_iter().zip(answers) {
        let sent = |receipt, duplicate| Ok(Sent { message_id: event.message_id.clone(), receipt, duplicate });
        let outcome = match answer {
            PublishAnswer::Duplicate(receipt) => sent(receipt, true),
            PublishAnswer::Failed(error) => Err(error.into()),
            PublishAnswer::IdReused => Err(id_reused(&event.message_id)),
            PublishAnswer::Stale(_) => {
                stale.push((index, event));
                continue;
            }
            PublishAnswer::Stored(receipt) => sent(receipt, false),
        };
        outcomes.push((index, outcome));
    }
    stale
}

fn id_reused(id: &MessageId) -> Error {
    let message = format!("message id {id} was published before with other content; choose another");
    Error::new(ErrorKind::MessageIdReused, message)
}

/// Fails every event: the first with the error itself, the others with a copy of its kind and text.
fn fail_all(events: Vec<(usize, Arc<StampedEvent>)>, error: Error) -> Vec<(usize, Outcome)> {
    let again = || Error::new(error.kind().clone(), error.to_string());
    let mut outcomes: Vec<_> = events.iter().map(|(index, _)| (*index, Err(again()))).collect();
    if let Some((_, first)) = outcomes.first_mut() {
        *first = Err(error);
    }
    outcomes
}

/// Creates an id that grows with time, so that stores write ids side by side.
pub(super) fn new_message_id(millis: i64) -> MessageId {
    new_id("msg_", millis)
}

/// Creates the id of a test.
pub(super) fn new_test_id(millis: i64) -> MessageId {
    new_id(MessageId::TEST_PREFIX, millis)
}

fn new_id(prefix: &str, millis: i64) -> MessageId {
    let millis = millis.max(0).unsigned_abs();
    let nanos = u32::try_from(millis % 1000 * 1_000_000).unwrap_or_default();
    let time = uuid::Timestamp::from_unix(ContextV7::new(), millis / 1000, nanos);
    let mut digits = [0; Simple::LENGTH];
    let digits: &str = Uuid::new_v7(time).simple().encode_lower(&mut digits);
    MessageId::new([prefix, digits].concat()).expect("37 letters, digits and an underscore at most")
}

impl Core {
    /// Checks that the event may be published at all.
    pub(crate) fn check_event(&self, event: &StampedEvent) -> Result<(), Error> {
        self.check_known(event.event_id)?;
        self.check_content(event.violations(), &event.payload)
    }

    fn check_content(&self, violations: Vec<Violation>, payload: &RawValue) -> Result<(), Error> {
        if !violations.is_empty() {
            return Err(Refusal::Invalid(violations).into());
        }
        let (size, most) = (payload.get().len(), self.policy().payload_bytes());
        if size > most {
            let message =
                format!("the payload has {size} bytes; send at most {most}, and a link to the rest");
            return Err(Error::new(ErrorKind::PayloadTooLarge, message));
        }
        Ok(())
    }

    fn check_known(&self, event_id: EventId) -> Result<(), Error> {
        if self.catalog().get(event_id).is_some() {
            return Ok(());
        }
        let message = format!("event {event_id} is not in the catalog; add it there first");
        Err(Error::new(ErrorKind::UnknownEvent, message))
    }

    fn publication(
        &self,
        tenant: &TenantId,
        event: &Arc<StampedEvent>,
        registry: &Registry,
        recipients: Recipients,
    ) -> Result<Publication, Error> {
        let routing = match recipients {
            Recipients::Routed => routing::route(&**event, registry, self.catalog()).into_iter().collect(),
            Recipients::Only(hook_id) => {
                registry.get(hook_id).ok_or(Refusal::NotFound(hook_id))?;
                Routing { targets: vec![hook_id], skipped: Vec::new() }
            }
        };
        let expires = self.policy().expires();
        Ok(Publication::new(tenant.clone(), Arc::clone(event), registry.revision, routing, expires))
    }

    /// Hands claims to the dispatcher for which they were made. Claims that it no longer takes are released.
    async fn hand_off(&self, handoff: &dyn Handoff, held: Vec<Claim>, asked_at: Duration) {
        if held.is_empty() {
            return;
        }
        let Err(refused) = handoff.take(held, asked_at) else { return };
        let releases: Vec<_> = refused.iter().map(|claim| Settlement::new(claim, Next::Release)).collect();
        // An error is ignored: a claim that cannot be released now is due again when its lease ends.
        let _ = self.store().settle(&releases).await;
        self.new_work.notify();
    }
}
