//! The SpaceIQ connector's users and the employees that come of them: the attribute table, both placements of an organization's
//! attributes in any letter case, and the cases of organization, division and department.

use serde_json::{Value, json};

use crate::app::{TestApp, app};
use crate::jumpcloud::{ENTERPRISE, USER, employee};

/// The create as the SpaceIQ connector sends it, with the attributes of an organization in one of their places.
fn connector_create(org: &Value) -> Value {
    let mut body = json!({
        "schemas": [USER], "userName": "jsnow", "externalId": "E-1001", "active": true, "title": "Sr. Director", "userType": "Full time",
        "name": { "givenName": "Jon", "familyName": "Snow", "formatted": "Jon Snow" },
        "emails": [{ "value": "jon.snow@example.com", "type": "work", "primary": true }],
        "phoneNumbers": [{ "value": "555-555-5555", "type": "work" }], "addresses": [{ "locality": "Mountain View", "type": "work" }]
    });
    body.as_object_mut().unwrap().extend(org.as_object().unwrap().clone());
    body
}

/// Both places of the attributes of an organization.
fn placements(top_level: Value, extension: Value) -> [Value; 2] {
    [top_level, json!({ "schemas": [USER, ENTERPRISE], ENTERPRISE: extension })]
}

/// The whole attribute table for one user, and both placements of the organization's attributes in several letter cases.
#[tokio::test]
async fn the_connectors_user_becomes_the_same_employee_from_every_placement() {
    let mut all = Vec::new();
    for (department, organization, cost_center) in [
        ("department", "organization", "costcenter"),
        ("Department", "ORGANIZATION", "costCenter"),
        ("DEPARTMENT", "Organization", "CostCenter"),
    ] {
        let attributes = json!({ department: "Digital Marketing", organization: "Marketing", cost_center: "CC-12" });
        all.extend(placements(attributes.clone(), attributes));
    }
    all.push(json!({ "URN:ietf:params:scim:schemas:extension:ENTERPRISE:2.0:User": { "department": "Digital Marketing", "organization": "Marketing" }, "CostCenter": "CC-12" }));
    for org in all {
        let app = app().await;
        let created = app.post("/Users", connector_create(&org)).await.expect(201);
        let seen = employee(
            &app,
            &created.id(),
            [
                "user_name",
                "external_id",
                "first_name",
                "last_name",
                "name",
                "title",
                "email",
                "phone",
                "location",
                "employment_type",
                "department_name",
                "team_name",
                "cost_center",
            ],
        )
        .await;
        let expected = [
            "jsnow",
            "E-1001",
            "Jon",
            "Snow",
            "Jon Snow",
            "Sr. Director",
            "jon.snow@example.com",
            "555-555-5555",
            "Mountain View",
            "Full time",
            "Marketing",
            "Digital Marketing",
            "CC-12",
        ];
        assert_eq!(seen, expected.map(Value::from), "{org}");
        assert_eq!(employee(&app, &created.id(), ["active", "complete", "missing"]).await, [json!(true), json!(true), json!([])]);
        // What is in no schema is kept for the employee and never echoed.
        assert!(
            created
                .body
                .as_object()
                .unwrap()
                .keys()
                .all(|key| !key.eq_ignore_ascii_case("costcenter") && !key.eq_ignore_ascii_case("department"))
        );
        // The same user as `GET /api/v1/employees` shows it.
        let listed = app.under("/api/v1").get("/employees").await.expect(200);
        assert_eq!(listed.list("employees")[0]["team_name"], "Digital Marketing");
    }
}

/// The extension wins over the top level.
#[tokio::test]
async fn the_extension_wins_over_the_top_level() {
    let app = app().await;
    let both = json!({ "department": "Top", "costcenter": "CC-top", ENTERPRISE: { "department": "Within", "costCenter": "CC-within" } });
    let id = app.post("/Users", connector_create(&both)).await.expect(201).id();
    assert_eq!(employee(&app, &id, ["department_name", "cost_center"]).await, ["Within", "CC-within"].map(Value::from));
}

