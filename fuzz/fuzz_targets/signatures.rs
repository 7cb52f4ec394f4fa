//! Runs the body `signatures` of `tests/fuzzed` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::run("signatures", input));
