use std::time::Duration;

use uuid::{ContextV7, Uuid};

use super::core::{Core, Intake};
use super::error::{Error, ErrorKind};
use super::tenant::Tenant;
use crate::delivery::{Next, Report};
use crate::model::{Event, EventId, MessageId, PublishedEvent, Scope, TenantId};
use crate::registry::{Refusal, Registry};
use crate::routing::{self, Route};
use crate::store::{
    Claim, ClaimRequest, Publication, PublishAnswer, Receipt, Routing, Settlement, StoreErrorKind,
};

/// An event that is published: it will be delivered, or its deliveries end in the log with the reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sent {
    message_id: MessageId,
    receipt: Receipt,
    duplicate: bool,
}

impl Sent {
    /// The identity of the event: what [`explain`](Tenant::explain) takes, and what receivers see as
    /// `webhook-id`.
    pub const fn message_id(&self) -> &MessageId {
        &self.message_id
    }

    /// How many webhooks get it.
    pub const fn webhooks(&self) -> usize {
        self.receipt.targets
    }

    /// Whether the same event was published before, so that nothing was done now.
    pub const fn is_duplicate(&self) -> bool {
        self.duplicate
    }
}

/// How many events are handed to the store at once.
const BATCH: usize = 256;

/// How often events are routed anew when the tenant's webhooks change in between.
const MOST_STALE: usize = 32;

impl Tenant {
    /// Publishes an event: when this returns it survives the process.
    ///
    /// Without a message id each call is an event of its own. With one, publishing the same event again
    /// does nothing, so repeat a call that failed or was cancelled with the same id.
    ///
    /// # Errors
    ///
    /// [`UnknownEvent`](ErrorKind::UnknownEvent), [`Invalid`](ErrorKind::Invalid) by its actor,
    /// [`PayloadTooLarge`](ErrorKind::PayloadTooLarge), [`MessageIdReused`](ErrorKind::MessageIdReused),
    /// [`Overloaded`](ErrorKind::Overloaded), [`Conflict`](ErrorKind::Conflict), [`Store`](ErrorKind::Store).
    ///
    /// # Cancellation
    ///
    /// The event is published or not, never half.
    pub async fn publish(&self, event: Event) -> Result<Sent, Error> {
        let mut outcomes = self.publish_all([event]).await;
        outcomes.pop().unwrap_or_else(|| Err(StoreErrorKind::Corrupt.into()))
    }

    /// Publishes many events, each by itself: an outcome for each, in order.
    ///
    /// # Cancellation
    ///
    /// Each event is published or not, never half.
    pub async fn publish_all(&self, events: impl IntoIterator<Item = Event>) -> Vec<Result<Sent, Error>> {
        let events: Vec<_> = events.into_iter().map(|event| self.prepare(event)).collect();
        let mut outcomes = Vec::with_capacity(events.len());
        let mut events = events.into_iter().peekable();
        while events.peek().is_some() {
            let batch: Vec<_> = events.by_ref().take(BATCH).collect();
            outcomes.extend(self.publish_batch(batch).await);
        }
        outcomes
    }

    /// Tells what publishing this event would do now, for each webhook: deliver it, or the reason not to.
    ///
    /// # Errors
    ///
    /// [`UnknownEvent`](ErrorKind::UnknownEvent), [`MissingScope`](ErrorKind::MissingScope),
    /// [`Store`](ErrorKind::Store).
    pub async fn route(&self, event: &Event) -> Result<Vec<Route>, Error> {
        self.require(Scope::Read)?;
        self.core.check_known(event.event_id())?;
        let registry = self.core.store().registry(&self.id).await?;
        Ok(routing::route(event, &registry))
    }

    pub(super) fn prepare(&self, event: Event) -> Result<PublishedEvent, Error> {
        let now = self.core.now();
        let event = event.published(|| new_message_id(now.as_millis()), now);
        self.core.check_event(&event)?;
        Ok(event)
    }

