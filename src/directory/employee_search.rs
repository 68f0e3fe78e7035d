//! Employees as the workplace product looks for them: a filter on every column (`employee_columns` has them), an order, pages
//! that cost the same however deep they lie.
//!
//! A statement is put together from static parts; a client's name selects a row of the table and its value is bound. Whom a
//! manager's reference means is the view's business alone, so its columns are read from the view.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::employee_columns::{COLUMNS, ColumnKind, SINCE, column_named};
use super::search_sql::Statement;
use super::{Directory, EmployeeRow, Employees, Error};
use crate::scim::ScimError;
use crate::scim::document::{parse_id, unique_key};
use crate::scim::error::quote;
use crate::scim::text::parse_date_time;

/// Which employees, in which order.
#[derive(Debug, Clone, Default)]
pub struct EmployeeSearch {
    filters: Vec<Filter>,
    order: Option<Order>,
}

#[derive(Debug, Clone)]
struct Filter {
    sql: &'static str,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    /// An empty value asks for those without one.
    Absent,
    Text(String),
    Id(Option<Uuid>),
    Flag(bool),
    Time(DateTime<Utc>),
    Since(DateTime<Utc>),
    Names(String),
    Custom(String, String),
    Manager(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Order {
    name: &'static str,
    sql: &'static str,
    kind: OrderKind,
    descending: bool,
}

/// Points in time by their index; everything else as text in the order of code points, those without a value last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OrderKind {
    Text,
    Time,
}

impl EmployeeSearch {
    /// Narrows the search by a parameter. `false` when there is none of this name.
    ///
    /// # Errors
    /// 400 naming the parameter, its value and what is expected.
    pub fn filter(&mut self, name: &str, value: &str) -> Result<bool, ScimError> {
        if let Some((_, sql)) = SINCE.iter().find(|(since, _)| *since == name) {
            self.filters.push(Filter { sql, test: Test::Since(time(name, value)?) });
            return Ok(true);
        }
        let (stem, custom) = name.split_once('.').map_or((name, None), |(stem, custom)| (stem, Some(custom)));
        let Some(column) = column_named(stem).filter(|column| custom.is_some() == (column.kind == ColumnKind::Custom)) else {
            return Ok(false);
        };
        if let Some(control) = crate::scim::text::forbidden_control(value).or(crate::scim::text::forbidden_control(name)) {
            return Err(ScimError::invalid_value(format!("{} holds the control character {control:?}", quote(name))));
        }
        let test = match column.kind {
            ColumnKind::Constant => return Ok(false),
            ColumnKind::Custom => Test::Custom(custom.unwrap_or_default().to_owned(), value.to_owned()),
            ColumnKind::Id => Test::Id(parse_id(value)),
            ColumnKind::Flag => Test::Flag(flag(name, value)?),
            ColumnKind::Time => Test::Time(time(name, value)?),
            ColumnKind::Names if value.is_empty() => return Err(expected(name, value, "the name of a field")),
            ColumnKind::Names => Test::Names(value.to_owned()),
            _ if value.is_empty() => Test::Absent,
            ColumnKind::Text => Test::Text(value.to_owned()),
            ColumnKind::Folded(_) => Test::Text(unique_key(name, value)?),
            ColumnKind::Manager => Test::Manager(value.to_owned()),
        };
        let sql = match column.kind {
            ColumnKind::Folded(key) => key,
            _ => column.sql,
        };
        self.filters.push(Filter { sql, test });
        Ok(true)
    }

    /// Orders the search by a column, descending with a `-` in front; without an order employees come as they arrived.
    ///
    /// # Errors
    /// 400 when there is no such order.
    pub fn sort(&mut self, value: &str) -> Result<(), ScimError> {
        let (name, descending) = value.strip_prefix('-').map_or((value, false), |name| (name, true));
        let Some(column) = column_named(name).filter(|column| column.sorts()) else {
            let names: Vec<_> = COLUMNS.iter().filter(|column| column.sorts()).map(|column| column.name).collect();
            return Err(expected("sort", value, &format!("one of {}, with a - in front for descending", names.join(", "))));
        };
        let kind = if column.kind == ColumnKind::Time { OrderKind::Time } else { OrderKind::Text };
        self.order = Some(Order { name: column.name, sql: column.sql, kind, descending });
        Ok(())
    }

