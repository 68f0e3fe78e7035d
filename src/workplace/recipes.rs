//! The recipes of `docs/mapping.md`, taken from that page and run.

use serde_json::{Value, json};

use super::profiles::SHIPPED;
use super::source::Transform;
use super::{Employee, Field, Mapping, Settings};

const PAGE: &str = include_str!("../../docs/mapping.md");
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A shipped profile with a recipe's entries put over it.
fn cooked(profile: &str, recipe: &str) -> Mapping {
    let (_, text) = SHIPPED.into_iter().find(|(name, _)| *name == profile).unwrap();
    let mut mapping: toml::Table = text.parse().unwrap();
    for (key, value) in recipe.parse::<toml::Table>().unwrap() {
        match (mapping.get_mut(&key), value) {
            (Some(toml::Value::Table(base)), toml::Value::Table(entries)) => base.extend(entries),
            (_, value) => drop(mapping.insert(key, value)),
        }
    }
    Mapping::parse(profile, &toml::to_string(&mapping).unwrap()).unwrap()
}

fn recipe(title: &str) -> &'static str {
    let (_, section) = PAGE.split_once(&format!("\n### {title}\n")).expect("the page has the recipe");
    let (_, block) = section.split_once("```toml\n").unwrap();
    block.split_once("```").unwrap().0
}

fn employee(mapping: &Mapping, document: Value, unmapped: Value) -> Employee {
    mapping.employee(document.as_object().unwrap(), unmapped.as_object().unwrap(), &Settings::default())
}

#[test]
fn company_is_custom_and_department_is_the_department() {
    let mapping = cooked("spaceiq", recipe("Company fills the department: make Department the department"));
    for (document, unmapped) in [
        (json!({ENTERPRISE: {"organization": "Acme", "division": "North", "department": "Sales"}}), json!({})),
        (json!({}), json!({"Organization": "Acme", "division": "North", "Department": "Sales"})),
    ] {
        let employee = employee(&mapping, document, unmapped);
        assert_eq!((employee.department_name.as_deref(), employee.team_name.as_deref()), (Some("Sales"), None));
        assert_eq!(employee.custom["company"], "Acme");
    }
}

#[test]
fn a_badge_number_from_okta_becomes_a_custom_field() {
    let mapping = cooked("spaceiq", recipe("Add badge number from Okta"));
    assert_eq!(employee(&mapping, json!({}), json!({"badge_number": "0042"})).custom["badge_number"], "0042");
    assert_eq!(employee(&mapping, json!({}), json!({ENTERPRISE: {"badge_number": 42}})).custom["badge_number"], "42");
    assert!(employee(&mapping, json!({}), json!({})).custom.is_empty());
}

#[test]
fn okta_custom_attributes_are_found_under_the_enterprise_extension() {
    let mapping = cooked("spaceiq", recipe("Okta custom attributes under the enterprise extension"));
    let employee = employee(
        &mapping,
        json!({ENTERPRISE: {"employeeNumber": "701984"}}),
        json!({ENTERPRISE: {"start_date": "2024-02-01"}, "urn:okta:acme_scim:1.0:user:custom": {"floor": 3}}),
    );
    assert_eq!(Value::Object(employee.custom), json!({"start_date": "2024-02-01", "employee_number": "701984", "floor": "3"}));
}

#[test]
fn spaceiq_custom_attribute_syntax_is_taken_as_it_is() {
    let mapping = cooked("spaceiq", recipe("SpaceIQ custom attribute syntax"));
    let employee = employee(&mapping, json!({ENTERPRISE: {"department": "Sales"}}), json!({"costcenter": "CC-12"}));
    assert_eq!(Value::Object(employee.custom), json!({"Cost_Center": "CC-12", "Department": "Sales"}));
    assert_eq!(employee.cost_center.as_deref(), Some("CC-12"));
}

#[test]
fn officespace_user_defined_fields_take_any_source() {
    let mapping = cooked("officespace", recipe("Feed OfficeSpace's user-defined fields"));
    let employee = employee(
        &mapping,
        json!({"userType": "Contractor", "addresses": [{"streetAddress": "1 Main St"}], ENTERPRISE: {"division": "North", "employeeNumber": "7"}}),
        json!({"Shift": "night"}),
    );
    let expected = json!({"employee_id": "7", "udf_1": "North", "udf_2": "1 Main St", "udf_35": "Contractor / night"});
    assert_eq!(Value::Object(employee.custom), expected);
}

#[test]
fn whoever_has_no_city_works_remotely() {
    let mapping = cooked("spaceiq", recipe("Whoever has no city works remotely"));
    assert_eq!(employee(&mapping, json!({}), json!({})).location.as_deref(), Some("Remote"));
    assert_eq!(employee(&mapping, json!({"addresses": [{"locality": "Oslo"}]}), json!({})).location.as_deref(), Some("Oslo"));
}

#[test]
fn every_recipe_of_the_page_has_a_test_and_every_example_loads() {
    let (_, recipes) = PAGE.split_once("\n## Recipes\n").unwrap();
    let tests: Vec<_> = recipes.lines().filter_map(|line| line.strip_prefix("Test: `")?.strip_suffix('`')).collect();
    assert_eq!(tests.len(), recipes.matches("\n### ").count());
    for test in tests {
        assert!(include_str!("recipes.rs").contains(&format!("fn {test}()")), "{test}");
    }
    for block in PAGE.split("```toml\n").skip(1) {
        cooked("spaceiq", block.split_once("```").unwrap().0);
    }
}

#[test]
fn the_page_names_every_field_and_transform() {
    let transforms = Transform::NAMED.into_iter().map(|(name, _)| name);
    for word in Field::ALL.into_iter().map(Field::name).chain(transforms) {
        assert!(PAGE.contains(&format!("`{word}`")), "{word}");
    }
}
