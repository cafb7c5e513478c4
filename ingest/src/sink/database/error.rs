//! Errors of the database.

use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;
use strum::{IntoStaticStr, VariantNames};

/// What went wrong. The text names no password: addresses are not part of it.
#[derive(Debug, thiserror::Error, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum DatabaseError {
    /// Another process owns this lane now.
    #[error("another process writes this partition now")]
    Fenced,
    /// The rows cannot be stored, however often it is tried.
    #[error("the database refuses the rows: {}", told(.0))]
    Refused(#[source] sqlx::Error),
    /// The database is unavailable, busy, full or in an unexpected state.
    #[error("database error: {}", told(.0))]
    Unavailable(#[source] sqlx::Error),
    /// Its tables could not be created.
    #[error("cannot migrate the database schema: {}", migration(.0))]
    Migration(#[from] MigrateError),
    /// The address is invalid.
    #[error("invalid database address: {0}")]
    Address(#[source] sqlx::Error),
    /// The file does not exist, and is only to be read.
    #[error("there is no database {0} (see database.url; `run` and `replay` create it)")]
    NoFile(String),
    /// It could not be opened. The address shows neither user nor password.
    #[error("database.url {address}: {cause}")]
    Opening { address: String, cause: Box<Self> },
    /// A stored row is not one that this program writes.
    #[error("a stored row cannot be read: {0}")]
    Foreign(&'static str),
}

/// No such table.
const NO_TABLE: &str = "42P01";

const NO_TABLE_IN_SQLITE: &str = "no such table";

/// No such column.
const NO_COLUMN: &str = "42703";

const NO_COLUMN_IN_SQLITE: &str = "no such column";

/// What the database says, without the line of its own source at which it says so.
fn told(error: &sqlx::Error) -> String {
    let Some(said) = error.as_database_error() else {
        return error.to_string();
    };
    let mut text = said.message().to_owned();
    if said.code().as_deref() == Some(NO_TABLE) || text.starts_with(NO_TABLE_IN_SQLITE) {
        text.push_str(" (`run` and `replay` create the tables)");
    } else if said.code().as_deref() == Some(NO_COLUMN) || text.starts_with(NO_COLUMN_IN_SQLITE) {
        text.push_str(
            " (the database was made by an earlier version; `run` and `replay` bring it up to date)",
        );
    }
    if let Some(said) = said.try_downcast_ref::<PgDatabaseError>() {
        for more in [said.detail(), said.hint()].into_iter().flatten() {
            text.push_str("; ");
            text.push_str(more);
        }
        text = format!("{text} [SQLSTATE {}]", said.code());
    }
    text
}

fn migration(error: &MigrateError) -> String {
    match error {
        MigrateError::Execute(error) => told(error),
        MigrateError::ExecuteMigration(error, version) => {
            format!("migration {version}: {}", told(error))
        }
        other => other.to_string(),
    }
}

/// SQLSTATEs of a server that starts, stops, or has too many clients for the moment.
const PASSING: [&str; 4] = ["57P01", "57P02", "57P03", "53300"];

impl DatabaseError {
    /// Every label that there is.
    pub const LABELS: &'static [&'static str] = Self::VARIANTS;

    /// Whether waiting may help: the server is unavailable, or starting.
    pub fn is_passing(&self) -> bool {
        if let Self::Opening { cause, .. } = self {
            return cause.is_passing();
        }
        let (Self::Unavailable(error)
        | Self::Migration(
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
        )) = self
        else {
            return false;
        };
        match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
            sqlx::Error::Database(error) => {
                error.code().is_some_and(|code| PASSING.contains(&&*code))
            }
            _ => false,
        }
    }

    /// What the database answers. `None` if it does not.
    pub fn answer(&self) -> Option<String> {
        if let Self::Opening { cause, .. } = self {
            return cause.answer();
        }
        let (Self::Unavailable(error) | Self::Refused(error)) = self else {
            return None;
        };
        let said = error.as_database_error()?;
        let message = said.message();
        Some(match said.code() {
            Some(code) if code.len() == 5 => format!("{message} [SQLSTATE {code}]"),
            _ => message.to_owned(),
        })
    }

    /// Whether other connections of the same time may be of no more use: the server was read-only,
    /// stopped, or another one. Not after a conflict with another transaction.
    pub(super) fn is_of_the_connection(&self) -> bool {
        let Self::Unavailable(error) = self else {
            return false;
        };
        match error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => false,
            sqlx::Error::Database(error) => {
                let code = error.code();
                !code.is_some_and(|code| code.starts_with(CONFLICT))
            }
            _ => true,
        }
    }

    /// Whether there was no partition for a row: another process has dropped it.
    pub(super) fn lacks_partition(&self) -> bool {
        matches!(self, Self::Unavailable(error) if lacks_partition(error))
    }

    /// Whether somebody else held a lock for longer than was waited for.
    pub(super) fn lacks_lock(&self) -> bool {
        let Self::Unavailable(error) = self else {
            return false;
        };
        let said = error.as_database_error();
        said.is_some_and(|said| said.code().as_deref() == Some(LOCK_NOT_AVAILABLE))
    }

    /// The label in metrics.
    pub fn label(&self) -> &'static str {
        self.into()
    }
}

/// `lock_timeout` was over.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// The class of SQLSTATE of transactions that were taken back in favour of others.
const CONFLICT: &str = "40";

/// Classes of SQLSTATE that say something about the rows: triggered actions, data exceptions, broken
/// constraints, external routines, the check option of a view, limits of the program, and what
/// functions raise, such as triggers.
const OF_THE_ROWS: [&str; 8] = ["09", "22", "23", "27", "38", "44", "54", "P0"];

/// A row that a CHECK constraint refuses, or that no partition is for.
const CHECK_VIOLATION: &str = "23514";

/// Whether there was no partition for a row, which somebody has dropped in the meantime. A CHECK
/// constraint would be named, and a trigger names no table.
fn lacks_partition(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|said| {
        said.code().as_deref() == Some(CHECK_VIOLATION)
            && said.table().is_some()
            && said.constraint().is_none()
    })
}

/// The same in SQLite: a constraint, too long, of a wrong type.
const OF_THE_ROWS_IN_SQLITE: [i32; 3] = [19, 18, 20];

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code);
        let of_the_rows = match code.as_deref() {
            None => matches!(error, sqlx::Error::Encode(_)),
            Some(_) if lacks_partition(&error) => false,
            Some(code) if code.len() == 5 => {
                OF_THE_ROWS.iter().any(|class| code.starts_with(class))
            }
            Some(code) => code
                .parse::<i32>()
                .is_ok_and(|code| OF_THE_ROWS_IN_SQLITE.contains(&(code & 0xff))),
        };
        if of_the_rows {
            Self::Refused(error)
        } else {
            Self::Unavailable(error)
        }
    }
}
