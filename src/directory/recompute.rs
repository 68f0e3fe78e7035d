//! Employees computed again from the stored documents, in batches: for a look at what another mapping would change, after a
//! change of the mapping, and when an operator asks.
//!
//! Why nothing is lost while requests go on. A request's write holds the tenant's row `for key share` and writes nothing unless
//! the version it computed with is the tenant's (`users`). So a write with an older version belongs to a transaction that was
//! there when the newer version was committed. A batch takes rows under their locks and only those of an older version, and
//! `users.mapping_version` never decreases. When the last batch is done, [`wait_for_older`] waits until every transaction of
//! that time has ended; what such a one wrote is found by the sweep after it, and nothing can come later.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::employee_search::lookup_key;
use super::events::Kind;
use super::{Directory, Error, Pool, Session, Tenant, TenantMapping, TenantSettings};
use crate::scim::declared::conform;
use crate::scim::document::Document;
use crate::workplace::{Diff, Employee, Mapping, Settings};

/// Users computed in one transaction: long enough to be quick, short enough not to hold provisioning up.
const BATCH: i64 = 500;

/// The first and the longest pause between two looks whether older transactions have ended.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// What a recomputation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reprojected {
    /// Employees looked at.
    pub total: u64,
    /// Employees whose fields differ from what was stored.
    pub changed: u64,
}

/// How far a recomputation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Employees done.
    pub done: u64,
    /// Employees of the tenant when it began.
    pub total: u64,
}

/// How an application ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// Every employee is computed with this version, the tenant's current one.
    Done(i64),
    /// There was nothing to do: the shipped profile is the tenant's mapping.
    Shipped,
}

impl Directory {
    /// What a mapping would change in the tenant's employees. Nothing is written; a batch at a time is in memory.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn preview_mapping(&self, tenant: &Tenant, mapping: &Mapping, mut told: impl FnMut(Progress)) -> Result<Diff, Error> {
        let mut diff = Diff::default();
        let total = self.progress(tenant.id, 0).await?.total;
        let settings = settings_of(&tenant.settings);
        let mut after = 0;
        loop {
            let rows: Vec<Row> = sqlx::query_as(
                "select seq, id, document::text as document, unmapped, first_name, last_name, name, title, email, phone, location,
                     cost_center, employment_type, department_name, team_name, manager_id, custom, missing
                 from users where tenant_id = $1 and seq > $2 order by seq limit $3",
            )
            .bind(tenant.id)
            .bind(after)
            .bind(BATCH)
            .fetch_all(&self.pool)
            .await?;
            let Some(last) = rows.last() else { return Ok(diff) };
            after = last.seq;
            for row in rows {
                let (id, (computed, _)) = (row.id, row.computed(mapping, &settings)?);
                diff.add(id, &row.stored(), &computed);
            }
            told(Progress { done: diff.employees, total: total.max(diff.employees) });
        }
    }

    /// Recomputes every employee that was computed with an older version than the tenant's current one, taking up the work
    /// where it was left. Several processes may do so at once: they take turns. When yet another version is made meanwhile,
    /// that one is applied.
    ///
    /// # Errors
    /// Only the database's; the batches before the fault stay done.
    pub async fn apply_mapping(&self, tenant_id: Uuid, mut told: impl FnMut(Progress)) -> Result<Applied, Error> {
        loop {
            let mapping = self.current_mapping(tenant_id).await?;
            if mapping.version == 0 {
                return Ok(Applied::Shipped);
            }
            let older_than = transactions_until_now(&self.pool).await?;
            let mut progress = self.progress(tenant_id, mapping.version).await?;
            told(progress);
            let first = Pass { tenant_id, mapping: Arc::clone(&mapping), walk: Walk::Noted };
            if !self.run(&first, &mut progress, &mut told).await? {
                continue;
            }
            wait_for_older(&self.pool, &older_than).await?;
            let sweep = Pass { walk: Walk::Sweep, ..first };
            if self.run(&sweep, &mut progress, &mut told).await? && self.mark_applied(tenant_id, &mapping).await? {
                told(Progress { done: progress.total, total: progress.total });
                return Ok(Applied::Done(mapping.version));
            }
        }
    }

    /// The tenants whose current mapping is not applied to every employee: the process that did it was ended.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn tenants_to_recompute(&self) -> Result<Vec<Uuid>, Error> {
        let tenants = sqlx::query_scalar(
            "select t.id from tenants t join mappings m on m.tenant_id = t.id and m.version = t.mapping_version
             where m.state = 'applying' order by m.created_at",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(tenants)
    }

    /// Derives all employees of a tenant again with its current mapping, after a setting or the program was changed. `dry_run`
    /// only counts.
    ///
    /// # Errors
    /// Only the database's; the batches before the fault stay done, and starting again is safe.
    pub async fn reproject(&self, tenant: &Tenant, dry_run: bool) -> Result<Reprojected, Error> {
        let mapping = self.current_mapping(tenant.id).await?;
        if dry_run {
            let diff = self.preview_mapping(tenant, &mapping.mapping, |_| ()).await?;
            return Ok(Reprojected { total: diff.employees, changed: diff.changed });
        }
        let mut sum = Reprojected::default();
        let mut after = 0;
        let mut pass = Pass { tenant_id: tenant.id, mapping, walk: Walk::All };
        loop {
            match self.batch(&pass, after).await? {
                Batch::Done(upto, done) => {
                    after = upto;
                    sum.total += done.total;
                    sum.changed += done.changed;
                }
                Batch::End => return Ok(sum),
                Batch::Superseded => pass.mapping = self.current_mapping(tenant.id).await?,
            }
        }
    }

    /// Runs batches until no employee is left; false when a later version was made meanwhile.
    async fn run(&self, pass: &Pass, progress: &mut Progress, told: &mut impl FnMut(Progress)) -> Result<bool, Error> {
        let mut after = 0;
        loop {
            match self.batch(pass, after).await? {
                Batch::Done(upto, done) => {
                    after = upto;
                    progress.done += done.total;
                    progress.total = progress.total.max(progress.done);
                    told(*progress);
                }
                Batch::End => return Ok(true),
                Batch::Superseded => return Ok(false),
            }
        }
    }

    async fn batch(&self, pass: &Pass, after: i64) -> Result<Batch, Error> {
        let pass = pass.clone();
        self.unit(move |pool| {
            let pass = pass.clone();
            async move {
                let mut transaction = pool.begin().await?;
                let batch = batch(&mut transaction, &pass, after).await?;
                transaction.commit().await?;
                Ok(batch)
            }
        })
        .await
    }

    /// How many employees there are, and how many of them are of this version or a later one.
    async fn progress(&self, tenant_id: Uuid, version: i64) -> Result<Progress, Error> {
        let (total, done): (i64, i64) =
            sqlx::query_as("select count(*), count(*) filter (where mapping_version >= $2) from users where tenant_id = $1")
                .bind(tenant_id)
                .bind(version)
                .fetch_one(&self.pool)
                .await?;
        Ok(Progress { done: done.unsigned_abs(), total: total.unsigned_abs() })
    }

    /// False when a later version was made meanwhile.
    async fn mark_applied(&self, tenant_id: Uuid, mapping: &TenantMapping) -> Result<bool, Error> {
        let current: i64 = sqlx::query_scalar(
            "with marked as (
                 update mappings set state = 'applied', applied_at = now() where tenant_id = $1 and version = $2 and state = 'applying'
             )
             select mapping_version from tenants where id = $1",
        )
        .bind(tenant_id)
        .bind(mapping.version)
        .fetch_one(&self.pool)
        .await?;
        Ok(current == mapping.version)
    }
}

