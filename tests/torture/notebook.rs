//! What a writer knows of its users, and how it is held against the database. Each user has one writer, so what it must look like
//! is known exactly: as the last acknowledged write left it, or, where an answer did not come, as before that write or as after
//! it, wholly. Pure: the database's state comes in as a map.

use std::collections::{BTreeMap, BTreeSet};

/// A user, as far as the writers change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Unknown when the answer to its creation did not come.
    pub id: Option<String>,
    pub title: String,
    pub version: i64,
    /// The names of the groups it is in.
    pub groups: BTreeSet<String>,
}

/// What becomes of one user; `None` is absence.
#[derive(Debug, Clone)]
pub struct Change {
    pub name: String,
    pub before: Option<Person>,
    pub after: Option<Person>,
}

/// Changes that happen together or not at all.
pub type Unit = Vec<Change>;

/// What one writer knows.
#[derive(Debug, Default)]
pub struct Notebook {
    pub people: BTreeMap<String, Person>,
    /// What was sent and not answered.
    pub pending: Vec<Unit>,
    /// Writes that were acknowledged.
    pub acknowledged: u64,
}

impl Notebook {
    /// A write was acknowledged.
    pub fn acknowledge(&mut self, unit: Unit) {
        self.acknowledged += 1;
        for change in unit {
            self.note(change.name, change.after);
        }
    }

    /// The users whose state is known.
    pub fn known(&self) -> Vec<String> {
        let uncertain: BTreeSet<&String> = self.pending.iter().flatten().map(|change| &change.name).collect();
        self.people.keys().filter(|name| !uncertain.contains(name)).cloned().collect()
    }

    fn note(&mut self, name: String, person: Option<Person>) {
        match person {
            Some(person) => self.people.insert(name, person),
            None => self.people.remove(&name),
        };
    }

    /// Decides by the database's state what became of the writes without an answer.
    fn settle_pending(&mut self, stored: &BTreeMap<String, Person>) -> Result<(), String> {
        for unit in std::mem::take(&mut self.pending) {
            let fits =
                |side: fn(&Change) -> &Option<Person>| unit.iter().all(|change| agree(side(change).as_ref(), stored.get(&change.name)));
            if !fits(|change| &change.before) && !fits(|change| &change.after) {
                let found: Vec<_> = unit.iter().map(|change| stored.get(&change.name)).collect();
                return Err(format!("a write without an answer is neither absent nor wholly there: {unit:?} is stored as {found:?}"));
            }
            for change in unit {
                let found = stored.get(&change.name).cloned();
                self.note(change.name, found);
            }
        }
        Ok(())
    }
}

/// Holds all notebooks against what is stored. Afterwards they know what became of the writes without an answer.
///
/// # Errors
/// A sentence that names the user, what must be stored and what is.
pub fn settle(notebooks: &mut [Notebook], stored: &BTreeMap<String, Person>) -> Result<(), String> {
    let mut known = BTreeSet::new();
    for notebook in notebooks {
        notebook.settle_pending(stored)?;
        for (name, person) in &notebook.people {
            let found = stored.get(name);
            if !agree(Some(person), found) {
                return Err(format!("an acknowledged write is lost: {name} was {person:?} and is stored as {found:?}"));
            }
            known.insert(name.clone());
        }
    }
    match stored.keys().find(|name| !known.contains(*name)) {
        Some(name) => Err(format!("{name} is stored, and its deletion was acknowledged or nobody made it: {:?}", stored[name])),
        None => Ok(()),
    }
}

/// Whether what is stored is what was expected. An id that nobody was told is any.
fn agree(expected: Option<&Person>, stored: Option<&Person>) -> bool {
    match (expected, stored) {
        (None, None) => true,
        (Some(expected), Some(stored)) => {
            let told = |person: &Person| Person { id: None, ..person.clone() };
            told(expected) == told(stored) && (expected.id.is_none() || expected.id == stored.id)
        }
        _ => false,
    }
}
