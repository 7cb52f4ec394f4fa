//! The key under which a client creates a webhook, and what is kept of it.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::draft::{Given, SubscriptionDraft, WebhookDraft};

/// A key that a client chooses for the creation of one webhook, so that it can repeat the request when the answer was lost.
/// It is the `Idempotency-Key` of an HTTP API.
///
/// It is hashed at once. `Debug` does not print it.
///
/// ```
/// use hookwire::model::CreationKey;
///
/// let key = CreationKey::new("0b6d2f5c-6a3e-4a55-9d1b-6f6c0f6a7f10")?;
/// assert_eq!(format!("{key:?}"), "CreationKey([redacted])");
/// assert!(CreationKey::new("two words").is_err());
/// # Ok::<_, hookwire::model::InvalidCreationKey>(())
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct CreationKey([u8; 32]);

/// An error for a text that is not a [`CreationKey`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a creation key is 1 to 255 visible ASCII characters, without spaces")]
#[non_exhaustive]
pub struct InvalidCreationKey {}

impl CreationKey {
    /// The maximum number of characters.
    pub const MAX_LEN: usize = 255;

    /// Parses a `CreationKey`.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidCreationKey`]: a creation key is 1 to 255 visible ASCII characters, without spaces.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidCreationKey> {
        let text = text.as_ref().as_bytes();
        let is_valid = (1..=Self::MAX_LEN).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
        if is_valid { Ok(Self(Sha256::digest(text).into())) } else { Err(InvalidCreationKey {}) }
    }
}

impl FromStr for CreationKey {
    type Err = InvalidCreationKey;

    fn from_str(text: &str) -> Result<Self, InvalidCreationKey> {
        Self::new(text)
    }
}

impl fmt::Debug for CreationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CreationKey([redacted])")
    }
}

/// What is kept with a webhook of the request that created it under a [`CreationKey`]: hashes of the key and of the draft.
///
/// Two records are equal if the keys and the contents of the drafts are. The content is a draft as it was parsed: white
/// space, the order of attributes and unknown attributes do not matter. The secret that a draft brings belongs to it.
///
/// Neither the key nor the draft can be told from the bytes. The hash of the draft is salted by the key, which is not kept.
///
/// ```
/// use hookwire::model::{CreationKey, CreationRecord};
/// use hookwire::{WebhookDraft, assist};
///
/// let key = CreationKey::new("0b6d2f5c")?;
/// let draft = WebhookDraft::new("Device log", "https://hooks.example.com/").subscribe(assist::DEVICE_ONLINE);
/// let kept = CreationRecord::new(&key, &draft);
/// assert_eq!(CreationRecord::from_bytes(kept.to_bytes()), kept);
///
/// let other = CreationRecord::new(&key, &draft.describe("to the CRM"));
/// assert_ne!(other, kept);
/// assert!(other.has_key_of(&kept));
/// # Ok::<_, hookwire::model::InvalidCreationKey>(())
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct CreationRecord {
    key: [u8; 32],
    content: [u8; 32],
}

impl CreationRecord {
    /// Creates the record of a request that asks for `draft` under `key`.
    pub fn new(key: &CreationKey, draft: &WebhookDraft) -> Self {
        let mut content = Sha256::new_with_prefix(key.0);
        content.update(Attributes::of(draft).to_json());
        // The JSON ends where it ends, so that no secret can be taken for a part of it.
        content.update(draft.secret.as_ref().map_or("", |secret| secret));
        Self { key: Sha256::digest(key.0).into(), content: content.finalize().into() }
    }

    /// Reads a record from the bytes that a store kept.
    pub fn from_bytes(bytes: [u8; 64]) -> Self {
        let half = |from: usize| std::array::from_fn(|at| bytes[from + at]);
        Self { key: half(0), content: half(32) }
    }

    /// Returns the bytes to store. The first 32 stand for the key, the others for the content.
    pub fn to_bytes(&self) -> [u8; 64] {
        std::array::from_fn(|at| if at < 32 { self.key[at] } else { self.content[at - 32] })
    }

    /// Returns whether both requests had the same key.
    pub fn has_key_of(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl fmt::Debug for CreationRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CreationRecord([redacted])")
    }
}

/// The attributes of a draft. Their names and their order decide the hash, which stores keep: they never change. One that is
/// left out is not written, so that attributes can be added.
#[derive(Serialize)]
struct Attributes<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a Given<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    desc: Option<&'a Given<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a Given<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ignore_src: Option<&'a Given<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a Given<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriptions: Option<&'a Given<Vec<Given<SubscriptionDraft>>>>,
}

