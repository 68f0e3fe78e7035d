//! What real identity providers send that RFC 7643 and RFC 7644 do not allow, one named function each, with its payload.
//! A strict connection (`Conformance::Strict`) gets none of them. Every function that changes or ignores something notes it
//! in the [`Reader`], so that the administrator can see it. There is no other place that knows a client.

use serde_json::{Map, Value, json};

use crate::scim::aside::loose;
use crate::scim::catalog;
use crate::scim::json::take;
use crate::scim::reader::Reader;
use crate::scim::schema::{Attribute, Kind, ResourceType};
use crate::scim::text;

/// Entra ID (default mapping) and OneLogin (template) send booleans as text, in any letter case:
/// `{"op":"Replace","path":"active","value":"False"}`.
pub fn entra_sends_booleans_as_strings(value: &Value, at: &str, reader: &mut Reader) -> Option<bool> {
    let text = value.as_str().filter(|_| reader.is_lenient())?;
    let boolean = boolean_text(text)?;
    reader.note("entra_sends_booleans_as_strings", at);
    Some(boolean)
}

/// The same in a filter: `roles[primary eq "True"].value`.
pub fn entra_quotes_booleans_in_filters(text: &str, at: &str, reader: &mut Reader) -> Option<bool> {
    let boolean = boolean_text(text).filter(|_| reader.is_lenient())?;
    reader.note("entra_quotes_booleans_in_filters", at);
    Some(boolean)
}

