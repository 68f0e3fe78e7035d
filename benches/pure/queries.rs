//! What a question goes through: the caller's token, the filter, the cursor.

use divan::{Bencher, black_box};
use frontdesk::directory::Token;
use frontdesk::scim::catalog::USER;
use frontdesk::scim::cursor::{Cursor, KEY_BYTES, NONCE_BYTES, Position, Scope, SealingKey};
use frontdesk::scim::filter::Filter;
use frontdesk::scim::query::Query;
use frontdesk::scim::reader::Reader;
use uuid::Uuid;

use crate::payloads::user;

/// A lookup, a value path, and the longest that an administrator would write.
const FILTERS: [&str; 3] = ["lookup", "value path", "six terms"];

fn text(name: &str) -> &'static str {
    match name {
        "lookup" => "userName eq \"Jon.Snow@Example.com\"",
        "value path" => "emails[type eq \"work\" and value ew \"@example.com\"]",
        _ => SIX_TERMS,
    }
}

const SIX_TERMS: &str = "(title co \"director\" or userType eq \"Contractor\") and not (active eq false) and meta.lastModified gt \"2026-01-31T08:00:00Z\" \
     and urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department sw \"Night\" and emails.value pr";

fn filter(name: &str) -> Filter {
    Filter::parse(&USER, text(name), &mut Reader::default()).expect("the filters are in the grammar")
}

#[divan::bench(args = FILTERS)]
fn filter_parse(bencher: Bencher, name: &str) {
    let text = text(name);
    bencher.bench(|| Filter::parse(&USER, black_box(text), &mut Reader::default()));
}

#[divan::bench(args = FILTERS)]
fn filter_to_jsonpath(bencher: Bencher, name: &str) {
    let filter = filter(name);
    bencher.bench(|| black_box(&filter).to_jsonpath());
}

#[divan::bench(args = FILTERS)]
fn filter_in_memory(bencher: Bencher, name: &str) {
    let (filter, reading) = (filter(name), user("JumpCloud"));
    bencher.bench(|| black_box(&filter).matches(reading.document.as_map()));
}

#[divan::bench]
fn query_string(bencher: Bencher) {
    bencher.bench(|| Query::parse(black_box("filter=userName+eq+%22jon.snow%40example.com%22&startIndex=1&count=100")));
}

fn sealed() -> (Cursor, SealingKey, Scope) {
    let position = Position { rank: 0, sort: Some("jon.snow@example.com".into()), seq: 4_711 };
    let cursor = Cursor { position, backward: false, count: 100, total: 1_000_000, expires: 1_000 };
    let query = Query::parse("sortBy=userName").expect("a legal query");
    (cursor, SealingKey::from([7; KEY_BYTES]), Scope::of(Uuid::max(), Uuid::max(), "/Users", &query))
}

#[divan::bench]
fn cursor_seal(bencher: Bencher) {
    let (cursor, key, scope) = sealed();
    bencher.bench(|| black_box(&cursor).seal(&key, scope, [9; NONCE_BYTES]));
}

#[divan::bench]
fn cursor_open(bencher: Bencher) {
    let (cursor, key, scope) = sealed();
    let text = cursor.seal(&key, scope, [9; NONCE_BYTES]);
    bencher.bench(|| Cursor::open(black_box(&text), &key, scope, 100, 0));
}

#[divan::bench]
fn token_parse_and_digest(bencher: Bencher) {
    let token = Token::generate().expect("the system has random numbers");
    bencher.bench(|| Token::parse(black_box(token.reveal())).map(|token| token.digest()));
}
