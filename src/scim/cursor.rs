//! Cursors (RFC 9865): a place in the results of one query, sealed so that it can be given to the client and kept nowhere. A cursor
//! is encrypted, because the place holds a sort key and so perhaps a name, and authenticated together with the query it belongs to:
//! another tenant, connection, filter or order cannot open it. The clock and the random nonce come from the caller.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::scim::catalog::LIST_RESPONSE_URN;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::query::Query;

/// The bytes of a sealing key.
pub const KEY_BYTES: usize = 32;

/// The bytes of a nonce; so many that random ones do not repeat.
pub const NONCE_BYTES: usize = 24;

/// Longest cursor looked at, in characters: a sort key of [`SORT_KEY_CHARS`] characters, escaped and encoded, is shorter.
const CURSOR_MAX_CHARS: usize = 8_192;

/// How many characters of a value count when resources are sorted: a place must hold the value it lies behind.
pub const SORT_KEY_CHARS: i32 = 256;

/// The key that seals cursors, the same in every process of a deployment. `Debug` does not print it.
#[derive(Clone)]
pub struct SealingKey([u8; KEY_BYTES]);

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey(hidden)")
    }
}

impl From<[u8; KEY_BYTES]> for SealingKey {
    fn from(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }
}

/// A place in the total order of a query's results: that of one resource, which need not exist any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The resource type's place in the order of types: a query at the root lists users before groups.
    pub rank: i32,
    /// The value that is sorted by; `None` without one, or when nothing is sorted.
    pub sort: Option<String>,
    /// The resource's place in the order of creation.
    pub seq: i64,
}

/// Which query a place belongs to: who asks, where, for what and in which order. The page size is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope([u8; 32]);

impl Scope {
    /// The scope of a query that a connection sends to an endpoint such as `/Users`.
    #[must_use]
    pub fn of(tenant_id: Uuid, connection_id: Uuid, endpoint: &str, query: &Query) -> Self {
        let mut digest = Sha256::new();
        digest.update(tenant_id);
        digest.update(connection_id);
        for part in [Some(endpoint), query.filter.as_deref(), query.sort_by.as_deref()] {
            // Lengths in front: no two lists of parts are the same bytes.
            digest.update(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
            digest.update(part.unwrap_or_default());
        }
        digest.update([u8::from(query.descending)]);
        Self(digest.finalize().into())
    }
}

/// What a cursor says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Where the page begins or, for a page before it, ends.
    pub position: Position,
    /// Whether the page lies before the position (`previousCursor`) and not behind it.
    pub backward: bool,
    /// The page size of the query that the cursor continues.
    pub count: i64,
    /// `totalResults` at the beginning: counting again would cost more than the page.
    pub total: i64,
    /// When it expires, in seconds since 1970.
    pub expires: i64,
}

impl Cursor {
    /// The cursor as clients get it: unreserved characters only (RFC 3986 §2.3).
    ///
    /// # Panics
    /// Never: a cursor is far shorter than the cipher's limit, and has no map with odd keys.
    #[must_use]
    pub fn seal(&self, key: &SealingKey, scope: Scope, nonce: [u8; NONCE_BYTES]) -> String {
        let plain = serde_json::to_vec(self).expect("a cursor is numbers and text");
        let payload = Payload { msg: &plain, aad: &scope.0 };
        let sealed = cipher(key).encrypt(&XNonce::from(nonce), payload).expect("a cursor is shorter than the cipher's limit");
        URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat())
    }

    /// Reads a cursor that a client sends back with a page size, at a time in seconds since 1970.
    ///
    /// # Errors
    /// 400 `invalidCursor` when it was not made here or not for this query (one sentence for all causes, RFC 9865 §5.2),
    /// `expiredCursor` when it is too old, `invalidCount` when the page size has changed.
    pub fn open(text: &str, key: &SealingKey, scope: Scope, count: i64, now: i64) -> Result<Self, ScimError> {
        let cursor = decrypt(text, key, scope).ok_or_else(|| {
            ScimError::bad(
                ScimType::InvalidCursor,
                "the cursor is not one that this server gave for this query; an empty cursor asks for the first page",
            )
        })?;
        if now >= cursor.expires {
            return Err(ScimError::bad(ScimType::ExpiredCursor, "the cursor is too old; an empty cursor asks for the first page"));
        }
        if cursor.count != count {
            let first = cursor.count;
            let detail = format!("the page size is {count}, but {first} on the page that gave the cursor; count must stay the same");
            return Err(ScimError::bad(ScimType::InvalidCount, detail));
        }
        Ok(cursor)
    }
}

