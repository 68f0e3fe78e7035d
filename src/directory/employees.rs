//! Employees as the workplace product reads them.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::FromRow;
use sqlx::types::Json;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use uuid::Uuid;

use super::{Directory, Error, Tenant};

/// An employee: a row of the view `employees`, and the JSON of `GET /api/v1/employees`.
#[derive(Debug, Clone, Serialize, FromRow)]
#[expect(missing_docs, reason = "the fields are the columns of the view, which docs/api.md describes")]
pub struct EmployeeRow {
    pub tenant: String,
    pub tenant_id: Uuid,
    pub id: Uuid,
    pub user_name: String,
    pub external_id: Option<String>,
    pub active: bool,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub name: Option<String>,
    pub title: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub location: Option<String>,
    pub cost_center: Option<String>,
    pub employment_type: Option<String>,
    pub department_name: Option<String>,
    pub team_name: Option<String>,
    pub manager_id: Option<String>,
    pub custom: Json<Map<String, Value>>,
    pub complete: bool,
    pub missing: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub manager_resolved: bool,
}

/// A page of employees.
#[derive(Debug, Clone)]
pub struct Employees {
    /// Those on this page.
    pub employees: Vec<EmployeeRow>,
    /// How many the search finds.
    pub total: i64,
    /// The cursor of the next page when more follow.
    pub next: Option<String>,
}

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, with a header; `custom` is JSON, `missing` is separated by blanks.
    Csv,
    /// One JSON array.
    Json,
}

impl Directory {
    /// Writes all employees of a tenant, one after the other, in the order in which they arrived.
    ///
    /// # Errors
    /// The database's, and `Internal` when the output cannot be written.
    pub async fn export_employees<W: AsyncWrite + Unpin>(&self, tenant: &Tenant, format: Format, out: &mut W) -> Result<u64, Error> {
        let mut connection = self.pool.acquire().await?;
        let mut rows = sqlx::query_as::<_, EmployeeRow>(
            "select e.* from users u join employees e on e.tenant_id = u.tenant_id and e.id = u.id where u.tenant_id = $1 order by u.seq",
        )
        .bind(tenant.id)
        .fetch(&mut connection);
        let mut count = 0_u64;
        let opening = if format == Format::Csv { CSV_HEADER } else { "[" };
        out.write_all(opening.as_bytes()).await.map_err(Error::internal)?;
        while let Some(row) = rows.try_next().await? {
            let text = match format {
                Format::Csv => csv_line(&row),
                Format::Json => {
                    let separator = if count == 0 { "\n" } else { ",\n" };
                    format!("{separator}{}", serde_json::to_string(&row).map_err(Error::internal)?)
                }
            };
            out.write_all(text.as_bytes()).await.map_err(Error::internal)?;
            count += 1;
        }
        if format == Format::Json {
            out.write_all(b"\n]\n").await.map_err(Error::internal)?;
        }
        out.flush().await.map_err(Error::internal)?;
        Ok(count)
    }
}

/// The first line of the CSV form.
pub const CSV_HEADER: &str = "tenant,tenant_id,id,user_name,external_id,active,first_name,last_name,name,title,email,phone,location,\
    cost_center,employment_type,department_name,team_name,manager_id,custom,complete,missing,created_at,updated_at,manager_resolved\r\n";

/// A line of the CSV form.
#[must_use]
pub fn csv_line(row: &EmployeeRow) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let fields = [
        row.tenant.clone(),
        row.tenant_id.to_string(),
        row.id.to_string(),
        row.user_name.clone(),
        text(&row.external_id),
        row.active.to_string(),
        text(&row.first_name),
        text(&row.last_name),
        text(&row.name),
        text(&row.title),
        text(&row.email),
        text(&row.phone),
        text(&row.location),
        text(&row.cost_center),
        text(&row.employment_type),
        text(&row.department_name),
        text(&row.team_name),
        text(&row.manager_id),
        Value::Object(row.custom.0.clone()).to_string(),
        row.complete.to_string(),
        row.missing.join(" "),
        row.created_at.to_rfc3339(),
        row.updated_at.to_rfc3339(),
        row.manager_resolved.to_string(),
    ];
    let mut line = fields.map(|field| csv_field(&field)).join(",");
    line.push_str("\r\n");
    line
}

/// A field that a spreadsheet would take for a formula begins with an apostrophe: people open exports by double-clicking them.
fn csv_field(text: &str) -> String {
    let defused = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    if defused.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", defused.replace('"', "\"\"")) } else { defused }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::COLUMNS;

    #[test]
    fn csv_fields_are_quoted_and_formulas_defused() {
        assert_eq!(csv_field("plain"), "plain");
        assert_eq!(csv_field("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(csv_field("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        let names: Vec<_> = COLUMNS.iter().map(|column| column.name).collect();
        assert_eq!(CSV_HEADER.trim_end().split(',').collect::<Vec<_>>(), names);
    }
}
