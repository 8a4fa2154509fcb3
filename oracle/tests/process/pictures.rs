//! The process that reads strangers' pictures: what it answers, and how it ends on pictures that are made to keep it busy.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

/// A picture with one QR code.
const ONE: &[u8] = include_bytes!("../../../tests/fixtures/import/uri.png");

/// What becomes of the process on `picture`; in its environment is nothing.
fn read(picture: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-oracle"));
    command.arg("read-picture").env_clear();
    let mut reader =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // It may have ended before it has read everything.
    let _ended = reader.stdin.take().expect("asked for").write_all(picture);
    reader.wait_with_output().expect("a child of ours")
}

/// Nothing but the corner marks of QR codes, 8 pixels apart.
fn tiled_with_corner_marks(side: u32) -> Vec<u8> {
    let dark = |x: u32, y: u32| match x.abs_diff(3).max(y.abs_diff(3)) {
        0 | 1 | 3 => x < 7 && y < 7,
        _ => false,
    };
    let grey: Vec<u8> =
        (0..side * side).map(|at| if dark(at % side % 8, at / side % 8) { 0 } else { u8::MAX }).collect();
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().expect("a header").write_image_data(&grey).expect("pixels");
    file
}

#[test]
fn it_says_what_the_codes_say_or_why_there_is_nothing() {
    let said = read(ONE);
    assert!(said.status.success(), "{said:?}");
    let answer: serde_json::Value = serde_json::from_slice(&said.stdout).expect("JSON");
    assert!(answer["codes"][0].as_str().expect("a text").starts_with("otpauth://totp/"));
    for (picture, answer) in [
        (b"no picture".to_vec(), "\"not_a_picture\""),
        (ONE[..ONE.len() / 2].to_vec(), "\"damaged\""),
        (tiled_with_corner_marks(8), "\"no_code\""),
        (tiled_with_corner_marks(3001), "\"too_large\""),
        (vec![0; 2 * 1024 * 1024 + 1], "\"too_large\""),
        (Vec::new(), "\"not_a_picture\""),
    ] {
        let said = read(&picture);
        assert_eq!((said.status.success(), String::from_utf8_lossy(&said.stdout).as_ref()), (true, answer));
    }
}

/// The one would take hours, the other gigabytes.
#[test]
fn a_picture_that_is_made_to_keep_it_busy_ends_it() {
    for side in [400, 3000] {
        let said = read(&tiled_with_corner_marks(side));
        assert!(!said.status.success() && said.stdout.is_empty(), "{side}: {said:?}");
    }
}
