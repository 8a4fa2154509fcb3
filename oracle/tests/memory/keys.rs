//! What only the oracle's operator could find out: the private half of a session's TEK, opened from the database with the
//! root secret and the applicant's KEK. Written from the specification, not with the service's code.

use quorate_oracle::keys::RootSecret;
use quorate_oracle::service::at_rest::{AtRest, Place};
use quorate_protocol::encoding::{Base64, from_base64, length_prefixed};
use quorate_protocol::invite::Invite;
use quorate_protocol::session::{Kek, Tek};
use rusqlite::{Connection, OpenFlags, Row};
use serde::Deserialize;
use std::path::Path;

/// The operator's view of an oracle's state.
pub struct Operator {
    database: Connection,
    at_rest: AtRest,
}

#[derive(Deserialize)]
struct Record {
    tek_sealed: Base64,
}

impl Operator {
    pub fn of(state: &Path) -> Self {
        let database = Connection::open_with_flags(state.join("quorate.db"), OpenFlags::SQLITE_OPEN_READ_ONLY);
        Self { database: database.expect("a database"), at_rest: AtRest::new(at_rest_key(state).into()) }
    }

    /// The TEK of an open session: 32 raw bytes, and as age writes them.
    pub fn tek(&self, invite: &Invite, kek: &str) -> ([u8; 32], String) {
        use age::secrecy::ExposeSecret as _;
        let id = &invite.fields().session;
        let query = "SELECT purpose, created_at, expires_at, ttl, max_codes, group_fp, cancel_hash, view_hash, sealed
                     FROM sessions WHERE id = $1";
        let (fixed, sealed) =
            self.database.query_row(query, [id], |row| Ok((fixed(row)?, row.get(8)?))).expect("a row");
        let sealed: Vec<u8> = sealed;
        let place = Place { table: "sessions", row: &[id.as_bytes(), &fixed], column: "sealed" };
        let record = self.at_rest.open(place, &sealed).expect("the record opens under the root secret");
        let Record { tek_sealed } = serde_json::from_slice(&record).expect("JSON");
        let kek = Kek::from_base64(kek).expect("a KEK");
        let tek = Tek::open(&tek_sealed.0, &kek, id, &invite.fields().tek, &invite.digest()).expect("the KEK opens it");
        let text = tek.identity().to_string().expose_secret().to_owned();
        (raw(&text), text)
    }
}

/// The key that the oracle seals rows with, and holds for as long as it lives.
pub fn at_rest_key(state: &Path) -> [u8; 32] {
    let text = std::fs::read_to_string(state.join("root.secret")).expect("the root secret");
    *RootSecret::parse(text.trim(), "root.secret").expect("base64").subkey("at rest")
}

/// The root secret itself.
pub fn root_secret(state: &Path) -> Vec<u8> {
    let text = std::fs::read_to_string(state.join("root.secret")).expect("the root secret");
    from_base64(text.trim()).expect("base64").to_vec()
}

/// The columns that a record is bound to.
fn fixed(row: &Row<'_>) -> rusqlite::Result<Vec<u8>> {
    let purpose: &[u8] = if row.get::<_, i64>(0)? == 0 { b"code" } else { b"redeal" };
    let mut numbers = Vec::new();
    for column in 1..=4 {
        numbers.extend(row.get::<_, Option<i64>>(column)?.unwrap_or(0).to_be_bytes());
    }
    let blob = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<Vec<u8>>>(column)?.unwrap_or_default());
    Ok(length_prefixed(&[purpose, &numbers, &blob(5)?, &blob(6)?, &blob(7)?]))
}

/// The 32 bytes of an age identity's text.
fn raw(identity: &str) -> [u8; 32] {
    let mut specification = data_encoding::Specification::new();
    specification.symbols.push_str("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L");
    specification.check_trailing_bits = false;
    let data = identity.strip_prefix("AGE-SECRET-KEY-1").expect("age's prefix");
    // Six letters of checksum at the end.
    let encoding = specification.encoding().expect("32 different letters");
    let bytes = encoding.decode(&data.as_bytes()[..data.len() - 6]).expect("bech32");
    bytes.try_into().expect("32 bytes")
}