impl<'a> Attributes<'a> {
    const fn of(draft: &'a WebhookDraft) -> Self {
        Self {
            name: draft.name.as_ref(),
            desc: draft.desc.as_ref(),
            url: draft.url.as_ref(),
            ignore_src: draft.ignore_src.as_ref(),
            status: draft.status.as_ref(),
            subscriptions: draft.subscriptions.as_ref(),
        }
    }

    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts, numbers and JSON serialise always")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record(key: &str, draft: Value) -> CreationRecord {
        let draft: WebhookDraft = serde_json::from_value(draft).expect("an object");
        CreationRecord::new(&CreationKey::new(key).expect("a key"), &draft)
    }

    fn draft() -> Value {
        json!({"name": "Log", "url": "https://hooks.example.com/in", "desc": "d", "ignore_src": "crm", "status": 1,
            "subscriptions": [{"event_id": 13, "dept_ids": [7, 9], "template": {"text": "${payload.a}"},
                "filter": [{"pointer": "/a", "equals": 1}]}, {"events": "invoice.*"}]})
    }

    #[test]
    fn a_key_is_short_visible_ascii() {
        let (longest, too_long) = ("k".repeat(255), "k".repeat(256));
        for text in ["k", "!~", "\"quoted\"", "0b6d2f5c-6a3e", longest.as_str()] {
            assert!(text.parse::<CreationKey>().is_ok(), "{text}");
        }
        for text in ["", " ", "two words", "tab\t", "line\n", "schl\u{fc}ssel", "\u{7f}", too_long.as_str()] {
            assert_eq!(text.parse::<CreationKey>(), Err(InvalidCreationKey {}), "{text:?}");
        }
    }

    #[test]
    fn every_attribute_is_content_and_nothing_else_is() {
        let kept = record("k", draft());
        let again = r#"{"hook_id": 5, "subscriptions": [{"filter": [{"equals": 1, "pointer": "/a"}],
            "dept_ids": ["7", 9], "event_id": "13", "template": {"text": "${payload.a}"}, "x": 1},
            {"events": "invoice.*", "filter": null}],
            "status": 1, "ignore_src": "crm", "desc": "d", "name": "L\u006fg", "url": "https://hooks.example.com/in"}"#;
        assert_eq!(record("k", serde_json::from_str(again).expect("JSON")), kept, "however it is written");
        let changes = [
            ("/name", json!("Lag")),
            ("/desc", Value::Null),
            ("/url", json!("https://hooks.example.com/out")),
            ("/ignore_src", json!("erp")),
            ("/status", json!(0)),
            ("/status", json!("on")),
            ("/subscriptions", json!([])),
            ("/subscriptions/0/event_id", json!(14)),
            ("/subscriptions/0/dept_ids", Value::Null),
            ("/subscriptions/0/filter/0/equals", json!("1")),
            ("/subscriptions/0/template/text", json!("")),
            ("/subscriptions/1/events", json!("*")),
        ];
        for (pointer, value) in changes {
            let mut other = draft();
            *other.pointer_mut(pointer).expect("there") = value;
            let other = record("k", other);
            assert!(other != kept && other.has_key_of(&kept), "{pointer}");
        }
        let other = record("K", draft());
        assert!(other != kept && !other.has_key_of(&kept), "another key is another record");
    }

    #[test]
    fn a_secret_that_is_brought_is_content() {
        let of = |draft: &WebhookDraft| CreationRecord::new(&CreationKey([1; 32]), draft);
        let draft = WebhookDraft::new("a", "https://a.example/");
        let brought = of(&draft.clone().secret("whsec_a"));
        assert_ne!(brought, of(&draft));
        assert_ne!(brought, of(&draft.secret("whsec_b")));
    }

    /// The numbers are those of Python's `hashlib`, for the JSON without white space.
    #[test]
    fn what_stores_have_kept_stays_the_record_of_the_same_request() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let kept = record("0b6d2f5c", draft()).to_bytes();
        assert_eq!(hex(&kept[..32]), "16669dbf8ab90b685070e33b925cf132ea8ea49866549a87afab8f17853899d3");
        assert_eq!(hex(&kept[32..]), "398775c9c2446542c4bb049f50bd5f278fa6d9b666188ddcd5b559f56a4780d2");
        assert_eq!(CreationRecord::from_bytes(kept).to_bytes(), kept);
    }

    #[test]
    fn nothing_is_printed() {
        let kept = record("k", draft());
        assert_eq!(format!("{kept:?}"), "CreationRecord([redacted])");
    }
}
