//! Two readings of one grammar (RFC 7644 §3.4.2.2) must agree: what PostgreSQL answers for a filter, and what `Filter::matches`
//! says of the same resources in memory. And whatever a client writes is answered 200 or 400, never 500.

use frontdesk::scim::catalog::{GROUP, USER};
use frontdesk::scim::filter::Filter;
use frontdesk::scim::reader::Reader;
use frontdesk::scim::schema::{Attribute, Kind, ResourceType, Schema};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::app::{TestApp, app, strict_app};
use crate::at_scale::{Part, Property};
use crate::cases::{TEXTS, identifier, percent, text, user};

const USERS: usize = 60;
const GROUPS: usize = 20;

/// Users and groups in one tenant, as GET shows them.
struct Stock {
    app: TestApp,
    users: Vec<Value>,
    groups: Vec<Value>,
}

impl Stock {
    async fn new(app: TestApp, seeds: &mut TestRunner) -> Self {
        let mut ids = Vec::new();
        for number in 0..USERS {
            let body = user(number).new_tree(seeds).expect("users can be made").current();
            ids.push(app.post("/Users", body).await.expect(201).id());
        }
        for number in 0..GROUPS {
            let name = identifier().new_tree(seeds).expect("names can be made").current();
            let members = prop::collection::vec(any::<Index>(), 0..6).new_tree(seeds).expect("members can be chosen").current();
            let members: Vec<Value> = members.iter().map(|index| json!({ "value": index.get(&ids) })).collect();
            let body = json!({ "schemas": [GROUP.schema.id], "displayName": format!("{number}-{name}"), "members": members });
            ids.push(app.post("/Groups", body).await.expect(201).id());
        }
        // A circle, so that memberships are direct and indirect at once.
        let path = format!("/Groups/{}", ids[USERS]);
        app.patch(&path, json!({ "Operations": [{ "op": "add", "path": "members", "value": [{ "value": ids[ids.len() - 1] }] }] })).await;
        let users = app.get("/Users?count=1000").await.expect(200).list("Resources");
        let groups = app.get("/Groups?count=1000").await.expect(200).list("Resources");
        assert_eq!((users.len(), groups.len()), (USERS, GROUPS));
        Self { app, users, groups }
    }

    fn of(&self, resource_type: &'static ResourceType) -> &[Value] {
        if std::ptr::eq(resource_type, &raw const USER) { &self.users } else { &self.groups }
    }

    /// Holds the server's answer against the evaluation in memory; says what differs.
    async fn check(&self, resource_type: &'static ResourceType, filter: &str) -> Result<(), String> {
        let path = format!("{}?count=1000&attributes=id&filter={}", resource_type.endpoint, percent(filter));
        let answer = self.app.get(&path).await;
        let parsed = match Filter::parse(resource_type, filter, &mut Reader::default()) {
            Ok(parsed) => parsed,
            Err(_) if answer.status == 400 && answer.body["scimType"] == "invalidFilter" => return Ok(()),
            Err(error) => return Err(format!("{filter}\nis refused ({error}) but answered {}", answer.text)),
        };
        if answer.status != 200 {
            return Err(format!("{filter}\nis answered {} {}", answer.status, answer.text));
        }
        let matching = self.of(resource_type).iter().filter(|resource| parsed.matches(resource.as_object().expect("an object")));
        let expected: Vec<&str> = matching.map(|resource| resource["id"].as_str().expect("every resource has an id")).collect();
        let found = answer.ids();
        if found == expected && answer.body["totalResults"] == expected.len() {
            return Ok(());
        }
        let odd = |resource: &&Value| {
            let id = resource["id"].as_str().unwrap_or_default();
            found.iter().any(|found| found == id) != expected.contains(&id)
        };
        let odd: Vec<&Value> = self.of(resource_type).iter().filter(odd).take(2).collect();
        Err(format!(
            "{filter}\n{}\nPostgreSQL finds {}, memory {}; they differ in {odd:#?}",
            parsed.to_jsonpath(),
            found.len(),
            expected.len()
        ))
    }

