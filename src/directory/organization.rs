//! How a tenant is divided: the names of its departments, teams, locations and cost centers, each with its heads.

use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

use super::search_sql::Statement;
use super::{Directory, Error};

/// What employees are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// By department.
    Department,
    /// By team.
    Team,
    /// By location.
    Location,
    /// By cost center.
    CostCenter,
}

impl Unit {
    /// The name of its list in JSON.
    #[must_use]
    pub fn list(self) -> &'static str {
        match self {
            Self::Department => "departments",
            Self::Team => "teams",
            Self::Location => "locations",
            Self::CostCenter => "cost_centers",
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Department => "r.department_name",
            Self::Team => "r.team_name",
            Self::Location => "r.location",
            Self::CostCenter => "r.cost_center",
        }
    }
}

/// A name and its heads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct HeadCount {
    /// The name, as the employees have it.
    pub name: String,
    /// Employees who are active.
    pub active: i64,
    /// All employees.
    pub total: i64,
}

/// A page of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadCounts {
    /// Those on this page, in the order of code points.
    pub names: Vec<HeadCount>,
    /// How many names there are.
    pub total: i64,
    /// The last name on this page when more follow.
    pub next: Option<String>,
}

#[derive(FromRow)]
struct Row {
    names: i64,
    #[sqlx(flatten)]
    count: HeadCount,
}

impl Directory {
    /// A page of the names of a unit behind the name `after`. Employees without one are in none.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn head_counts(&self, tenant_id: Uuid, unit: Unit, after: Option<&str>, limit: i64) -> Result<HeadCounts, Error> {
        let mut statement = Statement::new(tenant_id, "");
        statement.sql(", counts as (select ").sql(unit.column());
        statement.sql(
            " collate \"C\" as name, count(*) filter (where r.active) as active, count(*) as total
             from users r where r.tenant_id = $1 and ",
        );
        statement.sql(unit.column()).sql(" is not null group by 1");
        statement.sql(") select (select count(*) from counts) as names, c.* from counts c where ");
        statement.bind(after.map(str::to_owned)).sql("::text is null or c.name > ").bind(after.map(str::to_owned));
        statement.sql("::text order by c.name limit ").bind(limit.saturating_add(1));
        let mut rows: Vec<Row> = statement.query.build_query_as().fetch_all(&self.pool).await?;
        let total = rows.first().map_or(0, |row| row.names);
        let more = i64::try_from(rows.len()).unwrap_or(i64::MAX) > limit;
        rows.truncate(usize::try_from(limit).unwrap_or_default());
        let next = rows.last().filter(|_| more).map(|row| row.count.name.clone());
        Ok(HeadCounts { names: rows.into_iter().map(|row| row.count).collect(), total, next })
    }
}
