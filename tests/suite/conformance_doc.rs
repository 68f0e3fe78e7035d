//! docs/conformance.md tells the truth: every line N1 to N97 is there once, what it says is met names a test, and every test it names
//! exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The requirements of RFC 7643, RFC 7644 and RFC 9865.
const LINES: u32 = 97;

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of all functions in the Rust files below a directory that stand directly behind a test attribute.
fn collect_tests(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_tests(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(tests_in(&read(&path)));
        }
    }
}

fn tests_in(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        // A property test stands in `proptest!` and has its arguments behind the name.
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|(before, _)| is_test && matches!(*before, "" | "async ")) {
            names.push(rest.split(['(', '<']).next().unwrap_or_default().to_owned());
            is_test = false;
        }
    }
    names
}

/// What stands between backticks and looks like a test's name.
fn named(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).filter(|text| text.contains('_') && text.bytes().all(is_name)).collect()
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

#[test]
fn every_requirement_is_listed_once_with_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    collect_tests(&root.join("src"), &mut tests);
    collect_tests(&root.join("tests"), &mut tests);
    let page = read(&root.join("docs/conformance.md"));
    let mut lines = Vec::new();
    for row in page.lines().filter(|line| line.starts_with("| N")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [line, section, requirement, shown_by, met] = cells[..] else { panic!("five cells are expected: {row}") };
        assert!(!section.is_empty() && !requirement.is_empty() && !met.is_empty(), "{row}");
        assert!(!named(shown_by).is_empty() || met.starts_with("not yet"), "{line} names no test");
        lines.push(line.trim_start_matches('N').parse::<u32>().unwrap());
    }
    assert_eq!(lines, (1..=LINES).collect::<Vec<_>>());
    // In a table as in prose: a name that no test has is a promise that nobody keeps.
    let missing: Vec<&str> = page.lines().flat_map(named).filter(|name| !tests.contains(*name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}
