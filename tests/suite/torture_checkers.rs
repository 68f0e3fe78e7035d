//! The checkers of `scripts/torture` tell what they are there to tell: a stale read, a lost update, an acknowledged write that is
//! gone, one that is there by half.

#[path = "../torture/linear.rs"]
mod linear;
#[path = "../torture/notebook.rs"]
mod notebook;

use std::collections::BTreeMap;

use linear::{Action, Operation, User, check};
use notebook::{Change, Notebook, Person, settle};

/// An operation between two moments.
fn during(called: u64, returned: u64, action: Action) -> Operation {
    Operation { action, called, returned: Some(returned) }
}

/// An operation whose answer did not come.
fn unanswered(called: u64, action: Action) -> Operation {
    Operation { action, called, returned: None }
}

fn user(id: &str, version: i64, title: &str) -> User {
    User { id: Some(id.into()), version, title: title.into() }
}

fn create(title: &str, made: Option<User>) -> Action {
    Action::Create { title: title.into(), made }
}

fn get(id: &str, found: Option<User>) -> Action {
    Action::Get { id: id.into(), found }
}

fn change(id: &str, title: &str, changed: Option<User>) -> Action {
    Action::Patch { id: id.into(), title: title.into(), changed }
}

fn delete(id: &str, found: bool) -> Action {
    Action::Delete { id: id.into(), found }
}

#[test]
fn operations_in_turn_with_the_right_answers_are_linearizable() {
    let history = [
        during(0, 1, Action::Filter { found: None }),
        during(2, 3, create("a", Some(user("1", 1, "a")))),
        during(4, 5, create("b", None)),
        during(6, 7, change("1", "c", Some(user("1", 2, "c")))),
        during(8, 9, Action::Filter { found: Some(user("1", 2, "c")) }),
        during(10, 11, delete("1", true)),
        during(12, 13, get("1", None)),
        during(14, 15, delete("1", false)),
        during(16, 17, create("d", Some(user("2", 1, "d")))),
        during(18, 19, change("1", "e", None)),
    ];
    assert_eq!(check(&history), Ok(()));
}

#[test]
fn a_stale_read_is_told() {
    let written = [during(0, 1, create("a", Some(user("1", 1, "a")))), during(2, 5, change("1", "b", Some(user("1", 2, "b"))))];
    let reading = |called, returned| during(called, returned, get("1", Some(user("1", 1, "a"))));
    let with = |read: Operation| check(&[written.to_vec(), vec![read]].concat());
    assert_eq!(with(reading(3, 8)), Ok(()), "the read may have been first while both were in progress");
    assert!(with(reading(6, 7)).is_err(), "the change had been answered before the read was sent");
}

#[test]
fn a_read_that_goes_back_behind_another_read_is_told() {
    let history = [
        during(0, 1, create("a", Some(user("1", 1, "a")))),
        during(2, 9, change("1", "b", Some(user("1", 2, "b")))),
        during(3, 4, get("1", Some(user("1", 2, "b")))),
        during(5, 6, get("1", Some(user("1", 1, "a")))),
    ];
    assert!(check(&history).is_err());
    assert_eq!(check(&history[..3]), Ok(()));
}

#[test]
fn a_lost_update_is_told() {
    let created = during(0, 1, create("a", Some(user("1", 1, "a"))));
    let changes = |second: i64, last: User| {
        [
            created.clone(),
            during(2, 5, change("1", "b", Some(user("1", 2, "b")))),
            during(3, 6, change("1", "c", Some(user("1", second, "c")))),
            during(7, 8, get("1", Some(last))),
        ]
    };
    assert_eq!(check(&changes(3, user("1", 3, "c"))), Ok(()));
    assert!(check(&changes(2, user("1", 2, "c"))).is_err(), "both changed version 1");
    assert!(check(&changes(3, user("1", 2, "b"))).is_err(), "the second change was answered and is gone");
}

#[test]
fn two_creations_of_one_name_are_told() {
    let history = [during(0, 2, create("a", Some(user("1", 1, "a")))), during(1, 3, create("b", Some(user("2", 1, "b"))))];
    assert!(check(&history).is_err());
}

