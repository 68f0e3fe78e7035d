//! `GET /api/v1/changes`: the feed of changes, with a long poll. Who waits looks into the database from time to time and holds no
//! connection in between; LISTEN would hold one, and does not pass through PgBouncer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::App;
use super::auth::Call;
use super::employees::json_answer;
use super::error::{Failure, scim};
use super::parameters::Parameters;
use crate::directory::{After, Changes};
use crate::scim::ScimError;

/// How often a waiting request looks: a change is seen half of it later on average, and a look is one indexed read.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The longest wait that may be asked for, in seconds.
pub(super) const WAIT_MAX_SECONDS: i64 = 30;

/// A waiting request answers this long before the time limit of requests would end it.
const BEFORE_TIMEOUT: Duration = Duration::from_secs(2);

/// The most requests that wait at a time: 200 looks a second. And of one tenant, so that none takes all.
const WAITERS_MAX: usize = 100;
const WAITERS_MAX_OF_TENANT: usize = 10;

/// Who waits, by tenant.
#[derive(Default)]
pub(super) struct Waiters(Mutex<HashMap<Uuid, usize>>);

impl Waiters {
    /// Leave to wait, until it is dropped; `None` when too many do.
    fn admit(&self, tenant_id: Uuid) -> Option<Waiting<'_>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = waiting.values().sum();
        let of_tenant = waiting.get(&tenant_id).copied().unwrap_or_default();
        if total >= WAITERS_MAX || of_tenant >= WAITERS_MAX_OF_TENANT {
            return None;
        }
        waiting.insert(tenant_id, of_tenant + 1);
        Some(Waiting { waiters: self, tenant_id })
    }
}

struct Waiting<'a> {
    waiters: &'a Waiters,
    tenant_id: Uuid,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiters.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(&self.tenant_id) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.tenant_id);
            }
        }
    }
}

pub(super) async fn list(State(app): State<App>, call: Call, mut parameters: Parameters) -> Result<Response, Failure> {
    let limit = parameters.take_count(&call.reader.limits)?;
    let after = After::parse(parameters.take("after").as_deref())?;
    let wait = parameters.take_number("wait", WAIT_MAX_SECONDS)?.unwrap_or(0);
    parameters.finish()?;
    let wait = Duration::from_secs(u64::try_from(wait).unwrap_or_default());
    let wait = wait.min(app.0.http.request_timeout.saturating_sub(BEFORE_TIMEOUT));
    let changes = app.directory().changes(call.tenant_id(), after, limit).await?;
    if !changes.changes.is_empty() || changes.more || wait.is_zero() || after == After::Latest {
        return Ok(answer(&changes));
    }
    let Some(_waiting) = app.0.waiters.admit(call.tenant_id()) else { return Ok(too_many()) };
    wait_for(&app, &call, changes, limit, Instant::now() + wait).await
}

/// Looks until something changed, the time is over or the server leaves; then tells what there is, be it nothing.
async fn wait_for(app: &App, call: &Call, mut changes: Changes, limit: i64, until: Instant) -> Result<Response, Failure> {
    let mut leaving = app.0.leaving.subscribe();
    while changes.changes.is_empty() && !changes.more && Instant::now() < until && !app.is_leaving() {
        tokio::select! {
            () = tokio::time::sleep_until(until.min(Instant::now() + LOOK_EVERY)) => {}
            _ = leaving.wait_for(|leaving| *leaving) => {}
        }
        let after = After::parse(Some(&changes.next))?;
        changes = app.directory().changes(call.tenant_id(), after, limit).await?;
    }
    Ok(answer(&changes))
}

fn answer(changes: &Changes) -> Response {
    json_answer(&json!({ "changes": changes.changes, "next": changes.next, "more": changes.more }))
}

fn too_many() -> Response {
    let detail = "too many requests wait for changes; ask without wait, or later: one waiting request a consumer is enough";
    let mut response = scim(ScimError::new(503, detail)).into_response();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_that_waits_much_leaves_room_for_others() {
        let waiters = Waiters::default();
        let tenants: Vec<Uuid> = (0..12).map(Uuid::from_u128).collect();
        let mut waiting: Vec<_> = (0..20).filter_map(|_| waiters.admit(tenants[0])).collect();
        assert_eq!(waiting.len(), WAITERS_MAX_OF_TENANT);
        for tenant in &tenants[1..] {
            waiting.extend((0..20).filter_map(|_| waiters.admit(*tenant)));
        }
        assert_eq!(waiting.len(), WAITERS_MAX);
        drop(waiting);
        assert!(waiters.0.lock().unwrap().is_empty());
    }
}
