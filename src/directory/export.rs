//! Exports of employees: all that a search finds as CSV or JSON, in parts, so that memory is constant, however many they are.
//!
//! A part is one snapshot of the database. While its text is written and taken, the next part is read; no connection waits for
//! whoever takes the text. Not here: pages of JSON, which are `employee_search`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::Write as _;

use futures_util::stream::{self, Stream, StreamExt as _};
use sqlx::postgres::PgRow;
use sqlx::{FromRow as _, Row as _};
use tokio::task::{JoinHandle, spawn_blocking};
use uuid::Uuid;

use super::employee_search::write_filter;
use super::search_sql::Statement;
use super::{Directory, EmployeeRow, EmployeeSearch, Error};

/// Employees in a part: some 1 MB. Of a part twice the size, the statements cost no less for each employee.
const PART: i64 = 2_000;

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, with a header; `custom` is JSON, `missing` is separated by blanks.
    Csv,
    /// One JSON array.
    Json,
    /// One JSON object a line.
    NdJson,
}

impl Format {
    fn opening(self) -> &'static str {
        match self {
            Self::Csv => CSV_HEADER,
            Self::Json => "[",
            Self::NdJson => "",
        }
    }

    fn closing(self) -> &'static str {
        if self == Self::Json { "\n]\n" } else { "" }
    }
}

impl Directory {
    /// All employees that a search finds, in the order in which they arrived. One part is read ahead of the text that was taken,
    /// and no further. A fault ends the stream with an error: what came before it is then not the whole.
    pub fn export_employees(
        &self,
        tenant_id: Uuid,
        search: EmployeeSearch,
        format: Format,
    ) -> impl Stream<Item = Result<Vec<u8>, Error>> + Send + 'static {
        // What is being read, and whether it is the first part.
        let begun = (self.clone().read_ahead(tenant_id, search.clone(), 0), true);
        let directory = self.clone();
        let parts = stream::try_unfold(begun, move |(reading, first)| {
            let (directory, search) = (directory.clone(), search.clone());
            async move {
                let Some(part) = reading.await.map_err(Error::internal)?? else { return Ok::<_, Error>(None) };
                let reading = directory.read_ahead(tenant_id, search, part.last);
                let text = spawn_blocking(move || part.write(format, first)).await.map_err(Error::internal)??;
                Ok(Some((text, (reading, false))))
            }
        });
        let edge = |text: &'static str| stream::iter((!text.is_empty()).then(|| Ok(text.into())));
        edge(format.opening()).chain(parts).chain(edge(format.closing()))
    }

    fn read_ahead(self, tenant_id: Uuid, search: EmployeeSearch, after: i64) -> JoinHandle<Result<Option<Part>, Error>> {
        tokio::spawn(async move { self.part_behind(tenant_id, &search, after).await })
    }

    /// The next part behind a place; `None` after the last one. Its transaction sees one snapshot, so that a manager is whom the
    /// reference meant when the employee had it.
    async fn part_behind(&self, tenant_id: Uuid, search: &EmployeeSearch, after: i64) -> Result<Option<Part>, Error> {
        let filters = self.resolve(tenant_id, search).await?;
        let mut statement = Statement::new(tenant_id, "");
        // The columns of the view, with the manager's reference instead of the manager.
        statement.sql(
            "select r.seq, r.manager_key, (select t.slug from tenants t where t.id = $1) as tenant, r.tenant_id, r.id, r.user_name,
                 r.external_id, r.active, r.first_name, r.last_name, r.name, r.title, r.email, r.phone, r.location, r.cost_center,
                 r.employment_type, r.department_name, r.team_name, r.manager_id, r.custom, r.complete, r.missing, r.created_at,
                 r.updated_at, false as manager_resolved
             from users r
             where r.tenant_id = $1",
        );
        filters.iter().for_each(|filter| write_filter(filter, &mut statement));
        statement.sql(" and r.seq > ").bind(after).sql(" order by r.seq limit ").bind(PART);
        let mut transaction = self.pool.begin().await?;
        sqlx::query("set transaction isolation level repeatable read, read only").execute(&mut *transaction).await?;
        let rows = statement.query.build().fetch_all(&mut *transaction).await?;
        let Some(last) = rows.last() else {
            transaction.commit().await?;
            return Ok(None);
        };
        let last = last.try_get("seq")?;
        let references = References::of(&rows)?;
        // Whom a reference means is the view's business alone. It is asked once for each reference, since many have one manager.
        let found: Vec<(i64, String)> = sqlx::query_as(
            "select first.number, e.manager_id
             from unnest($2::uuid[]) with ordinality as first (id, number)
             join employees e on e.tenant_id = $1 and e.id = first.id
             where e.manager_resolved",
        )
        .bind(tenant_id)
        .bind(&references.first)
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        let mut managers = vec![None; references.first.len()];
        for (number, manager) in found {
            let number = usize::try_from(number - 1).map_err(Error::internal)?;
            managers[number] = Some(manager);
        }
        Ok(Some(Part { rows, last, references: references.of_rows, managers }))
    }
}

