//! Statistics for the planner while a directory fills up. A plan is kept for as long as its connection, and one that was made while
//! the tables were empty takes any index on the tenant: after a first synchronization such a statement reads everybody to find one
//! person, until autovacuum gathers statistics a minute later. Gathering them replaces the plans in every session, so it is done
//! here when the work done has grown eightfold.

use std::sync::atomic::{AtomicU64, Ordering};

use super::pool::Pool;

/// The units of work after which statistics are gathered. Beyond the last, autovacuum keeps up.
const UNITS: [u64; 5] = [16, 128, 1_024, 8_192, 65_536];

/// The units of work that this process has done.
#[derive(Debug, Default)]
pub(super) struct Growth(AtomicU64);

impl Growth {
    /// Counts a unit that was done; gathers statistics behind its back when it is time.
    pub(super) fn note(&self, pool: &Pool) {
        let done = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        if UNITS.contains(&done) {
            let pool = pool.clone();
            tokio::spawn(async move {
                // Another process that is at it does the same work.
                let gathered = sqlx::query("analyze (skip_locked) users, groups, members, subgroups, events").execute(&pool).await;
                if let Err(error) = gathered {
                    tracing::debug!(%error, "statistics could not be gathered; autovacuum will");
                }
            });
        }
    }
}
