//! A tenant's own mapping: recorded by version, effective at once in every server, shown, taken back.

use frontdesk::directory::{Applied, Conformance, MappingState, Profile, Recorded};
use frontdesk::workplace::{Mapping, profiles};
use serde_json::{Value, json};

use crate::app::{TestApp, app, app_with};
use crate::support;

pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// The shipped profile with other entries put over its own.
pub fn cooked(profile: Profile, recipe: &str) -> String {
    let (_, text) = profiles::SHIPPED.into_iter().find(|(name, _)| *name == profile.word()).unwrap();
    let mut mapping: toml::Table = text.parse().unwrap();
    for (key, value) in recipe.parse::<toml::Table>().unwrap() {
        match (mapping.get_mut(&key), value) {
            (Some(toml::Value::Table(base)), toml::Value::Table(entries)) => base.extend(entries),
            (_, value) => drop(mapping.insert(key, value)),
        }
    }
    toml::to_string(&mapping).unwrap()
}

/// A mapping that fills only the title, from this attribute.
pub fn title_from(attribute: &str) -> String {
    format!("[fields]\ntitle = \"{attribute}\"\n")
}

impl TestApp {
    /// Records a mapping and computes all employees with it.
    pub async fn apply(&self, text: &str) -> i64 {
        let recorded = self.directory.record_mapping(&self.tenant, "test.toml", text, "test").await.expect("the mapping is valid");
        self.finish().await;
        recorded.version()
    }

    /// Computes the employees that are behind.
    pub async fn finish(&self) -> Applied {
        self.directory.apply_mapping(self.tenant.id, |_| ()).await.expect("the employees can be computed")
    }

    /// The same tenant and token at another server, with caches and connections of its own.
    pub async fn other_server(&self) -> Self {
        let config = frontdesk::config::Config::load(&std::collections::BTreeMap::new(), None).unwrap();
        let directory = support::directory().await;
        let service = frontdesk::http::Service::new(frontdesk::http::App::new(directory.clone(), &config, crate::app::PUBLIC_URL.into()));
        Self { service, directory, ..self.clone() }
    }

    /// A user with these attributes beside its name.
    pub async fn person(&self, name: &str, attributes: Value) -> String {
        let mut body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name });
        body.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
        self.post("/Users", body).await.expect(201).id()
    }
}

#[tokio::test]
async fn a_mapping_changes_employees_and_leaves_users_alone() {
    let app = app().await;
    let id = app.person("cook", json!({ "displayName": "Anna", "title": "Cook", "nickName": "Chef", "costCenter": "CC-1" })).await;
    let before = app.get(&format!("/Users/{id}")).await.expect(200);
    assert_eq!(app.employee(&id).await["title"], "Cook");
    assert_eq!(app.apply(&title_from("nickName")).await, 1);
    let employee = app.employee(&id).await;
    assert_eq!((&employee["title"], &employee["name"], &employee["cost_center"]), (&json!("Chef"), &Value::Null, &Value::Null));
    assert_eq!((&employee["complete"], &employee["missing"]), (&json!(true), &json!([])));
    assert_eq!(app.get(&format!("/Users/{id}")).await.expect(200).body, before.body);
    let (kind, outcome, change) = app.events(&id).await.pop().unwrap();
    assert_eq!((kind.as_str(), outcome.as_str(), &change["mapping"]), ("user_mapping_update", "success", &json!(1)));
    assert_eq!(change["employee"], json!(["name", "title", "cost_center", "missing"]), "{change}");
}

