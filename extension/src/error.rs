//! Errors as they leave the extension: the message begins with the code, and the SQLSTATE depends on the kind.

use crate::pg::error_context;
use conductor::code::Code;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Anything that makes a call fail: a user error, or an error of the server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule was violated; has one of the documented codes.
    #[error("{code}: {message}")]
    Refused {
        /// Code, such as `WF616`.
        code: Code,
        /// Message, in lower case, naming the object.
        message: String,
        /// Offending value, as a sentence or as JSON.
        detail: Option<String>,
        /// How to fix it, as a sentence.
        hint: Option<String>,
    },
    /// SPI failed in a way that is not the user's fault.
    #[error("{0}")]
    Spi(#[from] pgrx::spi::Error),
}

impl Error {
    /// Returns an error with a code, a message and a hint.
    pub fn refused(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::Refused { code, message: message.into(), detail: None, hint: Some(hint.into()) }
    }

    /// Returns the error for an argument that must not be null.
    pub fn missing(name: &str) -> Error {
        Error::refused(Code::INVALID_ARGUMENT, format!("{name} is null"), format!("Pass a value for {name}."))
    }

    /// Returns the error for an argument with an invalid value.
    pub fn out_of_range(message: &str, value: impl Into<String>, hint: &str) -> Error {
        Error::refused(Code::INVALID_ARGUMENT, message, hint).with_detail(value)
    }

    /// Adds the offending value.
    pub fn with_detail(mut self, value: impl Into<String>) -> Error {
        if let Error::Refused { detail, .. } = &mut self {
            *detail = Some(value.into());
        }
        self
    }
}

/// Reason for refusing a report.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Error code, such as `WF615`.
    pub code: Code,
    /// Message in lower case that names the object.
    pub message: String,
}

impl Refusal {
    /// Returns a refusal with a code and a message.
    pub fn new(code: Code, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into() }
    }
}

impl From<Error> for ErrorReport {
    fn from(error: Error) -> ErrorReport {
        error_context::hide_own_functions();
        let text = error.to_string();
        match error {
            Error::Refused { code, detail, hint, .. } => {
                let report = ErrorReport::new(sqlstate(code), text, "");
                let report = match detail {
                    Some(detail) => report.set_detail(detail),
                    None => report,
                };
                match hint {
                    Some(hint) => report.set_hint(hint),
                    None => report,
                }
            }
            Error::Spi(_) => ErrorReport::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, text, ""),
        }
    }
}

/// Returns the SQLSTATE of a code, as listed in `docs/functions.md`.
fn sqlstate(code: Code) -> PgSqlErrorCode {
    match code {
        Code::WRONG_STATE | Code::NOT_RERUNNABLE | Code::NOT_OWNER | Code::FOREIGN_PART | Code::TOO_MANY_RUNNING => {
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE
        }
        Code::SOURCE_LIMIT | Code::LIMIT_EXCEEDED => PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        Code::STALE_LEASE => PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
        Code::NOT_FOUND => PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
        Code::ALREADY_EXISTS => PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION,
        Code::PART_NOT_GRANTED => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        _ => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
    }
}

/// Returns a phrase as a sentence, as PostgreSQL writes details and hints: with a capital letter and a period.
pub fn sentence(phrase: &str) -> String {
    let mut rest = phrase.chars();
    let first = rest.next().map(|first| first.to_ascii_uppercase());
    let end = if phrase.ends_with(['.', '?', '!']) { "" } else { "." };
    first.into_iter().chain(rest.as_str().chars()).chain(end.chars()).collect()
}
