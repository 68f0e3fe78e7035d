//! Pushes of many members: Okta's Push Now, Keycloak's PUT, Entra's thousand adds in one operation, authentik's thousand
//! operations of one member. However the list is written, the number of statements does not grow with it, and only the rows that
//! change are written.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::app::{TestApp, app};
use crate::large_groups::many_users;
use crate::listener::statements_of;
use crate::support::observer;

/// Begin, the group's row with its lock, the change of members, the row's update with its event, commit; the pool's own look
/// at a connection before and after. None of them once per member.
const STATEMENTS_MAX: usize = 12;

fn list(ids: &[String]) -> Value {
    ids.iter().map(|id| json!({ "value": id })).collect()
}

/// Each member with the transaction that wrote its row.
async fn rows(app: &TestApp, group: &str) -> BTreeMap<String, String> {
    sqlx::query_as::<_, (String, String)>("select user_id::text, xmin::text from members where tenant_id = $1 and group_id = $2::uuid")
        .bind(app.tenant.id)
        .bind(group)
        .fetch_all(&mut observer().await)
        .await
        .unwrap()
        .into_iter()
        .collect()
}

/// How many members the last event of a group says came and went.
async fn last_change(app: &TestApp, group: &str) -> (usize, usize) {
    let (_, _, change) = app.events(group).await.pop().unwrap();
    let count = |name: &str| change["members"][name].as_array().map_or(0, Vec::len);
    (count("added"), count("removed"))
}

async fn patch(app: &TestApp, group: &str, operations: Value) {
    let path = format!("/Groups/{group}");
    let (statements, answer) = statements_of(app.patch(&path, json!({ "Operations": operations }))).await;
    answer.expect(204);
    assert!((1..=STATEMENTS_MAX).contains(&statements.len()), "{statements:#?}");
}

#[tokio::test]
async fn a_push_of_ten_thousand_writes_only_who_came_and_who_went() {
    let app = app().await;
    let users = many_users(&app, 10_001).await;
    let group = app.group("everybody", &[]).await;
    patch(&app, &group, json!([{ "op": "replace", "path": "members", "value": list(&users[..10_000]) }])).await;
    let before = rows(&app, &group).await;
    assert_eq!(before.len(), 10_000);

    patch(&app, &group, json!([{ "op": "replace", "path": "members", "value": list(&users[1..]) }])).await;
    let after = rows(&app, &group).await;
    assert_eq!((after.len(), last_change(&app, &group).await), (10_000, (1, 1)));
    let rewritten = after.iter().filter(|(id, xmin)| before.get(*id) != Some(*xmin)).count();
    assert_eq!(rewritten, 1, "only the new member's row is written");

    let body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "everybody", "members": list(&users[..10_000]) });
    let path = format!("/Groups/{group}?excludedAttributes=members");
    let (statements, answer) = statements_of(app.put(&path, body)).await;
    assert!((1..=STATEMENTS_MAX).contains(&statements.len()), "{statements:#?}");
    assert!(answer.expect(200).body.get("members").is_none());
    assert_eq!(last_change(&app, &group).await, (1, 1));
    let put_back = rows(&app, &group).await;
    assert_eq!(put_back.iter().filter(|(id, xmin)| after.get(*id) != Some(*xmin)).count(), 1);
}

#[tokio::test]
async fn a_thousand_members_in_one_operation_and_in_a_thousand_are_the_same() {
    let app = app().await;
    let users = many_users(&app, 1_000).await;
    let (together, apart) = (app.group("together", &[]).await, app.group("apart", &[]).await);
    patch(&app, &together, json!([{ "op": "Add", "path": "members", "value": list(&users) }])).await;
    let one_each: Value = users.iter().map(|id| json!({ "op": "add", "path": "members", "value": [{ "value": id }] })).collect();
    patch(&app, &apart, one_each.clone()).await;
    assert_eq!(last_change(&app, &apart).await, (1_000, 0));
    let written = rows(&app, &apart).await;
    assert!(written.keys().eq(rows(&app, &together).await.keys()));

    patch(&app, &apart, one_each).await;
    assert_eq!(rows(&app, &apart).await, written, "who is a member already is not written again");

    let removed: Value = users[1..].iter().map(|id| json!({ "op": "remove", "path": format!("members[value eq \"{id}\"]") })).collect();
    patch(&app, &apart, removed).await;
    assert_eq!(app.members(&apart).await, users[..1]);
}

#[tokio::test]
async fn members_that_swap_one_by_one_are_still_a_few_statements() {
    let app = app().await;
    let users = many_users(&app, 1_000).await;
    let (going, coming) = users.split_at(500);
    let group = app.group("swapped", &[]).await;
    patch(&app, &group, json!([{ "op": "add", "path": "members", "value": list(going) }])).await;
    let swaps: Value = going
        .iter()
        .zip(coming)
        .flat_map(|(gone, new)| {
            let remove = json!({ "op": "remove", "path": format!("members[value eq \"{gone}\"]") });
            [remove, json!({ "op": "add", "path": "members", "value": [{ "value": new }] })]
        })
        .collect();
    patch(&app, &group, swaps).await;
    let mut expected = coming.to_vec();
    expected.sort();
    assert_eq!(app.members(&group).await, expected);
    assert_eq!(last_change(&app, &group).await, (500, 500));
}

#[tokio::test]
async fn of_contradicting_operations_on_a_member_the_last_one_wins() {
    let app = app().await;
    let (a, b) = (app.user("a").await, app.user("b").await);
    let group = app.group("contradicted", &[&a]).await;
    let op = |op: &str, id: &str| json!({ "op": op, "path": "members", "value": [{ "value": id }] });
    patch(&app, &group, json!([op("remove", &a), op("add", &b), op("add", &a), op("remove", &b)])).await;
    assert_eq!(app.members(&group).await, std::slice::from_ref(&a));
    patch(&app, &group, json!([op("add", &b), op("remove", &a), op("remove", &b), op("add", &b)])).await;
    assert_eq!(app.members(&group).await, [b]);
}