#[tokio::test]
async fn from_the_moment_it_is_recorded_no_server_writes_with_an_older_one() {
    let app = app().await;
    let other = app.other_server().await;
    let changed = other.person("changed", json!({ "title": "Cook", "nickName": "Chef" })).await;
    // The other server has just seen this caller and remembers it, and the mapping with it, for a second.
    for version in 1..=3 {
        let attribute = if version % 2 == 1 { "nickName" } else { "title" };
        let recorded = app.directory.record_mapping(&app.tenant, "test.toml", &title_from(attribute), "test").await.unwrap();
        assert_eq!(recorded, Recorded::Made(version));
        let expected = if version % 2 == 1 { "Chef" } else { "Cook" };
        let created = other.person(&format!("created{version}"), json!({ "title": "Cook", "nickName": "Chef" })).await;
        assert_eq!(other.employee(&created).await["title"], expected);
        let patch = json!({ "Operations": [{ "op": "replace", "path": "displayName", "value": format!("n{version}") }] });
        other.patch(&format!("/Users/{changed}"), patch).await.expect(200);
        assert_eq!(other.employee(&changed).await["title"], expected);
        let body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": format!("created{version}"),
            "title": "Cook", "nickName": "Chef", "displayName": "put" });
        other.put(&format!("/Users/{created}"), body.clone()).await.expect(200);
        assert_eq!(other.employee(&created).await["title"], expected);
    }
    let bulk = |round: u32| {
        let create = |n: u32| {
            let data = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": format!("bulk{round}.{n}"),
                "title": "Cook", "nickName": "Chef" });
            json!({ "method": "POST", "path": "/Users", "bulkId": n.to_string(), "data": data })
        };
        json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [create(1), create(2)] })
    };
    for (round, attribute, expected) in [(1, "title", "Cook"), (2, "nickName", "Chef")] {
        app.directory.record_mapping(&app.tenant, "test.toml", &title_from(attribute), "test").await.unwrap();
        let answer = other.post("/Bulk", bulk(round)).await.expect(200);
        for operation in answer.list("Operations") {
            let id = operation["location"].as_str().unwrap().rsplit('/').next().unwrap();
            assert_eq!(other.employee(id).await["title"], expected, "{operation}");
        }
    }
}

#[tokio::test]
async fn what_arrived_before_a_custom_attribute_was_declared_is_picked_up() {
    let app = app().await;
    let attributes = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE, "urn:acme:scim:2.0:Badge"],
        "badge_number": "0042", ENTERPRISE: { "shirt": "L" }, "urn:acme:scim:2.0:Badge": { "floor": 3 }
    });
    let id = app.person("early", attributes).await;
    assert_eq!(app.employee(&id).await["custom"], json!({}));
    let declared = "spaceiq_custom = '{\"badge_number*.*Badge\"}'\n[custom]\nshirt = \"unmapped:shirt\"\n\
        floor = \"unmapped:urn:acme:scim:2.0:Badge:floor\"\n";
    app.apply(&cooked(Profile::SpaceIq, declared)).await;
    assert_eq!(app.employee(&id).await["custom"], json!({ "Badge": "0042", "shirt": "L", "floor": "3" }));
    let patch = json!({ "Operations": [{ "op": "replace", "path": "badge_number", "value": "0043" }] });
    app.patch(&format!("/Users/{id}"), patch).await.expect(200);
    assert_eq!(app.employee(&id).await["custom"]["Badge"], "0043");
}

#[tokio::test]
async fn a_preview_says_what_would_change_and_changes_nothing() {
    let app = app().await;
    let full = json!({ "title": "Cook", "nickName": "Chef", "name": { "formatted": "A B" }, "emails": [{ "value": "a@example.com" }],
        "addresses": [{ "locality": "Oslo" }], ENTERPRISE: { "department": "Kitchen" } });
    let complete = app.person("complete", full).await;
    let incomplete = app.person("incomplete", json!({ "title": "Cook", "nickName": "Cook", "displayName": "I" })).await;
    let text =
        cooked(Profile::SpaceIq, "required = [\"user_name\", \"phone\"]\n[fields]\ntitle = \"nickName\"\n[custom]\nnick = \"nickName\"\n");
    let mapping = Mapping::parse("test.toml", &text).unwrap();
    let (before, mut calls) = (app.employee(&complete).await, 0);
    let diff = app.directory.preview_mapping(&app.tenant, &mapping, |_| calls += 1).await.unwrap();
    assert_eq!((diff.employees, diff.changed, calls), (2, 2, 1));
    let fields: Vec<_> = diff.fields.iter().map(|(name, field)| (name.as_str(), field.count)).collect();
    assert_eq!(fields, [("title", 1), ("custom.nick", 2)]);
    let example = &diff.fields[0].1.examples[0];
    assert_eq!((example.id.to_string(), example.old.as_deref(), example.new.as_deref()), (complete.clone(), Some("Cook"), Some("Chef")));
    assert_eq!((diff.incomplete.count, diff.incomplete.examples[0].0.to_string()), (1, complete.clone()));
    assert_eq!(diff.incomplete.examples[0].1, ["phone"]);
    assert_eq!(diff.complete.count, 0);
    assert_eq!(app.employee(&complete).await, before);
    app.apply(&text).await;
    let after = app.directory.preview_mapping(&app.tenant, &mapping, |_| ()).await.unwrap();
    assert_eq!((after.employees, after.changed), (2, 0), "a preview of what is applied finds nothing");
    assert_eq!(app.employee(&incomplete).await["missing"], json!(["phone"]));
}