/// The value of a key in any letter case (RFC 7643 §2.1).
fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn boolean_text(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Entra ID sends the manager as a bare string, `"manager": "26118915-…"`; templates do the same with e-mail addresses,
/// `"emails": ["jon@example.com"]`. A complex attribute that has a `value` takes the string as that.
pub fn entra_sends_a_bare_string_for_a_complex_value(attribute: &Attribute, value: &Value, at: &str, reader: &mut Reader) -> Option<Value> {
    let text = value.as_str().filter(|_| reader.is_lenient())?;
    attribute.sub("value")?;
    reader.note("entra_sends_a_bare_string_for_a_complex_value", at);
    Some(json!({ "value": text }))
}

/// Entra ID's older connector wraps a singular value: `"value": [{"$ref": null, "value": "Babs"}]` for `nickName`, the same for
/// `manager`. One element only: with two there is no telling which is meant.
pub fn entra_wraps_a_singular_value_in_an_array(attribute: &Attribute, value: &Value, at: &str, reader: &mut Reader) -> Option<Value> {
    let Value::Array(values) = value else { return None };
    let [only] = values.as_slice() else { return None };
    if !reader.is_lenient() {
        return None;
    }
    let unwrapped = match only {
        Value::Object(object) if attribute.kind != Kind::Complex => member(object, "value")?.clone(),
        Value::Array(_) => return None,
        other => other.clone(),
    };
    reader.note("entra_wraps_a_singular_value_in_an_array", at);
    Some(unwrapped)
}

/// OneLogin sends one object where a list is declared: `{"op":"replace","path":"emails","value":{"value":"a@example.com"}}`.
pub fn onelogin_sends_one_value_for_a_list(value: Value, at: &str, reader: &mut Reader) -> Result<Vec<Value>, Value> {
    if !reader.is_lenient() {
        return Err(value);
    }
    reader.note("onelogin_sends_one_value_for_a_list", at);
    Ok(vec![value])
}

/// Entra ID clears an attribute with an empty string, `{"op":"Replace","path":"title","value":""}`, and a manager with
/// `{"value":""}`. Empty text is no value.
pub fn entra_clears_with_an_empty_string(text: &str, at: &str, reader: &mut Reader) -> bool {
    let clears = text.is_empty() && reader.is_lenient();
    if clears {
        reader.note("entra_clears_with_an_empty_string", at);
    }
    clears
}

/// JumpCloud's SpaceIQ connector sends `costcenter`, `department` and `organization` at top level, OneLogin's template
/// anything at all. Unknown attributes are kept aside for the workplace mapping instead of refused.
pub fn jumpcloud_sends_unknown_attributes(at: &str, reader: &mut Reader) -> bool {
    let accepted = reader.is_lenient();
    if accepted {
        reader.note("jumpcloud_sends_unknown_attributes", at);
    }
    accepted
}

/// Okta sends what its profile editor calls an integer or a boolean as such, `"urn:okta:acme:1.0:user:custom": {"floor": 3}`. An
/// attribute that a tenant declared is a text; it takes a number or a boolean as one.
pub fn okta_sends_a_custom_attribute_of_another_type(value: Value, at: &str, reader: &mut Reader) -> Value {
    let is_other = !matches!(value, Value::String(_) | Value::Null);
    match loose(&value).filter(|_| is_other && reader.is_lenient()) {
        None => value,
        Some(text) => {
            reader.note("okta_sends_a_custom_attribute_of_another_type", at);
            Value::from(text.into_owned())
        }
    }
}

/// OneLogin lists `urn:scim:schemas:core:2.0`, Entra ID adds
/// `http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group`. Unknown schema URIs are ignored; so is their absence.
pub fn onelogin_lists_unknown_schemas(at: &str, reader: &mut Reader) -> bool {
    let accepted = reader.is_lenient();
    if accepted {
        reader.note("onelogin_lists_unknown_schemas", at);
    }
    accepted
}

/// Entra ID's AppRoleAssignmentsComplex puts an object's JSON text into `value`:
/// `"roles": [{"value": "{\"id\":\"18d14569\",\"value\":\"Admin\",\"displayName\":\"Administrator\"}"}]`.
pub fn entra_sends_a_role_as_json_text(attribute: &Attribute, object: &mut Map<String, Value>, at: &str, reader: &mut Reader) {
    if !reader.is_lenient() || attribute.name != "roles" {
        return;
    }
    let json_text = |text: &str| match crate::scim::json::parse(text.as_bytes()) {
        Ok(Value::Object(inner)) if text.starts_with('{') => Some(inner),
        _ => None,
    };
    let Some(inner) = member(object, "value").and_then(Value::as_str).and_then(json_text) else { return };
    // JSON text inside JSON text is nobody's role: it stays as it is, so that it reads the same the next time.
    let is_plain = |value: &&Value| value.as_str().is_some_and(|text| json_text(text).is_none());
    let Some(value) = member(&inner, "value").or_else(|| member(&inner, "id")).filter(is_plain).cloned() else { return };
    if let Some(display) = member(&inner, "displayName").filter(|value| value.is_string())
        && member(object, "display").is_none()
    {
        object.insert("display".into(), display.clone());
    }
    take(object, "value");
    object.insert("value".into(), value);
    reader.note("entra_sends_a_role_as_json_text", at);
}

/// JumpCloud and Okta leave `active` out when they mean an active user, and a client that reads it back would find nothing. On a
/// strict connection it stays unassigned; the employee is active either way.
pub fn jumpcloud_leaves_out_active(resource_type: &ResourceType, document: &mut Map<String, Value>, reader: &mut Reader) {
    if reader.is_lenient() && resource_type.name == catalog::USER.name && !document.contains_key("active") {
        document.insert("active".into(), Value::Bool(true));
        reader.note("jumpcloud_leaves_out_active", "active");
    }
}

/// Keycloak's plugin reads `displayName` of every user without asking whether it is there. A user that is created or
/// replaced without one gets `name.formatted`, else given and family name, else the user name.
pub fn keycloak_reads_display_name_unguarded(resource_type: &ResourceType, document: &mut Map<String, Value>, reader: &mut Reader) {
    if !reader.is_lenient() || resource_type.name != catalog::USER.name || document.contains_key("displayName") {
        return;
    }
    if let Some(name) = default_display_name(document) {
        document.insert("displayName".into(), name.into());
        reader.note("keycloak_reads_display_name_unguarded", "displayName");
    }
}

/// The display name that [`keycloak_reads_display_name_unguarded`] gives. PATCH uses it to let such a name follow the name it
/// was made from.
#[must_use]
pub fn default_display_name(document: &Map<String, Value>) -> Option<String> {
    let part = |name: &str| document.get("name")?.get(name)?.as_str().map(in_one_line).filter(|text| !text.is_empty());
    if let Some(formatted) = part("formatted") {
        return Some(formatted);
    }
    let both: Vec<String> = [part("givenName"), part("familyName")].into_iter().flatten().collect();
    if both.is_empty() { document.get("userName")?.as_str().map(str::to_owned) } else { Some(in_one_line(&both.join(" "))) }
}

/// The text without what no display name may hold, so that a client can send back the one we made.
fn in_one_line(text: &str) -> String {
    let line: String =
        text.chars().map(|c| if text::forbidden_in_identifier(c.encode_utf8(&mut [0; 4])).is_some() { ' ' } else { c }).collect();
    line.trim().chars().take(text::TEXT_MAX_CHARS).collect()
}

/// Entra ID looks up by `manager eq "…"`, JumpCloud's connector patches `{"op":"replace","value":{"costcenter":"CC-12"}}`: an
/// attribute of an extension without the extension's URN, which RFC 7644 §3.10 asks for. It is meant when the core schema has
/// no attribute of that name.
pub fn entra_names_extensions_without_their_urn(at: &str, reader: &mut Reader) -> bool {
    let accepted = reader.is_lenient();
    if accepted {
        reader.note("entra_names_extensions_without_their_urn", at);
    }
    accepted
}

/// Entra ID's older connector and Microsoft's collection write a dot between an extension's URN and its attribute, where RFC 7644
/// §3.10 has a colon: `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.manager`.
pub fn entra_writes_a_dot_behind_a_urn(at: &str, reader: &mut Reader) -> bool {
    let accepted = reader.is_lenient();
    if accepted {
        reader.note("entra_writes_a_dot_behind_a_urn", at);
    }
    accepted
}

/// Entra ID looks up with a sub-attribute behind a value path, which RFC 7644's grammar does not have:
/// `emails[type eq "work"].value eq "jon@example.com"`.
pub fn entra_compares_behind_a_value_path(at: &str, reader: &mut Reader) -> bool {
    let accepted = reader.is_lenient();
    if accepted {
        reader.note("entra_compares_behind_a_value_path", at);
    }
    accepted
}

/// Microsoft's collection and an authentik release leave out the quotes: `userName eq jon@example.com`.
pub fn microsoft_leaves_out_quotes_in_filters(at: &str, reader: &mut Reader) -> bool {
    let accepted = reader.is_lenient();
    if accepted {
        reader.note("microsoft_leaves_out_quotes_in_filters", at);
    }
    accepted
}

/// Entra ID replaces `emails[type eq "work"].value` of a user who has no work address and expects it to be created. RFC 7644
/// §3.5.2.3 says 400 `noTarget`.
pub fn entra_replaces_what_is_not_there(at: &str, reader: &mut Reader) -> bool {
    let accepted = reader.is_lenient();
    if accepted {
        reader.note("entra_replaces_what_is_not_there", at);
    }
    accepted
}

/// Removing through a value path that selects nothing (`emails[type eq "home"]` of a user without one) has already what it
/// wants. RFC 7644 §3.12 allows 400 `noTarget`, at which a client stops for ever.
pub fn removing_what_is_not_there_succeeds(at: &str, reader: &mut Reader) -> bool {
    let accepted = reader.is_lenient();
    if accepted {
        reader.note("removing_what_is_not_there_succeeds", at);
    }
    accepted
}

/// Microsoft's SCIM validator sends `"Operations": []` and expects 200. RFC 7644 §3.5.2 asks for one or more.
pub fn microsoft_sends_empty_operations(reader: &mut Reader) -> bool {
    let accepted = reader.is_lenient();
    if accepted {
        reader.note("microsoft_sends_empty_operations", "Operations");
    }
    accepted
}

/// Salesforce and WSO2 wrap members once more: `{"op":"add","path":"members","value":{"members":[{"value":"…"}]}}`.
pub fn salesforce_wraps_members(value: &Value, reader: &mut Reader) -> Option<Value> {
    let Value::Object(object) = value else { return None };
    let wrapped = object.iter().find(|(key, _)| key.eq_ignore_ascii_case("members")).map(|(_, value)| value.clone())?;
    if !reader.is_lenient() {
        return None;
    }
    reader.note("salesforce_wraps_members", "members");
    Some(wrapped)
}

/// A PATCH path that names no attribute is set aside and the other operations apply: a 400 would stop the user for ever at
/// Entra ID and OneLogin. The value is kept aside with the unknown attributes.
pub fn entra_patches_unknown_attributes(at: &str, reader: &mut Reader) -> bool {
    let accepted = reader.is_lenient();
    if accepted {
        reader.note("entra_patches_unknown_attributes", at);
    }
    accepted
}

/// Okta repeats `id` in a path-less replace, authentik the whole resource with `schemas` and `meta`:
/// `{"op":"replace","value":{"id":"…","displayName":"Sales"}}`. What a client may not write is ignored there; named by a path it is refused.
pub fn okta_repeats_read_only_attributes(at: &str, reader: &mut Reader) -> bool {
    let accepted = reader.is_lenient();
    if accepted {
        reader.note("okta_repeats_read_only_attributes", at);
    }
    accepted
}

/// One e-mail list with two `"primary": true` (templates of several providers). RFC 7643 §2.4 allows one; the first one stays.
pub fn templates_mark_two_values_primary(at: &str, reader: &mut Reader) -> bool {
    let accepted = reader.is_lenient();
    if accepted {
        reader.note("templates_mark_two_values_primary", at);
    }
    accepted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::aside::Alias;
    use crate::scim::document::Document;
    use crate::scim::filter::Filter;
    use crate::scim::patch::Patch;
    use crate::scim::reader::{Conformance, Limits};
    use crate::scim::{ScimError, ScimType};

    /// How a payload reaches the server.
    enum Payload {
        User(Value),
        /// Of a tenant that declares `urn:acme:2.0:Badge:floor`.
        DeclaringUser(Value),
        Group(Value),
        UserPatch(Value),
        GroupPatch(Value),
        UserFilter(&'static str),
    }
    use Payload::{DeclaringUser, Group, GroupPatch, User, UserFilter, UserPatch};

    /// Reads a payload as the server does; gives the user's document after it.
    fn read(payload: &Payload, reader: &mut Reader) -> Result<Value, ScimError> {
        let object = |value: &Value| value.as_object().cloned().expect("payloads are objects");
        let stored = json!({ "schemas": [catalog::USER_URN], "userName": "jsnow", "displayName": "Jon", "active": true });
        match payload {
            User(body) => Document::read(&catalog::USER, object(body), reader).map(|read| read.document.into_map().into()),
            DeclaringUser(body) => {
                let aliases = vec![Alias::parse("urn:acme:2.0:Badge:floor").expect("a name")];
                let user = catalog::user_with(vec![catalog::Declaration { field: "floor".into(), aliases }]).expect("one attribute");
                Document::read(user, object(body), reader).map(|read| read.document.into_map().into())
            }
            Group(body) => Document::read(&catalog::GROUP, object(body), reader).map(|read| read.document.into_map().into()),
            GroupPatch(body) => Patch::read(&catalog::GROUP, object(body), reader).map(|patch| patch.members.len().into()),
            UserPatch(body) => {
                let before = Document::read(&catalog::USER, object(&stored), &mut Reader::default())?.document;
                let patch = Patch::read(&catalog::USER, object(body), reader)?;
                patch.apply(&catalog::USER, &before, &Map::new(), reader).map(|patched| patched.document.into_map().into())
            }
            UserFilter(text) => Filter::parse(&catalog::USER, text, reader).map(|_| Value::Null),
        }
    }

    /// Each quirk, the payload that needs it, what comes of it (null: nothing of the document), and how a strict connection
    /// refuses it (`None`: it takes it as the RFC means it).
    fn payloads() -> Vec<(&'static str, Payload, Value, Option<ScimType>)> {
        use ScimType::{InvalidFilter, InvalidPath, InvalidSyntax, InvalidValue, Mutability, NoTarget};
        let patch = |operation: Value| json!({ "schemas": [catalog::PATCH_OP_URN], "Operations": [operation] });
        let user = |attributes: Value| {
            let mut body = json!({ "schemas": [catalog::USER_URN], "userName": "jsnow", "displayName": "Jon" });
            body.as_object_mut().expect("an object").extend(attributes.as_object().cloned().expect("an object"));
            User(body)
        };
        let enterprise = catalog::ENTERPRISE_URN;
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        vec![
            (
                "entra_sends_booleans_as_strings",
                UserPatch(patch(json!({ "op": "Replace", "path": "active", "value": "False" }))),
                json!({ "active": false }),
                Some(InvalidValue),
            ),
            ("entra_quotes_booleans_in_filters", UserFilter(r#"roles[primary eq "True"]"#), json!(null), Some(InvalidFilter)),
            (
                "entra_sends_a_bare_string_for_a_complex_value",
                user(json!({ "schemas": [catalog::USER_URN, enterprise], enterprise: { "manager": "26118915" } })),
                json!({ enterprise: { "manager": { "value": "26118915" } } }),
                Some(InvalidValue),
            ),
            (
                "entra_wraps_a_singular_value_in_an_array",
                UserPatch(patch(json!({ "op": "Add", "path": "nickName", "value": [{ "$ref": null, "value": "Babs" }] }))),
                json!({ "nickName": "Babs" }),
                Some(InvalidValue),
            ),
            (
                "onelogin_sends_one_value_for_a_list",
                UserPatch(patch(json!({ "op": "replace", "path": "emails", "value": { "value": "a@example.com" } }))),
                json!({ "emails": [{ "value": "a@example.com" }] }),
                Some(InvalidValue),
            ),
            (
                "entra_clears_with_an_empty_string",
                UserPatch(patch(json!({ "op": "Replace", "path": "displayName", "value": "" }))),
                json!(null),
                None,
            ),
            ("jumpcloud_sends_unknown_attributes", user(json!({ "costcenter": "CC-12" })), json!(null), Some(InvalidSyntax)),
            (
                "okta_sends_a_custom_attribute_of_another_type",
                DeclaringUser(json!({ "schemas": [catalog::USER_URN], "userName": "jsnow", "urn:acme:2.0:Badge": { "floor": 3 } })),
                json!({ "urn:acme:2.0:Badge": { "floor": "3" } }),
                Some(InvalidValue),
            ),
            (
                "onelogin_lists_unknown_schemas",
                user(json!({ "schemas": ["urn:scim:schemas:core:2.0"] })),
                json!({ "schemas": [catalog::USER_URN] }),
                Some(InvalidSyntax),
            ),
            (
                "entra_sends_a_role_as_json_text",
                user(json!({ "roles": [{ "value": r#"{"id":"18d1","value":"Admin","displayName":"Administrator"}"# }] })),
                json!({ "roles": [{ "value": "Admin", "display": "Administrator" }] }),
                None,
            ),
            ("jumpcloud_leaves_out_active", user(json!({})), json!({ "active": true }), None),
            (
                "keycloak_reads_display_name_unguarded",
                User(json!({ "schemas": [catalog::USER_URN], "userName": "jsnow", "name": { "givenName": "Jon", "familyName": "Snow" } })),
                json!({ "displayName": "Jon Snow" }),
                None,
            ),
            ("entra_names_extensions_without_their_urn", UserFilter(r#"manager eq "26118915""#), json!(null), Some(InvalidFilter)),
            (
                "entra_writes_a_dot_behind_a_urn",
                UserPatch(patch(json!({ "op": "Add", "path": format!("{enterprise}.manager"), "value": { "value": "26118915" } }))),
                json!({ enterprise: { "manager": { "value": "26118915" } } }),
                Some(InvalidPath),
            ),
            (
                "entra_writes_a_dot_behind_a_urn",
                UserFilter("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.department eq \"Tours\""),
                json!(null),
                Some(InvalidFilter),
            ),
            (
                "entra_compares_behind_a_value_path",
                UserFilter(r#"emails[type eq "work"].value eq "jon@example.com""#),
                json!(null),
                Some(InvalidFilter),
            ),
            ("microsoft_leaves_out_quotes_in_filters", UserFilter("userName eq jon@example.com"), json!(null), Some(InvalidFilter)),
            (
                "entra_replaces_what_is_not_there",
                UserPatch(patch(json!({ "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "a@example.com" }))),
                json!({ "emails": [{ "type": "work", "value": "a@example.com" }] }),
                Some(NoTarget),
            ),
            (
                "removing_what_is_not_there_succeeds",
                UserPatch(patch(json!({ "op": "remove", "path": "emails[type eq \"home\"]" }))),
                json!(null),
                Some(NoTarget),
            ),
            (
                "microsoft_sends_empty_operations",
                UserPatch(json!({ "schemas": [catalog::PATCH_OP_URN], "Operations": [] })),
                json!(null),
                Some(InvalidValue),
            ),
            (
                "salesforce_wraps_members",
                GroupPatch(patch(json!({ "op": "add", "path": "members", "value": { "members": [{ "value": id }] } }))),
                json!(null),
                Some(InvalidValue),
            ),
            (
                "entra_patches_unknown_attributes",
                UserPatch(patch(json!({ "op": "Add", "path": "favouriteColour", "value": "red" }))),
                json!(null),
                Some(InvalidPath),
            ),
            (
                "okta_repeats_read_only_attributes",
                GroupPatch(patch(json!({ "op": "replace", "value": { "id": id, "displayName": "Sales" } }))),
                json!(null),
                Some(Mutability),
            ),
            (
                "okta_repeats_read_only_attributes",
                UserPatch(patch(json!({ "op": "add", "path": "schemas", "value": [enterprise] }))),
                json!({ "schemas": [catalog::USER_URN] }),
                None,
            ),
            (
                "templates_mark_two_values_primary",
                user(json!({ "emails": [{ "value": "a", "primary": true }, { "value": "b", "primary": true }] })),
                json!({ "emails": [{ "value": "a", "primary": true }, { "value": "b", "primary": false }] }),
                Some(InvalidValue),
            ),
            (
                "onelogin_lists_unknown_schemas",
                Group(json!({ "displayName": "Sales", "schemas": [catalog::GROUP_URN,
                    "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"] })),
                json!({ "displayName": "Sales" }),
                Some(InvalidSyntax),
            ),
        ]
    }

    #[test]
    fn each_payload_is_taken_and_noted_on_a_lenient_connection() {
        for (quirk, payload, expected, _) in payloads() {
            let mut reader = Reader::default();
            let document = read(&payload, &mut reader).unwrap_or_else(|error| panic!("{quirk}: {}", error.detail));
            assert!(reader.notes().iter().any(|note| note.quirk == quirk), "{quirk} is not among {:?}", reader.notes());
            for (name, value) in expected.as_object().into_iter().flatten() {
                assert_eq!(&document[name], value, "{quirk}");
            }
        }
    }

    #[test]
    fn a_strict_connection_refuses_each_payload_or_takes_it_literally_and_notes_nothing() {
        for (quirk, payload, _, refusal) in payloads() {
            let mut reader = Reader::new(Conformance::Strict, Limits::default());
            let outcome = read(&payload, &mut reader);
            assert_eq!(outcome.err().and_then(|error| error.scim_type), refusal, "{quirk}");
            assert!(reader.notes().is_empty(), "{quirk}: {:?}", reader.notes());
        }
    }

    #[test]
    fn every_quirk_has_its_payload() {
        let tested: Vec<&str> = payloads().into_iter().map(|(quirk, ..)| quirk).collect();
        for line in include_str!("quirks.rs").lines().filter(|line| line.starts_with("pub fn ") && line.contains("reader: &mut Reader")) {
            let name = line["pub fn ".len()..].split('(').next().unwrap_or_default();
            assert!(tested.contains(&name), "{name} has no payload");
        }
    }

    #[test]
    fn words_that_are_no_booleans_stay_refused() {
        assert_eq!(entra_sends_booleans_as_strings(&json!("yes"), "active", &mut Reader::default()), None);
        assert_eq!(entra_sends_booleans_as_strings(&json!("TRUE"), "active", &mut Reader::default()), Some(true));
    }

    #[test]
    fn the_default_display_name_prefers_the_formatted_name() {
        let document = |value: Value| value.as_object().cloned().expect("an object");
        let full = document(json!({ "userName": "jsnow", "name": { "formatted": "Mr. Snow", "givenName": "Jon" } }));
        assert_eq!(default_display_name(&full).as_deref(), Some("Mr. Snow"));
        let parts = document(json!({ "userName": "jsnow", "name": { "givenName": "Jon", "familyName": "Snow" } }));
        assert_eq!(default_display_name(&parts).as_deref(), Some("Jon Snow"));
        assert_eq!(default_display_name(&document(json!({ "userName": "jsnow" }))).as_deref(), Some("jsnow"));
        let letterhead = document(json!({ "userName": "jsnow", "name": { "formatted": "Jon Snow\r\n" , "givenName": "\u{202e}" } }));
        assert_eq!(default_display_name(&letterhead).as_deref(), Some("Jon Snow"));
        let long = document(json!({ "userName": "jsnow", "name": { "givenName": "x".repeat(1_024), "familyName": "y" } }));
        assert_eq!(default_display_name(&long).map(|name| name.len()), Some(text::TEXT_MAX_CHARS));
    }
}
