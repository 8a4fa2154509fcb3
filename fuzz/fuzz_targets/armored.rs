//! libFuzzer on `quorate_fuzz::armored`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    quorate_fuzz::armored(data);
});
