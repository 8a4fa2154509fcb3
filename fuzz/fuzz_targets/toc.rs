//! libFuzzer on `quorate_fuzz::toc`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    quorate_fuzz::toc(data);
});
