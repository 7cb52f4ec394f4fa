//! What a backlog of one dead webhook costs everybody else, for any store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hookwire::TenantId;
use hookwire::delivery::{Next, Report};
use hookwire::model::{
    Attempt, End, Event, EventId, HookId, MessageId, Outcome, SealedSecrets, Status, Timestamp,
};
use hookwire::registry::{Backlog, RegisteredWebhook, RegistryChange};
use hookwire::store::{Claim, ClaimRequest, HolderId, Publication, Quota, Routing, Settlement, Store};
use http::StatusCode;

use super::{Error, Sample, resident, timed};

/// How often each case is measured.
const ROUNDS: usize = 400;
pub(super) const BATCH: usize = 1_000;
/// What else is saturated: so many tenants with so many webhooks each.
const NEIGHBOURS: (usize, usize) = (75, 20);
/// How much of a backlog is delivered while somebody else keeps a snapshot of what was there before.
const MAX_DRAINED: usize = 200_000;
/// A backlog that is none.
const FEW: usize = 10;
/// How often a webhook with a small backlog is given up.
const GIVEN_UP: usize = 20;
const MAX_RATIO: f64 = 2.0;
/// In megabytes.
pub(super) const MAX_GROWTH: u64 = 50;

/// Where stores come from.
pub(crate) trait Database {
    /// What somebody else sees for as long as this is kept, whatever happens meanwhile.
    type Snapshot;

    /// A new store.
    async fn open(&self, name: &str) -> Result<Arc<dyn Store>, Error>;

    /// The store of that name, as another process opens it.
    async fn reopen(&self, name: &str) -> Result<Arc<dyn Store>, Error>;

    /// Begins to look at the store of that name.
    async fn snapshot(&self, name: &str) -> Result<Self::Snapshot, Error>;
}

/// A store with a quiet webhook, and a dead one on which deliveries pile up.
pub(crate) struct Scene {
    pub(crate) store: Arc<dyn Store>,
    sent: AtomicUsize,
}

impl Scene {
    /// A scene in a store that others have written to, whose messages are numbered from `number`.
    pub(crate) fn resumed(store: Arc<dyn Store>, number: usize) -> Self {
        Self { store, sent: AtomicUsize::new(number) }
    }

    pub(super) async fn new(store: Arc<dyn Store>, backlog: usize) -> Result<Self, Error> {
        let scene = Self::resumed(store, 0);
        scene.create(&tenant("quiet")).await?;
        scene.create(&tenant("dead")).await?;
        let mut left = backlog;
        while left > 0 {
            let some = left.min(BATCH);
            scene.publish(&tenant("dead"), HookId::new(1), some).await?;
            left -= some;
        }
        Ok(scene)
    }

    pub(crate) async fn create(&self, tenant: &TenantId) -> Result<HookId, Error> {
        let registry = self.store.registry(tenant).await?;
        let webhook =
            serde_json::from_value(serde_json::json!({"hook_id": registry.next_hook_id, "name": "hook",
            "url": "https://hooks.example.com/", "subscriptions": [{"event_id": 1}]}))?;
        let secrets = SealedSecrets::new("sealed");
        let new = RegisteredWebhook { secrets, ..RegisteredWebhook::new(webhook) };
        self.store.commit(tenant, registry.revision, &RegistryChange::Create(new)).await?;
        Ok(registry.next_hook_id)
    }

    pub(crate) async fn publish(&self, tenant: &TenantId, hook: HookId, count: usize) -> Result<(), Error> {
        let routed_at = self.store.registry(tenant).await?.revision;
        let mut publications = Vec::with_capacity(count);
        for _ in 0..count {
            let number = self.sent.fetch_add(1, Ordering::Relaxed);
            let id = MessageId::new(format!("msg_{number:020}"))?;
            let event =
                Event::new(EventId::new(1), &serde_json::json!({"deviceName": "LAB-4", "n": number}))?;
            let event = event.stamped(|| id, Timestamp::from_secs(1));
            let routing = Routing { targets: vec![hook], skipped: Vec::new() };
            let expires = Duration::from_secs(24 * 60 * 60);
            publications.push(Publication::new(tenant.clone(), event, routed_at, routing, expires));
        }
        self.store.publish(&publications, None).await?;
        Ok(())
    }

