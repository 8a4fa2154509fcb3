//! Searching the memory of another process for any of many secrets at once, in every form in which a program could hold
//! them. It must not know where the secrets come from.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Bytes that are looked up at once; no piece is shorter.
const WINDOW: usize = 8;
/// Bits of the table that most windows fail.
const FILTER_BITS: u32 = 22;
/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// What is searched for.
pub struct Secrets {
    pieces: Vec<Piece>,
    by_window: HashMap<u64, Vec<usize>>,
    filter: Vec<u64>,
}

struct Piece {
    bytes: Vec<u8>,
    what: &'static str,
    form: &'static str,
}

/// What was found where: kind of secret, form, kind of memory.
pub type Found = BTreeSet<(String, String)>;

impl Default for Secrets {
    fn default() -> Self {
        Self { pieces: Vec::new(), by_window: HashMap::new(), filter: vec![0; 1 << (FILTER_BITS - 6)] }
    }
}

impl Secrets {
    /// How many pieces are searched for.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Takes over what another client knows.
    pub fn extend(&mut self, other: Self) {
        for Piece { bytes, what, form } in other.pieces {
            self.piece(what, form, &bytes);
        }
    }

    /// `key` as age would write an identity, but for the checksum.
    pub fn identity(key: &[u8; 32]) -> String {
        format!("AGE-SECRET-KEY-1{}QQQQQQ", bech32_data(key).to_ascii_uppercase())
    }

    /// A secret of at least 16 bytes: raw, base64, base64url (both at each of the three places where it can stand in a
    /// longer value), bech32 in either case. Either half is enough to be found.
    pub fn bytes(&mut self, what: &'static str, secret: &[u8]) {
        assert!(secret.len() >= 2 * WINDOW, "{what} is too short to be told from chance");
        self.halves(what, "raw", secret);
        for start in 0..3 {
            let whole = &secret[start..];
            let whole = &whole[..whole.len() / 3 * 3];
            let text = STANDARD.encode(whole);
            self.halves(what, "base64", text.as_bytes());
            let url_text = URL_SAFE.encode(whole);
            if url_text != text {
                self.halves(what, "base64url", url_text.as_bytes());
            }
        }
        let bech32 = bech32_data(secret);
        self.halves(what, "bech32", bech32.as_bytes());
        self.halves(what, "bech32 in capitals", bech32.to_ascii_uppercase().as_bytes());
    }

    /// A secret text, as it is.
    pub fn text(&mut self, what: &'static str, secret: &str) {
        self.halves(what, "text", secret.as_bytes());
    }

    fn halves(&mut self, what: &'static str, form: &'static str, whole: &[u8]) {
        let (first, second) = whole.split_at(whole.len() / 2);
        self.piece(what, form, first);
        self.piece(what, form, second);
    }

    fn piece(&mut self, what: &'static str, form: &'static str, bytes: &[u8]) {
        let window = u64::from_ne_bytes(bytes[..WINDOW].try_into().expect("no piece is shorter"));
        let (word, bit) = filter_place(window);
        self.filter[word] |= bit;
        self.by_window.entry(window).or_default().push(self.pieces.len());
        self.pieces.push(Piece { bytes: bytes.to_vec(), what, form });
    }

    /// All of them that lie in the memory of `process`, and every age identity, whosever it is.
    pub fn in_memory_of(&self, process: u32) -> Found {
        let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).expect("the process lives");
        let memory = File::open(format!("/proc/{process}/mem")).expect("its memory may be read");
        let longest = self.pieces.iter().map(|piece| piece.bytes.len()).max().unwrap_or(WINDOW).max(64);
        let (mut found, mut read) = (Found::new(), 0);
        let mut chunk = vec![0; CHUNK + longest];
        for region in maps.lines().filter_map(Region::of) {
            let mut at = region.from;
            while at < region.to {
                let length = usize::try_from(region.to - at).unwrap_or(usize::MAX).min(chunk.len());
                // Guard pages and the like cannot be read.
                if memory.read_exact_at(&mut chunk[..length], at).is_err() {
                    break;
                }
                self.in_bytes(&chunk[..length], region.name, &mut found);
                read += length;
                at += CHUNK as u64;
            }
        }
        assert!(read > 1024 * 1024, "only {read} bytes of the oracle's memory could be read");
        found
    }

    fn in_bytes(&self, bytes: &[u8], place: &str, found: &mut Found) {
        for (at, window) in bytes.windows(WINDOW).enumerate() {
            let window: [u8; WINDOW] = window.try_into().expect("windows have their length");
            let number = u64::from_ne_bytes(window);
            let (word, bit) = filter_place(number);
            if self.filter[word] & bit != 0
                && let Some(candidates) = self.by_window.get(&number)
            {
                for piece in candidates.iter().map(|&i| &self.pieces[i]) {
                    if bytes[at..].starts_with(&piece.bytes) {
                        found.insert((format!("{}, {}", piece.what, piece.form), place.to_owned()));
                    }
                }
            }
            if window.eq_ignore_ascii_case(b"age-secr") && is_identity(&bytes[at..]) {
                found.insert(("an age identity".to_owned(), place.to_owned()));
            }
        }
    }
}

/// More than the prefix, which stands in the program itself.
fn is_identity(bytes: &[u8]) -> bool {
    const PREFIX: usize = "AGE-SECRET-KEY-1".len();
    bytes.len() >= PREFIX + 16
        && bytes[..PREFIX].eq_ignore_ascii_case(b"AGE-SECRET-KEY-1")
        && bytes[PREFIX..PREFIX + 16].iter().all(u8::is_ascii_alphanumeric)
}

fn filter_place(window: u64) -> (usize, u64) {
    let hash = window.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS);
    (usize::try_from(hash >> 6).expect("a few bits"), 1 << (hash & 63))
}

/// `bytes` as bech32 writes them, without prefix and checksum.
fn bech32_data(bytes: &[u8]) -> String {
    let mut specification = data_encoding::Specification::new();
    specification.symbols.push_str("qpzry9x8gf2tvdw0s3jn54khce6mua7l");
    specification.encoding().expect("32 different letters").encode(bytes)
}

struct Region<'a> {
    from: u64,
    to: u64,
    name: &'a str,
}

impl<'a> Region<'a> {
    /// Of a line of `maps`; none for what cannot be read, and for the kernel's own pages.
    fn of(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (range, rights) = (words.next()?, words.next()?);
        let name = words.nth(3).unwrap_or("anonymous memory");
        if !rights.starts_with('r') || name.starts_with("[v") {
            return None;
        }
        let (from, to) = range.split_once('-')?;
        let number = |hex| u64::from_str_radix(hex, 16).ok();
        Some(Self { from: number(from)?, to: number(to)?, name })
    }
}
