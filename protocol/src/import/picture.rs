//! QR codes in pictures: PNG or JPEG bytes in, texts out. It knows nothing of secrets, except that what it reads may
//! be one.

use std::io::Cursor;
use std::ops::{Deref, DerefMut};
use std::panic::resume_unwind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use image::{DynamicImage, GenericImageView as _, ImageDecoder as _, ImageError, ImageFormat, ImageReader, Luma, Rgba};
use zeroize::{Zeroize as _, Zeroizing};

use super::ImportError;

/// Largest file, in bytes.
const MAX_FILE_BYTES: usize = 32 * 1024 * 1024;
/// Longest side, in pixels.
const MAX_SIDE: u32 = 8192;
/// Most pixels: a photograph of 24 megapixels fits.
const MAX_PIXELS: u64 = 25_000_000;
/// Most memory for the decoded picture, in bytes: 16-bit colour with transparency at a third of [`MAX_PIXELS`].
const MAX_DECODED_BYTES: u64 = 100_000_000;
/// Pictures up to this side, in pixels, are also tried enlarged: made by a program, one pixel to a module.
const SMALL_SIDE: u32 = 400;
const ENLARGEMENT: u32 = 4;
/// Longest content of a QR code, in bytes: version 40, digits only.
const MAX_CODE_BYTES: usize = 7089;

/// Time for the search. It takes a fraction of a second, but grows with the cube of the corner marks that it finds, and
/// a small picture has room for thousands of them.
const PATIENCE: Duration = Duration::from_secs(10);

/// The texts of all readable QR codes in a picture; at least one.
pub(super) fn codes(bytes: &[u8]) -> Result<Vec<Zeroizing<String>>, ImportError> {
    codes_within(bytes, PATIENCE)
}

/// As [`codes`], giving up the search after `patience`. The library cannot be interrupted, so that the search is then
/// left to itself, with its own copy of the picture, until it or the process ends.
fn codes_within(bytes: &[u8], patience: Duration) -> Result<Vec<Zeroizing<String>>, ImportError> {
    let grey = decode(bytes, MAX_PIXELS)?;
    let (answer, found) = mpsc::sync_channel(1);
    let search = thread::spawn(move || {
        // If nobody waits for it any more, what was found is wiped.
        let _late = answer.send(search(&grey));
    });
    match found.recv_timeout(patience) {
        Ok(codes) => codes,
        Err(RecvTimeoutError::Timeout) => Err(ImportError::TooIntricate),
        Err(RecvTimeoutError::Disconnected) => {
            resume_unwind(search.join().expect_err("a search that ends without an answer has panicked"))
        }
    }
}

/// The same of a picture of at most `pixels`, for as long as it takes.
pub(super) fn codes_of(bytes: &[u8], pixels: u64) -> Result<Vec<Zeroizing<String>>, ImportError> {
    search(&decode(bytes, pixels.min(MAX_PIXELS))?)
}

fn search(grey: &Grey) -> Result<Vec<Zeroizing<String>>, ImportError> {
    let mut found = false;
    for view in views(grey) {
        let (texts, grids) = read(view);
        if !texts.is_empty() {
            return Ok(texts);
        }
        found |= grids > 0;
    }
    Err(if found { ImportError::UnreadableCode } else { ImportError::NoCode })
}

/// Grey pixels that are wiped: they show the secret to whoever can scan.
type Grey = image::ImageBuffer<Luma<u8>, Pixels>;

#[derive(Clone)]
struct Pixels(Zeroizing<Vec<u8>>);

impl Deref for Pixels {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Pixels {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// Decodes a picture within the limits, which are checked on its header before a pixel is unpacked.
fn decode(bytes: &[u8], pixels: u64) -> Result<Grey, ImportError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(ImportError::PictureTooLarge);
    }
    let format = image::guess_format(bytes).ok();
    let Some(format) = format.filter(|format| matches!(format, ImageFormat::Png | ImageFormat::Jpeg)) else {
        return Err(ImportError::NotAPicture);
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits());
    let mut decoder = reader.into_decoder().map_err(|error| refusal(&error))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > pixels || decoder.total_bytes() > MAX_DECODED_BYTES {
        return Err(ImportError::PictureTooLarge);
    }
    decoder.set_limits(limits()).map_err(|error| refusal(&error))?;
    let picture = DynamicImage::from_decoder(decoder).map_err(|error| refusal(&error))?;
    let grey = grey(width, height, |x, y| on_white(picture.get_pixel(x, y)));
    picture.into_bytes().zeroize();
    Ok(grey)
}

