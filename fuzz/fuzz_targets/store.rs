//! Runs the body `store` of `tests/fuzzed` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::run("store", input));
