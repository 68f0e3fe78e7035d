//! The employee: what a workplace product reads of a user. The names are those of the `employees` view and of `/api/v1`.
//! `user_name`, `external_id` and `active` are not here: the directory reads them straight from the document.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

/// An employee as a mapping derives it from a SCIM user. Every text is trimmed and never blank.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Employee {
    /// The given name.
    pub first_name: Option<String>,
    /// The family name.
    pub last_name: Option<String>,
    /// The whole name, as it is shown.
    pub name: Option<String>,
    /// The job title.
    pub title: Option<String>,
    /// The address for mail from the product.
    pub email: Option<String>,
    /// The telephone number, without `tel:`.
    pub phone: Option<String>,
    /// The city or site where the employee works.
    pub location: Option<String>,
    /// The cost center.
    pub cost_center: Option<String>,
    /// Full time, contractor and the like.
    pub employment_type: Option<String>,
    /// The department.
    pub department_name: Option<String>,
    /// The team within the department.
    pub team_name: Option<String>,
    /// The manager as the identity provider refers to them: a SCIM id, an external id or a user name.
    pub manager_id: Option<String>,
    /// Custom fields by their name; each value is a string.
    pub custom: Map<String, Value>,
    /// The fields the mapping requires and the user does not have, in the mapping's order.
    pub missing: Vec<String>,
}

/// A field of [`Employee`] that a mapping can fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the field of Employee of the same name, which has the description")]
pub enum Field {
    FirstName,
    LastName,
    Name,
    Title,
    Email,
    Phone,
    Location,
    CostCenter,
    EmploymentType,
    DepartmentName,
    TeamName,
    ManagerId,
}

impl Field {
    /// Every field, in the order of the `employees` view.
    pub const ALL: [Self; 12] = [
        Self::FirstName,
        Self::LastName,
        Self::Name,
        Self::Title,
        Self::Email,
        Self::Phone,
        Self::Location,
        Self::CostCenter,
        Self::EmploymentType,
        Self::DepartmentName,
        Self::TeamName,
        Self::ManagerId,
    ];

    /// The name in a mapping, in the `employees` view and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstName => "first_name",
            Self::LastName => "last_name",
            Self::Name => "name",
            Self::Title => "title",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Location => "location",
            Self::CostCenter => "cost_center",
            Self::EmploymentType => "employment_type",
            Self::DepartmentName => "department_name",
            Self::TeamName => "team_name",
            Self::ManagerId => "manager_id",
        }
    }

    /// The field of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Employee {
    /// Whether every required field has a value.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// The value of a field.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&str> {
        let value = match field {
            Field::FirstName => &self.first_name,
            Field::LastName => &self.last_name,
            Field::Name => &self.name,
            Field::Title => &self.title,
            Field::Email => &self.email,
            Field::Phone => &self.phone,
            Field::Location => &self.location,
            Field::CostCenter => &self.cost_center,
            Field::EmploymentType => &self.employment_type,
            Field::DepartmentName => &self.department_name,
            Field::TeamName => &self.team_name,
            Field::ManagerId => &self.manager_id,
        };
        value.as_deref()
    }

    pub(super) fn set(&mut self, field: Field, value: Option<String>) {
        let slot = match field {
            Field::FirstName => &mut self.first_name,
            Field::LastName => &mut self.last_name,
            Field::Name => &mut self.name,
            Field::Title => &mut self.title,
            Field::Email => &mut self.email,
            Field::Phone => &mut self.phone,
            Field::Location => &mut self.location,
            Field::CostCenter => &mut self.cost_center,
            Field::EmploymentType => &mut self.employment_type,
            Field::DepartmentName => &mut self.department_name,
            Field::TeamName => &mut self.team_name,
            Field::ManagerId => &mut self.manager_id,
        };
        *slot = value;
    }

    /// The names of the fields in which two employees differ, `custom` and `missing` among them.
    #[must_use]
    pub fn changed_fields(&self, other: &Self) -> Vec<&'static str> {
        let mut changed: Vec<_> = Field::ALL.into_iter().filter(|field| self.get(*field) != other.get(*field)).map(Field::name).collect();
        if self.custom != other.custom {
            changed.push("custom");
        }
        if self.missing != other.missing {
            changed.push("missing");
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_a_field_of_the_employee() {
        for field in Field::ALL {
            let mut employee = Employee::default();
            employee.set(field, Some("x".into()));
            assert_eq!(employee.get(field), Some("x"));
            assert_eq!(serde_json::to_value(&employee).unwrap()[field.name()], "x");
            assert_eq!(employee.changed_fields(&Employee::default()), [field.name()]);
            assert_eq!(Field::named(field.name()), Some(field));
        }
    }

    #[test]
    fn equal_employees_have_no_changed_fields() {
        let employee = Employee { title: Some("x".into()), missing: vec!["email".into()], ..Employee::default() };
        assert!(employee.changed_fields(&employee.clone()).is_empty());
        assert_eq!(employee.changed_fields(&Employee::default()), ["title", "missing"]);
        assert!(!employee.complete() && Employee::default().complete());
    }
}
