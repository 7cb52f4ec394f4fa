//! What a host and its receivers see, through the public API alone.

mod golden;
mod seed;
