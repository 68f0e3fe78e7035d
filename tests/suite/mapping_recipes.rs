//! The recipes of `docs/mapping.md`, taken from that page, applied to a tenant and asked through the router: a user who came
//! before the mapping and one who comes after it are the same employee.

use frontdesk::directory::{Conformance, Profile};
use serde_json::{Value, json};

use crate::app::{TestApp, app_with};
use crate::mapping::{ENTERPRISE, cooked};

const PAGE: &str = include_str!("../../docs/mapping.md");

/// A tenant with a recipe, and the employee that a user with these attributes is.
async fn employee(profile: Profile, title: &str, mut attributes: Value) -> Value {
    attributes["displayName"] = "Anna".into();
    let app: TestApp = app_with(profile, Conformance::Lenient, &[]).await;
    let before = app.person("before", attributes.clone()).await;
    let (_, section) = PAGE.split_once(&format!("\n### {title}\n")).expect("the page has the recipe");
    let (_, block) = section.split_once("```toml\n").unwrap();
    app.apply(&cooked(profile, block.split_once("```").unwrap().0)).await;
    let after = app.person("after", attributes).await;
    let (before, after) = (app.employee(&before).await, app.employee(&after).await);
    for field in before.as_object().unwrap().keys() {
        if !["id", "user_name", "created_at", "updated_at"].contains(&field.as_str()) {
            assert_eq!(before[field], after[field], "{field}");
        }
    }
    after
}

#[tokio::test]
async fn company_is_custom_and_department_is_the_department() {
    let title = "Company fills the department: make Department the department";
    for attributes in [
        json!({ ENTERPRISE: { "organization": "Acme", "division": "North", "department": "Sales" } }),
        json!({ "organization": "Acme", "division": "North", "department": "Sales" }),
    ] {
        let employee = employee(Profile::SpaceIq, title, attributes).await;
        assert_eq!((&employee["department_name"], &employee["team_name"]), (&json!("Sales"), &Value::Null));
        assert_eq!(employee["custom"], json!({ "company": "Acme" }));
    }
}

#[tokio::test]
async fn a_badge_number_from_okta_becomes_a_custom_field() {
    let title = "Add badge number from Okta";
    for (attributes, badge) in [(json!({ "badge_number": "0042" }), "0042"), (json!({ ENTERPRISE: { "badge_number": 42 } }), "42")] {
        assert_eq!(employee(Profile::SpaceIq, title, attributes).await["custom"], json!({ "badge_number": badge }));
    }
}

#[tokio::test]
async fn okta_custom_attributes_are_found_under_the_enterprise_extension() {
    let attributes = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE, "urn:okta:acme_scim:1.0:user:custom"],
        ENTERPRISE: { "employeeNumber": "701984", "start_date": "2024-02-01" },
        "urn:okta:acme_scim:1.0:user:custom": { "floor": 3 }
    });
    let employee = employee(Profile::SpaceIq, "Okta custom attributes under the enterprise extension", attributes).await;
    assert_eq!(employee["custom"], json!({ "start_date": "2024-02-01", "employee_number": "701984", "floor": "3" }));
}

#[tokio::test]
async fn spaceiq_custom_attribute_syntax_is_taken_as_it_is() {
    let attributes = json!({ "costcenter": "CC-12", ENTERPRISE: { "department": "Sales" } });
    let employee = employee(Profile::SpaceIq, "SpaceIQ custom attribute syntax", attributes).await;
    assert_eq!(employee["custom"], json!({ "Cost_Center": "CC-12", "Department": "Sales" }));
    assert_eq!(employee["cost_center"], "CC-12");
}

#[tokio::test]
async fn officespace_user_defined_fields_take_any_source() {
    let attributes = json!({
        "userType": "Contractor", "addresses": [{ "streetAddress": "1 Main St" }], "Shift": "night",
        ENTERPRISE: { "division": "North", "employeeNumber": "7" }
    });
    let employee = employee(Profile::OfficeSpace, "Feed OfficeSpace's user-defined fields", attributes).await;
    let expected = json!({ "employee_id": "7", "udf_1": "North", "udf_2": "1 Main St", "udf_35": "Contractor / night" });
    assert_eq!(employee["custom"], expected);
}

#[tokio::test]
async fn whoever_has_no_city_works_remotely() {
    let title = "Whoever has no city works remotely";
    assert_eq!(employee(Profile::SpaceIq, title, json!({})).await["location"], "Remote");
    let in_oslo = json!({ "addresses": [{ "locality": "Oslo" }] });
    assert_eq!(employee(Profile::SpaceIq, title, in_oslo).await["location"], "Oslo");
}

#[test]
fn every_recipe_of_the_page_has_a_test_here() {
    let (_, recipes) = PAGE.split_once("\n## Recipes\n").unwrap();
    let tests: Vec<_> = recipes.lines().filter_map(|line| line.strip_prefix("Test: `")?.strip_suffix('`')).collect();
    assert_eq!(tests.len(), recipes.matches("\n### ").count());
    for test in tests {
        assert!(include_str!("mapping_recipes.rs").contains(&format!("fn {test}()")), "{test}");
    }
}
