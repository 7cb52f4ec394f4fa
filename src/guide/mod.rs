//! Pages for those who run a service with hookwire. There is no code here.

pub mod durability;
pub mod security;
