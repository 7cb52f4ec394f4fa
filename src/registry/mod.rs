//! The rules for one tenant's webhooks: pure functions from a request and the registered webhooks to a change, or
//! to every violation at once.
//!
//! A [`Registry`] holds everything that a tenant has registered, at a [`Revision`]. The functions do not modify it:
//! they return a [`RegistryChange`], which a store commits against that revision.
//!
//! ```
//! use hookwire::{assist, WebhookDraft};
//! use hookwire::model::{SealedSecrets, Timestamp};
//! use hookwire::registry::{self, Registry, Terms, UrlRule};
//!
//! let catalog = assist::catalog();
//! let (limits, urls, now) = (Some(assist::limits()), UrlRule::HttpsOnly, Timestamp::from_secs(1_700_000_000));
//! let terms = Terms { catalog: &catalog, limits, urls, now };
//! let draft = WebhookDraft::new("", "http://hooks.example.com/");
//!
//! let refusal = registry::create(&draft, SealedSecrets::default(), &Registry::default(), terms);
//! let violations = refusal.expect_err("three rules are broken").into_violations();
//! let fields: Vec<_> = violations.iter().map(|violation| violation.field()).collect();
//! assert_eq!(fields, ["name", "url", "subscriptions"]);
//! ```

mod check;
mod limits;
mod numbers;
mod once;
mod refusal;
mod rules;
mod state;
mod subscriptions;
#[cfg(test)]
mod tests;

pub use check::{UrlRule, check_url};
pub use limits::Limits;
pub use once::{create_once, find_created};
pub use refusal::Refusal;
pub use rules::{
    Terms, create, delete, patch, replace, set_options, set_paused, set_secrets, set_status, set_suspended,
};
pub use state::{Backlog, RegisteredWebhook, Registry, RegistryChange, Revision, Version};
pub use subscriptions::draft_template;
