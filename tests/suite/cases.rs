//! What the property tests share: how many cases they run, and text that is hard to compare, to escape and to fold.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

/// A runner with so many cases; `FRONTDESK_TEST_CASES` multiplies them for a long run.
pub fn runner(cases: u32) -> TestRunner {
    let times: u32 = std::env::var("FRONTDESK_TEST_CASES").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    // What failed once stands as a test of its own beside the property, so no file of seeds is written.
    TestRunner::new(Config { cases: cases.saturating_mul(times), failure_persistence: None, max_shrink_iters: 4_000, ..Config::default() })
}

/// Text that means something to a regular expression, a jsonpath, SQL or JSON, or that has several spellings.
pub const TEXTS: &[&str] = &[
    "a",
    "A",
    "b",
    "jon",
    "Jon Snow",
    "SNOW",
    "snow ",
    " jon",
    "Straße",
    "STRASSE",
    "Zo\u{eb}",
    "ZOE\u{308}",
    "e\u{301}",
    "\u{301}",
    "\u{212a}elvin",
    "kelvin",
    "ﬁnn",
    "Finn",
    "ｊｏｎ",
    "jo\u{200b}n",
    "İ",
    "ı",
    "100%",
    "a_b",
    "a.b*c",
    "(x)[y]{2}",
    "[[:alpha:]]",
    "^a$",
    "a|b",
    "x+",
    "\\",
    "a\\b",
    "\\d",
    "it's",
    "quote\"d",
    "$.\"a\"",
    "@.b",
    "😀",
    "👩‍👩‍👧",
    "***=a",
    "(?i)a",
    "(?#x)",
    "work",
    "Work",
    "home",
    "other",
    "true",
    "null",
    "'; drop table users; --",
    "$1",
    "%s",
    "{}",
    "&&",
    "||",
    "!(",
    "ΌΣΟΣ",
    "όσος",
    "ǅ",
    "ﷺ",
    "가",
    "가",
    "line\nbreak",
    "tab\tstop",
    "cr\rlf\n",
    "\n",
    "0",
    "-1",
    "urn:x:y",
    "mailto:a@example.com",
    "a@example.com",
    "A@EXAMPLE.COM",
];

/// One of [`TEXTS`], or two in a row.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => select(TEXTS).prop_map(str::to_owned), 1 => (select(TEXTS), select(TEXTS)).prop_map(|(a, b)| format!("{a}{b}"))]
}

/// The same without what no identifier may hold.
pub fn identifier() -> impl Strategy<Value = String> {
    text().prop_map(|text| text.replace(['\n', '\t', '\r'], "-"))
}

/// Text as it stands in a URL's query.
pub fn percent(text: &str) -> String {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// An object with a value for each name that has one.
pub fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Option<serde_json::Value>)>) -> serde_json::Value {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<serde_json::Map<_, _>>().into()
}

prop_compose! {
    /// One value of a multi-valued complex attribute.
    fn labelled()(value in text(), display in prop::option::of(text()), label in prop::option::of(select(&["work", "Work", "home", "ﬁnn"][..])))
        -> serde_json::Value {
        object([("value", Some(value.into())), ("display", display.map(Into::into)), ("type", label.map(Into::into))])
    }
}

/// A list of values, at most one of them primary.
fn values(value: impl Strategy<Value = serde_json::Value>) -> impl Strategy<Value = Option<serde_json::Value>> {
    (prop::collection::vec((value, prop::option::of(Just(false))), 0..3), any::<Option<u8>>()).prop_map(|(mut values, primary)| {
        for (_, (value, no)) in values.iter_mut().enumerate().filter(|(_, (_, no))| no.is_some()) {
            value["primary"] = no.unwrap_or_default().into();
        }
        if let Some(primary) = primary.filter(|_| !values.is_empty()) {
            let index = usize::from(primary) % values.len();
            values[index].0["primary"] = true.into();
        }
        let values: Vec<_> = values.into_iter().map(|(value, _)| value).collect();
        (!values.is_empty()).then(|| values.into())
    })
}

prop_compose! {
    fn address()(formatted in text(), locality in prop::option::of(text()), country in prop::option::of(text()),
        label in prop::option::of(select(&["work", "home"][..]))) -> serde_json::Value {
        object([("formatted", Some(formatted.into())), ("locality", locality.map(Into::into)), ("country", country.map(Into::into)),
            ("type", label.map(Into::into))])
    }
}

prop_compose! {
    fn enterprise()(number in prop::option::of(text()), center in prop::option::of(text()), department in prop::option::of(text()),
        manager in prop::option::of(text())) -> Option<serde_json::Value> {
        let manager = manager.map(|value| serde_json::json!({ "value": value }));
        let object = object([("employeeNumber", number.map(Into::into)), ("costCenter", center.map(Into::into)),
            ("department", department.map(Into::into)), ("manager", manager)]);
        object.as_object().is_some_and(|object| !object.is_empty()).then_some(object)
    }
}

prop_compose! {
    fn certificate()(value in select(&["AAAA", "aaaa", "QUJD", "QUI="][..]), display in prop::option::of(text())) -> serde_json::Value {
        object([("value", Some(value.into())), ("display", display.map(Into::into))])
    }
}

prop_compose! {
    fn names()(given in prop::option::of(text()), family in prop::option::of(text()), formatted in prop::option::of(text()))
        -> Option<serde_json::Value> {
        let name = object([("givenName", given.map(Into::into)), ("familyName", family.map(Into::into)), ("formatted", formatted.map(Into::into))]);
        name.as_object().is_some_and(|name| !name.is_empty()).then_some(name)
    }
}

/// A user with some of everything; `userName` begins with the text and ends with the number, behind a mark that keeps `a1` and 5 from
/// `a` and 15.
pub fn user(number: usize) -> impl Strategy<Value = serde_json::Value> {
    let singular =
        (identifier(), prop::option::of(identifier()), prop::option::of(identifier()), prop::option::of(text()), any::<Option<bool>>());
    let more = (names(), prop::option::of(text()), prop::option::of(text()), prop::option::of(text()), enterprise());
    let lists = (values(labelled()), values(labelled()), values(labelled()), values(address()), values(certificate()));
    (singular, more, lists).prop_map(
        move |(
            (name, external, display, title, active),
            (names, nick, url, kind, enterprise),
            (emails, phones, roles, addresses, certificates),
        )| {
            object([
                ("schemas", Some(serde_json::json!(["urn:ietf:params:scim:schemas:core:2.0:User"]))),
                ("userName", Some(format!("{name}~{number}").into())),
                ("externalId", external.map(Into::into)),
                ("displayName", display.map(Into::into)),
                ("title", title.map(Into::into)),
                ("active", active.map(Into::into)),
                ("name", names),
                ("nickName", nick.map(Into::into)),
                ("profileUrl", url.map(Into::into)),
                ("userType", kind.map(Into::into)),
                ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", enterprise),
                ("emails", emails),
                ("phoneNumbers", phones),
                ("roles", roles),
                ("addresses", addresses),
                ("x509Certificates", certificates),
            ])
        },
    )
}
