//! The whole contract of a store, on a real server.

hookwire::testing::store_conformance!(postgres_store, crate::support::Fixture::new());