/// A ListResponse of cursor pagination around resources that are rendered already: without `startIndex`, and with the cursors that
/// lead on and back (RFC 9865 §2). Cursors need no escapes.
#[must_use]
pub fn list_response(total: i64, previous: Option<&str>, next: Option<&str>, resources: &[String]) -> String {
    let mut text = format!("{{\"schemas\":[\"{LIST_RESPONSE_URN}\"],\"totalResults\":{total},\"itemsPerPage\":{}", resources.len());
    for (name, cursor) in [("previousCursor", previous), ("nextCursor", next)] {
        if let Some(cursor) = cursor {
            let _ = write!(text, ",\"{name}\":\"{cursor}\"");
        }
    }
    text.push_str(",\"Resources\":[");
    text.push_str(&resources.join(","));
    text.push_str("]}");
    text
}

fn cipher(key: &SealingKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&key.0.into())
}

fn decrypt(text: &str, key: &SealingKey, scope: Scope) -> Option<Cursor> {
    if text.len() > CURSOR_MAX_CHARS {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
    let plain = cipher(key).decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &scope.0 }).ok()?;
    serde_json::from_slice(&plain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; NONCE_BYTES] = [7; NONCE_BYTES];

    fn key() -> SealingKey {
        [1; KEY_BYTES].into()
    }

    fn cursor() -> Cursor {
        let position = Position { rank: 1, sort: Some("o\u{2019}hara \u{10ffff}".into()), seq: 42 };
        Cursor { position, backward: false, count: 10, total: 100, expires: 1_000 }
    }

    fn scope(query: &str) -> Scope {
        Scope::of(Uuid::nil(), Uuid::nil(), "/Users", &Query::parse(query).expect("legal"))
    }

    /// N92: "This value may only contain characters from the unreserved character set".
    #[test]
    fn a_cursor_comes_back_as_it_was_and_is_url_safe() {
        let sealed = cursor().seal(&key(), scope(""), NONCE);
        assert!(sealed.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~')), "{sealed}");
        assert_eq!(Cursor::open(&sealed, &key(), scope(""), 10, 999), Ok(cursor()));
    }

    /// N94.
    #[test]
    fn every_changed_character_is_noticed() {
        let sealed = cursor().seal(&key(), scope(""), NONCE);
        for at in 0..sealed.len() {
            let mut forged = sealed.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            let error = Cursor::open(&forged, &key(), scope(""), 10, 999).expect_err(&forged);
            assert_eq!(error.scim_type, Some(ScimType::InvalidCursor), "{forged}");
        }
        assert!(Cursor::open(&sealed[..sealed.len() - 1], &key(), scope(""), 10, 999).is_err());
        assert!(Cursor::open(&"A".repeat(1_000_000), &key(), scope(""), 10, 999).is_err());
        assert!(Cursor::open(&sealed, &[2; KEY_BYTES].into(), scope(""), 10, 999).is_err());
    }

    /// N95: bound to the actor and the query.
    #[test]
    fn a_cursor_is_of_use_for_its_own_query_only() {
        let query = Query::parse("filter=active eq true&sortBy=userName").expect("legal");
        let own = Scope::of(Uuid::nil(), Uuid::nil(), "/Users", &query);
        let sealed = cursor().seal(&key(), own, NONCE);
        for other in [
            Scope::of(Uuid::max(), Uuid::nil(), "/Users", &query),
            Scope::of(Uuid::nil(), Uuid::max(), "/Users", &query),
            Scope::of(Uuid::nil(), Uuid::nil(), "/Groups", &query),
            scope("filter=active eq false&sortBy=userName"),
            scope("filter=active eq true&sortBy=title"),
            scope("filter=active eq true&sortBy=userName&sortOrder=descending"),
            scope("filter=active eq trueuserName"),
        ] {
            let error = Cursor::open(&sealed, &key(), other, 10, 999).expect_err("another query");
            assert_eq!(error.scim_type, Some(ScimType::InvalidCursor));
        }
    }

    /// N94.
    #[test]
    fn age_and_page_size_have_their_own_keywords() {
        let sealed = cursor().seal(&key(), scope(""), NONCE);
        let keyword = |count, now| Cursor::open(&sealed, &key(), scope(""), count, now).expect_err("refused").scim_type;
        assert_eq!(keyword(10, 1_000), Some(ScimType::ExpiredCursor));
        assert_eq!(keyword(11, 999), Some(ScimType::InvalidCount));
    }
}