/// The eight cases of organization, division and department, in both placements, on creation and when a change leads there;
/// blank text is no value.
#[tokio::test]
async fn department_and_team_follow_from_what_is_there() {
    let app = app().await;
    let other = app_without_divisions().await;
    // organization, division, department; department and team; the same when a division is no department.
    let cases = [
        (["", "", "D"], ["D", ""], ["D", ""]),
        (["O", "", "D"], ["O", "D"], ["O", "D"]),
        (["O", "V", "D"], ["O", "D"], ["O", "D"]),
        (["", "V", "D"], ["V", "D"], ["D", ""]),
        (["O", "", ""], ["O", ""], ["O", ""]),
        (["", "V", ""], ["V", ""], ["", ""]),
        (["O", "V", ""], ["O", ""], ["O", ""]),
        (["", "", ""], ["", ""], ["", ""]),
        (["  ", "\t", "D"], ["D", ""], ["D", ""]),
    ];
    for (index, (sent, with_division, without_division)) in cases.into_iter().enumerate() {
        for (app, expected) in [(&app, with_division), (&other, without_division)] {
            let attributes = json!({ "organization": sent[0], "division": sent[1], "department": sent[2] });
            for (placement, org) in placements(attributes.clone(), attributes).into_iter().enumerate() {
                let mut body = connector_create(&org);
                body["userName"] = format!("user-{index}-{placement}").into();
                let id = app.post("/Users", body.clone()).await.expect(201).id();
                let text = |value: &str| if value.is_empty() { Value::Null } else { value.into() };
                let missing = if expected[0].is_empty() { json!(["department_name"]) } else { json!([]) };
                let expected = [text(expected[0]), text(expected[1]), missing];
                let columns = ["department_name", "team_name", "missing"];
                assert_eq!(employee(app, &id, columns).await, expected, "{sent:?} {org}");
                // From the whole resource after the change, whatever it was before.
                let full = placements(
                    json!({ "organization": "X", "division": "Y", "department": "Z" }),
                    json!({ "organization": "X", "division": "Y", "department": "Z" }),
                );
                let mut before = connector_create(&full[placement]);
                before["userName"] = body["userName"].clone();
                app.put(&format!("/Users/{id}"), before).await.expect(200);
                assert_eq!(employee(app, &id, ["department_name", "team_name"]).await, ["X", "Z"].map(Value::from));
                app.put(&format!("/Users/{id}"), body).await.expect(200);
                assert_eq!(employee(app, &id, columns).await, expected, "{sent:?} {org} after a change");
            }
        }
    }
}

async fn app_without_divisions() -> TestApp {
    let app = app().await;
    app.set("division_is_department", "false").await;
    // What the server remembers of a token's tenant lasts a second; nothing was asked with this one yet.
    app
}

/// Removing the organization turns the team back into the department, by PUT and by every form of PATCH.
#[tokio::test]
async fn without_its_organization_a_team_is_a_department_again() {
    for change in [
        json!({ "op": "remove", "path": format!("{ENTERPRISE}:organization") }),
        json!({ "op": "replace", "path": format!("{ENTERPRISE}:organization"), "value": null }),
        json!({ "op": "replace", "path": format!("{ENTERPRISE}:organization"), "value": "" }),
        json!({ "op": "replace", "value": { ENTERPRISE: { "organization": null } } }),
        json!({ "op": "remove", "path": "organization" }),
    ] {
        for org in placements(
            json!({ "organization": "Marketing", "department": "Digital" }),
            json!({ "organization": "Marketing", "department": "Digital" }),
        ) {
            let app = app().await;
            let id = app.post("/Users", connector_create(&org)).await.expect(201).id();
            assert_eq!(employee(&app, &id, ["department_name", "team_name"]).await, ["Marketing", "Digital"].map(Value::from));
            app.patch(&format!("/Users/{id}"), json!({ "Operations": [change] })).await.expect(200);
            assert_eq!(employee(&app, &id, ["department_name", "team_name"]).await, [json!("Digital"), Value::Null], "{change} of {org}");
        }
    }
}
