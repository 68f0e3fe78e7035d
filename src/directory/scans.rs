//! Searches that no index answers read every resource of a tenant, and of a million that takes seconds of a processor. So only a
//! small share of the pool's connections is lent to them at once, and the others wait their turn: whoever asks for one resource
//! finds a connection and a processor, however many search. Not here: what ends a search that takes too long, which is PostgreSQL's
//! `statement_timeout`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{Error, PoolSettings};
use crate::log;

/// The part of the pool's connections that scans may have: one in so many, and one in any case.
const SHARE: u32 = 10;

/// How many times as long as for a connection is waited for a place: scans are slow, and who waits here holds nothing.
const PATIENCE: u32 = 3;

/// The places for scans.
#[derive(Debug)]
pub(super) struct Scans {
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Scans {
    pub(super) fn new(settings: &PoolSettings) -> Self {
        let places = usize::try_from(settings.pool_size / SHARE).unwrap_or(usize::MAX);
        Self { places: Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS))), patience: settings.acquire_timeout * PATIENCE }
    }

    /// Does what scans, as soon as there is a place for it. It keeps the place until PostgreSQL is done, also when the caller goes
    /// away: what was dropped would go on in the database without being counted.
    ///
    /// # Errors
    /// `Unavailable` when there is no place in time, or the scan's own.
    pub(super) async fn run<T: Send + 'static>(&self, scan: impl Future<Output = Result<T, Error>> + Send + 'static) -> Result<T, Error> {
        let waiting = tokio::time::timeout(self.patience, Arc::clone(&self.places).acquire_owned());
        let place = waiting.await.map_err(|late| Error::Unavailable(Box::new(late)))?.map_err(Error::internal)?;
        let scanning = async move {
            let found = scan.await;
            drop(place);
            found
        };
        tokio::spawn(log::of_this_request(scanning)).await.map_err(Error::internal)?
    }
}
