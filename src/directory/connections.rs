//! Connections: one identity provider pointed at one tenant. Pausing one refuses its tokens without losing them; deleting one
//! deletes its tokens and leaves what it provisioned. Each change is recorded in the same statement, under the name that
//! JumpCloud's Directory Insights gives it ("Activate", "Deactivate IdM connection").

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::{
    Directory, Error, Session, constraint,
    tenants::check_name,
    vocabulary::{Conformance, Provider, State},
};
use crate::scim::{ScimError, error::quote};

/// An identity provider's way into a tenant.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The tenant it leads to.
    pub tenant_id: Uuid,
    /// Its id.
    pub id: Uuid,
    /// Its name, unique in the tenant.
    pub name: String,
    /// Who is at the other end.
    pub provider: Provider,
    /// How its requests are read.
    pub conformance: Conformance,
    /// Whether its tokens are accepted.
    pub state: State,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

#[derive(FromRow)]
struct Row {
    tenant_id: Uuid,
    id: Uuid,
    name: String,
    provider: String,
    conformance: String,
    state: String,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Connection {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            tenant_id: row.tenant_id,
            id: row.id,
            name: row.name,
            provider: row.provider.try_into()?,
            conformance: row.conformance.try_into()?,
            state: row.state.try_into()?,
            created_at: row.created_at,
        })
    }
}

impl Directory {
    /// Makes a connection, active from the start.
    ///
    /// # Errors
    /// A sentence when the name is not usable or taken, or the tenant does not exist.
    pub async fn create_connection(
        &self,
        tenant_id: Uuid,
        name: &str,
        provider: Provider,
        conformance: Conformance,
    ) -> Result<Connection, Error> {
        check_name("the connection's name", name)?;
        let mut connection = self.pool.acquire().await?;
        let made = insert(&mut connection, tenant_id, name, provider, conformance).await?;
        connection.finish().await?;
        Ok(made)
    }

    /// A tenant's connections, by name.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn connections(&self, tenant_id: Uuid) -> Result<Vec<Connection>, Error> {
        let rows = sqlx::query_as::<_, Row>(
            "select tenant_id, id, name, provider, conformance, state, created_at
             from connections where tenant_id = $1 order by name",
        )
        .bind(tenant_id)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Connection::try_from).collect()
    }

    /// The tenant's connection with this name.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn find_connection(&self, tenant_id: Uuid, name: &str) -> Result<Option<Connection>, Error> {
        let row = sqlx::query_as::<_, Row>(
            "select tenant_id, id, name, provider, conformance, state, created_at
             from connections where tenant_id = $1 and name = $2",
        )
        .bind(tenant_id)
        .bind(name)
        .fetch_optional(&self.pool)
        .await?;
        row.map(Connection::try_from).transpose()
    }

    /// Pauses or resumes a connection: servers follow within a second. `false` when it was in that state already, `None` when
    /// the tenant has no such connection.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn set_connection_state(&self, tenant_id: Uuid, name: &str, state: State) -> Result<Option<bool>, Error> {
        let kind = match state {
            State::Active => "idm_integration_activate",
            State::Paused => "idm_integration_deactivate",
        };
        let changed = sqlx::query_scalar(
            "with found as (
                 select tenant_id, id, name, provider, state from connections where tenant_id = $1 and name = $2 for update
             ), changed as (
                 update connections c set state = $3 from found f
                 where c.tenant_id = f.tenant_id and c.id = f.id and f.state <> $3
                 returning c.tenant_id, c.id, c.name, c.provider, c.state
             ), recorded as (
                 insert into events (tenant_id, connection_id, kind, resource_type, resource_id, outcome, change)
                 select tenant_id, id, $4, 'Connection', id, 'success',
                     jsonb_build_object('name', name, 'provider', provider, 'state', state)
                 from changed
             )
             select exists (select from changed) from found",
        )
        .bind(tenant_id)
        .bind(name)
        .bind(state.word())
        .bind(kind)
        .fetch_optional(&self.pool)
        .await?;
        Ok(changed)
    }

    /// Changes how a connection's requests are read. `None` when the tenant has no such connection.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn set_conformance(&self, tenant_id: Uuid, name: &str, conformance: Conformance) -> Result<Option<Connection>, Error> {
        let row = sqlx::query_as::<_, Row>(
            "update connections set conformance = $3 where tenant_id = $1 and name = $2
             returning tenant_id, id, name, provider, conformance, state, created_at",
        )
        .bind(tenant_id)
        .bind(name)
        .bind(conformance.word())
        .fetch_optional(&self.pool)
        .await?;
        row.map(Connection::try_from).transpose()
    }

    /// Deletes a connection with its tokens, and returns what it was. Users and groups stay.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn delete_connection(&self, tenant_id: Uuid, name: &str) -> Result<Option<Connection>, Error> {
        let row = sqlx::query_as::<_, Row>(
            "with gone as (
                 delete from connections where tenant_id = $1 and name = $2
                 returning tenant_id, id, name, provider, conformance, state, created_at
             ), recorded as (
                 insert into events (tenant_id, connection_id, kind, resource_type, resource_id, outcome, change)
                 select tenant_id, id, 'idm_integration_deactivate', 'Connection', id, 'success',
                     jsonb_build_object('name', name, 'provider', provider, 'deleted', true)
                 from gone
             )
             select tenant_id, id, name, provider, conformance, state, created_at from gone",
        )
        .bind(tenant_id)
        .bind(name)
        .fetch_optional(&self.pool)
        .await?;
        row.map(Connection::try_from).transpose()
    }
}

pub(super) async fn insert(
    connection: &mut Session,
    tenant_id: Uuid,
    name: &str,
    provider: Provider,
    conformance: Conformance,
) -> Result<Connection, Error> {
    let row = sqlx::query_as::<_, Row>(
        "with made as (
             insert into connections (tenant_id, id, name, provider, conformance) values ($1, $2, $3, $4, $5)
             returning tenant_id, id, name, provider, conformance, state, created_at
         ), recorded as (
             insert into events (tenant_id, connection_id, kind, resource_type, resource_id, outcome, change)
             select tenant_id, id, 'idm_integration_activate', 'Connection', id, 'success',
                 jsonb_build_object('name', name, 'provider', provider)
             from made
         )
         select tenant_id, id, name, provider, conformance, state, created_at from made",
    )
    .bind(tenant_id)
    .bind(Uuid::now_v7())
    .bind(name)
    .bind(provider.word())
    .bind(conformance.word())
    .fetch_one(connection)
    .await;
    match row {
        Err(error) => Err(match constraint(&error) {
            Some("connections_name_unique") => ScimError::uniqueness(format!("the tenant has already a connection {}", quote(name))).into(),
            Some("connections_tenant_id_fkey") => ScimError::not_found("Tenant", &tenant_id.to_string()).into(),
            _ => error.into(),
        }),
        Ok(row) => row.try_into(),
    }
}
