//! libFuzzer on `quorate_fuzz::otpauth`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    quorate_fuzz::otpauth(data);
});
