//! What a host calls: [`Webhooks`] and the [`Tenant`] handles that it gives.

mod asking;
mod attempt;
mod audience;
mod builder;
mod core;
mod error;
mod explanation;
mod log;
mod ping;
mod publishing;
mod registering;
#[cfg(feature = "seal")]
mod resealing;
mod signing;
mod tenant;
mod webhooks;

#[cfg(feature = "dispatcher")]
pub(crate) use self::attempt::failed;
#[cfg(feature = "dispatcher")]
pub(crate) use self::core::{Core, Handoff};
pub use builder::{BuildError, WebhooksBuilder};
pub use error::{Error, ErrorKind};
pub use explanation::{Explanation, Fate};
pub use ping::{PingOutcome, PingReport, PingTarget};
pub use publishing::Sent;
pub use registering::{Created, Details, Updated};
#[cfg(feature = "seal")]
pub use resealing::{Resealed, Unopened};
pub use tenant::Tenant;
pub use webhooks::Webhooks;