/// A walk over a tenant's employees.
#[derive(Debug, Clone)]
struct Pass {
    tenant_id: Uuid,
    mapping: Arc<TenantMapping>,
    walk: Walk,
}

/// Which employees a walk takes, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// Those of older versions; the version's row says how far the walk is, and whoever walks takes it up there.
    Noted,
    /// Those of older versions, from the beginning: the few that were written behind the first walk.
    Sweep,
    /// All, from the beginning.
    All,
}

impl Pass {
    /// Employees computed with a version below this one are taken.
    fn below(&self) -> i64 {
        self.mapping.version + i64::from(self.walk == Walk::All)
    }
}

/// What a batch did.
#[derive(Debug, Clone, Copy)]
enum Batch {
    /// The employees up to this place are done.
    Done(i64, Reprojected),
    /// None was left.
    End,
    /// The mapping is not the tenant's any more; nothing was done.
    Superseded,
}

#[derive(FromRow)]
struct Row {
    seq: i64,
    id: Uuid,
    document: String,
    unmapped: Json<Map<String, Value>>,
    first_name: Option<String>,
    last_name: Option<String>,
    name: Option<String>,
    title: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    location: Option<String>,
    cost_center: Option<String>,
    employment_type: Option<String>,
    department_name: Option<String>,
    team_name: Option<String>,
    manager_id: Option<String>,
    custom: Json<Map<String, Value>>,
    missing: Vec<String>,
}

