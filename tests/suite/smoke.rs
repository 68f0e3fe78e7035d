//! The shortest whole life: a user and a group, created, read, changed, deleted.

use serde_json::json;

use crate::app::app;

#[tokio::test]
async fn a_user_and_a_group_live_and_go() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let group = app.group("Sales", &[&user]).await;
    let read = app.get(&format!("/Users/{user}")).await.expect(200);
    assert_eq!(read.body["groups"][0]["value"], *group);
    app.patch(&format!("/Users/{user}"), json!({ "Operations": [{ "op": "replace", "path": "active", "value": false }] }))
        .await
        .expect(200);
    assert_eq!(app.employee(&user).await["active"], false);
    assert_eq!(app.members(&group).await, [user.as_str()]);
    app.delete(&format!("/Users/{user}")).await.expect(204);
    app.get(&format!("/Users/{user}")).await.refused(404, "");
    assert!(app.members(&group).await.is_empty());
}
