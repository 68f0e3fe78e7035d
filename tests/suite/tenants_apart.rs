//! Two tenants in one database (RFC 7644 §6.2, N90): the same names in both, and every foreign id behaves as an unknown one,
//! so that nothing can be learned of another tenant, not even that it has something.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{Answer, TestApp, app};
use crate::bad_input::stock;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Two tenants that have the same: a user, a user who is managed by the first, a group with the first in it.
async fn twins() -> [(TestApp, String, String); 2] {
    let [a, b] = [app().await, app().await];
    let mut twins = Vec::new();
    for app in [a, b] {
        let body = json!({
            "userName": "jsnow", "externalId": "E-1", "displayName": "Jon Snow", "emails": [{ "value": "jon@example.com", "type": "work" }],
            ENTERPRISE: { "department": "Night's Watch" }
        });
        let user = app.post("/Users", body).await.expect(201).id();
        let group = app
            .post("/Groups", json!({ "displayName": "Wall", "externalId": "G-1", "members": [{ "value": user }] }))
            .await
            .expect(201)
            .id();
        twins.push((app, user, group));
    }
    twins.try_into().unwrap_or_else(|_| unreachable!("two were made"))
}

/// An answer without the id that was asked for and the request's own.
fn without(answer: &Answer, id: &str) -> (u16, String) {
    (answer.status.as_u16(), answer.text.replace(id, "ID"))
}

#[tokio::test]
async fn the_same_names_live_in_both_tenants_and_each_finds_its_own() {
    let [(a, user_a, group_a), (b, user_b, group_b)] = twins().await;
    for (app, user, group) in [(&a, &user_a, &group_a), (&b, &user_b, &group_b)] {
        for filter in [
            "userName eq \"JSNOW\"",
            "externalId eq \"E-1\"",
            "emails.value eq \"jon@example.com\"",
            "emails[type eq \"work\" and value sw \"jon\"]",
            "displayName co \"snow\"",
            "groups.display eq \"wall\"",
            "userName pr",
            "not (userName eq \"nobody\")",
            "userName eq \"jsnow\" or userName eq \"nobody\"",
            "active eq true",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department pr",
            "meta.created gt \"2000-01-01T00:00:00Z\"",
        ] {
            let found = app.get(&format!("/Users?filter={filter}")).await.expect(200);
            assert_eq!((found.body["totalResults"].clone(), found.ids()), (json!(1), vec![user.clone()]), "{filter}");
        }
        for filter in ["displayName eq \"WALL\"", "externalId eq \"G-1\"", "members.display co \"snow\"", "displayName pr", "members pr"] {
            assert_eq!(app.get(&format!("/Groups?filter={filter}")).await.expect(200).ids(), [group.as_str()], "{filter}");
        }
        assert_eq!(app.get("/Users?sortBy=userName").await.expect(200).ids(), [user.as_str()]);
        assert_eq!(app.get("/Users").await.expect(200).body["totalResults"], 1);
        assert_eq!(app.get(&format!("/Users/{user}")).await.list("groups").len(), 1);
        let employees = app.under("/api/v1").get("/employees").await.expect(200);
        assert_eq!((employees.body["total"].clone(), employees.list("employees")[0]["id"].clone()), (json!(1), json!(user)));
    }
}

#[tokio::test]
async fn a_foreign_id_in_a_path_is_unknown() {
    let [(a, ..), (b, user, group)] = twins().await;
    let before = stock(&b).await;
    for (kind, foreign, body) in
        [("Users", &user, json!({ "userName": "taken-over" })), ("Groups", &group, json!({ "displayName": "taken-over", "members": [] }))]
    {
        let unknown = Uuid::now_v7().to_string();
        let patch = json!({ "Operations": [{ "op": "replace", "path": "displayName", "value": "x" }] });
        for (method, body) in [("GET", None), ("PUT", Some(&body)), ("PATCH", Some(&patch)), ("DELETE", None)] {
            let theirs = a.request(method, &format!("/{kind}/{foreign}"), body.cloned()).await.refused(404, "");
            let nobodys = a.request(method, &format!("/{kind}/{unknown}"), body.cloned()).await.refused(404, "");
            assert_eq!(without(&theirs, foreign), without(&nobodys, &unknown), "{method} {kind}");
        }
        // Neither does a precondition tell that there is something.
        let request = a.builder("PUT", &format!("/{kind}/{foreign}")).header("if-match", "W/\"99\"");
        a.send(request, body.to_string()).await.refused(404, "");
    }
    assert_eq!(stock(&b).await, before);
}

