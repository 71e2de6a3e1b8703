//! What can go wrong: the server's refusals by kind.

use sqlx::postgres::PgDatabaseError;

/// The result of every call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed. Nothing was changed by it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the call is about is not there.
    #[error("{0}")]
    NotFound(Refusal),
    /// A key that must be unique is taken.
    #[error("{0}")]
    Conflict(Refusal),
    /// An argument is missing, malformed or out of range.
    #[error("{0}")]
    Validation(Refusal),
    /// It cannot be done now, or not by this function.
    #[error("{0}")]
    WrongState(Refusal),
    /// The task has been given to another worker since.
    #[error("{0}")]
    StaleLease(Refusal),
    /// Larger, deeper or more than the server's settings allow.
    #[error("{0}")]
    LimitExceeded(Refusal),
    /// The role may not do this.
    #[error("{0}")]
    Privilege(Refusal),
    /// Anything else: a lost connection, a serialization failure, a row that does not decode.
    #[error(transparent)]
    Database(sqlx::Error),
}

/// What the server said when it refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `WF616`: the documented code; none where PostgreSQL itself refused.
    pub code: Option<String>,
    /// The SQLSTATE.
    pub sqlstate: String,
    /// What is wrong, without the code.
    pub message: String,
    /// The value it is about.
    pub detail: Option<String>,
    /// The remedy.
    pub hint: Option<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(code) = &self.code {
            write!(f, "{code}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, " ({detail})")?;
        }
        Ok(())
    }
}

impl Error {
    /// What the server said, where it refused.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Error::NotFound(refusal)
            | Error::Conflict(refusal)
            | Error::Validation(refusal)
            | Error::WrongState(refusal)
            | Error::StaleLease(refusal)
            | Error::LimitExceeded(refusal)
            | Error::Privilege(refusal) => Some(refusal),
            Error::Database(_) => None,
        }
    }

    /// The documented code, `WF616`.
    pub fn code(&self) -> Option<&str> {
        self.refusal()?.code.as_deref()
    }

    /// May the same call go through when it is made again? After a lost connection nobody knows whether it did already.
    pub fn is_transient(&self) -> bool {
        let Error::Database(error) = self else { return false };
        match error {
            sqlx::Error::Database(error) => {
                let sqlstate = error.code().unwrap_or_default();
                // Transaction rollback; too little of something; an operator's intervention; a broken connection.
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

/// The kind of a server's error, by its SQLSTATE. Where PostgreSQL uses one for much else, only with a code of ours.
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
        // A null or a value that a constraint refuses is a mistake in the input; the rest of class 23 is a clash with
        // other rows.
        ("23502" | "23514", _) => Error::Validation,
        (sqlstate, _) if sqlstate.starts_with("23") => Error::Conflict,
        _ => return None,
    };
    Some(kind(refusal))
}

/// `WF616: there is no such pack` into code and message.
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
    use super::split;

    #[test]
    fn a_code_is_told_from_a_message() {
        assert_eq!(split("WF616: there is no such pack"), (Some("WF616"), "there is no such pack"));
        assert_eq!(split("value too long"), (None, "value too long"));
        assert_eq!(split("WFé12: x"), (None, "WFé12: x"));
        assert_eq!(split("relation: WF616: x"), (None, "relation: WF616: x"));
    }
}
