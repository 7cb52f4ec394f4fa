//! The integration tests, as one binary.

#[cfg(feature = "testing")]
mod conformance;
#[cfg(feature = "testing")]
mod conformance_catches;
#[cfg(feature = "http-transport")]
mod guard;
#[cfg(feature = "http-transport")]
mod http_transport;
mod layers;
#[cfg(feature = "http-transport")]
mod support;
