//! How the program ends: its exit statuses, and the messages of failures.

use crate::output;
use pg_workflow_client::{Error, Refusal};
use std::fmt::Display;
use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// All is well.
    Good = 0,
    /// A negative result: errors were found, tests failed, or the server refused.
    Bad = 1,
    /// The command could not be carried out: wrong arguments, or a file that can't be read.
    Unusable = 2,
    /// The database can't be used: no server, a wrong password, no extension, a lost connection.
    Unreachable = 3,
    /// Interrupted by a signal.
    Interrupted = 130,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> ExitCode {
        ExitCode::from(ending as u8)
    }
}

/// Why a command could not be carried out.
#[derive(Debug)]
pub struct Failure {
    ending: Ending,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
}

impl Failure {
    /// Returns a failure caused by arguments or files.
    pub fn unusable(message: impl Display) -> Failure {
        Failure { ending: Ending::Unusable, message: message.to_string(), detail: None, hint: None }
    }

    /// Returns a failure caused by the database.
    pub fn unreachable(message: impl Display) -> Failure {
        Failure { ending: Ending::Unreachable, ..Failure::unusable(message) }
    }

    /// Returns a failure for a negative result.
    pub fn refused(message: impl Display) -> Failure {
        Failure { ending: Ending::Bad, ..Failure::unusable(message) }
    }

    /// Returns a failure to connect. Whatever the reason, the database can't be used.
    pub fn of_connecting(error: sqlx::Error, database: &str, role: &str) -> Failure {
        let sqlstate = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
        if is_not_postgres(&error) {
            return Failure::unreachable(format!("this is not a PostgreSQL server: {error}"))
                .hint("PGHOST, PGPORT and DATABASE_URL say where the server is.");
        }
        let failure = Failure::from(error);
        let failure = match sqlstate.as_str() {
            "42501" => failure.hint(format!("Run GRANT CONNECT ON DATABASE {} TO {}.", quoted(database), quoted(role))),
            _ => failure,
        };
        let ending = failure.ending.max(if sqlstate.is_empty() { Ending::Good } else { Ending::Unreachable });
        Failure { ending, ..failure }
    }

    /// Adds how to fix it.
    pub fn hint(self, hint: impl Display) -> Failure {
        Failure { hint: Some(hint.to_string()), ..self }
    }

    /// Prefixes the message with its subject.
    pub fn about(self, what: impl Display) -> Failure {
        Failure { message: format!("{what}: {}", self.message), ..self }
    }

    /// Leaves out a detail that is for programs.
    pub fn without_json(self) -> Failure {
        Failure { detail: self.detail.filter(|detail| !detail.starts_with('[')), ..self }
    }

    /// Returns the message, with detail and hint on lines of their own.
    pub fn text(&self) -> String {
        let line = |name: &str, text: &Option<String>| {
            text.as_ref().map(|text| format!("\n  {name}: {}", text.replace('\n', "\n    "))).unwrap_or_default()
        };
        format!("{}{}{}", self.message, line("detail", &self.detail), line("hint", &self.hint))
    }

    /// Prints the message, and returns the exit status.
    pub fn report(self) -> ExitCode {
        output::error(&self.text());
        self.ending.into()
    }
}

/// The server's message, with its detail and hint.
impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        if let Some(Refusal { code, sqlstate, message, detail, hint }) = error.refusal() {
            let message = code.as_ref().map_or_else(|| message.clone(), |code| format!("{code}: {message}"));
            let hint = hint.clone().or_else(|| remedy(sqlstate).map(str::to_owned));
            return Failure { detail: detail.clone(), hint, ..Failure::refused(message) };
        }
        match error {
            Error::Database(error) => error.into(),
            error => Failure::refused(error),
        }
    }
}

/// Returns a name as SQL has it.
fn quoted(name: &str) -> String {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Returns what to do about an error that PostgreSQL itself raises.
fn remedy(sqlstate: &str) -> Option<&'static str> {
    match sqlstate {
        "42501" => Some("This role lacks the privilege. See `pg-workflow doctor`, and `workflow_grant` in SQL."),
        "28P01" | "28000" => {
            Some("Set the user with PGUSER or in the URL, and the password with PGPASSWORD or in ~/.pgpass.")
        }
        "25006" => {
            Some("This server is a standby, or this role's transactions are read-only. Connect to the primary server.")
        }
        "53300" => Some(
            "Close connections, put a pooler in front of the server, or raise its max_connections or the limit of the \
             role or database.",
        ),
        "3D000" => Some("Name the database with PGDATABASE or in the URL."),
        _ => None,
    }
}

/// What to do if `is_missing`. PostgreSQL's own hint is about functions in general.
pub const MISSING: &str =
    "Is the extension installed in this database, and as new as this program? See `pg-workflow doctor`.";

/// Whether an error says that the database lacks what the program calls.
pub fn is_missing(sqlstate: &str, message: &str) -> bool {
    match sqlstate {
        "42883" | "42P01" | "42703" => true,
        // Schemas and types; roles that arguments name have the same code.
        "3F000" | "42704" => message.contains("\"workflow"),
        _ => false,
    }
}

/// Whether what answers does not speak PostgreSQL's protocol.
fn is_not_postgres(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Protocol(cause) => !is_end(error) && !cause.contains("authentication method"),
        // An answer that begins with an S, as that of SSH does, announces TLS.
        sqlx::Error::Io(cause) => cause.to_string().contains("received corrupt message"),
        _ => false,
    }
}

/// Whether a connection has ended, rather than never been made.
fn is_end(error: &sqlx::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error {
        sqlx::Error::Io(cause) => {
            matches!(cause.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
        }
        // What sqlx makes of an end where the server should say whether it supports TLS.
        sqlx::Error::Protocol(message) => message.contains("unexpected response from SSLRequest: 0x00"),
        _ => false,
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Failure {
        match &error {
            sqlx::Error::Database(database) => {
                let sqlstate = database.code().unwrap_or_default().into_owned();
                let details = database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>();
                let filled = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
                let hint = details.and_then(|details| filled(details.hint()));
                // Connection, authorization, catalog and operator errors: nothing can be asked of this database.
                let missing = is_missing(&sqlstate, database.message());
                let unreachable = missing || ["08", "28", "3D", "57P"].iter().any(|class| sqlstate.starts_with(class));
                let hint = if missing { Some(MISSING.to_owned()) } else { hint };
                Failure {
                    ending: if unreachable { Ending::Unreachable } else { Ending::Bad },
                    message: database.message().to_owned(),
                    detail: details.and_then(|details| filled(details.detail())),
                    hint: hint.or_else(|| remedy(&sqlstate).map(str::to_owned)),
                }
            }
            error if is_end(error) => Failure::unreachable("the server closed the connection")
                .hint("Is it still running? Its log says why it closed the connection."),
            sqlx::Error::Io(cause) => Failure::unreachable(format!("could not connect: {cause}"))
                .hint("Is the server running? PGHOST, PGPORT and DATABASE_URL say where it is."),
            sqlx::Error::Tls(cause) => Failure::unreachable(format!("no TLS connection: {cause}"))
                .hint("PGSSLMODE, or ?sslmode= in the URL, decides whether to use TLS."),
            sqlx::Error::PoolTimedOut => Failure::unreachable("the server did not respond")
                .hint("Is the server running? PGHOST, PGPORT and DATABASE_URL say where it is."),
            sqlx::Error::Configuration(cause) => Failure::unusable(cause),
            _ => Failure::unreachable(error),
        }
    }
}
