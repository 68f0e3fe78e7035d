//! The operations of a bulk request (RFC 7644 §3.7), each atomic by itself: several share a transaction, so that they cost one
//! commit, and users created one after the other share a statement. As long as none fails they need nothing else. When one does,
//! the transaction is undone and made again with a statement and a savepoint for each operation, to which a failed one goes back.
//! Operations that refer to each other in a circle (§3.7.1) share a savepoint, so they are done as a whole or not at all. Nothing
//! is reported before it is committed.
//!
//! A transaction that others stand in the way of (deadlock, lock timeout) is undone, and its operations are then done one by
//! one, as single requests would be. When the database is away, what was not done yet is not tried either.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use sqlx::Executor as _;
use uuid::Uuid;

use super::passwords::PasswordChange;
use super::user_changes::{self, Terms};
use super::{Cause, Directory, Error, Origin, Pool, Session, ambiguous, groups, new_users, users};
use crate::scim::ScimError;
use crate::scim::bulk::{Action, BulkRequest, Change, Operation};
use crate::scim::catalog::GROUP;
use crate::scim::schema::ResourceType;

/// The operations that share a transaction: enough that the commit no longer counts, few enough that the rows they lock are
/// free again before others give up (`database.lock_timeout_ms`). A circle is not divided, however large.
const OPERATIONS_PER_TRANSACTION: usize = 100;

/// What became of an operation: the version that was written, none of what is deleted.
pub type Outcome = Result<Option<i64>, Error>;

/// What an attempt starts from: it may be undone and made again.
#[derive(Debug, Clone)]
struct Progress {
    failed: Vec<bool>,
    errors: usize,
}

/// What the units of one transaction need, for tasks of their own.
#[derive(Clone)]
struct Work {
    origin: Origin,
    request: Arc<BulkRequest>,
    /// By operation; made beforehand, since hashing takes too long to hold locks meanwhile.
    passwords: Arc<HashMap<usize, PasswordChange>>,
}

impl Work {
    async fn of(origin: &Origin, request: &Arc<BulkRequest>, units: &[Vec<usize>]) -> Result<Self, Error> {
        let hashed = units.iter().flatten().filter_map(|index| {
            let change = request.operations[*index].change.as_ref().ok()?;
            let password = match &change.action {
                Action::Create(reading) | Action::Replace(reading) => reading.password.as_ref().map(Some),
                Action::Patch(patch) => patch.password.as_ref().map(Option::as_ref),
                Action::Delete => None,
            };
            password.map(|password| async move { Ok((*index, PasswordChange::of(&origin.caller, Some(password)).await?)) })
        });
        let hashed: Result<Vec<_>, Error> = join_all(hashed).await.into_iter().collect();
        Ok(Self { origin: origin.clone(), request: Arc::clone(request), passwords: Arc::new(hashed?.into_iter().collect()) })
    }

    /// What happens to the password of an operation's user.
    fn password(&self, index: usize) -> &PasswordChange {
        self.passwords.get(&index).unwrap_or(&PasswordChange::Keep)
    }
}

/// Some operations with what became of them.
type Outcomes = Vec<(usize, Outcome)>;

