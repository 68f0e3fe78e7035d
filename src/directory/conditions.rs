//! The condition of a query in SQL: a single `eq` on an indexed column by its B-tree; everything else as one jsonpath on the folded
//! document, where the GIN index finds equalities. What lies in other tables or columns (memberships, `meta`) is merged into the
//! folded document for the comparison, restricted to the ids that the filter names. `r` is the resource.

use uuid::Uuid;

use super::search_sql::Statement;
use crate::scim::document::parse_id;
use crate::scim::filter::{Filter, Literal, Operator, Target};
use crate::scim::schema::AttrPath;

/// `and`, and the condition.
pub(super) fn write_filter(user: bool, filter: &Filter, statement: &mut Statement) {
    if let Some(lookup) = Lookup::of(user, filter) {
        return lookup.write(statement);
    }
    let uses = Uses::of(user, filter);
    for conjunct in filter.conjuncts() {
        write_narrowing(user, conjunct, statement);
    }
    statement.sql(" and ");
    if let Some(value) = value_alone(filter).filter(|_| !uses.meta && matches!(uses.memberships, Memberships::None)) {
        statement.sql("r.folded @@ ").jsonpath(value.to_jsonpath()).sql(" and jsonb_path_match(r.folded, ");
        statement.jsonpath(filter.to_jsonpath()).sql(", '{}', true)");
        return;
    }
    write_searchable(user, &uses, statement);
    statement.sql(" @@ ").jsonpath(filter.to_jsonpath());
}

/// Of the conditions in a value path, `emails[type eq "work" and value eq "a@b.c"]`, the one on the value: it alone is looked up in the
/// index. Everybody has a work address, and what the index knows of them all would be read to find the few again.
fn value_alone(filter: &Filter) -> Option<Filter> {
    let Filter::Any(path, inner) = filter else { return None };
    let is_value = |term: &&Filter| matches!(term, Filter::Compare(Target::Element(attribute), Operator::Eq, Literal::Text(_)) if attribute.name == "value");
    let conjuncts = inner.conjuncts();
    let value = conjuncts.iter().find(is_value).filter(|_| conjuncts.len() > 1)?;
    Some(Filter::Any(*path, Box::new(value.clone())))
}

