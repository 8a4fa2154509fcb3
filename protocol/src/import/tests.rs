//! Secrets from text and pictures, good and bad. Fixtures: `tests/fixtures/import`.

mod exports;
mod rows;

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::otp::{Algorithm, OtpError};
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgba, RgbaImage};
use proptest::prelude::*;

use super::*;

const KEY: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const URI: &str = "otpauth://totp/Example:alice@google.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Example";
const EXPORT: &str = include_str!("../../../tests/fixtures/import/export.txt");
const PART_1: &str = include_str!("../../../tests/fixtures/import/export-1-of-2.txt");
const PART_2: &str = include_str!("../../../tests/fixtures/import/export-2-of-2.txt");
const URI_PNG: &[u8] = include_bytes!("../../../tests/fixtures/import/uri.png");
const EXPORT_PNG: &[u8] = include_bytes!("../../../tests/fixtures/import/export.png");

fn secret(uri: &str) -> Imported {
    Imported::Secret(OtpSecret::from_uri(uri).unwrap())
}

fn names(imported: &[Imported]) -> Vec<String> {
    let name = |entry: &Imported| match entry {
        Imported::Secret(secret) => secret.display_name(),
        Imported::LeftOut { name, .. } => format!("({name})"),
    };
    imported.iter().map(name).collect()
}

/// A QR code as grey pixels with its quiet zone, each module `scale` pixels wide.
fn code(text: &str, scale: u32) -> GrayImage {
    let code = qrcode::QrCode::new(text).unwrap();
    let side = u32::try_from(code.width()).unwrap();
    let colors = code.to_colors();
    GrayImage::from_fn((side + 8) * scale, (side + 8) * scale, |x, y| {
        let (x, y) = ((x / scale).wrapping_sub(4), (y / scale).wrapping_sub(4));
        let dark = x < side && y < side && colors[(y * side + x) as usize] == qrcode::Color::Dark;
        Luma([if dark { 0 } else { 255 }])
    })
}

