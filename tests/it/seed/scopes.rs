//! "OAuth Scopes: ZohoAssist.webhooks.READ, CREATE, UPDATE, DELETE, ALL".

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::Pin;

use hookwire::model::{
    CreationKey, DeliveryId, DeliveryOptions, HookId, MessageId, MessageQuery, PageRequest, Scope, Scopes,
    Timestamp, WebhookPatch,
};
use hookwire::registry::Backlog;
use hookwire::service::{Rotation, Tenant};
use hookwire::{DeliveryQuery, Error, ErrorKind, WebhookDraft, assist};
use syn::{ImplItem, Item, ItemImpl, Type, Visibility};

use super::support::{Service, create, event, named};

/// Those of the page, and one of ours.
const NAMES: [(&str, Scope); 6] = [
    ("ZohoAssist.webhooks.READ", Scope::Read),
    ("ZohoAssist.webhooks.CREATE", Scope::Create),
    ("ZohoAssist.webhooks.UPDATE", Scope::Update),
    ("ZohoAssist.webhooks.DELETE", Scope::Delete),
    ("ZohoAssist.webhooks.ALL", Scope::All),
    ("ZohoAssist.webhooks.RECOVER", Scope::Recover),
];

/// The ids that a call can name.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) hook_id: HookId,
    message_id: MessageId,
    delivery: DeliveryId,
}

pub(crate) type Calling = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A method, the scopes any of which allows it, and a sound call of it.
pub(crate) type Row = (&'static str, &'static [Scope], fn(Tenant, Known) -> Calling);

macro_rules! call {
    (|$tenant:ident, $known:pat_param| $call:expr) => {
        |$tenant, $known| Box::pin(async move { $call.await.map(drop) })
    };
}

/// The calls of the host, not of its user: they ask for no scope, and name nothing that a tenant may have.
pub(crate) const HOST_CALLS: [&str; 6] =
    ["deliver_due", "publish", "publish_all", "suspend", "suspended_since", "unsuspend"];

/// Every call of [`Tenant`] that asks for a scope.
pub(crate) const TABLE: [Row; 35] = [
    ("attempts", &[Scope::Read], call!(|acme, on| acme.attempts(on.delivery))),
    ("deliveries", &[Scope::Read], call!(|acme, _| acme.deliveries(&DeliveryQuery::new()))),
    (
        "deliveries_with_attempts",
        &[Scope::Read],
        call!(|acme, _| acme.deliveries_with_attempts(&DeliveryQuery::new())),
    ),
    ("details", &[Scope::Read], call!(|acme, on| acme.details(on.hook_id))),
    ("explain", &[Scope::Read], call!(|acme, on| acme.explain(&on.message_id))),
    ("get", &[Scope::Read], call!(|acme, on| acme.get(on.hook_id))),
    ("list", &[Scope::Read], call!(|acme, _| acme.list())),
    ("recent_attempts", &[Scope::Read], call!(|acme, on| acme.recent_attempts(on.hook_id))),
    ("route", &[Scope::Read], call!(|acme, _| acme.route(&event(assist::DEVICE_ADD)))),
    ("statistics", &[Scope::Read], call!(|acme, on| acme.statistics(on.hook_id, Timestamp::default()))),
    ("stats", &[Scope::Read], call!(|acme, _| acme.stats())),
    ("webhook_stats", &[Scope::Read], call!(|acme, on| acme.webhook_stats(on.hook_id))),
    ("create", &[Scope::Create], call!(|acme, _| acme.create(&draft()))),
    ("create_once", &[Scope::Create], call!(|acme, _| acme.create_once(&key(), &draft()))),
    ("disable", &[Scope::Update], call!(|acme, on| acme.disable(on.hook_id))),
    ("enable", &[Scope::Update], call!(|acme, on| acme.enable(on.hook_id, Backlog::Drop))),
    ("pause", &[Scope::Update], call!(|acme, on| acme.pause(on.hook_id))),
    ("resume", &[Scope::Update], call!(|acme, on| acme.resume(on.hook_id))),
    ("patch", &[Scope::Update], call!(|acme, on| acme.patch(on.hook_id, &WebhookPatch::new().name("b")))),
    (
        "recover",
        &[Scope::Update],
        call!(|acme, on| acme.recover(on.hook_id, Timestamp::default(), &PageRequest::first())),
    ),
    ("messages", &[Scope::Read], call!(|acme, _| acme.messages(&MessageQuery::new()))),
    ("erase_payload", &[Scope::Delete], call!(|acme, on| acme.erase_payload(&on.message_id))),
    (
        "recover_skipped",
        &[Scope::Recover],
        call!(|acme, on| acme.recover_skipped(on.hook_id, Timestamp::default(), &PageRequest::first())),
    ),
    (
        "redeliver_as_new",
        &[Scope::Update],
        call!(|acme, on| acme.redeliver_as_new(&on.message_id, on.hook_id)),
    ),
    ("redeliver", &[Scope::Update], call!(|acme, on| acme.redeliver(on.delivery))),
    ("replace", &[Scope::Update], call!(|acme, on| acme.replace(on.hook_id, &draft()))),
    ("reveal_secret", &[Scope::Update], call!(|acme, on| acme.reveal_secret(on.hook_id))),
    (
        "rotate_secret",
        &[Scope::Update],
        call!(|acme, on| acme.rotate_secret(on.hook_id, Rotation::default())),
    ),
    ("set_options", &[Scope::Update], call!(|acme, on| acme.set_options(on.hook_id, options()))),
    ("delete", &[Scope::Delete], call!(|acme, on| acme.delete(on.hook_id))),
    ("delete_everything", &[Scope::Delete], call!(|acme, _| acme.delete_everything())),
    ("check_receiver", PING, call!(|acme, on| acme.check_receiver(on.hook_id))),
    ("ping", PING, call!(|acme, on| acme.ping(on.hook_id))),
    ("ping_event", PING, call!(|acme, on| acme.ping_event(on.hook_id, assist::DEVICE_ADD))),
    ("ping_url", PING, call!(|acme, _| acme.ping_url("https://a.example/"))),
];

