//! Versions and preconditions (RFC 7644 §3.14, RFC 9110 §13.1): a weak entity tag made of a resource's version counter.

use crate::scim::error::{ScimError, quote};

/// A version as a weak entity tag: representations of one version may differ in their memberships and projection.
#[must_use]
pub fn etag(version: i64) -> String {
    format!("W/\"{version}\"")
}

/// What a request demands of the version of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `If-Match: *`: any version, as long as the resource exists.
    Any,
    /// `If-Match`: one of these versions; a tag that is not ours is in no list.
    Versions(Vec<i64>),
    /// `If-None-Match`: what the header lists does not hold.
    NoneOf(Box<Condition>),
    /// Both headers came, and both must hold (RFC 9110 §13.2.2).
    Both(Box<(Condition, Condition)>),
}

impl Condition {
    /// Reads the value of one of the two headers. Weak and strong tags compare alike: RFC 7644 uses weak ones in `If-Match`.
    ///
    /// # Errors
    /// 400 when it is no list of entity tags.
    pub fn parse(header: &str) -> Result<Self, ScimError> {
        if header.trim() == "*" {
            return Ok(Self::Any);
        }
        let mut versions = Vec::new();
        let mut rest = header;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return Ok(Self::Versions(versions));
            }
            let Some((opaque, behind)) = entity_tag(rest) else {
                return Err(ScimError::invalid_value(format!("{} is not an entity tag such as W/\"1\"", quote(rest))));
            };
            versions.extend(opaque.parse::<i64>());
            rest = behind;
        }
    }

    /// The condition of a request that changes a resource, from the values of `If-Match` and `If-None-Match`.
    ///
    /// # Errors
    /// 400 when one of them is no list of entity tags.
    pub fn of_headers(if_match: Option<&str>, if_none_match: Option<&str>) -> Result<Option<Self>, ScimError> {
        let if_match = if_match.map(Self::parse).transpose()?;
        let if_none_match = if_none_match.map(Self::parse).transpose()?.map(|listed| Self::NoneOf(Box::new(listed)));
        Ok(match (if_match, if_none_match) {
            (Some(one), Some(other)) => Some(Self::Both(Box::new((one, other)))),
            (one, other) => one.or(other),
        })
    }

    /// Whether a version fulfils it.
    #[must_use]
    pub fn holds(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::Versions(versions) => versions.contains(&version),
            Self::NoneOf(listed) => !listed.holds(version),
            Self::Both(both) => both.0.holds(version) && both.1.holds(version),
        }
    }
}

/// The opaque part of the entity tag that a text begins with, and what follows up to and with the next comma.
fn entity_tag(text: &str) -> Option<(&str, &str)> {
    let (opaque, behind) = text.strip_prefix("W/").unwrap_or(text).strip_prefix('"')?.split_once('"')?;
    let behind = behind.trim_start_matches([' ', '\t']);
    if behind.is_empty() { Some((opaque, behind)) } else { behind.strip_prefix(',').map(|behind| (opaque, behind)) }
}

/// Refuses a request on a resource that is at another version than the client demands.
///
/// # Errors
/// 412.
pub fn check_if_match(condition: Option<&Condition>, version: i64) -> Result<(), ScimError> {
    match condition {
        Some(condition) if !condition.holds(version) => Err(ScimError::precondition_failed(format!(
            "the resource is at version {}, which If-Match or If-None-Match of the request rules out",
            etag(version)
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_clients_write_them() {
        assert_eq!(Condition::parse("*"), Ok(Condition::Any));
        assert_eq!(Condition::parse("W/\"3\", \"4\" ,W/\"theirs\""), Ok(Condition::Versions(vec![3, 4])));
        assert_eq!(Condition::parse("\"a,b\",\"5\""), Ok(Condition::Versions(vec![5])), "a comma may stand inside a tag");
        for wrong in ["3", "\"3", "\"3\" \"4\"", "w/\"3\""] {
            assert!(Condition::parse(wrong).is_err(), "{wrong}");
        }
        assert!(check_if_match(Condition::parse("W/\"3\"").ok().as_ref(), 4).is_err());
        assert!(check_if_match(None, 4).is_ok());
    }

    #[test]
    fn both_headers_must_hold() {
        let holds = |if_match, if_none_match, version| {
            Condition::of_headers(if_match, if_none_match).expect("legal").is_none_or(|condition| condition.holds(version))
        };
        assert!(holds(None, None, 1));
        assert!(holds(None, Some("\"2\""), 1) && !holds(None, Some("\"1\""), 1) && !holds(None, Some("*"), 1));
        assert!(holds(Some("\"1\""), Some("\"2\""), 1) && !holds(Some("*"), Some("W/\"1\""), 1));
    }
}
