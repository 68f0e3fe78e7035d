//! JSON as requests carry it: parsed once, with the rules that a permissive parser leaves out. A key may stand only once in
//! an object, in any letter case (RFC 7643 §2.1 makes `userName` and `UserName` the same attribute, and a server that takes
//! the last of `{"active":true,"active":false}` disagrees with the one that takes the first). Nesting is bounded. No text holds
//! U+0000, which PostgreSQL cannot store: it is refused here for keys and values, known attributes and unknown ones alike.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::scim::error::{ScimError, quote};

/// Deepest nesting of arrays and objects: the deepest SCIM message (Bulk with a PATCH of a complex multi-valued attribute) has 9.
pub const JSON_MAX_DEPTH: usize = 32;

/// Parses a request body.
///
/// # Errors
/// 400 `invalidSyntax` with line and column; 400 `invalidValue` naming the place of a U+0000.
pub fn parse(bytes: &[u8]) -> Result<Value, ScimError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ScimError::invalid_syntax("the body is empty; a JSON object is expected"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Node { depth: 0 }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| ScimError::invalid_syntax(format!("the body is not valid JSON: {error}")))?;
    // In JSON it can only be written as an escape, and a body without any is told at the speed of memory.
    if bytes.contains(&b'\\')
        && bytes.windows(NUL_ESCAPE.len()).any(|window| window == NUL_ESCAPE)
        && let Some(place) = place_of_nul(&value)
    {
        return Err(ScimError::invalid_value(format!("{place} holds the character U+0000, which is not allowed")));
    }
    Ok(value)
}

const NUL_ESCAPE: &[u8] = b"\\u0000";

/// Where a text or a key holds U+0000: `emails[0].value`. Depth is bounded by the parser.
fn place_of_nul(value: &Value) -> Option<String> {
    let step = |step: String, rest: String| match rest.as_str() {
        "" => step,
        rest if rest.starts_with('[') => step + rest,
        rest => format!("{step}.{rest}"),
    };
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(values) => values.iter().enumerate().find_map(|(index, value)| Some(step(format!("[{index}]"), place_of_nul(value)?))),
        Value::Object(object) => object.iter().find_map(|(key, value)| {
            if key.contains('\0') {
                return Some(format!("the key {}", quote(key)));
            }
            Some(step(key.clone(), place_of_nul(value)?))
        }),
        _ => None,
    }
}

/// Parses a request body that must be an object.
///
/// # Errors
/// 400 `invalidSyntax`.
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, ScimError> {
    match parse(bytes)? {
        Value::Object(object) => Ok(object),
        _ => Err(ScimError::invalid_syntax("the body is not a JSON object")),
    }
}

/// Takes a value out of an object by its name in any letter case (RFC 7643 §2.1). [`parse`] made sure there is only one.
pub fn take(object: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let key = object.keys().find(|key| key.eq_ignore_ascii_case(name))?.clone();
    object.shift_remove(&key)
}

/// Up to so many keys of an object, a new one is compared with each: that is faster than keeping a set of them. A hostile body has an
/// object of a million keys, so beyond it there is a set.
const FEW_KEYS: usize = 32;

struct Node {
    depth: usize,
}

impl Node {
    fn deeper<E: de::Error>(&self) -> Result<Node, E> {
        if self.depth >= JSON_MAX_DEPTH {
            return Err(E::custom(format!("it nests deeper than {JSON_MAX_DEPTH} levels")));
        }
        Ok(Node { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Node {
    type Value = Value;
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is out of range"))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(self.deeper()?)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        let mut folded = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.len() == FEW_KEYS {
                folded = object.keys().map(|key| key.to_ascii_lowercase()).collect();
            }
            let is_new = if object.len() < FEW_KEYS {
                !object.keys().any(|other| other.eq_ignore_ascii_case(&key))
            } else {
                folded.insert(key.to_ascii_lowercase())
            };
            if !is_new {
                return Err(de::Error::custom(format!("the key {} stands twice in one object", quote(&key))));
            }
            object.insert(key, map.next_value_seed(self.deeper()?)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(text: &str) -> String {
        parse(text.as_bytes()).expect_err(text).detail
    }

    #[test]
    fn faults_are_named_with_their_position() {
        assert!(detail("{\"a\": tru}").contains("line 1 column"), "{}", detail("{\"a\": tru}"));
        assert!(detail("").contains("empty"));
        assert!(detail("{} x").contains("trailing"));
        assert!(detail("{\"a\":1e400}").contains("out of range"));
        assert!(detail("{\"a\":\"\\ud800\"}").contains("surrogate") || detail("{\"a\":\"\\ud800\"}").contains("hex escape"));
    }

    #[test]
    fn a_key_stands_once_in_any_letter_case() {
        assert!(detail(r#"{"active":true,"active":false}"#).contains("stands twice"));
        assert!(detail(r#"{"emails":[{"value":"a","Value":"b"}]}"#).contains("stands twice"));
        for others in FEW_KEYS - 2..FEW_KEYS + 2 {
            let others: String = (0..others).map(|n| format!(r#""k{n}":{n},"#)).collect();
            assert!(parse(format!(r#"{{{others}"first":1}}"#).as_bytes()).is_ok());
            assert!(detail(&format!(r#"{{"first":1,{others}"First":2}}"#)).contains("\"First\" stands twice"));
            assert!(detail(&format!(r#"{{{others}"last":1,"Last":2}}"#)).contains("\"Last\" stands twice"));
        }
    }

    #[test]
    fn the_character_nul_is_refused_with_its_place() {
        for (text, place) in [
            (r#"{"userName":"a\u0000b"}"#, "userName holds"),
            (r#"{"emails":[{"value":"a"},{"value":"\u0000"}]}"#, "emails[1].value holds"),
            (r#"{"x":[["\u0000"]]}"#, "x[0][0] holds"),
            (r#"{"x":{"a\u0000":1}}"#, "x.the key \"a\\0\" holds"),
        ] {
            assert!(detail(text).contains(place), "{}", detail(text));
        }
        assert!(parse(br#"{"userName":"a\\u0000b"}"#).is_ok(), "an escaped backslash before it makes it six characters");
    }

    #[test]
    fn nesting_is_bounded_and_hostile_depth_is_no_crash() {
        let at_limit = format!("{}{}", "[".repeat(JSON_MAX_DEPTH), "]".repeat(JSON_MAX_DEPTH));
        assert!(parse(at_limit.as_bytes()).is_ok());
        for depth in [JSON_MAX_DEPTH + 1, 1_000, 1_000_000] {
            assert!(parse("[".repeat(depth).as_bytes()).is_err());
        }
    }
}
