//! The seam between the store's rules and a database: SQL text, values, rows, one transaction.
//!
//! The SQL is written once for every engine. It uses `$1`, `$2`… where each first appears in order, `BIGINT`-sized
//! integers, text and blobs, `ON CONFLICT` and `RETURNING`, and nothing that only one engine has. Every operation runs
//! in one transaction that is isolated as if it were alone (embedded: one writer; a shared engine: `SERIALIZABLE`, or one
//! state and a row that all rivals write, with the operation run again when it lost), so it must do nothing but what goes through its [`Tx`].
//!
//! This module knows no table and no engine.

use std::fmt;

use futures_util::future::BoxFuture;

use super::{error::StoreError, rows::Digest};

/// One value of a statement or a row.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Absent.
    Null,
    /// Any integer, truth value or time.
    Int(i64),
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// Blobs are shown by their length: they are sealed or hashed, and of no use in a log.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Int(value) => write!(f, "Int({value})"),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Blob(bytes) => write!(f, "Blob({} bytes)", bytes.len()),
        }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u8> for Value {
    fn from(value: u8) -> Self {
        Self::Int(value.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Blob(bytes.to_vec())
    }
}

impl From<&Digest> for Value {
    fn from(digest: &Digest) -> Self {
        Self::Blob(digest.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row of an answer, read by the place of its columns in the query.
#[derive(Clone, Debug)]
pub(crate) struct Row(Vec<Value>);

impl Row {
    pub(crate) fn new(values: Vec<Value>) -> Self {
        Self(values)
    }

    pub(crate) fn int(&self, column: usize) -> Result<i64, StoreError> {
        self.optional_int(column)?.ok_or(StoreError::Row { column, expected: "an integer" })
    }

    pub(crate) fn optional_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        match self.0.get(column) {
            Some(Value::Int(value)) => Ok(Some(*value)),
            Some(Value::Null) => Ok(None),
            _ => Err(StoreError::Row { column, expected: "an integer" }),
        }
    }

    /// Bytes of any length.
    pub(crate) fn blob(&self, column: usize) -> Result<&[u8], StoreError> {
        match self.0.get(column) {
            Some(Value::Blob(bytes)) => Ok(bytes),
            _ => Err(StoreError::Row { column, expected: "bytes" }),
        }
    }

    pub(crate) fn flag(&self, column: usize) -> Result<bool, StoreError> {
        Ok(self.int(column)? != 0)
    }

    /// A player's number.
    pub(crate) fn x(&self, column: usize) -> Result<u8, StoreError> {
        self.optional_x(column)?.ok_or(StoreError::Row { column, expected: "a player's number" })
    }

    pub(crate) fn optional_x(&self, column: usize) -> Result<Option<u8>, StoreError> {
        self.optional_int(column)?
            .map(u8::try_from)
            .transpose()
            .map_err(|_| StoreError::Row { column, expected: "a player's number" })
    }

    pub(crate) fn text(&self, column: usize) -> Result<&str, StoreError> {
        self.optional_text(column)?.ok_or(StoreError::Row { column, expected: "text" })
    }

    pub(crate) fn optional_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Null) => Ok(None),
            _ => Err(StoreError::Row { column, expected: "text" }),
        }
    }

    /// Takes the bytes out, so that a large blob is not copied; the column is null afterwards.
    pub(crate) fn take_blob(&mut self, column: usize) -> Result<Vec<u8>, StoreError> {
        match self.0.get_mut(column).map(|value| std::mem::replace(value, Value::Null)) {
            Some(Value::Blob(bytes)) => Ok(bytes),
            _ => Err(StoreError::Row { column, expected: "bytes" }),
        }
    }

    /// The same of a column that may be null.
    pub(crate) fn take_optional_blob(&mut self, column: usize) -> Result<Option<Vec<u8>>, StoreError> {
        if matches!(self.0.get(column), Some(Value::Null)) { Ok(None) } else { self.take_blob(column).map(Some) }
    }

    pub(crate) fn digest(&self, column: usize) -> Result<Digest, StoreError> {
        self.optional_digest(column)?.ok_or(StoreError::Row { column, expected: "32 bytes" })
    }

    pub(crate) fn optional_digest(&self, column: usize) -> Result<Option<Digest>, StoreError> {
        match self.0.get(column) {
            Some(Value::Blob(bytes)) => {
                bytes.as_slice().try_into().map(Some).map_err(|_| StoreError::Row { column, expected: "32 bytes" })
            }
            Some(Value::Null) => Ok(None),
            _ => Err(StoreError::Row { column, expected: "32 bytes" }),
        }
    }
}