impl Row {
    /// What a mapping makes of the user: the employee, and the user itself where what it declares changes that.
    fn computed(&self, mapping: &Mapping, settings: &Settings) -> Result<(Employee, Option<Reformed>), Error> {
        let stored = Document::from_stored(&self.document).map_err(Error::internal)?;
        let Some((document, unmapped)) = conform(mapping.user(), &stored, &self.unmapped)? else {
            return Ok((mapping.employee(stored.as_map(), &self.unmapped, settings), None));
        };
        let employee = mapping.employee(document.as_map(), &unmapped, settings);
        let attributes = stored.changed_attributes(&document);
        let folded = document.folded(mapping.user(), self.id);
        Ok((employee, Some(Reformed { document: document.to_text(), folded, unmapped, attributes })))
    }

    fn stored(self) -> Employee {
        Employee {
            first_name: self.first_name,
            last_name: self.last_name,
            name: self.name,
            title: self.title,
            email: self.email,
            phone: self.phone,
            location: self.location,
            cost_center: self.cost_center,
            employment_type: self.employment_type,
            department_name: self.department_name,
            team_name: self.team_name,
            manager_id: self.manager_id,
            custom: self.custom.0,
            missing: self.missing,
        }
    }
}

/// An employee to be written, and the names of the fields that differ.
#[derive(Serialize)]
struct Computed {
    id: Uuid,
    #[serde(flatten)]
    employee: Employee,
    email_key: Option<String>,
    manager_key: Option<String>,
    changed: Vec<&'static str>,
    #[serde(flatten)]
    reformed: Option<Reformed>,
}

/// A user whose declared attributes are others than before.
#[derive(Serialize)]
struct Reformed {
    document: String,
    folded: Value,
    unmapped: Map<String, Value>,
    /// The attributes of the resource that changed; none where only what is kept aside did.
    attributes: Vec<String>,
}

fn settings_of(settings: &TenantSettings) -> Settings {
    Settings { division_is_department: settings.division_is_department }
}

/// One batch behind `after`. The version's row is locked first, so that of several processes one works at a time and the next
/// one goes on behind it. A place in `seq` ends the batch and not a number of locked rows: rows that a request wrote while this
/// waited for their locks drop out.
async fn batch(connection: &mut Session, pass: &Pass, after: i64) -> Result<Batch, Error> {
    let version = pass.mapping.version;
    let after = match pass.walk {
        Walk::Noted => lock_progress(&mut *connection, pass).await?.max(after),
        Walk::Sweep | Walk::All => after,
    };
    let Some(settings) = lock_version(&mut *connection, pass.tenant_id, version).await? else { return Ok(Batch::Superseded) };
    let Some(upto) = end_of_batch(&mut *connection, pass, after).await? else { return Ok(Batch::End) };
    let rows: Vec<Row> = sqlx::query_as(
        "select seq, id, document::text as document, unmapped, first_name, last_name, name, title, email, phone, location, cost_center,
             employment_type, department_name, team_name, manager_id, custom, missing
         from users where tenant_id = $1 and seq > $2 and seq <= $3 and mapping_version < $4 order by seq for no key update",
    )
    .bind(pass.tenant_id)
    .bind(after)
    .bind(upto)
    .bind(pass.below())
    .fetch_all(&mut *connection)
    .await?;
    let mut done = Reprojected { total: rows.len() as u64, changed: 0 };
    let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
    for row in rows {
        let (id, (employee, reformed)) = (row.id, row.computed(&pass.mapping.mapping, &settings)?);
        let fields = row.stored().changed_fields(&employee);
        if fields.is_empty() && reformed.is_none() {
            unchanged.push(id);
            continue;
        }
        let (email_key, manager_key) = (lookup_key(employee.email.as_deref()), lookup_key(employee.manager_id.as_deref()));
        done.changed += u64::from(!fields.is_empty());
        changed.push(Computed { id, employee, email_key, manager_key, changed: fields, reformed });
    }
    write(connection, pass, &changed, &unchanged).await?;
    note_progress(connection, pass, upto, done.changed).await?;
    Ok(Batch::Done(upto, done))
}

/// How far the version is applied, held until the batch ends.
async fn lock_progress(connection: &mut Session, pass: &Pass) -> Result<i64, Error> {
    let noted: Option<i64> = sqlx::query_scalar("select done_seq from mappings where tenant_id = $1 and version = $2 for no key update")
        .bind(pass.tenant_id)
        .bind(pass.mapping.version)
        .fetch_optional(connection)
        .await?;
    Ok(noted.unwrap_or_default())
}

/// The place where the batch behind `after` ends; `None` when nothing is behind it. A sweep looks for the few that are left; the
/// other walks count places, so that no batch looks further than its own end.
async fn end_of_batch(connection: &mut Session, pass: &Pass, after: i64) -> Result<Option<i64>, Error> {
    let query = if pass.walk == Walk::Sweep {
        sqlx::query_scalar(
            "select max(seq) from (
                 select seq from users where tenant_id = $1 and seq > $2 and mapping_version < $4 order by seq limit $3
             ) next",
        )
    } else {
        sqlx::query_scalar("select max(seq) from (select seq from users where tenant_id = $1 and seq > $2 order by seq limit $3) next")
    };
    let query = query.bind(pass.tenant_id).bind(after).bind(BATCH);
    let query = if pass.walk == Walk::Sweep { query.bind(pass.below()) } else { query };
    Ok(query.fetch_one(connection).await?)
}

