//! libFuzzer on `quorate_fuzz::stanza`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    quorate_fuzz::stanza(data);
});
