//! What an answer goes through: the stored document spliced, or projected, alone and in a list.

use chrono::DateTime;
use divan::{Bencher, black_box};
use frontdesk::scim::catalog::USER;
use frontdesk::scim::query::Query;
use frontdesk::scim::view::{Meta, Projection, Resource, list_response};
use uuid::Uuid;

use crate::payloads::user;

/// The projections that clients ask for: none, some attributes, all but the memberships.
const PROJECTIONS: [&str; 3] = ["everything", "three attributes", "no groups"];

const GROUPS: &str = r#"[{"value":"01890a5d-ac96-774b-bcce-b302099a8057","$ref":"https://scim.example.com/scim/v2/Groups/01890a5d-ac96-774b-bcce-b302099a8057","display":"Night's Watch","type":"direct"}]"#;

pub(crate) fn resource(document: &str) -> Resource<'_> {
    let (created, last_modified) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH);
    let meta =
        Meta { resource_type: &USER, id: Uuid::max(), created, last_modified, version: 42, base: "https://scim.example.com/scim/v2" };
    Resource { meta, document, memberships: Some(GROUPS) }
}

fn query(name: &str) -> Query {
    let text = match name {
        "everything" => "",
        "three attributes" => "attributes=userName,emails.value,name.familyName",
        _ => "excludedAttributes=groups",
    };
    Query::parse(text).expect("a legal query")
}

fn projection(name: &str) -> Projection {
    Projection::read(&USER, &query(name))
}

#[divan::bench(args = PROJECTIONS)]
fn projection_read(bencher: Bencher, name: &str) {
    let query = query(name);
    bencher.bench(|| Projection::read(&USER, black_box(&query)));
}

#[divan::bench(args = PROJECTIONS)]
fn render(bencher: Bencher, name: &str) {
    let (document, projection) = (user("JumpCloud").document.to_text(), projection(name));
    bencher.bench(|| resource(black_box(&document)).render(&projection));
}

#[divan::bench(args = PROJECTIONS)]
fn list_of_100(bencher: Bencher, name: &str) {
    let (document, projection) = (user("JumpCloud").document.to_text(), projection(name));
    bencher.bench(|| {
        let resources: Vec<String> = (0..100).map(|_| resource(black_box(&document)).render(&projection)).collect();
        list_response(1_000_000, 1, &resources)
    });
}
