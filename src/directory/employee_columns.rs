//! The columns of the view `employees`, in one table: the query parameters of the API, its orders, its description and the CSV
//! form are held to it.

/// A column of the view `employees`.
#[derive(Debug)]
pub struct Column {
    /// Its name in the view, in JSON, as a query parameter and after `sort=`.
    pub name: &'static str,
    /// For a person.
    pub description: &'static str,
    /// What values it has.
    pub kind: ColumnKind,
    /// Whether every employee has a value.
    pub required: bool,
    /// The value of the user `r`.
    pub(super) sql: &'static str,
}

/// What values a column has, and with it how a filter compares and an order compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// The same for all employees of a tenant: neither a filter nor an order.
    Constant,
    /// Text, compared exactly.
    Text,
    /// Text, found in any letter case by the folded column of this name.
    Folded(&'static str),
    /// A UUID.
    Id,
    /// The manager: an employee's id, or a reference that leads to nobody.
    Manager,
    /// True or false.
    Flag,
    /// A point in time.
    Time,
    /// A list of names, found by one of them.
    Names,
    /// An object of texts, found by `custom.NAME`.
    Custom,
}

const fn column(name: &'static str, kind: ColumnKind, sql: &'static str, description: &'static str) -> Column {
    Column { name, description, kind, required: false, sql }
}

const fn required(name: &'static str, kind: ColumnKind, sql: &'static str, description: &'static str) -> Column {
    Column { required: true, ..column(name, kind, sql, description) }
}

/// The columns of the view `employees`, in its order.
pub const COLUMNS: &[Column] = &[
    required("tenant", ColumnKind::Constant, "", "The tenant's slug."),
    required("tenant_id", ColumnKind::Constant, "", "The tenant's id."),
    required("id", ColumnKind::Id, "r.id", "The employee's id, which is the SCIM id of the user."),
    required("user_name", ColumnKind::Folded("r.user_name_key"), "r.user_name", "The user name; found in any letter case."),
    column("external_id", ColumnKind::Text, "r.external_id", "The identity provider's id of the person; need not be unique."),
    required("active", ColumnKind::Flag, "r.active", "Whether the person works here now."),
    column("first_name", ColumnKind::Text, "r.first_name", "The given name."),
    column("last_name", ColumnKind::Text, "r.last_name", "The family name."),
    column("name", ColumnKind::Text, "r.name", "The whole name, as it is shown."),
    column("title", ColumnKind::Text, "r.title", "The job title."),
    column("email", ColumnKind::Folded("r.email_key"), "r.email", "The e-mail address; found in any letter case."),
    column("phone", ColumnKind::Text, "r.phone", "The telephone number."),
    column("location", ColumnKind::Text, "r.location", "The city or site."),
    column("cost_center", ColumnKind::Text, "r.cost_center", "The cost center."),
    column("employment_type", ColumnKind::Text, "r.employment_type", "Full time, contractor and the like."),
    column("department_name", ColumnKind::Text, "r.department_name", "The department."),
    column("team_name", ColumnKind::Text, "r.team_name", "The team within the department."),
    column(
        "manager_id",
        ColumnKind::Manager,
        "(select e.manager_id from employees e where e.tenant_id = $1 and e.id = r.id)",
        "The manager's employee id; while nobody is found behind it, the reference as the identity provider sent it.",
    ),
    required("custom", ColumnKind::Custom, "r.custom", "Custom fields by their name; found by custom.NAME."),
    required("complete", ColumnKind::Flag, "r.complete", "Whether no required field is missing."),
    required("missing", ColumnKind::Names, "r.missing", "The required fields without a value; found by one of them."),
    required("created_at", ColumnKind::Time, "r.created_at", "When the user was created."),
    required("updated_at", ColumnKind::Time, "r.updated_at", "When the user was last changed."),
    required(
        "manager_resolved",
        ColumnKind::Flag,
        "(select e.manager_resolved from employees e where e.tenant_id = $1 and e.id = r.id)",
        "Whether manager_id is the id of an employee.",
    ),
];

/// A point in time that bounds a search from below, and its column.
pub const SINCE: &[(&str, &str)] = &[("created_since", "r.created_at"), ("updated_since", "r.updated_at")];

/// The column of this name.
#[must_use]
pub fn column_named(name: &str) -> Option<&'static Column> {
    COLUMNS.iter().find(|column| column.name == name)
}

impl Column {
    /// Whether a search may be ordered by it.
    #[must_use]
    pub fn sorts(&self) -> bool {
        !matches!(self.kind, ColumnKind::Constant | ColumnKind::Names | ColumnKind::Custom)
    }
}
