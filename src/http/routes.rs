//! Every route behind a token, in one table: the router is built from it, and so is the test that each of them refuses a request
//! without a token.

use axum::routing::{MethodRouter, delete, get, post};

use super::{App, bulk, discovery, employees, groups, search, users};

/// A path and what answers it.
pub struct Route {
    /// The path under a base, in axum's notation.
    pub path: &'static str,
    /// The methods it has; HEAD comes with GET.
    pub methods: &'static [&'static str],
    pub(super) handler: fn() -> MethodRouter<App>,
}

/// The routes under each base of SCIM (RFC 7644 §3.2, table 2).
pub const SCIM: &[Route] = &[
    Route { path: "/Users", methods: &["GET", "POST"], handler: || get(search::users).post(users::create) },
    Route { path: "/Users/.search", methods: &["POST"], handler: || post(search::users_by_post) },
    Route {
        path: "/Users/{id}",
        methods: &["GET", "PUT", "PATCH", "DELETE"],
        handler: || get(users::read).put(users::replace).patch(users::patch).merge(delete(users::delete)),
    },
    Route { path: "/Groups", methods: &["GET", "POST"], handler: || get(search::groups).post(groups::create) },
    Route { path: "/Groups/.search", methods: &["POST"], handler: || post(search::groups_by_post) },
    Route {
        path: "/Groups/{id}",
        methods: &["GET", "PUT", "PATCH", "DELETE"],
        handler: || get(groups::read).put(groups::replace).patch(groups::patch).merge(delete(groups::delete)),
    },
    Route {
        path: "/Me",
        methods: &["GET", "POST", "PUT", "PATCH", "DELETE"],
        handler: || get(discovery::me).post(discovery::me).put(discovery::me).patch(discovery::me).delete(discovery::me),
    },
    Route { path: "/Bulk", methods: &["POST"], handler: || post(bulk::bulk) },
    Route { path: "/.search", methods: &["POST"], handler: || post(discovery::root_search) },
    Route { path: "/ServiceProviderConfig", methods: &["GET"], handler: || get(discovery::service_provider_config) },
    Route { path: "/ResourceTypes", methods: &["GET"], handler: || get(discovery::resource_types) },
    Route { path: "/ResourceTypes/{id}", methods: &["GET"], handler: || get(discovery::resource_type) },
    Route { path: "/Schemas", methods: &["GET"], handler: || get(discovery::schemas) },
    Route { path: "/Schemas/{id}", methods: &["GET"], handler: || get(discovery::schema) },
];

/// The routes of the workplace product's API.
pub const API: &[Route] = &[Route { path: "/employees", methods: &["GET"], handler: || get(employees::list) }];
