#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| conward_checks::attach::check(input));
