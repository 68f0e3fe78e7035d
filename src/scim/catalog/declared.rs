//! The schemas of User with the attributes that a tenant declares beside them: each is a text in an extension of its own. The
//! tables of a declaration are made once and kept until the process ends, as the tables of the RFC are; a declaration that is
//! there already, of another tenant or of an earlier version, is not made again.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::{CUSTOM_URN, USER};
use crate::scim::aside::{Alias, is_urn};
use crate::scim::error::quote;
use crate::scim::schema::{Attribute, Declared, Kind, ResourceType, Schema, attribute};

/// An attribute that a tenant declares.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Declaration {
    /// What the workplace product calls it.
    pub field: String,
    /// The names it arrives under; the first one names the attribute.
    pub aliases: Vec<Alias>,
}

/// A declared attribute that is not yet in a table.
struct Draft {
    urn: String,
    name: String,
    description: String,
    aliases: Vec<Alias>,
}

static KNOWN: LazyLock<Mutex<HashMap<Vec<Declaration>, &'static ResourceType>>> = LazyLock::new(Mutex::default);

/// User with declared attributes; without any, [`USER`] itself.
///
/// # Errors
/// The field whose attribute would have the name of another one, and the sentence that says so.
///
/// # Panics
/// Never: a declaration without an alias is not made.
pub fn user_with(declarations: Vec<Declaration>) -> Result<&'static ResourceType, (String, String)> {
    if declarations.is_empty() {
        return Ok(&USER);
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(made) = known.get(&declarations) {
        return Ok(made);
    }
    let made = make(drafts(&declarations)?);
    known.insert(declarations, made);
    Ok(made)
}

fn drafts(declarations: &[Declaration]) -> Result<Vec<Draft>, (String, String)> {
    let mut drafts: Vec<Draft> = Vec::new();
    for Declaration { field, aliases } in declarations {
        let first = aliases.first().expect("a declared attribute has a name that it arrives under");
        let (urn, name) = home(first);
        let is_there = |draft: &&mut Draft| draft.urn.eq_ignore_ascii_case(&urn) && draft.name.eq_ignore_ascii_case(&name);
        match drafts.iter_mut().find(is_there) {
            // Two fields may read the same attribute.
            Some(draft) if draft.aliases[0].is_same(first) => draft.aliases.extend(aliases.iter().cloned()),
            Some(draft) => {
                let (other, own) = (quote(draft.aliases[0].parts().1), quote(first.parts().1));
                let detail = format!("{own} and {other} would both be the attribute {urn}:{name}; only one of them can be declared");
                return Err((field.clone(), detail));
            }
            None => {
                let description = format!("What this tenant calls {field}.");
                drafts.push(Draft { urn, name, description, aliases: aliases.clone() });
            }
        }
    }
    Ok(drafts)
}

/// Where a declared attribute lies: under the URN it is written with, so that its client finds it where it sent it; else under
/// ours. The URNs of the standards are not ours to add to.
fn home(alias: &Alias) -> (String, String) {
    let (urn, name) = alias.parts();
    match urn {
        Some(urn) if is_free_urn(urn) && attribute_name(name) == name => (format!("urn:{}", &urn[4..]), name.to_owned()),
        _ => (CUSTOM_URN.to_owned(), attribute_name(name)),
    }
}

/// Whether a URN can be an extension's id: no standard's, and of characters that need no quotes in a path or a filter.
fn is_free_urn(urn: &str) -> bool {
    let standard = urn.get(..9).is_some_and(|head| head.eq_ignore_ascii_case("urn:ietf:"));
    let plain = urn.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '-' | '_'));
    is_urn(urn) && !standard && plain && urn.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// RFC 7643 §2.1: `ATTRNAME = ALPHA *(nameChar)`, `nameChar = "$" / "-" / "_" / DIGIT / ALPHA`. What is none of these becomes a
/// low line, and a name that does not begin with a letter gets `x_` in front.
fn attribute_name(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name } else { format!("x_{name}") }
}

