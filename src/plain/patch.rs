//! A change to some attributes of a webhook in plain words, unchecked.

use serde::Deserialize;

use super::draft::Draft;
use crate::model::{Catalog, WebhookPatch};

/// An unchecked change to some attributes of a webhook in plain words, from JSON. Attributes that it does not name stay.
///
/// It has the attributes of a [`Draft`]. One that it names is replaced as a whole, `events` too, and `null` removes it, as in
/// RFC 7396; `null` as `enabled` changes nothing.
///
/// ```
/// use hookwire::{assist, plain};
///
/// let posted: plain::Patch = serde_json::from_str(r#"{"enabled": false, "description": null}"#)?;
/// let patch = assist::catalog().patch(&posted); // for Tenant::patch
/// # let _ = patch;
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(transparent)]
pub struct Patch(Draft);

impl Catalog {
    /// Returns the change that a change in plain words means, for [`Tenant::patch`](crate::Tenant::patch).
    ///
    /// Whatever is wrong with it is kept, as by [`draft`](Self::draft).
    pub fn patch(&self, plain: &Patch) -> WebhookPatch {
        let (names, named) = (&plain.0, self.draft(&plain.0));
        WebhookPatch {
            name: names.has("name").then_some(named.name),
            desc: names.has("description").then_some(named.desc),
            url: names.has("url").then_some(named.url),
            ignore_src: names.has("ignore_source").then_some(named.ignore_src),
            status: names.has("enabled").then_some(named.status),
            subscriptions: names.has("events").then_some(named.subscriptions),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::assist;

    fn patch(plain: Value) -> WebhookPatch {
        assist::catalog().patch(&serde_json::from_value(plain).expect("every object is a patch"))
    }

    fn canonical(patch: Value) -> WebhookPatch {
        serde_json::from_value(patch).expect("every object is a patch")
    }

    #[test]
    fn each_attribute_means_the_one_that_is_stored_and_what_is_not_named_stays() {
        let pairs = [
            (json!({}), json!({})),
            (json!({"id": "4", "paused": true}), json!({})),
            (json!({"name": "b"}), json!({"name": "b"})),
            (json!({"description": "d"}), json!({"desc": "d"})),
            (json!({"description": null}), json!({"desc": null})),
            (json!({"url": "https://b.example/"}), json!({"url": "https://b.example/"})),
            (json!({"ignore_source": null}), json!({"ignore_src": null})),
            (json!({"enabled": false}), json!({"status": 0})),
            (json!({"enabled": null}), json!({"status": null})),
            (json!({"enabled": "no"}), json!({"status": "no"})),
            (json!({"events": ["DEVICE_ONLINE"]}), json!({"subscriptions": [{"event_id": 13}]})),
            (json!({"events": null}), json!({"subscriptions": null})),
        ];
        for (plain, stored) in pairs {
            assert_eq!(patch(plain.clone()), canonical(stored), "{plain}");
        }
    }
}
