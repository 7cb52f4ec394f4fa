//! What is done to the store, and to the model beside it.

use std::fmt::Debug;
use std::time::Duration;

use hookwire::clock::Clock;
use hookwire::delivery::{Next, Report};
use hookwire::model::{
    Attempt, DeliveryId, DeliveryQuery, DisableReason, End, Event, EventId, HookId, MessageId, Outcome,
    SealedSecrets, Status, TenantId, Timestamp, Webhook,
};
use hookwire::registry::{Backlog, RegisteredWebhook, RegistryChange, Revision};
use hookwire::store::{
    Claim, ClaimRequest, Disable, HolderId, Publication, PublishAnswer, Published, Quota, Receipt,
    Redelivery, Routing, Settled, Settlement, TendRequest,
};
use serde_json::json;

use super::super::Verdict;
use super::super::input::Input;
use super::claims;
use super::model::{self, Lane, LaneKey, Model, Row, State};
use super::subject::Subject;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LEASE: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(5);
const MOMENT: Duration = Duration::from_millis(1);

/// A store and its model, side by side.
pub(super) struct Play {
    pub(super) subject: Subject,
    pub(super) model: Model,
    /// Every claim that was ever given, so that stale ones are settled too.
    claims: Vec<Claim>,
}

/// What no healthy store answers.
pub(super) fn sound<T, E: Debug>(answer: Result<T, E>) -> Result<T, String> {
    answer.map_err(|error| format!("the store failed: {error:?}"))
}

impl Play {
    pub(super) fn new(subject: Subject) -> Self {
        let model = Model { now: subject.clock.now(), ..Model::default() };
        Self { subject, model, claims: Vec::new() }
    }

    pub(super) async fn act(&mut self, input: &mut Input<'_>) -> Verdict {
        match input.below(16) {
            0 | 1 => self.create(input).await,
            2 => self.update(input).await,
            3 => self.delete(input).await,
            4..=6 => self.publish(input).await,
            7..=9 => self.claim(input).await,
            10 | 11 => self.settle(input).await,
            12 => self.advance(input),
            13 => self.release(input).await,
            14 => self.redeliver(input).await,
            _ => self.tend().await,
        }
    }

    fn advance(&mut self, input: &mut Input<'_>) -> Verdict {
        self.subject.clock.advance(input.pick(&[MOMENT, SOON, LEASE, DAY / 2, DAY]));
        self.model.now = self.subject.clock.now();
        Ok(())
    }

    async fn create(&mut self, input: &mut Input<'_>) -> Verdict {
        let tenant = tenant(input);
        let registry = sound(self.subject.store.registry(&tenant).await)?;
        let hook = registered(registry.next_hook_id);
        let key = (tenant, registry.next_hook_id);
        ensure!(!self.model.lanes.contains_key(&key), "{key:?} is given again");
        self.commit(&key.0, &RegistryChange::Create(hook.clone())).await?;
        self.model.lanes.insert(key.clone(), Lane::new(hook));
        self.model.committed(&key.0);
        Ok(())
    }

    async fn update(&mut self, input: &mut Input<'_>) -> Verdict {
        let Some(key) = self.lane(input) else { return Ok(()) };
        let Some(lane) = self.model.lanes.get(&key) else { return Ok(()) };
        let backlog = input.pick(&[Backlog::Resume, Backlog::Drop]);
        let mut hook = lane.hook.clone();
        hook.version = hook.version.next();
        let status = input.pick(&[Status::Enabled, Status::Disabled]);
        hook.set_webhook(hook.webhook.clone().with_status(status), self.model.now);
        self.commit(&key.0, &RegistryChange::Update(hook.clone(), backlog)).await?;
        self.model.update(&key, hook, backlog);
        Ok(())
    }

    async fn delete(&mut self, input: &mut Input<'_>) -> Verdict {
        let Some(key) = self.lane(input) else { return Ok(()) };
        self.commit(&key.0, &RegistryChange::Delete(key.1)).await?;
        self.model.delete(&key);
        Ok(())
    }

    /// Commits at the present revision, after an old one was refused.
    async fn commit(&self, tenant: &TenantId, change: &RegistryChange) -> Verdict {
        let revision = self.model.revision(tenant);
        let other = Revision::new(revision.get() + 7);
        let refused = self.subject.store.commit(tenant, other, change).await;
        ensure!(refused.is_err(), "a commit at another revision is taken");
        let taken = sound(self.subject.store.commit(tenant, revision, change).await)?;
        ensure!(taken == revision.next(), "{revision:?} became {taken:?}");
        Ok(())
    }

