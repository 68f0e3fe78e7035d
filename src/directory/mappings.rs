//! The mappings of tenants, by version. A tenant without one of its own has its shipped profile, which is version 0; each change
//! is the next version, recorded with who made it. From then on no write of a user is computed with an older one: that is the
//! business of [`Directory::unit_as_mapped`] and of the statements in `users`. What was written before follows in `recompute`.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::{Caller, Directory, Error, Origin, Pool, Profile, Session, Tenant};
use crate::scim::ScimError;
use crate::scim::error::quote;
use crate::workplace::{Mapping, profiles};

/// The most mappings kept parsed. One is a few kilobytes; beyond it they are read and parsed when they are needed.
const PARSED_MAX: usize = 1000;

/// How often a write is computed again because the mapping changed under it: each time somebody applied yet another one.
const MAX_ATTEMPTS: u32 = 5;

/// The longest name of who made a version.
const BY_MAX_CHARS: usize = 100;

/// A tenant's mapping, ready to apply.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantMapping {
    /// Counts the tenant's mappings; 0 is the shipped profile that it began with.
    pub version: i64,
    /// The mapping.
    pub mapping: Mapping,
}

impl TenantMapping {
    pub(super) fn shipped(profile: Profile, version: i64) -> Self {
        let mapping = profiles::shipped(profile.word()).expect("every profile a tenant can have is shipped");
        Self { version, mapping: mapping.clone() }
    }
}

/// How far a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingState {
    /// Writes use it; employees that were stored before are being recomputed.
    Applying,
    /// Every employee was recomputed.
    Applied,
    /// A later version came before it was applied to every employee.
    Superseded,
}

impl MappingState {
    /// The word in the database and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Applying => "applying",
            Self::Applied => "applied",
            Self::Superseded => "superseded",
        }
    }

    fn named(word: &str) -> Result<Self, Error> {
        let known = [Self::Applying, Self::Applied, Self::Superseded].into_iter().find(|state| state.word() == word);
        known.ok_or_else(|| Error::internal(format!("{word:?} is not a state of a mapping")))
    }
}

/// A version as the history tells it.
#[derive(Debug, Clone)]
pub struct MappingVersion {
    /// Counts from 1.
    pub version: i64,
    /// Who made it.
    pub made_by: String,
    /// Why, when it was not made from a file.
    pub note: Option<String>,
    /// When.
    pub created_at: DateTime<Utc>,
    /// How far it is.
    pub state: MappingState,
    /// Employees that it changed so far.
    pub changed: i64,
    /// When every employee was recomputed.
    pub applied_at: Option<DateTime<Utc>>,
}

/// What became of a mapping that was to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is this version now.
    Made(i64),
    /// The tenant has this very text already, as this version.
    Same(i64),
}

impl Recorded {
    /// The version, either way.
    #[must_use]
    pub fn version(self) -> i64 {
        match self {
            Self::Made(version) | Self::Same(version) => version,
        }
    }
}

/// The parsed mapping of each tenant, in the version last asked for.
#[derive(Default)]
pub(super) struct Mappings(Mutex<HashMap<Uuid, Arc<TenantMapping>>>);

impl Mappings {
    fn recall(&self, tenant_id: Uuid, version: i64) -> Option<Arc<TenantMapping>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&tenant_id).filter(|mapping| mapping.version == version).cloned()
    }

    fn remember(&self, tenant_id: Uuid, mapping: &Arc<TenantMapping>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= PARSED_MAX && !known.contains_key(&tenant_id) {
            known.clear();
        }
        known.insert(tenant_id, Arc::clone(mapping));
    }
}

impl Directory {
    /// Makes a mapping the tenant's next version: writes of users are computed with it from now on, in every server. The
    /// employees stored before are not: [`Directory::apply_mapping`] does that. A text that is the current version's already
    /// makes no version.
    ///
    /// # Errors
    /// A sentence with the line when the text is no mapping, or when `by` is no name. `file` is what the sentence calls it.
    pub async fn record_mapping(&self, tenant: &Tenant, file: &str, text: &str, by: &str) -> Result<Recorded, Error> {
        Mapping::parse(file, text).map_err(|error| ScimError::invalid_value(error.to_string()))?;
        check_by(by)?;
        let work = Arc::new((tenant.id, text.to_owned(), by.to_owned()));
        self.unit(move |pool| {
            let work = Arc::clone(&work);
            async move {
                let (tenant_id, text, by) = &*work;
                let mut transaction = pool.begin().await?;
                let current = lock_current(&mut transaction, *tenant_id).await?;
                if version_text(&mut *transaction, *tenant_id, current).await?.flatten().as_ref() == Some(text) {
                    return Ok(Recorded::Same(current));
                }
                insert(&mut transaction, *tenant_id, current, Some(text), by, None).await?;
                transaction.commit().await?;
                Ok(Recorded::Made(current + 1))
            }
        })
        .await
    }

