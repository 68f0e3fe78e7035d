//! Tenants: who shares this server. A tenant has a slug for people, an id for rows, a workplace profile and a few settings.
//! Made by an operator on the command line, never by a client. The first start of an empty database is here too.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use super::{
    Connection, Directory, Error, Profile, Provider, Session, Token, connections, constraint, tokens,
    vocabulary::{Conformance, Scope, UnknownWord},
};
use crate::scim::{ScimError, error::quote};

/// The longest slug: one label of a host name, so that a tenant may have one some day.
const SLUG_MAX_CHARS: usize = 63;

/// The longest name of a tenant, a connection or a token. People read them in a table.
const NAME_MAX_CHARS: usize = 100;

/// A customer of this server, with a directory of its own.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// The id in every row.
    pub id: Uuid,
    /// The name on the command line and in the view `employees`.
    pub slug: String,
    /// The name for people.
    pub name: String,
    /// The mapping from users to employees.
    pub profile: Profile,
    /// What this tenant does differently.
    pub settings: TenantSettings,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// What a tenant may do differently. Stored as the JSON object of the deviations, so that a default may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantSettings {
    /// Two groups may not have the same name. JumpCloud takes groups over by name.
    pub unique_group_names: bool,
    /// A user's division is the employee's department, and the department the team.
    pub division_is_department: bool,
    /// A user who lacks a required employee field is refused.
    pub require_complete: bool,
    /// Passwords that a provider sends are kept (hashed), not dropped.
    pub keep_passwords: bool,
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self { unique_group_names: true, division_is_department: true, require_complete: false, keep_passwords: false }
    }
}

impl TenantSettings {
    /// Reads one setting as an operator writes it, and returns the object to store over the others.
    ///
    /// # Errors
    /// A sentence that names the settings there are, or the values of this one.
    fn parse(key: &str, value: &str) -> Result<Map<String, Value>, ScimError> {
        let Ok(Value::Object(mut known)) = serde_json::to_value(Self::default()) else { unreachable!("the settings are an object") };
        if !known.contains_key(key) {
            let keys: Vec<_> = known.keys().map(String::as_str).collect();
            return Err(ScimError::invalid_value(format!("{} is not a tenant setting; there are {}", quote(key), keys.join(", "))));
        }
        let parsed: Value = serde_json::from_str(value).unwrap_or(Value::Null);
        known.insert(key.to_owned(), parsed.clone());
        match serde_json::from_value::<Self>(Value::Object(known)) {
            Ok(_) => Ok(Map::from_iter([(key.to_owned(), parsed)])),
            Err(_) => Err(ScimError::invalid_value(format!("{key} is true or false, not {}", quote(value)))),
        }
    }
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    slug: String,
    name: String,
    profile: String,
    settings: Json<TenantSettings>,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Tenant {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.id,
            slug: row.slug,
            name: row.name,
            profile: row.profile.try_into()?,
            settings: row.settings.0,
            created_at: row.created_at,
        })
    }
}

impl From<UnknownWord> for Error {
    fn from(unknown: UnknownWord) -> Self {
        Self::internal(unknown)
    }
}

/// What the first start made: all that an administrator pastes.
#[derive(Debug)]
pub struct FirstStart {
    /// The tenant `default`.
    pub tenant: Tenant,
    /// The connection `jumpcloud`.
    pub connection: Connection,
    /// Its token, to be shown once.
    pub token: Token,
}

impl Directory {
    /// Makes a tenant. Without a name it is called by its slug.
    ///
    /// # Errors
    /// A sentence when the slug has another form, the name is not usable, or the slug is taken.
    pub async fn create_tenant(&self, slug: &str, name: Option<&str>, profile: Profile) -> Result<Tenant, Error> {
        check_slug(slug)?;
        let name = name.unwrap_or(slug);
        check_name("the tenant's name", name)?;
        let row = sqlx::query_as::<_, Row>(
            "insert into tenants (id, slug, name, profile) values ($1, $2, $3, $4)
             returning id, slug, name, profile, settings, created_at",
        )
        .bind(Uuid::now_v7())
        .bind(slug)
        .bind(name)
        .bind(profile.word())
        .fetch_one(&self.pool)
        .await;
        match row {
            Err(error) if constraint(&error) == Some("tenants_slug_key") => {
                Err(ScimError::uniqueness(format!("there is already a tenant {}", quote(slug))).into())
            }
            row => row?.try_into(),
        }
    }

