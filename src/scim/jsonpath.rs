//! A filter as one SQL/JSON path predicate for PostgreSQL, to be bound as a parameter against the folded document
//! (`folded @@ $2::jsonpath`). No name or value of a client reaches SQL text, and inside the path every key and literal is
//! quoted. Literals are folded already, so are the documents. Recursion is bounded by the parser's depth limit.

use serde_json::Value;

use crate::scim::filter::{Filter, Literal, Operator, Target};
use crate::scim::schema::{AttrPath, Kind};

impl Filter {
    /// The predicate.
    #[must_use]
    pub fn to_jsonpath(&self) -> String {
        let mut path = String::with_capacity(128);
        write_filter(self, &mut path);
        path
    }
}

/// The path to an attribute's values in a folded document, for sorting: `$."name"."familyname"`.
#[must_use]
pub fn value_path(path: AttrPath) -> String {
    let mut text = String::new();
    write_target(&Target::Resource(path), &mut text);
    text
}

fn write_filter(filter: &Filter, out: &mut String) {
    match filter {
        Filter::And(filters) => write_list(filters, " && ", out),
        Filter::Or(filters) => write_list(filters, " || ", out),
        Filter::Not(filter) => {
            out.push_str("!(");
            write_filter(filter, out);
            out.push(')');
        }
        Filter::Any(path, filter) => {
            out.push_str("exists(");
            write_attribute(*path, out);
            out.push_str(" ? (");
            write_filter(filter, out);
            out.push_str("))");
        }
        Filter::Present(target) => write_present(target, out),
        Filter::Compare(target, Operator::Ne, literal) => {
            // An attribute without a value is not equal to anything.
            out.push('(');
            write_comparison(target, " != ", literal, out);
            out.push_str(" || !exists(");
            write_target(target, out);
            out.push_str("))");
        }
        Filter::Compare(target, operator, literal) => match (operator, literal) {
            (Operator::Co, Literal::Text(text)) => write_regex(target, &quoted(&text.folded), " flag \"q\"", out),
            (Operator::Ew, Literal::Text(text)) => write_regex(target, &quoted(&format!("{}$", escape_regex(&text.folded))), "", out),
            (Operator::Sw, _) => write_comparison(target, " starts with ", literal, out),
            (operator, _) => write_comparison(target, symbol(*operator), literal, out),
        },
    }
}

fn write_list(filters: &[Filter], separator: &str, out: &mut String) {
    out.push('(');
    for (index, filter) in filters.iter().enumerate() {
        if index > 0 {
            out.push_str(separator);
        }
        write_filter(filter, out);
    }
    out.push(')');
}

fn write_present(target: &Target, out: &mut String) {
    out.push_str("exists(");
    write_target(target, out);
    // Empty text is no value (`pr` is "has a non-empty value"); only a strict connection stores it.
    if matches!(target.leaf().kind, Kind::String | Kind::Reference | Kind::Binary) {
        out.push_str(" ? (@ != \"\")");
    }
    out.push(')');
}

fn write_comparison(target: &Target, operator: &str, literal: &Literal, out: &mut String) {
    write_target(target, out);
    out.push_str(operator);
    match literal {
        Literal::Boolean(boolean) => out.push_str(if *boolean { "true" } else { "false" }),
        Literal::Number(number) => out.push_str(&number.to_string()),
        Literal::Text(text) => out.push_str(&quoted(&text.folded)),
    }
}

fn write_regex(target: &Target, pattern: &str, flag: &str, out: &mut String) {
    write_target(target, out);
    out.push_str(" like_regex ");
    out.push_str(pattern);
    out.push_str(flag);
}

fn write_target(target: &Target, out: &mut String) {
    match target {
        Target::Element(attribute) => {
            out.push('@');
            write_key(attribute.name, out);
        }
        Target::Resource(path) => {
            write_attribute(*path, out);
            if let Some(sub) = path.sub {
                write_key(sub.name, out);
            }
        }
    }
}

fn write_attribute(path: AttrPath, out: &mut String) {
    out.push('$');
    if let Some(schema) = path.extension {
        write_key(schema.id, out);
    }
    write_key(path.attribute.name, out);
    if path.attribute.multi_valued {
        out.push_str("[*]");
    }
}

fn write_key(name: &str, out: &mut String) {
    out.push('.');
    out.push_str(&quoted(&name.to_ascii_lowercase()));
}

/// A string literal of a jsonpath has the escapes of JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn escape_regex(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_ascii_punctuation() {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn symbol(operator: Operator) -> &'static str {
    match operator {
        Operator::Gt => " > ",
        Operator::Ge => " >= ",
        Operator::Lt => " < ",
        Operator::Le => " <= ",
        Operator::Ne => " != ",
        Operator::Eq | Operator::Co | Operator::Sw | Operator::Ew => " == ",
    }
}

#[cfg(test)]
mod tests {
    use crate::scim::catalog::USER;
    use crate::scim::filter::Filter;
    use crate::scim::reader::Reader;

    fn compiled(filter: &str) -> String {
        Filter::parse(&USER, filter, &mut Reader::default()).expect(filter).to_jsonpath()
    }

    #[test]
    fn every_shape_of_the_grammar_compiles() {
        for (filter, path) in [
            (r#"userName eq "Jon""#, r#"$."username" == "jon""#),
            (
                r#"emails[type eq "work" and value sw "A"]"#,
                r#"exists($."emails"[*] ? ((@."type" == "work" && @."value" starts with "a")))"#,
            ),
            ("not (title pr)", r#"!(exists($."title" ? (@ != "")))"#),
            (r#"title ne "x""#, r#"($."title" != "x" || !exists($."title"))"#),
            (r#"title co "a.b*""#, r#"$."title" like_regex "a.b*" flag "q""#),
            (r#"title ew "a.b""#, r#"$."title" like_regex "a\\.b$""#),
            (
                "active eq true and title pr or nickName pr",
                r#"(($."active" == true && exists($."title" ? (@ != ""))) || exists($."nickname" ? (@ != "")))"#,
            ),
            (
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq \"Sales\"",
                r#"$."urn:ietf:params:scim:schemas:extension:enterprise:2.0:user"."department" == "sales""#,
            ),
        ] {
            assert_eq!(compiled(filter), path, "{filter}");
        }
    }
}