const PING: &[Scope] = &[Scope::Create, Scope::Update];

fn draft() -> WebhookDraft {
    named("b").subscribe(assist::DEVICE_ONLINE)
}

fn key() -> CreationKey {
    CreationKey::new("key").expect("a short key")
}

fn options() -> DeliveryOptions {
    DeliveryOptions::new().with_header("x-team", "devices").expect("free to use")
}

/// A tenant with one webhook and one delivery that has ended.
pub(crate) async fn inhabited() -> (Service, Known) {
    let service = Service::new();
    let acme = service.acme();
    let hook_id = create(&acme, &named("a").subscribe(assist::DEVICE_ADD)).await.hook_id();
    let sent = acme.publish(event(assist::DEVICE_ADD)).await.expect("known");
    service.deliver().await;
    let delivery = acme.deliveries(&DeliveryQuery::new()).await.expect("in memory").items[0].id;
    (service, Known { hook_id, message_id: sent.message_id().clone(), delivery })
}

/// All that a call could have changed or sent.
async fn state(service: &Service, known: &Known) -> String {
    let tenants = service.hooks.tenants(&PageRequest::first()).await.expect("in memory");
    let requests = service.transport.requests().len();
    format!("{tenants:?}{}{requests}", owned(service, known).await)
}

/// All that the inhabitant has.
pub(crate) async fn owned(service: &Service, known: &Known) -> String {
    let acme = service.acme();
    let webhooks = acme.list().await.expect("in memory");
    let details = acme.details(known.hook_id).await.expect("it is there");
    let secret = acme.reveal_secret(known.hook_id).await.expect("it is there").expose().to_string();
    let deliveries = acme.deliveries(&DeliveryQuery::new()).await.expect("in memory");
    let explanation = acme.explain(&known.message_id).await.expect("it is there");
    let attempts = acme.attempts(known.delivery).await.expect("it is there");
    format!("{webhooks:?}{details:?}{secret}{deliveries:?}{explanation:?}{attempts:?}")
}

fn full_name(scope: Scope) -> &'static str {
    NAMES.iter().find(|(_, it)| *it == scope).expect("five scopes").0
}

/// Every scope but ALL and these.
fn all_but(scopes: &[Scope]) -> Scopes {
    let each = [Scope::Create, Scope::Delete, Scope::Read, Scope::Update];
    each.into_iter().filter(|scope| !scopes.contains(scope)).collect()
}

