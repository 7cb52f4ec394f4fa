//! The webhooks of Zoho Assist: its 18 events, limits, choice of envelope, and scopes.
//!
//! Ids, names, limits and scopes are those of Zoho Assist's help page. The following are our choice, because the page
//! does not give them: the keys other than `SESSION_END_RS` and `SESSION_START_URS`, the names of the modules, and the
//! sample payloads except those of these two events, which follow payloads that users of Zoho Assist have published.
//!
//! ```
//! use hookwire::assist;
//!
//! let catalog = assist::catalog();
//! assert_eq!(catalog.iter().count(), 18);
//! let online = catalog.get(assist::DEVICE_ONLINE).expect("in the catalog");
//! assert_eq!((online.key(), online.name()), ("DEVICE_ONLINE", "Device Online"));
//! ```

use serde_json::{Value, json};

use crate::model::{Catalog, EnvelopeKind, EventId, EventType, ScopePrefix};
use crate::registry::Limits;

/// A technician starts a remote support session.
pub const OUTBOUND_SESSION_START: EventId = EventId::new(0);
/// A screen sharing session starts.
pub const SCREEN_SHARE_START: EventId = EventId::new(1);
/// A remote support session ends.
pub const REMOTE_SUPPORT_END: EventId = EventId::new(2);
/// A screen sharing session ends.
pub const SCREEN_SHARE_END: EventId = EventId::new(3);
/// The customer joins a remote support session.
pub const CUSTOMER_JOIN: EventId = EventId::new(4);
/// A customer asks for support.
pub const INBOUND_REQUEST_CREATE: EventId = EventId::new(5);
/// A request is transferred to another department.
pub const INBOUND_REQUEST_TRANSFER: EventId = EventId::new(6);
/// A request is delegated to another technician.
pub const INBOUND_REQUEST_DELEGATE: EventId = EventId::new(7);
/// A technician picks up a request.
pub const INBOUND_REQUEST_PICKED: EventId = EventId::new(8);
/// A technician declines a request.
pub const INBOUND_REQUEST_DECLINED: EventId = EventId::new(9);
/// The customer drops a request.
pub const INBOUND_REQUEST_DROPPED: EventId = EventId::new(10);
/// Nobody picked a request up in time.
pub const INBOUND_REQUEST_EXPIRED: EventId = EventId::new(11);
/// An unattended device is added.
pub const DEVICE_ADD: EventId = EventId::new(12);
/// An unattended device comes online.
pub const DEVICE_ONLINE: EventId = EventId::new(13);
/// An unattended device goes offline.
pub const DEVICE_OFFLINE: EventId = EventId::new(14);
/// An unattended device is deleted.
pub const DEVICE_DELETE: EventId = EventId::new(15);
/// An unattended access session starts.
pub const UNATTENDED_SESSION_START: EventId = EventId::new(16);
/// An unattended access session ends.
pub const UNATTENDED_SESSION_END: EventId = EventId::new(17);

/// The modules are our choice, after the two kinds of webhook that users of Zoho Assist distinguish.
const REMOTE_SUPPORT: &str = "Remote Support";
const SCREEN_SHARE: &str = "Screen Sharing";
const INBOUND_REQUEST: &str = "Inbound Request";
const DEVICE: &str = "Unattended Access Device";
const UNATTENDED: &str = "Unattended Access";