    /// Publishes to the quiet webhook, and measures the claim that gets it, with `others` beside it.
    async fn measure(&self, others: usize, sample: &mut Sample) -> Result<(), Error> {
        self.publish(&tenant("quiet"), HookId::new(1), 1).await?;
        let request = request(1 + others);
        let (took, claimed) = timed(self.store.claim(&request)).await;
        sample.add(took);
        let claims = claimed?.deliveries;
        let is_quiet = |claim: &&Claim| claim.tenant == tenant("quiet");
        if claims.len() != 1 + others || claims.iter().filter(is_quiet).count() != 1 {
            return Err(format!("claimed {} deliveries", claims.len()).into());
        }
        let end = |claim: &Claim| if is_quiet(&claim) { Next::End(End::Delivered) } else { Next::Release };
        let settlements: Vec<_> = claims.iter().map(|claim| Settlement::new(claim, end(claim))).collect();
        self.store.settle(&settlements).await?;
        Ok(())
    }

    /// Claims one of each lane, which is all that one holder may have of it.
    async fn saturate(&self, lanes: usize) -> Result<(), Error> {
        let mut left = lanes;
        while left > 0 {
            match self.store.claim(&request(left)).await?.deliveries.len() {
                0 => return Err(format!("claimed {} of {lanes}", lanes - left).into()),
                claimed => left -= claimed,
            }
        }
        Ok(())
    }

    /// Ends all that is due, as `end` says.
    pub(crate) async fn drain(&self, end: End) -> Result<(), Error> {
        let quota = Quota::default().with_per_tenant(BATCH).with_per_webhook(BATCH).with_in_all(BATCH);
        let request = ClaimRequest { quota, ..request(BATCH) };
        loop {
            let claims = self.store.claim(&request).await?.deliveries;
            if claims.is_empty() {
                return Ok(());
            }
            let settle = |claim| ended(claim, end);
            self.store.settle(&claims.iter().map(settle).collect::<Vec<_>>()).await?;
        }
    }

    /// Neighbours with two deliveries each, of which the holder has one.
    async fn add_neighbours(&self) -> Result<(), Error> {
        for n in 0..NEIGHBOURS.0 {
            let tenant = tenant(&format!("neighbour-{n}"));
            for _ in 0..NEIGHBOURS.1 {
                let hook = self.create(&tenant).await?;
                self.publish(&tenant, hook, 2).await?;
            }
        }
        Ok(())
    }

    /// Disables the dead webhook, enables it without its backlog, and deletes it.
    async fn give_up(&self, [disable, drop, delete]: &mut [Sample; 3]) -> Result<(), Error> {
        let dead = tenant("dead");
        let registry = self.store.registry(&dead).await?;
        let hook = registry.webhooks.last().ok_or("no webhook")?.clone();
        let with =
            |status| RegisteredWebhook { webhook: hook.webhook.clone().with_status(status), ..hook.clone() };
        let changes = [
            (disable, RegistryChange::Update(with(Status::Disabled), Backlog::Resume)),
            (drop, RegistryChange::Update(with(Status::Enabled), Backlog::Drop)),
            (delete, RegistryChange::Delete(hook.hook_id())),
        ];
        let mut revision = registry.revision;
        for (sample, change) in changes {
            let (took, done) = timed(self.store.commit(&dead, revision, &change)).await;
            sample.add(took);
            revision = done?;
        }
        Ok(())
    }
}

/// One line of the table: what something costs, against the same without a backlog.
struct Line {
    what: String,
    without: Sample,
    with: Sample,
}

impl Line {
    /// Measures claims in both scenes in turns, with so many others beside the fresh one.
    async fn compare(
        what: String,
        (without, others): (&Scene, usize),
        (with, more): (&Scene, usize),
    ) -> Result<Self, Error> {
        let mut line = Self { what, without: Sample::default(), with: Sample::default() };
        for _ in 0..ROUNDS {
            without.measure(others, &mut line.without).await?;
            with.measure(more, &mut line.with).await?;
        }
        Ok(line)
    }

    fn ratio(&self) -> f64 {
        self.with.ratio(&self.without)
    }

    fn print(&self) {
        let (without, with) = (self.without.median().as_micros(), self.with.median().as_micros());
        println!("{:<66} {without:>8} {with:>8} {:>6.2}", self.what, self.ratio());
    }
}

