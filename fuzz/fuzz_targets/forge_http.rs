#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| codingworker_fuzz::forge_http(data));
