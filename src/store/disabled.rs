//! The listing of webhooks that hookwire has disabled. When it does is decided in `delivery::disabling`.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

use crate::model::{DisableReason, HookId, TenantId, Timestamp};

/// A webhook that hookwire disabled by itself, and that still is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct DisabledWebhook {
    /// The tenant.
    pub tenant: TenantId,
    /// The webhook.
    pub hook_id: HookId,
    /// The reason.
    pub reason: DisableReason,
    /// When it was disabled.
    pub at: Timestamp,
}

impl DisabledWebhook {
    /// Returns its place in the list, of which [`Page::next`](crate::model::Page::next) is the text.
    pub fn key(&self) -> DisabledKey {
        DisabledKey { at: self.at, tenant: self.tenant.clone(), hook_id: self.hook_id }
    }
}

/// A place in the list of disabled webhooks: by date, then by tenant, then by webhook. For stores to build on.
///
/// ```
/// use hookwire::model::{HookId, TenantId, Timestamp};
/// use hookwire::store::DisabledKey;
///
/// let key = DisabledKey { at: Timestamp::from_secs(9), tenant: TenantId::new("a:b")?, hook_id: HookId::new(7) };
/// assert_eq!(key.to_string(), "9000:7:a:b");
/// assert_eq!("9000:7:a:b".parse(), Ok(key));
/// # Ok::<_, hookwire::model::InvalidTenantId>(())
/// ```
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct DisabledKey {
    /// When the webhook was disabled.
    pub at: Timestamp,
    /// The tenant.
    pub tenant: TenantId,
    /// The webhook.
    pub hook_id: HookId,
}

/// The error of a text that is not a [`DisabledKey`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("this is no place in the list of disabled webhooks")]
#[non_exhaustive]
pub struct InvalidDisabledKey;

impl fmt::Display for DisabledKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.at.as_millis(), self.hook_id, self.tenant)
    }
}

impl FromStr for DisabledKey {
    type Err = InvalidDisabledKey;

    fn from_str(text: &str) -> Result<Self, InvalidDisabledKey> {
        let parse = || {
            let (at, rest) = text.split_once(':')?;
            let (hook_id, tenant) = rest.split_once(':')?;
            let (at, hook_id) =
                (Timestamp::from_millis(at.parse().ok()?), HookId::new(hook_id.parse().ok()?));
            Some(Self { at, hook_id, tenant: TenantId::new(tenant).ok()? })
        };
        parse().ok_or(InvalidDisabledKey)
    }
}
