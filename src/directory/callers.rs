//! Who sent a request: the token's connection and tenant, looked up once a second and remembered in between, and the note of
//! when the token was last used. What a token looks like is in `tokens`.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use super::{
    Directory, Error, Pool, Profile, Provider, TenantMapping, TenantSettings, Token, UNIT_MAX,
    pool::in_time,
    vocabulary::{Conformance, Scope},
};
use crate::scim::schema::ResourceType;

/// How long a caller is remembered: so long a revoked token may still work.
const REMEMBERED_FOR: Duration = Duration::from_secs(1);

/// The most callers remembered, about 5 MB. Beyond it they are looked up each time.
const REMEMBERED_MAX: usize = 10_000;

/// Who sent a request: everything that a request needs to know of its token, connection and tenant.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant that every statement of the request names.
    pub tenant_id: Uuid,
    /// The tenant's slug, for the log.
    pub tenant_slug: String,
    /// The connection the token belongs to.
    pub connection_id: Uuid,
    /// The connection's name, for the log.
    pub connection_name: String,
    /// Who is at the other end.
    pub provider: Provider,
    /// The token.
    pub token_id: Uuid,
    /// What the token may do.
    pub scopes: Vec<Scope>,
    /// How its requests are read.
    pub conformance: Conformance,
    /// The tenant's settings.
    pub settings: TenantSettings,
    /// The tenant's shipped profile.
    pub profile: Profile,
    /// The tenant's mapping. A write looks whether it still is.
    pub mapping: Arc<TenantMapping>,
}

impl Caller {
    /// User with what the tenant declares.
    #[must_use]
    pub fn user(&self) -> &'static ResourceType {
        self.mapping.mapping.user()
    }
}

impl Directory {
    /// The tenant that a token was last known to belong to, without a question to the database: for counting, never for letting in.
    #[must_use]
    pub fn remembered_tenant(&self, token: &Token) -> Option<Uuid> {
        lock(&self.callers.known).get(&token.digest()).map(|(caller, _)| caller.tenant_id)
    }

    /// Who has this token. `None` for an unknown, expired or revoked one and for one of a paused connection alike: a guesser
    /// learns nothing.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot say; that is no answer to whether the token is good.
    pub async fn authenticate(&self, token: &Token) -> Result<Option<Arc<Caller>>, Error> {
        let digest = token.digest();
        if let Some(caller) = self.callers.recall(&digest) {
            return Ok(Some(caller));
        }
        // Taken before the question is asked: whatever is revoked after it is forgotten one second later.
        let asked_at = Instant::now();
        let Some(row) = look_up(&self.pool, &digest).await? else { return Ok(None) };
        let stale = row.stale;
        let mapping = self.mapping_version(row.tenant_id, Profile::try_from(row.profile.clone())?, row.mapping_version).await?;
        let caller = Arc::new(row.with(mapping)?);
        self.callers.remember(digest, &caller, asked_at);
        if stale {
            self.callers.note_use(&self.pool, caller.token_id);
        }
        Ok(Some(caller))
    }
}

#[derive(FromRow)]
struct CallerRow {
    tenant_id: Uuid,
    tenant_slug: String,
    connection_id: Uuid,
    connection_name: String,
    provider: String,
    token_id: Uuid,
    scopes: Vec<String>,
    conformance: String,
    settings: Json<TenantSettings>,
    profile: String,
    mapping_version: i64,
    /// `last_used_at` is older than a minute.
    stale: bool,
}

impl CallerRow {
    fn with(self, mapping: Arc<TenantMapping>) -> Result<Caller, Error> {
        Ok(Caller {
            tenant_id: self.tenant_id,
            tenant_slug: self.tenant_slug,
            connection_id: self.connection_id,
            connection_name: self.connection_name,
            provider: self.provider.try_into()?,
            token_id: self.token_id,
            // A scope of a newer Frontdesk gives nothing here, and what is beside it still counts.
            scopes: self.scopes.into_iter().filter_map(|word| Scope::try_from(word).ok()).collect(),
            conformance: self.conformance.try_into()?,
            settings: self.settings.0,
            profile: self.profile.try_into()?,
            mapping,
        })
    }
}

