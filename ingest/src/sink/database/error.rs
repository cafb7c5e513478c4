//! Why the database did not do what was asked.

/// What went wrong. The text names no password: addresses are not part of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else writes this lane now.
    #[error("another process writes this partition now")]
    Fenced,
    /// What was to be stored cannot be, however often it is tried.
    #[error("the database refuses the rows: {0}")]
    Refused(#[source] sqlx::Error),
    /// The database is away, busy, full or in an unexpected state.
    #[error("the database does not answer as it should: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// Its tables could not be made.
    #[error("the tables of the database cannot be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The address is none.
    #[error("the address of the database: {0}")]
    Address(#[source] sqlx::Error),
    /// There is no such file, and it is only to be read.
    #[error("there is no database {0} (see database.url; `run` and `replay` make it)")]
    NoFile(String),
    /// What is stored is not what this program stores.
    #[error("a stored row cannot be read: {0}")]
    Foreign(&'static str),
}

/// SQLSTATEs of a server that starts, stops, or has too many clients for the moment.
const PASSING: [&str; 4] = ["57P01", "57P02", "57P03", "53300"];

impl StoreError {
    /// Whether waiting may help although nobody mends anything: there is no server, or it starts.
    pub fn is_passing(&self) -> bool {
        let (Self::Unavailable(error)
        | Self::Migration(
            sqlx::migrate::MigrateError::Execute(error)
            | sqlx::migrate::MigrateError::ExecuteMigration(error, _),
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

    /// The label in metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Fenced => "fenced",
            Self::Refused(_) => "refused",
            Self::Unavailable(_) => "unavailable",
            Self::Migration(_) => "migration",
            Self::Address(_) => "address",
            Self::NoFile(_) => "no_file",
            Self::Foreign(_) => "foreign",
        }
    }
}

/// Classes of SQLSTATE that say something about the rows: data exceptions, broken constraints,
/// limits of the program.
const OF_THE_ROWS: [&str; 3] = ["22", "23", "54"];

/// No partition for a row, which somebody has dropped in the meantime.
const NO_PARTITION: &str = "23514";

/// The same in SQLite: a constraint, too long, of a wrong type.
const OF_THE_ROWS_IN_SQLITE: [i32; 3] = [19, 18, 20];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code);
        let of_the_rows = match code.as_deref() {
            Some(NO_PARTITION) | None => matches!(error, sqlx::Error::Encode(_)),
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