/// The tenant's settings, when this version is the current one. The lock makes it one that a later version waits out.
async fn lock_version(connection: &mut Session, tenant_id: Uuid, version: i64) -> Result<Option<Settings>, Error> {
    let settings: Option<Json<TenantSettings>> =
        sqlx::query_scalar("select settings from tenants where id = $1 and mapping_version = $2 for key share")
            .bind(tenant_id)
            .bind(version)
            .fetch_optional(connection)
            .await?;
    Ok(settings.map(|settings| settings_of(&settings.0)))
}

async fn note_progress(connection: &mut Session, pass: &Pass, upto: i64, changed: u64) -> Result<(), Error> {
    sqlx::query(
        "update mappings set done_seq = case when $3 then greatest(done_seq, $4) else done_seq end, changed = changed + $5
         where tenant_id = $1 and version = $2 and state = 'applying'",
    )
    .bind(pass.tenant_id)
    .bind(pass.mapping.version)
    .bind(pass.walk == Walk::Noted)
    .bind(upto)
    .bind(i64::try_from(changed).unwrap_or(i64::MAX))
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes a batch in two statements whatever its size: the employees that differ, each with its event and, where a declared
/// attribute came or went, the user; and the version of all.
async fn write(connection: &mut Session, pass: &Pass, changed: &[Computed], unchanged: &[Uuid]) -> Result<(), Error> {
    sqlx::query("update users set mapping_version = $2 where tenant_id = $1 and id = any ($3) and mapping_version < $2")
        .bind(pass.tenant_id)
        .bind(pass.mapping.version)
        .bind(unchanged)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "with computed as (
             select * from jsonb_to_recordset($3) as c (id uuid, first_name text, last_name text, name text, title text, email text,
                 phone text, location text, cost_center text, employment_type text, department_name text, team_name text,
                 manager_id text, custom jsonb, missing text[], email_key text, manager_key text, changed jsonb,
                 document text, folded jsonb, unmapped jsonb, attributes jsonb)
         ), saved as (
             update users u set first_name = c.first_name, last_name = c.last_name, name = c.name, title = c.title, email = c.email,
                 phone = c.phone, location = c.location, cost_center = c.cost_center, employment_type = c.employment_type,
                 department_name = c.department_name, team_name = c.team_name, manager_id = c.manager_id, custom = c.custom,
                 missing = c.missing, email_key = c.email_key, manager_key = c.manager_key, mapping_version = $2,
                 document = coalesce(c.document::json, u.document), folded = coalesce(c.folded, u.folded),
                 unmapped = coalesce(c.unmapped, u.unmapped),
                 version = u.version + case when coalesce(c.attributes, '[]') = '[]' then 0 else 1 end,
                 updated_at = case when coalesce(c.attributes, '[]') = '[]' then u.updated_at
                     else greatest(date_trunc('milliseconds', clock_timestamp()), u.updated_at + interval '1 millisecond') end
             from computed c where u.tenant_id = $1 and u.id = c.id
             returning u.id, c.changed, c.attributes
         )
         insert into events (tenant_id, kind, resource_type, resource_id, outcome, change)
         select $1, $4, 'User', id, 'success', jsonb_strip_nulls(jsonb_build_object('attributes', attributes, 'employee', changed, 'mapping', $2)) from saved
         where changed <> '[]' or coalesce(attributes, '[]') <> '[]'",
    )
    .bind(pass.tenant_id)
    .bind(pass.mapping.version)
    .bind(Json(changed))
    .bind(Kind::UserMapping.name())
    .execute(connection)
    .await?;
    Ok(())
}

/// The transactions that exist now have numbers below this one.
async fn transactions_until_now(pool: &Pool) -> Result<String, Error> {
    Ok(sqlx::query_scalar("select pg_snapshot_xmax(pg_current_snapshot())::text").fetch_one(pool).await?)
}

/// Waits until every transaction with a lower number has ended. Ours end within milliseconds; what else writes in this
/// PostgreSQL may take longer, and then so does this.
async fn wait_for_older(pool: &Pool, number: &str) -> Result<(), Error> {
    let (mut pause, longest) = PAUSES;
    loop {
        let ended: bool =
            sqlx::query_scalar("select pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8").bind(number).fetch_one(pool).await?;
        if ended {
            return Ok(());
        }
        if pause == longest {
            tracing::info!("waiting for transactions that began before the mapping was made");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}
