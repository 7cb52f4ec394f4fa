//! Webhooks that are created under a key: a repeated call makes no second one, and sends nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::handshake::Handshake;
use hookwire::model::{CallbackUrl, CreationKey, WebhookPatch};
use hookwire::registry::{Backlog, Limits};
use hookwire::service::{CreatedOnce, WebhooksBuilder};
use hookwire::store::{MemoryStore, SqliteStore, Store};
use hookwire::transport::{SendLimits, Transport, TransportError};
use hookwire::{Error, ErrorKind, HookId, Tenant, TenantId, WebhookDraft, Webhooks, assist};
use http::{Request, Response, StatusCode};
use tokio::sync::Barrier;

use crate::seed::support::{Answer, RecordingTransport, Service, create, event, named};
use crate::sqlite::Directory;

fn key(text: &str) -> CreationKey {
    CreationKey::new(text).expect("a short key")
}

fn draft() -> WebhookDraft {
    named("hook").subscribe(assist::DEVICE_ADD)
}

/// The webhook that a call found or created, and whether it has created it.
async fn once(acme: &Tenant, under: &str, draft: &WebhookDraft) -> Result<(HookId, bool), Error> {
    let created = acme.create_once(&key(under), draft).await?;
    Ok((created.webhook().hook_id(), matches!(created, CreatedOnce::Now(_))))
}

#[tokio::test]
async fn a_repeated_call_answers_with_the_webhook_and_creates_none() {
    let service = Service::new();
    let acme = service.acme();
    let CreatedOnce::Now(created) = acme.create_once(&key("k"), &draft()).await.expect("sound") else {
        panic!("nobody has used the key")
    };
    let CreatedOnce::Before(found) = acme.create_once(&key("k"), &draft()).await.expect("sound") else {
        panic!("the key has created it")
    };
    assert_eq!(found, *created.webhook());
    let id = found.hook_id();
    assert_eq!(acme.reveal_secret(id).await.expect("there").expose(), created.secret().expose(), "it stays");
    assert_eq!(acme.details(id).await.expect("there").version.get(), 0, "nothing was changed");
    assert_eq!(once(&acme, "other", &draft()).await.expect("sound"), (HookId::new(2), true), "another key");
    let globex = service.tenant("globex");
    assert_eq!(once(&globex, "k", &draft()).await.expect("sound"), (HookId::new(1), true), "another's key");
    let without = create(&acme, &draft()).await;
    assert_eq!(without.hook_id(), HookId::new(3), "without a key, each call creates one");
}

#[tokio::test]
async fn a_repeated_call_finds_the_webhook_whatever_has_changed() {
    let limits = Arc::new(AtomicUsize::new(1));
    let allowed = Arc::clone(&limits);
    let limited = |builder: WebhooksBuilder| {
        builder.limits_for(move |_| match allowed.load(Ordering::Relaxed) {
            0 => None,
            most => Some(Limits::default().with_webhooks(most)),
        })
    };
    let service = Service::build(RecordingTransport::new(), limited);
    let acme = service.acme();
    let (id, is_new) = once(&acme, "k", &draft()).await.expect("sound");
    assert!(is_new);
    assert_eq!(once(&acme, "k", &draft()).await.expect("found"), (id, false), "the limit is reached");
    acme.patch(id, &WebhookPatch::new().name("renamed").url("https://elsewhere.example/"))
        .await
        .expect("sound");
    acme.disable(id).await.expect("there");
    acme.suspend().await.expect("stored");
    limits.store(0, Ordering::Relaxed);
    let found =
        acme.create_once(&key("k"), &draft()).await.expect("found, although the edition has no webhooks");
    assert_eq!((found.webhook().hook_id(), found.webhook().name()), (id, "renamed"), "as it is now");
    acme.unsuspend().await.expect("stored");
    limits.store(1, Ordering::Relaxed);
    acme.enable(id, Backlog::Drop).await.expect("there");
    assert_eq!(once(&acme, "k", &draft()).await.expect("found"), (id, false));
    acme.delete(id).await.expect("there");
    assert_eq!(
        once(&acme, "k", &draft()).await.expect("free"),
        (HookId::new(2), true),
        "its key is free again"
    );
}

#[tokio::test]
async fn other_content_under_a_used_key_is_refused_and_changes_nothing() {
    let service = Service::new();
    let acme = service.acme();
    let (id, _) = once(&acme, "k", &draft()).await.expect("sound");
    let invalid = WebhookDraft::new("", "nowhere");
    for other in [draft().describe("d"), draft().subscribe(assist::DEVICE_ONLINE), invalid] {
        let refused = once(&acme, "k", &other).await.expect_err("other content");
        assert_eq!(*refused.kind(), ErrorKind::CreationKeyReused, "{refused}");
        assert_eq!(refused.kind().http_status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refused.kind().as_str(), "creation_key_reused");
        assert!(refused.to_string().contains("webhook 1"), "{refused}");
    }
    assert_eq!(acme.list().await.expect("in memory").len(), 1);
    assert_eq!(once(&acme, "k", &draft()).await.expect("found"), (id, false));
}