    async fn publish(&mut self, input: &mut Input<'_>) -> Verdict {
        let item = self.publication(input);
        let hold = input.chance_in(2).then(|| request(input));
        let published = sound(self.subject.store.publish(std::slice::from_ref(&item), hold.as_ref()).await)?;
        let key = (item.tenant.clone(), item.event.message_id.clone());
        let Published { answers, held } = &published;
        let [answer] = &answers[..] else { return Err(format!("{answers:?} to one publication")) };
        match (self.model.events.get(&key), answer) {
            (Some(first), PublishAnswer::Duplicate(receipt)) if first.digest == item.digest => {
                ensure!(first.receipt == *receipt, "another receipt: {receipt:?}");
            }
            (Some(first), PublishAnswer::IdReused) if first.digest != item.digest => {}
            (None, PublishAnswer::Stale(at)) => {
                let present = self.model.revision(&key.0);
                ensure!(*at == present && item.routed_at != present, "stale at {at:?}, it is {present:?}");
            }
            (None, PublishAnswer::Stored(receipt)) => return self.stored(&item, *receipt, hold, held).await,
            (first, answer) => return Err(format!("{answer:?} after {first:?}")),
        }
        ensure!(held.is_empty(), "{held:?} of nothing");
        Ok(())
    }

    async fn stored(
        &mut self,
        item: &Publication,
        receipt: Receipt,
        hold: Option<ClaimRequest>,
        held: &[Claim],
    ) -> Verdict {
        let model = &mut self.model;
        ensure!(item.routed_at == model.revision(&item.tenant), "a stale publication is stored");
        let right = Receipt { published_at: model.now, targets: item.routing.targets.len(), skipped: 0 };
        ensure!(receipt == right, "{receipt:?} instead of {right:?}");
        let key = (item.tenant.clone(), item.event.message_id.clone());
        model.events.insert(key, model::Event { digest: item.digest, receipt });
        let query = DeliveryQuery::new().message(item.event.message_id.clone());
        let written = sound(self.subject.store.deliveries(&item.tenant, &query).await)?.items;
        let mut hooks: Vec<_> = written.iter().map(|it| it.hook_id).collect();
        hooks.sort_unstable();
        ensure!(hooks == item.routing.targets, "{hooks:?} of {:?} are written", item.routing.targets);
        for delivery in &written {
            let size = item.event.payload.get().len();
            let expires = self.model.now.plus(item.expires);
            self.insert(
                (delivery.id, None),
                (&item.tenant, delivery.hook_id),
                &delivery.message_id,
                size,
                expires,
            );
        }
        let Some(request) = hold else { return Ok(()) };
        claims::held(&mut self.model, &request, held)?;
        self.claims.extend_from_slice(held);
        Ok(())
    }

    fn insert(
        &mut self,
        (id, origin): (DeliveryId, Option<DeliveryId>),
        (tenant, hook): (&TenantId, HookId),
        message: &MessageId,
        size: usize,
        expires: Timestamp,
    ) {
        let lane: LaneKey = (tenant.clone(), hook);
        let epoch = self.model.lanes.get(&lane).map_or(0, |lane| lane.epoch);
        let (state, message) = (State::Due(self.model.now), message.clone());
        let row = Row { lane, epoch, message, size, state, attempts: 0, expires, origin };
        self.model.rows.insert(id, row);
    }

    async fn claim(&mut self, input: &mut Input<'_>) -> Verdict {
        let request = request(input);
        let claimed = sound(self.subject.claim(&request).await)?;
        claims::check(&mut self.model, &request, &claimed)?;
        self.claims.extend(claimed.deliveries);
        Ok(())
    }

    async fn settle(&mut self, input: &mut Input<'_>) -> Verdict {
        // Late claims are the interesting ones, and stale ones too.
        let back = input.below(8) + 1;
        let Some(at) = self.claims.len().checked_sub(back) else { return Ok(()) };
        let item = settlement(input, &self.claims[at], self.model.now);
        let lease = self.model.rows.get(&item.id).map(|row| row.state);
        let settled = sound(self.subject.settle(&self.model, item.clone()).await)?;
        let right = match lease {
            Some(State::Held(lease)) if lease.fence == item.fence => {
                settled.is_applied() || lease.until <= self.model.now
            }
            _ => settled == Settled::Fenced,
        };
        ensure!(right, "{item:?} is {settled:?}, while it is {lease:?}");
        if let Settled::Applied(effect) = settled {
            let expected = self.model.apply(&item);
            ensure!(effect == expected, "{item:?} has the effect {effect:?} instead of {expected:?}");
        }
        Ok(())
    }

    async fn release(&mut self, input: &mut Input<'_>) -> Verdict {
        let holder = holder(input);
        sound(self.subject.store.release(holder).await)?;
        self.model.release(holder);
        Ok(())
    }

