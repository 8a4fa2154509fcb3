//! libFuzzer on `quorate_fuzz::exports`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    quorate_fuzz::exports(data);
});
