//! What each operation does, takes and answers, in words: the part of the description that no other table has. A test holds it
//! against the routes in both directions.

use crate::http::API_BASE;

/// A method of a path.
pub(super) struct Operation {
    pub(super) path: &'static str,
    pub(super) method: &'static str,
    pub(super) summary: &'static str,
    pub(super) parameters: &'static [Parameter],
    /// The schema of the body.
    pub(super) body: Option<&'static str>,
    pub(super) answers: &'static [Answer],
}

/// A query parameter, or several that a table lists.
pub(super) enum Parameter {
    Text(&'static str, &'static str),
    Number(&'static str, &'static str),
    /// A filter on each column of an employee.
    Employee,
    /// The order of a list of employees.
    Sort,
}

/// An answer beside the errors that every operation has.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) media_type: &'static str,
    pub(super) schema: Option<&'static str>,
}

const fn scim(status: u16, description: &'static str, schema: &'static str) -> Answer {
    Answer { status, description, media_type: "application/scim+json", schema: Some(schema) }
}

const fn workplace(schema: &'static str) -> Answer {
    Answer { status: 200, description: "The answer.", media_type: "application/json", schema: Some(schema) }
}

const NO_CONTENT: Answer = Answer { status: 204, description: "Done.", media_type: "", schema: None };
const NOT_MODIFIED: Answer = Answer { status: 304, description: "The version is the known one.", media_type: "", schema: None };
const LIST: Answer = scim(200, "A page of resources.", "ListResponse");
const DOCUMENT: Answer = scim(200, "The document.", "Discovery");
const NOT_IMPLEMENTED: Answer = scim(501, "Not supported.", "Error");

const ATTRIBUTES: Parameter = Parameter::Text("attributes", "Only these attributes, separated by commas (RFC 7644 §3.9).");
const EXCLUDED: Parameter = Parameter::Text("excludedAttributes", "All but these attributes (RFC 7644 §3.9).");
const SHOWN: &[Parameter] = &[ATTRIBUTES, EXCLUDED];
const QUERY: &[Parameter] = &[
    Parameter::Text("filter", "Which resources (RFC 7644 §3.4.2.2)."),
    Parameter::Text("sortBy", "The attribute to sort by (RFC 7644 §3.4.2.3)."),
    Parameter::Text("sortOrder", "ascending or descending."),
    Parameter::Number("startIndex", "The first result, from 1 (RFC 7644 §3.4.2.4)."),
    Parameter::Number("count", "Results wanted."),
    ATTRIBUTES,
    EXCLUDED,
];
const COUNT: Parameter = Parameter::Number("count", "How many entries the page has at most.");
const CURSOR: Parameter = Parameter::Text("cursor", "The next of the page before.");
const PAGE: &[Parameter] = &[COUNT, CURSOR];

const fn get(path: &'static str, summary: &'static str, parameters: &'static [Parameter], answers: &'static [Answer]) -> Operation {
    Operation { path, method: "GET", summary, parameters, body: None, answers }
}

const fn with_body(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    body: &'static str,
    answers: &'static [Answer],
) -> Operation {
    Operation { path, method, summary, parameters: SHOWN, body: Some(body), answers }
}

const fn delete(path: &'static str, summary: &'static str) -> Operation {
    Operation { path, method: "DELETE", summary, parameters: &[], body: None, answers: &[NO_CONTENT] }
}

const fn me(method: &'static str) -> Operation {
    let summary = "Not supported: a token stands for an identity provider, not for a user.";
    Operation { path: "/Me", method, summary, parameters: &[], body: None, answers: &[NOT_IMPLEMENTED] }
}

