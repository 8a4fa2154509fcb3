//! JSON that means one thing: duplicate keys are refused at every depth, as is anything after the value.
//!
//! Two readers that keep different ones of two equal keys can be made to disagree about what was signed.

use serde::de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// Why a text is not acceptable JSON. Never repeats the text: it may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// A key stands twice in one object.
    #[error("a key stands twice in one JSON object")]
    DuplicateKey,
    /// Not JSON, or not of the expected shape.
    #[error("not the JSON expected here (line {line}, column {column})")]
    Shape {
        /// Line of the error, from 1.
        line: usize,
        /// Column of the error, from 1 (0 when the line is empty).
        column: usize,
    },
}

/// Reads a value of type `T` from `bytes`, refusing duplicate keys.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    NoDuplicates
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| from_serde(&error))?;
    serde_json::from_slice(bytes).map_err(|error| from_serde(&error))
}

const DUPLICATE: &str = "duplicate key";

fn from_serde(error: &serde_json::Error) -> JsonError {
    if error.is_data() && error.to_string().starts_with(DUPLICATE) {
        return JsonError::DuplicateKey;
    }
    JsonError::Shape { line: error.line(), column: error.column() }
}

/// Walks a value and keeps nothing but the keys of the objects it is in. Depth is bounded by `serde_json` (128).
struct NoDuplicates;

impl<'de> DeserializeSeed<'de> for NoDuplicates {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NoDuplicates {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(NoDuplicates)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if !keys.insert(key) {
                return Err(de::Error::custom(DUPLICATE));
            }
            map.next_value_seed(NoDuplicates)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn duplicates_are_refused_at_every_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"b":[{"a":1,"a":2}]}"#, r#"{"a":1,"\u0061":2}"#] {
            assert_eq!(from_slice::<Value>(text.as_bytes()), Err(JsonError::DuplicateKey), "{text}");
        }
    }

    #[test]
    fn what_follows_the_value_is_refused() {
        assert!(from_slice::<Value>(b"{} {}").is_err());
        assert!(from_slice::<Value>(b"").is_err());
        assert_eq!(
            from_slice::<Value>(b" {\"a\": [1, null, true, \"x\", 1.5]} ").map(|v| v["a"][0].as_i64()),
            Ok(Some(1))
        );
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = "[".repeat(100_000);
        assert!(matches!(from_slice::<Value>(deep.as_bytes()), Err(JsonError::Shape { .. })));
    }
}
