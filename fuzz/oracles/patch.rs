//! PATCH applied to a document: the result is a document as the door makes it, what nobody spoke of is still there, and a resource
//! that is put over itself stays as it is. The input is `{"type": "Group", "resource": {..}, "patch": {..}}`; without a type it is
//! a user, without a resource the sample.

use frontdesk::scim::catalog::{ENTERPRISE_URN, GROUP, PATCH_OP_URN, USER};
use frontdesk::scim::document::{Document, UNMAPPED_MAX_BYTES};
use frontdesk::scim::json::{parse_object, take};
use frontdesk::scim::patch::{MembersChange, Patch};
use frontdesk::scim::patch_apply::Patched;
use frontdesk::scim::reader::{Conformance, Limits};
use frontdesk::scim::schema::ResourceType;
use serde_json::{Map, Value, json};

use super::document::comes_through_unchanged;
use super::{check_refusal, reader, sample};

/// Any bytes as a resource and a PatchOp.
pub fn patch(data: &[u8]) {
    let Ok(mut input) = parse_object(data) else { return };
    let resource_type = if take(&mut input, "type") == Some(GROUP.name.into()) { &GROUP } else { &USER };
    let resource = take(&mut input, "resource");
    let Some(Value::Object(patch)) = take(&mut input, "patch") else { return };
    for conformance in [Conformance::Lenient, Conformance::Strict] {
        let (document, unmapped) = match &resource {
            Some(Value::Object(body)) => match Document::read(resource_type, body.clone(), &mut reader(conformance)) {
                Ok(reading) => (reading.document, reading.unmapped),
                Err(error) => return check_refusal(&error),
            },
            _ => {
                let reading = sample::of(resource_type).reading.clone();
                (reading.document, reading.unmapped)
            }
        };
        apply(resource_type, conformance, &document, &unmapped, &patch);
    }
}

fn apply(
    resource_type: &'static ResourceType,
    conformance: Conformance,
    document: &Document,
    unmapped: &Map<String, Value>,
    body: &Map<String, Value>,
) {
    let mut reader = reader(conformance);
    let patch = match Patch::read(resource_type, body.clone(), &mut reader) {
        Ok(patch) => patch,
        Err(error) => return check_refusal(&error),
    };
    check_members(&patch);
    let patched = match patch.apply(resource_type, document, unmapped, &mut reader) {
        Ok(patched) => patched,
        Err(error) => return check_refusal(&error),
    };
    comes_through_unchanged(resource_type, conformance, &patched.document);
    nothing_is_lost(unmapped, &patched.unmapped, body);
    stays_as_it_is(resource_type, conformance, &patched);
}

/// A group's members are changed by few statements, each id once, in the order in which rows are locked.
fn check_members(patch: &Patch) {
    let mut named = 0;
    for change in &patch.members {
        let (MembersChange::Add(ids) | MembersChange::Remove(ids) | MembersChange::Replace(ids)) = change else { continue };
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        if !matches!(change, MembersChange::Remove(_)) {
            named += ids.len();
        }
    }
    assert!(named <= Limits::default().members);
}

/// What was kept aside goes only when the PATCH speaks of it, or of the extension that it stands in for.
fn nothing_is_lost(before: &Map<String, Value>, after: &Map<String, Value>, body: &Map<String, Value>) {
    assert!(Value::Object(after.clone()).to_string().len() <= UNMAPPED_MAX_BYTES);
    let said = Value::Object(body.clone()).to_string().to_ascii_lowercase();
    let quoted = |name: &str| Value::from(name).to_string().to_ascii_lowercase();
    let is_spoken_of = |name: &str| said.contains(quoted(name).trim_matches('"'));
    for (name, value) in before {
        let untouched = match (value, after.get(name)) {
            (_, Some(kept)) if value == kept => true,
            (Value::Object(inner), Some(Value::Object(kept))) => {
                inner.iter().all(|(name, value)| kept.get(name) == Some(value) || is_spoken_of(name))
            }
            _ => false,
        };
        assert!(untouched || is_spoken_of(name) || is_spoken_of(ENTERPRISE_URN), "{name} is lost");
    }
}

/// No operation, a resource replaced by itself and one to which everything is added that it has: nothing has changed.
fn stays_as_it_is(resource_type: &'static ResourceType, conformance: Conformance, patched: &Patched) {
    let own = Value::Object(patched.document.as_map().clone());
    let by_name = patched.document.as_map().iter().map(|(name, value)| json!({ "op": "replace", "path": name, "value": value }));
    for operations in [json!([{ "op": "replace", "value": own }]), json!([{ "op": "add", "value": own }]), by_name.collect::<Value>()] {
        let body = json!({ "schemas": [PATCH_OP_URN], "Operations": operations });
        let Value::Object(body) = body else { panic!("a PatchOp is an object") };
        let mut reader = reader(conformance);
        let patch = Patch::read(resource_type, body, &mut reader).expect("what a document holds may be written");
        let again = patch.apply(resource_type, &patched.document, &Map::new(), &mut reader).expect("what is there may stay");
        assert_eq!(again.document, patched.document, "{operations}");
    }
    let nothing = Patch::default().apply(resource_type, &patched.document, &patched.unmapped, &mut reader(conformance));
    assert_eq!(nothing.as_ref(), Ok(patched));
}
