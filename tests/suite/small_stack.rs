//! Nothing that reads what others wrote recurses on it: a stack overflow ends the process and cannot be caught. Each reader is
//! given its worst on a thread with the 2 MiB that a worker of the server has, and what it made is dropped there, too. Filters
//! have a test of their own in `filter_agreement.rs`; what is bounded in depth by its door is held to the bound.

use frontdesk::scim::catalog::{GROUP, USER};
use frontdesk::scim::document::Document;
use frontdesk::scim::json::{JSON_MAX_DEPTH, parse, parse_object};
use frontdesk::scim::patch::Patch;
use frontdesk::scim::path::Path;
use frontdesk::scim::query::Query;
use frontdesk::scim::reader::Reader;
use frontdesk::workplace::Mapping;
use serde_json::json;

/// A million levels, far more than 2 MiB of stack have frames.
const LEVELS: usize = 1_000_000;

fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(work);
    thread.expect("a thread can be started").join().expect("no stack overflowed");
}

/// A reader that takes paths of any length, so that no bound on characters hides the parser.
fn limitless() -> Reader {
    let mut reader = Reader::default();
    reader.limits.filter_chars = usize::MAX;
    reader
}

#[test]
fn no_path_overflows_a_small_stack() {
    on_a_small_stack(|| {
        for bomb in [
            "[".repeat(LEVELS),
            "emails[".repeat(LEVELS),
            format!("emails[{}", "(".repeat(LEVELS)),
            format!("emails[{}type pr{}]", "(".repeat(LEVELS), ")".repeat(LEVELS)),
            format!("emails[{}", "not (".repeat(LEVELS)),
            format!("emails[{}", "emails[".repeat(LEVELS)),
            format!("emails[type{}eq \"a\"", " ".repeat(LEVELS)),
            "]".repeat(LEVELS),
            "a.".repeat(LEVELS),
            "urn:".repeat(LEVELS),
            ":".repeat(LEVELS),
            "\"".repeat(LEVELS + 1),
        ] {
            for mut reader in [limitless(), Reader::default()] {
                for resource_type in [&USER, &GROUP] {
                    if let Ok(path) = Path::parse(resource_type, &bomb, &mut reader) {
                        assert_eq!(path, Path::Unknown, "{bomb:.20}");
                    }
                }
            }
        }
    });
}

#[test]
fn no_body_overflows_a_small_stack() {
    on_a_small_stack(|| {
        let nested = |open: &str, close: &str, levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]"), ("{\"Operations\":[", "]}")] {
            for bomb in [open.repeat(LEVELS), nested(open, close, LEVELS)] {
                parse(bomb.as_bytes()).expect_err("it is nested too deep");
            }
        }
        parse(nested("[", "]", JSON_MAX_DEPTH + 1).as_bytes()).expect_err("one level too deep");
        drop(parse(nested("[", "]", JSON_MAX_DEPTH).as_bytes()).expect("the deepest that is allowed"));
        // What is as deep as allowed goes through every door behind the parser.
        let deepest = nested("{\"a\":", "}", JSON_MAX_DEPTH - 2);
        for resource_type in [&USER, &GROUP] {
            for attribute in ["name", "emails", "members", "shoeSize", "meta"] {
                let text = format!("{{\"userName\":\"a\",\"displayName\":\"a\",\"{attribute}\":{deepest}}}");
                let body = parse_object(text.as_bytes()).expect("it is not too deep");
                drop(Document::read(resource_type, body, &mut Reader::default()));
                let operation = json!({ "op": "add", "path": attribute, "value": parse(deepest.as_bytes()).expect("it is not too deep") });
                let body = json!({ "Operations": [operation] });
                let body = parse_object(body.to_string().as_bytes()).unwrap_or_default();
                drop(Patch::read(resource_type, body, &mut Reader::default()));
            }
        }
    });
}

#[test]
fn no_query_string_overflows_a_small_stack() {
    on_a_small_stack(|| {
        for bomb in [
            "&".repeat(LEVELS),
            "filter=(&".repeat(LEVELS),
            "%28".repeat(LEVELS),
            format!("filter={}", "%28".repeat(LEVELS)),
            format!("attributes={}", "a.".repeat(LEVELS)),
            format!("attributes={}", "emails[,".repeat(LEVELS)),
            format!("sortBy={}", "a.".repeat(LEVELS)),
            "%".repeat(LEVELS),
            "=".repeat(LEVELS),
        ] {
            drop(Query::parse(&bomb));
        }
    });
}

/// The mapping comes from an administrator of a tenant: it is no more trusted than a request.
#[test]
fn no_mapping_overflows_a_small_stack() {
    on_a_small_stack(|| {
        let tables: String = (0..20_000).map(|n| format!("[fields.{}x{n}]\n", "a.".repeat(20))).collect();
        for bomb in [
            format!("a = {}", "[".repeat(LEVELS)),
            format!("a = {}{}", "[".repeat(LEVELS), "]".repeat(LEVELS)),
            format!("a = {}", "{ a = ".repeat(LEVELS)),
            format!("a = {}1{}", "{ a = ".repeat(100_000), " }".repeat(100_000)),
            format!("[{}a]", "a.".repeat(LEVELS)),
            format!("{}a = 1", "a.".repeat(LEVELS)),
            format!("a = \"{}", "\\".repeat(LEVELS)),
            format!("[fields]\ntitle = '{}'", "emails[".repeat(LEVELS)),
            format!("[fields]\ntitle = '{}'", "a.".repeat(LEVELS)),
            format!("[fields]\ntitle = {{ from = {}'title'{} }}", "[".repeat(70), "]".repeat(70)),
            tables,
        ] {
            Mapping::parse("bomb", &bomb).expect_err("a bomb is no mapping");
        }
    });
}