    async fn redeliver(&mut self, input: &mut Input<'_>) -> Verdict {
        let tenant = tenant(input);
        let nth = input.below(64);
        let Some((&origin, row)) = self.model.rows.iter().nth(nth) else { return Ok(()) };
        let items = [Redelivery { origin, expires: DAY }];
        let answers = sound(self.subject.store.redeliver(&tenant, &items).await)?;
        let can = row.lane.0 == tenant && self.model.lanes.get(&row.lane).is_some_and(|lane| !lane.deleted);
        let [answer] = answers[..] else { return Err(format!("{answers:?} to one redelivery")) };
        ensure!(answer.is_some() == can, "{answer:?} for {row:?} in the hands of {tenant}");
        let Some(id) = answer else { return Ok(()) };
        ensure!(!self.model.rows.contains_key(&id), "the id {id:?} is given again");
        let Row { lane, message, size, .. } = row.clone();
        let expires = self.model.now.plus(DAY);
        self.insert((id, Some(origin)), (&lane.0, lane.1), &message, size, expires);
        Ok(())
    }

    async fn tend(&mut self) -> Verdict {
        let request = TendRequest { keep: DAY * 1000, keep_payloads: DAY * 1000, limit: 1000 };
        let tended = sound(self.subject.store.tend(&request).await)?;
        ensure!(tended.removed == 0 && !tended.more, "{tended:?}, though all is kept");
        self.model.expire();
        Ok(())
    }

    fn lane(&self, input: &mut Input<'_>) -> Option<LaneKey> {
        let tenant = tenant(input);
        let live = self.model.live(&tenant);
        let nth = input.below(live.len().max(1));
        live.get(nth).map(|hook| (tenant, *hook))
    }

    fn publication(&self, input: &mut Input<'_>) -> Publication {
        let tenant = tenant(input);
        let payload = json!("x".repeat(input.below(3) * 20));
        let id = MessageId::new(format!("m{}", input.below(32))).expect("a short id");
        let event = Event::new(EventId::new(1), &payload).expect("JSON");
        let event = event.stamped(|| id, Timestamp::from_secs(1_767_225_600));
        let mask = input.byte();
        let live = self.model.live(&tenant).into_iter().enumerate();
        let targets = live.filter(|(nth, _)| mask & (1 << (nth % 8)) == 0).map(|(_, hook)| hook).collect();
        let old = u64::from(input.chance_in(8));
        let routed_at = Revision::new(self.model.revision(&tenant).get() + old);
        let routing = Routing { targets, skipped: Vec::new() };
        let expires = input.pick(&[DAY, DAY, LEASE]);
        Publication::new(tenant, event, routed_at, routing, expires)
    }
}

fn tenant(input: &mut Input<'_>) -> TenantId {
    TenantId::new(input.pick(&["acme", "acme", "acme", "globex"])).expect("a short name")
}

fn holder(input: &mut Input<'_>) -> HolderId {
    HolderId::new(1 + input.below(2) as u128)
}

fn request(input: &mut Input<'_>) -> ClaimRequest {
    let all = Quota::default();
    let few = all.with_in_all(6).with_per_tenant(4).with_per_webhook(2);
    let one = all.with_in_all(1);
    ClaimRequest {
        holder: holder(input),
        lease: input.pick(&[LEASE, LEASE, MOMENT]),
        limit: input.pick(&[100, 1, 2, 3]),
        max_bytes: input.pick(&[usize::MAX, usize::MAX, 50, 1]),
        quota: input.pick(&[all, few, few, one]),
        start_within: Duration::from_secs(1),
    }
}

fn registered(hook_id: HookId) -> RegisteredWebhook {
    let webhook = json!({"hook_id": hook_id, "name": "hook", "url": "https://hooks.example.com/",
        "subscriptions": [{"event_id": 1}]});
    let webhook: Webhook = serde_json::from_value(webhook).expect("a webhook");
    RegisteredWebhook { secrets: SealedSecrets::new("sealed"), ..RegisteredWebhook::new(webhook) }
}

fn settlement(input: &mut Input<'_>, claim: &Claim, now: Timestamp) -> Settlement {
    let next = input.pick(&[
        Next::End(End::Delivered),
        Next::Again(SOON),
        Next::Release,
        Next::Extend(LEASE),
        Next::End(End::Exhausted),
        Next::Again(Duration::ZERO),
    ]);
    let report = input.pick(&[Report::Success, Report::Timeout, Report::NoAttempt, Report::Failure]);
    let outcome = Outcome::Failed { kind: hookwire::model::FailureKind::Connect, detail: String::new() };
    let attempt = Attempt { number: claim.attempts + 1, at: now, took: MOMENT, uncounted: 0, outcome };
    let disable = Disable { reason: DisableReason::Gone, version: claim.hook.version };
    Settlement {
        attempt: input.chance_in(2).then_some(attempt),
        report,
        backoff: input.chance_in(4).then_some(SOON),
        disable: input.chance_in(16).then_some(disable),
        ..Settlement::new(claim, next)
    }
}