    /// Makes an earlier version the next one: the one before the current, or `to`, where 0 is the shipped profile.
    ///
    /// # Errors
    /// A sentence when there is no such version, or when `by` is no name.
    pub async fn roll_back_mapping(&self, tenant: &Tenant, to: Option<i64>, by: &str) -> Result<Recorded, Error> {
        check_by(by)?;
        let work = Arc::new((tenant.clone(), by.to_owned()));
        self.unit(move |pool| {
            let work = Arc::clone(&work);
            async move {
                let (tenant, by) = &*work;
                let mut transaction = pool.begin().await?;
                let current = lock_current(&mut transaction, tenant.id).await?;
                let to = to.unwrap_or(current - 1);
                if to < 0 {
                    return Err(
                        ScimError::invalid_value(format!("tenant {} has its shipped profile: nothing is before it", tenant.slug)).into()
                    );
                }
                let text = match version_text(&mut *transaction, tenant.id, to).await? {
                    Some(text) => text,
                    None => return Err(no_version(tenant, to)),
                };
                insert(&mut transaction, tenant.id, current, text.as_deref(), by, Some(&format!("rollback to version {to}"))).await?;
                transaction.commit().await?;
                Ok(Recorded::Made(current + 1))
            }
        })
        .await
    }

    /// The text of a version of the tenant's mapping, by default of the current one, and which version it is.
    ///
    /// # Errors
    /// A sentence when there is no such version.
    pub async fn mapping_text(&self, tenant: &Tenant, version: Option<i64>) -> Result<(i64, String), Error> {
        let version = match version {
            Some(version) => version,
            None => self.current_version(tenant.id).await?.1,
        };
        match version_text(&self.pool, tenant.id, version).await? {
            Some(Some(text)) => Ok((version, text)),
            Some(None) => Ok((version, shipped_text(tenant.profile).to_owned())),
            None => Err(no_version(tenant, version)),
        }
    }

