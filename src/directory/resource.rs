//! What the use cases of users and groups share: who asked, what was stored, and how a resource comes back.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Caller, Error};
use crate::scim::document::Document;
use crate::scim::schema::ResourceType;
use crate::scim::view::{Meta, Resource};

/// Who asked for a change, and in which request: every event says so.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The token's owner.
    pub caller: Arc<Caller>,
    /// The request.
    pub request_id: Arc<str>,
    /// The unit of work, which the events carry as well: the request's id is the client's and may come twice.
    pub unit: Uuid,
    /// The URL of the base that the request came by; references are built from it.
    pub base: Arc<str>,
}

impl Origin {
    /// The tenant that every statement names.
    #[must_use]
    pub fn tenant_id(&self) -> Uuid {
        self.caller.tenant_id
    }
}

/// A resource as it is stored, with its memberships when they were read.
#[derive(Debug, Clone, FromRow)]
pub struct Stored {
    /// The id.
    pub id: Uuid,
    /// Counts changes.
    pub version: i64,
    /// The document's text.
    pub document: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// `groups` of a user or `members` of a group as JSON text.
    #[sqlx(default)]
    pub memberships: Option<String>,
}

impl Stored {
    /// The resource for an answer.
    #[must_use]
    pub fn resource<'a>(&'a self, resource_type: &'static ResourceType, base: &'a str) -> Resource<'a> {
        Resource {
            meta: Meta {
                resource_type,
                id: self.id,
                created: self.created_at,
                last_modified: self.updated_at,
                version: self.version,
                base,
            },
            document: &self.document,
            memberships: self.memberships.as_deref(),
        }
    }
}

/// A resource that is to be changed.
#[derive(Debug, FromRow)]
pub(super) struct Before {
    pub(super) version: i64,
    pub(super) document: String,
    pub(super) unmapped: Json<Map<String, Value>>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    #[sqlx(default)]
    pub(super) memberships: Option<String>,
}

impl Before {
    pub(super) fn document(&self) -> Result<Document, Error> {
        Document::from_stored(&self.document).map_err(Error::internal)
    }

    /// What an answer shows when nothing was changed.
    pub(super) fn unchanged(self, id: Uuid) -> Stored {
        Stored {
            id,
            version: self.version,
            document: self.document,
            created_at: self.created_at,
            updated_at: self.updated_at,
            memberships: self.memberships,
        }
    }
}