#[test]
fn the_five_names_of_the_page_are_read_and_written() {
    let prefix = assist::catalog().scope_prefix().clone();
    for (name, scope) in NAMES {
        assert_eq!(prefix.name(scope), name);
        assert_eq!(prefix.parse(name).expect("on the page"), Scopes::none().with(scope));
    }
    let list = NAMES.map(|(name, _)| name).join(",");
    assert_eq!(prefix.parse(&list).expect("on the page"), NAMES.into_iter().map(|(_, it)| it).collect());
}

#[tokio::test]
async fn each_call_goes_through_with_any_of_its_scopes_alone() {
    for (method, scopes, call) in TABLE {
        for scope in scopes.iter().chain([&Scope::All]) {
            let (service, known) = inhabited().await;
            let acme = service.acme().with_scopes(Scopes::none().with(*scope));
            call(acme, known).await.unwrap_or_else(|error| panic!("{method} with {scope}: {error}"));
        }
    }
}

#[tokio::test]
async fn a_call_without_its_scope_is_refused_by_name_and_does_nothing() {
    for (method, scopes, call) in TABLE {
        let (service, known) = inhabited().await;
        let before = state(&service, &known).await;
        let acme = service.acme().with_scopes(all_but(scopes));
        let error = call(acme, known.clone()).await.expect_err(method);
        assert_eq!(error.kind(), &ErrorKind::MissingScope, "{method}");
        let names: Vec<_> = scopes.iter().map(|scope| full_name(*scope)).collect();
        let message = format!("this needs the scope {}", names.join(" or "));
        assert_eq!(error.to_string(), message, "{method}");
        assert_eq!(state(&service, &known).await, before, "{method}");
    }
}

#[tokio::test]
async fn a_missing_scope_does_not_tell_what_exists() {
    for (method, _, call) in TABLE {
        let nothing = Known {
            hook_id: HookId::new(404),
            message_id: MessageId::new("none").expect("valid"),
            delivery: DeliveryId::new(404),
        };
        let nobody = Service::new().acme().with_scopes(Scopes::none());
        let error = call(nobody, nothing).await.expect_err(method);
        assert_eq!(error.kind(), &ErrorKind::MissingScope, "{method}");
    }
}

#[tokio::test]
async fn publishing_is_the_hosts_own_act_and_needs_no_scope() {
    let acme = Service::new().acme().with_scopes(Scopes::none());
    acme.publish(event(assist::DEVICE_ADD)).await.expect("no scope needed");
    for outcome in acme.publish_all([event(assist::DEVICE_ADD)]).await {
        outcome.expect("no scope needed");
    }
}

#[tokio::test]
async fn a_handle_is_narrowed_and_never_widened() {
    let service = Service::new();
    let reader = service.acme().with_scopes(Scopes::none().with(Scope::Read));
    let widened = reader.with_scopes(Scopes::all());
    assert_eq!(widened.create(&draft()).await.expect_err("reads only").kind(), &ErrorKind::MissingScope);
    widened.list().await.expect("reads");
}

/// The public methods of `impl Tenant` in one source file that may need a scope: those that are async.
fn methods(source: &str) -> Vec<String> {
    let file = syn::parse_file(source).expect("it compiles");
    let inherent = |item: Item| match item {
        Item::Impl(block) if block.trait_.is_none() && is_tenant(&block) => Some(block.items),
        _ => None,
    };
    let items = file.items.into_iter().filter_map(inherent).flatten();
    let public = items.filter_map(|item| match item {
        ImplItem::Fn(method) if matches!(method.vis, Visibility::Public(_)) => Some(method.sig),
        _ => None,
    });
    public.filter(|it| it.asyncness.is_some()).map(|it| it.ident.to_string()).collect()
}

fn is_tenant(block: &ItemImpl) -> bool {
    matches!(&*block.self_ty, Type::Path(path) if path.path.is_ident("Tenant"))
}

#[test]
fn no_method_of_a_tenant_is_missing_in_the_table() {
    let folders =
        ["service", "dispatcher"].map(|it| Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(it));
    let files = folders.iter().flat_map(|it| std::fs::read_dir(it).expect("the sources are here"));
    let sources = files.map(|file| file.and_then(|it| std::fs::read_to_string(it.path())).expect("text"));
    let found: BTreeSet<_> = sources.flat_map(|source| methods(&source)).collect();
    let listed = TABLE.iter().map(|(method, ..)| *method).chain(HOST_CALLS);
    assert_eq!(found, listed.map(str::to_owned).collect());
}