fn make(drafts: Vec<Draft>) -> &'static ResourceType {
    let mut urns: Vec<String> = Vec::new();
    for draft in &drafts {
        if !urns.iter().any(|urn| urn.eq_ignore_ascii_case(&draft.urn)) {
            urns.push(draft.urn.clone());
        }
    }
    // A name is looked up in the order of the extensions, and one URN may begin another.
    urns.sort_by_key(|urn| std::cmp::Reverse(urn.len()));
    let mut extensions = USER.extensions.to_vec();
    let mut declared = Vec::with_capacity(drafts.len());
    for urn in urns {
        let here: Vec<&Draft> = drafts.iter().filter(|draft| draft.urn.eq_ignore_ascii_case(&urn)).collect();
        let attributes: Vec<Attribute> = here.iter().map(|draft| text_attribute(draft)).collect();
        let schema: &'static Schema = Box::leak(Box::new(Schema {
            id: urn.leak(),
            name: "CustomUser",
            description: "The attributes that this tenant declares.",
            attributes: attributes.leak(),
            declared: true,
        }));
        extensions.push(schema);
        let of_schema = here.iter().zip(schema.attributes);
        declared.extend(of_schema.map(|(draft, attribute)| Declared { schema, attribute, aliases: draft.aliases.clone().leak() }));
    }
    Box::leak(Box::new(ResourceType {
        name: USER.name,
        endpoint: USER.endpoint,
        description: USER.description,
        schema: USER.schema,
        extensions: extensions.leak(),
        common: USER.common,
        declared: declared.leak(),
    }))
}

fn text_attribute(draft: &Draft) -> Attribute {
    attribute(draft.name.clone().leak(), Kind::String, draft.description.clone().leak())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declaration(field: &str, aliases: &[&str]) -> Declaration {
        Declaration { field: field.into(), aliases: aliases.iter().map(|name| Alias::parse(name).unwrap()).collect() }
    }

    fn attributes(declarations: Vec<Declaration>) -> Vec<String> {
        let user = user_with(declarations).unwrap();
        user.declared.iter().map(|declared| format!("{}:{}", declared.schema.id, declared.attribute.name)).collect()
    }

    #[test]
    fn an_attribute_lies_under_the_urn_it_is_written_with_or_under_ours() {
        for (alias, expected) in [
            ("badge", "urn:frontdesk:custom:2.0:User:badge"),
            ("Badge-No_1", "urn:frontdesk:custom:2.0:User:Badge-No_1"),
            ("job Title", "urn:frontdesk:custom:2.0:User:job_Title"),
            ("a.b", "urn:frontdesk:custom:2.0:User:a_b"),
            ("35th", "urn:frontdesk:custom:2.0:User:x_35th"),
            ("größe", "urn:frontdesk:custom:2.0:User:gr__e"),
            ("urn:scim:SpaceIQ:2.0:User:floor", "urn:scim:SpaceIQ:2.0:User:floor"),
            ("URN:acme:floor", "urn:acme:floor"),
            ("urn:acme:the floor", "urn:frontdesk:custom:2.0:User:the_floor"),
            ("urn:ac me:floor", "urn:frontdesk:custom:2.0:User:floor"),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:badge", "urn:frontdesk:custom:2.0:User:badge"),
            ("urn:frontdesk:custom:2.0:User:badge", "urn:frontdesk:custom:2.0:User:badge"),
        ] {
            assert_eq!(attributes(vec![declaration("f", &[alias])]), [expected], "{alias}");
        }
    }

    #[test]
    fn a_declaration_is_made_once_and_none_is_the_user_of_the_standard() {
        let twice = || vec![declaration("badge", &["badge"]), declaration("floor", &["urn:acme:floor", "floor"])];
        assert!(std::ptr::eq(user_with(twice()).unwrap(), user_with(twice()).unwrap()));
        assert!(std::ptr::eq(user_with(Vec::new()).unwrap(), &raw const USER));
    }

    #[test]
    fn two_fields_may_read_one_attribute_and_two_names_may_not_become_one() {
        assert_eq!(attributes(vec![declaration("a", &["shift"]), declaration("b", &["SHIFT", "team"])]).len(), 1);
        let (field, detail) = user_with(vec![declaration("a", &["job Title"]), declaration("b", &["job_title"])]).unwrap_err();
        assert_eq!(field, "b");
        assert!(detail.starts_with("\"job_title\" and \"job Title\" would both be the attribute"), "{detail}");
    }

    #[test]
    fn a_urn_that_begins_another_does_not_hide_it() {
        use crate::scim::schema::Name;
        let user = user_with(vec![declaration("a", &["urn:acme:size"]), declaration("b", &["urn:acme:2.0:User:floor"])]).unwrap();
        for name in ["urn:acme:2.0:User:floor", "urn:acme:size"] {
            let Name::Attribute(path) = user.resolve(name) else { panic!("{name} is declared") };
            assert_eq!(path.to_string(), name);
        }
    }
}
