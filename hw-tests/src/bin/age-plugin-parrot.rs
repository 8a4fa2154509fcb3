//! A plugin for age that is not age-plugin-yubikey, so that tests can watch `quorate` run one: it asks for a word, and opens
//! what was encrypted to a recipient with the same bytes as the identity. It protects nothing. It must not know quorate.

use std::collections::HashSet;
use std::io;

use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::secrecy::ExposeSecret;
use age_plugin::identity::{self, IdentityPluginV1};
use age_plugin::recipient::{self, RecipientPluginV1};
use age_plugin::{Callbacks, PluginHandler, run_state_machine};
use std::collections::HashMap;

/// The plugin's name, and the type of its stanzas.
const NAME: &str = "parrot";
/// What it wants to hear.
const WORD: &str = "493027";

fn main() -> io::Result<()> {
    let machine = std::env::args().find_map(|argument| argument.strip_prefix("--age-plugin=").map(str::to_owned));
    run_state_machine(&machine.ok_or(io::ErrorKind::InvalidInput)?, Parrot)
}

struct Parrot;

impl PluginHandler for Parrot {
    type RecipientV1 = Birds;
    type IdentityV1 = Birds;

    fn recipient_v1(self) -> io::Result<Birds> {
        Ok(Birds::default())
    }

    fn identity_v1(self) -> io::Result<Birds> {
        Ok(Birds::default())
    }
}

/// The bytes of recipients or identities, in the order that they came.
#[derive(Default)]
struct Birds(Vec<Vec<u8>>);

impl RecipientPluginV1 for Birds {
    fn add_recipient(&mut self, index: usize, name: &str, bytes: &[u8]) -> Result<(), recipient::Error> {
        if name != NAME {
            return Err(recipient::Error::Recipient { index, message: "not of this plugin".to_owned() });
        }
        self.0.push(bytes.to_vec());
        Ok(())
    }

    fn add_identity(&mut self, index: usize, _: &str, _: &[u8]) -> Result<(), recipient::Error> {
        Err(recipient::Error::Identity { index, message: "encrypts to recipients only".to_owned() })
    }

    fn labels(&mut self) -> HashSet<String> {
        HashSet::new()
    }

    fn wrap_file_keys(
        &mut self,
        file_keys: Vec<FileKey>,
        _: impl Callbacks<recipient::Error>,
    ) -> io::Result<Result<Vec<Vec<Stanza>>, Vec<recipient::Error>>> {
        let stanza = |file_key: &FileKey, bird: &Vec<u8>| Stanza {
            tag: NAME.to_owned(),
            args: bird.iter().map(u8::to_string).collect(),
            body: file_key.expose_secret().to_vec(),
        };
        Ok(Ok(file_keys.iter().map(|file_key| self.0.iter().map(|bird| stanza(file_key, bird)).collect()).collect()))
    }
}

impl IdentityPluginV1 for Birds {
    fn add_identity(&mut self, index: usize, name: &str, bytes: &[u8]) -> Result<(), identity::Error> {
        if name != NAME {
            return Err(identity::Error::Identity { index, message: "not of this plugin".to_owned() });
        }
        self.0.push(bytes.to_vec());
        Ok(())
    }

    fn unwrap_file_keys(
        &mut self,
        files: Vec<Vec<Stanza>>,
        mut callbacks: impl Callbacks<identity::Error>,
    ) -> io::Result<HashMap<usize, Result<FileKey, Vec<identity::Error>>>> {
        let mut opened = HashMap::new();
        for (file, stanzas) in files.iter().enumerate() {
            let ours = |stanza: &&Stanza| {
                let bird: Option<Vec<u8>> = stanza.args.iter().map(|byte| byte.parse().ok()).collect();
                stanza.tag == NAME && bird.is_some_and(|bird| self.0.contains(&bird))
            };
            let Some(stanza) = stanzas.iter().find(ours) else { continue };
            let heard = callbacks.request_secret("the word of the parrot")?;
            let body: Result<[u8; FILE_KEY_BYTES], _> = stanza.body.as_slice().try_into();
            let result = match (heard, body) {
                (Ok(heard), Ok(body)) if heard.expose_secret() == WORD => Ok(FileKey::new(Box::new(body))),
                _ => Err(vec![identity::Error::Identity { index: 0, message: "that is not the word".to_owned() }]),
            };
            opened.insert(file, result);
        }
        Ok(opened)
    }
}
