//! Whether an answer is what a client needs: what its step expects, and what every client needs of every answer (RFC 7644
//! §3.3, §3.4.2, §3.12).

use serde_json::Value;

use super::step::Expectation;
use super::transport::Answer;

/// The longest quotation of an answer in a fault, in characters.
const QUOTE_MAX_CHARS: usize = 160;

/// What is wrong with an answer; nothing when it is right. The expectations have their variables filled in.
pub(super) fn faults(answer: &Answer, statuses: &[u16], expectations: &[Expectation]) -> Vec<String> {
    if !statuses.contains(&answer.status) {
        let expected: Vec<String> = statuses.iter().map(u16::to_string).collect();
        let said = body_of(answer).and_then(|body| Some(body.get("detail")?.as_str()?.to_owned())).unwrap_or_default();
        return vec![quote(&format!("status {} where {} is expected: {said}", answer.status, expected.join(" or ")))];
    }
    if answer.body.is_empty() {
        return if answer.status == 204 || expectations.is_empty() { Vec::new() } else { vec!["the body is empty".into()] };
    }
    let Some(body) = body_of(answer) else { return vec!["the body is not JSON".into()] };
    let mut faults = of_every_answer(answer, &body);
    for expectation in expectations {
        match expectation {
            Expectation::Shows(value) => compare(value, Some(&body), "", &mut faults),
            Expectation::Counts(pointer, count) => {
                let found = count_at(&body, pointer);
                if found != *count {
                    faults.push(format!("{pointer} has {found} values where {count} are expected"));
                }
            }
            Expectation::CountsAtLeast(pointer, least) => {
                let found = count_at(&body, pointer);
                if found < *least {
                    faults.push(format!("{pointer} has {found} values where at least {least} are expected"));
                }
            }
        }
    }
    faults
}

/// The body as JSON.
pub(super) fn body_of(answer: &Answer) -> Option<Value> {
    serde_json::from_slice(&answer.body).ok()
}

fn of_every_answer(answer: &Answer, body: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    if !answer.content_type.contains("json") {
        faults.push(quote(&format!("Content-Type is {:?} where application/scim+json is expected", answer.content_type)));
    }
    let names = |urn: &str| body["schemas"].as_array().is_some_and(|schemas| schemas.iter().any(|schema| schema == urn));
    if names("urn:ietf:params:scim:api:messages:2.0:ListResponse") {
        for name in ["totalResults", "startIndex", "itemsPerPage"] {
            if body.get(name).is_some_and(|number| !number.is_u64()) || (name == "totalResults" && body.get(name).is_none()) {
                faults.push(format!("{name} is not a whole number"));
            }
        }
        let listed = count_at(body, "/Resources") as u64;
        if body.get("itemsPerPage").and_then(Value::as_u64).is_some_and(|items| items != listed) {
            faults.push("itemsPerPage is not the number of resources on the page".into());
        }
    }
    if answer.status >= 400 {
        if !names("urn:ietf:params:scim:api:messages:2.0:Error") {
            faults.push("the body is no SCIM error".into());
        }
        if body["status"].as_str() != Some(answer.status.to_string().as_str()) {
            faults.push("the error's status is not the HTTP status as a string".into());
        }
        if body["detail"].as_str().is_none_or(str::is_empty) {
            faults.push("the error has no detail".into());
        }
        if answer.status == 409 && body["scimType"] != "uniqueness" {
            faults.push("scimType is not uniqueness".into());
        }
    }
    if answer.status == 201 && body["id"].as_str().is_none_or(str::is_empty) {
        faults.push("the created resource has no id".into());
    }
    if body.get("password").is_some() {
        faults.push("the password is in the answer".into());
    }
    faults
}

fn count_at(body: &Value, pointer: &str) -> usize {
    body.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len)
}

fn compare(expected: &Value, found: Option<&Value>, at: &str, faults: &mut Vec<String>) {
    match (expected, found) {
        (Value::Null, None | Some(Value::Null)) => {}
        (Value::Null, Some(Value::Array(values))) if values.is_empty() => {}
        (Value::Null, Some(Value::String(text))) if text.is_empty() => {}
        (Value::Null, Some(found)) => faults.push(quote(&format!("{at} is {found} where no value is expected"))),
        (Value::Object(expected), Some(Value::Object(found))) => {
            for (name, value) in expected {
                compare(value, found.get(name), &format!("{at}/{name}"), faults);
            }
        }
        (Value::Array(expected), Some(Value::Array(found))) => {
            for value in expected {
                if !found.iter().any(|other| is_like(value, other)) {
                    faults.push(quote(&format!("{at} has no value like {value}")));
                }
            }
        }
        // An absent list is an empty one.
        (Value::Array(expected), None) if expected.is_empty() => {}
        (expected, Some(found)) if expected == found => {}
        (expected, Some(found)) => faults.push(quote(&format!("{at} is {found} where {expected} is expected"))),
        (expected, None) => faults.push(quote(&format!("{at} is missing where {expected} is expected"))),
    }
}

fn is_like(expected: &Value, found: &Value) -> bool {
    let mut faults = Vec::new();
    compare(expected, Some(found), "", &mut faults);
    faults.is_empty()
}

fn quote(text: &str) -> String {
    match text.char_indices().nth(QUOTE_MAX_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(status: u16, body: &Value) -> Answer {
        Answer { status, content_type: "application/scim+json".into(), body: body.to_string().into_bytes().into() }
    }

    #[test]
    fn null_means_unassigned_in_every_spelling() {
        for body in [json!({}), json!({ "title": null }), json!({ "title": "" }), json!({ "title": [] })] {
            assert!(faults(&answer(200, &body), &[200], &[Expectation::Shows(json!({ "title": null }))]).is_empty(), "{body}");
        }
        let found = faults(&answer(200, &json!({ "title": "Dr." })), &[200], &[Expectation::Shows(json!({ "title": null }))]);
        assert_eq!(found, ["/title is \"Dr.\" where no value is expected"]);
    }

    #[test]
    fn a_list_must_hold_a_value_like_each_one_expected() {
        let body = json!({ "members": [{ "value": "1", "display": "x" }, { "value": "2" }] });
        let shows = |value: Value| faults(&answer(200, &body), &[200], &[Expectation::Shows(value)]);
        assert!(shows(json!({ "members": [{ "value": "2" }] })).is_empty());
        assert_eq!(shows(json!({ "members": [{ "value": "3" }] })), ["/members has no value like {\"value\":\"3\"}"]);
    }

    #[test]
    fn counters_and_errors_must_have_their_types() {
        let list = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"], "totalResults": "0" });
        assert_eq!(faults(&answer(200, &list), &[200], &[]), ["totalResults is not a whole number"]);
        let error = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": 409, "detail": "taken" });
        assert_eq!(faults(&answer(409, &error), &[409], &[]).len(), 2, "status is a number, scimType is missing");
    }
}
