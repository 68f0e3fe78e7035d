//! The house rules that a reader could break without noticing: imports go down only, each floor knows its own crates, and no
//! statement of the directory forgets the tenant. Read from the sources themselves.

use std::fs;
use std::path::{Path, PathBuf};

/// The floors, what each may import of ours (itself always), and which of the crates that belong to one floor it may name.
const FLOORS: &[Floor] = &[
    Floor { name: "scim", imports: &[], crates: &[] },
    Floor { name: "workplace", imports: &["scim"], crates: &[] },
    Floor { name: "directory", imports: &["scim", "workplace", "log"], crates: &["sqlx", "tokio"] },
    // The settings of its bounds are handed down to it.
    Floor {
        name: "http",
        imports: &["directory", "scim", "config", "log"],
        crates: &["axum", "tokio", "tokio_rustls", "hyper", "hyper_util", "tower"],
    },
    // The identity providers: they know no more of us than a real one does.
    Floor { name: "simulate", imports: &[], crates: &["tokio", "hyper", "hyper_util"] },
];

/// Crates that are one floor's business.
const CRATES_OF_A_FLOOR: &[&str] = &["axum", "sqlx", "tokio", "tokio_rustls", "hyper", "hyper_util", "tower"];

/// The tables that hold a tenant's data.
const TABLES: &[&str] = &["users", "groups", "members", "subgroups", "events", "employees", "connections", "mappings"];

/// Statements that speak of no tenant, or of all of them, and why that is right.
const ACROSS_TENANTS: &[(&str, &str)] = &[
    ("health.rs", "the operator's view of the whole server: `doctor` counts and lists over all tenants"),
    ("tenants.rs", "the tenants themselves, which the operator makes and lists"),
    ("tokens.rs", "a token is what the tenant follows from, and the operator revokes it by its own id"),
    ("callers.rs", "the question that finds the tenant of a token"),
];

struct Floor {
    name: &'static str,
    imports: &'static [&'static str],
    crates: &'static [&'static str],
}

/// The sources of a folder or file under src/, by path.
fn sources(part: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut open = vec![root.join(part), root.join(format!("{part}.rs"))];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") && path.exists() {
            found.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(!found.is_empty(), "src/{part} has no sources");
    found.sort();
    found
}

/// The first names behind `crate::`: one, or those of a `{..}` group, which may go over several lines.
fn names_behind_crate(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = code.strip_prefix('{') else { return vec![word(code)] };
    let mut names = vec![word(group.trim_start())];
    let mut depth = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(word(group[at + 1..].trim_start())),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// What a floor names and may not, with the place of each.
fn trespasses(floor: &Floor, path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut start = 0;
    for (index, line) in text.lines().enumerate() {
        let place = format!("{path}:{}: {}", index + 1, line.trim());
        if !line.trim_start().starts_with("//") {
            for (at, _) in line.match_indices("crate::") {
                let names = names_behind_crate(&text[start + at + "crate::".len()..]);
                let allowed = |name: &String| name == floor.name || floor.imports.contains(&name.as_str());
                found.extend(names.iter().filter(|name| !allowed(name)).map(|name| format!("{place}  <- {name}")));
            }
            let named = |name: &str| {
                line.match_indices(&format!("{name}::"))
                    .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':')))
            };
            let foreign = CRATES_OF_A_FLOOR.iter().filter(|name| !floor.crates.contains(name));
            found.extend(foreign.filter(|name| named(name)).map(|name| format!("{place}  <- {name}")));
        }
        start += line.len() + 1;
    }
    found
}

#[test]
fn imports_go_down_only() {
    let mut found = Vec::new();
    for floor in FLOORS {
        for (path, text) in sources(floor.name) {
            assert!(!text.contains("super::super::"), "{}: a path that leaves its floor backwards is not read here", path.display());
            found.extend(trespasses(floor, &path.display().to_string(), &text));
        }
    }
    assert!(found.is_empty(), "imports that go upwards, or a crate of another floor:\n{}", found.join("\n"));
}

#[test]
fn an_import_that_goes_up_is_found_in_every_spelling() {
    let floor = &FLOORS[0];
    for (text, names) in [
        ("use crate::directory::Error;", 1),
        ("use crate::{\n    scim::ScimError,\n    http::{App, BASES},\n    directory,\n};", 2),
        ("fn f() -> crate::workplace::Employee {}", 1),
        ("    let pool: sqlx::PgPool = todo();", 1),
        ("// crate::directory in a comment", 0),
        ("use crate::scim::text;", 0),
        ("use self::my_sqlx::Thing;", 0),
    ] {
        assert_eq!(trespasses(floor, "x.rs", text).len(), names, "{text}");
    }
}

/// The string literals of a source before its unit tests, with their lines.
fn string_literals(text: &str) -> Vec<(usize, String)> {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut literals = Vec::new();
    let mut line = 1;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\n' => line += 1,
            '/' if characters.peek() == Some(&'/') => while characters.next_if(|c| *c != '\n').is_some() {},
            '\'' if characters.peek() == Some(&'"') => drop(characters.next()),
            '"' => {
                let (start, mut literal) = (line, String::new());
                while let Some(c) = characters.next().filter(|c| *c != '"') {
                    line += usize::from(c == '\n');
                    literal.push(if c == '\\' { characters.next().unwrap_or_default() } else { c });
                }
                literals.push((start, literal));
            }
            _ => {}
        }
    }
    literals
}

/// How often a piece of SQL reads or writes a table of tenants' data: a table's name behind `from`, `join`, `into` or `update`.
fn uses_of_tables(sql: &str) -> usize {
    let words: Vec<&str> =
        sql.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | ';')).filter(|word| !word.is_empty()).collect();
    let is_use = |pair: &&[&str]| matches!(pair[0], "from" | "join" | "into" | "update") && TABLES.contains(&pair[1]);
    words.windows(2).filter(is_use).count()
}

#[test]
fn every_statement_of_the_directory_names_the_tenant() {
    let mut uses = 0;
    let mut found = Vec::new();
    for (path, text) in sources("directory") {
        let file = path.file_name().unwrap().to_str().unwrap();
        if ACROSS_TENANTS.iter().any(|(name, _)| *name == file) {
            continue;
        }
        for (line, sql) in string_literals(&text) {
            let tables = uses_of_tables(&sql);
            uses += tables;
            // Each table that is touched is held against the tenant, not the statement as a whole.
            if tables > sql.matches("tenant_id").count() {
                found.push(format!("{}:{line}: {}", path.display(), sql.split_whitespace().collect::<Vec<_>>().join(" ")));
            }
        }
    }
    assert!(uses > 30, "only {uses} uses of tables were found; is the SQL still in string literals?");
    assert!(found.is_empty(), "SQL that does not name the tenant:\n{}", found.join("\n"));
}

#[test]
fn the_files_with_statements_across_tenants_are_still_there_and_touch_no_user_data_without_one() {
    for (file, reason) in ACROSS_TENANTS {
        let (_, text) =
            sources("directory").into_iter().find(|(path, _)| path.ends_with(file)).unwrap_or_else(|| panic!("{file}: {reason}"));
        for (line, sql) in string_literals(&text) {
            let words: Vec<&str> = sql.split_whitespace().collect();
            // Only `doctor` counts users and groups over all tenants; nobody reads or writes their rows.
            let personal = ["users", "groups", "members", "subgroups"];
            let reads = words.windows(2).any(|pair| matches!(pair[0], "from" | "join" | "into" | "update") && personal.contains(&pair[1]));
            assert!(!reads || sql.contains("count(") || sql.contains("tenant_id"), "{file}:{line}: {sql}");
        }
    }
}
