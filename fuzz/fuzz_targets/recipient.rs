//! libFuzzer on `quorate_fuzz::recipient`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    quorate_fuzz::recipient(data);
});
