//! Groups in groups (RFC 7643 §4.2, RFC 7644 §3.7.1): what users and groups show of them, circles, and what a deletion leaves.

use serde_json::{Value, json};

use crate::app::{Answer, TestApp, app};
use crate::cases::percent;

async fn add(app: &TestApp, group: &str, member: &str) -> Answer {
    let operation = json!({ "op": "add", "path": "members", "value": [{ "value": member }] });
    app.patch(&format!("/Groups/{group}"), json!({ "Operations": [operation] })).await
}

/// The display names and types of a user's groups, in order.
async fn groups(app: &TestApp, user: &str) -> Vec<(String, String)> {
    let user = app.get(&format!("/Users/{user}")).await.expect(200);
    let mut groups: Vec<_> = user.list("groups").iter().map(|group| (text(group, "display"), text(group, "type"))).collect();
    groups.sort();
    groups
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect()
}

async fn found(app: &TestApp, endpoint: &str, filter: &str) -> Vec<String> {
    let mut ids = app.get(&format!("{endpoint}?filter={}", percent(filter))).await.expect(200).ids();
    ids.sort();
    ids
}

/// N21: `type` says whether the user is in the group itself or in one within it.
#[tokio::test]
async fn a_user_shows_direct_and_indirect_groups() {
    let app = app().await;
    let (jon, arya) = (app.user("jon").await, app.user("arya").await);
    let inner = app.group("Inner", &[&jon]).await;
    let middle = app.group("Middle", &[&inner, &arya]).await;
    let outer = app.group("Outer", &[&middle]).await;
    assert_eq!(groups(&app, &jon).await, pairs(&[("Inner", "direct"), ("Middle", "indirect"), ("Outer", "indirect")]));
    assert_eq!(groups(&app, &arya).await, pairs(&[("Middle", "direct"), ("Outer", "indirect")]));
    add(&app, &outer, &jon).await.expect(204);
    assert_eq!(groups(&app, &jon).await, pairs(&[("Inner", "direct"), ("Middle", "indirect"), ("Outer", "direct")]));
    let listed = app.get("/Users?filter=userName%20eq%20%22jon%22").await.expect(200);
    assert_eq!(listed.body["Resources"][0], app.get(&format!("/Users/{jon}")).await.body, "a list shows the same");

    let shown = app.get(&format!("/Groups/{middle}")).await.expect(200);
    let members: Vec<_> = shown.list("members").iter().map(|member| (text(member, "type"), text(member, "display"))).collect();
    assert_eq!(members, [("User".into(), "arya".into()), ("Group".into(), "Inner".into())]);
    for member in shown.list("members") {
        let path = text(&member, "$ref").strip_prefix("https://scim.test/scim/v2").expect("a reference is under the base").to_owned();
        assert_eq!(app.get(&path).await.expect(200).id(), text(&member, "value"), "N5: a reference leads to its resource");
    }
    let with_groups = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    assert_eq!(found(&app, "/Groups", "members[type eq \"Group\"]").await, with_groups(vec![middle.clone(), outer.clone()]));
    assert_eq!(found(&app, "/Groups", &format!("members.value eq \"{inner}\"")).await, [middle.as_str()]);
    assert_eq!(found(&app, "/Users", &format!("groups.value eq \"{outer}\"")).await, with_groups(vec![jon.clone(), arya.clone()]));
    assert_eq!(found(&app, "/Users", &format!("groups[value eq \"{middle}\" and type eq \"direct\"]")).await, [arya]);
}

/// RFC 7644 §3.7.1 lets groups hold each other.
#[tokio::test]
async fn circles_end() {
    let app = app().await;
    let jon = app.user("jon").await;
    let a = app.group("A", &[&jon]).await;
    let b = app.group("B", &[&a]).await;
    add(&app, &a, &b).await.expect(204);
    assert_eq!(groups(&app, &jon).await, pairs(&[("A", "direct"), ("B", "indirect")]));
    let c = app.group("C", &[&b]).await;
    add(&app, &a, &c).await.expect(204);
    assert_eq!(groups(&app, &jon).await, pairs(&[("A", "direct"), ("B", "indirect"), ("C", "indirect")]));
    for group in [&a, &b, &c] {
        assert_eq!(found(&app, "/Users", &format!("groups eq \"{group}\"")).await, [jon.as_str()]);
        assert_eq!(found(&app, "/Users", &format!("not (groups eq \"{group}\")")).await, Vec::<String>::new());
    }
    assert_eq!(found(&app, "/Groups", "members[type eq \"Group\"]").await.len(), 3);
    for group in [&a, &b, &c] {
        app.delete(&format!("/Groups/{group}")).await.expect(204);
    }
    assert_eq!(groups(&app, &jon).await, []);
}

#[tokio::test]
async fn a_group_is_never_its_own_member() {
    let app = app().await;
    let jon = app.user("jon").await;
    let group = app.group("A", &[&jon]).await;
    let before = app.get(&format!("/Groups/{group}")).await;
    add(&app, &group, &group).await.refused(400, "invalidValue");
    let whole = json!({ "displayName": "B", "members": [{ "value": group }] });
    app.put(&format!("/Groups/{group}"), whole).await.refused(400, "invalidValue");
    let replace = json!({ "Operations": [{ "op": "replace", "path": "members", "value": [{ "value": jon }, { "value": group }] }] });
    app.patch(&format!("/Groups/{group}"), replace).await.refused(400, "invalidValue");
    assert_eq!(app.get(&format!("/Groups/{group}")).await.text, before.text);
}

/// N76: what is gone is nobody's member, and whoever held it has changed.
#[tokio::test]
async fn a_deleted_group_leaves_no_trace() {
    let app = app().await;
    let jon = app.user("jon").await;
    let inner = app.group("Inner", &[&jon]).await;
    let outer = app.group("Outer", &[&inner, &jon]).await;
    let bystander = app.group("Bystander", &[&jon]).await;
    let version = async |group: &str| text(&app.get(&format!("/Groups/{group}")).await.expect(200).body["meta"], "version");
    let (held, untouched) = (version(&outer).await, version(&bystander).await);
    app.delete(&format!("/Groups/{inner}")).await.expect(204);
    app.get(&format!("/Groups/{inner}")).await.refused(404, "");
    assert_eq!(app.members(&outer).await, [jon.as_str()]);
    assert_ne!(version(&outer).await, held);
    assert_eq!(version(&bystander).await, untouched);
    assert_eq!(groups(&app, &jon).await, pairs(&[("Bystander", "direct"), ("Outer", "direct")]));
    assert_eq!(found(&app, "/Groups", &format!("members.value eq \"{inner}\"")).await, Vec::<String>::new());
    assert_eq!(found(&app, "/Groups", "members[type eq \"Group\"]").await, Vec::<String>::new());
    add(&app, &outer, &inner).await.refused(400, "invalidValue");
    assert_ne!(app.group("Inner", &[]).await, inner, "the name is free, the id is not used again");
}
