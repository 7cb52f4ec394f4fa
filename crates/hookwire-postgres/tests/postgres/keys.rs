//! Creation keys over several processes.

use hookwire::model::CreationKey;
use hookwire::service::{CreatedOnce, Tenant};
use hookwire::testing::RecordingTransport;
use hookwire::{Event, HookId, TenantId, WebhookDraft, Webhooks, assist};
use hookwire_postgres::PostgresStore;

use crate::support::Schema;

fn tenant(store: PostgresStore) -> Tenant {
    let hooks = Webhooks::builder(assist::catalog()).store(store).transport(RecordingTransport::new());
    hooks.build().expect("a service").tenant(TenantId::new("acme").expect("short"))
}

/// The webhook that a call found or created, and whether it has created it.
async fn once(acme: Tenant) -> (HookId, bool) {
    let key = CreationKey::new("key").expect("short");
    let draft = WebhookDraft::new("Log", "https://hooks.example.com/").subscribe(assist::DEVICE_ONLINE);
    let created = acme.create_once(&key, &draft).await.expect("created or found");
    (created.webhook().hook_id(), matches!(created, CreatedOnce::Now(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_calls_at_once_in_several_processes_one_creates_the_webhook() {
    let schema = Schema::migrated().await;
    let processes = [tenant(schema.store().await), tenant(schema.store().await)];
    let calls: Vec<_> =
        processes.iter().cycle().take(8).map(|acme| tokio::spawn(once(acme.clone()))).collect();
    let mut created = 0;
    for call in calls {
        let (hook, is_new) = call.await.expect("no panic");
        assert_eq!(hook, HookId::new(1));
        created += usize::from(is_new);
    }
    assert_eq!(created, 1);
}

#[tokio::test]
async fn a_key_goes_with_its_webhook_although_the_log_has_deliveries_of_it() {
    let schema = Schema::migrated().await;
    let (acme, client) = (tenant(schema.store().await), schema.client().await);
    let (hook, _) = once(acme.clone()).await;
    acme.publish(Event::new(assist::DEVICE_ONLINE, &1).expect("JSON")).await.expect("published");
    acme.delete(hook).await.expect("there");
    let lanes = "SELECT count(*), count(creation_key) FROM lane";
    let counts = client.query_one(lanes, &[]).await.expect("counted");
    assert_eq!((counts.get::<_, i64>(0), counts.get::<_, i64>(1)), (1, 0));
    // Code that does not know the column leaves what is in it.
    client.execute("UPDATE lane SET creation_key = sha512('')", &[]).await.expect("written");
    assert_eq!(once(acme).await, (HookId::new(2), true));
}