/// TEN-002: all or nothing, also next to members of one's own.
#[tokio::test]
async fn a_foreign_member_is_unknown_and_nothing_is_written() {
    let [(a, own, group), (b, foreign_user, foreign_group)] = twins().await;
    let second = a.user("asnow").await;
    let (before_a, before_b) = (stock(&a).await, stock(&b).await);
    for foreign in [&foreign_user, &foreign_group] {
        let unknown = Uuid::now_v7().to_string();
        let bodies = |id: &str| -> Vec<(&'static str, String, Value)> {
            let both = json!([{ "value": second }, { "value": id }]);
            let reference = json!([{ "$ref": format!("https://scim.test/scim/v2/Users/{id}") }]);
            vec![
                ("POST", "/Groups".into(), json!({ "displayName": "New", "members": both })),
                ("PUT", format!("/Groups/{group}"), json!({ "displayName": "Wall", "members": both })),
                ("PATCH", format!("/Groups/{group}"), json!({ "Operations": [{ "op": "add", "path": "members", "value": both }] })),
                ("PATCH", format!("/Groups/{group}"), json!({ "Operations": [{ "op": "replace", "path": "members", "value": both }] })),
                ("PATCH", format!("/Groups/{group}"), json!({ "Operations": [{ "op": "replace", "value": { "members": both } }] })),
                ("PATCH", format!("/Groups/{group}"), json!({ "Operations": [{ "op": "add", "path": "members", "value": reference }] })),
            ]
        };
        for ((method, path, body), (_, _, other)) in bodies(foreign).into_iter().zip(bodies(&unknown)) {
            let theirs = a.request(method, &path, Some(body)).await.refused(400, "invalidValue");
            let nobodys = a.request(method, &path, Some(other)).await.refused(400, "invalidValue");
            assert_eq!(without(&theirs, foreign), without(&nobodys, &unknown), "{method} {path}");
        }
        // Whoever is not there has been removed already.
        for remove in [
            json!({ "op": "remove", "path": "members", "value": [{ "value": foreign }] }),
            json!({ "op": "remove", "path": format!("members[value eq \"{foreign}\"]") }),
        ] {
            a.patch(&format!("/Groups/{group}"), json!({ "Operations": [remove] })).await.expect(204);
        }
    }
    assert_eq!(a.members(&group).await, [own]);
    assert_eq!((stock(&a).await, stock(&b).await), (before_a, before_b));
}

/// TEN-004: a filter with a foreign id finds nothing, in every shape.
#[tokio::test]
async fn a_foreign_id_in_a_filter_finds_nothing() {
    let [(a, ..), (_, user, group)] = twins().await;
    for (path, filter) in [
        ("/Users", format!("id eq \"{user}\"")),
        ("/Users", format!("groups.value eq \"{group}\"")),
        ("/Users", format!("groups eq \"{group}\"")),
        ("/Users", format!("groups[value eq \"{group}\" and type eq \"direct\"]")),
        ("/Users", format!("userName eq \"jsnow\" and groups.value eq \"{group}\"")),
        ("/Users", format!("id eq \"{user}\" or id eq \"{group}\"")),
        ("/Users", format!("not (id ne \"{user}\")")),
        ("/Users", format!("groups.value co \"{group}\"")),
        ("/Groups", format!("id eq \"{group}\"")),
        ("/Groups", format!("members.value eq \"{user}\"")),
        ("/Groups", format!("members eq \"{user}\"")),
        ("/Groups", format!("members[value eq \"{user}\"]")),
        ("/Groups", format!("members[value eq \"{group}\"]")),
        ("/Groups", format!("displayName eq \"Wall\" and members[value sw \"{user}\"]")),
    ] {
        for found in
            [a.get(&format!("{path}?filter={filter}")).await, a.post(&format!("{path}/.search"), json!({ "filter": filter })).await]
        {
            let found = found.expect(200);
            assert_eq!((&found.body["totalResults"], found.ids().len()), (&json!(0), 0), "{filter}: {}", found.text);
        }
    }
}

