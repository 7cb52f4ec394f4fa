//! The ids that are texts: tenants, sources, messages and keys.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Declares an immutable text id whose constructors and conversions check one rule, and the error for it.
macro_rules! text_id {
    (
        $(#[$doc:meta])* $name:ident,
        $(#[$error_doc:meta])* $error:ident = $rule:literal,
        $check:expr
    ) => {
        $(#[$doc])*
        #[derive(Clone, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        $(#[$error_doc])*
        #[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
        #[error($rule)]
        #[non_exhaustive]
        pub struct $error {}

        impl $name {
            #[doc = concat!("Parses a `", stringify!($name), "`.")]
            ///
            /// # Errors
            ///
            #[doc = concat!("Returns [`", stringify!($error), "`]: ", $rule, ".")]
            pub fn new(text: impl AsRef<str>) -> Result<Self, $error> {
                let text = text.as_ref();
                let valid: fn(&str) -> bool = $check;
                if valid(text) { Ok(Self(text.into())) } else { Err($error {}) }
            }

            /// Returns the id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.as_str())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.as_str().to_owned()
            }
        }
    };
}

text_id! {
    /// A customer of the host service. Limits, ids and idempotency are per tenant.
    ///
    /// ```
    /// use hookwire::TenantId;
    ///
    /// assert_eq!(TenantId::new("acme")?.as_str(), "acme");
    /// assert!(TenantId::new("").is_err());
    /// # Ok::<_, hookwire::model::InvalidTenantId>(())
    /// ```
    TenantId,
    /// An error for a text that is not a [`TenantId`].
    InvalidTenantId = "a tenant id is 1 to 128 characters without control characters",
    is_short_plain_text
}

text_id! {
    /// The source of a write: a name that a client gives to its own writes, so that it gets no events for them.
    ///
    /// A webhook whose `ignore_src` equals the source of an event does not get that event. The comparison is
    /// case-sensitive.
    ///
    /// ```
    /// use hookwire::SourceId;
    ///
    /// assert_ne!(SourceId::new("crm-sync")?, SourceId::new("CRM-sync")?);
    /// # Ok::<_, hookwire::model::InvalidSourceId>(())
    /// ```
    SourceId,
    /// An error for a text that is not a [`SourceId`].
    InvalidSourceId = "a source id is 1 to 128 characters without control characters",
    is_short_plain_text
}

text_id! {
    /// The id of an event, unique within its tenant. It is sent in the `webhook-id` header and is the same on each retry.
    ///
    /// The host uses it as an idempotency key when it publishes, and the receiver when the request arrives.
    ///
    /// ```
    /// use hookwire::model::MessageId;
    ///
    /// assert!(MessageId::new("order-4711_paid").is_ok());
    /// assert!(MessageId::new("order.4711").is_err());
    /// ```
    MessageId,
    /// An error for a text that is not a [`MessageId`].
    InvalidMessageId = "a message id is 1 to 64 characters of A-Z, a-z, 0-9, '_' and '-'",
    |text| text.len() <= 64 && is_word(text)
}

text_id! {
    /// The id of a key that seals secrets. The host chooses it, and every sealed secret contains it.
    ///
    /// ```
    /// use hookwire::model::KeyId;
    ///
    /// assert!(KeyId::new("2026-01").is_ok());
    /// ```
    KeyId,
    /// An error for a text that is not a [`KeyId`].
    InvalidKeyId = "a key id is 1 to 32 characters of A-Z, a-z, 0-9, '_' and '-'",
    |text| text.len() <= 32 && is_word(text)
}

fn is_word(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !text.is_empty() && text.bytes().all(allowed)
}

fn is_short_plain_text(text: &str) -> bool {
    (1..=128).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

impl MessageId {
    /// The beginning of the ids of pings and other tests. What is published cannot have such an id.
    pub const TEST_PREFIX: &str = "test_";

    /// Returns whether it is the id of a test.
    ///
    /// ```
    /// use hookwire::MessageId;
    ///
    /// assert!(MessageId::new("test_019b76da")?.is_test());
    /// assert!(!MessageId::new("msg_019b76da")?.is_test());
    /// # Ok::<_, hookwire::model::InvalidMessageId>(())
    /// ```
    pub fn is_test(&self) -> bool {
        self.as_str().starts_with(Self::TEST_PREFIX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_hold_at_the_edges_of_their_rule() {
        assert!(MessageId::new("a").is_ok());
        assert!(MessageId::new("a".repeat(64)).is_ok());
        assert!(MessageId::new("a".repeat(65)).is_err());
        for bad in ["", "a b", "a.b", "é", "a\n"] {
            assert!(MessageId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn key_ids_hold_at_the_edges_of_their_rule() {
        assert!(KeyId::new("k").is_ok() && KeyId::new("k".repeat(32)).is_ok());
        for bad in ["", "a b", "a.b", &"k".repeat(33)] {
            assert!(KeyId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn tenant_ids_count_characters_not_bytes() {
        assert!(TenantId::new("é".repeat(128)).is_ok());
        assert!(TenantId::new("é".repeat(129)).is_err());
        assert!(TenantId::new("a\u{0}b").is_err());
    }

    #[test]
    fn json_enters_by_the_same_door() {
        assert!(serde_json::from_str::<SourceId>(r#""crm""#).is_ok());
        let error = serde_json::from_str::<SourceId>(r#""""#).expect_err("empty");
        assert!(error.to_string().contains("a source id is"), "{error}");
    }
}
