//! libFuzzer on `quorate_fuzz::picture`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    quorate_fuzz::picture(data);
});
