//! What a client may read when a request fails (RFC 7644 §3.12): a status, a `scimType` and one sentence that names the
//! attribute, the value and the rule. JumpCloud shows that sentence to its administrator as the only diagnostic.
//! Internal failures are not here: they are logged once by `http::error` and answered without their cause.

use serde_json::{Value, json};

/// The schema URI of an error body (RFC 7644 §8.2).
pub const ERROR_URN: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// The longest `detail` sent, in characters: a detail quotes input, and input may be long.
pub const DETAIL_MAX_CHARS: usize = 512;

/// The longest quotation of a client's value inside a detail, in characters.
const QUOTE_MAX_CHARS: usize = 80;

/// The detail error keywords of RFC 7644 §3.12, table 9, and of RFC 9865 §2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScimType {
    /// The filter was malformed, or named an attribute or comparison that does not exist.
    InvalidFilter,
    /// The filter yields more results than the server is willing to calculate.
    TooMany,
    /// A value is already in use.
    Uniqueness,
    /// The change is not compatible with the attribute's mutability or current state.
    Mutability,
    /// The body was not the JSON or the message that was expected.
    InvalidSyntax,
    /// A PATCH path was malformed or names nothing.
    InvalidPath,
    /// A PATCH path selected no value to operate on.
    NoTarget,
    /// A required value was missing, or a value does not fit its attribute.
    InvalidValue,
    /// The protocol version in the URL is not supported.
    InvalidVers,
    /// The request cannot be completed because a value would travel in the URL.
    Sensitive,
    /// The cursor was not made by this server, or not for this query (RFC 9865 §2.1).
    InvalidCursor,
    /// The cursor is too old (RFC 9865 §2.1).
    ExpiredCursor,
    /// The count does not fit the cursor (RFC 9865 §2.1).
    InvalidCount,
}

impl ScimType {
    /// The keyword as it stands in the body.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalidFilter",
            Self::TooMany => "tooMany",
            Self::Uniqueness => "uniqueness",
            Self::Mutability => "mutability",
            Self::InvalidSyntax => "invalidSyntax",
            Self::InvalidPath => "invalidPath",
            Self::NoTarget => "noTarget",
            Self::InvalidValue => "invalidValue",
            Self::InvalidVers => "invalidVers",
            Self::Sensitive => "sensitive",
            Self::InvalidCursor => "invalidCursor",
            Self::ExpiredCursor => "expiredCursor",
            Self::InvalidCount => "invalidCount",
        }
    }
}

/// An answer that tells the client what it did wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status} {detail}")]
pub struct ScimError {
    /// The HTTP status code.
    pub status: u16,
    /// The keyword, where RFC 7644 has one.
    pub scim_type: Option<ScimType>,
    /// The sentence for the administrator.
    pub detail: String,
}

impl ScimError {
    /// An error without a keyword.
    #[must_use]
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        Self { status, scim_type: None, detail: shorten(&detail.into(), DETAIL_MAX_CHARS) }
    }

    /// The same with the place of the fault in front of its sentence.
    #[must_use]
    pub(crate) fn at(self, place: &str) -> Self {
        Self { scim_type: self.scim_type, ..Self::new(self.status, format!("{place}: {}", self.detail)) }
    }

    /// 400 with a keyword.
    #[must_use]
    pub fn bad(scim_type: ScimType, detail: impl Into<String>) -> Self {
        Self { scim_type: Some(scim_type), ..Self::new(400, detail) }
    }

    /// 400 `invalidValue`.
    #[must_use]
    pub fn invalid_value(detail: impl Into<String>) -> Self {
        Self::bad(ScimType::InvalidValue, detail)
    }

    /// 400 `invalidSyntax`.
    #[must_use]
    pub fn invalid_syntax(detail: impl Into<String>) -> Self {
        Self::bad(ScimType::InvalidSyntax, detail)
    }

    /// 400 `invalidFilter`.
    #[must_use]
    pub fn invalid_filter(detail: impl Into<String>) -> Self {
        Self::bad(ScimType::InvalidFilter, detail)
    }

    /// 400 `invalidPath`.
    #[must_use]
    pub fn invalid_path(detail: impl Into<String>) -> Self {
        Self::bad(ScimType::InvalidPath, detail)
    }

    /// 400 `noTarget`.
    #[must_use]
    pub fn no_target(detail: impl Into<String>) -> Self {
        Self::bad(ScimType::NoTarget, detail)
    }

    /// 400 `mutability`.
    #[must_use]
    pub fn mutability(detail: impl Into<String>) -> Self {
        Self::bad(ScimType::Mutability, detail)
    }

    /// 409 `uniqueness` (RFC 7644 §3.3).
    #[must_use]
    pub fn uniqueness(detail: impl Into<String>) -> Self {
        Self { scim_type: Some(ScimType::Uniqueness), ..Self::new(409, detail) }
    }

    /// 404: no resource of this type has this id in the caller's tenant.
    #[must_use]
    pub fn not_found(resource_type: &str, id: &str) -> Self {
        Self::new(404, format!("{resource_type} {} does not exist", quote(id)))
    }

    /// 412: the resource is at another version than the request's precondition (RFC 7644 §3.14).
    #[must_use]
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::new(412, detail)
    }

    /// The body of the answer. `status` is a string (RFC 7644 §3.12).
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = json!({ "schemas": [ERROR_URN], "status": self.status.to_string() });
        if let Some(scim_type) = self.scim_type {
            body["scimType"] = scim_type.keyword().into();
        }
        body["detail"] = self.detail.as_str().into();
        body
    }
}

/// A client's text as a detail quotes it: in double quotes, shortened, control characters escaped.
#[must_use]
pub fn quote(text: &str) -> String {
    format!("{:?}", shorten(text, QUOTE_MAX_CHARS))
}

/// A client's JSON value as a detail quotes it: compact, shortened.
#[must_use]
pub fn quote_json(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Array(_) => "an array".into(),
        Value::Object(_) => "an object".into(),
        other => other.to_string(),
    }
}

/// At most so many characters of a text, the mark of what was left out among them.
fn shorten(text: &str, max_chars: usize) -> String {
    if text.chars().nth(max_chars).is_none() {
        return text.to_owned();
    }
    text.chars().take(max_chars - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_the_status_as_a_string() {
        let body = ScimError::uniqueness("userName \"x\" is taken").body();
        assert_eq!(body["status"], "409");
        assert_eq!(body["scimType"], "uniqueness");
        assert_eq!(body["schemas"][0], ERROR_URN);
    }

    #[test]
    fn a_detail_is_whole_at_the_limit_and_never_longer() {
        let longest = "x".repeat(DETAIL_MAX_CHARS);
        assert_eq!(ScimError::invalid_value(&longest).detail, longest);
        for detail in
            [ScimError::invalid_value(format!("{longest}y")).detail, ScimError::invalid_value(&longest).at("Operations[0]").detail]
        {
            assert_eq!(detail.chars().count(), DETAIL_MAX_CHARS);
            assert!(detail.ends_with("x…"), "{detail}");
        }
    }

    #[test]
    fn long_input_is_quoted_short_and_without_control_characters() {
        let quoted = quote(&format!("\u{1b}[2J\n{}", "x".repeat(10_000)));
        assert!(quoted.chars().count() < 120, "{quoted}");
        assert!(!quoted.contains('\u{1b}') && !quoted.contains('\n'));
    }
}