/// One `eq` on a column with a B-tree, which few resources match. Every client sends these before anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lookup<'a> {
    UserName(&'a str),
    DisplayName(&'a str),
    ExternalId(&'a str),
    Id(Option<Uuid>),
}

impl<'a> Lookup<'a> {
    pub(super) fn of(user: bool, filter: &'a Filter) -> Option<Self> {
        let Filter::Compare(Target::Resource(path), Operator::Eq, Literal::Text(text)) = filter else { return None };
        if path.extension.is_some() || path.sub.is_some() {
            return None;
        }
        match (user, path.attribute.name) {
            (true, "userName") => Some(Self::UserName(&text.folded)),
            (false, "displayName") => Some(Self::DisplayName(&text.folded)),
            (_, "externalId") => Some(Self::ExternalId(&text.folded)),
            (_, "id") => Some(Self::Id(parse_id(&text.folded))),
            _ => None,
        }
    }

    /// Whether at most one resource matches.
    pub(super) fn is_unique(&self) -> bool {
        matches!(self, Self::UserName(_) | Self::Id(_))
    }

    pub(super) fn write(&self, statement: &mut Statement) {
        match self {
            Self::UserName(key) => statement.sql(" and r.user_name_key = ").bind((*key).to_owned()),
            Self::DisplayName(key) => statement.sql(" and r.name_key = ").bind((*key).to_owned()),
            Self::ExternalId(id) => statement.sql(" and r.external_id = ").bind((*id).to_owned()),
            Self::Id(id) => statement.sql(" and r.id = ").bind(*id).sql("::uuid"),
        };
    }
}

/// Whether the GIN index finds the few that a filter may match: one of its conjuncts is an equality of text, and nothing beside the
/// folded document decides.
pub(super) fn has_equality(user: bool, filter: &Filter) -> bool {
    let is_equality = |term: &Filter| matches!(term, Filter::Compare(_, Operator::Eq, Literal::Text(_)));
    let mut conjuncts = filter.conjuncts().iter();
    let uses = Uses::of(user, filter);
    !uses.meta
        && matches!(uses.memberships, Memberships::None)
        && conjuncts.any(|conjunct| match conjunct {
            Filter::Any(_, inner) => inner.conjuncts().iter().any(is_equality),
            other => is_equality(other),
        })
}

/// Whether an index finds the few that a filter may match, so that not every resource is looked at.
pub(super) fn is_found_by_index(user: bool, filter: &Filter) -> bool {
    let narrows = |conjunct| narrowing(user, conjunct).is_some();
    Lookup::of(user, filter).is_some() || has_equality(user, filter) || filter.conjuncts().iter().any(narrows)
}

/// The memberships of which a resource must have one.
fn narrowing(user: bool, conjunct: &Filter) -> Option<Vec<Uuid>> {
    match Uses::of(user, conjunct).memberships {
        Memberships::Ids(ids) if requires_membership(user, conjunct) => Some(ids),
        _ => None,
    }
}

/// A condition on one membership finds its few resources by the index on memberships; the jsonpath then checks the rest.
fn write_narrowing(user: bool, conjunct: &Filter, statement: &mut Statement) {
    let Some(ids) = narrowing(user, conjunct) else { return };
    if user {
        statement
            .sql(
                " and r.id in (with recursive down as (
                     select unnest(",
            )
            .bind(ids)
            .sql(
                "::uuid[]) as group_id
                     union
                     select s.child_id from down join subgroups s on s.tenant_id = $1 and s.group_id = down.group_id
                 ) select m.user_id from down join members m on m.tenant_id = $1 and m.group_id = down.group_id)",
            );
    } else {
        statement
            .sql(" and r.id in (select m.group_id from members m where m.tenant_id = $1 and m.user_id = any (")
            .bind(ids.clone())
            .sql("::uuid[]) union all select s.group_id from subgroups s where s.tenant_id = $1 and s.child_id = any (")
            .bind(ids)
            .sql("::uuid[]))");
    }
}

/// Whether a filter can only match a resource that has one of the memberships it names.
fn requires_membership(user: bool, filter: &Filter) -> bool {
    match filter {
        Filter::Compare(Target::Resource(path), Operator::Eq, _) => is_membership(user, *path),
        Filter::Any(path, inner) => is_membership(user, *path) && inner.conjuncts().iter().any(names_an_id),
        _ => false,
    }
}

/// Whether a path leads to the memberships of a resource. In a filter over all types, `members` of a user is nothing.
fn is_membership(user: bool, path: AttrPath) -> bool {
    path.extension.is_none() && path.attribute.name == if user { "groups" } else { "members" }
}

fn names_an_id(filter: &Filter) -> bool {
    matches!(filter, Filter::Compare(Target::Element(attribute), Operator::Eq, _) if attribute.name == "value")
}

/// What a filter looks at beside the folded document.
pub(super) struct Uses {
    pub(super) meta: bool,
    pub(super) memberships: Memberships,
}

/// Which memberships can decide a filter.
pub(super) enum Memberships {
    /// None.
    None,
    /// Those with these ids.
    Ids(Vec<Uuid>),
    /// Any.
    All,
}

impl Uses {
    fn of(user: bool, filter: &Filter) -> Self {
        let mut uses = Self { meta: false, memberships: Memberships::None };
        uses.look(user, filter);
        uses
    }

    fn look(&mut self, user: bool, filter: &Filter) {
        match filter {
            Filter::And(filters) | Filter::Or(filters) => filters.iter().for_each(|filter| self.look(user, filter)),
            Filter::Not(filter) => self.look(user, filter),
            Filter::Present(Target::Resource(path)) => self.look_at(user, *path, None),
            Filter::Compare(Target::Resource(path), operator, literal) => {
                let names_id = *operator == Operator::Eq && path.sub.is_some_and(|sub| sub.name == "value");
                self.look_at(user, *path, names_id.then_some(literal));
            }
            Filter::Any(path, inner) => {
                let id = inner.conjuncts().iter().find(|conjunct| names_an_id(conjunct));
                let literal = if let Some(Filter::Compare(_, _, literal)) = id { Some(literal) } else { None };
                self.look_at(user, *path, literal);
            }
            Filter::Present(Target::Element(_)) | Filter::Compare(Target::Element(_), ..) => {}
        }
    }

    fn look_at(&mut self, user: bool, path: AttrPath, id: Option<&Literal>) {
        self.meta |= path.extension.is_none() && path.attribute.name == "meta";
        if !is_membership(user, path) {
            return;
        }
        let id = match id {
            Some(Literal::Text(text)) => parse_id(&text.folded),
            _ => return self.memberships = Memberships::All,
        };
        match &mut self.memberships {
            Memberships::None => self.memberships = Memberships::Ids(id.into_iter().collect()),
            Memberships::Ids(ids) => ids.extend(id),
            Memberships::All => {}
        }
    }
}

/// The folded document with what the filter needs beside it.
pub(super) fn write_searchable(user: bool, uses: &Uses, statement: &mut Statement) {
    let ids = match &uses.memberships {
        Memberships::None if !uses.meta => {
            statement.sql("r.folded");
            return;
        }
        Memberships::None => Some(Vec::new()),
        Memberships::Ids(ids) => Some(ids.clone()),
        Memberships::All => None,
    };
    statement.sql(if user {
        "(r.folded || jsonb_build_object('meta', jsonb_build_object('resourcetype', 'User', 'created',
             to_char(r.created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"000Z\"'), 'lastmodified',
             to_char(r.updated_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"000Z\"')))"
    } else {
        "(r.folded || jsonb_build_object('meta', jsonb_build_object('resourcetype', 'Group', 'created',
             to_char(r.created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"000Z\"'), 'lastmodified',
             to_char(r.updated_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"000Z\"')))"
    });
    if matches!(uses.memberships, Memberships::None) {
        statement.sql(")");
        return;
    }
    if user {
        statement
            .sql(
                " || coalesce((
                 with recursive up as (
                     select m.group_id, true as direct from members m where m.tenant_id = $1 and m.user_id = r.id
                     union
                     select s.group_id, false from up join subgroups s on s.tenant_id = $1 and s.child_id = up.group_id
                 )
                 select jsonb_build_object('groups', jsonb_agg(jsonb_build_object('value', h.id, 'display', h.name_key,
                     'type', case when held.direct then 'direct' else 'indirect' end)))
                 from (select group_id, bool_or(direct) as direct from up group by group_id) held
                 join groups h on h.tenant_id = $1 and h.id = held.group_id
                 where ",
            )
            .bind(ids.clone())
            .sql("::uuid[] is null or h.id = any (")
            .bind(ids)
            .sql("::uuid[]) having count(*) > 0), '{}'))");
    } else {
        statement
            .sql(
                " || coalesce((
                 select jsonb_build_object('members', jsonb_agg(jsonb_build_object('value', one.id, 'display', one.display, 'type', one.type)))
                 from (
                     select m.user_id as id, 'user' as type,
                         (select coalesce(n.folded ->> 'displayname', n.user_name_key)
                          from users n where n.tenant_id = $1 and n.id = m.user_id) as display
                     from members m
                     where m.tenant_id = $1 and m.group_id = r.id and (",
            )
            .bind(ids.clone())
            .sql("::uuid[] is null or m.user_id = any (")
            .bind(ids.clone())
            .sql(
                "::uuid[]))
                     union all
                     select s.child_id, 'group', (select h.name_key from groups h where h.tenant_id = $1 and h.id = s.child_id)
                     from subgroups s
                     where s.tenant_id = $1 and s.group_id = r.id and (",
            )
            .bind(ids.clone())
            .sql("::uuid[] is null or s.child_id = any (")
            .bind(ids)
            .sql("::uuid[]))) one having count(*) > 0), '{}'))");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::catalog::{GROUP, USER};
    use crate::scim::reader::Reader;

    #[test]
    fn what_identity_providers_look_up_is_found_by_an_index() {
        let id = Uuid::max();
        let indexed = |user, filter: &str| {
            let filter = Filter::parse(if user { &USER } else { &GROUP }, filter, &mut Reader::default()).expect(filter);
            is_found_by_index(user, &filter)
        };
        for filter in [
            "userName eq \"a\"",
            "externalId eq \"a\"",
            "emails.value eq \"a\"",
            "emails[type eq \"work\" and value eq \"a\"]",
            "active eq true and nickName eq \"a\"",
            &format!("groups.value eq \"{id}\""),
            &format!("groups[value eq \"{id}\"] and title co \"a\""),
        ] {
            assert!(indexed(true, filter), "{filter}");
        }
        for filter in ["displayName eq \"a\"", &format!("id eq \"{id}\" and members eq \"{id}\""), &format!("members.value eq \"{id}\"")] {
            assert!(indexed(false, filter), "{filter}");
        }
        for filter in [
            "title co \"a\"",
            "title pr",
            "not (title eq \"a\")",
            "title eq \"a\" or active eq true",
            "meta.lastModified gt \"2026-01-01T00:00:00Z\"",
        ] {
            assert!(!indexed(true, filter), "{filter}");
        }
    }
}
