//! Who may come in while there is much to do: how many requests are in progress, in total and of one tenant, how fast a connection
//! may send, how often an address may fail to authenticate, and how much memory the bodies of all requests may take. What is too much
//! is refused before its body is read and before a connection to the database is waited for, with a time after which to come again
//! (RFC 9110 §10.2.3), and counted.
//!
//! A request is in progress until its answer was sent, since the answer is in memory until then. Health and metrics do not pass here.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use axum::response::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::App;
use super::address::{self, Network};
use super::error::scim;
use super::held::Held;
use super::rates::Rates;
use crate::config::Config;
use crate::scim::ScimError;

/// How long a client is asked to wait when too much is in progress, in seconds: most requests take a hundredth of it.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// Whoever is not known yet counts as one tenant, so that strangers with tokens that must be looked up take no more than its share.
const STRANGERS: Uuid = Uuid::nil();

/// Why a request was refused, as the metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Excess {
    /// Requests in progress in total.
    InFlight,
    /// Requests in progress of one tenant.
    TenantInFlight,
    /// Requests of a connection in a second.
    ConnectionRate,
    /// Failures of an address to authenticate in a minute.
    FailedAuthentication,
    /// Memory for bodies.
    Bodies,
}

impl Excess {
    pub(super) const ALL: [Self; 5] =
        [Self::InFlight, Self::TenantInFlight, Self::ConnectionRate, Self::FailedAuthentication, Self::Bodies];

    /// The label of the metrics.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::TenantInFlight => "tenant_in_flight",
            Self::ConnectionRate => "connection_rate",
            Self::FailedAuthentication => "failed_authentication",
            Self::Bodies => "bodies",
        }
    }

    fn error(self) -> ScimError {
        let (status, detail) = match self {
            Self::InFlight => {
                (503, "the server has as many requests in progress as it takes (limits.requests_in_flight); please try again")
            }
            Self::TenantInFlight => {
                (503, "the tenant has as many requests in progress as it may (limits.tenant_requests_in_flight); please try again")
            }
            Self::ConnectionRate => {
                (429, "the connection sends more requests a second than it may (limits.connection_requests_per_second)")
            }
            Self::FailedAuthentication => {
                (429, "too many requests without a valid token came from this address (limits.failed_authentications_per_minute)")
            }
            Self::Bodies => {
                (503, "the bodies of other requests take all the memory there is for them (limits.bodies_bytes); please try again")
            }
        };
        ScimError::new(status, detail)
    }
}

/// The counts of one process.
pub(super) struct Admission {
    in_flight: Arc<Semaphore>,
    in_flight_max: usize,
    tenants: Arc<Tenants>,
    bodies: Arc<Semaphore>,
    /// `None` when the setting turns it off.
    connections: Option<Rates>,
    failures: Option<Rates>,
    trusted_proxies: Vec<Network>,
}

struct Tenants {
    in_flight: Mutex<HashMap<Uuid, usize>>,
    max: usize,
}

/// A place among a tenant's requests in progress.
struct Place {
    tenants: Arc<Tenants>,
    tenant_id: Uuid,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut in_flight = locked(&self.tenants.in_flight);
        if let Some(count) = in_flight.get_mut(&self.tenant_id) {
            *count -= 1;
            if *count == 0 {
                in_flight.remove(&self.tenant_id);
            }
        }
    }
}

impl Tenants {
    fn enter(self: &Arc<Self>, tenant_id: Uuid) -> Option<Place> {
        let mut in_flight = locked(&self.in_flight);
        let count = in_flight.entry(tenant_id).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Place { tenants: Arc::clone(self), tenant_id })
    }
}

/// A request in progress and what it takes of the bounds. Its clones are one request.
#[derive(Clone)]
pub(super) struct Admitted(Arc<Taken>);

struct Taken {
    _in_flight: OwnedSemaphorePermit,
    place: Mutex<Option<Place>>,
    body: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Admission {
    pub(super) fn new(config: &Config) -> Self {
        let limits = &config.limits;
        let rates = |uses: u32, period| (uses > 0).then(|| Rates::new(uses, period));
        Self {
            in_flight: Arc::new(Semaphore::new(limits.requests_in_flight)),
            in_flight_max: limits.requests_in_flight,
            tenants: Arc::new(Tenants { in_flight: Mutex::default(), max: limits.tenant_requests_in_flight }),
            bodies: Arc::new(Semaphore::new(limits.bodies_bytes)),
            connections: rates(limits.connection_requests_per_second, Duration::from_secs(1)),
            failures: rates(limits.failed_authentications_per_minute, Duration::from_secs(60)),
            trusted_proxies: config.http.trusted_proxies.clone(),
        }
    }

    /// The requests in progress.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight_max - self.in_flight.available_permits()
    }