    /// Literals that occur: ids and instants of the stock.
    fn literals(&self) -> Vec<String> {
        let resources = self.users.iter().chain(&self.groups);
        let mut literals: Vec<String> = resources
            .flat_map(|resource| [&resource["id"], &resource["meta"]["created"], &resource["meta"]["lastModified"]])
            .map(|value| value.as_str().expect("these are strings").to_owned())
            .collect();
        literals.extend(
            ["2024-01-01T00:00:00Z", "2099-12-31T23:59:59.123456789+14:00", "User", "user", "Group", "direct", "INDIRECT"]
                .map(str::to_owned),
        );
        literals.extend([USER.schema.id, GROUP.schema.id].map(str::to_owned));
        literals
    }
}

/// Every name that a filter may use, with its kind: attributes, sub-attributes, and the same behind their URN.
fn filterable_names(resource_type: &'static ResourceType) -> Vec<(String, Kind)> {
    let mut all = Vec::new();
    let mut add = |prefix: &str, attributes: &'static [Attribute]| {
        for attribute in attributes {
            all.push((format!("{prefix}{}", attribute.name), attribute.sub("value").map_or(attribute.kind, |value| value.kind)));
            all.extend(attribute.sub_attributes.iter().map(|sub| (format!("{prefix}{}.{}", attribute.name, sub.name), sub.kind)));
        }
    };
    let urn = |schema: &Schema| format!("{}:", schema.id);
    add("", resource_type.common);
    add("", resource_type.schema.attributes);
    add(&urn(resource_type.schema), resource_type.schema.attributes);
    for extension in resource_type.extensions {
        add("", extension.attributes);
        add(&urn(extension), extension.attributes);
    }
    all
}

/// Every complex attribute with its sub-attributes.
fn value_paths(resource_type: &'static ResourceType) -> Vec<(&'static str, Vec<(String, Kind)>)> {
    let extensions = resource_type.extensions.iter().flat_map(|schema| schema.attributes);
    let attributes = resource_type.common.iter().chain(resource_type.schema.attributes).chain(extensions);
    let complex = attributes.filter(|attribute| attribute.kind == Kind::Complex);
    complex
        .map(|attribute| (attribute.name, attribute.sub_attributes.iter().map(|sub| (sub.name.to_owned(), sub.kind)).collect()))
        .collect()
}

/// A name in another letter case now and then.
fn spelled(name: String) -> impl Strategy<Value = String> {
    (0..6).prop_map(move |how| match how {
        0 => name.to_ascii_uppercase(),
        1 => name.to_ascii_lowercase(),
        _ => name.clone(),
    })
}

fn literal(kind: Kind, known: Vec<String>) -> BoxedStrategy<String> {
    let quoted = |text: String| Value::from(text).to_string();
    let piece = (text(), any::<Index>(), any::<Index>()).prop_map(|(text, a, b)| {
        let characters: Vec<char> = text.chars().collect();
        let (a, b) = (a.index(characters.len() + 1), b.index(characters.len() + 1));
        characters[a.min(b)..a.max(b)].iter().collect::<String>()
    });
    let texts = prop_oneof![4 => text(), 3 => piece, 3 => select(known.clone())].prop_map(quoted).boxed();
    let other = select(&["true", "false", "null", "\"True\"", "1", "-2.5e3", "\"\"", "unquoted"][..]).prop_map(str::to_owned);
    let fitting = match kind {
        Kind::Boolean => select(&["true", "false", "\"True\""][..]).prop_map(str::to_owned).boxed(),
        Kind::DateTime => {
            select(known.into_iter().filter(|text| text.contains('T') && text.contains(':')).collect::<Vec<_>>()).prop_map(quoted).boxed()
        }
        _ => texts,
    };
    prop_oneof![12 => fitting, 1 => other].boxed()
}

