//! Bearer tokens (RFC 6750): how they are made, recognized and revoked. Who the caller behind one is says `callers`.
//!
//! A token is `fd_`, 30 random base62 characters and 6 base62 characters of CRC-32 over the 33 before them. So a mistyped one
//! is refused without asking the database, and a secret scanner can tell one from noise. Only its SHA-256 digest is stored: a
//! slow hash is for guessable passwords, and these have 178 bits.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use sqlx::FromRow;
use uuid::Uuid;

use super::{Connection, Directory, Error, Scope, Session, tenants::check_name};
use crate::scim::ScimError;

/// The most tokens of a connection that are neither expired nor revoked. A rotation needs two; more than ten are forgotten ones.
pub const MAX_LIVE_TOKENS: i64 = 10;

/// The longest life that may be asked for, 100 years: beyond it PostgreSQL's calendar is the next limit.
const MAX_LIFE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

const PREFIX: &str = "fd_";
const RANDOM_CHARS: usize = 30;
const CHECKSUM_CHARS: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A token with a right checksum. Whether anybody has it is for the database to say.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// A new token from the operating system's random numbers.
    ///
    /// # Errors
    /// `Internal` when the system has none to give.
    pub fn generate() -> Result<Self, Error> {
        let mut text = PREFIX.to_owned();
        while text.len() < PREFIX.len() + RANDOM_CHARS {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(Error::internal)?;
            let missing = PREFIX.len() + RANDOM_CHARS - text.len();
            text.extend(bytes.into_iter().filter_map(unbiased).take(missing));
        }
        text.push_str(&checksum(&text));
        Ok(Self(text))
    }

    /// Reads a token; `None` when it cannot be one of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != PREFIX.len() + RANDOM_CHARS + CHECKSUM_CHARS || !text.is_ascii() {
            return None;
        }
        let (body, sum) = text.split_at(PREFIX.len() + RANDOM_CHARS);
        let random = body.strip_prefix(PREFIX)?;
        (random.bytes().all(|byte| byte.is_ascii_alphanumeric()) && sum == checksum(body)).then(|| Self(text.to_owned()))
    }

    /// What is stored of it.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// The secret itself, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// A random byte as a base62 character. 256 is no multiple of 62: the bytes past the last multiple would make the first
/// characters more likely than the others, so they are thrown away.
fn unbiased(byte: u8) -> Option<char> {
    (byte < 62 * 4).then(|| char::from(BASE62[usize::from(byte % 62)]))
}

fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    digits.into_iter().map(char::from).collect()
}

/// A token as a list shows it, without the secret.
#[derive(Debug, Clone, FromRow)]
pub struct TokenRecord {
    /// The id, which `revoke` takes.
    pub id: Uuid,
    /// The name of its connection.
    pub connection: String,
    /// What its maker noted.
    pub label: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stops working; never, when absent.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// What it may do, in words.
    pub scopes: Vec<String>,
    /// Neither expired, by the database's clock, nor revoked.
    pub live: bool,
}

impl Directory {
    /// Makes a token for a connection with every scope. The answer is the only place where it can be read.
    ///
    /// # Errors
    /// As [`Directory::create_scoped_token`].
    pub async fn create_token(&self, connection: &Connection, label: Option<&str>, expires_in: Option<Duration>) -> Result<Token, Error> {
        self.create_scoped_token(connection, label, expires_in, &Scope::ALL).await
    }

    /// Makes a token for a connection that may do only this. The answer is the only place where it can be read.
    ///
    /// # Errors
    /// A sentence when the connection is gone, has [`MAX_LIVE_TOKENS`] live ones, the life asked for is none or no scope is named.
    pub async fn create_scoped_token(
        &self,
        connection: &Connection,
        label: Option<&str>,
        expires_in: Option<Duration>,
        scopes: &[Scope],
    ) -> Result<Token, Error> {
        if scopes.is_empty() {
            return Err(ScimError::invalid_value("a token has at least one scope").into());
        }
        if let Some(label) = label {
            check_name("the token's label", label)?;
        }
        if expires_in.is_some_and(|life| life.is_zero() || life > MAX_LIFE) {
            return Err(ScimError::invalid_value("a token lives longer than nothing and at most 36500d").into());
        }
        let wanted = Arc::new((connection.clone(), label.map(str::to_owned), scopes.to_vec()));
        self.unit(move |pool| {
            let wanted = Arc::clone(&wanted);
            async move {
                let (connection, label, scopes) = &*wanted;
                let token = Token::generate()?;
                let mut tx = pool.begin().await?;
                insert(&mut tx, connection, &token, label.as_deref(), expires_in, scopes).await?;
                tx.commit().await?;
                Ok(token)
            }
        })
        .await
    }