fn file(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn a_uri_a_key_and_several_uris_are_read() {
    assert_eq!(parse_any(URI), Ok(vec![secret(URI)]));
    assert_eq!(parse_any(&format!("\n  {URI}\r\n")), Ok(vec![secret(URI)]));
    assert_eq!(
        parse_any(" jbsw y3dp-EHPK3PXP\nJBSWY3DPEHPK3PXP\n"),
        Ok(vec![Imported::Secret(OtpSecret::from_base32(KEY).unwrap())])
    );
    let other = URI.replace("alice", "bob").replace("otpauth", "OTPAUTH");
    assert_eq!(parse_any(&format!("{URI}\n\n{other}\n")), Ok(vec![secret(URI), secret(&other)]));
}

#[test]
fn an_export_is_read_and_its_counters_are_named() {
    let imported = parse_any(EXPORT).unwrap();
    assert_eq!(names(&imported), ["Example: alice@google.com", "bob", "(Bank: old bank)"]);
    let [Imported::Secret(alice), Imported::Secret(bob), Imported::LeftOut { reason, .. }] = imported.as_slice() else {
        panic!("{imported:?}");
    };
    assert_eq!((alice.issuer(), alice.account()), (Some("Example"), "alice@google.com"));
    assert_eq!(alice.key(), b"Hello!\xde\xad\xbe\xef");
    assert_eq!(
        (bob.parameters().algorithm, bob.parameters().digits, bob.parameters().period),
        (Algorithm::Sha256, 8, 30)
    );
    assert_eq!(bob.key(), b"12345678901234567890");
    assert_eq!(*reason, LeftOut::Counter);
}

#[test]
fn base64_survives_what_copying_does_to_it() {
    let expected = parse_any(EXPORT).unwrap();
    for uri in [
        EXPORT.replace("%3D", "="),
        EXPORT.replace("%3D", ""),
        EXPORT.replace("%2B", "+").replace("%2F", "/"),
        EXPORT.replace("%2B", "-").replace("%2F", "_"),
        EXPORT.replace("?data", "?x=y&data").replace("otpauth-migration", "OTPAUTH-Migration"),
    ] {
        assert_eq!(parse_any(&uri).as_ref(), Ok(&expected), "{uri}");
    }
}

#[test]
fn the_parts_of_an_export_are_wanted_together() {
    for text in [format!("{PART_1}{PART_2}"), format!("{PART_2}\n{PART_1}{PART_2}")] {
        assert_eq!(names(&parse_any(&text).unwrap()), ["first", "second"]);
    }
    assert_eq!(parse_any(PART_2), Err(ImportError::PartsMissing { missing: vec![1], of: 2 }));
    let error = parse_any(PART_1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the export has 2 parts and part 2 is missing; give the QR codes of all parts together"
    );
    let mixed = parse_any(&format!("{PART_1}{URI}\n{EXPORT}{PART_2}")).unwrap();
    assert_eq!(names(&mixed).len(), 6);
}

#[test]
fn text_that_is_no_secret_is_refused() {
    for (text, error) in [
        (String::new(), ImportError::Empty),
        (" \n\t".into(), ImportError::Empty),
        ("A".repeat(MAX_TEXT_BYTES + 1), ImportError::TooLong),
        ("hunter2!".into(), ImportError::Otp(OtpError::NotBase32)),
        ("https://example.com".into(), ImportError::StrangeLine { line: 1 }),
        (URI.replace("totp", "hotp"), ImportError::Otp(OtpError::Hotp)),
        (format!("{URI}\n\n{KEY}"), ImportError::StrangeLine { line: 3 }),
        (format!("{KEY}\n{URI}"), ImportError::StrangeLine { line: 1 }),
        ("otpauth-migration:offline".into(), ImportError::DamagedExport),
        ("otpauth-migration://online?data=CgA".into(), ImportError::DamagedExport),
        ("otpauth-migration://offline?".into(), ImportError::DamagedExport),
        ("otpauth-migration://offline?data=".into(), ImportError::DamagedExport),
        ("otpauth-migration://offline?data=A".into(), ImportError::DamagedExport),
        ("otpauth-migration://offline?data=%FF".into(), ImportError::DamagedExport),
        ("otpauth-migration://offline?data=CgA&data=CgA".into(), ImportError::DamagedExport),
        (EXPORT.trim()[..EXPORT.len() - 40].into(), ImportError::DamagedExport),
    ] {
        assert_eq!(parse_any(&text), Err(error), "{text}");
    }
}

#[test]
fn one_secret_is_told_from_none_and_many() {
    assert_eq!(only_one(parse_any(URI).unwrap()), Ok(OtpSecret::from_uri(URI).unwrap()));
    let many = only_one(parse_any(EXPORT).unwrap()).unwrap_err();
    assert_eq!(many, ImportError::Several { names: vec!["Example: alice@google.com".into(), "bob".into()] });
    let mut counters = parse_any(EXPORT).unwrap();
    counters.drain(..2);
    assert_eq!(
        only_one(counters).unwrap_err().to_string(),
        "no entry can be used: Bank: old bank (it is counter-based (HOTP), and a counter cannot be shared)"
    );
    let mut alone = parse_any(EXPORT).unwrap();
    alone.remove(0);
    assert_eq!(only_one(alone).unwrap().account(), "bob");
}

#[test]
fn pictures_by_qrencode_are_read() {
    assert_eq!(from_image(URI_PNG), Ok(vec![secret(URI)]));
    assert_eq!(from_image(EXPORT_PNG), parse_any(EXPORT));
}

#[test]
fn the_installed_qrencode_is_understood() {
    let here = Command::new("qrencode").arg("--version").output().is_ok();
    let required =
        std::env::var("CI").is_ok_and(|v| v == "true") || std::env::var("QUORATE_TEST_ALL").is_ok_and(|v| v == "1");
    if !here {
        assert!(!required, "qrencode is not installed: apt-get install qrencode");
        eprintln!("skipped: qrencode is not installed");
        return;
    }
    for (text, options) in [
        (URI, &["-s", "3"][..]),
        (URI, &["-s", "1", "-m", "4"]),
        (URI, &["-s", "2", "-l", "H"]),
        (URI, &["-s", "6", "-8"]),
        (URI, &["-s", "4", "--foreground=000080", "--background=ffffff00"]),
        (EXPORT.trim(), &["-s", "2", "-l", "M"]),
        (KEY, &["-s", "4"]),
    ] {
        let mut child = Command::new("qrencode")
            .args(["-t", "PNG", "-o", "-"])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(from_image(&output.stdout), parse_any(text), "{options:?}");
    }
}

#[test]
fn jpeg_colour_transparency_and_dark_mode_are_read() {
    let grey = code(URI, 5);
    let expected = Ok(vec![secret(URI)]);
    assert_eq!(from_image(&file(grey.clone(), ImageFormat::Jpeg)), expected);
    assert_eq!(from_image(&file(DynamicImage::from(grey.clone()).to_rgb16(), ImageFormat::Png)), expected);
    let mut dark = grey.clone();
    image::imageops::invert(&mut dark);
    assert_eq!(from_image(&file(dark, ImageFormat::Png)), expected);
    // Black modules on a fully transparent black ground: grey conversion alone would see only black.
    let clear =
        RgbaImage::from_fn(grey.width(), grey.height(), |x, y| Rgba([0, 0, 0, 255 - grey.get_pixel(x, y).0[0]]));
    assert_eq!(from_image(&file(clear, ImageFormat::Png)), expected);
    let turned = image::imageops::rotate90(&grey);
    assert_eq!(from_image(&file(turned, ImageFormat::Png)), expected);
}

/// Two codes beside each other.
fn side_by_side(one: &GrayImage, other: &GrayImage) -> GrayImage {
    let height = one.height().max(other.height());
    let mut both = GrayImage::from_pixel(one.width() + other.width(), height, Luma([255]));
    image::imageops::replace(&mut both, one, 0, 0);
    image::imageops::replace(&mut both, other, one.width().into(), 0);
    both
}

#[test]
fn all_codes_of_a_picture_are_read() {
    let bob = URI.replace("alice", "bob");
    let both = side_by_side(&code(URI, 4), &code(&bob, 4));
    let mut found = names(&from_image(&file(both, ImageFormat::Png)).unwrap());
    found.sort();
    assert_eq!(found, ["Example: alice@google.com", "Example: bob@google.com"]);
    // A code for something else beside it is passed over.
    let both = side_by_side(&code(URI, 4), &code("https://example.com/", 4));
    assert_eq!(from_image(&file(both, ImageFormat::Png)), Ok(vec![secret(URI)]));
    let both = side_by_side(&code(URI, 4), &code(URI, 3));
    assert_eq!(from_image(&file(both, ImageFormat::Png)), Ok(vec![secret(URI)]));
}

#[test]
fn the_parts_of_an_export_come_from_one_picture_or_several() {
    let (one, two) = (code(PART_1.trim(), 4), code(PART_2.trim(), 4));
    let both = file(side_by_side(&two, &one), ImageFormat::Png);
    assert_eq!(names(&from_image(&both).unwrap()), ["first", "second"]);
    let (one, two) = (file(one, ImageFormat::Png), file(two, ImageFormat::Jpeg));
    assert_eq!(names(&from_images(&[&two, &one, &two]).unwrap()), ["first", "second"]);
    assert_eq!(from_image(&two), Err(ImportError::PartsMissing { missing: vec![1], of: 2 }));
}

#[test]
fn pictures_without_a_secret_are_told_apart() {
    let png = |picture: GrayImage| file(picture, ImageFormat::Png);
    let blank = GrayImage::from_pixel(300, 300, Luma([255]));
    let mut smeared = code(URI, 4);
    let end = smeared.width() / 4 - 14;
    for (x, y, pixel) in smeared.enumerate_pixels_mut() {
        // Every other module is wrong, but not the marks in the corners by which codes are found.
        let (x, y) = (x / 4, y / 4);
        if (14..end).contains(&x) && (14..end).contains(&y) && (x + y) % 2 == 0 {
            *pixel = Luma([!pixel.0[0]]);
        }
    }
    for (bytes, error) in [
        (Vec::new(), ImportError::NotAPicture),
        (URI.as_bytes().to_vec(), ImportError::NotAPicture),
        (b"GIF89a\x01\x00\x01\x00\x00\x00\x00;".to_vec(), ImportError::NotAPicture),
        (URI_PNG[..60].to_vec(), ImportError::DamagedPicture),
        (b"\xff\xd8\xff\xe0 no jpeg".to_vec(), ImportError::DamagedPicture),
        (png(blank), ImportError::NoCode),
        (png(smeared), ImportError::UnreadableCode),
        (png(code("https://example.com/", 4)), ImportError::StrangeCode),
        (png(side_by_side(&code("one", 4), &code("two", 4))), ImportError::StrangeCode),
        (png(code("otpauth://hotp/x?secret=JBSWY3DPEHPK3PXP", 4)), ImportError::Otp(OtpError::Hotp)),
    ] {
        assert_eq!(from_image(&bytes), Err(error));
    }
}

/// A PNG that is nothing but a header: what a decoder knows before it unpacks anything.
fn header_only(width: u32, height: u32) -> Vec<u8> {
    let mut ihdr = b"IHDR".to_vec();
    ihdr.extend(width.to_be_bytes());
    ihdr.extend(height.to_be_bytes());
    ihdr.extend([8, 0, 0, 0, 0]);
    let crc = ihdr.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    png.extend(ihdr);
    png.extend((!crc).to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    png
}

#[test]
fn bombs_are_refused_by_their_header() {
    for (width, height) in [(8193, 1), (1, 8193), (u32::MAX >> 1, u32::MAX >> 1), (8192, 8192), (5001, 5000)] {
        assert_eq!(from_image(&header_only(width, height)), Err(ImportError::PictureTooLarge), "{width}x{height}");
    }
    // Within the limits the same header is decoded, and found to have no pixels.
    assert_eq!(from_image(&header_only(100, 100)), Err(ImportError::DamagedPicture));
    let padded = [URI_PNG, &vec![0; 33 * 1024 * 1024]].concat();
    assert_eq!(from_image(&padded), Err(ImportError::PictureTooLarge));
}

#[test]
fn no_error_holds_the_secret() {
    for text in [
        format!("{URI}&secret={KEY}"),
        format!("{URI}\n{KEY}"),
        format!("{KEY}1"),
        format!("otpauth://{KEY}"),
        format!("{URI}&digits={KEY}"),
    ] {
        let error = parse_any(&text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(KEY), "{error:?}");
    }
    assert!(!format!("{:?}", parse_any(URI)).contains(KEY));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), data in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_any(&text);
        let _ = parse_any(&format!("otpauth-migration://offline?{text}"));
        let data = data_encoding::BASE64.encode(&data);
        let _ = parse_any(&format!("otpauth-migration://offline?data={data}"));
    }

    #[test]
    fn no_change_to_a_file_makes_the_decoder_panic(
        places in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
    ) {
        for original in [URI_PNG.to_vec(), file(code(URI, 2), ImageFormat::Jpeg)] {
            let mut bytes = original;
            for (place, value) in &places {
                let place = place.index(bytes.len());
                bytes[place] = *value;
            }
            let _ = from_image(&bytes);
        }
    }

    #[test]
    fn no_change_to_a_code_makes_the_reader_panic(
        spots in proptest::collection::vec((0..58u32, 0..58u32, 1..12u32), 1..12),
    ) {
        let mut picture = code(URI, 2);
        let side = picture.width();
        for (x, y, size) in spots {
            for (dx, dy) in (0..size).flat_map(|dx| (0..size).map(move |dy| (dx, dy))) {
                let pixel = picture.get_pixel_mut((2 * x + dx) % side, (2 * y + dy) % side);
                *pixel = Luma([!pixel.0[0]]);
            }
        }
        let _ = from_image(&file(picture, ImageFormat::Png));
    }
}
