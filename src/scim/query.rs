//! The query string (RFC 7644 §3.4.2, §3.9), parsed by our own code, because every client writes it a little differently: names
//! in any letter case, `+` or `%20`, a trailing `&`, a flag without a value. The same parameters come as a body in `.search`.

use serde_json::{Map, Value};

use crate::scim::catalog::SEARCH_REQUEST_URN;
use crate::scim::error::{ScimError, ScimType, quote, quote_json};
use crate::scim::json::take;
use crate::scim::reader::{Limits, Reader};

/// Which resources, in which order, which page and which of their attributes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// The filter's text.
    pub filter: Option<String>,
    /// The attribute to sort by.
    pub sort_by: Option<String>,
    /// Descending instead of ascending.
    pub descending: bool,
    /// From 1.
    pub start_index: Option<i64>,
    /// Resources wanted.
    pub count: Option<i64>,
    /// A place from an earlier page (RFC 9865 §2); empty text asks for the first page.
    pub cursor: Option<String>,
    /// Only these attributes.
    pub attributes: Vec<String>,
    /// All but these attributes.
    pub excluded_attributes: Vec<String>,
}

impl Query {
    /// Parses the text behind the question mark.
    ///
    /// # Errors
    /// 400 naming the parameter and its value. Unknown parameters are ignored (RFC 7644 §3.4.2).
    pub fn parse(raw: &str) -> Result<Self, ScimError> {
        let mut given = Vec::new();
        for (name, value) in pairs(raw) {
            if let Some(parameter) = Parameter::of(&decode(name)?) {
                given.push((parameter, Value::String(decode(value)?)));
            }
        }
        Self::of(given)
    }

    /// Whether a query string has a filter, whatever else it has: discovery looks at nothing but this (RFC 7644 §4).
    #[must_use]
    pub fn names_a_filter(raw: &str) -> bool {
        pairs(raw).any(|(name, _)| decode(name).is_ok_and(|name| Parameter::of(&name) == Some(Parameter::Filter)))
    }

    /// Reads a SearchRequest (RFC 7644 §3.4.3). A strict connection must say that it is one; lenient clients leave that out.
    ///
    /// # Errors
    /// 400 naming the parameter and its value.
    pub fn from_body(mut body: Map<String, Value>, reader: &Reader) -> Result<Self, ScimError> {
        let schemas = take(&mut body, "schemas");
        let says_so = schemas.as_ref().and_then(Value::as_array).is_some_and(|schemas| {
            !schemas.is_empty() && schemas.iter().all(|urn| urn.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(SEARCH_REQUEST_URN)))
        });
        if !says_so && !reader.is_lenient() {
            return Err(ScimError::invalid_syntax(format!("schemas of a query by POST must be [\"{SEARCH_REQUEST_URN}\"]")));
        }
        let mut given = Vec::new();
        for parameter in Parameter::ALL {
            if let Some(value) = take(&mut body, parameter.name()).filter(|value| !value.is_null()) {
                given.push((parameter, value));
            }
        }
        Self::of(given)
    }

    fn of(given: Vec<(Parameter, Value)>) -> Result<Self, ScimError> {
        let mut query = Self::default();
        // RFC 9865 §2.1 has a keyword for a wrong count; RFC 7644 has none.
        let by_cursor = given.iter().any(|(parameter, _)| *parameter == Parameter::Cursor);
        for (parameter, value) in given {
            query.set(parameter, value).map_err(|error| match parameter {
                Parameter::Count if by_cursor => ScimError { scim_type: Some(ScimType::InvalidCount), ..error },
                _ => error,
            })?;
        }
        Ok(query)
    }

    /// Whether the answer must show the resource even where 204 would do (RFC 7644 §3.5.2).
    #[must_use]
    pub fn asks_for_attributes(&self) -> bool {
        !self.attributes.is_empty() || !self.excluded_attributes.is_empty()
    }

    /// The first result wanted, from 1: "A value less than 1 SHALL be interpreted as 1" (RFC 7644 §3.4.2.4).
    #[must_use]
    pub fn first(&self) -> i64 {
        self.start_index.unwrap_or(1).max(1)
    }

    /// How many results a page holds: "A negative value SHALL be interpreted as 0"; never more than the server's limit.
    #[must_use]
    pub fn page_size(&self, limits: &Limits) -> i64 {
        let wanted = self.count.unwrap_or(i64::try_from(limits.page_size_default).unwrap_or(i64::MAX));
        wanted.clamp(0, i64::try_from(limits.page_size_max).unwrap_or(i64::MAX))
    }

    fn set(&mut self, parameter: Parameter, value: Value) -> Result<(), ScimError> {
        match parameter {
            Parameter::Filter => once(&mut self.filter, parameter, text(parameter, value)?),
            Parameter::Cursor => once(&mut self.cursor, parameter, text(parameter, value)?),
            Parameter::SortBy => match text(parameter, value)? {
                blank if blank.trim().is_empty() => Ok(()),
                name => once(&mut self.sort_by, parameter, name),
            },
            Parameter::SortOrder => {
                let order = text(parameter, value)?;
                self.descending = match order.to_ascii_lowercase().as_str() {
                    "" | "ascending" => false,
                    "descending" => true,
                    _ => {
                        return Err(ScimError::invalid_value(format!(
                            "sortOrder is {}; ascending or descending is expected",
                            quote(&order)
                        )));
                    }
                };
                Ok(())
            }
            Parameter::StartIndex => whole_number(parameter, value, &mut self.start_index),
            Parameter::Count => whole_number(parameter, value, &mut self.count),
            Parameter::Attributes => names(parameter, value, &mut self.attributes),
            Parameter::ExcludedAttributes => names(parameter, value, &mut self.excluded_attributes),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parameter {
    Filter,
    SortBy,
    SortOrder,
    StartIndex,
    Count,
    Cursor,
    Attributes,
    ExcludedAttributes,
}

impl Parameter {
    const ALL: [Parameter; 8] = [
        Self::Filter,
        Self::SortBy,
        Self::SortOrder,
        Self::StartIndex,
        Self::Count,
        Self::Cursor,
        Self::Attributes,
        Self::ExcludedAttributes,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::SortBy => "sortBy",
            Self::SortOrder => "sortOrder",
            Self::StartIndex => "startIndex",
            Self::Count => "count",
            Self::Cursor => "cursor",
            Self::Attributes => "attributes",
            Self::ExcludedAttributes => "excludedAttributes",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|parameter| parameter.name().eq_ignore_ascii_case(name))
    }
}

fn text(parameter: Parameter, value: Value) -> Result<String, ScimError> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(ScimError::invalid_value(format!("{} is {}; a string is expected", parameter.name(), quote_json(&other)))),
    }
}

