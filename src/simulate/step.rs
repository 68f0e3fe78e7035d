//! One exchange of a conversation as data: what is sent, and what the answer must be. `{name}` in a path or a body stands for
//! what an earlier step captured under that name.

use serde_json::{Value, json};

/// The core schema of users.
pub(super) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The enterprise extension.
pub(super) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// The core schema of groups.
pub(super) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The message of a PATCH.
pub(super) const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// What must hold of an answer's body.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expectation {
    /// It has at least this: objects by their keys, arrays by an element like each one listed; null is "unassigned".
    Shows(Value),
    /// There are so many values at this JSON pointer; absent is none.
    Counts(&'static str, usize),
    /// There are at least so many.
    CountsAtLeast(&'static str, usize),
}

/// One exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What it is for.
    pub title: String,
    /// The method.
    pub method: &'static str,
    /// The path behind the Base URL, encoded as the client encodes it.
    pub path: String,
    /// The body.
    pub body: Option<Value>,
    /// The statuses that the client takes for success.
    pub statuses: &'static [u16],
    pub(super) expectations: Vec<Expectation>,
    pub(super) captures: Option<(String, &'static str)>,
}

impl Step {
    fn new(title: impl Into<String>, method: &'static str, path: impl Into<String>, body: Option<Value>, statuses: &'static [u16]) -> Self {
        Self { title: title.into(), method, path: path.into(), body, statuses, expectations: Vec::new(), captures: None }
    }

    pub(super) fn get(title: impl Into<String>, path: impl Into<String>) -> Self {
        Self::new(title, "GET", path, None, &[200])
    }

    pub(super) fn post(title: impl Into<String>, path: impl Into<String>, body: Value) -> Self {
        Self::new(title, "POST", path, Some(body), &[201])
    }

    pub(super) fn put(title: impl Into<String>, path: impl Into<String>, body: Value) -> Self {
        Self::new(title, "PUT", path, Some(body), &[200])
    }

    /// A PATCH of these operations.
    pub(super) fn patch(title: impl Into<String>, path: impl Into<String>, operations: Value) -> Self {
        Self::new(title, "PATCH", path, Some(json!({ "schemas": [PATCH_OP], "Operations": operations })), &[200, 204])
    }

    pub(super) fn delete(title: impl Into<String>, path: impl Into<String>) -> Self {
        Self::new(title, "DELETE", path, None, &[204])
    }

    /// A lookup that finds nobody: 200 and an empty list, never 404.
    pub(super) fn finds_nobody(title: impl Into<String>, path: impl Into<String>) -> Self {
        Self::get(title, path).shows(json!({ "totalResults": 0 })).counts("/Resources", 0)
    }

    /// A lookup that finds exactly this resource.
    pub(super) fn finds(title: impl Into<String>, path: impl Into<String>, id: &str) -> Self {
        Self::get(title, path).shows(json!({ "totalResults": 1, "Resources": [{ "id": id }] })).counts("/Resources", 1)
    }

    /// Reads a user back.
    pub(super) fn reads_user(id: &str, shown: Value) -> Self {
        Self::get("read the user back", format!("/Users/{id}")).shows(json!({ "id": id })).shows(shown)
    }

    /// Reads a group back: these members, no others.
    pub(super) fn reads_members(group: &str, members: &[&str]) -> Self {
        let shown: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
        Self::get("read the members back", format!("/Groups/{group}"))
            .shows(json!({ "id": group, "members": shown }))
            .counts("/members", members.len())
    }

    /// What is deleted is gone: 404.
    pub(super) fn is_gone(path: impl Into<String>) -> Self {
        Self::get("find it gone", path).answers(&[404])
    }

    /// The step that must be refused as a duplicate.
    pub(super) fn conflicts(self) -> Self {
        self.answers(&[409])
    }

    pub(super) fn answers(mut self, statuses: &'static [u16]) -> Self {
        self.statuses = statuses;
        self
    }

    pub(super) fn shows(mut self, value: Value) -> Self {
        self.expectations.push(Expectation::Shows(value));
        self
    }

    pub(super) fn counts(mut self, pointer: &'static str, count: usize) -> Self {
        self.expectations.push(Expectation::Counts(pointer, count));
        self
    }

    pub(super) fn counts_at_least(mut self, pointer: &'static str, count: usize) -> Self {
        self.expectations.push(Expectation::CountsAtLeast(pointer, count));
        self
    }

    /// Keeps the `id` of the answer under a name.
    pub(super) fn captures(mut self, name: &str) -> Self {
        self.captures = Some((name.to_owned(), "/id"));
        self
    }
}

/// A filter as a query value, blanks as `%20`.
pub(super) fn percent(filter: &str) -> String {
    encode(filter, "%20")
}

/// A filter as a query value, blanks as `+`.
pub(super) fn plus(filter: &str) -> String {
    encode(filter, "+")
}

fn encode(text: &str, blank: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push_str(blank),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

/// Members as clients list them.
pub(super) fn members(ids: &[&str]) -> Value {
    ids.iter().map(|id| json!({ "value": id })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_encoded_in_both_ways() {
        let filter = r#"userName eq "a+b@x""#;
        assert_eq!(percent(filter), "userName%20eq%20%22a%2Bb%40x%22");
        assert_eq!(plus(filter), "userName+eq+%22a%2Bb%40x%22");
    }
}
