//! What a page's form with a picture sends: `multipart/form-data` (RFC 7578), as much of it as browsers write; or, where no
//! picture is needed, what other forms send. All of it is treated as a secret, since the picture may show one.

use super::form::{Form, MAX_FIELDS};
use super::read_body;
use crate::config::BODY_LIMIT;
use crate::error::ApiError;
use crate::memory::connection::Held;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of such a form at most: a photograph of a screen, cut down, has a tenth of it.
pub const UPLOAD_LIMIT: usize = 2 * 1024 * 1024;
/// Characters of what parts are told apart by, RFC 2046 §5.1.1.
const MAX_BOUNDARY: usize = 70;
/// Bytes of a part's own headers at most.
const MAX_HEADERS: usize = 2048;

/// The fields of a form, and what files it carries.
#[derive(Default)]
pub struct Upload {
    fields: Form,
    files: Vec<(String, Zeroizing<Vec<u8>>)>,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("fields", &self.fields).field("files", &self.files.len()).finish()
    }
}

impl Upload {
    /// The fields.
    pub fn fields(&self) -> &Form {
        &self.fields
    }

    /// Takes the file of the field `name` out; `None` when none was chosen.
    pub fn take_file(&mut self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        let at = self.files.iter().position(|(field, _)| field == name)?;
        Some(self.files.swap_remove(at).1)
    }

    fn read(body: &[u8], boundary: &str) -> Option<Self> {
        let mut read = Self::default();
        let mut text = 0;
        for part in parts(body, boundary)? {
            let (headers, content) = split(part, b"\r\n\r\n").filter(|(headers, _)| headers.len() <= MAX_HEADERS)?;
            let (name, is_file) = disposition(std::str::from_utf8(headers).ok()?)?;
            if read.fields.has(&name) || read.files.iter().any(|(known, _)| *known == name) {
                return None;
            }
            if is_file {
                // A field for a file into which none was put.
                if !content.is_empty() {
                    read.files.push((name, Zeroizing::new(content.to_vec())));
                }
            } else {
                text += content.len();
                let content = std::str::from_utf8(content).ok().filter(|_| text <= BODY_LIMIT)?;
                read.fields.add(name, Zeroizing::new(content.to_owned()));
            }
            if read.files.len() + read.fields.count() > MAX_FIELDS {
                return None;
            }
        }
        Some(read)
    }
}

impl<S: Sync> FromRequest<S> for Upload {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Some(boundary) = boundary(request.headers()) else {
            let fields = Form::from_request(request, state).await?;
            return Ok(Self { fields, files: Vec::new() });
        };
        let held = request.extensions().get::<Held>().cloned();
        let body = read_body(request.into_body(), held.as_ref(), UPLOAD_LIMIT).await?;
        Self::read(&body, &boundary)
            .ok_or_else(|| ApiError::bad_request("invalid_body", "the form is not as a browser sends one"))
    }
}

/// By what the parts are told apart.
fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (kind, parameters) = kind.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let (_, value) = parameters.split(';').find_map(|parameter| {
        parameter.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))
    })?;
    let value = value.trim();
    let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte));
    (plain && (1..=MAX_BOUNDARY).contains(&value.len())).then(|| value.to_owned())
}

/// What stands between the boundaries, RFC 2046 §5.1; `None` when the last one is missing.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<&'a [u8]>> {
    let between = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(&between.as_bytes()[2..])?;
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        let (part, more) = split(rest.strip_prefix(b"\r\n")?, between.as_bytes())?;
        if parts.len() == MAX_FIELDS {
            return None;
        }
        parts.push(part);
        rest = more;
    }
}

/// What stands before and after the first `mark`.
fn split<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(mark.len()).position(|window| window[0] == mark[0] && window == mark)?;
    Some((&bytes[..at], &bytes[at + mark.len()..]))
}

