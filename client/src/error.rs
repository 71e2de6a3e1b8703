//! Errors: the server's refusals by kind.

use crate::Finding;
use crate::model::ExecutionStatus;
use sqlx::postgres::PgDatabaseError;

/// The result of every call.
pub type Result<T> = std::result::Result<T, Error>;

/// Reason why a call failed. A failed call changes nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The object of the call does not exist.
    #[error("{0}")]
    NotFound(Refusal),
    /// A unique key is already taken.
    #[error("{0}")]
    Conflict(Refusal),
    /// An argument is missing, malformed or out of range.
    #[error("{0}")]
    Validation(Refusal),
    /// The operation is not possible in the current state, or not with this function.
    #[error("{0}")]
    WrongState(Refusal),
    /// The task has since been given to another worker.
    #[error("{0}")]
    StaleLease(Refusal),
    /// Something is larger, deeper or more numerous than the server's settings allow.
    #[error("{0}")]
    LimitExceeded(Refusal),
    /// The role lacks the privilege to do this.
    #[error("{0}")]
    Privilege(Refusal),
    /// The settings of a worker are invalid.
    #[error(transparent)]
    Build(#[from] crate::worker::BuildError),
    /// The execution has no output to read, because it has not completed.
    #[error("execution {execution} {}{}", said(.status), .message.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    NotCompleted {
        /// The execution.
        execution: i64,
        /// Its status.
        status: ExecutionStatus,
        /// Why it failed.
        message: Option<String>,
    },
    /// The output of an execution does not fit the type that it is read as.
    #[error("the output does not fit: {0}")]
    Output(serde_path_to_error::Error<serde_json::Error>),
    /// Anything else: a lost connection, a serialization failure, a row that does not decode, a database without the
    /// extension.
    #[error("{}", described(.0))]
    Database(sqlx::Error),
}

/// The server's message when it refused a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Documented code, such as `WF616`; `None` if PostgreSQL itself refused.
    pub code: Option<String>,
    /// SQLSTATE.
    pub sqlstate: String,
    /// Error message, without the code.
    pub message: String,
    /// Offending value.
    pub detail: Option<String>,
    /// How to fix it.
    pub hint: Option<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(code) = &self.code {
            write!(f, "{code}: ")?;
        }
        let findings = self.findings();
        if findings.is_empty() {
            f.write_str(&self.message)?;
            if let Some(detail) = &self.detail {
                write!(f, " ({detail})")?;
            }
            return Ok(());
        }
        write!(f, "the definition has errors")?;
        findings.iter().try_for_each(|finding| write!(f, "\n  {finding}"))
    }
}

impl Refusal {
    fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> =
            self.detail.as_deref().and_then(|detail| serde_json::from_str(detail).ok()).unwrap_or_default();
        // The detail omits what follows from the code.
        findings.iter_mut().for_each(|finding| finding.category = category(&finding.code).to_owned());
        findings
    }
}