/// How an operation goes through a line in which it meets others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// After all who came before, and before all who come later.
    Alone,
    /// Beside others who do not go alone.
    Together,
}

/// One transaction of an engine, or one operation's part of a transaction that it shares with others.
///
/// In the embedded engine every future is ready when it is made, so that a plain thread can drive an operation.
pub(crate) trait Tx: Send {
    /// Runs a statement and says how many rows it changed.
    fn execute<'a>(&'a mut self, sql: &'static str, values: &'a [Value]) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Runs a query, or a statement with `RETURNING`, and gives all its rows.
    fn query<'a>(&'a mut self, sql: &'static str, values: &'a [Value]) -> BoxFuture<'a, Result<Vec<Row>, StoreError>>;

    /// Runs a query of rows on which it rests that an act may be written at all. Where several write at once they stay as they were
    /// found until the transaction ends: who changes one comes after it, or has made it run again. One that only reads holds nothing.
    fn held<'a>(&'a mut self, sql: &'static str, values: &'a [Value]) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        self.query(sql, values)
    }

    /// Goes through lines, each named by a number, until the transaction ends. Whoever waits in one is passed by nobody who comes
    /// later, which holding rows does not promise. To be done before anything is written or held, in one order of lines. Where one
    /// operation writes at a time there are none.
    fn line_up<'a>(&'a mut self, _lines: &'a [i64], _turn: Turn) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Runs a statement of which nobody needs to know more than that it went well, before the next one or the commit at
    /// the latest: an engine far away need not be waited for. Its error may come out there.
    fn defer<'a>(&'a mut self, sql: &'static str, values: &'a [Value]) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Has everyone who watches told, after the commit and only then, that something changed in a session.
    fn notify<'a>(&'a mut self, session_id: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;
}

impl dyn Tx + '_ {
    /// The first row of a query, if there is one.
    pub(crate) async fn first(&mut self, sql: &'static str, values: &[Value]) -> Result<Option<Row>, StoreError> {
        Ok(self.query(sql, values).await?.into_iter().next())
    }
}

/// An operation: what it does to a transaction, given its input. A plain function, so that it can be run again.
pub(crate) type Act<I, T> = for<'a> fn(&'a mut dyn Tx, &'a I) -> BoxFuture<'a, Result<T, StoreError>>;

#[cfg(test)]
mod tests {
    use super::{Row, Value};
    use crate::store::StoreError;

    #[test]
    fn a_row_says_which_column_is_wrong_and_what_it_should_be() {
        let row = Row::new(vec![Value::Int(300), Value::from("text"), Value::Null, Value::Blob(vec![0; 31])]);
        assert_eq!(row.int(0).unwrap(), 300);
        assert_eq!(row.optional_int(2).unwrap(), None);
        for (error, wrong, what) in [
            (row.int(1).unwrap_err(), 1, "an integer"),
            (row.int(2).unwrap_err(), 2, "an integer"),
            (row.x(0).unwrap_err(), 0, "a player's number"),
            (row.text(0).unwrap_err(), 0, "text"),
            (row.digest(3).unwrap_err(), 3, "32 bytes"),
            (row.clone().take_blob(1).unwrap_err(), 1, "bytes"),
            (row.int(9).unwrap_err(), 9, "an integer"),
        ] {
            assert!(matches!(error, StoreError::Row { column, expected } if column == wrong && expected == what));
        }
    }

    #[test]
    fn debug_output_does_not_show_what_is_stored() {
        let shown = format!("{:?}", Row::new(vec![Value::from("alice"), Value::Blob(b"sealed".to_vec())]));
        assert_eq!(shown, "Row([Text(5 bytes), Blob(6 bytes)])");
    }
}