    /// Counts a request as one of a tenant; as a stranger's when the tenant is not known.
    pub(super) fn enter(&self, admitted: &Admitted, tenant_id: Option<Uuid>) -> Result<(), Excess> {
        let tenant_id = tenant_id.unwrap_or(STRANGERS);
        let mut place = locked(&admitted.0.place);
        if place.as_ref().is_some_and(|place| place.tenant_id == tenant_id) {
            return Ok(());
        }
        *place = Some(self.tenants.enter(tenant_id).ok_or(Excess::TenantInFlight)?);
        Ok(())
    }

    /// Counts a request of a connection; the error comes with the time after which to try again.
    pub(super) fn connection(&self, connection_id: Uuid) -> Result<(), (Excess, Duration)> {
        let Some(connections) = &self.connections else { return Ok(()) };
        connections.take(&connection_id, Instant::now()).map_err(|wait| (Excess::ConnectionRate, wait))
    }

    /// Counts a request that failed to authenticate. What does not come through the accept loop has no address.
    pub(super) fn failure(&self, request: &Request) -> Result<(), (Excess, Duration)> {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let (Some(failures), Some(ConnectInfo(peer))) = (&self.failures, peer) else { return Ok(()) };
        let client = address::client(peer.ip(), request.headers(), &self.trusted_proxies);
        failures.take(&address::counted_as(client), Instant::now()).map_err(|wait| (Excess::FailedAuthentication, wait))
    }

    /// Takes memory for so many more bytes of a request's body, until the end of the request.
    pub(super) fn body(&self, admitted: &Admitted, bytes: usize) -> Result<(), Excess> {
        let bytes = u32::try_from(bytes).map_err(|_| Excess::Bodies)?;
        let taken = Arc::clone(&self.bodies).try_acquire_many_owned(bytes).map_err(|_| Excess::Bodies)?;
        match &mut *locked(&admitted.0.body) {
            Some(before) => before.merge(taken),
            none => *none = Some(taken),
        }
        Ok(())
    }
}

/// Lets as many requests in as the setting says, and counts each until its answer was sent.
pub(super) async fn in_flight<F: Future<Output = Response>>(app: &App, mut request: Request, next: impl FnOnce(Request) -> F) -> Response {
    let Ok(permit) = Arc::clone(&app.admission().in_flight).try_acquire_owned() else {
        return refused(app, Excess::InFlight);
    };
    let admitted = Admitted(Arc::new(Taken { _in_flight: permit, place: Mutex::default(), body: Mutex::default() }));
    request.extensions_mut().insert(admitted.clone());
    next(request).await.map(|body| Body::new(Held::new(body, admitted)))
}

/// The request in progress that an extractor or layer belongs to.
pub(super) fn admitted(request: &Request) -> Admitted {
    request.extensions().get::<Admitted>().cloned().expect("the layer of admission lies around every handler")
}

/// The answer to what is too much for the moment.
pub(super) fn refused(app: &App, excess: Excess) -> Response {
    refused_for(app, (excess, PAUSE))
}

/// The answer to what is too much for a known time, in whole seconds.
pub(super) fn refused_for(app: &App, (excess, wait): (Excess, Duration)) -> Response {
    app.metrics().count_excess(excess);
    let mut response = scim(excess.error());
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)));
    response
}

/// A poisoned lock is taken all the same: what it guards is whole after every statement.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IDP-002: a first synchronization of 10,000 users, sent as fast as can be, is not slowed down.
    #[test]
    fn by_default_a_connection_may_send_ten_thousand_requests_at_once() {
        let admission = Admission::new(&Config::load(&Default::default(), None).unwrap());
        for _ in 0..10_000 {
            admission.connection(Uuid::max()).unwrap();
        }
    }

    #[test]
    fn a_tenant_without_requests_is_forgotten() {
        let tenants = Arc::new(Tenants { in_flight: Mutex::default(), max: 2 });
        let (first, second) = (tenants.enter(Uuid::max()), tenants.enter(Uuid::max()));
        assert!(first.is_some() && second.is_some() && tenants.enter(Uuid::max()).is_none());
        drop(first);
        assert!(tenants.enter(Uuid::max()).is_some());
        drop(second);
        assert!(locked(&tenants.in_flight).is_empty());
    }
}
