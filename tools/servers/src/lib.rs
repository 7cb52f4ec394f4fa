//! Delivers to servers that others wrote while they are restarted, for the tests of this crate.
//!
//! `scripts/test-servers` installs the servers.

mod arrivals;
mod delivering;
mod files;
mod judging;
mod server;
mod software;

pub use delivering::{Disturbance, Load, Service};
pub use files::Directory;
pub use judging::{Allowed, Tally};
pub use server::Server;
pub use software::Software;

/// Whatever keeps a test from being run.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
