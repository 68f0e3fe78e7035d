//! Employees as the workplace product reads them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

/// An employee: a row of the view `employees`, and the JSON of `GET /api/v1/employees`. `T` is how it holds
/// its texts.
#[derive(Debug, Clone, Serialize, FromRow)]
#[expect(missing_docs, reason = "the fields are the columns of the view, which docs/api.md describes")]
pub struct EmployeeRow<T = String> {
    pub tenant: T,
    pub tenant_id: Uuid,
    pub id: Uuid,
    pub user_name: T,
    pub external_id: Option<T>,
    pub active: bool,
    pub first_name: Option<T>,
    pub last_name: Option<T>,
    pub name: Option<T>,
    pub title: Option<T>,
    pub email: Option<T>,
    pub phone: Option<T>,
    pub location: Option<T>,
    pub cost_center: Option<T>,
    pub employment_type: Option<T>,
    pub department_name: Option<T>,
    pub team_name: Option<T>,
    pub manager_id: Option<T>,
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