fn term(names: Vec<(String, Kind)>, known: Vec<String>) -> BoxedStrategy<String> {
    let operator = select(&["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "pr", "Eq", "PR", "cO"][..]);
    let term = (select(names), operator).prop_flat_map(move |((name, kind), operator)| {
        let applies = !matches!(kind, Kind::Boolean | Kind::DateTime | Kind::Binary) || matches!(operator, "eq" | "ne" | "pr");
        let operator = if applies || (kind == Kind::DateTime && operator.starts_with(['g', 'l'])) { operator } else { "ne" };
        (spelled(name), literal(kind, known.clone())).prop_map(move |(name, literal)| {
            if operator.eq_ignore_ascii_case("pr") { format!("{name} {operator}") } else { format!("{name} {operator} {literal}") }
        })
    });
    term.boxed()
}

fn combined(term: BoxedStrategy<String>, depth: u32) -> BoxedStrategy<String> {
    term.prop_recursive(depth, 12, 3, |inner| {
        let many = |word: &'static str| prop::collection::vec(inner.clone(), 2..4).prop_map(move |parts| parts.join(&format!(" {word} ")));
        prop_oneof![many("and"), many("or"), inner.clone().prop_map(|one| format!("not ({one})")), inner.prop_map(|one| format!("({one})"))]
    })
    .boxed()
}

fn filter(resource_type: &'static ResourceType, known: Vec<String>) -> BoxedStrategy<String> {
    let terms = term(filterable_names(resource_type), known.clone());
    let paths = value_paths(resource_type)
        .into_iter()
        .map(|(name, subs)| combined(term(subs, known.clone()), 2).prop_map(move |inner| format!("{name}[{inner}]")).boxed());
    let paths = proptest::strategy::Union::new(paths);
    combined(prop_oneof![2 => terms, 1 => paths].boxed(), 3)
}

/// Half of the filters ask for users, half for groups, of a stock that was drawn with them.
fn agree(part: &Part) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let stock = runtime.block_on(async { Stock::new(app().await, &mut part.runner(1, 0)).await });
    for (stream, resource_type) in [(1, &USER), (2, &GROUP)] {
        let outcome = part.runner(part.cases / 2, stream).run(&filter(resource_type, stock.literals()), |filter| {
            runtime.block_on(stock.check(resource_type, &filter)).map_err(TestCaseError::fail)
        });
        if let Err(found) = outcome {
            panic!("{found}");
        }
    }
    runtime.block_on(async {
        check_fixed(&stock).await;
        stock.app.directory.close().await;
    });
}

/// Shapes that must be there in every run, whatever was drawn.
async fn check_fixed(stock: &Stock) {
    let (user, group) = (&stock.users[0]["id"], &stock.groups[0]["id"]);
    let created = &stock.users[30]["meta"]["created"];
    let mut users = vec![
        format!("id eq {user}"),
        format!("not (id eq {user})"),
        format!("id eq {user} or id eq \"x\""),
        format!("id co {}", Value::from(&user.as_str().unwrap()[..13])),
        format!("groups eq {group}"),
        format!("groups.value ne {group}"),
        format!("groups[value eq {group} and type eq \"indirect\"]"),
        format!("not (groups[value eq {group}])"),
        "groups[type eq \"Direct\"] and not (groups[type eq \"indirect\"])".into(),
        "groups pr".into(),
        "not (groups pr)".into(),
        "emails co \"example\"".into(),
        "emails eq null".into(),
        "emails ne null".into(),
        "title eq null or not (name pr)".into(),
        "active eq true".into(),
        "active ne true".into(),
        "active eq null".into(),
        "meta.resourceType eq \"User\"".into(),
        "meta.resourceType eq \"user\"".into(),
        "meta[created gt \"2020-01-01T00:00:00Z\" and resourceType sw \"U\"]".into(),
        "schemas eq \"urn:ietf:params:scim:schemas:core:2.0:User\"".into(),
        "schemas co \"enterprise\"".into(),
        "schemas ew \":user\"".into(),
        "emails[type eq \"work\"].value co \"a\"".into(),
        "userName sw \"\" and title ew \"\"".into(),
    ];
    users.extend(["eq", "ne", "gt", "ge", "lt", "le"].map(|operator| format!("meta.created {operator} {created}")));
    users.extend(
        ["co", "sw", "ew", "eq", "ne"]
            .iter()
            .flat_map(|operator| TEXTS.iter().map(move |text| format!("nickName {operator} {}", Value::from(*text)))),
    );
    for filter in &users {
        stock.check(&USER, filter).await.unwrap();
    }
    let groups = [
        format!("members eq {user}"),
        format!("members.value eq {user} and members.type eq \"user\""),
        format!("members[value eq {user}]"),
        format!("members[value eq {user} or value eq {group}]"),
        format!("not (members[value eq {user}]) and displayName pr"),
        format!("members ne {user}"),
        "members[type eq \"Group\"]".into(),
        "members eq null".into(),
        "members.display co \"a\"".into(),
        "meta.lastModified ge \"2020-01-01T00:00:00+02:00\" and meta.resourceType ne \"User\"".into(),
    ];
    for filter in &groups {
        stock.check(&GROUP, filter).await.unwrap();
    }
}

#[test]
fn postgresql_and_memory_find_the_same_resources() {
    Property { name: "FILTERS", usual: 500, part: 10_000 }.run(agree);
}

/// N49, N50: what the grammar or an attribute's type does not allow.
#[tokio::test]
async fn a_filter_that_means_nothing_is_refused_with_its_position() {
    let app = app().await;
    for filter in [
        "",
        " ",
        "userName",
        "userName eq",
        "userName like \"a\"",
        "shoeSize eq 1",
        "name.shoeSize pr",
        "active gt true",
        "active co \"t\"",
        "x509Certificates.value ge \"AA\"",
        "meta.created co \"2024\"",
        "meta.created eq \"yesterday\"",
        "userName gt null",
        "userName eq 5",
        "active eq \"yes\"",
        "password eq \"x\"",
        "password pr",
        "name eq \"x\"",
        "addresses co \"x\"",
        "meta.location pr",
        "groups.$ref pr",
        "userName eq \"a\" and",
        "and userName pr",
        "userName pr userName pr",
        "(userName pr",
        "userName pr)",
        "emails[type pr",
        "emails]",
        "emails[]",
        "userName[type pr]",
        "emails[emails[type pr]]",
        "not userName pr",
        "userName eq \"a",
        "userName eq \"\\x\"",
        "userName eq \"\\ud800\"",
        "userName eq \"\\u0000\"",
        "userName eq [1]",
        "urn:ietf:params:scim:schemas:core:2.0:User pr",
        "emails.type.value pr",
        "members pr",
        "userName eq 'a'b\"",
        "\u{0}",
        "😀 pr",
    ] {
        let answer = app.get(&format!("/Users?filter={}", percent(filter))).await.refused(400, "invalidFilter");
        assert!(!answer.detail().is_empty(), "{filter}");
    }
}

#[tokio::test]
async fn a_strict_connection_takes_the_grammar_alone() {
    let app = strict_app().await;
    for filter in ["userName eq jon", "active eq \"True\"", "emails[type eq \"work\"].value eq \"a\""] {
        app.get(&format!("/Users?filter={}", percent(filter))).await.refused(400, "invalidFilter");
    }
    app.get(&format!("/Users?filter={}", percent("active eq true and emails[type eq \"work\"] or not (title pr)"))).await.expect(200);
}

/// The limits themselves are answered, one more is refused.
#[tokio::test]
async fn the_limits_of_a_filter_are_exact() {
    let app = app().await;
    app.user("jsnow").await;
    let nested = |depth: usize| format!("{}userName pr{}", "(".repeat(depth), ")".repeat(depth));
    let negated = |depth: usize| format!("{}userName pr{}", "not (".repeat(depth), ")".repeat(depth));
    let terms = |count: usize| vec!["userName co \"jsnow\""; count].join(" or ");
    let distinct = |count: usize| (0..count).map(|n| format!("title co \"{n}\"")).collect::<Vec<_>>().join(" or ");
    let long = |length: usize| {
        let (head, tail) = ("displayName eq \"", "\" or userName pr");
        format!("{head}{}{tail}", "x".repeat(length - head.len() - tail.len()))
    };
    let wide = |length: usize| {
        let (head, tail) = ("displayName eq \"", "\" or userName pr");
        format!("{head}{}{tail}", "ﷺ".repeat(length - head.len() - tail.len()))
    };
    for (filter, found) in
        [(nested(32), 1), (negated(32), 1), (negated(31), 0), (terms(256), 1), (distinct(256), 0), (long(16_384), 1), (wide(6_000), 1)]
    {
        let answer = app.post("/Users/.search", json!({ "filter": filter })).await.expect(200);
        assert_eq!(answer.body["totalResults"], found, "{}", &filter[..40]);
    }
    for filter in [nested(33), negated(33), terms(257), long(16_385), wide(16_385)] {
        app.post("/Users/.search", json!({ "filter": filter })).await.refused(400, "invalidFilter");
    }
}

/// A text to search for is bounded in bytes; up to the bound PostgreSQL takes it with every operator, one more is 400.
#[tokio::test]
async fn long_texts_are_searched_or_refused_but_never_fail() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let texts = [
        "x".repeat(2_000),
        "xy".repeat(1_000),
        "x".repeat(2_048),
        "*".repeat(2_048),
        "\\".repeat(2_048),
        "(".repeat(2_000),
        "\n".repeat(1_000),
        "é".repeat(1_000),
        "😀".repeat(512),
        ('\u{4e00}'..).take(680).collect(),
        ('\u{1f300}'..).take(500).collect(),
    ];
    for text in texts {
        let replace =
            json!({ "Operations": [{ "op": "replace", "path": "title", "value": text.chars().take(1_000).collect::<String>() }] });
        app.patch(&format!("/Users/{user}"), replace).await.expect(200);
        for operator in ["co", "sw", "ew", "eq", "gt"] {
            let filter = format!("title {operator} {} or userName {operator} {}", Value::from(text.as_str()), Value::from(text.as_str()));
            let answer = app.post("/Users/.search", json!({ "filter": filter })).await;
            assert_eq!(answer.status, 200, "{operator} {} {}", text.chars().take(4).collect::<String>(), answer.text);
        }
        let own = json!({ "filter": format!("title co {} and title ew {}", Value::from(text.chars().take(1_000).collect::<String>()), Value::from(text.chars().take(1_000).collect::<String>())) });
        assert_eq!(app.post("/Users/.search", own).await.expect(200).ids(), [user.as_str()]);
    }
    for text in ["x".repeat(2_049), "😀".repeat(513), "ﷺ".repeat(200)] {
        for operator in ["co", "sw", "ew"] {
            let filter = json!({ "filter": format!("title {operator} {}", Value::from(text.as_str())) });
            app.post("/Users/.search", filter).await.refused(400, "invalidFilter");
        }
    }
}