    /// All tenants, by slug.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn tenants(&self) -> Result<Vec<Tenant>, Error> {
        let rows = sqlx::query_as::<_, Row>("select id, slug, name, profile, settings, created_at from tenants order by slug")
            .fetch_all(&self.pool)
            .await?;
        rows.into_iter().map(Tenant::try_from).collect()
    }

    /// The tenant with this slug.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn find_tenant(&self, slug: &str) -> Result<Option<Tenant>, Error> {
        let row = sqlx::query_as::<_, Row>("select id, slug, name, profile, settings, created_at from tenants where slug = $1")
            .bind(slug)
            .fetch_optional(&self.pool)
            .await?;
        row.map(Tenant::try_from).transpose()
    }

    /// Changes one setting of a tenant and returns the tenant; none has this slug otherwise. Servers follow within a second.
    ///
    /// # Errors
    /// A sentence when there is no such setting or it has no such value.
    pub async fn set_tenant(&self, slug: &str, key: &str, value: &str) -> Result<Option<Tenant>, Error> {
        let deviation = TenantSettings::parse(key, value)?;
        let row = sqlx::query_as::<_, Row>(
            "update tenants set settings = settings || $2 where slug = $1
             returning id, slug, name, profile, settings, created_at",
        )
        .bind(slug)
        .bind(Json(deviation))
        .fetch_optional(&self.pool)
        .await?;
        row.map(Tenant::try_from).transpose()
    }

    /// Furnishes an empty database: tenant `default`, connection `jumpcloud` and a token, all or nothing. Of several servers
    /// that start at once the unique slug lets one do it. `None` when there is a tenant already.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn bootstrap(&self) -> Result<Option<FirstStart>, Error> {
        self.unit(|pool| async move {
            let mut tx = pool.begin().await?;
            let Some(tenant) = first_tenant(&mut tx).await? else { return Ok(None) };
            let connection = connections::insert(&mut tx, tenant.id, "jumpcloud", Provider::JumpCloud, Conformance::Lenient).await?;
            let token = Token::generate()?;
            tokens::insert(&mut tx, &connection, &token, Some("made at the first start"), None, &Scope::ALL).await?;
            tx.commit().await?;
            Ok(Some(FirstStart { tenant, connection, token }))
        })
        .await
    }
}

async fn first_tenant(tx: &mut Session) -> Result<Option<Tenant>, Error> {
    let row = sqlx::query_as::<_, Row>(
        "insert into tenants (id, slug, name, profile)
         select $1, 'default', 'default', $2 where not exists (select from tenants)
         on conflict (slug) do nothing
         returning id, slug, name, profile, settings, created_at",
    )
    .bind(Uuid::now_v7())
    .bind(Profile::default().word())
    .fetch_optional(tx)
    .await?;
    row.map(Tenant::try_from).transpose()
}

fn check_slug(slug: &str) -> Result<(), ScimError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if slug.is_empty() || slug.len() > SLUG_MAX_CHARS || !slug.chars().all(allowed) {
        let rule = format!("a tenant's slug has 1 to {SLUG_MAX_CHARS} lower-case letters, digits and hyphens");
        return Err(ScimError::invalid_value(format!("{rule}; {} has not", quote(slug))));
    }
    Ok(())
}

/// Names appear in tables and log lines: one line of text, not empty.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), ScimError> {
    if name.trim().is_empty() || name.chars().count() > NAME_MAX_CHARS || name.chars().any(char::is_control) {
        return Err(ScimError::invalid_value(format!("{what} has 1 to {NAME_MAX_CHARS} printable characters; {} has not", quote(name))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slug_is_short_and_plain() {
        for slug in ["default", "a", "7", "acme-north-2", &"x".repeat(63)] {
            assert_eq!(check_slug(slug), Ok(()), "{slug}");
        }
        for slug in ["", "Acme", "a_b", "a b", "ä", "a\0", &"x".repeat(64)] {
            let error = check_slug(slug).unwrap_err();
            assert!(error.detail.contains("lower-case letters, digits and hyphens"), "{}", error.detail);
        }
    }

    #[test]
    fn settings_that_are_absent_or_newer_do_not_hurt() {
        let settings: TenantSettings = serde_json::from_value(json!({ "require_complete": true, "from_the_future": 1 })).unwrap();
        assert_eq!(settings, TenantSettings { require_complete: true, ..TenantSettings::default() });
    }

    #[test]
    fn a_setting_is_checked_before_it_is_stored() {
        assert_eq!(Value::Object(TenantSettings::parse("keep_passwords", "true").unwrap()), json!({ "keep_passwords": true }));
        let unknown = TenantSettings::parse("colour", "true").unwrap_err().detail;
        assert_eq!(
            unknown,
            "\"colour\" is not a tenant setting; there are unique_group_names, division_is_department, require_complete, keep_passwords"
        );
        for value in ["yes", "1", "null", "\"true\"", ""] {
            let wrong = TenantSettings::parse("keep_passwords", value).unwrap_err().detail;
            assert!(wrong.starts_with("keep_passwords is true or false, not "), "{wrong}");
        }
    }
}
