//! What a page's form sends: named texts. All of them are treated as secrets, since some of them are.

use super::read_body;
use crate::config::BODY_LIMIT;
use crate::error::ApiError;
use crate::memory::connection::Held;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use std::fmt;
use zeroize::Zeroizing;

/// Fields that are read of a form at most; no page has as many.
pub(super) const MAX_FIELDS: usize = 64;

/// The fields of a form, as `application/x-www-form-urlencoded`.
#[derive(Default)]
pub struct Form(Vec<(String, Zeroizing<String>)>);

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Form {
    /// What was typed into the field `name`; empty when there is none.
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str())
    }

    /// The same, where an empty field says nothing.
    pub fn given(&self, name: &str) -> Option<Zeroizing<String>> {
        Some(self.text(name)).filter(|text| !text.is_empty()).map(|text| Zeroizing::new(text.to_owned()))
    }

    /// A code as people type it: without white space.
    pub fn code(&self, name: &str) -> Option<Zeroizing<String>> {
        let mut code = self.given(name)?;
        code.retain(|c| !c.is_whitespace());
        (!code.is_empty()).then_some(code)
    }

    fn read(body: &[u8]) -> Option<Self> {
        let mut form = Self::default();
        for (name, value) in url::form_urlencoded::parse(body) {
            let (name, value) = (name.into_owned(), Zeroizing::new(value.into_owned()));
            if form.count() == MAX_FIELDS || form.has(&name) {
                return None;
            }
            form.add(name, value);
        }
        Some(form)
    }

    /// Adds a field that is not there.
    pub(super) fn add(&mut self, name: String, value: Zeroizing<String>) {
        self.0.push((name, value));
    }

    /// Whether there is such a field.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// How many fields there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

impl<S: Sync> FromRequest<S> for Form {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let kind =
            request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let message = "this is for the forms of the oracle's pages; programs have routes of their own";
            return Err(ApiError::new(
                axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                message,
            ));
        }
        let held = request.extensions().get::<Held>().cloned();
        let body = read_body(request.into_body(), held.as_ref(), BODY_LIMIT).await?;
        Self::read(&body)
            .ok_or_else(|| ApiError::bad_request("invalid_body", "the form has a field twice, or too many"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    async fn read(kind: &str, body: impl Into<Body>) -> Result<Form, ApiError> {
        let request = Request::builder().method("POST").header("content-type", kind).body(body.into()).unwrap();
        Form::from_request(request, &()).await
    }

    #[tokio::test]
    async fn fields_are_read_as_browsers_write_them() {
        let kind = "application/x-www-form-urlencoded; charset=UTF-8";
        let form = read(kind, "name=b%C3%B8b+x&code=+12%0934+&empty=").await.unwrap();
        assert_eq!((form.text("name"), form.text("empty"), form.text("none")), ("bøb x", "", ""));
        assert_eq!(form.code("code").unwrap().as_str(), "1234");
        assert!(form.given("empty").is_none() && form.code("none").is_none());
        let shown = format!("{form:?}");
        assert!(shown.contains("code") && !shown.contains("12"), "{shown}");
    }

    #[tokio::test]
    async fn what_no_page_sends_is_refused() {
        let urlencoded = "application/x-www-form-urlencoded";
        for (kind, body, status) in [
            ("application/json", "{}".to_owned(), 415),
            ("text/plain", "a=1".to_owned(), 415),
            ("multipart/form-data; boundary=x", String::new(), 415),
            (urlencoded, "a=1&a=2".to_owned(), 400),
            (urlencoded, ('Ā'..).take(65).flat_map(|name| [name, '&']).collect(), 400),
            (urlencoded, format!("a={}", "x".repeat(BODY_LIMIT)), 413),
        ] {
            assert_eq!(read(kind, body).await.unwrap_err().status().as_u16(), status, "{kind}");
        }
        let broken = futures_util::stream::iter([Ok(vec![b'a']), Err(std::io::Error::other("gone"))]);
        assert_eq!(read(urlencoded, Body::from_stream(broken)).await.unwrap_err().code(), "incomplete_body");
    }
}