/// No input makes the parser recurse: neither while it parses nor when what it made is dropped.
#[test]
fn no_filter_overflows_a_small_stack() {
    let small = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let parsing = small.spawn(|| {
        let limitless = || {
            let mut reader = Reader::default();
            reader.limits.filter_chars = usize::MAX;
            reader
        };
        let bombs = [
            "(".repeat(1_000_000),
            "not (".repeat(1_000_000),
            "emails[".repeat(1_000_000),
            ")".repeat(1_000_000),
            "not ".repeat(1_000_000),
            format!("{}userName pr{}", "(".repeat(1_000_000), ")".repeat(1_000_000)),
            vec!["userName pr"; 10_000].join(" or "),
            vec!["userName pr"; 10_000].join(" and "),
            vec!["(userName pr)"; 10_000].join(" or "),
            vec!["emails[type pr].value pr"; 10_000].join(" or "),
            format!("userName eq \"{}\"", "\\".repeat(1_000_001)),
        ];
        for bomb in &bombs {
            for mut reader in [limitless(), Reader::default()] {
                // Milliseconds each. More than one look at each character would take hours, so no clock is needed.
                Filter::parse(&USER, bomb, &mut reader).expect_err("a bomb is refused");
            }
        }
        let deep = format!("{}emails[{}type pr{}]{}", "not (".repeat(16), "not (".repeat(15), ")".repeat(15), ")".repeat(16));
        drop(Filter::parse(&USER, &deep, &mut Reader::default()).expect("32 levels are allowed"));
    });
    parsing.expect("a thread can be started").join().expect("no stack overflowed");
}