/// The name of a part's field, and whether it is one for files.
fn disposition(headers: &str) -> Option<(String, bool)> {
    let of = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition").then(|| value.trim().to_owned())
    };
    let value = headers.split("\r\n").find_map(of)?;
    let mut rest = value.strip_prefix("form-data")?.trim_start();
    let (mut name, mut is_file) = (None, false);
    while let Some(parameter) = rest.strip_prefix(';') {
        let (key, quoted) = parameter.split_once("=\"")?;
        // Browsers write a quotation mark within as %22.
        let (text, more) = quoted.split_once('"')?;
        match key.trim() {
            "name" if name.is_none() => name = Some(text.to_owned()),
            "filename" => is_file = true,
            _ => return None,
        }
        rest = more.trim_start();
    }
    rest.is_empty().then_some(())?;
    Some((name?, is_file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use proptest::prelude::*;

    const PICTURE: &[u8] = b"\x89PNG\r\n\r\n--\r\n--X\0\xff";

    fn body(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (disposition, content) in parts {
            body.extend_from_slice(b"--XYZ\r\nContent-Disposition: form-data; ");
            body.extend_from_slice(disposition.as_bytes());
            body.extend_from_slice(b"\r\nContent-Type: x/y\r\n\r\n");
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--XYZ--\r\n");
        body
    }

    async fn read(kind: &str, body: impl Into<Body>) -> Result<Upload, ApiError> {
        let request = Request::builder().method("POST").header("content-type", kind).body(body.into()).unwrap();
        Upload::from_request(request, &()).await
    }

    #[tokio::test]
    async fn fields_and_files_are_read_as_browsers_write_them() {
        let sent = body(&[
            ("name=\"label\"", "b\u{f8}b".as_bytes()),
            ("name=\"empty\"", b""),
            ("name=\"picture\"; filename=\"name=%22x; y.png\"", PICTURE),
            ("name=\"other\"; filename=\"\"", b""),
        ]);
        for kind in ["multipart/form-data; boundary=XYZ", "Multipart/Form-Data; charset=utf-8; Boundary=\"XYZ\""] {
            let mut upload = read(kind, sent.clone()).await.unwrap();
            assert_eq!((upload.fields().text("label"), upload.fields().text("empty")), ("b\u{f8}b", ""));
            assert!(!format!("{upload:?}").contains("PNG"));
            assert_eq!(upload.take_file("picture").unwrap().as_slice(), PICTURE);
            assert!(upload.take_file("picture").is_none() && upload.take_file("other").is_none());
        }
        let plain = read("application/x-www-form-urlencoded", "label=b").await.unwrap();
        assert_eq!(plain.fields().text("label"), "b");
    }

    #[tokio::test]
    async fn what_no_browser_sends_is_refused() {
        let kind = "multipart/form-data; boundary=XYZ";
        let plain: &[(&str, &[u8])] = &[("name=\"a\"", b"1")];
        let cut = |by: usize| body(plain)[..body(plain).len() - by].to_vec();
        let many: Vec<String> = (0..=MAX_FIELDS).map(|number| format!("name=\"{number}\"")).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
        for (kind, body, status) in [
            ("application/json", b"{}".to_vec(), 415),
            ("multipart/form-data", body(plain), 415),
            ("multipart/form-data; boundary=", body(plain), 415),
            ("multipart/form-data; boundary=a b", body(plain), 415),
            ("multipart/mixed; boundary=XYZ", body(plain), 415),
            (kind, Vec::new(), 400),
            (kind, b"preamble\r\n".iter().copied().chain(body(plain)).collect(), 400),
            (kind, cut(4), 400),
            (kind, cut(9), 400),
            (kind, body(&[("name=\"a\"", b"1"), ("name=\"a\"", b"2")]), 400),
            (kind, body(&[("name=\"a\"; filename=\"x\"", b"1"), ("name=\"a\"; filename=\"x\"", b"2")]), 400),
            (kind, body(&[("filename=\"x\"", b"1")]), 400),
            (kind, body(&[("name=a", b"1")]), 400),
            (kind, body(&[("name=\"a\" x", b"1")]), 400),
            (kind, body(&[("name=\"a\"", b"\xff")]), 400),
            (kind, body(&[("name=\"a\"", &vec![b'x'; BODY_LIMIT + 1])]), 400),
            (kind, body(&many), 400),
            (kind, body(&[("name=\"a\"; filename=\"x\"", &vec![0; UPLOAD_LIMIT])]), 413),
        ] {
            assert_eq!(read(kind, body.clone()).await.unwrap_err().status().as_u16(), status, "{kind}: {body:.60?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..200) {
            let mut sent = body(&[("name=\"a\"", b"1"), ("name=\"b\"; filename=\"c\"", b"2")]);
            let at = at.min(sent.len());
            sent.splice(at..at, bytes);
            let _either = Upload::read(&sent, "XYZ");
        }
    }
}
