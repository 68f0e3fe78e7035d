//! Cursors: only what was sealed here, for this query, opens; and what opens is what was sealed.

use frontdesk::scim::ScimType;
use frontdesk::scim::cursor::{Cursor, KEY_BYTES, NONCE_BYTES, Position, SORT_KEY_CHARS, Scope, SealingKey};
use frontdesk::scim::query::Query;
use uuid::Uuid;

use super::check_refusal;

const EXPIRES: i64 = 1_000;

/// Any text as a cursor; a cursor made of the bytes; and that cursor with a character changed, cut off or of another query.
pub fn cursor(data: &[u8]) {
    let key: SealingKey = [7; KEY_BYTES].into();
    let text = String::from_utf8_lossy(data);
    refused(&text, &key, scope("/Users"), 0, ScimType::InvalidCursor);

    let Some(([at, bits, flags, numbers @ ..], sort)) = data.split_first_chunk::<12>() else { return };
    let count = i64::from(numbers[0]);
    let position = Position {
        rank: i32::from(flags & 1),
        sort: (flags & 2 == 0).then(|| String::from_utf8_lossy(sort).chars().take(SORT_KEY_CHARS as usize).collect()),
        seq: i64::from_be_bytes(numbers[1..9].try_into().expect("eight bytes")),
    };
    let cursor = Cursor { position, backward: flags & 4 != 0, count, total: count << 32, expires: EXPIRES };
    let mut nonce = [0; NONCE_BYTES];
    nonce[..12].copy_from_slice(&data[..12]);
    let sealed = cursor.seal(&key, scope("/Users"), nonce);
    assert_eq!(Cursor::open(&sealed, &key, scope("/Users"), count, EXPIRES - 1), Ok(cursor));

    let at = (usize::from(*at) | usize::from(*flags) << 8) % sealed.len();
    let mut changed = sealed.clone().into_bytes();
    changed[at] = if changed[at] == bits & 0x7f { b'!' } else { bits & 0x7f };
    refused(&String::from_utf8(changed).expect("ASCII"), &key, scope("/Users"), count, ScimType::InvalidCursor);
    refused(&sealed[..at], &key, scope("/Users"), count, ScimType::InvalidCursor);
    match bits % 4 {
        0 => refused(&sealed, &key, scope("/Groups"), count, ScimType::InvalidCursor),
        1 => refused(&sealed, &[8; KEY_BYTES].into(), scope("/Users"), count, ScimType::InvalidCursor),
        2 => refused(&format!("{sealed}{text}A"), &key, scope("/Users"), count, ScimType::InvalidCursor),
        _ => refused(&sealed, &key, scope("/Users"), count + 1, ScimType::InvalidCount),
    }
}

fn scope(endpoint: &str) -> Scope {
    Scope::of(Uuid::nil(), Uuid::nil(), endpoint, &Query::default())
}

fn refused(text: &str, key: &SealingKey, scope: Scope, count: i64, keyword: ScimType) {
    let error = Cursor::open(text, key, scope, count, EXPIRES - 1).expect_err("not what was sealed");
    check_refusal(&error);
    assert_eq!(error.scim_type, Some(keyword));
}