    /// The employees that report to this one.
    #[must_use]
    pub fn reports_of(manager: Uuid) -> Self {
        let manager = Filter { sql: column_named("manager_id").expect("it is in the table").sql, test: Test::Manager(manager.to_string()) };
        Self { filters: vec![manager], order: None }
    }
}

fn expected(name: &str, value: &str, what: &str) -> ScimError {
    ScimError::invalid_value(format!("{name} is {}; {what} is expected", quote(value)))
}

fn flag(name: &str, value: &str) -> Result<bool, ScimError> {
    value.parse().map_err(|_| expected(name, value, "true or false"))
}

fn time(name: &str, value: &str) -> Result<DateTime<Utc>, ScimError> {
    parse_date_time(value).ok_or_else(|| expected(name, value, "a time such as 2026-01-31T08:00:00Z (a + of a zone is written %2B)"))
}

/// The key under which an e-mail address or a reference to a manager is looked up; none when it is too long for an index.
pub(super) fn lookup_key(value: Option<&str>) -> Option<String> {
    unique_key("", value?).ok()
}

/// Where a page begins: behind this employee.
#[derive(Debug, Clone)]
struct Place {
    seq: i64,
    /// What the order compares; none without an order, or when the employee has no value.
    value: Option<String>,
}

impl Place {
    /// A cursor: the place, and the order it belongs to, so that it is not taken for one of another order.
    fn cursor(&self, order: Option<Order>) -> String {
        let Some(order) = order else { return self.seq.to_string() };
        let sign = if order.descending { "-" } else { "" };
        let value = self.value.as_ref().map_or("-".to_owned(), |value| value.bytes().map(|byte| format!("{byte:02x}")).collect());
        format!("{}~{sign}{}~{value}", self.seq, order.name)
    }

