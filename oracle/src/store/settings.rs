//! Settings of the store: few named values that are written once, such as its identity; and signs of life.

use super::{engine::Tx, error::StoreError};

/// The value of a name, if it was ever put.
pub(super) async fn read(tx: &mut dyn Tx, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    tx.first("SELECT value FROM settings WHERE name = $1", &[name.into()])
        .await?
        .map(|mut row| row.take_blob(0))
        .transpose()
}

/// Puts a value unless the name has one; gives the value in force.
pub(super) async fn put_if_absent(tx: &mut dyn Tx, name: &str, value: &[u8]) -> Result<Vec<u8>, StoreError> {
    let put = tx
        .execute(
            "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
            &[name.into(), value.into()],
        )
        .await?;
    if put > 0 {
        return Ok(value.to_owned());
    }
    // Settings are never removed, so what stood in the way is still there.
    read(tx, name).await?.ok_or(StoreError::Row { column: 0, expected: "a setting" })
}

/// Writes a sign of life that differs from the last one in its slot: only a commit that reaches the disk shows that others
/// would. Nodes seldom share a slot, so that one that stops in the middle does not stop the others.
pub(super) async fn beat(tx: &mut dyn Tx, slot: u8, count: i64) -> Result<(), StoreError> {
    tx.defer(
        "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        &[format!("heartbeat {slot}").as_str().into(), count.to_be_bytes().as_slice().into()],
    )
    .await
}
