//! The integration tests, as one binary.

mod conformance;
#[cfg(feature = "http-transport")]
mod guard;
#[cfg(feature = "http-transport")]
mod http_transport;
#[cfg(feature = "http-transport")]
mod support;