    fn parse(cursor: &str, order: Option<Order>) -> Result<Self, ScimError> {
        let refused = || ScimError::bad(crate::scim::ScimType::InvalidCursor, format!("cursor is {}, which no page gave", quote(cursor)));
        let mut parts = cursor.split('~');
        let seq = parts.next().and_then(|seq| seq.parse().ok()).ok_or_else(refused)?;
        let (named, value) = (parts.next(), parts.next());
        let sign = order.map_or("", |order| if order.descending { "-" } else { "" });
        if parts.next().is_some() || named != order.map(|order| format!("{sign}{}", order.name)).as_deref() {
            return Err(ScimError::bad(
                crate::scim::ScimType::InvalidCursor,
                "the cursor belongs to another order; sort must stay the same",
            ));
        }
        let value = match value {
            None | Some("-") => None,
            Some(hex) => Some(unhex(hex).ok_or_else(refused)?),
        };
        if order.is_some_and(|order| order.kind == OrderKind::Time) && value.as_deref().and_then(parse_date_time).is_none() {
            return Err(refused());
        }
        Ok(Self { seq, value })
    }
}

fn unhex(hex: &str) -> Option<String> {
    let digits: Option<Vec<u8>> = hex.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
    let bytes = digits?.chunks(2).map(|pair| if let [high, low] = pair { Some(high << 4 | low) } else { None }).collect::<Option<_>>()?;
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

#[derive(FromRow)]
struct Placed {
    seq: i64,
    sort_value: Option<String>,
    #[sqlx(flatten)]
    employee: EmployeeRow,
}

impl Directory {
    /// The employee with this id.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn employee(&self, tenant_id: Uuid, id: Uuid) -> Result<Option<EmployeeRow>, Error> {
        let employee = sqlx::query_as("select e.* from employees e where e.tenant_id = $1 and e.id = $2")
            .bind(tenant_id)
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        Ok(employee)
    }

    /// A page of the employees that a search finds, behind a cursor; and how many it finds in all.
    ///
    /// # Errors
    /// 400 `invalidCursor` when no page of this search gave the cursor.
    pub async fn search_employees(
        &self,
        tenant_id: Uuid,
        search: &EmployeeSearch,
        cursor: Option<&str>,
        limit: i64,
    ) -> Result<Employees, Error> {
        let after = cursor.map(|cursor| Place::parse(cursor, search.order)).transpose()?;
        let filters = self.resolve(tenant_id, search).await?;
        let mut count = Statement::new(tenant_id, "");
        count.sql("select count(*) from users r where r.tenant_id = $1");
        filters.iter().for_each(|filter| write_filter(filter, &mut count));
        let total = count.query.build_query_scalar().fetch_one(&self.pool).await?;
        let mut rows = self.employees_placed(tenant_id, &filters, search.order, after.as_ref(), limit.saturating_add(1)).await?;
        let more = i64::try_from(rows.len()).unwrap_or(i64::MAX) > limit;
        rows.truncate(usize::try_from(limit).unwrap_or_default());
        let last = rows.last().filter(|_| more);
        let next = last.map(|row| Place { seq: row.seq, value: row.sort_value.clone() }.cursor(search.order));
        Ok(Employees { employees: rows.into_iter().map(|row| row.employee).collect(), total, next })
    }

    async fn employees_placed(
        &self,
        tenant_id: Uuid,
        filters: &[Resolved],
        order: Option<Order>,
        after: Option<&Place>,
        limit: i64,
    ) -> Result<Vec<Placed>, Error> {
        let mut statement = Statement::new(tenant_id, "");
        statement.sql(", page as (select r.id, r.seq, ");
        statement.sql(order.map_or("null", |order| order.sql)).sql(match order.map(|order| order.kind) {
            Some(OrderKind::Time) => " as sort_key from users r where r.tenant_id = $1",
            _ => "::text collate \"C\" as sort_key from users r where r.tenant_id = $1",
        });
        filters.iter().for_each(|filter| write_filter(filter, &mut statement));
        if let Some(after) = after {
            write_after(order, after, &mut statement);
        }
        statement.sql(" order by ").sql(order_by(order)).sql(" limit ").bind(limit);
        // The text of a time is fixed by the session's settings; a cursor needs one that is not.
        statement.sql(match order.map(|order| order.kind) {
            Some(OrderKind::Time) => {
                ") select p.seq, to_char(p.sort_key at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as sort_value, e.*"
            }
            _ => ") select p.seq, p.sort_key as sort_value, e.*",
        });
        statement.sql(" from page p join employees e on e.tenant_id = $1 and e.id = p.id order by ").sql(order_by(order));
        Ok(statement.query.build_query_as().fetch_all(&self.pool).await?)
    }

    /// A filter on the manager needs the keys under which others may refer to them.
    pub(super) async fn resolve(&self, tenant_id: Uuid, search: &EmployeeSearch) -> Result<Vec<Resolved>, Error> {
        let mut resolved = Vec::with_capacity(search.filters.len());
        for filter in &search.filters {
            let keys = match &filter.test {
                Test::Manager(reference) => self.manager_keys(tenant_id, reference).await?,
                _ => Vec::new(),
            };
            resolved.push(Resolved { filter: filter.clone(), keys });
        }
        Ok(resolved)
    }

    async fn manager_keys(&self, tenant_id: Uuid, reference: &str) -> Result<Vec<String>, Error> {
        let mut keys = vec![unique_key("manager_id", reference)?];
        if let Some(id) = parse_id(reference) {
            let names: Option<(String, Option<String>)> =
                sqlx::query_as("select user_name_key, external_id from users where tenant_id = $1 and id = $2")
                    .bind(tenant_id)
                    .bind(id)
                    .fetch_optional(&self.pool)
                    .await?;
            if let Some((user_name_key, external_id)) = names {
                keys.push(user_name_key);
                keys.extend(lookup_key(external_id.as_deref()));
            }
        }
        Ok(keys)
    }
}

/// A filter, with what the database knows of it.
pub(super) struct Resolved {
    filter: Filter,
    keys: Vec<String>,
}

pub(super) fn write_filter(resolved: &Resolved, statement: &mut Statement) {
    let sql = resolved.filter.sql;
    if let Test::Manager(_) = resolved.filter.test {
        // The few that can refer to the manager by the index, before the view says whom each of them means.
        statement.sql(" and r.manager_key = any (").bind(resolved.keys.clone()).sql(")");
    }
    statement.sql(" and ");
    match &resolved.filter.test {
        Test::Absent => statement.sql(sql).sql(" is null"),
        Test::Text(text) | Test::Manager(text) => statement.sql(sql).sql(" = ").bind(text.clone()),
        Test::Id(id) => statement.sql(sql).sql(" = ").bind(*id).sql("::uuid"),
        Test::Flag(flag) => statement.sql(sql).sql(" = ").bind(*flag),
        Test::Time(time) => statement.sql(sql).sql(" = ").bind(*time),
        Test::Since(time) => statement.sql(sql).sql(" >= ").bind(*time),
        Test::Names(name) => statement.bind(name.clone()).sql(" = any (").sql(sql).sql(")"),
        Test::Custom(name, value) if value.is_empty() => statement.sql("not ").sql(sql).sql(" ? ").bind(name.clone()),
        Test::Custom(name, value) => statement.sql(sql).sql(" ->> ").bind(name.clone()).sql(" = ").bind(value.clone()),
    };
}

/// `seq` breaks ties in the direction of the order, so the order is total and an index on both is read either way. Text that is
/// absent comes last in both directions; times are never absent, and saying where nulls go would keep the index from being used.
fn order_by(order: Option<Order>) -> &'static str {
    match order.map(|order| (order.kind, order.descending)) {
        None => "seq",
        Some((_, false)) => "sort_key, seq",
        Some((OrderKind::Text, true)) => "sort_key desc nulls last, seq desc",
        Some((OrderKind::Time, true)) => "sort_key desc, seq desc",
    }
}

