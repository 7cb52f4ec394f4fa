//! The integration tests, as modules of one binary.

mod layers;