    /// A tenant's tokens, or those of one connection, oldest first.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn tokens(&self, tenant_id: Uuid, connection_id: Option<Uuid>) -> Result<Vec<TokenRecord>, Error> {
        let rows = sqlx::query_as(
            "select t.id, c.name as connection, t.label, t.created_at, t.expires_at, t.revoked_at, t.last_used_at, t.scopes,
                 t.revoked_at is null and coalesce(t.expires_at > now(), true) as live
             from tokens t
             join connections c on c.tenant_id = t.tenant_id and c.id = t.connection_id
             where t.tenant_id = $1 and ($2::uuid is null or t.connection_id = $2)
             order by t.id",
        )
        .bind(tenant_id)
        .bind(connection_id)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }

    /// Revokes a token for good; servers follow within a second. Doing it again changes nothing. `false` when there is no such
    /// token.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn revoke_token(&self, id: Uuid) -> Result<bool, Error> {
        let revoked =
            sqlx::query("update tokens set revoked_at = coalesce(revoked_at, now()) where id = $1").bind(id).execute(&self.pool).await?;
        Ok(revoked.rows_affected() > 0)
    }
}

/// Stores a token inside a transaction. The connection's row is locked first, so that the count below it is exact.
pub(super) async fn insert(
    tx: &mut Session,
    connection: &Connection,
    token: &Token,
    label: Option<&str>,
    expires_in: Option<Duration>,
    scopes: &[Scope],
) -> Result<(), Error> {
    let locked: Option<Uuid> = sqlx::query_scalar("select id from connections where tenant_id = $1 and id = $2 for no key update")
        .bind(connection.tenant_id)
        .bind(connection.id)
        .fetch_optional(&mut *tx)
        .await?;
    if locked.is_none() {
        return Err(ScimError::not_found("Connection", &connection.name).into());
    }
    let made = sqlx::query(
        "insert into tokens (id, tenant_id, connection_id, digest, label, expires_at, scopes)
         select $1, $2, $3, $4, $5, now() + make_interval(secs => $6), $8
         where (
             select count(*) from tokens
             where tenant_id = $2 and connection_id = $3 and revoked_at is null and coalesce(expires_at > now(), true)
         ) < $7",
    )
    .bind(Uuid::now_v7())
    .bind(connection.tenant_id)
    .bind(connection.id)
    .bind(token.digest().as_slice())
    .bind(label)
    .bind(expires_in.map(|life| life.as_secs_f64()))
    .bind(MAX_LIVE_TOKENS)
    .bind(scopes.iter().map(|scope| scope.word()).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    if made.rows_affected() == 0 {
        let detail = format!("connection \"{}\" has {MAX_LIVE_TOKENS} live tokens, the most there may be; revoke one", connection.name);
        return Err(ScimError::uniqueness(detail).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_their_form_and_are_read_again() {
        for _ in 0..2_000 {
            let token = Token::generate().unwrap();
            let text = token.reveal();
            assert_eq!(text.len(), 39);
            assert!(text.starts_with("fd_") && text[3..].bytes().all(|byte| byte.is_ascii_alphanumeric()), "{text}");
            assert_eq!(Token::parse(text), Some(token.clone()));
        }
    }

    #[test]
    fn the_checksum_is_crc32_in_six_base62_digits() {
        // CRC-32 of "123456789" is 0xCBF43926, the check value of its definition.
        let mut value = 0_u64;
        for digit in checksum("123456789").bytes() {
            value = value * 62 + BASE62.iter().position(|known| *known == digit).unwrap() as u64;
        }
        assert_eq!(value, 0xCBF4_3926);
        assert_eq!(checksum(""), "000000");
    }

    #[test]
    fn every_character_is_equally_likely() {
        let mut seen = [0_u32; 62];
        for _ in 0..2_000 {
            for byte in Token::generate().unwrap().reveal()[3..33].bytes() {
                seen[BASE62.iter().position(|known| *known == byte).unwrap()] += 1;
            }
        }
        // 60,000 draws: 968 each, standard deviation 31. Six of them are never reached by chance; a modulo would be 250 off.
        assert!(seen.iter().all(|count| (782..=1154).contains(count)), "{seen:?}");
        assert_eq!((0..=u8::MAX).filter_map(unbiased).count(), 248);
    }

    #[test]
    fn a_changed_token_is_refused() {
        let token = Token::generate().unwrap();
        let text = token.reveal();
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'x' { "y" } else { "x" };
            let mut changed = text.to_owned();
            changed.replace_range(at..=at, other);
            assert_eq!(Token::parse(&changed), None, "changed at {at}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let token = Token::generate().unwrap();
        let text = token.reveal();
        for wrong in ["", "fd_", &text[..38], &format!("{text}0"), &format!(" {text}"), &text.to_uppercase(), &"ü".repeat(39), "fd_é"] {
            assert_eq!(Token::parse(wrong), None, "{wrong}");
        }
        // A right checksum does not save a wrong alphabet.
        let body = format!("fd_{}", "-".repeat(30));
        assert_eq!(Token::parse(&format!("{body}{}", checksum(&body))), None);
    }

    #[test]
    fn the_secret_is_not_in_debug_output() {
        let token = Token::generate().unwrap();
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}
