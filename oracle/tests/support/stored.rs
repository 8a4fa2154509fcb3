//! What whoever has the files of an embedded database sees in them.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use std::path::Path;

/// All bytes of a database and of its log.
pub struct Stored(Vec<u8>);

impl Stored {
    /// Of the oracle whose state is in `folder`.
    pub fn read(folder: &Path) -> Self {
        let mut stored = Vec::new();
        for name in ["quorate.db", "quorate.db-wal"] {
            stored.extend(std::fs::read(folder.join(name)).expect("a file of a database that is open"));
        }
        let stored = Self(stored);
        // Every row's keyed hash is there as it is: the search looks where the rows are.
        let database = rusqlite::Connection::open(folder.join("quorate.db")).expect("the database");
        let mut ids = database
            .prepare("SELECT id FROM api_keys UNION ALL SELECT id FROM totps UNION ALL SELECT hash FROM tickets")
            .expect("columns");
        let ids = ids.query_map([], |row| row.get::<_, Vec<u8>>(0)).expect("rows");
        let ids: Vec<_> = ids.collect::<Result<_, _>>().expect("bytes");
        assert!(!ids.is_empty() && ids.iter().all(|id| stored.holds(id)), "what is stored is found");
        stored
    }

    fn holds(&self, bytes: &[u8]) -> bool {
        self.0.windows(bytes.len()).any(|window| window == bytes)
    }

    /// Fails when they are there as they are, as hex, as base64 or as base64url.
    pub fn assert_lacks(&self, what: &str, bytes: &[u8]) {
        assert!(bytes.len() >= 8, "{what} could be there by chance");
        assert!(!self.holds(bytes), "{what}");
        for encoding in [HEXLOWER, HEXUPPER, BASE64_NOPAD, BASE64URL_NOPAD] {
            assert!(!self.holds(encoding.encode(bytes).as_bytes()), "{what}, encoded");
        }
    }

    /// The same of a UUID, as text and as its 16 bytes.
    pub fn assert_lacks_uuid(&self, what: &str, uuid: &str) {
        let raw = HEXLOWER.decode(uuid.replace('-', "").as_bytes()).expect("a UUID in small letters");
        assert_eq!(raw.len(), 16, "{uuid}");
        self.assert_lacks(what, uuid.as_bytes());
        self.assert_lacks(what, &raw);
    }
}