impl Directory {
    /// Does the operations of a bulk request. The outcomes are in the order of the request; `None` is an operation that was not
    /// tried, because `failOnErrors` was reached before.
    ///
    /// # Errors
    /// The database was away from the beginning, or a fault of ours.
    pub async fn bulk(&self, origin: &Origin, request: &Arc<BulkRequest>) -> Result<Vec<Option<Outcome>>, Error> {
        let mut progress = Progress { failed: vec![false; request.operations.len()], errors: 0 };
        let mut outcomes: Vec<Option<Outcome>> = request.operations.iter().map(|_| None).collect();
        let mut portions = transactions(request.plan()).into_iter();
        let mut careful = false;
        while let Some(units) = portions.next().filter(|_| !progress.is_over(request)) {
            let work = Arc::new(Work::of(origin, request, &units).await?);
            let (done, away) = match self.portion(&work, &units, &progress, &mut careful).await {
                Ok(done) => (done, None),
                Err(error) if error.is_undone() => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "operations of a bulk request are done one by one");
                    self.one_by_one(&work, &units, progress.clone()).await
                }
                Err(Error::Unsettled(cause)) => (unsettled(&units, cause), None),
                Err(error) => (Vec::new(), Some(error)),
            };
            for (index, outcome) in done {
                progress.record(index, &outcome);
                outcomes[index] = Some(outcome);
            }
            if let Some(error) = away {
                if outcomes.iter().all(Option::is_none) {
                    return Err(error);
                }
                let rest = units.into_iter().chain(portions.flatten()).flatten();
                give_up(error, rest, request, &mut progress, &mut outcomes);
                break;
            }
        }
        Ok(outcomes)
    }

    /// Does units in one transaction, as far as `failOnErrors` lets them. `careful` becomes true when one of them fails: others
    /// of the request are likely to.
    async fn portion(&self, work: &Arc<Work>, units: &[Vec<usize>], progress: &Progress, careful: &mut bool) -> Result<Outcomes, Error> {
        if !*careful && let Some(done) = self.attempt(work, units, progress, false).await? {
            return Ok(done);
        }
        *careful = true;
        self.attempt(work, units, progress, true).await?.ok_or_else(|| Error::internal("a savepoint was left out"))
    }

    async fn attempt(&self, work: &Arc<Work>, units: &[Vec<usize>], before: &Progress, careful: bool) -> Result<Option<Outcomes>, Error> {
        let (units, before, as_cached) = (units.to_vec(), before.clone(), Arc::clone(work));
        self.unit_as_mapped(&work.origin, move |pool, origin| {
            // Each transaction is a unit of work of its own.
            let work = Arc::new(Work { origin: Origin { unit: Uuid::now_v7(), ..origin }, ..(*as_cached).clone() });
            attempt(pool, work, units.clone(), before.clone(), careful)
        })
        .await
    }

    /// Does units in a transaction each. The error is the database's absence; what has no outcome then was not done.
    async fn one_by_one(&self, work: &Arc<Work>, units: &[Vec<usize>], mut progress: Progress) -> (Outcomes, Option<Error>) {
        let mut done = Vec::new();
        for unit in units {
            let outcomes = match self.portion(work, std::slice::from_ref(unit), &progress, &mut true).await {
                Ok(outcomes) => outcomes,
                Err(error) if error.is_undone() => failed(&work.request, unit, unit[0], error),
                Err(Error::Unsettled(cause)) => unsettled(std::slice::from_ref(unit), cause),
                Err(error) => return (done, Some(error)),
            };
            outcomes.iter().for_each(|(index, outcome)| progress.record(*index, outcome));
            done.extend(outcomes);
        }
        (done, None)
    }
}

/// Answers what has no outcome yet as not available, as far as `failOnErrors` lets it; the cause is told once.
fn give_up(
    cause: Error,
    rest: impl Iterator<Item = usize>,
    request: &BulkRequest,
    progress: &mut Progress,
    outcomes: &mut [Option<Outcome>],
) {
    let mut cause = Some(cause);
    for index in rest {
        if outcomes[index].is_none() && !progress.is_over(request) {
            let again = || ScimError::new(503, "the server's database became unavailable before this operation; please try again").into();
            let outcome = Err(cause.take().unwrap_or_else(again));
            progress.record(index, &outcome);
            outcomes[index] = Some(outcome);
        }
    }
}

impl Progress {
    fn record(&mut self, index: usize, outcome: &Outcome) {
        self.failed[index] = outcome.is_err();
        self.errors += usize::from(outcome.is_err());
    }

    /// RFC 7644 §3.7: "the number of errors that the service provider should accept before failing the remaining operations".
    fn is_over(&self, request: &BulkRequest) -> bool {
        request.fail_on_errors.is_some_and(|accepted| self.errors >= accepted)
    }
}

/// Units in portions for one transaction each.
fn transactions(units: Vec<Vec<usize>>) -> Vec<Vec<Vec<usize>>> {
    let mut portions: Vec<Vec<Vec<usize>>> = Vec::new();
    let mut size = OPERATIONS_PER_TRANSACTION;
    for unit in units {
        size += unit.len();
        match portions.last_mut() {
            Some(portion) if size <= OPERATIONS_PER_TRANSACTION => portion.push(unit),
            _ => {
                size = unit.len();
                portions.push(vec![unit]);
            }
        }
    }
    portions
}

