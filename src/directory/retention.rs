//! How long events are kept. They are deleted in small batches, each a transaction of its own, so that nobody waits for it and a
//! stop loses nothing.

use std::time::Duration;

use uuid::Uuid;

use super::changes::lock_feed;
use super::{Directory, Error, Pool};

/// Events deleted in one transaction.
const BATCH: i64 = 1_000;

impl Directory {
    /// Deletes the events of all tenants that are older than this, and gives their number.
    ///
    /// # Errors
    /// Only the database's; what was deleted before the fault stays deleted, and starting again is safe.
    pub async fn prune_events(&self, older_than: Duration) -> Result<u64, Error> {
        let mut pruned = 0;
        for tenant in self.tenants().await? {
            // Most tenants have none most of the time: they cost one look.
            while self.has_events_older_than(tenant.id, older_than).await? {
                // A change that was not placed yet would vanish without a trace in the feed.
                while self.place(tenant.id).await? > 0 {}
                pruned += self.unit(move |pool| async move { prune(pool, tenant.id, older_than).await }).await?;
            }
        }
        Ok(pruned)
    }

    async fn has_events_older_than(&self, tenant_id: Uuid, older_than: Duration) -> Result<bool, Error> {
        let found =
            sqlx::query_scalar("select exists (select from events where tenant_id = $1 and at < now() - make_interval(secs => $2))")
                .bind(tenant_id)
                .bind(older_than.as_secs_f64())
                .fetch_one(&self.pool)
                .await?;
        Ok(found)
    }
}

/// Cursors before the last place deleted are refused from then on.
async fn prune(pool: Pool, tenant_id: Uuid, older_than: Duration) -> Result<u64, Error> {
    let mut transaction = pool.begin().await?;
    lock_feed(&mut transaction, tenant_id).await?;
    let pruned: Option<i64> = sqlx::query_scalar(
        "with old as (
             select id from events
             where tenant_id = $1 and at < now() - make_interval(secs => $2)
                 and (position is not null or outcome <> 'success' or resource_type is null or resource_type not in ('User', 'Group'))
             order by at limit $3
         ), gone as (
             delete from events e using old where e.tenant_id = $1 and e.id = old.id returning e.position
         ), summed as (
             select count(*) as number, max(position) as last from gone
         )
         update feeds f set pruned_to = greatest(f.pruned_to, s.last) from summed s
         where f.tenant_id = $1
         returning s.number",
    )
    .bind(tenant_id)
    .bind(older_than.as_secs_f64())
    .bind(BATCH)
    .fetch_optional(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(pruned.and_then(|pruned| u64::try_from(pruned).ok()).unwrap_or_default())
}
