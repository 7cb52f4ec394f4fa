//! Runs the body `webhook_json` of `tests/fuzzed` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::run("webhook_json", input));
