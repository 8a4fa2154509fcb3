//! A link as a picture: on the terminal, and as a file to send or to print. It must not know what the link says.

use image::{GrayImage, ImageFormat, Luma};
use qrcode::{Color, EcLevel, QrCode};
use std::io::Cursor;

/// Pixels of one module's side: an invite, the longest link, has some 150 modules a side, which phones read from a screen at this size.
const SCALE: u32 = 6;
/// Light modules on every side (ISO/IEC 18004).
const QUIET: u32 = 4;

/// The picture of `link`; `None` when it is too long for one.
pub(crate) fn of(link: &str) -> Option<QrCode> {
    // Level L: links are long, and neither a screen nor a fresh print is scratched.
    QrCode::with_error_correction_level(link, EcLevel::L).ok()
}

/// Lines of half blocks.
pub(crate) fn on_terminal(code: &QrCode) -> String {
    code.render::<qrcode::render::unicode::Dense1x2>().quiet_zone(true).build()
}

/// A PNG file.
pub(crate) fn png(code: &QrCode) -> Vec<u8> {
    let width = u32::try_from(code.width()).expect("a QR code has at most 177 modules a side");
    let side = (width + 2 * QUIET) * SCALE;
    let picture = GrayImage::from_fn(side, side, |x, y| {
        let module = |at: u32| (at / SCALE).checked_sub(QUIET).filter(|at| *at < width);
        let dark = module(x).zip(module(y)).is_some_and(|(x, y)| code[(x as usize, y as usize)] == Color::Dark);
        Luma([if dark { 0 } else { u8::MAX }])
    });
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png).expect("memory takes every PNG");
    file.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_becomes_a_picture_that_reads_back_unless_it_is_too_long() {
        let link = format!("https://oracle.example/s/A#{}", "b.c".repeat(300));
        let code = of(&link).expect("fits");
        assert!(on_terminal(&code).lines().count() > 10);
        let read = image::load_from_memory(&png(&code)).expect("a PNG").to_luma8();
        let mut prepared = rqrr::PreparedImage::prepare(read);
        let (_, text) = prepared.detect_grids()[0].decode().expect("a QR code");
        assert_eq!(text, link);
        assert!(of(&"x".repeat(5000)).is_none());
    }
}
