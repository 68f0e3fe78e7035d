//! Many new users in one statement, for bulk requests: all of them or, when one is refused, none. Who was refused and why is found
//! out by whoever then creates them one by one (`users::create`).

use sqlx::types::Json;
use uuid::Uuid;

use super::employee_search::lookup_key;
use super::events::Kind;
use super::users::{New, Projection};
use super::{Error, Origin, Session};
use crate::workplace::Employee;

/// The columns of a new user's row behind `tenant_id`, in the order in which both statements that create users give them.
macro_rules! new_user_columns {
    () => {
        "id, document, folded, unmapped, user_name, user_name_key, display_name, external_id, active, first_name, last_name, \
         name, title, email, phone, location, cost_center, employment_type, department_name, team_name, manager_id, custom, missing, \
         password_hash, mapping_version, email_key, manager_key, created_at, updated_at"
    };
}

pub(super) use new_user_columns;

/// Creates users, with their events, in the order given, which is the order of lists and of the record. The result has each one's id
/// and version.
///
/// # Errors
/// As `users::create`, but a name that is taken is not told apart from a fault.
pub(super) async fn insert_all(connection: &mut Session, origin: &Origin, users: &[New<'_>]) -> Result<Vec<(Uuid, i64)>, Error> {
    let of_user = |value: fn(&Projection) -> &str| -> Vec<&str> { users.iter().map(|user| value(&user.projection)).collect() };
    let of_employee =
        |value: fn(&Employee) -> Option<&str>| -> Vec<Option<&str>> { users.iter().map(|user| value(&user.projection.employee)).collect() };
    let key = |value: fn(&Employee) -> Option<&str>| -> Vec<Option<String>> {
        users.iter().map(|user| lookup_key(value(&user.projection.employee))).collect()
    };
    let saved: Vec<(Uuid, i64)> = sqlx::query_as(concat!(
        "with mapped as (
             select id from tenants where id = $1 and mapping_version = $31 for key share
         ), given as (
             select * from unnest($2::uuid[], $3::text[], $4::jsonb[], $5::jsonb[], $6::text[], $7::text[], $8::text[], $9::text[],
                 $10::boolean[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[],
                 $19::text[], $20::text[], $21::text[], $22::text[], $23::jsonb[], $24::jsonb[], $29::jsonb[], $30::text[], $32::text[],
                 $33::text[]) with ordinality
                 as g (id, document, folded, unmapped, user_name, user_name_key, display_name, external_id, active, first_name, last_name,
                     name, title, email, phone, location, cost_center, employment_type, department_name, team_name, manager_id, custom,
                     missing, change, password_hash, email_key, manager_key, number)
         ), saved as (
             insert into users (tenant_id, ",
        new_user_columns!(),
        ")
             select $1, g.id, g.document::json, g.folded, g.unmapped, g.user_name, g.user_name_key, g.display_name, g.external_id,
                 g.active, g.first_name, g.last_name, g.name, g.title, g.email, g.phone, g.location, g.cost_center, g.employment_type,
                 g.department_name, g.team_name, g.manager_id, g.custom, array(select jsonb_array_elements_text(g.missing)),
                 g.password_hash, $31, g.email_key, g.manager_key, date_trunc('milliseconds', now()), date_trunc('milliseconds', now())
             from mapped, given g order by g.number
             returning id, version
         ), recorded as (
             insert into events (tenant_id, connection_id, token_id, request_id, kind, resource_type, resource_id, outcome, change,
                 unit)
             select $1, $25, $26, $27, $28, 'User', g.id, 'success', g.change, $34 from mapped, given g order by g.number
         )
         select id, version from saved",
    ))
    .bind(origin.tenant_id())
    .bind(users.iter().map(|user| user.id).collect::<Vec<_>>())
    .bind(users.iter().map(|user| user.document.as_str()).collect::<Vec<_>>())
    .bind(users.iter().map(|user| Json(&user.projection.folded)).collect::<Vec<_>>())
    .bind(users.iter().map(|user| Json(&*user.unmapped)).collect::<Vec<_>>())
    .bind(of_user(|user| &user.user_name))
    .bind(of_user(|user| &user.user_name_key))
    .bind(of_user(|user| &user.display_name))
    .bind(users.iter().map(|user| user.projection.external_id.as_deref()).collect::<Vec<_>>())
    .bind(users.iter().map(|user| user.projection.active).collect::<Vec<_>>())
    .bind(of_employee(|employee| employee.first_name.as_deref()))
    .bind(of_employee(|employee| employee.last_name.as_deref()))
    .bind(of_employee(|employee| employee.name.as_deref()))
    .bind(of_employee(|employee| employee.title.as_deref()))
    .bind(of_employee(|employee| employee.email.as_deref()))
    .bind(of_employee(|employee| employee.phone.as_deref()))
    .bind(of_employee(|employee| employee.location.as_deref()))
    .bind(of_employee(|employee| employee.cost_center.as_deref()))
    .bind(of_employee(|employee| employee.employment_type.as_deref()))
    .bind(of_employee(|employee| employee.department_name.as_deref()))
    .bind(of_employee(|employee| employee.team_name.as_deref()))
    .bind(of_employee(|employee| employee.manager_id.as_deref()))
    .bind(users.iter().map(|user| Json(&user.projection.employee.custom)).collect::<Vec<_>>())
    .bind(users.iter().map(|user| Json(&user.projection.employee.missing)).collect::<Vec<_>>())
    .bind(origin.caller.connection_id)
    .bind(origin.caller.token_id)
    .bind(&*origin.request_id)
    .bind(Kind::UserCreate.name())
    .bind(users.iter().map(|user| Json(&user.change)).collect::<Vec<_>>())
    .bind(users.iter().map(|user| user.password.hash()).collect::<Vec<_>>())
    .bind(origin.caller.mapping.version)
    .bind(key(|employee| employee.email.as_deref()))
    .bind(key(|employee| employee.manager_id.as_deref()))
    .bind(origin.unit)
    .fetch_all(connection)
    .await?;
    if saved.len() == users.len() { Ok(saved) } else { Err(Error::mapping_changed()) }
}
