//! What a write goes through: the strict parser, the document door, the searchable copy, PATCH, the employee.

use divan::{Bencher, black_box};
use frontdesk::scim::catalog::{GROUP, USER};
use frontdesk::scim::document::Document;
use frontdesk::scim::json;
use frontdesk::scim::patch::Patch;
use frontdesk::scim::reader::Reader;
use frontdesk::scim::text;
use frontdesk::workplace::Settings;
use frontdesk::workplace::profiles::shipped;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::payloads::{PATCHES, PROVIDERS, create, group, parsed, patch, user};

const MEMBERS: u128 = 5_000;

#[divan::bench(args = PROVIDERS)]
fn json_of_ours(bencher: Bencher, provider: &str) {
    let body = create(provider);
    bencher.bench(|| json::parse_object(black_box(body.as_bytes())));
}

#[divan::bench(args = PROVIDERS)]
fn json_of_serde(bencher: Bencher, provider: &str) {
    let body = create(provider);
    bencher.bench(|| serde_json::from_slice::<Map<String, Value>>(black_box(body.as_bytes())));
}

#[divan::bench]
fn json_of_ours_large_group(bencher: Bencher) {
    let body = group(MEMBERS);
    bencher.bench(|| json::parse_object(black_box(body.as_bytes())));
}

#[divan::bench]
fn json_of_serde_large_group(bencher: Bencher) {
    let body = group(MEMBERS);
    bencher.bench(|| serde_json::from_slice::<Map<String, Value>>(black_box(body.as_bytes())));
}

#[divan::bench(args = PROVIDERS)]
fn door(bencher: Bencher, provider: &str) {
    let body = parsed(&create(provider));
    bencher.with_inputs(|| body.clone()).bench_values(|body| Document::read(&USER, body, &mut Reader::default()));
}

#[divan::bench]
fn door_large_group(bencher: Bencher) {
    let body = parsed(&group(MEMBERS));
    bencher.with_inputs(|| body.clone()).bench_values(|body| Document::read(&GROUP, body, &mut Reader::default()));
}

#[divan::bench(args = PROVIDERS)]
fn folded_copy(bencher: Bencher, provider: &str) {
    let document = user(provider).document;
    bencher.bench(|| black_box(&document).folded(&USER, Uuid::max()));
}

#[divan::bench(args = PROVIDERS)]
fn text_of_document(bencher: Bencher, provider: &str) {
    let document = user(provider).document;
    bencher.bench(|| black_box(&document).to_text());
}

#[divan::bench(args = PATCHES)]
fn patch_read(bencher: Bencher, name: &str) {
    let body = parsed(&patch(name));
    bencher.with_inputs(|| body.clone()).bench_values(|body| Patch::read(&USER, body, &mut Reader::default()));
}

#[divan::bench(args = PATCHES)]
fn patch_apply(bencher: Bencher, name: &str) {
    let reading = user("JumpCloud");
    let patch = Patch::read(&USER, parsed(&patch(name)), &mut Reader::default()).expect("the payloads are patches");
    bencher.bench(|| black_box(&patch).apply(&USER, &reading.document, &reading.unmapped, &mut Reader::default()));
}

#[divan::bench(args = ["spaceiq", "officespace"])]
fn employee(bencher: Bencher, profile: &str) {
    let reading = user("JumpCloud");
    let mapping = shipped(profile).expect("a shipped profile");
    bencher.bench(|| mapping.employee(black_box(reading.document.as_map()), &reading.unmapped, &Settings::default()));
}

#[divan::bench(args = ["Jon.Snow@Example.com", "Zoë Müller-Ångström", "ｊｏｎ ｓｎｏｗ"])]
fn fold(bencher: Bencher, value: &str) {
    bencher.bench(|| text::fold(black_box(value)));
}
