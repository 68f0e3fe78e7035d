//! JumpCloud's conversations about groups: a group is bound and taken over by name, members come and go by value array and by
//! filter, the group is renamed and unbound. N21, N23, N67.

use serde_json::{Value, json};

use crate::app::{TestApp, app};

const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

fn patch(operation: Value) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation] })
}

/// The shape that three independent captures show: the path, and the ids as an array, for add and for remove.
fn change(op: &str, ids: &[&String]) -> Value {
    let value: Vec<Value> = ids.iter().map(|id| json!({ "value": id })).collect();
    patch(json!({ "op": op, "path": "members", "value": value }))
}

async fn people(app: &TestApp, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(app.user(&format!("person{n}")).await);
    }
    ids
}

fn sorted(ids: &[&String]) -> Vec<String> {
    let mut ids: Vec<String> = ids.iter().map(|id| (*id).clone()).collect();
    ids.sort();
    ids
}

/// The group as each of its members shows it.
async fn assert_memberships(app: &TestApp, users: &[String], group: &str, members: &[String]) {
    assert_eq!(app.members(group).await, members);
    for user in users {
        let groups = app.get(&format!("/Users/{user}")).await.expect(200).list("groups");
        let shown: Vec<&Value> = groups.iter().filter(|shown| shown["value"] == group).collect();
        assert_eq!(shown.len(), usize::from(members.contains(user)), "{user}");
        for shown in shown {
            assert_eq!(shown["type"], "direct");
            assert_eq!(shown["$ref"], format!("https://scim.test{}/Groups/{group}", app.base));
        }
    }
}

#[tokio::test]
async fn a_group_is_bound_after_its_members_and_shows_them() {
    let app = app().await.under("/scim");
    let ids = people(&app, 3).await;
    let found = app.get("/Groups?filter=displayName%20eq%20%22Sales%22").await.expect(200);
    assert_eq!((&found.body["totalResults"], found.ids().len()), (&json!(0), 0));
    let members: Vec<Value> = ids.iter().map(|id| json!({ "value": id })).collect();
    let created = app
        .post(
            "/Groups",
            json!({ "schemas": [GROUP], "displayName": "Sales", "externalId": "66e2d689590450d073d2df3c", "members": members }),
        )
        .await
        .expect(201);
    assert_eq!(created.header("location"), format!("https://scim.test/scim/Groups/{}", created.id()));
    for member in created.list("members") {
        let id = member["value"].as_str().unwrap();
        assert!(ids.iter().any(|known| known == id));
        assert_eq!((&member["type"], &member["$ref"]), (&json!("User"), &json!(format!("https://scim.test/scim/Users/{id}"))));
        assert!(member["display"].as_str().unwrap().starts_with("person"));
    }
    assert_memberships(&app, &ids, &created.id(), &sorted(&ids.iter().collect::<Vec<_>>())).await;
}

#[tokio::test]
async fn members_come_and_go_by_value_array_and_by_filter() {
    let app = app().await;
    let ids = people(&app, 4).await;
    let group = app.group("Sales", &[&ids[0]]).await;
    let path = format!("/Groups/{group}");
    let version = || async { app.get(&path).await.expect(200).body["meta"].clone() };

    app.patch(&path, change("add", &[&ids[1], &ids[2], &ids[3]])).await.expect(204);
    assert_memberships(&app, &ids, &group, &sorted(&ids.iter().collect::<Vec<_>>())).await;
    let meta = version().await;
    app.patch(&path, change("add", &[&ids[2]])).await.expect(204);
    assert_eq!(version().await, meta, "who is there is not added again");

    app.patch(&path, change("remove", &[&ids[1]])).await.expect(204);
    assert_memberships(&app, &ids, &group, &sorted(&[&ids[0], &ids[2], &ids[3]])).await;
    let meta = version().await;
    app.patch(&path, change("remove", &[&ids[1]])).await.expect(204);
    assert_eq!(version().await, meta, "who is not there is not removed again");

    let by_filter = patch(json!({ "op": "remove", "path": format!("members[value eq \"{}\"]", ids[0]) }));
    app.patch(&path, by_filter).await.expect(204);
    assert_memberships(&app, &ids, &group, &sorted(&[&ids[2], &ids[3]])).await;
    let both = patch(json!({ "op": "remove", "path": format!("members[value eq \"{}\" or value eq \"{}\"]", ids[2], ids[0]) }));
    app.patch(&path, both).await.expect(204);
    assert_memberships(&app, &ids, &group, &sorted(&[&ids[3]])).await;
    let by_name = patch(json!({ "op": "remove", "path": "members[display eq \"PERSON3\"]" }));
    app.patch(&path, by_name).await.expect(204);
    assert_memberships(&app, &ids, &group, &[]).await;

    // In order, in one request: who is added and removed again is not there.
    let two = json!({ "Operations": [change("add", &[&ids[0], &ids[1]])["Operations"][0], change("remove", &[&ids[0]])["Operations"][0]] });
    app.patch(&path, two).await.expect(204);
    assert_memberships(&app, &ids, &group, &sorted(&[&ids[1]])).await;
    // With attributes in the query the answer is the group (RFC 7644 §3.5.2).
    let shown = app.patch(&format!("{path}?attributes=members"), change("add", &[&ids[2]])).await.expect(200);
    assert_eq!(shown.list("members").len(), 2);
}

