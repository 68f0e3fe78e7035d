//! Versions and preconditions (RFC 7644 §3.14, RFC 9110 §13.1): a weak entity tag made of a resource's version counter.

use crate::scim::error::{ScimError, quote};

/// A version as a weak entity tag: representations of one version may differ in their memberships and projection.
#[must_use]
pub fn etag(version: i64) -> String {
    format!("W/\"{version}\"")
}

/// The entity tags of an `If-Match` or `If-None-Match` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `*`: any version, as long as the resource exists.
    Any,
    /// One of these versions; a tag that is not ours is in no list.
    Versions(Vec<i64>),
}

impl Condition {
    /// Reads a header's value. Weak and strong tags compare alike: RFC 7644 uses weak ones in `If-Match`.
    ///
    /// # Errors
    /// 400 when it is no list of entity tags.
    pub fn parse(header: &str) -> Result<Self, ScimError> {
        if header.trim() == "*" {
            return Ok(Self::Any);
        }
        let mut versions = Vec::new();
        for tag in header.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            let opaque = tag.strip_prefix("W/").unwrap_or(tag);
            let Some(opaque) = opaque.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
                return Err(ScimError::invalid_value(format!("{} is not an entity tag such as W/\"1\"", quote(tag))));
            };
            versions.extend(opaque.parse::<i64>());
        }
        Ok(Self::Versions(versions))
    }

    /// Whether a version is one of these.
    #[must_use]
    pub fn holds(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::Versions(versions) => versions.contains(&version),
        }
    }
}

/// Refuses a change of a resource that is at another version than the client knows.
///
/// # Errors
/// 412.
pub fn check_if_match(condition: Option<&Condition>, version: i64) -> Result<(), ScimError> {
    match condition {
        Some(condition) if !condition.holds(version) => {
            Err(ScimError::precondition_failed(format!("the resource is at version {}; If-Match names another", etag(version))))
        }
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
        assert!(Condition::parse("3").is_err());
        assert!(check_if_match(Condition::parse("W/\"3\"").ok().as_ref(), 4).is_err());
        assert!(check_if_match(None, 4).is_ok());
    }
}
