//! A mapping, checked and ready to apply: from a user's document to an [`Employee`]. It is applied on every write, so
//! everything that can be looked up or parsed was, when it was loaded. How its text is read is in `language`.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::department::OrganizationFirst;
use super::employee::{Employee, Field};
use super::language;
use super::source::{Input, Sources};
use crate::scim::schema::ResourceType;

/// How employees are derived from users.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    pub(super) name: String,
    pub(super) fields: Vec<(Field, Sources)>,
    pub(super) department: Option<OrganizationFirst>,
    pub(super) custom: Vec<Custom>,
    pub(super) required: Vec<Required>,
    pub(super) user: &'static ResourceType,
}

/// A custom field and where its value comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Custom {
    /// The name in the employee's `custom`.
    pub name: String,
    pub(super) sources: Sources,
}

/// What a tenant decides about a mapping's rules without changing the mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Without an organization, the division is the department and the department is a team. Otherwise the division is
    /// not read.
    pub division_is_department: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { division_is_department: true }
    }
}

/// Why a mapping was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{mapping}, line {line}: {detail}")]
pub struct MappingError {
    /// The mapping's name, or a file's.
    pub mapping: String,
    /// The line, from 1.
    pub line: usize,
    /// The sentence with the offending word.
    pub detail: String,
}

/// A field that a complete employee has, or other fields that together stand in for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Required {
    pub(super) subject: Subject,
    pub(super) alternative: Vec<Subject>,
}

/// What can be required.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// The document's `userName`.
    UserName,
    /// The document's `externalId`.
    ExternalId,
    /// The document's `active`, said outright.
    Active,
    /// A field of the employee.
    Field(Field),
}

impl Mapping {
    /// Reads a mapping and checks every word of it. `name` is for messages.
    ///
    /// # Errors
    /// The first thing found that is not in the language of `docs/mapping.md`, or not in the schemas of a SCIM User.
    pub fn parse(name: &str, text: &str) -> Result<Self, MappingError> {
        language::read(name, text)
    }

    /// The name it was parsed under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Lets every source find what is declared as an attribute.
    pub(super) fn bind(&mut self) {
        let user = self.user;
        self.fields.iter_mut().for_each(|(_, sources)| sources.bind(user));
        self.custom.iter_mut().for_each(|custom| custom.sources.bind(user));
        if let Some(rule) = &mut self.department {
            [&mut rule.organization, &mut rule.division, &mut rule.department].into_iter().for_each(|sources| sources.bind(user));
        }
    }

    /// User with the attributes that the mapping declares; without any, the catalog's own.
    #[must_use]
    pub fn user(&self) -> &'static ResourceType {
        self.user
    }

    /// The employee a user is. `document` is a canonical SCIM User, `unmapped` what arrived with it and is in no schema.
    #[must_use]
    pub fn employee(&self, document: &Map<String, Value>, unmapped: &Map<String, Value>, settings: &Settings) -> Employee {
        let input = Input { document, unmapped };
        let mut employee = Employee::default();
        for (field, sources) in &self.fields {
            employee.set(*field, sources.first(input).map(Cow::into_owned));
        }
        if let Some(rule) = &self.department {
            (employee.department_name, employee.team_name) = rule.apply(input, settings);
        }
        for custom in &self.custom {
            if let Some(value) = custom.sources.first(input) {
                employee.custom.insert(custom.name.clone(), Value::String(value.into_owned()));
            }
        }
        let missing = self.required.iter().filter(|required| !required.is_met(document, &employee));
        employee.missing = missing.map(|required| required.subject.name().to_owned()).collect();
        employee
    }
}

impl Required {
    fn is_met(&self, document: &Map<String, Value>, employee: &Employee) -> bool {
        let has = |subject: &Subject| subject.is_in(document, employee);
        has(&self.subject) || (!self.alternative.is_empty() && self.alternative.iter().all(has))
    }
}

impl Subject {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "user_name" => Some(Self::UserName),
            "external_id" => Some(Self::ExternalId),
            "active" => Some(Self::Active),
            other => Field::named(other).map(Self::Field),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::UserName => "user_name",
            Self::ExternalId => "external_id",
            Self::Active => "active",
            Self::Field(field) => field.name(),
        }
    }

    fn is_in(self, document: &Map<String, Value>, employee: &Employee) -> bool {
        let says = |key| document.get(key).and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty());
        match self {
            Self::UserName => says("userName"),
            Self::ExternalId => says("externalId"),
            Self::Active => document.get("active").is_some_and(Value::is_boolean),
            Self::Field(field) => employee.get(field).is_some(),
        }
    }
}
