//! libFuzzer on `quorate_fuzz::group`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    quorate_fuzz::group(data);
});
