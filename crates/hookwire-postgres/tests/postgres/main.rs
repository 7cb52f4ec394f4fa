//! The store on a real server. `scripts/with-postgres` starts one.

mod conformance;
mod support;
