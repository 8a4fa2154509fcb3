//! libFuzzer on `quorate_fuzz::audit_export`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    quorate_fuzz::audit_export(data);
});
