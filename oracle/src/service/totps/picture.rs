//! An otpauth URI as a picture for an authenticator app's camera: a QR code in a PNG in a data URL.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qrcode::{Color, EcLevel, QrCode};
use zeroize::Zeroizing;

/// Pixels of a module's side.
const SCALE: usize = 4;
/// Modules of white around the code (ISO/IEC 18004 §9.1).
const QUIET: usize = 4;

/// `None` when the text is too long for a QR code.
pub(super) fn data_url(text: &str) -> Option<Zeroizing<String>> {
    const PREFIX: &str = "data:image/png;base64,";
    let code = QrCode::with_error_correction_level(text, EcLevel::M)
        .or_else(|_| QrCode::with_error_correction_level(text, EcLevel::L))
        .ok()?;
    let png = png(&code);
    let mut url = Zeroizing::new(String::with_capacity(PREFIX.len() + png.len().div_ceil(3) * 4));
    url.push_str(PREFIX);
    STANDARD.encode_string(png.as_slice(), &mut url);
    Some(url)
}

/// One bit a pixel, white where it is set.
fn png(code: &QrCode) -> Zeroizing<Vec<u8>> {
    let side = (code.width() + 2 * QUIET) * SCALE;
    let line = side.div_ceil(8);
    let mut pixels = Zeroizing::new(vec![0xff; line * side]);
    for (module, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            let (left, top) = ((module % code.width() + QUIET) * SCALE, (module / code.width() + QUIET) * SCALE);
            for y in top..top + SCALE {
                for x in left..left + SCALE {
                    pixels[y * line + x / 8] &= !(0x80 >> (x % 8));
                }
            }
        }
    }
    let side = u32::try_from(side).expect("the largest QR code has 177 modules");
    let mut picture = Zeroizing::new(Vec::with_capacity(4096));
    let mut encoder = png::Encoder::new(&mut *picture, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    encoder.set_compression(png::Compression::Fast);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
    written.expect("a vector takes every byte, and the picture has the size that was announced");
    picture
}