#[tokio::test]
async fn versions_are_told_with_who_made_them_and_an_earlier_one_can_be_taken_again() {
    let app = app().await;
    let id = app.person("cook", json!({ "title": "Cook", "nickName": "Chef" })).await;
    let (directory, tenant) = (&app.directory, &app.tenant);
    assert_eq!(directory.mapping_text(tenant, None).await.unwrap(), (0, profiles::SHIPPED[0].1.to_owned()));
    assert!(directory.roll_back_mapping(tenant, None, "anna").await.unwrap_err().to_string().contains("nothing is before it"));
    directory.record_mapping(tenant, "a.toml", &title_from("nickName"), "anna").await.unwrap();
    app.finish().await;
    assert_eq!(directory.record_mapping(tenant, "a.toml", &title_from("nickName"), "bob").await.unwrap(), Recorded::Same(1));
    assert_eq!(directory.roll_back_mapping(tenant, None, "bob").await.unwrap(), Recorded::Made(2));
    assert_eq!(app.finish().await, Applied::Done(2));
    assert_eq!(app.employee(&id).await["title"], "Cook");
    assert_eq!(directory.roll_back_mapping(tenant, Some(1), "eve").await.unwrap(), Recorded::Made(3));
    app.finish().await;
    assert_eq!(app.employee(&id).await["title"], "Chef");
    assert_eq!(directory.mapping_text(tenant, Some(2)).await.unwrap().1, profiles::SHIPPED[0].1);
    let missing = directory.roll_back_mapping(tenant, Some(9), "eve").await.unwrap_err().to_string();
    assert_eq!(missing, format!("tenant {} has no version 9 of its mapping", tenant.slug));
    let history = directory.mapping_history(tenant.id).await.unwrap();
    let told: Vec<_> = history.iter().map(|v| (v.version, v.made_by.as_str(), v.note.as_deref(), v.changed, v.state)).collect();
    let applied = MappingState::Applied;
    assert_eq!(
        told,
        [
            (3, "eve", Some("rollback to version 1"), 1, applied),
            (2, "bob", Some("rollback to version 0"), 1, applied),
            (1, "anna", None, 1, applied)
        ]
    );
}

#[tokio::test]
async fn a_wrong_mapping_is_refused_with_its_line_and_the_old_one_stays() {
    let app = app().await;
    let refused = app.directory.record_mapping(&app.tenant, "acme.toml", "[fields]\ntitle = \"titel\"", "anna").await.unwrap_err();
    assert!(refused.to_string().starts_with("acme.toml, line 2: \"titel\" is not an attribute"), "{refused}");
    assert!(app.directory.mapping_history(app.tenant.id).await.unwrap().is_empty());
    assert_eq!(app.finish().await, Applied::Shipped);
}

#[tokio::test]
async fn a_stored_mapping_that_this_program_cannot_read_stops_its_tenant_and_no_other() {
    let (app, neighbour) = (app().await, app().await);
    app.directory.record_mapping(&app.tenant, "test.toml", &title_from("nickName"), "anna").await.unwrap();
    sqlx::query("update mappings set text = 'of a later language' where tenant_id = $1")
        .bind(app.tenant.id)
        .execute(&mut support::observer().await)
        .await
        .unwrap();
    // A server that has not read it yet.
    let answer = app.other_server().await.get("/Users").await.refused(500, "");
    assert!(!answer.text.contains("language"), "{}", answer.text);
    neighbour.get("/Users").await.expect(200);
    app.directory.roll_back_mapping(&app.tenant, None, "anna").await.unwrap();
    app.other_server().await.get("/Users").await.expect(200);
    app.finish().await;
}

