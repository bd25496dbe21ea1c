#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| codingworker_fuzz::sqs_wire(data));
