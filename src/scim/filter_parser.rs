//! The filter grammar, whole (RFC 7644 §3.4.2.2), read into a [`Filter`].
//!
//! The parser keeps its own stack: no input makes it recurse. Depth is bounded while parsing, so what walks or drops the tree
//! afterwards is bounded too. Faults are 400 `invalidFilter` with the position, in characters from 1.

use serde_json::Value;

use crate::scim::document::fold_text;
use crate::scim::error::{ScimError, quote};
use crate::scim::filter::{Filter, Literal, Operator, Target, Text};
use crate::scim::path::is_short;
use crate::scim::quirks;
use crate::scim::reader::Reader;
use crate::scim::schema::{AttrPath, Attribute, Kind, Name, ResourceType, Returned};
use crate::scim::text;

/// What opened a level of the parser's stack.
#[derive(Clone, Copy)]
pub(super) enum Opener {
    /// Nothing: the filter of a query.
    Start,
    /// `(` or `not (`.
    Parenthesis {
        /// Whether `not` stands before it.
        negated: bool,
    },
    /// `[` behind an attribute.
    Bracket(AttrPath),
}

/// One level: `or` separates, `and` binds tighter.
struct Level {
    opener: Opener,
    alternatives: Vec<Filter>,
    conjunction: Vec<Filter>,
}

impl Level {
    fn new(opener: Opener) -> Self {
        Self { opener, alternatives: Vec::new(), conjunction: Vec::new() }
    }

    fn end_conjunction(&mut self) {
        let filters = std::mem::take(&mut self.conjunction);
        self.alternatives.push(one_or(filters, Filter::And));
    }

    fn finish(mut self) -> Filter {
        self.end_conjunction();
        let filter = one_or(self.alternatives, Filter::Or);
        match self.opener {
            Opener::Start | Opener::Parenthesis { negated: false } => filter,
            Opener::Parenthesis { negated: true } => Filter::Not(Box::new(filter)),
            Opener::Bracket(path) => Filter::Any(path, Box::new(filter)),
        }
    }
}

fn one_or(mut filters: Vec<Filter>, many: fn(Vec<Filter>) -> Filter) -> Filter {
    if filters.len() == 1 { filters.remove(0) } else { many(filters) }
}

enum Operand {
    Complete(Filter),
    ValuePath(AttrPath),
}

/// A place in a text, and what is known around it.
pub(super) struct Parser<'a, 'r> {
    resource_type: &'static ResourceType,
    /// The types whose attributes may be named beside those of `resource_type`.
    others: &'a [&'static ResourceType],
    text: &'a str,
    at: usize,
    terms: usize,
    reader: &'r mut Reader,
}

