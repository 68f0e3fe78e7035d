//! Lookups agree with uniqueness: a client that is told 409 looks up with `eq` and adopts what it finds, so whatever spelling
//! makes a create conflict must be found, and only that.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization as _;

use crate::app::{TestApp, app};
use crate::cases::{identifier, percent, runner};

/// A spelling that may or may not be the same name.
fn respelled(text: &str, how: usize) -> String {
    match how {
        0 => text.to_uppercase(),
        1 => text.to_lowercase(),
        2 => text.nfc().collect(),
        3 => text.nfd().collect(),
        4 => text.nfkc().collect(),
        5 => text.nfkd().collect(),
        6 => text.chars().map(|c| if c.is_ascii_graphic() { char::from_u32(c as u32 + 0xfee0).unwrap_or(c) } else { c }).collect(),
        7 => text.chars().flat_map(|c| [c, '\u{200b}']).collect(),
        8 => text.replace(['k', 'K'], "\u{212a}"),
        9 => text.replace('ß', "ss").replace("ss", "ẞ"),
        10 => text.replace("fi", "ﬁ").replace("ff", "ﬀ"),
        11 => format!("{text}\u{301}"),
        12 => format!(" {text}"),
        _ => text.to_owned(),
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        identifier(),
        select(
            &["kelvin office", "Straße", "Groß-ﬁnn", "José ffion", "ΌΣΟΣ", "İstanbul", "ǆ", "가나", "Å\u{212b}", "①②", "½", "ŉ", "ᾳ", "𝐀𝐁"]
                [..]
        )
        .prop_map(str::to_owned),
    ]
}

async fn check(app: &TestApp, resource: (&str, &str), first: &str, second: &str) -> Result<(), TestCaseError> {
    let (endpoint, attribute) = resource;
    let created = app.post(endpoint, json!({ attribute: first })).await;
    if created.status == 400 {
        return Ok(());
    }
    let id = created.expect(201).id();
    let filter = format!("{attribute} eq {}", Value::from(second));
    let found = app.get(&format!("{endpoint}?filter={}", percent(&filter))).await.expect(200).ids();
    let inside = format!("{attribute} eq {} and {attribute} pr", Value::from(second));
    let searched = app.get(&format!("{endpoint}?filter={}", percent(&inside))).await.expect(200).ids();
    prop_assert_eq!(&found, &searched, "the index and the document disagree on {:?} and {:?}", first, second);
    let again = app.post(endpoint, json!({ attribute: second })).await;
    match again.status.as_u16() {
        409 => prop_assert_eq!(&found, &vec![id.clone()], "{:?} conflicts with {:?} and is not found", second, first),
        201 => {
            prop_assert!(found.is_empty(), "{:?} is found by {:?} and does not conflict", first, second);
            app.delete(&format!("{endpoint}/{}", again.id())).await.expect(204);
        }
        status => prop_assert_eq!(status, 400, "{}", again.text),
    }
    app.delete(&format!("{endpoint}/{id}")).await.expect(204);
    Ok(())
}

#[test]
fn whatever_conflicts_is_found() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let app = runtime.block_on(app());
    for resource in [("/Users", "userName"), ("/Groups", "displayName")] {
        let cases = (name(), 0_usize..14, 0_usize..14);
        let outcome = runner(60).run(&cases, |(name, first, second)| {
            runtime.block_on(check(&app, resource, &respelled(&name, first), &respelled(&name, second)))
        });
        outcome.unwrap();
    }
}

