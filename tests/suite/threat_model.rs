//! `docs/threat-model.md` names the test of each claim; here the names are held to what is there, so that a test that is renamed
//! or removed takes its claim with it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn document() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/threat-model.md")).expect("the threat model can be read")
}

/// What a status may be, as the document explains them.
const STATUSES: &[&str] = &["tested", "by design", "does not apply", "long run", "fuzz", "not met"];

/// The names in back-quotes that name a test: `file::test`, with folders by slashes.
fn tests_named(text: &str) -> BTreeSet<(&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once("::")).collect()
}

/// Where a test's file is: in the suite, else in the sources.
fn source(file: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = if file.starts_with("src/") { root.join(file) } else { root.join("tests/suite").join(file) };
    fs::read_to_string(path.with_extension("rs")).ok()
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let document = document();
    let named = tests_named(&document);
    assert!(named.len() > 80, "only {} tests are named", named.len());
    let missing: Vec<_> = named
        .into_iter()
        .filter(|(file, test)| {
            let is_there = |source: String| source.contains(&format!("fn {test}("));
            !source(file).is_some_and(is_there)
        })
        .collect();
    assert!(missing.is_empty(), "named and not there: {missing:#?}");
}

#[test]
fn every_case_has_a_status_and_what_is_tested_names_its_tests() {
    let (mut ids, document) = (BTreeSet::new(), document());
    for row in document.lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, id, _, status, how, _] = cells[..] else { continue };
        if !id.contains('-') || !id.starts_with(|c: char| c.is_ascii_uppercase()) {
            continue;
        }
        assert!(ids.insert(id), "{id} stands twice");
        assert!(STATUSES.contains(&status), "{id}: {status}");
        assert!(!how.is_empty(), "{id} does not say how");
        assert!(status != "tested" || !tests_named(how).is_empty(), "{id} names no test");
        assert!(status != "long run" || how.contains('`'), "{id} does not name its command");
    }
    assert!(ids.len() >= 99, "{} cases", ids.len());
}
