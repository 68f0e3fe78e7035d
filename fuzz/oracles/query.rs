//! The query string: what is understood keeps the limits of a page, says the same as a SearchRequest, and selects a part of a
//! resource, never more than is there and never less than every answer has.

use std::str;

use frontdesk::scim::catalog::{RESOURCE_TYPES, SEARCH_REQUEST_URN};
use frontdesk::scim::query::Query;
use frontdesk::scim::reader::{Conformance, Limits};
use frontdesk::scim::schema::{ResourceType, Returned};
use frontdesk::scim::text::parse_date_time;
use frontdesk::scim::view::{Meta, Projection, Resource};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{check_refusal, reader, sample};

/// Any text behind the question mark.
pub fn query(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let query = match Query::parse(text) {
        Ok(query) => query,
        Err(error) => return check_refusal(&error),
    };
    let limits = Limits::default();
    assert!(query.first() >= 1);
    assert!((0..=limits.page_size_max as i64).contains(&query.page_size(&limits)));
    assert_eq!(query.filter.is_some(), Query::names_a_filter(text));
    assert_eq!(Query::parse(&written(&query)).as_ref(), Ok(&query));
    assert_eq!(Query::from_body(search_request(&query), &reader(Conformance::Strict)).as_ref(), Ok(&query));
    for resource_type in RESOURCE_TYPES {
        check_projection(resource_type, &Projection::read(resource_type, &query));
    }
}

fn check_projection(resource_type: &'static ResourceType, projection: &Projection) {
    if projection.is_default() {
        return;
    }
    let instant = parse_date_time("2010-01-23T04:56:22Z").expect("the RFC's own dateTime");
    let base = "https://example.com/v2";
    let meta = Meta { resource_type, id: Uuid::max(), created: instant, last_modified: instant, version: 1, base };
    let document = sample::of(resource_type).reading.document.to_text();
    let resource = Resource { meta, document: &document, memberships: None };
    let shown = |projection: &Projection| -> Map<String, Value> {
        serde_json::from_str(&resource.render(projection)).expect("an answer is a JSON object")
    };
    let (whole, part) = (shown(&Projection::default()), shown(projection));
    for attribute in resource_type.common.iter().filter(|attribute| attribute.returned == Returned::Always) {
        assert_eq!(part.get(attribute.name), whole.get(attribute.name), "{} is always shown", attribute.name);
    }
    for (name, value) in &part {
        is_part_of(value, &whole[name]);
    }
}

fn is_part_of(part: &Value, whole: &Value) {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part.iter().for_each(|(name, value)| is_part_of(value, &whole[name])),
        (Value::Array(part), Value::Array(whole)) => assert!(part.len() <= whole.len()),
        _ => assert_eq!(part, whole),
    }
}

fn parameters(query: &Query) -> Vec<(&'static str, String)> {
    let number = |number: &Option<i64>| number.map(|number| number.to_string());
    let names = |names: &[String]| (!names.is_empty()).then(|| names.join(","));
    let all = [
        ("filter", query.filter.clone()),
        ("sortBy", query.sort_by.clone()),
        ("sortOrder", query.descending.then(|| "descending".to_owned())),
        ("startIndex", number(&query.start_index)),
        ("count", number(&query.count)),
        ("cursor", query.cursor.clone()),
        ("attributes", names(&query.attributes)),
        ("excludedAttributes", names(&query.excluded_attributes)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The query as a query string with every character escaped.
fn written(query: &Query) -> String {
    let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let pairs: Vec<String> = parameters(query).iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    pairs.join("&")
}

/// The query as RFC 7644 §3.4.3 sends it in a body.
fn search_request(query: &Query) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("schemas".into(), json!([SEARCH_REQUEST_URN]));
    for (name, value) in parameters(query) {
        body.insert(
            name.into(),
            match name {
                "startIndex" => json!(query.start_index),
                "count" => json!(query.count),
                "attributes" => json!(query.attributes),
                "excludedAttributes" => json!(query.excluded_attributes),
                _ => value.into(),
            },
        );
    }
    body
}