    /// Fills in the outcomes of the sound events of a batch, around those that are refused already.
    async fn publish_batch(&self, batch: Vec<Result<PublishedEvent, Error>>) -> Vec<Result<Sent, Error>> {
        let mut refused = Vec::new();
        let mut sound = Vec::new();
        for (index, event) in batch.into_iter().enumerate() {
            match event {
                Ok(event) => sound.push((index, event)),
                Err(error) => refused.push((index, Err(error))),
            }
        }
        let mut outcomes = self.publish_sound(sound).await;
        outcomes.extend(refused);
        outcomes.sort_by_key(|(index, _)| *index);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    /// Routes and writes, and again those whose routing was out of date.
    async fn publish_sound(&self, mut open: Vec<(usize, PublishedEvent)>) -> Vec<(usize, Outcome)> {
        let mut outcomes = Vec::with_capacity(open.len());
        for round in 0..MOST_STALE {
            if open.is_empty() {
                break;
            }
            let registry = match round {
                0 => self.core.cached_registry(&self.id).await,
                _ => self.core.fresh_registry(&self.id).await,
            };
            let written = match registry {
                Ok(registry) => self.write(&open, &registry).await,
                Err(error) => Err(error),
            };
            match written {
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

    async fn write(
        &self,
        events: &[(usize, PublishedEvent)],
        registry: &Registry,
    ) -> Result<Vec<PublishAnswer>, Error> {
        let publication =
            |(_, event): &(usize, PublishedEvent)| self.core.publication(&self.id, event, registry);
        let publications: Vec<_> = events.iter().map(publication).collect();
        let intake = self.core.intake();
        let offer = intake.as_ref().and_then(|intake| intake.offer());
        let request = offer.as_ref().map(|(request, _)| request);
        let published = self.core.store().publish(&publications, request).await?;
        if published.leaves_work() {
            self.core.bell.ring();
        }
        if let (Some(intake), Some(offer)) = (intake, offer) {
            self.core.hand_over(&*intake, offer, published.held).await;
        }
        Ok(published.answers)
    }
}

type Outcome = Result<Sent, Error>;

/// Moves what is decided into `outcomes`, and gives what has to be routed again.
fn sort_answers(
    events: Vec<(usize, PublishedEvent)>,
    answers: Vec<PublishAnswer>,
    outcomes: &mut Vec<(usize, Outcome)>,
) -> Vec<(usize, PublishedEvent)> {
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

/// The first event gets the error itself, the others one of its kind.
fn fail_all(events: Vec<(usize, PublishedEvent)>, error: Error) -> Vec<(usize, Outcome)> {
    let again = || Error::new(error.kind().clone(), error.to_string());
    let mut outcomes: Vec<_> = events.iter().map(|(index, _)| (*index, Err(again()))).collect();
    if let Some((_, first)) = outcomes.first_mut() {
        *first = Err(error);
    }
    outcomes
}

/// Ids that grow with time, so that stores write them side by side.
pub(super) fn new_message_id(millis: i64) -> MessageId {
    let millis = millis.max(0).unsigned_abs();
    let nanos = u32::try_from(millis % 1000 * 1_000_000).unwrap_or_default();
    let time = uuid::Timestamp::from_unix(ContextV7::new(), millis / 1000, nanos);
    let text = format!("msg_{}", Uuid::new_v7(time).simple());
    MessageId::new(text).expect("36 letters, digits and an underscore")
}

impl Core {
    /// Whether the event may be published at all.
    pub(crate) fn check_event(&self, event: &PublishedEvent) -> Result<(), Error> {
        self.check_known(event.event_id)?;
        let violations = event.violations();
        if !violations.is_empty() {
            return Err(Refusal::Invalid(violations).into());
        }
        let (size, most) = (event.payload.get().len(), self.policy().payload_bytes());
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

    fn publication(&self, tenant: &TenantId, event: &PublishedEvent, registry: &Registry) -> Publication {
        Publication {
            tenant: tenant.clone(),
            event: event.clone(),
            digest: event.digest(),
            routed_at: registry.revision,
            routing: routing::route(event, registry).into_iter().collect::<Routing>(),
            expires: self.policy().expires(),
        }
    }

    /// Gives the dispatcher what was held for it; what it no longer takes is due for others.
    async fn hand_over(&self, intake: &dyn Intake, offer: (ClaimRequest, Duration), held: Vec<Claim>) {
        if held.is_empty() {
            return;
        }
        let Err(refused) = intake.accept(held, offer.1) else { return };
        let releases: Vec<_> = refused.iter().map(release).collect();
        // What cannot be released now is due again when its lease ends.
        let _ = self.store().settle(&releases).await;
        self.bell.ring();
    }
}

/// The settlement that gives a claim back untouched.
pub(crate) fn release(claim: &Claim) -> Settlement {
    Settlement {
        id: claim.id,
        fence: claim.fence,
        attempt: None,
        next: Next::Release,
        report: Report::Nothing,
        pause: None,
        disable: None,
    }
}