/// The spellings that identity providers mix are one name.
#[tokio::test]
async fn known_spellings_of_one_name_conflict() {
    let app = app().await;
    for (index, (first, second)) in [
        ("Jon.Snow@Example.COM", "jon.snow@example.com"),
        ("Zo\u{eb}", "ZOE\u{308}"),
        ("ｊｏｎ", "jon"),
        ("\u{212a}elvin", "kelvin"),
        ("Straße", "STRASSE"),
        ("jo\u{200b}hn", "john"),
        ("ﬁnn", "FINN"),
    ]
    .into_iter()
    .enumerate()
    {
        let user = app.post("/Users", json!({ "userName": format!("{first}{index}") })).await.expect(201).id();
        app.post("/Users", json!({ "userName": format!("{second}{index}") })).await.refused(409, "uniqueness");
        let filter = format!("userName eq \"{second}{index}\"");
        assert_eq!(app.get(&format!("/Users?filter={}", percent(&filter))).await.ids(), [user]);
    }
}

/// Few results and many are found by different statements; nobody may tell where one ends and the other begins.
#[tokio::test]
async fn results_of_any_number_come_whole_and_in_order() {
    let app = app().await;
    for count in [0_usize, 1, 9, 10, 11, 25] {
        let mut users = Vec::new();
        for index in 0..count {
            let sent = json!({
                "userName": format!("u{count}-{index}"), "externalId": format!("ext{count}"), "nickName": format!("nick{count}"),
                "emails": [{ "type": "work", "value": format!("all{count}@example.com") }],
            });
            users.push(app.post("/Users", sent).await.expect(201).id());
        }
        // Written again, the first ones lie behind the others.
        for user in users.iter().take(count / 2) {
            app.patch(&format!("/Users/{user}"), json!({ "Operations": [{ "op": "add", "path": "title", "value": "Cook" }] }))
                .await
                .expect(200);
        }
        for filter in [
            format!("externalId eq \"ext{count}\""),
            format!("nickName eq \"NICK{count}\""),
            format!("emails[type eq \"work\"].value eq \"all{count}@example.com\""),
            format!("nickName eq \"nick{count}\" and userName sw \"u{count}\""),
        ] {
            let filter = percent(&filter);
            let found = app.get(&format!("/Users?filter={filter}")).await.expect(200);
            assert_eq!((found.ids(), &found.body["totalResults"]), (users.clone(), &json!(count)), "{filter}");
            for size in [1, 4, 10] {
                let mut walked = Vec::new();
                for start in (1..=count).step_by(size) {
                    let page = app.get(&format!("/Users?filter={filter}&startIndex={start}&count={size}")).await.expect(200);
                    assert_eq!(page.body["totalResults"], json!(count), "{filter} from {start}");
                    walked.extend(page.ids());
                }
                assert_eq!(walked, users, "{filter} in pages of {size}");
                assert_eq!(by_cursor(&app, &filter, size).await, users, "{filter} by cursor in pages of {size}");
            }
        }
    }
}

/// The same for groups, which have their members beside them.
#[tokio::test]
async fn groups_of_one_external_id_come_whole_and_in_order() {
    let app = app().await;
    let ann = app.user("ann").await;
    for count in [9_usize, 10, 11] {
        let mut groups = Vec::new();
        for index in 0..count {
            let sent =
                json!({ "displayName": format!("g{count}-{index}"), "externalId": format!("ext{count}"), "members": [{ "value": ann }] });
            groups.push(app.post("/Groups", sent).await.expect(201).id());
        }
        app.patch(
            &format!("/Groups/{}", groups[0]),
            json!({ "Operations": [{ "op": "replace", "path": "displayName", "value": format!("h{count}") }] }),
        )
        .await;
        let found = app.get(&format!("/Groups?filter={}", percent(&format!("externalId eq \"ext{count}\"")))).await.expect(200);
        assert_eq!((found.ids(), &found.body["totalResults"]), (groups, &json!(count)));
        for group in found.list("Resources") {
            assert_eq!(group["members"][0]["value"], json!(ann), "{group}");
        }
    }
}

/// All results of a filter, page by page.
async fn by_cursor(app: &TestApp, filter: &str, size: usize) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.get(&format!("/Users?filter={filter}&count={size}&cursor={cursor}")).await.expect(200);
        found.extend(page.ids());
        match page.body["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return found,
        }
    }
}
