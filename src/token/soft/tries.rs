//! How many wrong codes a soft token still bears, as its file has it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// At most `ALL`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::token) struct Tries<const ALL: u8 = 3>(u8);

impl<const ALL: u8> Tries<ALL> {
    pub(in crate::token) const ALL: Self = Self(ALL);
    pub(in crate::token) const NONE: Self = Self(0);

    pub(in crate::token) fn count(self) -> u8 {
        self.0
    }

    /// One fewer; `None` when there is none.
    pub(in crate::token) fn take(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }
}

impl<const ALL: u8> Serialize for Tries<ALL> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0)
    }
}

impl<'de, const ALL: u8> Deserialize<'de> for Tries<ALL> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let count = u8::deserialize(deserializer)?;
        if count <= ALL { Ok(Self(count)) } else { Err(de::Error::custom("no token has so many tries")) }
    }
}