fn write_after(order: Option<Order>, after: &Place, statement: &mut Statement) {
    let Some(order) = order else {
        statement.sql(" and r.seq > ").bind(after.seq);
        return;
    };
    let (beyond, behind) = if order.descending { (" < ", " and r.seq < ") } else { (" > ", " and r.seq > ") };
    match (order.kind, &after.value) {
        (OrderKind::Time, value) => {
            let time = value.as_deref().and_then(parse_date_time).unwrap_or_default();
            statement.sql(" and (").sql(order.sql).sql(", r.seq)").sql(beyond).sql("(").bind(time).sql(", ").bind(after.seq).sql(")");
        }
        (OrderKind::Text, None) => {
            statement.sql(" and ").sql(order.sql).sql(" is null").sql(behind).bind(after.seq);
        }
        (OrderKind::Text, Some(value)) => {
            statement.sql(" and (").sql(order.sql).sql(" is null or ").sql(order.sql).sql("::text collate \"C\"").sql(beyond);
            statement.bind(value.clone()).sql(" or (").sql(order.sql).sql("::text = ").bind(value.clone());
            statement.sql(behind).bind(after.seq).sql("))");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(text: &str) -> Option<Order> {
        let mut search = EmployeeSearch::default();
        search.sort(text).unwrap();
        search.order
    }

    #[test]
    fn a_cursor_leads_back_to_its_place_and_to_no_other_order() {
        for (order, value) in [(None, None), (order("last_name"), Some("Ünal ~ 1")), (order("-title"), None), (order("name"), Some(""))] {
            let cursor = Place { seq: 7, value: value.map(str::to_owned) }.cursor(order);
            assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"~-_".contains(&byte)), "{cursor} needs no encoding");
            let place = Place::parse(&cursor, order).unwrap();
            assert_eq!((place.seq, place.value.as_deref()), (7, value));
            assert!(Place::parse(&cursor, self::order("-phone")).is_err());
        }
    }

    #[test]
    fn a_cursor_that_no_page_gave_is_refused() {
        for cursor in ["", "x", "1~", "1~name~zz", "1~name~f", "1~name~ff", "1~name~00", "1~name~61~1", "1~updated_at~-", "1~updated_at~61"]
        {
            assert!(Place::parse(cursor, order("name")).is_err() && Place::parse(cursor, order("updated_at")).is_err(), "{cursor}");
        }
    }
}
