//! What a host has published, for its tests.

use serde_json::Value;

use crate::model::{EventId, MessageQuery, PageRequest, StampedEvent};
use crate::service::{Error, Tenant};

/// Returns the events that a tenant has published, oldest first: also those that went to nobody, and those that wait for
/// routing.
///
/// # Errors
///
/// As [`Tenant::messages`].
pub async fn published(tenant: &Tenant) -> Result<Vec<StampedEvent>, Error> {
    let (mut page, mut events) = (PageRequest::first(), Vec::new());
    loop {
        let listed = tenant.messages(&MessageQuery::new().page(page)).await?;
        for message in &listed.items {
            let record = tenant.explain(&message.message_id).await?.record;
            events.push(record.event.as_ref().clone());
        }
        let Some(next) = listed.next else { break };
        page = PageRequest::after(next);
    }
    events.reverse();
    Ok(events)
}

/// Asserts that a tenant has published an event with a payload that `matches`, and returns it.
///
/// ```
/// use hookwire::store::MemoryStore;
/// use hookwire::testing::{RecordingTransport, assert_published};
/// use hookwire::{Event, Tenant, TenantId, Webhooks, assist};
///
/// /// The code under test.
/// async fn restart(device: &str, tenant: &Tenant) -> Result<(), Box<dyn std::error::Error>> {
///     // ..
///     tenant.publish(Event::new(assist::DEVICE_ONLINE, &serde_json::json!({"deviceName": device}))?).await?;
///     Ok(())
/// }
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let hooks = Webhooks::builder(assist::catalog())
///     .store(MemoryStore::new())
///     .transport(RecordingTransport::new())
///     .build()?;
/// let acme = hooks.tenant(TenantId::new("acme")?);
/// restart("LAB-4", &acme).await?;
/// assert_published(&acme, assist::DEVICE_ONLINE, |payload| payload["deviceName"] == "LAB-4").await;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
///
/// When there is no such event, with all that was published instead, and when the store fails.
pub async fn assert_published(
    tenant: &Tenant,
    event: EventId,
    matches: impl Fn(&Value) -> bool,
) -> StampedEvent {
    let published = published(tenant).await.expect("the store answers");
    let payload = |it: &StampedEvent| serde_json::from_str(it.payload.get()).unwrap_or(Value::Null);
    let found = published.iter().find(|it| it.event_id == event && matches(&payload(it)));
    let Some(found) = found else {
        let all: Vec<_> =
            published.iter().map(|it| format!("\n  event {}: {}", it.event_id, it.payload)).collect();
        panic!("{} has published no such event {event}, but {}:{}", tenant.id(), all.len(), all.concat());
    };
    found.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use crate::testing::RecordingTransport;
    use crate::{Event, TenantId, Webhooks, assist};

    async fn acme(events: usize) -> Tenant {
        let hooks = Webhooks::builder(assist::catalog()).store(MemoryStore::new());
        let hooks = hooks.transport(RecordingTransport::new()).build().expect("sound");
        let acme = hooks.tenant(TenantId::new("acme").expect("valid"));
        for n in 0..events {
            let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({"n": n})).expect("JSON");
            acme.publish(event).await.expect("published");
        }
        acme
    }

    #[tokio::test]
    async fn all_that_was_published_is_there_in_order() {
        let events = published(&acme(250).await).await.expect("in memory");
        let payloads: Vec<_> = events.iter().map(|it| it.payload.get().to_owned()).collect();
        let right: Vec<_> = (0..250).map(|n| format!("{{\"n\":{n}}}")).collect();
        assert_eq!(payloads, right);
        assert_published(&acme(2).await, assist::DEVICE_ONLINE, |payload| payload["n"] == 1).await;
    }

    #[tokio::test]
    #[should_panic(expected = "acme has published no such event 12, but 1:\n  event 13: {\"n\":0}")]
    async fn what_was_published_instead_is_told() {
        assert_published(&acme(1).await, assist::DEVICE_ADD, |_| true).await;
    }
}
