//! The record of what happened. A change writes its event in its own statement, so there is no change without one; a refused
//! provisioning request is recorded by a task of its own, so that the answer does not wait for it.
//!
//! Kinds are JumpCloud's Directory Insights names. `change` names what changed and holds no person's data, so that erasing a
//! person does not mean editing the record; the sentence of a refusal quotes what the client sent, as the client was told it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{Directory, Origin, Pool, UNIT_MAX, pool};
use crate::scim::ScimError;

/// Refusals that wait to be written; beyond it they are counted and dropped, because a flood of bad requests must not hold
/// memory.
const WAITING_MAX: usize = 10_000;

/// Refusals written in one statement.
const BATCH_MAX: usize = 500;

/// What a request tried to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the Directory Insights name that `name` gives")]
pub enum Kind {
    UserCreate,
    UserUpdate,
    UserDeprovision,
    /// Not by a request: the tenant's mapping changed, and the employee with it.
    UserMapping,
    UserDelete,
    UserLookup,
    GroupCreate,
    GroupUpdate,
    GroupDelete,
    GroupLookup,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::UserCreate,
        Self::UserUpdate,
        Self::UserDeprovision,
        Self::UserMapping,
        Self::UserDelete,
        Self::UserLookup,
        Self::GroupCreate,
        Self::GroupUpdate,
        Self::GroupDelete,
        Self::GroupLookup,
    ];

    /// The Directory Insights name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UserCreate => "user_create_provision",
            Self::UserUpdate => "user_update_provision",
            Self::UserDeprovision => "user_deprovision",
            Self::UserMapping => "user_mapping_update",
            Self::UserDelete => "user_delete_provision",
            Self::UserLookup => "user_lookup_provision",
            Self::GroupCreate => "group_create_provision",
            Self::GroupUpdate => "group_update_provision",
            Self::GroupDelete => "group_delete_provision",
            Self::GroupLookup => "group_lookup_provision",
        }
    }

    /// Whether it changes anything.
    #[must_use]
    pub fn is_change(self) -> bool {
        !matches!(self, Self::UserLookup | Self::GroupLookup)
    }

    fn resource_type(self) -> &'static str {
        match self {
            Self::UserCreate | Self::UserUpdate | Self::UserDeprovision | Self::UserMapping | Self::UserDelete | Self::UserLookup => "User",
            Self::GroupCreate | Self::GroupUpdate | Self::GroupDelete | Self::GroupLookup => "Group",
        }
    }
}

/// A refused provisioning request.
#[derive(Debug)]
pub struct Refusal {
    /// Who asked.
    pub origin: Origin,
    /// What for.
    pub kind: Kind,
    /// Of which resource, when the request named one.
    pub resource_id: Option<Uuid>,
    /// What the client was told.
    pub error: ScimError,
    /// What was coerced or set aside until then.
    pub notes: Value,
}

/// The task that writes refusals.
#[derive(Debug)]
pub(super) struct RefusalLog {
    waiting: Mutex<Option<mpsc::Sender<Refusal>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    counts: Arc<Counts>,
}

/// What became of refusals since the start.
#[derive(Debug, Default)]
struct Counts {
    recorded: AtomicU64,
    dropped: AtomicU64,
}

impl RefusalLog {
    pub(super) fn start(pool: Pool) -> Self {
        let (waiting, inbox) = mpsc::channel(WAITING_MAX);
        let counts = Arc::<Counts>::default();
        let writer = tokio::spawn(write_all(pool, inbox, Arc::clone(&counts)));
        Self { waiting: Mutex::new(Some(waiting)), writer: Mutex::new(Some(writer)), counts }
    }

    /// Writes what waits and ends the task.
    pub(super) async fn finish(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && let Err(panicked) = writer.await
        {
            tracing::error!(error = %panicked, "the record of refused requests ended early");
        }
    }
}

impl Directory {
    /// Records a refused request soon, without waiting for it.
    pub fn record_refusal(&self, refusal: Refusal) {
        let waiting = self.refusals.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.as_ref().is_none_or(|waiting| waiting.try_send(refusal).is_err()) {
            self.refusals.counts.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("a refused request is not recorded: too many wait for it");
        }
    }

    /// How many refused requests were written to the record since the start, and how many could not be.
    #[must_use]
    pub fn refusals(&self) -> (u64, u64) {
        let counts = &self.refusals.counts;
        (counts.recorded.load(Ordering::Relaxed), counts.dropped.load(Ordering::Relaxed))
    }
}

async fn write_all(pool: Pool, mut inbox: mpsc::Receiver<Refusal>, counts: Arc<Counts>) {
    let mut batch = Vec::new();
    while inbox.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let count = batch.len() as u64;
        match pool::in_time(UNIT_MAX, write(&pool, &batch)).await {
            Ok(()) => counts.recorded.fetch_add(count, Ordering::Relaxed),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, count, "refused requests are not recorded");
                counts.dropped.fetch_add(count, Ordering::Relaxed)
            }
        };
        batch.clear();
    }
}

async fn write(pool: &Pool, refusals: &[Refusal]) -> Result<(), sqlx::Error> {
    let column = |value: fn(&Refusal) -> Uuid| refusals.iter().map(value).collect::<Vec<Uuid>>();
    let kinds: Vec<&str> = refusals.iter().map(|refusal| refusal.kind.name()).collect();
    let types: Vec<&str> = refusals.iter().map(|refusal| refusal.kind.resource_type()).collect();
    let requests: Vec<String> = refusals.iter().map(|refusal| refusal.origin.request_id.to_string()).collect();
    let resources: Vec<Option<Uuid>> = refusals.iter().map(|refusal| refusal.resource_id).collect();
    let changes: Vec<Value> = refusals.iter().map(change_of).collect();
    // A tenant that was deleted in the meantime takes its record with it. The order is said, because a join has none.
    sqlx::query(
        "insert into events (tenant_id, connection_id, token_id, request_id, kind, resource_type, resource_id, outcome, change)
         select r.tenant_id, r.connection_id, r.token_id, r.request_id, r.kind, r.resource_type, r.resource_id, 'failure', r.change
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::jsonb[]) with ordinality
             as r (tenant_id, connection_id, token_id, request_id, kind, resource_type, resource_id, change, number)
         join tenants t on t.id = r.tenant_id
         order by r.number",
    )
    .bind(column(|refusal| refusal.origin.caller.tenant_id))
    .bind(column(|refusal| refusal.origin.caller.connection_id))
    .bind(column(|refusal| refusal.origin.caller.token_id))
    .bind(requests)
    .bind(kinds)
    .bind(types)
    .bind(resources)
    .bind(changes)
    .execute(pool)
    .await?;
    Ok(())
}

fn change_of(refusal: &Refusal) -> Value {
    let mut change = json!({ "status": refusal.error.status, "detail": refusal.error.detail });
    if let Some(scim_type) = refusal.error.scim_type {
        change["scimType"] = scim_type.keyword().into();
    }
    with_notes(change, &refusal.notes)
}

/// A change with what was coerced or set aside in the request.
pub(super) fn with_notes(mut change: Value, notes: &Value) -> Value {
    if !notes.is_null() {
        change["notes"] = notes.clone();
    }
    change
}
