//! Filters and paths written out again, in the grammar of RFC 7644 (figures 1 and 7) and in nothing that only a lenient
//! connection reads. Reading the result gives the same tree, or parser and grammar disagree.

use frontdesk::scim::filter::{Filter, Literal, Operator, Target};
use frontdesk::scim::path::Place;
use frontdesk::scim::schema::Kind;
use serde_json::Value;

/// A filter as text.
pub fn filter(filter: &Filter) -> String {
    let mut text = String::new();
    write(filter, &mut text);
    text
}

/// A place as the path of a PATCH operation.
pub fn place(place: &Place) -> String {
    let mut text = place.path.to_string();
    if let Some(filter) = &place.filter {
        text.push('[');
        write(filter, &mut text);
        text.push(']');
    }
    if let Some(sub) = place.sub {
        text.push('.');
        text.push_str(sub.name);
    }
    text
}

fn write(filter: &Filter, text: &mut String) {
    match filter {
        Filter::And(filters) => write_list(filters, " and ", |part| matches!(part, Filter::And(_) | Filter::Or(_)), text),
        Filter::Or(filters) => write_list(filters, " or ", |part| matches!(part, Filter::Or(_)), text),
        // Shorter, and no level deeper than what it was read from.
        Filter::Not(inner) => match inner.as_ref() {
            Filter::Present(target) if target.leaf().kind != Kind::Complex => {
                write_target(target, text);
                text.push_str(" eq null");
            }
            inner => {
                text.push_str("not (");
                write(inner, text);
                text.push(')');
            }
        },
        Filter::Present(target) => {
            write_target(target, text);
            text.push_str(" pr");
        }
        Filter::Compare(target, operator, literal) => {
            let keyword = Operator::ALL.iter().find(|(_, other)| other == operator).expect("every operator has a keyword").0;
            write_target(target, text);
            text.push(' ');
            text.push_str(keyword);
            text.push(' ');
            text.push_str(&match literal {
                Literal::Boolean(boolean) => boolean.to_string(),
                Literal::Number(number) => number.to_string(),
                Literal::Text(literal) => Value::from(literal.given.as_str()).to_string(),
            });
        }
        Filter::Any(path, inner) => {
            text.push_str(&path.to_string());
            text.push('[');
            write(inner, text);
            text.push(']');
        }
    }
}

fn write_list(filters: &[Filter], word: &str, binds_weaker: fn(&Filter) -> bool, text: &mut String) {
    for (index, part) in filters.iter().enumerate() {
        if index > 0 {
            text.push_str(word);
        }
        if binds_weaker(part) {
            text.push('(');
            write(part, text);
            text.push(')');
        } else {
            write(part, text);
        }
    }
}

fn write_target(target: &Target, text: &mut String) {
    match target {
        Target::Resource(path) => text.push_str(&path.to_string()),
        Target::Element(attribute) => text.push_str(attribute.name),
    }
}
