//! libFuzzer on `quorate_fuzz::farmfa_share`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    quorate_fuzz::farmfa_share(data);
});
