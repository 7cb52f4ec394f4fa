//! The integration tests, as one binary.

#[cfg(feature = "testing")]
mod api;
#[cfg(feature = "testing")]
mod conformance;
#[cfg(feature = "testing")]
mod dispatcher;
#[cfg(feature = "testing")]
mod faults;
#[cfg(feature = "http-transport")]
mod guard;
#[cfg(feature = "http-transport")]
mod http_transport;
mod layers;
#[cfg(all(feature = "sqlite", feature = "testing"))]
mod sqlite;
#[cfg(feature = "http-transport")]
mod support;
#[cfg(all(feature = "http-transport", feature = "testing"))]
mod transport_conformance;