/// A manager is what the provider says; it resolves to nothing and nobody when it is an id of another tenant.
#[tokio::test]
async fn a_foreign_manager_is_like_an_unknown_one() {
    let [(a, ..), (b, foreign, _)] = twins().await;
    let before = stock(&b).await;
    let unknown = Uuid::now_v7().to_string();
    let mut seen = Vec::new();
    for id in [&foreign, &unknown] {
        let name = crate::support::unique("managed");
        let body = json!({ "userName": name, ENTERPRISE: { "manager": { "value": id, "$ref": format!("../Users/{id}"), "displayName": "Boss" } } });
        let created = a.post("/Users", body).await;
        let status = created.status.as_u16();
        let manager = created.body[ENTERPRISE]["manager"].to_string().replace(id.as_str(), "ID");
        let employee = if status == 201 {
            a.employee(&created.id()).await["manager_id"].to_string().replace(id.as_str(), "ID")
        } else {
            String::new()
        };
        assert!(!created.text.contains("Jon Snow"), "{}", created.text);
        seen.push((status, manager, employee));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(stock(&b).await, before);
}

/// HTTP-002: the id in the path is the one that counts, whatever the body says.
#[tokio::test]
async fn an_id_in_a_body_never_leads_to_another_resource() {
    let [(a, own, group), (b, foreign, _)] = twins().await;
    let second = a.user("asnow").await;
    let before = stock(&b).await;
    for id in [&foreign, &second] {
        let put = json!({ "id": id, "userName": "jsnow", "title": id, "meta": { "location": "https://evil.example" } });
        let replaced = a.put(&format!("/Users/{own}"), put).await.expect(200);
        assert_eq!((replaced.id(), &replaced.body["title"]), (own.clone(), &json!(id)));
        a.patch(&format!("/Users/{own}"), json!({ "Operations": [{ "op": "replace", "path": "id", "value": id }] }))
            .await
            .refused(400, "mutability");
        let patched = a
            .patch(&format!("/Users/{own}"), json!({ "Operations": [{ "op": "replace", "value": { "id": id, "title": "x" } }] }))
            .await
            .expect(200);
        assert_eq!((patched.id(), &patched.body["title"]), (own.clone(), &json!("x")));
        let created = a.post("/Users", json!({ "id": id, "userName": crate::support::unique("chosen") })).await.expect(201);
        assert_ne!(&created.id(), id);
        a.put(&format!("/Groups/{group}"), json!({ "id": id, "displayName": "Wall" })).await.expect(200);
    }
    assert_eq!(a.get(&format!("/Users/{second}")).await.expect(200).body["userName"], "asnow");
    assert_eq!(stock(&b).await, before);
}

/// A rename to a name of the other tenant is nobody's business.
#[tokio::test]
async fn names_are_taken_in_one_tenant_only() {
    let [(a, user, group), (b, ..)] = twins().await;
    b.user("asnow").await;
    b.group("Gate", &[]).await;
    a.patch(&format!("/Users/{user}"), json!({ "Operations": [{ "op": "replace", "path": "userName", "value": "asnow" }] }))
        .await
        .expect(200);
    a.put(&format!("/Groups/{group}"), json!({ "displayName": "Gate" })).await.expect(200);
    a.post("/Users", json!({ "userName": "ASNOW" })).await.refused(409, "uniqueness");
    b.delete(&format!("/Users/{}", b.get("/Users?filter=userName eq \"asnow\"").await.ids()[0])).await.expect(204);
    a.get(&format!("/Users/{user}")).await.expect(200);
}

/// TEN-007: one connection for both tenants, with failed requests in between.
#[tokio::test]
async fn tenants_that_share_a_connection_never_see_each_other() {
    use frontdesk::directory::{Conformance, Directory, PoolSettings, Profile};
    let settings = PoolSettings { pool_size: 1, ..crate::support::settings() };
    let directory = Directory::open(crate::support::url().await, &settings).await.unwrap();
    let [a, b] = [
        crate::app::app_on(directory.clone(), Profile::SpaceIq, Conformance::Lenient, &[]).await,
        crate::app::app_on(directory, Profile::SpaceIq, Conformance::Lenient, &[]).await,
    ];
    let (mut own_a, mut own_b) = (Vec::new(), Vec::new());
    for n in 0..30 {
        for (app, own) in [(&a, &mut own_a), (&b, &mut own_b)] {
            own.push(app.user(&format!("user-{n}")).await);
            app.post("/Users", json!({ "userName": format!("USER-{n}") })).await.refused(409, "uniqueness");
            app.patch(
                &format!("/Users/{}", own[0]),
                json!({ "Operations": [{ "op": "replace", "path": "userName", "value": format!("user-{n}") }] }),
            )
            .await;
            assert_eq!(app.get("/Users").await.expect(200).ids(), *own);
        }
    }
}
