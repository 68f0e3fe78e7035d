//! Why the directory could not do what it was asked: the client's fault (a `ScimError`, which the client may read), the
//! database's absence (answered 503, worth trying again) or a fault of ours (answered 500). Text from the database stays
//! in the cause, for the log; it never reaches a client.

use sqlx::migrate::MigrateError;

use crate::scim::ScimError;

/// What is behind an error, for the log only.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The tenant's mapping changed between the moment it was read and the write.
#[derive(Debug, thiserror::Error)]
#[error("the tenant's mapping was changed at the same time")]
struct MappingChanged;

/// A resource was changed by somebody else between the moment it was read and the write.
#[derive(Debug, thiserror::Error)]
#[error("the resource was changed at the same time")]
struct Overtaken;

/// A failed use case.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request cannot be done as it is; the sentence is for the client.
    #[error("{}", .0.detail)]
    Scim(ScimError),
    /// The database did not answer, or not in time. The same request may succeed later: 503 with Retry-After.
    #[error("the database is not available")]
    Unavailable(#[source] Cause),
    /// The connection to the database was lost during a commit, and whether the change was made could not be found out: 503.
    #[error("it is not known whether the change was made")]
    Unsettled(#[source] Cause),
    /// A fault of ours: 500 with a request id.
    #[error("internal error")]
    Internal(#[source] Cause),
}

impl Error {
    /// A fault of ours with a sentence for the log.
    pub(crate) fn internal(cause: impl Into<Cause>) -> Self {
        Self::Internal(cause.into())
    }

    /// The write was computed with a mapping that is not the tenant's any more, so nothing was written. Whoever computes again
    /// with the current one does not see it; as an answer it says that the same request may succeed later.
    pub(super) fn mapping_changed() -> Self {
        Self::Unavailable(Box::new(MappingChanged))
    }

    /// Whether it is [`Error::mapping_changed`].
    pub(super) fn is_mapping_changed(&self) -> bool {
        matches!(self, Self::Unavailable(cause) if cause.is::<MappingChanged>())
    }

    /// The write was computed from a resource that has changed since, so nothing was written. Whoever does it again under the
    /// resource's lock does not see it.
    pub(super) fn overtaken() -> Self {
        Self::Unavailable(Box::new(Overtaken))
    }

    /// Whether it is [`Error::overtaken`].
    pub(super) fn is_overtaken(&self) -> bool {
        matches!(self, Self::Unavailable(cause) if cause.is::<Overtaken>())
    }

    /// Whether the whole unit of work may be done again: the database undid it because of another one (serialization failure,
    /// deadlock), and it would do it now.
    pub(super) fn is_conflict(&self) -> bool {
        self.passing_code().is_some_and(|code| is_conflict(&code))
    }

    /// Whether a statement that failed like this may have been committed all the same: its answer was lost, or never sent.
    pub(super) fn leaves_open(&self) -> bool {
        match self {
            Self::Unsettled(_) => true,
            Self::Unavailable(cause) => cause.downcast_ref::<sqlx::Error>().is_some_and(is_lost),
            Self::Scim(_) | Self::Internal(_) => false,
        }
    }

    /// The same failure, of a change of which nobody knows whether it was made.
    pub(super) fn unsettled(self) -> Self {
        match self {
            Self::Unavailable(cause) => Self::Unsettled(cause),
            other => other,
        }
    }

    /// Whether the database is there and undid the unit of work because others stood in its way: a conflict, or one of its
    /// time limits (statement_timeout, lock_timeout).
    pub(super) fn is_undone(&self) -> bool {
        self.passing_code().is_some_and(|code| is_conflict(&code) || matches!(&*code, "57014" | "55P03"))
    }

    /// The SQLSTATE behind `Unavailable`, when the database said one.
    fn passing_code(&self) -> Option<std::borrow::Cow<'_, str>> {
        let Self::Unavailable(cause) = self else { return None };
        cause.downcast_ref::<sqlx::Error>()?.as_database_error()?.code()
    }
}

impl From<ScimError> for Error {
    fn from(error: ScimError) -> Self {
        Self::Scim(error)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if is_passing(&error) { Self::Unavailable(Box::new(error)) } else { Self::Internal(Box::new(error)) }
    }
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        Self::from(sqlx::Error::Migrate(Box::new(error)))
    }
}

/// Whether the database is away, or undid the work for another's sake: not the statement's fault.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => database.code().is_some_and(|code| speaks_of_the_server(&code)),
        // No free connection in time, no connection at all, or one that broke.
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Migrate(migration) => match migration.as_ref() {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => is_passing(error),
            _ => false,
        },
        _ => false,
    }
}

/// Whether an error ended the connection, so that it says nothing of what the statement did.
fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => database.code().is_some_and(|code| {
            // Connection exceptions (08007 is transaction_resolution_unknown), statement_completion_unknown, and the ends of a
            // session that may come between a commit and its answer: shut down by an administrator, crashed.
            code.starts_with("08") || matches!(&*code, "40003" | "57P01" | "57P02")
        }),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// The name of the constraint a statement violated.