/// The id, key, display name and module of each event, by ascending id.
const EVENTS: [(EventId, &str, &str, &str); 18] = [
    (OUTBOUND_SESSION_START, "SESSION_START_RS", "Outbound Session Start", REMOTE_SUPPORT),
    (SCREEN_SHARE_START, "SESSION_START_DM", "Session Start - Screen Share", SCREEN_SHARE),
    (REMOTE_SUPPORT_END, "SESSION_END_RS", "Session End - Remote Support", REMOTE_SUPPORT),
    (SCREEN_SHARE_END, "SESSION_END_DM", "Session End - Screen Share", SCREEN_SHARE),
    (CUSTOMER_JOIN, "CUSTOMER_JOIN_RS", "Customer Join - Remote Support", REMOTE_SUPPORT),
    (INBOUND_REQUEST_CREATE, "INBOUND_REQUEST_CREATE", "Inbound Request Create", INBOUND_REQUEST),
    (INBOUND_REQUEST_TRANSFER, "INBOUND_REQUEST_TRANSFER", "Inbound Request Transfer", INBOUND_REQUEST),
    (INBOUND_REQUEST_DELEGATE, "INBOUND_REQUEST_DELEGATE", "Inbound Request Delegate", INBOUND_REQUEST),
    (INBOUND_REQUEST_PICKED, "INBOUND_REQUEST_PICKED", "Inbound Request Picked", INBOUND_REQUEST),
    (INBOUND_REQUEST_DECLINED, "INBOUND_REQUEST_DECLINED", "Inbound Request Declined", INBOUND_REQUEST),
    (INBOUND_REQUEST_DROPPED, "INBOUND_REQUEST_DROPPED", "Inbound Request Dropped", INBOUND_REQUEST),
    (INBOUND_REQUEST_EXPIRED, "INBOUND_REQUEST_EXPIRED", "Inbound Request Expired", INBOUND_REQUEST),
    (DEVICE_ADD, "DEVICE_ADD", "Device Add", DEVICE),
    (DEVICE_ONLINE, "DEVICE_ONLINE", "Device Online", DEVICE),
    (DEVICE_OFFLINE, "DEVICE_OFFLINE", "Device Offline", DEVICE),
    (DEVICE_DELETE, "DEVICE_DELETE", "Device Delete", DEVICE),
    (UNATTENDED_SESSION_START, "SESSION_START_URS", "Session Start", UNATTENDED),
    (UNATTENDED_SESSION_END, "SESSION_END_URS", "Session End", UNATTENDED),
];

/// Returns the catalog of Zoho Assist: its 18 events, its envelope and its scopes `ZohoAssist.webhooks.*`, with
/// [templates](crate::model::BodyTemplate), which it calls *Manage Parameters*.
///
/// # Panics
///
/// Never: the table of events is fixed, and a test builds the catalog.
pub fn catalog() -> Catalog {
    let builder = Catalog::builder()
        .envelope(EnvelopeKind::Assist)
        .allow_templates()
        .scope_prefix(ScopePrefix::new("ZohoAssist.webhooks"));
    let add = |builder: crate::model::CatalogBuilder, (id, key, name, module)| {
        builder.event(EventType::new(id, key, name, &sample(id)).in_module(module))
    };
    // The table above is constant and without duplicates, and its samples are JSON already.
    EVENTS.into_iter().fold(builder, add).build().expect("the table of events has no fault")
}

/// Returns the limits of Zoho Assist: 20 webhooks for each tenant and 10 for each event, including disabled ones.
pub fn limits() -> Limits {
    Limits::default()
}

fn sample(id: EventId) -> Value {
    match id {
        // As published by a user of Zoho Assist.
        REMOTE_SUPPORT_END => remote_support_session_end(),
        // As published by a user of Zoho Assist.
        UNATTENDED_SESSION_START => unattended_session(),
        // Our choice, from here on.
        UNATTENDED_SESSION_END => {
            with(unattended_session(), json!({"startTime": START, "endTime": END, "duration": DURATION}))
        }
        OUTBOUND_SESSION_START => session("Remote Support", json!({"startTime": START})),
        CUSTOMER_JOIN => session("Remote Support", json!({"customer": customer(), "joinTime": START})),
        SCREEN_SHARE_START => session("Screen Share", json!({"startTime": START})),
        SCREEN_SHARE_END => {
            session("Screen Share", json!({"startTime": START, "endTime": END, "duration": DURATION}))
        }
        DEVICE_ADD | DEVICE_ONLINE | DEVICE_OFFLINE | DEVICE_DELETE => device(id),
        request => inbound_request(request),
    }
}

const START: u64 = 1_481_369_000_053;
const END: u64 = 1_481_369_155_546;
const DURATION: u64 = 155_493;

fn remote_support_session_end() -> Value {
    let participant = |email, role| {
        json!({"email": email, "role": role, "os": "Windows", "region": "Florida",
            "country": "America", "duration": DURATION})
    };
    json!({
        "sessionId": 937_974_381,
        "title": "On Demand Remote Support 937974381",
        "startTime": START, "endTime": END, "duration": DURATION,
        "notes": "VPN issue",
        "chatTranscript": "https://assist.zoho.com/api/v1/chat/export?sysid=16474156125",
        "participants": [
            participant("david@zylker.com", "Primary Technician"),
            participant("mark.k@gmail.com", "Customer"),
        ],
    })
}

fn unattended_session() -> Value {
    json!({
        "creatorEmail": "david@zylker.com",
        "sessionId": "963557549",
        "title": "On Demand Remote Access #963557549",
        "department": "Zylker",
        "deviceName": "PRIME", "deviceFullName": "PRIME", "devicePlatform": "windows",
        "deviceOs": "Windows 11 Pro", "deviceOsVersion": "6.3",
    })
}

