//! Whether a history of operations on one key is linearizable: whether each operation can be given a moment between its call and
//! its return so that all answers are those of a directory which does one thing at a time. The search is Wing and Gong's (1993),
//! with Lowe's memory of what was tried (2017). An operation without an answer may take effect at any later moment, or never.
//!
//! The model of a key (a user name): nobody, or one user with an id, a version that counts changes, and a title. Pure.

use std::collections::HashSet;

/// The longest history, in operations.
pub const MAX_OPERATIONS: usize = 128;

/// What a client saw of the user, or the whole state of a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct User {
    /// Unknown to the model when the answer to the creation did not come, until somebody reads it.
    pub id: Option<String>,
    pub version: i64,
    pub title: String,
}

/// An operation with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// POST: the user made, or `None` for a conflict.
    Create { title: String, made: Option<User> },
    /// GET by id: the user, or `None` for 404.
    Get { id: String, found: Option<User> },
    /// A filter on the user name: the user, or `None` for an empty list.
    Filter { found: Option<User> },
    /// PATCH of the title: the user after it, or `None` for 404.
    Patch { id: String, title: String, changed: Option<User> },
    /// DELETE: whether it was there.
    Delete { id: String, found: bool },
}

/// An operation in a history. Moments are any numbers that grow with time.
#[derive(Debug, Clone)]
pub struct Operation {
    pub action: Action,
    pub called: u64,
    /// `None`: the answer did not come, and `action` has none.
    pub returned: Option<u64>,
}

/// Looks for an order that explains the history; the key begins with nobody.
///
/// # Errors
/// The history as lines, when there is no such order.
///
/// # Panics
/// When the history has more than [`MAX_OPERATIONS`].
pub fn check(history: &[Operation]) -> Result<(), String> {
    assert!(history.len() <= MAX_OPERATIONS, "the caller keeps histories short");
    let answered = mask(history, |operation| operation.returned.is_some());
    let mut tried = HashSet::new();
    let mut open: Vec<(u128, Option<User>)> = vec![(0, None)];
    while let Some((done, state)) = open.pop() {
        if done & answered == answered {
            return Ok(());
        }
        if !tried.insert((done, state.clone())) {
            continue;
        }
        // Nothing comes before what had returned when it was called.
        let rest = || history.iter().enumerate().filter(|(index, _)| done & (1 << index) == 0);
        let first_return = rest().filter_map(|(_, operation)| operation.returned).min().unwrap_or(u64::MAX);
        for (index, operation) in rest().filter(|(_, operation)| operation.called < first_return) {
            if let Some(next) = apply(state.as_ref(), operation) {
                open.push((done | (1 << index), next));
            }
        }
    }
    let lines: Vec<String> = history.iter().map(|operation| format!("  {operation:?}")).collect();
    Err(format!("no order of these operations explains their answers:\n{}", lines.join("\n")))
}

fn mask(history: &[Operation], wanted: impl Fn(&Operation) -> bool) -> u128 {
    history.iter().enumerate().filter(|(_, operation)| wanted(operation)).fold(0, |mask, (index, _)| mask | (1 << index))
}

/// The state after an operation, when its answer is right in this state.
fn apply(state: Option<&User>, operation: &Operation) -> Option<Option<User>> {
    let answered = operation.returned.is_some();
    match &operation.action {
        Action::Create { title, made } => {
            let expected = state.is_none().then(|| User { id: None, version: 1, title: title.clone() });
            match (expected, answered) {
                (Some(user), false) => Some(Some(user)),
                (None, false) => Some(state.cloned()),
                (expected, true) => told(expected.as_ref(), made.as_ref()).map(|user| user.or(state.cloned())),
            }
        }
        Action::Get { id, found } => told(of_id(state, id, found.is_some()), found.as_ref()).map(|user| user.or(state.cloned())),
        Action::Filter { found } => told(state, found.as_ref()),
        Action::Patch { id, title, changed } => {
            let expected = of_id(state, id, changed.is_some()).map(|user| User {
                id: Some(id.clone()),
                version: user.version + 1,
                title: title.clone(),
            });
            if !answered {
                return Some(expected.or(state.cloned()));
            }
            told(expected.as_ref(), changed.as_ref()).map(|user| user.or(state.cloned()))
        }
        Action::Delete { id, found } => {
            let there = of_id(state, id, *found).is_some();
            (!answered || there == *found).then(|| if there { None } else { state.cloned() })
        }
    }
}

/// The user of a key when it has this id. An id that nobody was told yet is this one when the answer says so.
fn of_id<'a>(state: Option<&'a User>, id: &str, may_be: bool) -> Option<&'a User> {
    state.filter(|user| user.id.as_deref().map_or(may_be, |known| known == id))
}

/// What a client learned, when it is what the model expects.
fn told(expected: Option<&User>, seen: Option<&User>) -> Option<Option<User>> {
    match (expected, seen) {
        (None, None) => Some(None),
        (Some(expected), Some(seen)) => {
            let same = expected.version == seen.version && expected.title == seen.title;
            (same && expected.id.as_ref().is_none_or(|id| seen.id.as_ref() == Some(id))).then(|| Some(seen.clone()))
        }
        _ => None,
    }
}
