//! The routes of providers of second factors, in the shapes of Secrets Safe: names and types are read here, the options pass
//! as they are, since each type has its own. An oracle shows no secret among them.

use super::{Client, ClientError, MAX_ANSWER, segment};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// A provider. Its fields are read with a capital first letter or a small one, and written with a capital.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Provider {
    /// `totp`, `duo` or `webauthn`.
    #[serde(alias = "type")]
    pub r#type: String,
    /// Unique, compared as it stands, and fixed.
    #[serde(alias = "name")]
    pub name: String,
    /// What the type needs.
    #[serde(default, alias = "options")]
    pub options: Map<String, Value>,
}

/// The options that were read from a file may be secrets.
impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Client {
    /// `GET /system/multi_factor`: every provider, oldest first.
    pub fn providers(&self) -> Result<Vec<Provider>, ClientError> {
        self.read("/system/multi_factor", None, MAX_ANSWER)
    }

    /// `POST /system/multi_factor`: makes a provider.
    pub fn create_provider(&self, provider: &Provider) -> Result<Provider, ClientError> {
        self.json(self.post("/system/multi_factor", provider)?, MAX_ANSWER)
    }

    /// `PUT /system/multi_factor/{name}`: changes the options of the provider of that name. A secret that is left out stays.
    pub fn update_provider(&self, name: &str, provider: &Provider) -> Result<Provider, ClientError> {
        self.json(self.act(Method::PUT, &path_of(name)?, Some(provider))?, MAX_ANSWER)
    }

    /// `DELETE /system/multi_factor/{name}`.
    pub fn remove_provider(&self, name: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &path_of(name)?, None::<&()>).map(drop)
    }
}

fn path_of(name: &str) -> Result<String, ClientError> {
    Ok(format!("/system/multi_factor/{}", segment(name)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_letter_case_is_read_and_capitals_are_written() {
        let text = r#"{"type": "duo", "name": "Duo", "options": {"SecretKey": "hunter2"}}"#;
        let small: Provider = serde_json::from_str(text).expect("small letters");
        let capital: Provider =
            serde_json::from_str(&text.replace("type", "Type").replace("name", "Name").replace("options", "Options"))
                .expect("capitals");
        assert_eq!(small, capital);
        let written = serde_json::to_string(&small).expect("plain data");
        assert_eq!(written, r#"{"Type":"duo","Name":"Duo","Options":{"SecretKey":"hunter2"}}"#);
        assert_eq!(format!("{small:?}"), "Provider { name: \"Duo\", .. }");
        let bare: Provider = serde_json::from_str(r#"{"Type": "totp", "Name": "T"}"#).expect("no options");
        assert!(bare.options.is_empty());
    }
}