#[tokio::test]
async fn a_refused_call_does_not_use_up_its_key() {
    let acme = Service::new().acme();
    let refused = once(&acme, "k", &WebhookDraft::new("", "nowhere")).await.expect_err("breaks rules");
    assert_eq!(refused.violations().len(), 3, "{refused}");
    assert_eq!(once(&acme, "k", &draft()).await.expect("free"), (HookId::new(1), true));
    let reader =
        acme.with_scopes(assist::catalog().scope_prefix().parse("ZohoAssist.webhooks.READ").expect("one"));
    let refused = once(&reader, "k", &draft()).await.expect_err("may not create");
    assert_eq!(*refused.kind(), ErrorKind::MissingScope, "a repeated call needs the scope too");
}

/// Counts the URLs that are checked, none before so many calls have come to that.
#[derive(Debug)]
struct Gate {
    inner: RecordingTransport,
    checks: Arc<AtomicUsize>,
    calls: Barrier,
}

impl Gate {
    fn of(calls: usize, inner: RecordingTransport) -> Self {
        Self { inner, checks: Arc::default(), calls: Barrier::new(calls) }
    }
}

#[async_trait]
impl Transport for Gate {
    async fn send(&self, it: Request<Bytes>, limits: &SendLimits) -> Result<Response<Bytes>, TransportError> {
        self.inner.send(it, limits).await
    }

    async fn check(&self, _: &CallbackUrl) -> Result<(), TransportError> {
        self.calls.wait().await;
        self.checks.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::test]
async fn a_repeated_call_looks_nothing_up_and_sends_nothing() {
    let allows =
        RecordingTransport::answering(|_, _| Answer::status(200).header("webhook-allowed-origin", "*"));
    let gate = Gate::of(1, allows.clone());
    let (checks, handshake) =
        (Arc::clone(&gate.checks), Handshake::new("events.example.com").expect("a name"));
    let builder = Webhooks::builder(assist::catalog()).store(MemoryStore::new()).transport(gate);
    let hooks = builder.handshake(handshake).build().expect("sound");
    let acme = hooks.tenant(TenantId::new("acme").expect("a short name"));
    once(&acme, "k", &draft()).await.expect("allowed");
    let asked = || (checks.load(Ordering::Relaxed), allows.requests().len());
    assert_eq!(asked(), (1, 1), "the address was checked, and the receiver asked");
    once(&acme, "k", &draft()).await.expect("found");
    once(&acme, "k", &draft().describe("d")).await.expect_err("other content");
    assert_eq!(asked(), (1, 1), "once");
}

/// Two calls, neither of which finds a webhook at first, while the tenant may have so many.
async fn at_once(store: impl Store, most: usize) {
    let builder = Webhooks::builder(assist::catalog()).store(store);
    let builder = builder.transport(Gate::of(2, RecordingTransport::new()));
    let hooks = builder.limits(Limits::default().with_webhooks(most)).build().expect("sound");
    let acme = hooks.tenant(TenantId::new("acme").expect("a short name"));
    let draft = draft();
    let (one, other) = tokio::join!(once(&acme, "k", &draft), once(&acme, "k", &draft));
    let (one, other) = (one.expect("created or found"), other.expect("created or found"));
    assert_eq!((one.0, other.0), (HookId::new(1), HookId::new(1)));
    assert!(one.1 != other.1, "one of them has created it");
    assert_eq!(acme.list().await.expect("stored").len(), 1);
    let others = [draft.clone().describe("d"), draft.clone().describe("e")];
    let (one, other) = tokio::join!(once(&acme, "l", &others[0]), once(&acme, "l", &others[1]));
    let kinds: Vec<_> =
        [one, other].into_iter().filter_map(Result::err).map(|it| it.kind().clone()).collect();
    match most {
        1 => assert_eq!(kinds, [ErrorKind::LimitReached, ErrorKind::LimitReached]),
        _ => assert_eq!(kinds, [ErrorKind::CreationKeyReused], "one of two contents is created"),
    }
}

#[tokio::test]
async fn of_two_calls_at_once_one_creates_and_the_other_finds_it() {
    for most in [1, 20] {
        at_once(MemoryStore::new(), most).await;
        let directory = Directory::new();
        at_once(SqliteStore::open(directory.file()).await.expect("a new file"), most).await;
    }
}

#[tokio::test]
async fn a_key_is_known_when_the_store_opens_again() {
    let directory = Directory::new();
    for is_first in [true, false] {
        let store = SqliteStore::open(directory.file()).await.expect("the file");
        let hooks = Webhooks::builder(assist::catalog()).store(store).transport(RecordingTransport::new());
        let acme = hooks.build().expect("sound").tenant(TenantId::new("acme").expect("a short name"));
        assert_eq!(once(&acme, "k", &draft()).await.expect("sound"), (HookId::new(1), is_first));
    }
}

#[tokio::test]
async fn a_key_goes_from_the_file_with_its_webhook_although_the_log_has_deliveries_of_it() {
    let directory = Directory::new();
    let store = SqliteStore::open(directory.file()).await.expect("a new file");
    let hooks = Webhooks::builder(assist::catalog()).store(store).transport(RecordingTransport::new());
    let acme = hooks.build().expect("sound").tenant(TenantId::new("acme").expect("a short name"));
    let (hook, _) = once(&acme, "k", &draft()).await.expect("sound");
    acme.publish(event(assist::DEVICE_ADD)).await.expect("published");
    let file = rusqlite::Connection::open(directory.file()).expect("a database");
    let lanes = || -> (i64, i64) {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        file.query_row("SELECT count(*), count(creation_key) FROM lane", [], read).expect("counted")
    };
    assert_eq!(lanes(), (1, 1));
    acme.delete(hook).await.expect("there");
    assert_eq!(lanes(), (1, 0));
}
