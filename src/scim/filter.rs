//! A filter as a tree (RFC 7644 §3.4.2.2) whose every attribute is resolved against the schema and whose every literal is
//! already in the form in which it is compared. `filter_parser` makes it from text, `eval` evaluates it in memory, `jsonpath`
//! compiles it for PostgreSQL.

use serde_json::Number;

use crate::scim::error::ScimError;
use crate::scim::filter_parser::{Opener, Parser};
use crate::scim::reader::Reader;
use crate::scim::schema::{AttrPath, Attribute, ResourceType};

/// A comparison operator (RFC 7644 §3.4.2.2, table 3), `pr` aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Contains.
    Co,
    /// Starts with.
    Sw,
    /// Ends with.
    Ew,
    /// Greater than.
    Gt,
    /// Greater than or equal.
    Ge,
    /// Less than.
    Lt,
    /// Less than or equal.
    Le,
}

impl Operator {
    /// Every operator with its keyword.
    pub const ALL: [(&'static str, Operator); 9] = [
        ("eq", Self::Eq),
        ("ne", Self::Ne),
        ("co", Self::Co),
        ("sw", Self::Sw),
        ("ew", Self::Ew),
        ("gt", Self::Gt),
        ("ge", Self::Ge),
        ("lt", Self::Lt),
        ("le", Self::Le),
    ];

    /// Whether it asks for an order.
    #[must_use]
    pub fn is_ordering(self) -> bool {
        matches!(self, Self::Gt | Self::Ge | Self::Lt | Self::Le)
    }

    /// Whether it asks for a part of a text.
    #[must_use]
    pub fn is_substring(self) -> bool {
        matches!(self, Self::Co | Self::Sw | Self::Ew)
    }
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// An attribute of the resource.
    Resource(AttrPath),
    /// A sub-attribute of the value that the surrounding value path looks at.
    Element(&'static Attribute),
}

impl Target {
    /// The attribute whose values are compared.
    #[must_use]
    pub fn leaf(&self) -> &'static Attribute {
        match self {
            Self::Resource(path) => path.leaf(),
            Self::Element(attribute) => attribute,
        }
    }
}

/// What it is compared with, in comparable form: text folded unless `caseExact`, dateTimes in one width.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(Number),
    /// Text, a reference, base64 or an instant.
    Text(Text),
}

/// A text literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// In the form in which it is compared.
    pub folded: String,
    /// As the client wrote it: PATCH makes values from it.
    pub given: String,
}

/// A filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of them.
    And(Vec<Filter>),
    /// At least one of them.
    Or(Vec<Filter>),
    /// Not it.
    Not(Box<Filter>),
    /// `pr`: has a non-empty value.
    Present(Target),
    /// A comparison; of several values one must match. An attribute without a value is `ne` to everything.
    Compare(Target, Operator, Literal),
    /// A value path: one value of the attribute matches the whole filter.
    Any(AttrPath, Box<Filter>),
}

impl Filter {
    /// Parses a filter of a query.
    ///
    /// # Errors
    /// 400 `invalidFilter` with the position.
    pub fn parse(resource_type: &'static ResourceType, text: &str, reader: &mut Reader) -> Result<Self, ScimError> {
        Parser::new(resource_type, &[], text, reader)?.run(Opener::Start)
    }

    /// Parses a filter of a query over several resource types, as it applies to one of them: an attribute that only `others` have
    /// is legal and has no value (RFC 7644 §3.4.2.1).
    ///
    /// # Errors
    /// 400 `invalidFilter` with the position.
    pub fn parse_among(
        resource_type: &'static ResourceType,
        others: &[&'static ResourceType],
        text: &str,
        reader: &mut Reader,
    ) -> Result<Self, ScimError> {
        Parser::new(resource_type, others, text, reader)?.run(Opener::Start)
    }

    /// Parses the filter of a PATCH path from behind its opening bracket up to its closing one; gives the rest of the text, too.
    ///
    /// # Errors
    /// 400 `invalidFilter` with the position.
    pub fn parse_in_brackets<'a>(
        resource_type: &'static ResourceType,
        attribute: AttrPath,
        text: &'a str,
        reader: &mut Reader,
    ) -> Result<(Self, &'a str), ScimError> {
        let mut parser = Parser::new(resource_type, &[], text, reader)?;
        match parser.run(Opener::Bracket(attribute))? {
            Self::Any(_, filter) => Ok((*filter, parser.rest())),
            other => Ok((other, parser.rest())),
        }
    }

    /// The filters that all must match: the parts of a conjunction, or the filter itself.
    #[must_use]
    pub fn conjuncts(&self) -> &[Filter] {
        match self {
            Self::And(filters) => filters,
            one => std::slice::from_ref(one),
        }
    }

    /// Calls `visit` with every comparison and presence test, and with the value path it stands in.
    pub fn each_term<'a>(&'a self, visit: &mut dyn FnMut(Option<AttrPath>, &'a Filter)) {
        self.each_term_within(None, visit);
    }

    fn each_term_within<'a>(&'a self, within: Option<AttrPath>, visit: &mut dyn FnMut(Option<AttrPath>, &'a Filter)) {
        match self {
            Self::And(filters) | Self::Or(filters) => filters.iter().for_each(|filter| filter.each_term_within(within, visit)),
            Self::Not(filter) => filter.each_term_within(within, visit),
            Self::Any(path, filter) => filter.each_term_within(Some(*path), visit),
            Self::Present(_) | Self::Compare(..) => visit(within, self),
        }
    }
}