#[tokio::test]
async fn the_mapping_of_one_tenant_is_not_another_s() {
    let (app, neighbour) = (app().await, app().await);
    let id = neighbour.person("cook", json!({ "title": "Cook", "nickName": "Chef" })).await;
    app.apply(&title_from("nickName")).await;
    neighbour.finish().await;
    assert_eq!(neighbour.employee(&id).await["title"], "Cook");
    assert!(!neighbour.directory.tenants_to_recompute().await.unwrap().contains(&app.tenant.id));
}

#[tokio::test]
async fn reprojecting_uses_the_tenant_s_own_mapping_and_its_settings() {
    let app = app().await;
    let id = app.person("cook", json!({ "nickName": "Chef", ENTERPRISE: { "division": "North", "department": "Kitchen" } })).await;
    app.apply(&cooked(Profile::SpaceIq, "[fields]\ntitle = \"nickName\"\n")).await;
    app.set("division_is_department", "false").await;
    let dry = app.directory.reproject(&app.tenant_now().await, true).await.unwrap();
    assert_eq!((dry.total, dry.changed), (1, 1));
    assert_eq!(app.employee(&id).await["department_name"], "North");
    let done = app.directory.reproject(&app.tenant_now().await, false).await.unwrap();
    assert_eq!((done.total, done.changed), (1, 1));
    let employee = app.employee(&id).await;
    assert_eq!((&employee["title"], &employee["department_name"]), (&json!("Chef"), &json!("Kitchen")));
}

impl TestApp {
    async fn tenant_now(&self) -> frontdesk::directory::Tenant {
        self.directory.find_tenant(&self.tenant.slug).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_tenant_of_officespace_has_its_fields_its_udfs_and_groups() {
    let app = app_with(Profile::OfficeSpace, Conformance::Lenient, &[]).await.under("/api/scim/v2");
    let udfs: String = (1..=35).map(|n| format!("udf_{n} = \"unmapped:field{n}\"\n")).collect();
    let fed = format!("[custom]\n{udfs}")
        .replace("unmapped:field1\"", &format!("{ENTERPRISE}:division\""))
        .replace("\"unmapped:field2\"", "'addresses[type eq \"work\"].streetAddress'");
    app.apply(&cooked(Profile::OfficeSpace, &fed)).await;
    let mut attributes = json!({
        "displayName": "Jon S.", "title": "Lord Commander", "name": { "givenName": "Jon", "familyName": "Snow" },
        "emails": [{ "value": "jon@example.com", "primary": true }], "photos": [{ "value": "https://example.com/jon.png", "type": "photo" }],
        "addresses": [{ "type": "work", "streetAddress": "1 Wall St" }],
        ENTERPRISE: { "organization": "Watch", "division": "North", "department": "Command", "employeeNumber": "998" }
    });
    for n in 3..=35 {
        attributes[format!("field{n}")] = json!(n);
    }
    let id = app.person("jsnow", attributes).await;
    let employee = app.employee(&id).await;
    for (field, expected) in [
        ("first_name", json!("Jon")),
        ("last_name", json!("Snow")),
        ("name", json!("Jon S.")),
        ("title", json!("Lord Commander")),
        ("email", json!("jon@example.com")),
        ("department_name", json!("Command")),
        ("team_name", Value::Null),
        ("complete", json!(true)),
    ] {
        assert_eq!(employee[field], expected, "{field}");
    }
    let custom = employee["custom"].as_object().unwrap();
    assert_eq!((&custom["employee_id"], &custom["photo"]), (&json!("998"), &json!("https://example.com/jon.png")));
    assert_eq!((&custom["udf_1"], &custom["udf_2"]), (&json!("North"), &json!("1 Wall St")));
    for n in 3..=35 {
        assert_eq!(custom[&format!("udf_{n}")], n.to_string());
    }
    assert_eq!(custom.len(), 37);
    let group = app.group("Night's Watch", &[&id]).await;
    assert_eq!(app.members(&group).await, std::slice::from_ref(&id));
    let read = app.get(&format!("/Users/{id}")).await.expect(200);
    assert_eq!(read.body["groups"][0]["$ref"], format!("https://scim.test/api/scim/v2/Groups/{group}"));
    app.patch(&format!("/Groups/{group}"), json!({ "Operations": [{ "op": "remove", "path": format!("members[value eq \"{id}\"]") }] }))
        .await
        .expect(204);
    assert!(app.members(&group).await.is_empty());
}
