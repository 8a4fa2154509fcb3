//! Lines of an export, plain or gzip by what the file begins with, never longer than a bound. Knows no record.

use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _};
use std::path::Path;

/// Bytes of a line at most. An item of `DynamoDB` has 400 KiB, of which bytes are a third longer in an export.
pub const MAX_LINE: usize = 1024 * 1024;
/// What a gzip file begins with (RFC 1952 §2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Why a line cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The file, or what it was compressed from, ends too soon, or the disk fails.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It never ends.
    #[error("is longer than any record (1 MiB)")]
    TooLong,
    /// A pipe or a folder.
    #[error("is not a file: exports are read twice, so they must be")]
    NotAFile,
}

/// The lines of one file.
pub struct Lines {
    input: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    /// Opens a file.
    pub fn open(path: &Path) -> Result<Self, LineError> {
        let mut file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(LineError::NotAFile);
        }
        let mut begin = Vec::with_capacity(GZIP.len());
        (&mut file).take(GZIP.len() as u64).read_to_end(&mut begin)?;
        file.rewind()?;
        let file = BufReader::with_capacity(64 * 1024, file);
        let input: Box<dyn BufRead> = if begin == GZIP {
            Box::new(BufReader::with_capacity(64 * 1024, MultiGzDecoder::new(file)))
        } else {
            Box::new(file)
        };
        Ok(Self { input, line: Vec::new(), number: 0 })
    }

    /// The number of the line that was read last, or could not be; 0 before the first.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next line that is not blank, without its end.
    pub fn next(&mut self) -> Result<Option<&[u8]>, LineError> {
        loop {
            self.line.clear();
            self.number += 1;
            let read = (&mut self.input).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut self.line)?;
            if self.line.len() > MAX_LINE {
                return Err(LineError::TooLong);
            }
            if read == 0 {
                return Ok(None);
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some(self.line.trim_ascii()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Lines with their numbers.
    type Numbered = Vec<(u64, Vec<u8>)>;

    fn all(bytes: &[u8]) -> (Numbered, Result<(), String>) {
        let file = file(bytes);
        let (mut lines, mut read) = (Lines::open(file.path()).unwrap(), Vec::new());
        loop {
            match lines.next().map(|line| line.map(<[u8]>::to_vec)) {
                Ok(Some(line)) => read.push((lines.number(), line)),
                Ok(None) => return (read, Ok(())),
                Err(error) => return (read, Err(format!("{} {error}", lines.number()))),
            }
        }
    }

    #[test]
    fn lines_come_plain_and_compressed() {
        let text = b"one\r\n\n  two \nthree";
        let expected = [(1, &b"one"[..]), (3, b"two"), (4, b"three")].map(|(at, line)| (at, line.to_vec())).to_vec();
        assert_eq!(all(text), (expected.clone(), Ok(())));
        assert_eq!(all(&gzip(text)), (expected.clone(), Ok(())));
        assert_eq!(all(&[gzip(b"one\n\n"), gzip(b"two\nthree")].concat()), (expected, Ok(())), "several members");
        assert_eq!(all(b""), (Vec::new(), Ok(())));
        assert_eq!(all(&gzip(b"")), (Vec::new(), Ok(())));
    }

    #[test]
    fn a_truncated_file_and_an_endless_line_are_told() {
        let numbered = (0..20_000).map(|number: u32| (number * 7919 % 10_007).to_string());
        let text = numbered.collect::<Vec<_>>().join("\n");
        let whole = gzip(text.as_bytes());
        for end in [whole.len() / 2, whole.len() - 1] {
            let (read, outcome) = all(&whole[..end]);
            assert!(!read.is_empty());
            assert!(outcome.unwrap_err().contains("cannot be read"));
        }
        let long = [b"short\n".to_vec(), vec![b'a'; MAX_LINE + 1]].concat();
        for bytes in [gzip(&long), long] {
            assert_eq!(all(&bytes).1, Err("2 is longer than any record (1 MiB)".to_owned()));
        }
        assert_eq!(all(&[vec![b'a'; MAX_LINE - 1], b"\n".to_vec()].concat()).1, Ok(()));
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Lines::open(folder.path()), Err(LineError::NotAFile)));
    }
}
