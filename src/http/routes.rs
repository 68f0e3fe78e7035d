//! Every route under a base, in one table: the router is built from it, and so is the test that each of them, the public ones
//! aside, refuses a request without a token.

use axum::routing::{MethodRouter, delete, get, post};

use super::{App, BASES, bulk, changes, discovery, employees, groups, organization, search, users};

/// A path and what answers it.
pub struct Route {
    /// The path under a base, in axum's notation.
    pub path: &'static str,
    /// The methods it has; HEAD comes with GET.
    pub methods: &'static [&'static str],
    /// Whether GET answers without a token, too.
    pub public: bool,
    pub(super) handler: fn() -> MethodRouter<App>,
}

/// The routes under each base of SCIM (RFC 7644 §3.2, table 2).
pub const SCIM: &[Route] = &[
    Route { path: "/Users", methods: &["GET", "POST"], public: false, handler: || get(search::users).post(users::create) },
    Route { path: "/Users/.search", methods: &["POST"], public: false, handler: || post(search::users_by_post) },
    Route {
        path: "/Users/{id}",
        methods: &["GET", "PUT", "PATCH", "DELETE"],
        public: false,
        handler: || get(users::read).put(users::replace).patch(users::patch).merge(delete(users::delete)),
    },
    Route { path: "/Groups", methods: &["GET", "POST"], public: false, handler: || get(search::groups).post(groups::create) },
    Route { path: "/Groups/.search", methods: &["POST"], public: false, handler: || post(search::groups_by_post) },
    Route {
        path: "/Groups/{id}",
        methods: &["GET", "PUT", "PATCH", "DELETE"],
        public: false,
        handler: || get(groups::read).put(groups::replace).patch(groups::patch).merge(delete(groups::delete)),
    },
    Route {
        path: "/Me",
        methods: &["GET", "POST", "PUT", "PATCH", "DELETE"],
        public: false,
        handler: || get(discovery::me).post(discovery::me).put(discovery::me).patch(discovery::me).delete(discovery::me),
    },
    Route { path: "/Bulk", methods: &["POST"], public: false, handler: || post(bulk::bulk) },
    Route { path: "", methods: &["GET"], public: false, handler: || get(search::everything) },
    Route { path: "/.search", methods: &["POST"], public: false, handler: || post(search::everything_by_post) },
    // RFC 7643 §5: "make the authenticationSchemes attribute publicly accessible without prior authentication".
    Route { path: "/ServiceProviderConfig", methods: &["GET"], public: true, handler: || get(discovery::service_provider_config) },
    Route { path: "/ResourceTypes", methods: &["GET"], public: false, handler: || get(discovery::resource_types) },
    Route { path: "/ResourceTypes/{id}", methods: &["GET"], public: false, handler: || get(discovery::resource_type) },
    Route { path: "/Schemas", methods: &["GET"], public: false, handler: || get(discovery::schemas) },
    Route { path: "/Schemas/{id}", methods: &["GET"], public: false, handler: || get(discovery::schema) },
];

/// The routes of the workplace product's API.
pub const API: &[Route] = &[
    Route { path: "/employees", methods: &["GET"], public: false, handler: || get(employees::list) },
    Route { path: "/employees.csv", methods: &["GET"], public: false, handler: || get(employees::csv) },
    Route { path: "/employees.ndjson", methods: &["GET"], public: false, handler: || get(employees::ndjson) },
    Route { path: "/employees/{id}", methods: &["GET"], public: false, handler: || get(employees::read) },
    Route { path: "/employees/{id}/history", methods: &["GET"], public: false, handler: || get(employees::history) },
    Route { path: "/employees/{id}/reports", methods: &["GET"], public: false, handler: || get(employees::reports) },
    Route { path: "/departments", methods: &["GET"], public: false, handler: || get(organization::departments) },
    Route { path: "/teams", methods: &["GET"], public: false, handler: || get(organization::teams) },
    Route { path: "/locations", methods: &["GET"], public: false, handler: || get(organization::locations) },
    Route { path: "/cost-centers", methods: &["GET"], public: false, handler: || get(organization::cost_centers) },
    Route { path: "/changes", methods: &["GET"], public: false, handler: || get(changes::list) },
];

/// Whether a path, base included, is that of a public route.
pub(super) fn is_public(path: &str) -> bool {
    let mut open = SCIM.iter().filter(|route| route.public);
    open.any(|route| BASES.iter().any(|base| path.strip_prefix(base) == Some(route.path)))
}
