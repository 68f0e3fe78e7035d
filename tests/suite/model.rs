//! The server against a model that is written from the RFC's words alone: random lives of users and groups, and after each step
//! every resource, every total and every membership must be what the model says.

use std::collections::{BTreeMap, BTreeSet};

use frontdesk::directory::{Conformance, Directory, Profile};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

use crate::app::{Answer, TestApp, app_on};
use crate::at_scale::{Part, Property};
use crate::cases::percent;
use crate::support;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const NAMES: &[&str] = &["jon", "JON", "arya", "Sansa", "zo\u{eb}", "ZOE\u{308}"];
const WORDS: &[&str] = &["Guide", "guide", "Ranger", ""];

/// One step of a life. An [`Index`] picks one of the resources that are there, or one that is gone.
#[derive(Debug, Clone)]
enum Step {
    CreateUser { name: &'static str, title: &'static str, email: Option<&'static str> },
    ReplaceUser { user: Index, name: &'static str, title: &'static str },
    PatchUser { user: Index, change: Change },
    DeleteUser { user: Index },
    CreateGroup { name: &'static str, members: Vec<Index> },
    ReplaceGroup { group: Index, name: &'static str, members: Option<Vec<Index>> },
    PatchGroup { group: Index, changes: Vec<Membership> },
    DeleteGroup { group: Index },
}

#[derive(Debug, Clone)]
enum Change {
    Title(&'static str),
    Name(&'static str),
    Active(bool),
    Work(&'static str),
    RemoveWork,
    Department(&'static str),
    RemoveExtension,
}

#[derive(Debug, Clone)]
enum Membership {
    Add(Vec<Index>),
    Remove(Vec<Index>),
    RemoveOne(Index),
    Replace(Vec<Index>),
    Clear,
    Rename(&'static str),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    let some = || prop::collection::vec(any::<Index>(), 0..4);
    let change = prop_oneof![
        select(WORDS).prop_map(Change::Title),
        select(NAMES).prop_map(Change::Name),
        any::<bool>().prop_map(Change::Active),
        select(WORDS).prop_map(Change::Work),
        Just(Change::RemoveWork),
        select(WORDS).prop_map(Change::Department),
        Just(Change::RemoveExtension),
    ];
    let membership = prop_oneof![
        3 => some().prop_map(Membership::Add),
        1 => some().prop_map(Membership::Remove),
        1 => index().prop_map(Membership::RemoveOne),
        1 => some().prop_map(Membership::Replace),
        1 => Just(Membership::Clear),
        1 => select(NAMES).prop_map(Membership::Rename),
    ];
    prop_oneof![
        3 => (select(NAMES), select(WORDS), prop::option::of(select(WORDS)))
            .prop_map(|(name, title, email)| Step::CreateUser { name, title, email }),
        1 => (index(), select(NAMES), select(WORDS)).prop_map(|(user, name, title)| Step::ReplaceUser { user, name, title }),
        3 => (index(), change).prop_map(|(user, change)| Step::PatchUser { user, change }),
        1 => index().prop_map(|user| Step::DeleteUser { user }),
        3 => (select(NAMES), some()).prop_map(|(name, members)| Step::CreateGroup { name, members }),
        1 => (index(), select(NAMES), prop::option::of(some())).prop_map(|(group, name, members)| Step::ReplaceGroup { group, name, members }),
        4 => (index(), prop::collection::vec(membership, 1..3)).prop_map(|(group, changes)| Step::PatchGroup { group, changes }),
        1 => index().prop_map(|group| Step::DeleteGroup { group }),
    ]
}

#[derive(Debug, Clone, PartialEq, Default)]
struct User {
    name: String,
    title: String,
    work: String,
    department: String,
    active: bool,
    version: u32,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Group {
    name: String,
    members: BTreeSet<String>,
    version: u32,
}

/// What the RFC says is there. Ids are the server's.
#[derive(Debug, Default)]
struct Model {
    users: BTreeMap<String, User>,
    groups: BTreeMap<String, Group>,
    gone: Vec<String>,
}

/// Two names that differ in letter case or composition alone are one name.
fn same(a: &str, b: &str) -> bool {
    let folded = |text: &str| text.to_lowercase().replace("e\u{308}", "\u{eb}");
    folded(a) == folded(b)
}

impl Model {
    fn pick(&self, index: Index, ids: Vec<&String>) -> String {
        let all: Vec<&String> = ids.into_iter().chain(&self.gone).collect();
        if all.is_empty() { "00000000-0000-7000-8000-000000000000".to_owned() } else { (*index.get(&all)).clone() }
    }

    fn pick_user(&self, index: Index) -> String {
        self.pick(index, self.users.keys().collect())
    }

    fn pick_group(&self, index: Index) -> String {
        self.pick(index, self.groups.keys().collect())
    }

    /// Members to be: mostly resources that exist.
    fn pick_members(&self, indexes: &[Index]) -> Vec<String> {
        indexes.iter().map(|index| self.pick(*index, self.users.keys().chain(self.groups.keys()).collect())).collect()
    }

    fn exists(&self, id: &str) -> bool {
        self.users.contains_key(id) || self.groups.contains_key(id)
    }

    fn user_name_is_taken(&self, name: &str, by_other_than: &str) -> bool {
        self.users.iter().any(|(id, user)| id != by_other_than && same(&user.name, name))
    }

    fn group_name_is_taken(&self, name: &str, by_other_than: &str) -> bool {
        self.groups.iter().any(|(id, group)| id != by_other_than && same(&group.name, name))
    }

    /// Whether these can be members of a group.
    fn may_be_members(&self, members: &[String], group: &str) -> bool {
        members.iter().all(|member| self.exists(member) && member != group)
    }

    /// §3.6: gone, and no member of anything any more; who held it has changed.
    fn forget(&mut self, id: &str) {
        for group in self.groups.values_mut() {
            if group.members.remove(id) {
                group.version += 1;
            }
        }
        self.gone.push(id.to_owned());
    }

    /// §4.1.2: the groups of a user, and whether it is in them directly.
    fn groups_of(&self, user: &str) -> BTreeMap<String, &'static str> {
        let holding = |member: &str| -> Vec<String> {
            self.groups.iter().filter(|(_, group)| group.members.contains(member)).map(|(id, _)| id.clone()).collect()
        };
        let mut found: BTreeMap<String, &'static str> = holding(user).into_iter().map(|id| (id, "direct")).collect();
        let mut open: Vec<String> = found.keys().cloned().collect();
        while let Some(group) = open.pop() {
            for above in holding(&group) {
                if !found.contains_key(&above) {
                    found.insert(above.clone(), "indirect");
                    open.push(above);
                }
            }
        }
        found
    }

    fn change_user(&mut self, id: &str, next: User) {
        let user = self.users.get_mut(id).expect("it was looked up");
        if (User { version: user.version, ..next.clone() }) != *user {
            *user = User { version: user.version + 1, ..next };
        }
    }

    fn change_group(&mut self, id: &str, next: Group) {
        let group = self.groups.get_mut(id).expect("it was looked up");
        if (Group { version: group.version, ..next.clone() }) != *group {
            *group = Group { version: group.version + 1, ..next };
        }
    }
}

fn user_body(user: &User) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": user.name, "displayName": "D", "title": user.title, "active": user.active,
        "emails": [{ "type": "work", "value": user.work }], ENTERPRISE: { "department": user.department },
    })
}

fn listed(members: &[String]) -> Value {
    members.iter().map(|id| json!({ "value": id })).collect()
}

/// The server and the model, side by side.
struct Pair {
    app: TestApp,
    model: Model,
}

type Outcome = Result<(), TestCaseError>;

fn status(answer: &Answer, expected: u16) -> Outcome {
    prop_assert_eq!(answer.status.as_u16(), expected, "{}", answer.text);
    Ok(())
}

impl Pair {
    async fn step(&mut self, step: &Step) -> Outcome {
        match step {
            Step::CreateUser { name, title, email } => self.create_user(name, title, email.unwrap_or_default()).await,
            Step::ReplaceUser { user, name, title } => self.replace_user(&self.model.pick_user(*user), name, title).await,
            Step::PatchUser { user, change } => self.patch_user(&self.model.pick_user(*user), change).await,
            Step::DeleteUser { user } => {
                let id = self.model.pick_user(*user);
                let existed = self.model.users.remove(&id).is_some();
                status(&self.app.delete(&format!("/Users/{id}")).await, if existed { 204 } else { 404 })?;
                if existed {
                    self.model.forget(&id);
                }
                Ok(())
            }
            Step::CreateGroup { name, members } => self.create_group(name, &self.model.pick_members(members)).await,
            Step::ReplaceGroup { group, name, members } => {
                let members = members.as_ref().map(|members| self.model.pick_members(members));
                self.replace_group(&self.model.pick_group(*group), name, members).await
            }
            Step::PatchGroup { group, changes } => self.patch_group(&self.model.pick_group(*group), changes).await,
            Step::DeleteGroup { group } => {
                let id = self.model.pick_group(*group);
                let existed = self.model.groups.remove(&id).is_some();
                status(&self.app.delete(&format!("/Groups/{id}")).await, if existed { 204 } else { 404 })?;
                if existed {
                    self.model.forget(&id);
                }
                Ok(())
            }
        }
    }

    async fn create_user(&mut self, name: &str, title: &str, work: &str) -> Outcome {
        let user = User { name: name.into(), title: title.into(), work: work.into(), active: true, version: 1, ..User::default() };
        let answer = self.app.post("/Users", user_body(&user)).await;
        if self.model.user_name_is_taken(name, "") {
            return status(&answer, 409);
        }
        status(&answer, 201)?;
        self.model.users.insert(answer.id(), user);
        Ok(())
    }

    async fn replace_user(&mut self, id: &str, name: &str, title: &str) -> Outcome {
        let next = User { name: name.into(), title: title.into(), active: true, ..User::default() };
        let answer = self.app.put(&format!("/Users/{id}"), user_body(&next)).await;
        if !self.model.users.contains_key(id) {
            return status(&answer, 404);
        }
        if self.model.user_name_is_taken(name, id) {
            return status(&answer, 409);
        }
        self.model.change_user(id, next);
        status(&answer, 200)
    }

    async fn patch_user(&mut self, id: &str, change: &Change) -> Outcome {
        let operation = match change {
            Change::Title(title) => json!({ "op": "replace", "path": "title", "value": title }),
            Change::Name(name) => json!({ "op": "replace", "value": { "userName": name } }),
            Change::Active(active) => json!({ "op": "add", "path": "active", "value": active }),
            Change::Work(work) => json!({ "op": "replace", "path": "emails[type eq \"work\"].value", "value": work }),
            Change::RemoveWork => json!({ "op": "remove", "path": "emails[type eq \"WORK\"]" }),
            Change::Department(department) => json!({ "op": "add", "value": { ENTERPRISE: { "department": department } } }),
            Change::RemoveExtension => json!({ "op": "remove", "path": ENTERPRISE }),
        };
        let answer = self.app.patch(&format!("/Users/{id}"), json!({ "Operations": [operation] })).await;
        let Some(mut next) = self.model.users.get(id).cloned() else { return status(&answer, 404) };
        match change {
            Change::Title(title) => next.title = (*title).into(),
            Change::Name(name) if self.model.user_name_is_taken(name, id) => return status(&answer, 409),
            Change::Name(name) => next.name = (*name).into(),
            Change::Active(active) => next.active = *active,
            Change::Work(work) => next.work = (*work).into(),
            Change::RemoveWork => next.work = String::new(),
            Change::Department(department) => next.department = (*department).into(),
            Change::RemoveExtension => next.department = String::new(),
        }
        self.model.change_user(id, next);
        status(&answer, 200)
    }

    async fn create_group(&mut self, name: &str, members: &[String]) -> Outcome {
        let answer = self.app.post("/Groups", json!({ "displayName": name, "members": listed(members) })).await;
        if self.model.group_name_is_taken(name, "") {
            return status(&answer, 409);
        }
        if !self.model.may_be_members(members, "") {
            return status(&answer, 400);
        }
        status(&answer, 201)?;
        self.model.groups.insert(answer.id(), Group { name: name.into(), members: members.iter().cloned().collect(), version: 1 });
        Ok(())
    }

    async fn replace_group(&mut self, id: &str, name: &str, members: Option<Vec<String>>) -> Outcome {
        let mut body = json!({ "displayName": name });
        if let Some(members) = &members {
            body["members"] = listed(members);
        }
        let answer = self.app.put(&format!("/Groups/{id}"), body).await;
        let Some(group) = self.model.groups.get(id) else { return status(&answer, 404) };
        let (taken, members) =
            (self.model.group_name_is_taken(name, id), members.unwrap_or_else(|| group.members.iter().cloned().collect()));
        match (taken, self.model.may_be_members(&members, id)) {
            (true, true) => return status(&answer, 409),
            (false, false) => return status(&answer, 400),
            (true, false) => return prop_refused(&answer),
            (false, true) => {}
        }
        let next = Group { name: name.into(), members: members.into_iter().collect(), version: 0 };
        self.model.change_group(id, next);
        status(&answer, 200)
    }

    async fn patch_group(&mut self, id: &str, changes: &[Membership]) -> Outcome {
        let mut next = self.model.groups.get(id).cloned();
        let (mut operations, mut legal) = (Vec::new(), true);
        for change in changes {
            let (operation, possible) = self.membership(id, change, next.as_mut());
            operations.push(operation);
            legal &= possible;
        }
        let answer = self.app.patch(&format!("/Groups/{id}"), json!({ "Operations": operations })).await;
        let Some(next) = next else { return status(&answer, 404) };
        let taken = self.model.group_name_is_taken(&next.name, id);
        match (taken, legal) {
            (true, true) => return status(&answer, 409),
            (false, false) => return status(&answer, 400),
            (true, false) => return prop_refused(&answer),
            (false, true) => {}
        }
        self.model.change_group(id, next);
        status(&answer, 204)
    }

    /// The operation for a change, and whether it can be done; the group is changed on the way.
    fn membership(&self, id: &str, change: &Membership, group: Option<&mut Group>) -> (Value, bool) {
        let mut unused = Group::default();
        let group = group.unwrap_or(&mut unused);
        match change {
            Membership::Add(indexes) => {
                let members = self.model.pick_members(indexes);
                group.members.extend(members.iter().cloned());
                (json!({ "op": "add", "path": "members", "value": listed(&members) }), self.model.may_be_members(&members, id))
            }
            Membership::Remove(indexes) => {
                let members = self.model.pick_members(indexes);
                group.members.retain(|member| !members.contains(member));
                (json!({ "op": "Remove", "path": "members", "value": listed(&members) }), true)
            }
            Membership::RemoveOne(index) => {
                let member = self.model.pick_members(&[*index]).remove(0);
                group.members.remove(&member);
                (json!({ "op": "remove", "path": format!("members[value eq \"{member}\"]") }), true)
            }
            Membership::Replace(indexes) => {
                let members = self.model.pick_members(indexes);
                group.members = members.iter().cloned().collect();
                (json!({ "op": "replace", "value": { "members": listed(&members) } }), self.model.may_be_members(&members, id))
            }
            Membership::Clear => {
                group.members.clear();
                (json!({ "op": "remove", "path": "members" }), true)
            }
            Membership::Rename(name) => {
                group.name = (*name).into();
                (json!({ "op": "replace", "path": "displayName", "value": name }), true)
            }
        }
    }

    /// Holds the lists, which show every resource whole, against the model.
    async fn compare(&self) -> Outcome {
        // Ids grow with time, so the order of the model is the order of creation.
        let users: Vec<Value> = self.app.get("/Users").await.list("Resources").iter().map(shown_user).collect();
        let expected: Vec<Value> = self.model.users.iter().map(|(id, user)| self.expected_user(id, user)).collect();
        prop_assert_eq!(users, expected);
        let groups: Vec<Value> = self.app.get("/Groups").await.list("Resources").iter().map(shown_group).collect();
        let expected: Vec<Value> = self.model.groups.iter().map(|(id, group)| self.expected_group(id, group)).collect();
        prop_assert_eq!(groups, expected);
        let active = self.app.get(&format!("/Users?count=0&filter={}", percent("active eq true"))).await;
        prop_assert_eq!(&active.body["totalResults"], self.model.users.values().filter(|user| user.active).count());
        Ok(())
    }

    /// Holds each resource by itself against the model, and that what is gone is nowhere.
    async fn compare_each(&self) -> Outcome {
        for (id, user) in &self.model.users {
            prop_assert_eq!(shown_user(&self.app.get(&format!("/Users/{id}")).await.body), self.expected_user(id, user));
        }
        for (id, group) in &self.model.groups {
            prop_assert_eq!(shown_group(&self.app.get(&format!("/Groups/{id}")).await.body), self.expected_group(id, group));
        }
        for id in &self.model.gone {
            status(&self.app.get(&format!("/Users/{id}")).await, 404)?;
            status(&self.app.get(&format!("/Groups/{id}")).await, 404)?;
        }
        Ok(())
    }

    fn expected_user(&self, id: &str, user: &User) -> Value {
        let mut expected = Map::new();
        expected.insert("id".into(), id.into());
        expected.insert("userName".into(), user.name.as_str().into());
        expected.insert("active".into(), user.active.into());
        expected.insert("version".into(), format!("W/\"{}\"", user.version).into());
        for (name, text) in [("title", &user.title), ("work", &user.work), ("department", &user.department)] {
            expected.insert(name.into(), if text.is_empty() { Value::Null } else { text.as_str().into() });
        }
        let groups = self.model.groups_of(id).into_iter().map(|(group, kind)| json!([group, self.model.groups[&group].name, kind]));
        expected.insert("groups".into(), groups.collect());
        expected.into()
    }

    fn expected_group(&self, id: &str, group: &Group) -> Value {
        let members = group.members.iter().map(|member| {
            let (display, kind) =
                if self.model.users.contains_key(member) { ("D", "User") } else { (self.model.groups[member].name.as_str(), "Group") };
            json!([member, display, kind])
        });
        json!({ "id": id, "displayName": group.name, "version": format!("W/\"{}\"", group.version), "members": members.collect::<Vec<_>>() })
    }
}

/// Refused, when there are two reasons and the RFC does not say which comes first.
fn prop_refused(answer: &Answer) -> Outcome {
    prop_assert!(matches!(answer.status.as_u16(), 400 | 409), "{}", answer.text);
    Ok(())
}

fn shown_user(body: &Value) -> Value {
    let mut groups: Vec<Value> =
        body["groups"].as_array().into_iter().flatten().map(|group| json!([group["value"], group["display"], group["type"]])).collect();
    groups.sort_by_key(Value::to_string);
    let work = body["emails"].as_array().and_then(|emails| emails.iter().find(|email| email["type"] == "work"));
    json!({
        "id": body["id"], "userName": body["userName"], "active": body["active"], "version": body["meta"]["version"], "title": body["title"],
        "work": work.map_or(&Value::Null, |email| &email["value"]), "department": body[ENTERPRISE]["department"], "groups": groups,
    })
}

fn shown_group(body: &Value) -> Value {
    let mut members: Vec<Value> = body["members"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|member| json!([member["value"], member["display"], member["type"]]))
        .collect();
    members.sort_by_key(Value::to_string);
    json!({ "id": body["id"], "displayName": body["displayName"], "version": body["meta"]["version"], "members": members })
}

/// A life in a tenant of its own.
async fn live(directory: &Directory, steps: &[Step]) -> Outcome {
    let app = app_on(directory.clone(), Profile::SpaceIq, Conformance::Lenient, &[]).await;
    let mut pair = Pair { app, model: Model::default() };
    for step in steps {
        pair.step(step).await?;
        pair.compare().await?;
    }
    pair.compare_each().await
}

fn lives(part: &Part) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let directory = runtime.block_on(support::directory());
    let steps = prop::collection::vec(step(), 15);
    let outcome = part.runner(part.cases, 0).run(&steps, |steps| runtime.block_on(live(&directory, &steps)));
    if let Err(found) = outcome {
        panic!("{found}");
    }
    runtime.block_on(directory.close());
}

#[test]
fn every_life_goes_as_the_model_says() {
    Property { name: "LIVES", usual: 20, part: 500 }.run(lives);
}
