//! Passwords that an identity provider sends (RFC 7643 §4.1.1, §9.2): dropped unless the tenant keeps them, and then kept only as
//! an Argon2id hash. They are never returned, compared, logged or put into an event.

use argon2::Argon2;
use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::phc::PasswordHash;
use tokio::sync::Semaphore;

use super::{Caller, Error};
use crate::scim::secret::Secret;

/// Hashes made at a time: each takes 19 MiB and a core for some ten milliseconds.
const AT_ONCE: usize = 2;

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// What happens to the stored hash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum PasswordChange {
    /// Nothing.
    #[default]
    Keep,
    /// It is replaced; `None` unassigns the password.
    Set(Option<String>),
}

impl PasswordChange {
    /// What a request's password means for this caller's tenant. `None` when the request does not speak of one.
    pub(super) async fn of(caller: &Caller, password: Option<Option<&Secret>>) -> Result<Self, Error> {
        match password {
            Some(Some(password)) if caller.settings.keep_passwords => hash(password.clone()).await.map(|hash| Self::Set(Some(hash))),
            Some(None) if caller.settings.keep_passwords => Ok(Self::Set(None)),
            _ => Ok(Self::Keep),
        }
    }

    /// Whether it changes the row.
    pub(super) fn is_change(&self) -> bool {
        *self != Self::Keep
    }

    /// The new hash.
    pub(super) fn hash(&self) -> Option<&str> {
        match self {
            Self::Set(hash) => hash.as_deref(),
            Self::Keep => None,
        }
    }
}

/// The PHC string of a password: algorithm, parameters (the crate's defaults are OWASP's minimum), salt and hash.
async fn hash(password: Secret) -> Result<String, Error> {
    let _turn = TURNS.acquire().await.map_err(Error::internal)?;
    let hashed = tokio::task::spawn_blocking(move || {
        let hash: Result<PasswordHash, _> = Argon2::default().hash_password(password.expose().as_bytes());
        hash.map(|hash| hash.to_string())
    });
    hashed.await.map_err(Error::internal)?.map_err(|error| Error::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordVerifier as _;

    use super::*;

    #[tokio::test]
    async fn a_hash_is_argon2id_salted_and_verifies() {
        let (first, second) = (hash(Secret::new("t1meMa$heen")).await.unwrap(), hash(Secret::new("t1meMa$heen")).await.unwrap());
        assert!(first.starts_with("$argon2id$v=19$") && first != second);
        let parsed = PasswordHash::new(&first).unwrap();
        assert!(Argon2::default().verify_password(b"t1meMa$heen", &parsed).is_ok());
        assert!(Argon2::default().verify_password(b"t1meMashine", &parsed).is_err());
    }
}