#[test]
fn a_write_without_an_answer_may_have_happened_late_or_never() {
    let created = during(0, 1, create("a", Some(user("1", 1, "a"))));
    let lost = unanswered(2, change("1", "b", None));
    let before = during(3, 4, get("1", Some(user("1", 1, "a"))));
    let after = during(5, 6, get("1", Some(user("1", 2, "b"))));
    assert_eq!(check(&[created.clone(), lost.clone(), before.clone()]), Ok(()), "never");
    assert_eq!(check(&[created.clone(), lost.clone(), before.clone(), after.clone()]), Ok(()), "late");
    let undone = during(7, 8, get("1", Some(user("1", 1, "a"))));
    assert!(check(&[created, lost, after, undone]).is_err(), "and it does not unhappen");
}

#[test]
fn an_id_that_nobody_was_told_is_learned_once() {
    let lost = unanswered(0, create("a", None));
    let found = |at: u64, id: &str| during(at, at + 1, Action::Filter { found: Some(user(id, 1, "a")) });
    assert_eq!(check(&[lost.clone(), found(1, "1"), found(3, "1"), during(5, 6, delete("1", true))]), Ok(()));
    assert!(check(&[lost.clone(), found(1, "1"), found(3, "2")]).is_err());
    assert!(check(&[lost, found(1, "1"), during(5, 6, get("1", None))]).is_err());
}

fn person(id: Option<&str>, version: i64, title: &str) -> Person {
    Person { id: id.map(str::to_owned), title: title.into(), version, groups: ["g".to_owned()].into() }
}

fn stored<const N: usize>(people: [(&str, Person); N]) -> BTreeMap<String, Person> {
    people.map(|(name, person)| (name.to_owned(), person)).into()
}

fn becomes(name: &str, before: Option<Person>, after: Option<Person>) -> Change {
    Change { name: name.into(), before, after }
}

/// A writer whose creation of `a` was acknowledged.
fn notebook() -> Notebook {
    let mut notebook = Notebook::default();
    notebook.acknowledge(vec![becomes("a", None, Some(person(Some("1"), 1, "x")))]);
    notebook
}

#[test]
fn an_acknowledged_write_that_is_not_stored_is_told() {
    let settled = |people: BTreeMap<String, Person>| settle(&mut [notebook()], &people);
    assert_eq!(settled(stored([("a", person(Some("1"), 1, "x"))])), Ok(()));
    assert!(settled(stored([])).is_err(), "the creation is gone");
    assert!(settled(stored([("a", person(Some("1"), 1, "y"))])).is_err(), "the title is another");
    assert!(settled(stored([("a", person(Some("2"), 1, "x"))])).is_err(), "it is somebody else");
    assert!(settled(stored([("a", Person { groups: [].into(), ..person(Some("1"), 1, "x") })])).is_err(), "the membership is gone");
    let risen = stored([("a", person(Some("1"), 1, "x")), ("b", person(Some("2"), 1, "x"))]);
    assert!(settled(risen).is_err(), "who was deleted is there");
}

#[test]
fn a_write_without_an_answer_is_whole_or_absent() {
    let waiting = || {
        let mut notebook = notebook();
        let changed = becomes("a", Some(person(Some("1"), 1, "x")), Some(person(Some("1"), 2, "y")));
        notebook.pending.push(vec![changed, becomes("b", None, Some(person(None, 1, "z")))]);
        [notebook]
    };
    assert!(waiting()[0].known().is_empty(), "the writer leaves alone whom it is not sure of");
    let (before, after, new) = (person(Some("1"), 1, "x"), person(Some("1"), 2, "y"), person(Some("2"), 1, "z"));
    assert_eq!(settle(&mut waiting(), &stored([("a", before.clone())])), Ok(()), "absent");
    let mut notebooks = waiting();
    assert_eq!(settle(&mut notebooks, &stored([("a", after.clone()), ("b", new.clone())])), Ok(()), "whole");
    assert_eq!(notebooks[0].people["b"], new, "and known from then on");
    assert!(notebooks[0].pending.is_empty());
    assert!(settle(&mut waiting(), &stored([("a", after)])).is_err(), "the change without the creation");
    assert!(settle(&mut waiting(), &stored([("a", before), ("b", new)])).is_err(), "the creation without the change");
}
