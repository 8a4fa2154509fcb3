//! libFuzzer on `quorate_fuzz::call`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    quorate_fuzz::call(data);
});
