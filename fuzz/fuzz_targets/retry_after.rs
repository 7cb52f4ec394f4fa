//! Runs the body `retry_after` of `tests/fuzzed` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::run("retry_after", input));