/// One transaction. `None` when an operation failed and, for want of savepoints, all of them went with it.
async fn attempt(
    pool: Pool,
    work: Arc<Work>,
    units: Vec<Vec<usize>>,
    mut progress: Progress,
    careful: bool,
) -> Result<Option<Outcomes>, Error> {
    let request = &work.request;
    let mut transaction = pool.begin().await?;
    lock(&mut transaction, &work, &units).await?;
    let (mut done, mut rest) = (Vec::new(), units.as_slice());
    while let [unit, others @ ..] = rest
        && !progress.is_over(request)
    {
        let creates = if careful { 0 } else { new_users(request, rest, &progress) };
        let (attempted, left) = match refusal(request, unit, &progress) {
            Some((index, error)) => (Ok(failed(request, unit, index, error.into())), others),
            None if careful => (Ok(carry_out_or_go_back(&mut transaction, &work, unit).await?), others),
            None if creates > 1 => (create_users(&mut transaction, &work, &rest[..creates]).await, &rest[creates..]),
            None => (carry_out(&mut transaction, &work, unit).await.map_err(|(_, error)| error), others),
        };
        let outcomes = match attempted {
            Ok(outcomes) => outcomes,
            Err(error @ Error::Unavailable(_)) => return Err(error),
            Err(_) => return Ok(None),
        };
        outcomes.iter().for_each(|(index, outcome)| progress.record(*index, outcome));
        done.extend(outcomes);
        rest = left;
    }
    let written =
        done.iter().filter(|(_, outcome)| outcome.is_ok()).filter_map(|(index, _)| request.operations[*index].change.as_ref().ok());
    let written: Vec<Uuid> = written.map(|change| change.id).collect();
    ambiguous::commit(transaction, &pool, &work.origin, &written).await?;
    Ok(Some(done))
}

/// How many of the next units create a user each and are not refused, so that they can be one statement.
fn new_users(request: &BulkRequest, units: &[Vec<usize>], progress: &Progress) -> usize {
    let creates_user = |unit: &[usize]| match unit {
        [index] => request.operations[*index]
            .change
            .as_ref()
            .is_ok_and(|change| matches!(change.action, Action::Create(_)) && !is_group(change.resource_type)),
        _ => false,
    };
    units.iter().take_while(|unit| creates_user(unit) && refusal(request, unit, progress).is_none()).count()
}