impl Error {
    /// Returns the server's message if it refused the call.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Error::NotFound(refusal)
            | Error::Conflict(refusal)
            | Error::Validation(refusal)
            | Error::WrongState(refusal)
            | Error::StaleLease(refusal)
            | Error::LimitExceeded(refusal)
            | Error::Privilege(refusal) => Some(refusal),
            Error::Build(_) | Error::NotCompleted { .. } | Error::Output(_) | Error::Database(_) => None,
        }
    }

    /// Returns the documented code, such as `WF616`.
    pub fn code(&self) -> Option<&str> {
        self.refusal()?.code.as_deref()
    }

    /// Returns what is wrong with a definition that the server refused, in source order; empty if it refused something
    /// else.
    pub fn findings(&self) -> Vec<Finding> {
        self.refusal().map(Refusal::findings).unwrap_or_default()
    }

    /// Whether the database cannot be used: it does not exist, does not let the role in, or does not have the
    /// extension.
    pub(crate) fn is_unusable_database(&self) -> bool {
        let Error::Database(sqlx::Error::Database(error)) = self else { return false };
        let sqlstate = error.code().unwrap_or_default();
        sqlstate.starts_with("28") || sqlstate == "3D000" || is_not_installed(&sqlstate, error.message())
    }

    /// Whether the same call may succeed when retried. After a lost connection it is unknown whether the call has
    /// already succeeded.
    pub fn is_transient(&self) -> bool {
        let Error::Database(error) = self else { return false };
        match error {
            sqlx::Error::Database(error) => {
                let sqlstate = error.code().unwrap_or_default();
                // Transaction rollback; insufficient resources; operator intervention; connection exception.
                ["40", "53", "57", "08"].iter().any(|class| sqlstate.starts_with(class))
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::WorkerCrashed => true,
            _ => false,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Error {
        let refused = match &error {
            sqlx::Error::Database(database) => database.try_downcast_ref::<PgDatabaseError>().and_then(refused),
            _ => None,
        };
        refused.unwrap_or(Error::Database(error))
    }
}

/// Maps a server error to its kind by SQLSTATE. SQLSTATEs that PostgreSQL also uses for many other things count only
/// with one of our codes.
fn refused(error: &PgDatabaseError) -> Option<Error> {
    let (code, message) = split(error.message());
    let filled = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let refusal = Refusal {
        code: code.map(str::to_owned),
        sqlstate: error.code().to_owned(),
        message: message.to_owned(),
        detail: filled(error.detail()),
        hint: filled(error.hint()),
    };
    let kind = match (error.code(), code.is_some()) {
        ("P0002", true) => Error::NotFound,
        ("55000", true) => Error::WrongState,
        ("55006", true) => Error::StaleLease,
        ("42501", _) => Error::Privilege,
        (sqlstate, _) if sqlstate.starts_with("54") => Error::LimitExceeded,
        (sqlstate, _) if sqlstate.starts_with("22") => Error::Validation,
        // A null or a value that violates a check constraint is an input error; the rest of class 23 are conflicts with
        // other rows.
        ("23502" | "23514", _) => Error::Validation,
        (sqlstate, _) if sqlstate.starts_with("23") => Error::Conflict,
        _ => return None,
    };
    Some(kind(refusal))
}

/// Whether the server's message says that a function of the extension does not exist.
fn is_not_installed(sqlstate: &str, message: &str) -> bool {
    sqlstate == "42883" && message.contains("pg_catalog.workflow_")
}

/// Returns an error as text. The server's own errors name the line of PostgreSQL's source that raised them, which would
/// look like a line of the definition.
fn described(error: &sqlx::Error) -> String {
    let sqlx::Error::Database(database) = error else { return error.to_string() };
    let message = database.message();
    if is_not_installed(&database.code().unwrap_or_default(), message) {
        return format!(
            "the database has no pg_workflow, or an older version than this client: {message} (run CREATE EXTENSION \
             pg_workflow, or ALTER EXTENSION pg_workflow UPDATE)"
        );
    }
    if database.code().as_deref() == Some("25006") {
        return format!("{message} (the server is a standby, or the role only reads: connect to the primary server)");
    }
    let detail = database.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::detail);
    match detail {
        Some(detail) => format!("{message} ({detail})"),
        None => message.to_owned(),
    }
}

/// Returns a status as the rest of a sentence about an execution.
fn said(status: &ExecutionStatus) -> String {
    match status {
        ExecutionStatus::Failed | ExecutionStatus::Completed => format!("has {}", status.as_str()),
        ExecutionStatus::Timeout => "has timed out".to_owned(),
        ExecutionStatus::Cancelled | ExecutionStatus::Abandoned => format!("was {}", status.as_str()),
        _ => format!("has not ended: its status is {}", status.as_str()),
    }
}

/// Returns the category of a finding, which is the first digit of its code.
fn category(code: &str) -> &'static str {
    match code.as_bytes().get(2) {
        Some(b'0') => "syntax",
        Some(b'1') => "graph",
        Some(b'2') => "semantic",
        Some(b'3') => "expression",
        Some(b'4') => "schema",
        _ => "catalogue",
    }
}

/// Splits `WF616: there is no such pack` into code and message.
fn split(message: &str) -> (Option<&str>, &str) {
    let is_code =
        |code: &str| code.len() == 5 && code.starts_with("WF") && code[2..].bytes().all(|b| b.is_ascii_digit());
    match message.split_once(": ") {
        Some((code, rest)) if is_code(code) => (Some(code), rest),
        _ => (None, message),
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, Refusal, split};

    #[test]
    fn a_refused_definition_has_findings() {
        let found = r#"[{"code":"WF502","severity":"error","message":"unknown pack","hint":null,"path":"tasks[0].action","task":"a","expression":null,"line":4,"column":27}]"#;
        let refused = |detail: Option<&str>| {
            let (code, sqlstate, message) = (Some("WF502".into()), "22023".into(), "unknown pack".into());
            Error::Validation(Refusal { code, sqlstate, message, detail: detail.map(str::to_owned), hint: None })
        };
        let findings = refused(Some(found)).findings();
        assert_eq!((findings.len(), &*findings[0].category, findings[0].line), (1, "catalogue", Some(4)));
        assert_eq!(refused(Some("id is 5")).findings(), []);
        assert_eq!(refused(None).findings(), []);
    }

    #[test]
    fn a_code_is_told_from_a_message() {
        assert_eq!(split("WF616: there is no such pack"), (Some("WF616"), "there is no such pack"));
        assert_eq!(split("value too long"), (None, "value too long"));
        assert_eq!(split("WFé12: x"), (None, "WFé12: x"));
        assert_eq!(split("relation: WF616: x"), (None, "relation: WF616: x"));
    }
}
