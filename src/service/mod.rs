//! The API of a host: [`Webhooks`], and the [`Tenant`] handles that it returns.

mod address;
mod builder;
mod changes;
mod clock_check;
mod core;
mod details;
mod error;
mod explanation;
mod handoff;
mod log;
mod logged_delivery;
mod notice;
mod observing;
mod pausing;
mod ping;
mod publishing;
mod receiver_check;
mod recent;
mod recovering;
mod redirect;
mod registering;
mod registries;
#[cfg(feature = "seal")]
mod resealing;
mod room;
mod secrets;
mod sending;
mod statistics;
mod templates;
mod tenant;
mod visibility;
mod webhooks;

#[cfg(feature = "dispatcher")]
pub(crate) use self::core::Core;
#[cfg(feature = "dispatcher")]
pub(crate) use self::handoff::Handoff;
#[cfg(feature = "dispatcher")]
pub(crate) use self::sending::failed;
pub use builder::{BuildError, WebhooksBuilder};
pub use clock_check::ClockOffset;
pub use details::Details;
pub use error::{Error, ErrorKind};
pub use explanation::{Explanation, Fate};
pub use logged_delivery::LoggedDelivery;
pub use notice::{DeliveryRef, Notice, WebhookRef};
pub use ping::{PingOutcome, PingReport, PingTarget};
pub use publishing::Sent;
pub use receiver_check::{Probe, ProbeKind, ReceiverCheck, Verdict};
pub use recent::{Percentiles, RecentAttempts};
pub use registering::{Created, CreatedOnce, Updated};
#[cfg(feature = "seal")]
pub use resealing::{Resealed, Unopened};
pub use secrets::Rotation;
pub use tenant::Tenant;
pub use webhooks::Webhooks;