/// Measures on stores of a database, one of which gets `rows` due deliveries of one dead webhook, and prints a
/// table. False when a target is missed.
pub(crate) async fn run(name: &str, rows: usize, database: &impl Database) -> Result<bool, Error> {
    let empty = Scene::new(database.open("empty").await?, 0).await?;
    let few = Scene::new(database.open("few").await?, FEW).await?;
    let before = resident()?;
    let (loading, many) = timed(Scene::new(database.open("many").await?, rows)).await;
    let many = many?;
    println!("{name}: {rows} due deliveries of one dead webhook, written in {} s", loading.as_secs());
    println!("{:<66} {:>8} {:>8} {:>6}", "median, us", "without", "with", "ratio");
    let mut claims = claims(&empty, &few, &many).await?;
    let grown = resident()?.saturating_sub(before) / 1024 / 1024;
    claims.push(drained(&few, rows.min(MAX_DRAINED), database).await?);
    changes(&few, &many).await?.iter().for_each(Line::print);
    println!("resident memory grew by {grown} MB, of at most {MAX_GROWTH}");
    let worst = claims.iter().map(Line::ratio).fold(0.0, f64::max);
    println!("the worst ratio of a claim is {worst:.2}, of at most {MAX_RATIO}\n");
    Ok(worst <= MAX_RATIO && grown < MAX_GROWTH)
}

async fn claims(empty: &Scene, few: &Scene, many: &Scene) -> Result<Vec<Line>, Error> {
    let mut lines = Vec::new();
    let mut add = |line: Line| {
        line.print();
        lines.push(line);
    };
    let open = format!("claim, one of the dead webhook's claimed along: {FEW} against all");
    add(Line::compare(open, (few, 1), (many, 1)).await?);
    many.saturate(1).await?;
    add(Line::compare("claim, the dead webhook is saturated".to_owned(), (empty, 0), (many, 0)).await?);
    many.add_neighbours().await?;
    let lanes = NEIGHBOURS.0 * NEIGHBOURS.1;
    many.saturate(lanes).await?;
    let all = format!("claim, {lanes} further webhooks are saturated as well");
    add(Line::compare(all, (empty, 0), (many, 0)).await?);
    Ok(lines)
}

/// What is left of a backlog that was delivered, where somebody keeps the database from forgetting it.
async fn drained(few: &Scene, rows: usize, database: &impl Database) -> Result<Line, Error> {
    let drained = Scene::new(database.open("drained").await?, rows).await?;
    let snapshot = database.snapshot("drained").await?;
    drained.drain(End::Delivered).await?;
    drained.publish(&tenant("dead"), HookId::new(1), FEW).await?;
    let what = format!("claim, {rows} of the dead webhook's were delivered under a snapshot");
    let line = Line::compare(what, (few, 1), (&drained, 1)).await?;
    line.print();
    drop(snapshot);
    Ok(line)
}

/// What giving up the dead webhook costs. With all its backlog it can be done once.
async fn changes(few: &Scene, many: &Scene) -> Result<Vec<Line>, Error> {
    let mut small = [const { Sample::new() }; 3];
    for _ in 0..GIVEN_UP {
        few.give_up(&mut small).await?;
        let hook = few.create(&tenant("dead")).await?;
        few.publish(&tenant("dead"), hook, FEW).await?;
    }
    let mut large = [const { Sample::new() }; 3];
    many.give_up(&mut large).await?;
    let names = ["disabling it", "enabling it without its backlog", "deleting it"];
    let lines = names.into_iter().zip(small.into_iter().zip(large));
    Ok(lines
        .map(|(what, (without, with))| Line {
            what: format!("{what}, {FEW} against all (once)"),
            without,
            with,
        })
        .collect())
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("a plain name")
}

/// A settlement that records an attempt and ends the delivery.
fn ended(claim: &Claim, end: End) -> Settlement {
    let (status, report) = match end {
        End::Delivered => (StatusCode::OK, Report::Success),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, Report::NoAttempt),
    };
    let outcome = Outcome::answered(status, None, "");
    let (number, at, took) = (claim.attempts + 1, Timestamp::from_secs(1), Duration::from_millis(7));
    let attempt = Some(Attempt { number, at, took, uncounted: 0, outcome });
    Settlement { attempt, report, ..Settlement::new(claim, Next::End(end)) }
}

/// All that one holder may have of a webhook is one, so that few deliveries saturate many webhooks.
pub(crate) fn request(limit: usize) -> ClaimRequest {
    let quota = Quota::default().with_in_all(1_000_000).with_per_tenant(1_000).with_per_webhook(1);
    let lease = Duration::from_secs(24 * 60 * 60);
    ClaimRequest {
        holder: HolderId::new(1),
        lease,
        limit,
        max_bytes: usize::MAX,
        quota,
        start_within: Duration::from_secs(1),
    }
}
