//! Bodies as the handlers of serverless-mfa-api read them, so that its clients work unchanged: of any content type, an
//! empty body for `{}`, and a field of another kind for a missing one. PHP writes whatever has no entries as `[]`, so that
//! is `{}`, too.
//!
//! Reading another content type is safe where the request must carry a header that no foreign page can send, or the
//! credentials themselves.

use super::read_body;
use crate::config::BODY_LIMIT;
use crate::error::ApiError;
use crate::memory::connection::Held;
use axum::extract::{FromRequest, Request};
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use zeroize::Zeroizing;

/// A JSON body of such a client. Its bytes are treated as those of [`super::SensitiveJson`].
#[derive(Debug, Clone, Copy, Default)]
pub struct LenientJson<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for LenientJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let held = request.extensions().get::<Held>().cloned();
        let body = read_body(request.into_body(), held.as_ref(), BODY_LIMIT).await?;
        let body = body.trim_ascii();
        let nothing = body.is_empty() || (body[0] == b'[' && serde_json::from_slice::<[IgnoredAny; 0]>(body).is_ok());
        let body = if nothing { b"{}" } else { body };
        let failed = |error| super::json_error(&error);
        if !body.starts_with(b"{") {
            // A list with entries would be read as the fields in their order.
            serde_json::from_slice::<IgnoredAny>(body).map_err(failed)?;
            return Err(ApiError::bad_request("invalid_body", "the body is not a JSON object"));
        }
        serde_json::from_slice(body).map(Self).map_err(failed)
    }
}

/// A field that should be text. Whatever else it is counts as missing, and so does empty text.
#[derive(Default)]
pub struct Text(Option<Zeroizing<String>>);

impl Text {
    /// The text, unless it is missing.
    pub fn given(self) -> Option<Zeroizing<String>> {
        self.0.filter(|text| !text.is_empty())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Text(…)" } else { "Text(none)" })
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyKind).map(Self)
    }
}

/// A one-time code: text in which white space does not count, for phones show codes in groups. A number counts as missing: it
/// has lost its leading zeros.
#[derive(Default)]
pub struct CodeText(Option<Zeroizing<String>>);

impl CodeText {
    /// The code without white space, unless it is missing.
    pub fn given(self) -> Option<Zeroizing<String>> {
        let mut code = self.0?;
        code.retain(|c| !c.is_whitespace());
        (!code.is_empty()).then_some(code)
    }
}

impl fmt::Debug for CodeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeText(…)")
    }
}

impl<'de> Deserialize<'de> for CodeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyKind).map(Self)
    }
}

/// Takes text; everything else is read over.
struct AnyKind;

impl<'de> Visitor<'de> for AnyKind {
    type Value = Option<Zeroizing<String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Zeroizing::new(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Some(Zeroizing::new(text)))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[derive(Debug, Deserialize)]
    struct Fields {
        #[serde(default)]
        email: Text,
        #[serde(default)]
        code: CodeText,
    }

    async fn read(content_type: &str, body: &str) -> Result<(Option<String>, Option<String>), ApiError> {
        let request = Request::builder().header("content-type", content_type).body(Body::from(body.to_owned()));
        let LenientJson(fields) = LenientJson::<Fields>::from_request(request.unwrap(), &()).await?;
        Ok((fields.email.given().map(|text| text.to_string()), fields.code.given().map(|text| text.to_string())))
    }

    #[tokio::test]
    async fn what_is_not_text_is_missing() {
        for body in [
            "",
            "  \n",
            "{}",
            "[]",
            "\t[ \n] ",
            r#"{"email":""}"#,
            r#"{"email":7,"code":-7}"#,
            r#"{"email":"","code":807334}"#,
            r#"{"code":" \u00a0\t"}"#,
            r#"{"email":null,"code":1.5}"#,
            r#"{"email":["a",{"b":1}],"code":{"c":[true]}}"#,
            r#"{"email":false,"code":true}"#,
        ] {
            assert_eq!(read("application/json", body).await.unwrap(), (None, None), "{body}");
        }
    }

    #[tokio::test]
    async fn text_is_taken_from_any_content_type_and_a_code_without_its_spaces() {
        for content_type in ["application/json", "text/plain", "application/x-www-form-urlencoded"] {
            let read = read(content_type, r#"{"email":"a@b","code":" 012 345\n","more":[1]}"#).await.unwrap();
            assert_eq!(read, (Some("a@b".to_owned()), Some("012345".to_owned())));
        }
    }

    #[tokio::test]
    async fn what_is_not_a_json_object_is_refused() {
        let deep = "[".repeat(100_000);
        for (body, code) in [
            ("{", "invalid_json"),
            ("[", "invalid_json"),
            ("nonsense", "invalid_json"),
            ("\u{feff}{}", "invalid_json"),
            (deep.as_str(), "invalid_json"),
            ("[]{}", "invalid_json"),
            ("[{}]", "invalid_body"),
            (r#"["a@b"]"#, "invalid_body"),
            (r#"["a@b","123456"]"#, "invalid_body"),
            ("null", "invalid_body"),
            ("\"text\"", "invalid_body"),
            (r#"{"email":"a","email":"b"}"#, "invalid_body"),
        ] {
            assert_eq!(read("application/json", body).await.unwrap_err().code(), code, "{body:.20}");
        }
    }
}
