//! What another mapping would change: employees as they are beside employees as they would be, counted, with the first
//! examples. Its size does not grow with the number of employees.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::employee::{Employee, Field};

/// The examples kept of each kind: enough to recognize a mistake, few enough to read.
pub const EXAMPLES_MAX: usize = 3;

/// The custom fields that are told apart. A mapping has at most 100, so this holds those of the old one and of the new one.
const CUSTOM_FIELDS_MAX: usize = 200;

/// The difference between two mappings, as seen in a tenant's employees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// Employees compared.
    pub employees: u64,
    /// Employees that differ in anything.
    pub changed: u64,
    /// What changes, by field, in the order of the `employees` view. Custom fields are named `custom.` and their name.
    pub fields: Vec<(String, FieldDiff)>,
    /// Employees that lack a required field and did not before.
    pub incomplete: Turned,
    /// Employees that lack none and did before.
    pub complete: Turned,
}

/// How one field changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldDiff {
    /// In how many employees.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<Example>,
}

/// One change of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Example {
    pub id: Uuid,
    pub old: Option<String>,
    pub new: Option<String>,
}

/// Employees that become complete or incomplete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turned {
    /// How many.
    pub count: u64,
    /// The first of them, each with the fields that are (or were) missing.
    pub examples: Vec<(Uuid, Vec<String>)>,
}

impl Diff {
    /// Compares one employee.
    pub fn add(&mut self, id: Uuid, old: &Employee, new: &Employee) {
        self.employees += 1;
        if old.changed_fields(new).is_empty() {
            return;
        }
        self.changed += 1;
        for field in Field::ALL {
            self.note(id, field.name(), old.get(field), new.get(field));
        }
        let custom: BTreeMap<&String, ()> = old.custom.keys().chain(new.custom.keys()).map(|name| (name, ())).collect();
        for name in custom.into_keys() {
            let text = |employee: &Employee| employee.custom.get(name).map(text_of);
            self.note(id, &format!("custom.{name}"), text(old).as_deref(), text(new).as_deref());
        }
        match (old.complete(), new.complete()) {
            (true, false) => self.incomplete.note(id, &new.missing),
            (false, true) => self.complete.note(id, &old.missing),
            _ => {}
        }
    }

    fn note(&mut self, id: Uuid, name: &str, old: Option<&str>, new: Option<&str>) {
        if old == new {
            return;
        }
        let at = match self.fields.iter().position(|(known, _)| known == name) {
            Some(at) => at,
            None if self.fields.len() >= Field::ALL.len() + CUSTOM_FIELDS_MAX => return,
            None => {
                let place = place(name);
                let at = self.fields.partition_point(|(known, _)| (self::place(known), known.as_str()) < (place, name));
                self.fields.insert(at, (name.to_owned(), FieldDiff::default()));
                at
            }
        };
        let field = &mut self.fields[at].1;
        field.count += 1;
        if field.examples.len() < EXAMPLES_MAX {
            field.examples.push(Example { id, old: old.map(str::to_owned), new: new.map(str::to_owned) });
        }
    }
}

impl Turned {
    fn note(&mut self, id: Uuid, missing: &[String]) {
        self.count += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push((id, missing.to_vec()));
        }
    }
}

/// Fields in the order of the view, custom fields behind them.
fn place(name: &str) -> usize {
    Field::ALL.iter().position(|field| field.name() == name).unwrap_or(Field::ALL.len())
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn employee(title: &str, custom: Value, missing: &[&str]) -> Employee {
        let mut employee = Employee { title: (!title.is_empty()).then(|| title.to_owned()), ..Employee::default() };
        employee.custom = custom.as_object().unwrap().clone();
        employee.missing = missing.iter().map(|name| (*name).to_owned()).collect();
        employee
    }

    #[test]
    fn changes_are_counted_by_field_with_the_first_examples() {
        let mut diff = Diff::default();
        for n in 0..5 {
            let old = employee("Cook", json!({"b": "1"}), &[]);
            let new = employee("Chef", json!({"b": "1", "a": n.to_string()}), &["email"]);
            diff.add(Uuid::from_u128(n), &old, &new);
        }
        let same = employee("Cook", json!({}), &[]);
        diff.add(Uuid::max(), &same, &same.clone());
        diff.add(Uuid::max(), &employee("", json!({}), &["email"]), &employee("", json!({}), &[]));
        assert_eq!((diff.employees, diff.changed), (7, 6));
        let counts: Vec<_> = diff.fields.iter().map(|(name, field)| (name.as_str(), field.count, field.examples.len())).collect();
        assert_eq!(counts, [("title", 5, 3), ("custom.a", 5, 3)]);
        assert_eq!(diff.fields[0].1.examples[0], Example { id: Uuid::nil(), old: Some("Cook".into()), new: Some("Chef".into()) });
        assert_eq!((diff.incomplete.count, diff.incomplete.examples.len()), (5, 3));
        assert_eq!(diff.complete, Turned { count: 1, examples: vec![(Uuid::max(), vec!["email".into()])] });
    }

    #[test]
    fn its_size_is_limited_whatever_the_employees_hold() {
        let mut diff = Diff::default();
        for n in 0..1000 {
            diff.add(Uuid::nil(), &employee("", json!({}), &[]), &employee("", json!({ format!("field {n}"): "x" }), &[]));
        }
        assert_eq!((diff.changed, diff.fields.len()), (1000, 212));
    }
}