/// Creates the users of units that are one such operation each, in one statement.
async fn create_users(connection: &mut Session, work: &Work, units: &[Vec<usize>]) -> Result<Outcomes, Error> {
    let mut users = Vec::with_capacity(units.len());
    for index in units.iter().flatten() {
        let Operation { change, reader, .. } = &work.request.operations[*index];
        if let Ok(Change { id, action: Action::Create(reading), .. }) = change {
            users.push(users::New::of(&work.origin, *id, reading, work.password(*index), &reader.notes_json())?);
        }
    }
    let versions: HashMap<Uuid, i64> = new_users::insert_all(connection, &work.origin, &users).await?.into_iter().collect();
    let outcome = |(index, user): (&usize, &users::New<'_>)| (*index, Ok(versions.get(&user.id).copied()));
    Ok(units.iter().flatten().zip(&users).map(outcome).collect())
}

/// Locks what is to be changed and exists already, and the groups of users that are to be deleted: groups before users, in the order of their ids, as single requests do. So
/// transactions that change the same resources wait for each other in turn, and not in a circle.
async fn lock(connection: &mut Session, work: &Work, units: &[Vec<usize>]) -> Result<(), Error> {
    let changes = units.iter().flatten().filter_map(|index| work.request.operations[*index].change.as_ref().ok());
    let deletions = changes.clone().filter(|change| matches!(change.action, Action::Delete));
    let deleted: Vec<Uuid> = deletions.map(|change| change.id).collect();
    let ids: Vec<Uuid> = changes.filter(|change| !matches!(change.action, Action::Create(_))).map(|change| change.id).collect();
    if ids.len() < 2 {
        return Ok(());
    }
    for statement in [
        "select from groups where tenant_id = $1 and id in (
             select unnest($2::uuid[]) union select group_id from members where tenant_id = $1 and user_id = any ($3)
         ) order by id for no key update",
        "select from users where tenant_id = $1 and id = any ($2) and $3::uuid[] is not null order by id for no key update",
    ] {
        sqlx::query(statement).bind(work.origin.tenant_id()).bind(&ids).bind(&deleted).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Does a unit under a savepoint, so that the transaction goes on without it when it fails.
async fn carry_out_or_go_back(connection: &mut Session, work: &Work, unit: &[usize]) -> Result<Outcomes, Error> {
    connection.execute("savepoint unit").await?;
    match carry_out(connection, work, unit).await {
        Ok(done) => {
            connection.execute("release savepoint unit").await?;
            Ok(done)
        }
        // PostgreSQL undid more than the unit, or is away.
        Err((_, error @ Error::Unavailable(_))) => Err(error),
        Err((index, error)) => {
            connection.execute("rollback to savepoint unit").await?;
            connection.execute("release savepoint unit").await?;
            Ok(failed(&work.request, unit, index, error))
        }
    }
}

/// Why a unit is not even tried: an operation that cannot be read, or that refers to one that failed.
fn refusal(request: &BulkRequest, unit: &[usize], progress: &Progress) -> Option<(usize, ScimError)> {
    unit.iter().find_map(|index| {
        let operation = &request.operations[*index];
        let failed = || operation.needs.iter().find(|needed| progress.failed[**needed]);
        match &operation.change {
            Err(error) => Some((*index, error.clone())),
            Ok(_) => failed().map(|needed| (*index, request.failed_reference(*needed))),
        }
    })
}

/// The outcomes of a unit whose operation `culprit` failed.
fn failed(request: &BulkRequest, unit: &[usize], culprit: usize, error: Error) -> Outcomes {
    let mut error = Some(error);
    let outcome = |index: &usize| match error.take_if(|_| *index == culprit) {
        Some(error) => (*index, Err(error)),
        None => (*index, Err(request.failed_circle(culprit).into())),
    };
    unit.iter().map(outcome).collect()
}

/// The outcomes of a transaction of which nobody knows whether it was committed; the cause is told once.
fn unsettled(units: &[Vec<usize>], cause: Cause) -> Outcomes {
    let mut cause = Some(cause);
    let mut error = || Error::Unsettled(cause.take().unwrap_or_else(|| "as the operation before".into()));
    units.iter().flatten().map(|index| (*index, Err(error()))).collect()
}

/// Does the operations of one unit; members are added when all that the unit creates is there. Fails with the operation at
/// fault.
async fn carry_out(connection: &mut Session, work: &Work, unit: &[usize]) -> Result<Outcomes, (usize, Error)> {
    let mut done = Vec::with_capacity(unit.len());
    for index in unit {
        let version = write(connection, work, *index).await.map_err(|error| (*index, error))?;
        done.push((*index, Ok(version)));
    }
    for index in unit {
        if let Ok(Change { resource_type, id, action: Action::Create(reading), .. }) = &work.request.operations[*index].change
            && is_group(resource_type)
        {
            groups::add_members(connection, &work.origin, *id, reading).await.map_err(|error| (*index, error))?;
        }
    }
    Ok(done)
}

async fn write(connection: &mut Session, work: &Work, index: usize) -> Result<Option<i64>, Error> {
    let Operation { change, reader, .. } = &work.request.operations[index];
    let Change { resource_type, id, if_match, action } = change.as_ref().map_err(ScimError::clone)?;
    let (origin, id, if_match) = (&work.origin, *id, if_match.as_ref());
    let notes = &reader.notes_json();
    let password = work.password(index);
    let terms = &Terms { password, if_match };
    let stored = match (is_group(resource_type), action) {
        (false, Action::Create(reading)) => users::create(connection, origin, id, reading, password, notes).await?,
        (false, Action::Replace(reading)) => {
            let plan = |origin: &_, user| user_changes::replaced(origin, id, user, reading, terms, notes);
            user_changes::change_locked(connection, origin, id, plan).await?
        }
        (false, Action::Patch(patch)) => {
            let plan = |origin: &_, user| user_changes::patched(origin, id, user, (patch, resource_type), terms, reader.clone());
            user_changes::change_locked(connection, origin, id, plan).await?
        }
        (true, Action::Create(reading)) => groups::create(connection, origin, id, reading, notes).await?,
        (true, Action::Replace(reading)) => groups::replace(connection, origin, id, reading, if_match, notes).await?,
        (true, Action::Patch(patch)) => groups::patch(connection, origin, id, patch, if_match, reader.clone()).await?,
        (false, Action::Delete) => return users::delete(connection, origin, id, if_match).await.map(|()| None),
        (true, Action::Delete) => return groups::delete(connection, origin, id, if_match).await.map(|()| None),
    };
    Ok(Some(stored.version))
}

fn is_group(resource_type: &ResourceType) -> bool {
    resource_type.name == GROUP.name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_holds_so_many_operations_and_a_circle_is_not_divided() {
        let sizes = |units: &[usize]| -> Vec<usize> {
            let portions = transactions(units.iter().map(|size| vec![0; *size]).collect());
            portions.iter().map(|portion| portion.iter().map(Vec::len).sum()).collect()
        };
        assert_eq!(sizes(&[1; 250]), [100, 100, 50]);
        assert_eq!(sizes(&[1, 300, 1, 99, 1]), [1, 300, 100, 1]);
        assert_eq!(sizes(&[]), [0; 0]);
    }
}