fn limits() -> image::Limits {
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(2 * MAX_DECODED_BYTES);
    limits
}

/// The library's messages may quote bytes of the file, so only the kind is kept.
fn refusal(error: &ImageError) -> ImportError {
    match error {
        ImageError::Limits(_) => ImportError::PictureTooLarge,
        _ => ImportError::DamagedPicture,
    }
}

fn grey(width: u32, height: u32, value: impl Fn(u32, u32) -> u8) -> Grey {
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| value(x, y));
    let mut buffer = Zeroizing::new(Vec::with_capacity(width as usize * height as usize));
    buffer.extend(pixels);
    Grey::from_raw(width, height, Pixels(buffer)).expect("the buffer has a byte for every pixel")
}

/// Luminance (ITU-R BT.601) over white, as a page would show a transparent picture.
fn on_white(Rgba([red, green, blue, alpha]): Rgba<u8>) -> u8 {
    let [red, green, blue, alpha] = [red, green, blue, alpha].map(u32::from);
    let luminance = (299 * red + 587 * green + 114 * blue) / 1000;
    let shown = (luminance * alpha + 255 * (255 - alpha)) / 255;
    u8::try_from(shown).expect("a mean of bytes is a byte")
}

/// The picture as it is, enlarged if it is tiny, and with dark and light exchanged, as screens in dark mode show codes.
fn views(grey: &Grey) -> impl Iterator<Item = Grey> {
    let small = grey.width().max(grey.height()) <= SMALL_SIDE;
    let scales = [1, ENLARGEMENT].into_iter().take(if small { 2 } else { 1 });
    [0, 255].into_iter().flat_map(move |flip| scales.clone().map(move |scale| (flip, scale))).map(|(flip, scale)| {
        self::grey(grey.width() * scale, grey.height() * scale, |x, y| grey.get_pixel(x / scale, y / scale).0[0] ^ flip)
    })
}

/// The texts that can be read, and how many codes there seem to be.
fn read(view: Grey) -> (Vec<Zeroizing<String>>, usize) {
    let mut prepared = rqrr::PreparedImage::prepare(view);
    let grids = prepared.detect_grids();
    let mut texts = Vec::new();
    for grid in &grids {
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_CODE_BYTES));
        if grid.decode_to(&mut *bytes).is_ok()
            && let Ok(text) = std::str::from_utf8(&bytes)
        {
            texts.push(Zeroizing::new(text.to_owned()));
        }
    }
    (texts, grids.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing but the corner marks of QR codes, 8 pixels apart.
    fn tiled_with_corner_marks(side: u32) -> Vec<u8> {
        let dark = |x: u32, y: u32| match x.abs_diff(3).max(y.abs_diff(3)) {
            0 | 1 | 3 => x < 7 && y < 7,
            _ => false,
        };
        let picture = image::GrayImage::from_fn(side, side, |x, y| Luma([if dark(x % 8, y % 8) { 0 } else { 255 }]));
        let mut file = Vec::new();
        picture.write_to(&mut Cursor::new(&mut file), ImageFormat::Png).unwrap();
        file
    }

    #[test]
    fn a_picture_that_would_take_for_ever_is_given_up() {
        let file = tiled_with_corner_marks(SMALL_SIDE);
        assert_eq!(codes_within(&file, Duration::from_millis(200)), Err(ImportError::TooIntricate));
        assert_eq!(codes_of(&file, u64::from(SMALL_SIDE)), Err(ImportError::PictureTooLarge));
        // A few of the marks are no trouble: they only make no code.
        assert_eq!(codes(&tiled_with_corner_marks(8)), Err(ImportError::NoCode));
    }
}
