//! Keys that all processes of a deployment share. They are made by the first process that needs one and kept in the database, so
//! that what one process seals another can open, and nobody has to configure a secret.

use super::{Directory, Error};
use crate::scim::cursor::{KEY_BYTES, SealingKey};

impl Directory {
    /// The key that seals cursors; read once per process.
    ///
    /// # Errors
    /// `Unavailable` when the database is away, `Internal` when the stored key is not one.
    pub async fn cursor_key(&self) -> Result<&SealingKey, Error> {
        self.cursor_key.get_or_try_init(|| self.shared_key("cursors")).await
    }

    /// The first of several processes that insert at the same time wins; the second statement sees its row.
    async fn shared_key(&self, purpose: &'static str) -> Result<SealingKey, Error> {
        let mut fresh = [0_u8; KEY_BYTES];
        getrandom::fill(&mut fresh).map_err(Error::internal)?;
        sqlx::query("insert into server_keys (purpose, key) values ($1, $2) on conflict (purpose) do nothing")
            .bind(purpose)
            .bind(fresh.as_slice())
            .execute(&self.pool)
            .await?;
        let stored: Vec<u8> =
            sqlx::query_scalar("select key from server_keys where purpose = $1").bind(purpose).fetch_one(&self.pool).await?;
        let bytes: [u8; KEY_BYTES] =
            stored.try_into().map_err(|_| Error::internal(format!("the server key for {purpose} has not {KEY_BYTES} bytes")))?;
        Ok(bytes.into())
    }
}