    /// The versions of the tenant's mapping, the newest first. The shipped profile is not among them.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn mapping_history(&self, tenant_id: Uuid) -> Result<Vec<MappingVersion>, Error> {
        #[derive(FromRow)]
        struct Row {
            version: i64,
            made_by: String,
            note: Option<String>,
            created_at: DateTime<Utc>,
            state: String,
            changed: i64,
            applied_at: Option<DateTime<Utc>>,
        }
        let rows: Vec<Row> = sqlx::query_as(
            "select version, made_by, note, created_at, state, changed, applied_at from mappings where tenant_id = $1 order by version desc",
        )
        .bind(tenant_id)
        .fetch_all(&self.pool)
        .await?;
        let version = |row: Row| {
            let state = MappingState::named(&row.state)?;
            let Row { version, made_by, note, created_at, changed, applied_at, .. } = row;
            Ok(MappingVersion { version, made_by, note, created_at, state, changed, applied_at })
        };
        rows.into_iter().map(version).collect()
    }

    /// The tenant's mapping as it is now.
    ///
    /// # Errors
    /// 404 when the tenant is gone, `Internal` when the stored text is not of this program's language.
    pub async fn current_mapping(&self, tenant_id: Uuid) -> Result<Arc<TenantMapping>, Error> {
        let (profile, version) = self.current_version(tenant_id).await?;
        self.mapping_version(tenant_id, profile, version).await
    }

    /// A version of the tenant's mapping, parsed once.
    pub(super) async fn mapping_version(&self, tenant_id: Uuid, profile: Profile, version: i64) -> Result<Arc<TenantMapping>, Error> {
        if let Some(mapping) = self.mappings.recall(tenant_id, version) {
            return Ok(mapping);
        }
        let text = version_text(&self.pool, tenant_id, version).await?;
        let mapping = match text.ok_or_else(|| Error::internal(format!("version {version} of the tenant's mapping is not there")))? {
            None => TenantMapping::shipped(profile, version),
            Some(text) => {
                let name = format!("version {version} of the tenant's mapping");
                TenantMapping { version, mapping: Mapping::parse(&name, &text).map_err(Error::internal)? }
            }
        };
        let mapping = Arc::new(mapping);
        self.mappings.remember(tenant_id, &mapping);
        Ok(mapping)
    }

    async fn current_version(&self, tenant_id: Uuid) -> Result<(Profile, i64), Error> {
        let row: Option<(String, i64)> =
            sqlx::query_as("select profile, mapping_version from tenants where id = $1").bind(tenant_id).fetch_optional(&self.pool).await?;
        let (profile, version) = row.ok_or_else(|| ScimError::new(404, "this tenant does not exist any more"))?;
        Ok((profile.try_into()?, version))
    }

    /// Runs a unit of work that writes employees. A caller is remembered for a second, and so is the mapping that came with it:
    /// when the statement finds that the tenant has another one by now, nothing is written and the work is done again with that.
    ///
    /// # Errors
    /// The unit's own.
    pub(super) async fn unit_as_mapped<T, F, Fut>(&self, origin: &Origin, work: F) -> Result<T, Error>
    where
        F: Fn(Pool, Origin) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<T, Error>> + Send + 'static,
        T: Send + 'static,
    {
        let mut origin = origin.clone();
        let mut attempt = 1;
        loop {
            let (work, as_mapped) = (work.clone(), origin.clone());
            match self.unit(move |pool| work(pool, as_mapped.clone())).await {
                Err(error) if error.is_mapping_changed() && attempt < MAX_ATTEMPTS => {
                    let mapping = self.current_mapping(origin.tenant_id()).await?;
                    origin.caller = Arc::new(Caller { mapping, ..(*origin.caller).clone() });
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }
}

/// The text of a shipped profile.
fn shipped_text(profile: Profile) -> &'static str {
    let shipped = profiles::SHIPPED.into_iter().find(|(name, _)| *name == profile.word());
    shipped.expect("every profile a tenant can have is shipped").1
}

/// The tenant's current version. Whoever else makes a version waits until this transaction ends; writes of users do not, since
/// they take the row `for key share`.
async fn lock_current(connection: &mut Session, tenant_id: Uuid) -> Result<i64, Error> {
    let version = sqlx::query_scalar("select mapping_version from tenants where id = $1 for no key update")
        .bind(tenant_id)
        .fetch_optional(connection)
        .await?;
    version.ok_or_else(|| ScimError::new(404, "this tenant does not exist any more").into())
}

/// The text of a version: `None` when there is no such version, `Some(None)` when it is the shipped profile.
async fn version_text(executor: impl sqlx::PgExecutor<'_>, tenant_id: Uuid, version: i64) -> Result<Option<Option<String>>, Error> {
    if version == 0 {
        return Ok(Some(None));
    }
    let text = sqlx::query_scalar("select text from mappings where tenant_id = $1 and version = $2")
        .bind(tenant_id)
        .bind(version)
        .fetch_optional(executor)
        .await?;
    Ok(text)
}

async fn insert(
    connection: &mut Session,
    tenant_id: Uuid,
    current: i64,
    text: Option<&str>,
    by: &str,
    note: Option<&str>,
) -> Result<(), Error> {
    sqlx::query(
        "with superseded as (
             update mappings set state = 'superseded' where tenant_id = $1 and state = 'applying'
         ), made as (
             insert into mappings (tenant_id, version, text, made_by, note) values ($1, $2 + 1, $3, $4, $5)
         )
         update tenants set mapping_version = $2 + 1 where id = $1",
    )
    .bind(tenant_id)
    .bind(current)
    .bind(text)
    .bind(by)
    .bind(note)
    .execute(connection)
    .await?;
    Ok(())
}

fn no_version(tenant: &Tenant, version: i64) -> Error {
    ScimError::invalid_value(format!("tenant {} has no version {version} of its mapping", tenant.slug)).into()
}

fn check_by(by: &str) -> Result<(), ScimError> {
    if by.trim().is_empty() || by.chars().count() > BY_MAX_CHARS || by.chars().any(char::is_control) {
        let rule = format!("who makes a version is a name of 1 to {BY_MAX_CHARS} printable characters");
        return Err(ScimError::invalid_value(format!("{rule}; {} is not", quote(by))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parsed_mappings_are_the_newest_and_not_without_end() {
        let mappings = Mappings::default();
        let version = |version| Arc::new(TenantMapping::shipped(Profile::OfficeSpace, version));
        mappings.remember(Uuid::nil(), &version(1));
        mappings.remember(Uuid::nil(), &version(2));
        assert!(mappings.recall(Uuid::nil(), 1).is_none());
        assert_eq!(mappings.recall(Uuid::nil(), 2).unwrap().mapping.name(), "officespace");
        for tenant in 0..2 * PARSED_MAX as u128 {
            mappings.remember(Uuid::from_u128(tenant), &version(1));
        }
        assert!(mappings.0.lock().unwrap().len() <= PARSED_MAX);
    }

    #[test]
    fn whoever_makes_a_version_has_a_name() {
        assert_eq!(check_by("root"), Ok(()));
        for by in ["", " ", "a\nb", &"x".repeat(101)] {
            assert!(check_by(by).unwrap_err().detail.contains("1 to 100 printable characters"));
        }
    }
}