fn session(kind: &str, more: Value) -> Value {
    let session = json!({
        "sessionId": 937_974_381,
        "title": format!("On Demand {kind} 937974381"),
        "department": "Zylker",
        "technician": "david@zylker.com",
    });
    with(session, more)
}

fn customer() -> Value {
    json!({"name": "Mark", "email": "mark.k@gmail.com"})
}

fn inbound_request(id: EventId) -> Value {
    let request = json!({
        "requestId": "24000001",
        "department": "Zylker",
        "customer": customer(),
        "subject": "VPN issue",
        "requestTime": START,
    });
    let more = match id {
        INBOUND_REQUEST_TRANSFER => json!({"fromDepartment": "Sales", "toDepartment": "Zylker"}),
        INBOUND_REQUEST_DELEGATE => {
            json!({"fromTechnician": "david@zylker.com", "toTechnician": "ann@zylker.com"})
        }
        INBOUND_REQUEST_PICKED | INBOUND_REQUEST_DECLINED => json!({"technician": "david@zylker.com"}),
        _ => json!({}),
    };
    with(request, more)
}

fn device(id: EventId) -> Value {
    let device = json!({
        "deviceId": "2750001", "deviceName": "PRIME", "devicePlatform": "windows",
        "deviceOs": "Windows 11 Pro", "department": "Zylker",
    });
    let status = if id == DEVICE_ONLINE { "online" } else { "offline" };
    with(device, json!({"status": status}))
}

/// Adds the members of `more` to `object`.
fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::Scope;

    fn sample_of(id: EventId) -> Value {
        let catalog = catalog();
        let kind = catalog.get(id).expect("in the catalog");
        serde_json::from_str(kind.sample().get()).expect("JSON")
    }

    #[test]
    fn the_catalog_builds_with_18_dense_ids() {
        let catalog = catalog();
        let ids: Vec<_> = catalog.iter().map(|kind| kind.id().get()).collect();
        assert_eq!(ids, (0..18).collect::<Vec<_>>());
        assert_eq!(catalog.get(EventId::new(18)).map(EventType::key), None);
    }

    #[test]
    fn envelope_and_scopes_are_those_of_assist() {
        let catalog = catalog();
        assert_eq!(catalog.envelope(), EnvelopeKind::Assist);
        assert_eq!(catalog.scope_prefix().name(Scope::All), "ZohoAssist.webhooks.ALL");
    }

    #[test]
    fn keys_are_constants_in_upper_case_and_every_event_has_name_and_module() {
        for kind in catalog().iter() {
            let upper = |c: char| c.is_ascii_uppercase() || c == '_';
            assert!(kind.key().chars().all(upper), "{}", kind.key());
            assert!(!kind.name().is_empty() && !kind.module().is_empty(), "{}", kind.key());
        }
    }

    #[test]
    fn names_alone_are_not_enough_to_tell_events_apart_but_keys_are() {
        let catalog = catalog();
        let keys: BTreeSet<_> = catalog.iter().map(EventType::key).collect();
        assert_eq!(keys.len(), 18);
        let modules: BTreeSet<_> = catalog.iter().map(EventType::module).collect();
        assert_eq!(modules.len(), 5);
    }

    #[test]
    fn every_sample_is_an_object_with_something_in_it() {
        for kind in catalog().iter() {
            let sample = sample_of(kind.id());
            assert!(sample.as_object().is_some_and(|it| !it.is_empty()), "{}", kind.key());
        }
    }

    #[test]
    fn samples_tell_what_their_event_is_about() {
        assert_eq!(sample_of(DEVICE_ONLINE)["status"], "online");
        assert_eq!(sample_of(DEVICE_OFFLINE)["status"], "offline");
        assert_eq!(sample_of(INBOUND_REQUEST_TRANSFER)["toDepartment"], "Zylker");
        assert_eq!(sample_of(INBOUND_REQUEST_DELEGATE)["toTechnician"], "ann@zylker.com");
        assert_eq!(sample_of(CUSTOMER_JOIN)["customer"]["name"], "Mark");
        for end in [REMOTE_SUPPORT_END, SCREEN_SHARE_END, UNATTENDED_SESSION_END] {
            assert_eq!(sample_of(end)["duration"], END - START);
        }
    }

    #[test]
    fn the_limits_are_20_and_10() {
        assert_eq!((limits().webhooks(), limits().webhooks_per_event()), (20, 10));
    }
}
