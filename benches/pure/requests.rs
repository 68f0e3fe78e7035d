//! The sum of what one request spends in pure code, in the order in which the server does it.

use divan::{Bencher, black_box};
use frontdesk::directory::Token;
use frontdesk::scim::catalog::USER;
use frontdesk::scim::document::{Document, unique_key};
use frontdesk::scim::json::parse_object;
use frontdesk::scim::patch::Patch;
use frontdesk::scim::query::Query;
use frontdesk::scim::reader::Reader;
use frontdesk::scim::view::Projection;
use frontdesk::workplace::Settings;
use frontdesk::workplace::profiles::shipped;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::payloads::{PROVIDERS, create, patch, user};
use crate::views::resource;

/// Recognizes the caller, whose token the server remembers by its digest.
fn recognize(token: &str) -> [u8; 32] {
    Token::parse(token).expect("a token").digest()
}

/// What is stored of a user: its text, its searchable copy, the key and the employee, as they are bound.
fn columns(document: &Document, unmapped: &Map<String, Value>) -> (String, String, String, String) {
    let mapping = shipped("spaceiq").expect("a shipped profile");
    let employee = mapping.employee(document.as_map(), unmapped, &Settings::default());
    let key = unique_key("userName", document.text("userName").unwrap_or_default()).expect("a user name");
    let folded = document.folded(&USER, Uuid::max());
    (document.to_text(), folded.to_string(), key, serde_json::to_string(&employee.custom).expect("a map of texts"))
}

fn render(document: &str) -> String {
    let projection = Projection::read(&USER, &Query::parse("").expect("an empty query"));
    resource(document).render(&projection)
}

#[divan::bench(args = PROVIDERS)]
fn post_user(bencher: Bencher, provider: &str) {
    let (token, body) = (Token::generate().expect("the system has random numbers"), create(provider));
    bencher.bench(|| {
        let digest = recognize(black_box(token.reveal()));
        let mut reader = Reader::default();
        let body = parse_object(black_box(body.as_bytes())).expect("a JSON object");
        let reading = Document::read(&USER, body, &mut reader).expect("a user");
        let columns = columns(&reading.document, &reading.unmapped);
        (digest, render(&columns.0), columns, reader.notes_json())
    });
}

#[divan::bench]
fn get_user(bencher: Bencher) {
    let (token, document) = (Token::generate().expect("the system has random numbers"), user("JumpCloud").document.to_text());
    bencher.bench(|| (recognize(black_box(token.reveal())), render(black_box(&document))));
}

#[divan::bench]
fn patch_active(bencher: Bencher) {
    let (token, body, before) = (Token::generate().expect("the system has random numbers"), patch("active"), user("JumpCloud"));
    let stored = before.document.to_text();
    bencher.bench(|| {
        let digest = recognize(black_box(token.reveal()));
        let mut reader = Reader::default();
        let body = parse_object(black_box(body.as_bytes())).expect("a JSON object");
        let patch = Patch::read(&USER, body, &mut reader).expect("a patch");
        let document = Document::from_stored(black_box(&stored)).expect("a stored document");
        let patched = patch.apply(&USER, &document, &before.unmapped, &mut reader).expect("it applies");
        let changed = document.changed_attributes(&patched.document);
        let columns = columns(&patched.document, &patched.unmapped);
        (digest, changed, render(&columns.0), columns, reader.notes_json())
    });
}
