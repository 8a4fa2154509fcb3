//! libFuzzer on `quorate_fuzz::security_key`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    quorate_fuzz::security_key(data);
});