async fn look_up(pool: &Pool, digest: &[u8; 32]) -> Result<Option<CallerRow>, Error> {
    let row = sqlx::query_as(
        "select t.tenant_id, n.slug as tenant_slug, c.id as connection_id, c.name as connection_name, c.provider, t.id as token_id,
             t.scopes, c.conformance, n.settings, n.profile, n.mapping_version,
             coalesce(t.last_used_at < now() - interval '1 minute', true) as stale
         from tokens t
         join connections c on c.tenant_id = t.tenant_id and c.id = t.connection_id
         join tenants n on n.id = t.tenant_id
         where t.digest = $1 and t.revoked_at is null and coalesce(t.expires_at > now(), true) and c.state = 'active'",
    )
    .bind(digest.as_slice())
    .fetch_optional(pool)
    .await?;
    Ok(row)
}

/// A caller, and when the database was asked about it.
type Remembered = (Arc<Caller>, Instant);

/// The callers seen in the last second, and the tokens whose use is still to be written down.
#[derive(Default)]
pub(super) struct Callers {
    known: Mutex<HashMap<[u8; 32], Remembered>>,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    tokens: HashSet<Uuid>,
    being_written: bool,
}

impl Callers {
    fn recall(&self, digest: &[u8; 32]) -> Option<Arc<Caller>> {
        let known = lock(&self.known);
        known.get(digest).filter(|(_, asked_at)| asked_at.elapsed() < REMEMBERED_FOR).map(|(caller, _)| Arc::clone(caller))
    }

    fn remember(&self, digest: [u8; 32], caller: &Arc<Caller>, asked_at: Instant) {
        let mut known = lock(&self.known);
        if known.len() >= REMEMBERED_MAX {
            known.retain(|_, (_, asked_at)| asked_at.elapsed() < REMEMBERED_FOR);
        }
        if known.len() < REMEMBERED_MAX {
            known.insert(digest, (Arc::clone(caller), asked_at));
        }
    }

    /// Writes `last_used_at` behind the request's back: one task at a time takes all that has come together, in one statement,
    /// so that uses never hold more than one connection. A failure costs only the note.
    fn note_use(self: &Arc<Self>, pool: &Pool, token_id: Uuid) {
        let mut used = lock(&self.used);
        used.tokens.insert(token_id);
        if std::mem::replace(&mut used.being_written, true) {
            return;
        }
        let (callers, pool) = (Arc::clone(self), pool.clone());
        tokio::spawn(async move {
            while let Some(tokens) = callers.take_used() {
                if let Err(error) = in_time(UNIT_MAX, write_use(&pool, &tokens)).await {
                    tracing::debug!(%error, "the use of tokens could not be written down");
                }
            }
        });
    }

    /// The tokens to write down; none means that the writer is done.
    fn take_used(&self) -> Option<Vec<Uuid>> {
        let mut used = lock(&self.used);
        if used.tokens.is_empty() {
            used.being_written = false;
            return None;
        }
        Some(used.tokens.drain().collect())
    }
}

/// At most once a minute and token, whoever asks: the condition is looked at again under the row's lock. The rows are locked in
/// one order, so that servers which write the same tokens do not deadlock.
async fn write_use(pool: &Pool, tokens: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with stale as (
             select id from tokens
             where id = any($1) and coalesce(last_used_at < now() - interval '1 minute', true)
             order by id for no key update
         )
         update tokens t set last_used_at = now() from stale s where t.id = s.id",
    )
    .bind(tokens)
    .execute(pool)
    .await?;
    Ok(())
}

/// A poisoned lock is taken all the same: what it guards is whole after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(token_id: Uuid) -> Arc<Caller> {
        Arc::new(Caller {
            tenant_id: Uuid::nil(),
            tenant_slug: "default".into(),
            connection_id: Uuid::nil(),
            connection_name: "jumpcloud".into(),
            provider: Provider::JumpCloud,
            token_id,
            scopes: Scope::ALL.to_vec(),
            conformance: Conformance::Lenient,
            settings: TenantSettings::default(),
            profile: Profile::SpaceIq,
            mapping: Arc::new(TenantMapping::shipped(Profile::SpaceIq, 0)),
        })
    }

    #[test]
    fn callers_are_remembered_for_a_second_and_not_without_end() {
        let callers = Callers::default();
        let now = Instant::now();
        let before = now.checked_sub(REMEMBERED_FOR).unwrap();
        callers.remember([1; 32], &caller(Uuid::max()), now);
        callers.remember([2; 32], &caller(Uuid::nil()), before);
        assert_eq!(callers.recall(&[1; 32]).unwrap().token_id, Uuid::max());
        assert!(callers.recall(&[2; 32]).is_none(), "a second is over");
        for i in 0..2 * REMEMBERED_MAX as u64 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&i.to_le_bytes());
            callers.remember(digest, &caller(Uuid::nil()), now);
        }
        assert!(lock(&callers.known).len() <= REMEMBERED_MAX);
    }
}