/// A group that is there already is taken over by its name, in any letter case, and becomes what JumpCloud says.
#[tokio::test]
async fn a_group_is_taken_over_by_its_name() {
    let app = app().await;
    let ids = people(&app, 3).await;
    let before = app.group("Sales", &[&ids[0]]).await;
    app.post("/Groups", json!({ "displayName": "SALES" })).await.refused(409, "uniqueness");
    let found = app.get("/Groups?filter=displayName eq \"sales\"").await.expect(200);
    assert_eq!(found.ids(), [before.as_str()]);
    let taken = json!({ "schemas": [GROUP], "id": before, "displayName": "sales", "externalId": "66e2", "members": [{ "value": ids[1] }, { "value": ids[2] }] });
    let answered = app.put(&format!("/Groups/{before}"), taken.clone()).await.expect(200);
    assert_eq!(
        (answered.id(), &answered.body["displayName"], &answered.body["externalId"]),
        (before.clone(), &json!("sales"), &json!("66e2"))
    );
    assert_memberships(&app, &ids, &before, &sorted(&[&ids[1], &ids[2]])).await;
    let again = app.put(&format!("/Groups/{before}"), taken).await.expect(200);
    assert_eq!(again.body["meta"], answered.body["meta"]);
    assert_eq!(app.get("/Groups?filter=externalId eq \"66e2\"").await.expect(200).ids(), [before]);
}

#[tokio::test]
async fn a_rename_keeps_the_members_and_shows_at_each_of_them() {
    let app = app().await;
    let ids = people(&app, 2).await;
    let group = app.group("Sales", &[&ids[0], &ids[1]]).await;
    let path = format!("/Groups/{group}");
    for (method, body, name) in [
        ("PATCH", patch(json!({ "op": "replace", "path": "displayName", "value": "Marketing" })), "Marketing"),
        ("PATCH", patch(json!({ "op": "replace", "value": { "id": group, "displayName": "Growth" } })), "Growth"),
        ("PUT", json!({ "schemas": [GROUP], "id": group, "displayName": "Revenue" }), "Revenue"),
    ] {
        app.request(method, &path, Some(body)).await.status.is_success().then_some(()).expect("a rename succeeds");
        assert_memberships(&app, &ids, &group, &sorted(&[&ids[0], &ids[1]])).await;
        let shown = app.get(&format!("/Users/{}", ids[0])).await.expect(200).list("groups");
        assert_eq!(shown[0]["display"], name);
        assert_eq!(app.get(&format!("/Groups?filter=displayName eq \"{name}\"")).await.expect(200).ids(), [group.as_str()]);
    }
    let other = app.group("Sales", &[]).await;
    app.patch(&format!("/Groups/{other}"), patch(json!({ "op": "replace", "path": "displayName", "value": "REVENUE" })))
        .await
        .refused(409, "uniqueness");
}

/// The last member leaves, the group is unbound and deleted; its people stay.
#[tokio::test]
async fn an_unbound_group_goes_and_its_people_stay() {
    let app = app().await;
    let ids = people(&app, 2).await;
    let group = app.group("Sales", &[&ids[0], &ids[1]]).await;
    for empty in [json!({ "displayName": "Sales", "members": [] }), json!({ "displayName": "Sales", "members": null })] {
        app.patch(&format!("/Groups/{group}"), change("add", &[&ids[0], &ids[1]])).await.expect(204);
        app.put(&format!("/Groups/{group}"), empty).await.expect(200);
        assert_memberships(&app, &ids, &group, &[]).await;
    }
    app.patch(&format!("/Groups/{group}"), change("add", &[&ids[0]])).await.expect(204);
    app.delete(&format!("/Groups/{group}")).await.expect(204);
    app.delete(&format!("/Groups/{group}")).await.refused(404, "");
    for id in &ids {
        assert!(app.get(&format!("/Users/{id}")).await.expect(200).list("groups").is_empty());
        assert_eq!(app.employee(id).await["active"], true);
    }
    app.group("Sales", &[&ids[0]]).await;
}

/// A member who is deleted leaves the group, which is a change of the group.
#[tokio::test]
async fn a_deleted_member_is_gone_from_the_group() {
    let app = app().await;
    let ids = people(&app, 2).await;
    let group = app.group("Sales", &[&ids[0], &ids[1]]).await;
    let version = app.get(&format!("/Groups/{group}")).await.body["meta"]["version"].clone();
    app.delete(&format!("/Users/{}", ids[0])).await.expect(204);
    let read = app.get(&format!("/Groups/{group}")).await.expect(200);
    assert_eq!((read.list("members").len(), read.list("members")[0]["value"].as_str()), (1, Some(&*ids[1])));
    assert_ne!(read.body["meta"]["version"], version);
}

/// A user's own update never touches memberships, whatever it says of groups.
#[tokio::test]
async fn a_users_update_leaves_their_groups_alone() {
    let app = app().await;
    let ids = people(&app, 1).await;
    let group = app.group("Sales", &[&ids[0]]).await;
    let other = app.group("Marketing", &[]).await;
    for groups in [json!([]), json!(null), json!([{ "value": other }])] {
        let put = app.put(&format!("/Users/{}", ids[0]), json!({ "userName": "person0", "groups": groups })).await.expect(200);
        assert_eq!((put.list("groups").len(), &put.list("groups")[0]["value"]), (1, &json!(group)));
    }
    assert!(app.members(&other).await.is_empty());
}