impl<'a, 'r> Parser<'a, 'r> {
    /// At the beginning of a text. The attributes of `others` may be named beside those of `resource_type`.
    pub(super) fn new(
        resource_type: &'static ResourceType,
        others: &'a [&'static ResourceType],
        text: &'a str,
        reader: &'r mut Reader,
    ) -> Result<Self, ScimError> {
        let limit = reader.limits.filter_chars;
        if text.len() > limit && text.chars().count() > limit {
            return Err(ScimError::invalid_filter(format!("the filter is longer than {limit} characters")));
        }
        Ok(Self { resource_type, others, text, at: 0, terms: 0, reader })
    }

    /// What was not read.
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Reads to the end of the text, or to the bracket that closes the one it starts behind.
    pub(super) fn run(&mut self, start: Opener) -> Result<Filter, ScimError> {
        let mut stack = vec![Level::new(start)];
        loop {
            self.skip_space();
            if let Some(opener) = self.opening() {
                self.push(&mut stack, opener)?;
                continue;
            }
            let element = stack.iter().rev().find_map(|level| if let Opener::Bracket(path) = level.opener { Some(path) } else { None });
            match self.operand(element)? {
                Operand::ValuePath(path) => {
                    self.push(&mut stack, Opener::Bracket(path))?;
                    continue;
                }
                Operand::Complete(filter) => top(&mut stack).conjunction.push(filter),
            }
            if let Some(filter) = self.connect(&mut stack)? {
                return Ok(filter);
            }
        }
    }

    /// After an operand: closers, then `and`, `or` or the end. Gives the finished filter at the end.
    fn connect(&mut self, stack: &mut Vec<Level>) -> Result<Option<Filter>, ScimError> {
        loop {
            self.skip_space();
            let start = self.at;
            match self.peek() {
                None => return self.finish(stack).map(Some),
                Some(closer @ (')' | ']')) => {
                    if let Some(filter) = self.close(stack, closer)? {
                        return Ok(Some(filter));
                    }
                }
                Some(_) => {
                    let word = self.word();
                    if word.eq_ignore_ascii_case("and") {
                        return Ok(None);
                    }
                    if word.eq_ignore_ascii_case("or") {
                        top(stack).end_conjunction();
                        return Ok(None);
                    }
                    return Err(self.fault(start, &format!("{} stands where \"and\", \"or\" or the end is expected", quote(word))));
                }
            }
        }
    }

    fn finish(&mut self, stack: &mut Vec<Level>) -> Result<Filter, ScimError> {
        let level = stack.pop().expect("the stack holds the start level until the end");
        match level.opener {
            Opener::Start => Ok(level.finish()),
            Opener::Parenthesis { .. } => Err(self.fault(self.at, "a \")\" is missing")),
            Opener::Bracket(_) => Err(self.fault(self.at, "a \"]\" is missing")),
        }
    }

    /// Ends the innermost level. Gives its filter when it was the bracket that a PATCH path began with.
    fn close(&mut self, stack: &mut Vec<Level>, closer: char) -> Result<Option<Filter>, ScimError> {
        let fits = matches!((top(stack).opener, closer), (Opener::Parenthesis { .. }, ')') | (Opener::Bracket(_), ']'));
        if !fits {
            return Err(self.fault(self.at, &format!("\"{closer}\" closes nothing")));
        }
        self.at += 1;
        let mut filter = stack.pop().expect("its opener was looked at above").finish();
        if stack.is_empty() {
            return Ok(Some(filter));
        }
        if let (Filter::Any(path, inner), Some('.')) = (&filter, self.peek()) {
            filter = self.compare_behind(*path, inner.as_ref().clone())?;
        }
        top(stack).conjunction.push(filter);
        Ok(None)
    }

    /// `emails[type eq "work"].value eq "…"`, read as `emails[type eq "work" and value eq "…"]`.
    fn compare_behind(&mut self, path: AttrPath, inner: Filter) -> Result<Filter, ScimError> {
        let start = self.at;
        self.at += 1;
        let name = self.word();
        let target = self.element_target(path, name, start + 1)?;
        if !quirks::entra_compares_behind_a_value_path(&self.text[..self.at], self.reader) {
            return Err(self.fault(start, "a comparison behind a value path is not in the grammar"));
        }
        let comparison = self.comparison(target)?;
        Ok(Filter::Any(path, Box::new(Filter::And(vec![inner, comparison]))))
    }

    fn push(&mut self, stack: &mut Vec<Level>, opener: Opener) -> Result<(), ScimError> {
        if stack.len() > self.reader.limits.filter_depth {
            let limit = self.reader.limits.filter_depth;
            return Err(self.fault(self.at, &format!("the filter nests deeper than {limit} levels")));
        }
        stack.push(Level::new(opener));
        Ok(())
    }

    /// `(`, or `not` with its parenthesis.
    fn opening(&mut self) -> Option<Opener> {
        if self.peek() == Some('(') {
            self.at += 1;
            return Some(Opener::Parenthesis { negated: false });
        }
        let rest = &self.text[self.at..];
        let after = rest.get(..3).filter(|word| word.eq_ignore_ascii_case("not")).map(|_| rest[3..].trim_start_matches([' ', '\t']))?;
        if !after.starts_with('(') {
            return None;
        }
        self.at = self.text.len() - after.len() + 1;
        Some(Opener::Parenthesis { negated: true })
    }

    fn operand(&mut self, element: Option<AttrPath>) -> Result<Operand, ScimError> {
        let start = self.at;
        let name = self.word();
        if name.is_empty() {
            return Err(self.fault(start, "an attribute is expected"));
        }
        let target = match element {
            Some(path) => self.element_target(path, name, start)?,
            None => self.resource_target(name, start)?,
        };
        if self.peek() == Some('[') {
            return match target {
                Target::Resource(path) if path.sub.is_none() && path.attribute.kind == Kind::Complex => {
                    self.at += 1;
                    Ok(Operand::ValuePath(path))
                }
                _ => Err(self.fault(self.at, &format!("{} has no sub-attributes to filter", quote(name)))),
            };
        }
        self.comparison(target).map(Operand::Complete)
    }

    fn resource_target(&mut self, name: &str, start: usize) -> Result<Target, ScimError> {
        let resolved = match self.resource_type.resolve(name) {
            Name::Unknown(rest) => {
                let mut elsewhere = self.others.iter().map(|other| other.resolve(name));
                elsewhere.find(|found| !matches!(found, Name::Unknown(_))).unwrap_or(Name::Unknown(rest))
            }
            known => known,
        };
        match resolved {
            _ if self.resource_type.has_dot_behind_urn(name) && !quirks::entra_writes_a_dot_behind_a_urn(name, self.reader) => {
                Err(self.fault(start, &format!("a colon stands behind the URN in {}", quote(name))))
            }
            Name::Attribute(path) if is_short(&path, name) && !quirks::entra_names_extensions_without_their_urn(name, self.reader) => {
                Err(self.fault(start, &format!("{} is {}; its URN must stand in front", quote(name), path)))
            }
            Name::Attribute(path) => self.allowed(path.leaf(), Some(path), name, start).map(|()| Target::Resource(path)),
            Name::Core | Name::Extension(_) => {
                Err(self.fault(start, &format!("{} is a schema; one of its attributes is expected", quote(name))))
            }
            Name::Unknown(_) => Err(self.fault(start, &format!("{} is not an attribute of {}", quote(name), self.resource_type.name))),
        }
    }

    fn element_target(&self, path: AttrPath, name: &str, start: usize) -> Result<Target, ScimError> {
        let Some(sub) = path.attribute.sub(name) else {
            return Err(self.fault(start, &format!("{} is not a sub-attribute of {}", quote(name), path.attribute.name)));
        };
        self.allowed(sub, Some(AttrPath { sub: Some(sub), ..path }), name, start).map(|()| Target::Element(sub))
    }

    /// RFC 7643 §7: what is never returned cannot be filtered, or a filter would tell it. Locations depend on the base that a
    /// request came by, so they are not compared either.
    fn allowed(&self, leaf: &Attribute, path: Option<AttrPath>, name: &str, start: usize) -> Result<(), ScimError> {
        let is_location = path.is_some_and(|path| match path.attribute.name {
            "meta" => leaf.name == "location" || leaf.name == "version",
            "members" | "groups" => leaf.name == "$ref",
            _ => false,
        });
        if leaf.returned == Returned::Never || is_location {
            return Err(self.fault(start, &format!("{} cannot be used in a filter", quote(name))));
        }
        Ok(())
    }

    /// An operator, and a literal unless it is `pr`.
    fn comparison(&mut self, target: Target) -> Result<Filter, ScimError> {
        self.terms += 1;
        if self.terms > self.reader.limits.filter_terms {
            let limit = self.reader.limits.filter_terms;
            return Err(self.fault(self.at, &format!("the filter has more than {limit} comparisons")));
        }
        self.skip_space();
        let start = self.at;
        let word = self.word();
        if word.eq_ignore_ascii_case("pr") {
            return Ok(Filter::Present(target));
        }
        let Some((_, operator)) = Operator::ALL.iter().find(|(keyword, _)| word.eq_ignore_ascii_case(keyword)) else {
            return Err(
                self.fault(start, &format!("{} is not an operator; eq, ne, co, sw, ew, gt, ge, lt, le or pr is expected", quote(word)))
            );
        };
        self.skip_space();
        let literal_start = self.at;
        let literal = self.literal()?;
        self.typed(target, *operator, literal, literal_start)
    }

    /// Checks operator and literal against the attribute's type (RFC 7644 §3.4.2.2, table 3) and makes the literal comparable.
    fn typed(&mut self, target: Target, operator: Operator, literal: Value, at: usize) -> Result<Filter, ScimError> {
        let target = self.comparable(target, at)?;
        let leaf = target.leaf();
        let refuse = |parser: &Self, why: &str| Err(parser.fault(at, &format!("{} is a {}; {why}", leaf.name, leaf.kind.name())));
        if literal.is_null() {
            return match operator {
                Operator::Eq => Ok(Filter::Not(Box::new(Filter::Present(target)))),
                Operator::Ne => Ok(Filter::Present(target)),
                _ => refuse(self, "null can only be compared with eq and ne"),
            };
        }
        // §3.4.2.2: "Boolean and Binary attributes SHALL cause a failed response (HTTP status code 400) with scimType of invalidFilter."
        let ordered = !matches!(leaf.kind, Kind::Boolean | Kind::Binary);
        let textual = matches!(leaf.kind, Kind::String | Kind::Reference | Kind::Binary);
        if (operator.is_ordering() && !ordered) || (operator.is_substring() && !textual) {
            return refuse(self, "this operator does not apply to it");
        }
        let literal = match (leaf.kind, literal) {
            (Kind::Boolean, Value::Bool(boolean)) => Literal::Boolean(boolean),
            (Kind::Boolean, Value::String(text)) => match quirks::entra_quotes_booleans_in_filters(&text, leaf.name, self.reader) {
                Some(boolean) => Literal::Boolean(boolean),
                None => return refuse(self, "true or false is expected"),
            },
            (Kind::Integer | Kind::Decimal, Value::Number(number)) => Literal::Number(number),
            (Kind::DateTime, Value::String(text)) => match text::parse_date_time(&text) {
                Some(instant) => Literal::Text(Text { folded: text::sortable_date_time(instant), given: text }),
                None => return refuse(self, "a dateTime like \"2026-01-31T08:00:00Z\" is expected"),
            },
            (Kind::String | Kind::Reference | Kind::Binary, Value::String(text)) => {
                Literal::Text(Text { folded: fold_text(leaf, &text), given: text })
            }
            _ => return refuse(self, "the literal is of another type"),
        };
        if let (Literal::Text(text), true) = (&literal, operator.is_substring())
            && text.folded.len() > text::KEY_MAX_BYTES
        {
            return refuse(self, &format!("a text to search for is at most {} bytes long", text::KEY_MAX_BYTES));
        }
        Ok(Filter::Compare(target, operator, literal))
    }

    /// A complex attribute stands for its `value` (RFC 7644 §3.4.2.2: `emails co "example.com"`).
    fn comparable(&self, target: Target, at: usize) -> Result<Target, ScimError> {
        match target {
            Target::Resource(path) if path.leaf().kind == Kind::Complex => match path.attribute.sub("value") {
                Some(value) => Ok(Target::Resource(AttrPath { sub: Some(value), ..path })),
                None => Err(self.fault(at, &format!("{} has sub-attributes; one of them is expected", path.attribute.name))),
            },
            other => Ok(other),
        }
    }

    fn literal(&mut self) -> Result<Value, ScimError> {
        let start = self.at;
        if self.peek() == Some('"') {
            let end = self.end_of_string().ok_or_else(|| self.fault(start, "a string is not closed"))?;
            let source = &self.text[start..end];
            self.at = end;
            let value: Value = serde_json::from_str(source).map_err(|_| self.fault(start, "a string has a wrong escape"))?;
            if value.as_str().is_some_and(|text| text.contains('\0')) {
                return Err(self.fault(start, "a string holds the character U+0000"));
            }
            return Ok(value);
        }
        let word = self.word();
        if word.is_empty() {
            return Err(self.fault(start, "a value is expected"));
        }
        match serde_json::from_str::<Value>(word) {
            Ok(value) if !value.is_array() && !value.is_object() => Ok(value),
            _ if word.contains(['"', '[', '\0']) => Err(self.fault(start, "a value is expected")),
            _ if quirks::microsoft_leaves_out_quotes_in_filters(word, self.reader) => Ok(word.into()),
            _ => Err(self.fault(start, &format!("{} is not a JSON value; text stands in double quotes", quote(word)))),
        }
    }

    /// The index behind the closing quote of the string that starts here.
    fn end_of_string(&self) -> Option<usize> {
        let mut escaped = false;
        for (offset, byte) in self.text.as_bytes().iter().enumerate().skip(self.at + 1) {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => return Some(offset + 1),
                _ => {}
            }
        }
        None
    }

    /// Everything up to white space, a bracket, a parenthesis or a quote.
    fn word(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.find([' ', '\t', '\r', '\n', '(', ')', '[', ']', '"']).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at = self.text.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn fault(&self, at: usize, what: &str) -> ScimError {
        let position = self.text[..at].chars().count() + 1;
        ScimError::invalid_filter(format!("{what} (at position {position} of the filter)"))
    }
}

fn top(stack: &mut [Level]) -> &mut Level {
    stack.last_mut().expect("the stack holds the start level until the end")
}
