//! libFuzzer on `quorate_fuzz::base32`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    quorate_fuzz::base32(data);
});