const SCIM: &[Operation] = &[
    get("", "Query users and groups.", QUERY, &[LIST]),
    get("/Users", "Query users.", QUERY, &[LIST]),
    with_body("POST", "/Users", "Create a user.", "User", &[scim(201, "The user.", "User")]),
    with_body("POST", "/Users/.search", "Query users by a body.", "SearchRequest", &[LIST]),
    get("/Users/{id}", "Read a user.", SHOWN, &[scim(200, "The user.", "User"), NOT_MODIFIED]),
    with_body("PUT", "/Users/{id}", "Replace a user.", "User", &[scim(200, "The user.", "User")]),
    with_body("PATCH", "/Users/{id}", "Change a user.", "PatchOp", &[scim(200, "The user.", "User")]),
    delete("/Users/{id}", "Delete a user."),
    get("/Groups", "Query groups.", QUERY, &[LIST]),
    with_body("POST", "/Groups", "Create a group.", "Group", &[scim(201, "The group.", "Group")]),
    with_body("POST", "/Groups/.search", "Query groups by a body.", "SearchRequest", &[LIST]),
    get("/Groups/{id}", "Read a group.", SHOWN, &[scim(200, "The group.", "Group"), NOT_MODIFIED]),
    with_body("PUT", "/Groups/{id}", "Replace a group.", "Group", &[scim(200, "The group.", "Group")]),
    with_body("PATCH", "/Groups/{id}", "Change a group or its members.", "PatchOp", &[scim(200, "The group.", "Group"), NO_CONTENT]),
    delete("/Groups/{id}", "Delete a group."),
    me("GET"),
    me("POST"),
    me("PUT"),
    me("PATCH"),
    me("DELETE"),
    with_body("POST", "/Bulk", "Do several operations.", "BulkRequest", &[scim(200, "What became of each.", "BulkResponse")]),
    with_body("POST", "/.search", "Query users and groups by a body.", "SearchRequest", &[LIST]),
    get("/ServiceProviderConfig", "What this server supports.", &[], &[DOCUMENT]),
    get("/ResourceTypes", "The resource types.", &[], &[LIST]),
    get("/ResourceTypes/{id}", "A resource type.", &[], &[DOCUMENT]),
    get("/Schemas", "The schemas.", &[], &[LIST]),
    get("/Schemas/{id}", "A schema.", &[], &[DOCUMENT]),
];

const API: &[Operation] = &[
    get("/employees", "Find employees.", &[Parameter::Employee, Parameter::Sort, COUNT, CURSOR], &[workplace("Employees")]),
    get(
        "/employees.csv",
        "Stream employees as CSV.",
        &[Parameter::Employee],
        &[Answer { status: 200, description: "RFC 4180, with a header.", media_type: "text/csv", schema: Some("Text") }],
    ),
    get(
        "/employees.ndjson",
        "Stream employees as one JSON object a line.",
        &[Parameter::Employee],
        &[Answer { status: 200, description: "An employee a line.", media_type: "application/x-ndjson", schema: Some("Employee") }],
    ),
    get("/employees/{id}", "Read an employee.", &[], &[workplace("Employee")]),
    get("/employees/{id}/history", "What changed of an employee, the latest first.", PAGE, &[workplace("History")]),
    get("/employees/{id}/reports", "Who reports to an employee directly.", PAGE, &[workplace("Employees")]),
    get("/departments", "Departments with their heads.", PAGE, &[workplace("HeadCounts")]),
    get("/teams", "Teams with their heads.", PAGE, &[workplace("HeadCounts")]),
    get("/locations", "Locations with their heads.", PAGE, &[workplace("HeadCounts")]),
    get("/cost-centers", "Cost centers with their heads.", PAGE, &[workplace("HeadCounts")]),
    get(
        "/changes",
        "Follow the changes of employees and groups.",
        &[
            Parameter::Text("after", "The next of the answer before, or latest; from the oldest change kept when absent."),
            Parameter::Number("wait", "How many seconds to wait for a change when there is none, at most 30."),
            COUNT,
        ],
        &[workplace("Changes"), scim(410, "The cursor is older than what is kept.", "Error")],
    ),
];

/// The operation of a route.
pub(super) fn find(base: &str, path: &str, method: &str) -> Option<&'static Operation> {
    let table = if base == API_BASE { API } else { SCIM };
    table.iter().find(|operation| operation.path == path && operation.method == method)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::routes::{self, Route};

    fn served(table: &'static [Route]) -> BTreeSet<(&'static str, &'static str)> {
        table.iter().flat_map(|route| route.methods.iter().map(|method| (route.path, *method))).collect()
    }

    #[test]
    fn every_operation_in_words_is_a_route_and_every_route_has_its_words() {
        for (words, table) in [(SCIM, routes::SCIM), (API, routes::API)] {
            let described: BTreeSet<_> = words.iter().map(|operation| (operation.path, operation.method)).collect();
            assert_eq!(described, served(table));
            assert_eq!(described.len(), words.len(), "none twice");
        }
    }
}