/// A second, different value leaves open which one is meant. Answering either would show the wrong people.
fn once(slot: &mut Option<String>, parameter: Parameter, value: String) -> Result<(), ScimError> {
    if slot.as_ref().is_some_and(|first| *first != value) {
        let scim_type = if parameter == Parameter::Filter { ScimType::InvalidFilter } else { ScimType::InvalidValue };
        return Err(ScimError::bad(scim_type, format!("{} is given twice", parameter.name())));
    }
    *slot = Some(value);
    Ok(())
}

fn whole_number(parameter: Parameter, value: Value, slot: &mut Option<i64>) -> Result<(), ScimError> {
    let number = match &value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) if text.trim().is_empty() => return Ok(()),
        Value::String(text) => parse_saturating(text.trim()),
        _ => None,
    };
    let Some(number) = number else {
        return Err(ScimError::invalid_value(format!("{} is {}; a whole number is expected", parameter.name(), quote_json(&value))));
    };
    if slot.is_some_and(|first| first != number) {
        return Err(ScimError::invalid_value(format!("{} is given twice", parameter.name())));
    }
    *slot = Some(number);
    Ok(())
}

/// A number too large for us is still a number: the clamping rules say what it means.
fn parse_saturating(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX }))
}

fn names(parameter: Parameter, value: Value, slot: &mut Vec<String>) -> Result<(), ScimError> {
    match value {
        Value::String(text) => slot.extend(text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned)),
        Value::Array(values) => {
            for value in values {
                slot.push(text(parameter, value)?.trim().to_owned());
            }
        }
        other => {
            return Err(ScimError::invalid_value(format!("{} is {}; attribute names are expected", parameter.name(), quote_json(&other))));
        }
    }
    Ok(())
}

/// The parameters of a query string as they stand there, for [`decode`] to read.
pub(crate) fn pairs(raw: &str) -> impl Iterator<Item = (&str, &str)> {
    raw.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// `application/x-www-form-urlencoded`: `%XX`, and `+` for a space.
///
/// # Errors
/// 400 when an escape is wrong or the text is not UTF-8.
pub(crate) fn decode(text: &str) -> Result<String, ScimError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => match tail {
                [high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    bytes.push(hex(*high) << 4 | hex(*low));
                    rest = tail;
                }
                _ => return Err(ScimError::invalid_value(format!("the query string has a wrong escape in {}", quote(text)))),
            },
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).map_err(|_| ScimError::invalid_value(format!("the query string is not UTF-8 in {}", quote(text))))
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_write_query_strings_in_many_ways() {
        let query = Query::parse("aadOptscim062020&filter=userName+eq+%22a%2Bb%40x%22&startindex=0&COUNT=&").expect("legal");
        assert_eq!(query.filter.as_deref(), Some(r#"userName eq "a+b@x""#));
        assert_eq!((query.first(), query.page_size(&Limits::default())), (1, 100));
        let query = Query::parse("count=-3&startIndex=99999999999999999999&attributes=userName,%20emails&attributes=id").expect("legal");
        assert_eq!((query.page_size(&Limits::default()), query.first()), (0, i64::MAX));
        assert_eq!(query.attributes, ["userName", "emails", "id"]);
        assert_eq!(Query::parse("count=100000").expect("legal").page_size(&Limits::default()), 1_000);
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_its_name() {
        for (raw, name) in [
            ("count=abc", "count"),
            ("startIndex=1&startIndex=2", "startIndex"),
            ("filter=a&filter=b", "filter"),
            ("filter=%zz", "escape"),
            ("filter=%ff", "UTF-8"),
            ("sortOrder=sideways", "sortOrder"),
        ] {
            assert!(Query::parse(raw).expect_err(raw).detail.contains(name), "{raw}");
        }
    }
}
