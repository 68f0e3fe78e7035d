//! The part of PostgreSQL's jsonpath that filters are compiled to, read and evaluated once more: a text that is not in it is a
//! panic, and so is a comparison of two kinds of values, which PostgreSQL would answer with "unknown". The property test against
//! PostgreSQL itself is tests/suite/filter_agreement.rs.

use std::cmp::Ordering;

use serde_json::Value;

/// An operator as it is written, and what of an order it holds for.
type Comparison = (&'static str, fn(Ordering) -> bool);

/// Whether a predicate holds of a document.
pub fn holds(path: &str, document: &Value) -> bool {
    let mut reader = Reader { path, rest: path, root: document };
    let holds = reader.predicate(&Value::Null);
    assert_eq!(reader.rest, "", "{path}");
    holds
}

struct Reader<'a> {
    path: &'a str,
    rest: &'a str,
    root: &'a Value,
}

impl<'a> Reader<'a> {
    fn take(&mut self, mark: &str) -> bool {
        let rest = self.rest.strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, mark: &str) {
        assert!(self.take(mark), "{mark:?} is expected at {:?} in {}", self.rest, self.path);
    }

    fn predicate(&mut self, current: &Value) -> bool {
        if self.take("!") {
            assert!(self.rest.starts_with(['(', 'e']), "a negation needs parentheses: {}", self.path);
            return !self.predicate(current);
        }
        if self.take("exists(") {
            return self.exists(current);
        }
        if !self.take("(") {
            return self.comparison(current);
        }
        let mut holds = self.predicate(current);
        if self.rest.starts_with(" && ") {
            while self.take(" && ") {
                holds &= self.predicate(current);
            }
        } else {
            while self.take(" || ") {
                holds |= self.predicate(current);
            }
        }
        self.expect(")");
        holds
    }

    fn exists(&mut self, current: &Value) -> bool {
        let values: Vec<Value> = self.values(current).into_iter().cloned().collect();
        if !self.take(" ? (") {
            self.expect(")");
            return !values.is_empty();
        }
        let condition = self.rest;
        let mut found = false;
        for value in &values {
            self.rest = condition;
            found |= self.predicate(value);
        }
        if values.is_empty() {
            self.skip_condition();
        }
        self.expect("))");
        found
    }

    /// Reads a condition that is asked of nothing.
    fn skip_condition(&mut self) {
        static NOTHING: Value = Value::Null;
        let mut unasked = Reader { path: self.path, rest: self.rest, root: &NOTHING };
        unasked.predicate(&NOTHING);
        self.rest = unasked.rest;
    }

    fn values<'v>(&mut self, current: &'v Value) -> Vec<&'v Value>
    where
        'a: 'v,
    {
        let start = if self.take("$") {
            self.root
        } else {
            self.expect("@");
            current
        };
        let mut values = vec![start];
        loop {
            if self.take("[*]") {
                values = values.into_iter().flat_map(|value| value.as_array().expect("multi-valued attributes are arrays")).collect();
            } else if self.take(".") {
                let name = self.string();
                values = values.into_iter().filter_map(|value| value.get(&name)).collect();
            } else {
                return values;
            }
        }
    }

    fn comparison(&mut self, current: &Value) -> bool {
        let values: Vec<Value> = self.values(current).into_iter().filter(|value| !value.is_null()).cloned().collect();
        if self.take(" like_regex ") {
            let pattern = self.string();
            let literally = self.take(" flag \"q\"");
            return values.iter().any(|value| {
                let text = value.as_str().expect("only text is searched");
                if literally { text.contains(&pattern) } else { text.ends_with(&end_of(&pattern)) }
            });
        }
        if self.take(" starts with ") {
            let prefix = self.string();
            return values.iter().any(|value| value.as_str().expect("only text is searched").starts_with(&prefix));
        }
        let operators: [Comparison; 6] = [
            (" == ", Ordering::is_eq),
            (" != ", Ordering::is_ne),
            (" >= ", Ordering::is_ge),
            (" <= ", Ordering::is_le),
            (" > ", Ordering::is_gt),
            (" < ", Ordering::is_lt),
        ];
        let Some((_, holds)) = operators.into_iter().find(|(mark, _)| self.take(mark)) else {
            panic!("an operator is expected at {:?} in {}", self.rest, self.path)
        };
        let literal = self.literal();
        values.iter().any(|value| holds(order(value, &literal)))
    }

    fn literal(&mut self) -> Value {
        if self.rest.starts_with('"') {
            return self.string().into();
        }
        let end = self.rest.find([' ', ')']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        serde_json::from_str(word).expect("a literal is JSON")
    }

    fn string(&mut self) -> String {
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
        let Some(Ok(text)) = values.next() else { panic!("a string is expected at {:?} in {}", self.rest, self.path) };
        self.rest = &self.rest[values.byte_offset()..];
        text
    }
}

/// The text that a pattern made for `ew` looks for at the end.
fn end_of(pattern: &str) -> String {
    let escaped = pattern.strip_suffix('$').expect("the pattern is bound to the end");
    let mut text = String::new();
    let mut characters = escaped.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => text.push(characters.next().filter(char::is_ascii_punctuation).expect("only punctuation is escaped")),
            c => {
                assert!(!c.is_ascii_punctuation(), "{c:?} is not escaped in {pattern:?}");
                text.push(c);
            }
        }
    }
    text
}

fn order(value: &Value, literal: &Value) -> Ordering {
    match (value, literal) {
        (Value::String(value), Value::String(literal)) => value.cmp(literal),
        (Value::Bool(value), Value::Bool(literal)) => value.cmp(literal),
        (Value::Number(value), Value::Number(literal)) => {
            value.as_f64().partial_cmp(&literal.as_f64()).expect("JSON has no number that is not one")
        }
        _ => panic!("{value} is compared with {literal}"),
    }
}
