//! Webhooks in plain words, for hosts whose API has no attribute names of its own yet.
//!
//! What is stored, and what `serde` makes of a [`Webhook`](crate::Webhook), has the names of Zoho Assist. This module is
//! a view beside it: [`Catalog::draft`](crate::Catalog::draft) takes what a user posted, and
//! [`Catalog::show`](crate::Catalog::show) and [`Catalog::show_error`](crate::Catalog::show_error) answer in the same names.
//! Nothing is switched: a host calls the one or the other.
//!
//! | here | there |
//! |---|---|
//! | `id`, a string | `hook_id`, a number |
//! | `name`, `url` | `name`, `url` |
//! | `description` | `desc` |
//! | `ignore_source` | `ignore_src` |
//! | `enabled`, true or false | `status`, 1 or 0 |
//! | `paused`, true or false | [`Details::paused`](crate::service::Details::paused) |
//! | `events`: `"invoice.paid"`, `"invoice.*"`, `"*"` | `subscriptions`: `{"event_id": 1}`, `{"events": "invoice.*"}` |
//! | `{"event": "invoice.paid", "departments": [7], "filter": [..]}` | `{"event_id": 1, "dept_ids": [7], "filter": [..]}` |
//! | `{"event": "invoice.paid", "template": {..}}` | `{"event_id": 1, "template": {..}}` |
//!
//! An event that has left the catalog is shown by its number, and may stay by that. [`Catalog::patch`](crate::Catalog::patch)
//! takes a change to some of the attributes, for [`Tenant::patch`](crate::Tenant::patch).
//!
//! ```
//! # #[cfg(all(feature = "dispatcher", feature = "http-transport"))]
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! use hookwire::model::EventType;
//! use hookwire::store::MemoryStore;
//! use hookwire::{Catalog, EventId, TenantId, Webhooks, plain};
//! use serde_json::json;
//!
//! let paid = EventType::new(EventId::new(1), "invoice.paid", "Invoice paid", &json!({"invoice": 4711}));
//! let catalog = Catalog::builder().event(paid).allow_patterns().build()?;
//! let hooks = Webhooks::builder(catalog).store(MemoryStore::new()).build()?;
//! let acme = hooks.tenant(TenantId::new("acme")?);
//!
//! let posted = r#"{"name": "Books", "url": "https://hooks.invalid/", "events": ["invoice.paid"]}"#;
//! let draft: plain::Draft = serde_json::from_str(posted)?;
//! let created = acme.create(&hooks.catalog().draft(&draft)).await?;
//! let shown = hooks.catalog().show(created.webhook());
//! assert_eq!(
//!     serde_json::to_string(&shown)?,
//!     r#"{"id":"1","name":"Books","url":"https://hooks.invalid/","events":["invoice.paid"],"enabled":true}"#,
//! );
//!
//! let posted = r#"{"url": "https://hooks.invalid/", "enabled": "yes", "events": ["invoice.*", "order.paid"]}"#;
//! let draft: plain::Draft = serde_json::from_str(posted)?;
//! let refused = acme.create(&hooks.catalog().draft(&draft)).await.expect_err("three faults");
//! let shown = hooks.catalog().show_error(&refused);
//! assert_eq!(shown.code, "invalid");
//! let told: Vec<_> = shown.violations.iter().map(ToString::to_string).collect();
//! assert_eq!(
//!     told,
//!     [
//!         "name: is missing; give the webhook a name",
//!         "enabled: must be true or false, not this string",
//!         r#"events[1]: there is no event "order.paid"; choose one of the catalog"#,
//!     ],
//! );
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod draft;
mod error;
mod patch;
mod violation;
mod webhook;

pub use draft::Draft;
pub use error::Error;
pub use patch::Patch;
pub use violation::Violation;
pub use webhook::{Subscription, Webhook};