#[must_use]
pub fn constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error()?.constraint()
}

/// Serialization failure and deadlock: PostgreSQL asks to run the transaction again.
fn is_conflict(code: &str) -> bool {
    matches!(code, "40001" | "40P01")
}

/// SQLSTATEs (PostgreSQL, appendix A) that speak of the server's condition and not of the statement.
fn speaks_of_the_server(code: &str) -> bool {
    is_conflict(code)
        // Connection exceptions; insufficient resources: disk full, out of memory, too many connections; operator intervention
        // that ends sessions: shut down by an administrator, crashed, starting up.
        || ["08", "53", "57P"].iter().any(|class| code.starts_with(class))
        || matches!(
            code,
            // Of a statement whose end the server does not know itself.
            "40003"
            // Read-only: a primary that has become a standby.
            | "25006"
            // Credentials that are being rotated, a database that is being restored under its name.
            | "28000" | "28P01" | "3D000"
            // statement_timeout, lock_timeout, idle_in_transaction_session_timeout.
            | "57014" | "55P03" | "25P03"
        )
}

#[cfg(test)]
pub(super) mod tests {
    use std::{borrow::Cow, fmt};

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    #[derive(Debug)]
    struct Refused(&'static str);

    impl fmt::Display for Refused {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text from the database")
        }
    }

    impl std::error::Error for Refused {}

    impl DatabaseError for Refused {
        fn message(&self) -> &str {
            "text from the database"
        }
        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }
        fn constraint(&self) -> Option<&str> {
            Some("users_user_name_unique")
        }
        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }
        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }
        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }
        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    pub(in crate::directory) fn database(code: &'static str) -> sqlx::Error {
        sqlx::Error::Database(Box::new(Refused(code)))
    }

    #[test]
    fn a_database_that_is_away_is_unavailable() {
        let codes = "57P01 57P02 57P03 53300 53100 53200 25006 28000 28P01 3D000 57014 55P03 25P03 08006 08007 40001 40P01 40003";
        for code in codes.split(' ') {
            assert!(matches!(Error::from(database(code)), Error::Unavailable(_)), "{code}");
        }
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(matches!(Error::from(sqlx::Error::Io(reset)), Error::Unavailable(_)));
        assert!(matches!(Error::from(sqlx::Error::PoolTimedOut), Error::Unavailable(_)));
        assert!(matches!(Error::from(MigrateError::Execute(database("57P03"))), Error::Unavailable(_)));
    }

    #[test]
    fn everything_else_is_internal() {
        for code in ["23505", "42P01", "22021", "25P02", "XX000"] {
            assert!(matches!(Error::from(database(code)), Error::Internal(_)), "{code}");
        }
        assert!(matches!(Error::from(sqlx::Error::RowNotFound), Error::Internal(_)));
        assert!(matches!(Error::from(MigrateError::VersionMismatch(1)), Error::Internal(_)));
    }

    #[test]
    fn only_conflicts_are_done_again() {
        for (code, again) in [("40001", true), ("40P01", true), ("57014", false), ("08006", false), ("23505", false)] {
            assert_eq!(Error::from(database(code)).is_conflict(), again, "{code}");
        }
        assert!(!Error::from(sqlx::Error::PoolTimedOut).is_conflict());
    }

    #[test]
    fn a_unit_undone_by_others_is_told_from_a_database_that_is_away() {
        for (code, undone) in [("40001", true), ("40P01", true), ("57014", true), ("55P03", true), ("57P01", false), ("08006", false)] {
            assert_eq!(Error::from(database(code)).is_undone(), undone, "{code}");
        }
        assert!(!Error::from(sqlx::Error::PoolTimedOut).is_undone());
    }

    #[test]
    fn only_a_lost_connection_leaves_open_what_a_commit_did() {
        for code in ["08007", "08006", "40003", "57P01", "57P02"] {
            assert!(Error::from(database(code)).leaves_open(), "{code}");
        }
        // PostgreSQL undid these, and says so.
        for code in ["40001", "40P01", "57014", "55P03", "25P03", "53100", "25006", "23505", "25P02"] {
            assert!(!Error::from(database(code)).leaves_open(), "{code}");
        }
        let reset = || Error::from(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
        assert!(reset().leaves_open());
        assert!(matches!(reset().unsettled(), Error::Unsettled(_)));
        assert!(!reset().is_conflict() && !reset().unsettled().is_conflict(), "what may have been done is not done again blindly");
        assert!(!Error::from(sqlx::Error::PoolTimedOut).leaves_open(), "nothing was sent");
    }

    #[test]
    fn no_text_from_the_database_is_in_the_message() {
        for code in ["57P01", "XX000"] {
            assert!(!Error::from(database(code)).to_string().contains("text from"), "{code}");
        }
    }

    #[test]
    fn a_violated_constraint_is_named() {
        assert_eq!(constraint(&database("23505")), Some("users_user_name_unique"));
        assert_eq!(constraint(&sqlx::Error::RowNotFound), None);
    }
}
