//! Statistics for the planner while a directory fills up. A plan is kept for as long as its connection, and one that was made while
//! the tables were empty takes any index on the tenant: after a first synchronization such a statement reads everybody to find one
//! person, until autovacuum gathers statistics a minute later. Gathering them replaces the plans in every session, so it is done
//! here when the work done has grown eightfold and a table has doubled since it was last looked at.

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
                if let Err(error) = gather(&pool).await {
                    tracing::debug!(%error, "statistics could not be gathered; autovacuum will");
                }
            });
        }
    }
}

async fn gather(pool: &Pool) -> Result<(), sqlx::Error> {
    let is_time: bool = sqlx::query_scalar(
        "select exists (select from pg_stat_user_tables s join pg_class c on c.oid = s.relid
             where s.relname in ('users', 'groups', 'members') and s.n_mod_since_analyze > greatest(c.reltuples, 0))",
    )
    .fetch_one(pool)
    .await?;
    if is_time {
        // Another process that is at it does the same work.
        sqlx::query("analyze (skip_locked) users, groups, members, subgroups, events").execute(pool).await?;
    }
    Ok(())
}