/// The references to managers in a part, each with a number.
struct References {
    /// Each reference's first employee.
    first: Vec<Uuid>,
    /// The number of each row's reference.
    of_rows: Vec<Option<usize>>,
}

impl References {
    fn of(rows: &[PgRow]) -> Result<Self, sqlx::Error> {
        let mut numbers: HashMap<(&str, Option<&str>), usize> = HashMap::new();
        let (mut first, mut of_rows) = (Vec::new(), Vec::with_capacity(rows.len()));
        for row in rows {
            let Some(reference) = row.try_get("manager_id")? else {
                of_rows.push(None);
                continue;
            };
            let number = match numbers.entry((reference, row.try_get("manager_key")?)) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    first.push(row.try_get("id")?);
                    *new.insert(first.len() - 1)
                }
            };
            of_rows.push(Some(number));
        }
        Ok(Self { first, of_rows })
    }
}

/// Employees that follow each other.
struct Part {
    rows: Vec<PgRow>,
    /// The place of the last one.
    last: i64,
    /// The number of each row's reference to a manager.
    references: Vec<Option<usize>>,
    /// The manager's id by the number of the reference, when it leads to somebody.
    managers: Vec<Option<String>>,
}

impl Part {
    fn write(&self, format: Format, first: bool) -> Result<Vec<u8>, Error> {
        let mut out = Vec::with_capacity(self.rows.len() * 512);
        for (row, reference) in self.rows.iter().zip(&self.references) {
            let mut employee = EmployeeRow::<&str>::from_row(row)?;
            if let Some(manager) = reference.and_then(|number| self.managers[number].as_deref()) {
                employee.manager_id = Some(manager);
                employee.manager_resolved = true;
            }
            match format {
                Format::Csv => write_csv(&employee, &mut out).map_err(Error::internal)?,
                Format::Json => {
                    out.extend_from_slice(if first && out.is_empty() { b"\n" } else { b",\n" });
                    serde_json::to_writer(&mut out, &employee).map_err(Error::internal)?;
                }
                Format::NdJson => {
                    serde_json::to_writer(&mut out, &employee).map_err(Error::internal)?;
                    out.push(b'\n');
                }
            }
        }
        Ok(out)
    }
}

/// The first line of the CSV form.
const CSV_HEADER: &str = "tenant,tenant_id,id,user_name,external_id,active,first_name,last_name,name,title,email,phone,location,\
    cost_center,employment_type,department_name,team_name,manager_id,custom,complete,missing,created_at,updated_at,manager_resolved\r\n";

/// A line of the CSV form.
fn write_csv(row: &EmployeeRow<&str>, out: &mut Vec<u8>) -> std::io::Result<()> {
    field(row.tenant, out);
    write!(out, "{},{},", row.tenant_id, row.id)?;
    field(row.user_name, out);
    field(row.external_id.unwrap_or_default(), out);
    write!(out, "{},", row.active)?;
    let texts = [row.first_name, row.last_name, row.name, row.title, row.email, row.phone, row.location, row.cost_center];
    let more = [row.employment_type, row.department_name, row.team_name, row.manager_id];
    texts.into_iter().chain(more).for_each(|text| field(text.unwrap_or_default(), out));
    if row.custom.is_empty() {
        out.extend_from_slice(b"{},");
    } else {
        field(&serde_json::to_string(&row.custom)?, out);
    }
    write!(out, "{},", row.complete)?;
    field(&row.missing.join(" "), out);
    field(&row.created_at.to_rfc3339(), out);
    field(&row.updated_at.to_rfc3339(), out);
    write!(out, "{}\r\n", row.manager_resolved)
}

/// A field and the comma behind it. One that a spreadsheet would take for a formula begins with an apostrophe: people open exports
/// by double-clicking them.
fn field(text: &str, out: &mut Vec<u8>) {
    let quoted = text.bytes().any(|byte| matches!(byte, b'"' | b',' | b'\r' | b'\n'));
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    out.extend_from_slice(match (quoted, formula) {
        (false, false) => b"",
        (false, true) => b"'",
        (true, false) => b"\"",
        (true, true) => b"\"'",
    });
    if !quoted {
        out.extend_from_slice(text.as_bytes());
        out.push(b',');
        return;
    }
    for (at, part) in text.split('"').enumerate() {
        if at > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b"\",");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::COLUMNS;

    fn csv_field(text: &str) -> String {
        let mut out = Vec::new();
        field(text, &mut out);
        assert_eq!(out.pop(), Some(b','));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn csv_fields_are_quoted_and_formulas_defused() {
        assert_eq!(csv_field(""), "");
        assert_eq!(csv_field("plain"), "plain");
        assert_eq!(csv_field("-1"), "'-1");
        assert_eq!(csv_field("\""), "\"\"\"\"");
        assert_eq!(csv_field("two\r\nlines"), "\"two\r\nlines\"");
        assert_eq!(csv_field("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(csv_field("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        let names: Vec<_> = COLUMNS.iter().map(|column| column.name).collect();
        assert_eq!(CSV_HEADER.trim_end().split(',').collect::<Vec<_>>(), names);
    }
}
