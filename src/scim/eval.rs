//! A filter evaluated in memory (RFC 7644 §3.4.2.2): for PATCH value paths, and as the independent check of what `jsonpath`
//! makes PostgreSQL answer. Recursion is bounded by the parser's depth limit.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::scim::document::fold_text;
use crate::scim::filter::{Filter, Literal, Operator, Target};
use crate::scim::schema::{AttrPath, Attribute};

impl Filter {
    /// Whether a whole resource, in canonical form, matches.
    #[must_use]
    pub fn matches(&self, resource: &Map<String, Value>) -> bool {
        self.matches_in(resource, &Value::Null)
    }

    /// Whether one value of a multi-valued attribute matches the filter of a value path.
    #[must_use]
    pub fn matches_element(&self, element: &Value) -> bool {
        self.matches_in(&Map::new(), element)
    }

    fn matches_in(&self, resource: &Map<String, Value>, element: &Value) -> bool {
        match self {
            Self::And(filters) => filters.iter().all(|filter| filter.matches_in(resource, element)),
            Self::Or(filters) => filters.iter().any(|filter| filter.matches_in(resource, element)),
            Self::Not(filter) => !filter.matches_in(resource, element),
            Self::Any(path, filter) => any_element(resource, *path, &mut |element| filter.matches_in(resource, element)),
            Self::Present(target) => any_value(*target, resource, element, &mut is_present),
            Self::Compare(target, Operator::Ne, literal) => {
                let equal_or_not = |wanted: bool| {
                    any_value(*target, resource, element, &mut |value| compares(target.leaf(), value, Operator::Eq, literal) == wanted)
                };
                equal_or_not(false) || !equal_or_not(true)
            }
            Self::Compare(target, operator, literal) => {
                any_value(*target, resource, element, &mut |value| compares(target.leaf(), value, *operator, literal))
            }
        }
    }
}

/// `pr`: "has a non-empty value, or if it contains a non-empty node for complex attributes".
fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(object) => !object.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn any_element(resource: &Map<String, Value>, path: AttrPath, found: &mut dyn FnMut(&Value) -> bool) -> bool {
    let holder = match path.extension {
        Some(schema) => resource.get(schema.id).and_then(Value::as_object),
        None => Some(resource),
    };
    match holder.and_then(|holder| holder.get(path.attribute.name)) {
        Some(Value::Array(values)) => values.iter().any(found),
        Some(value) => found(value),
        None => false,
    }
}

fn any_value(target: Target, resource: &Map<String, Value>, element: &Value, found: &mut dyn FnMut(&Value) -> bool) -> bool {
    match target {
        Target::Element(attribute) => element.get(attribute.name).is_some_and(found),
        Target::Resource(path) => any_element(resource, path, &mut |value| match path.sub {
            Some(sub) => value.get(sub.name).is_some_and(&mut *found),
            None => found(value),
        }),
    }
}

fn compares(attribute: &Attribute, value: &Value, operator: Operator, literal: &Literal) -> bool {
    match (value, literal) {
        (Value::Bool(value), Literal::Boolean(literal)) => operator == Operator::Eq && value == literal,
        (Value::Number(value), Literal::Number(literal)) => match (value.as_f64(), literal.as_f64()) {
            (Some(value), Some(literal)) => value.partial_cmp(&literal).is_some_and(|order| holds(operator, order)),
            _ => false,
        },
        (Value::String(value), Literal::Text(literal)) => {
            let (value, literal) = (fold_text(attribute, value), literal.folded.as_str());
            match operator {
                Operator::Co => value.contains(literal),
                Operator::Sw => value.starts_with(literal),
                Operator::Ew => value.ends_with(literal),
                _ => holds(operator, value.as_str().cmp(literal)),
            }
        }
        _ => false,
    }
}

fn holds(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Eq => order.is_eq(),
        Operator::Ne => order.is_ne(),
        Operator::Gt => order.is_gt(),
        Operator::Ge => order.is_ge(),
        Operator::Lt => order.is_lt(),
        Operator::Le => order.is_le(),
        Operator::Co | Operator::Sw | Operator::Ew => false,
    }
}
