//! Lines of otpauth and `otpauth-migration` URIs. It must not know where they come from.

use percent_encoding::percent_decode_str;

use super::migration::Parts;
use super::row::{At, Found, Place, Row, bounded, uuid};
use super::{ImportError, LeftOut, shown_name};
use crate::otp::{MAX_NAME_BYTES, OtpSecret};

/// What a line is.
pub(super) enum Line<'a> {
    /// An otpauth URI.
    Uri(&'a str),
    /// The query of an `otpauth-migration` URI: one part of an export.
    Part(&'a str),
    /// An `otpauth-migration` URI that is none.
    Damaged,
    /// Something else.
    Strange,
}

/// Says what `line` is.
pub(super) fn line(line: &str) -> Line<'_> {
    let line = line.trim();
    if let Some(query) = strip_prefix_ignoring_case(line, "otpauth-migration://offline?") {
        Line::Part(query)
    } else if strip_prefix_ignoring_case(line, "otpauth-migration:").is_some() {
        Line::Damaged
    } else if strip_prefix_ignoring_case(line, "otpauth:").is_some() {
        Line::Uri(line)
    } else {
        Line::Strange
    }
}

/// Whether `text` is a URI of either kind.
pub(super) fn is_uri(text: &str) -> bool {
    !matches!(line(text), Line::Strange)
}

/// The rows of a text of URIs, or of one base32 key. The parts of an export go to `parts`.
pub(super) fn rows(input: usize, text: &str, parts: &mut Parts) -> Result<Vec<Row>, ImportError> {
    if !text.lines().any(is_uri) {
        let place = Place { input, at: At::Line(1 + text.lines().take_while(|line| line.trim().is_empty()).count()) };
        let found = OtpSecret::from_base32(text).map(Found::from).map_err(LeftOut::from);
        return Ok(vec![Row::new(place, &shown_name("", ""), found)]);
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !is_remark(line));
    let lines = lines.map(|(index, line)| (Place { input, at: At::Line(index + 1) }, line));
    rows_of(lines, parts)
}

/// Whether a line says nothing: it is empty, or a comment.
fn is_remark(line: &str) -> bool {
    line.trim().is_empty() || line.trim_start().starts_with('#')
}

/// The rows of texts that are a URI each.
pub(super) fn rows_of<'a>(
    texts: impl Iterator<Item = (Place, &'a str)>,
    parts: &mut Parts,
) -> Result<Vec<Row>, ImportError> {
    let mut rows = Vec::new();
    for (place, text) in texts {
        rows.extend(row(place, text, parts)?);
        bounded(rows.len())?;
    }
    Ok(rows)
}

/// The row of one text; `None` for a part, whose rows come when all parts are there.
fn row(place: Place, text: &str, parts: &mut Parts) -> Result<Option<Row>, ImportError> {
    Ok(match line(text) {
        Line::Uri(uri) => Some(Row::new(place, &label(uri), found(uri))),
        Line::Part(query) => match parts.add(place, query) {
            Ok(()) => None,
            Err(ImportError::TooManyRows) => return Err(ImportError::TooManyRows),
            Err(_) => Some(Row::unnamed(place, LeftOut::Damaged)),
        },
        Line::Damaged => Some(Row::unnamed(place, LeftOut::Damaged)),
        Line::Strange => Some(Row::unnamed(place, LeftOut::Strange)),
    })
}

/// The secret of an otpauth URI. A parameter `uuid` is no part of the "Key Uri Format", but of lists that were made to be
/// imported here.
pub(super) fn found(uri: &str) -> Result<Found, LeftOut> {
    let secret = OtpSecret::from_uri(uri)?;
    let (_, query) = uri.split_once('?').unwrap_or_default();
    let mut values = query.split('&').filter_map(|pair| strip_prefix_ignoring_case(pair, "uuid="));
    let uuid = values.next().map(|text| uuid(text).ok_or(LeftOut::Uuid)).transpose()?;
    Ok(Found { secret, label: None, uuid })
}

/// The name in a URI that cannot be used, safe to show, and not when it could be a misplaced key.
fn label(uri: &str) -> String {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    let label = path.splitn(4, '/').nth(3).unwrap_or_default();
    let label = percent_decode_str(label).decode_utf8_lossy();
    let like_a_key = label.len() >= 16 && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'=');
    if like_a_key || label.len() > MAX_NAME_BYTES { shown_name("", "") } else { shown_name("", &label) }
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}
