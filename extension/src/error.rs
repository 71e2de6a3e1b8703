//! Errors as they leave the extension: the message begins with the code, and the SQLSTATE depends on the kind.

use crate::pg::error_context;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Anything that makes a call fail: a user error, or an error of the server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule was violated; has one of the documented codes.
    #[error("{code}: {message}")]
    Refused {
        /// Code, such as `WF616`.
        code: String,
        /// Message, in lower case, naming the object.
        message: String,
        /// Offending value.
        detail: Option<String>,
        /// How to fix it.
        hint: Option<String>,
    },
    /// SPI failed in a way that is not the user's fault.
    #[error("{0}")]
    Spi(#[from] pgrx::spi::Error),
}

impl Error {
    /// Returns an error with a code, a message and a hint.
    pub fn refused(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::Refused { code: code.to_owned(), message: message.into(), detail: None, hint: Some(hint.into()) }
    }

    /// Returns the error for an argument that must not be null.
    pub fn missing(name: &str) -> Error {
        Error::refused("WF613", format!("{name} is null"), format!("give {name} a value"))
    }

    /// Returns the error for an argument with an invalid value.
    pub fn out_of_range(message: &str, value: impl Into<String>, hint: &str) -> Error {
        Error::refused("WF613", message, hint).with_detail(value)
    }

    /// Adds the offending value.
    pub fn with_detail(mut self, value: impl Into<String>) -> Error {
        if let Error::Refused { detail, .. } = &mut self {
            *detail = Some(value.into());
        }
        self
    }
}

impl From<Error> for ErrorReport {
    fn from(error: Error) -> ErrorReport {
        error_context::hide_own_functions();
        let text = error.to_string();
        match error {
            Error::Refused { code, detail, hint, .. } => {
                let report = ErrorReport::new(sqlstate(&code), text, "");
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
fn sqlstate(code: &str) -> PgSqlErrorCode {
    match code {
        "WF611" | "WF612" | "WF618" | "WF622" | "WF623" => PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        "WF009" | "WF614" => PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        "WF615" => PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
        "WF616" => PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
        "WF617" => PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION,
        "WF620" => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        _ => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
    }
}

#[pg_extern(sql = false)]
fn raise_error(
    code: Option<&str>,
    message: Option<&str>,
    detail: Option<&str>,
    hint: Option<&str>,
) -> Result<(), ErrorReport> {
    Err(Error::Refused {
        code: code.unwrap_or("WF613").to_owned(),
        message: message.unwrap_or_default().to_owned(),
        detail: detail.map(str::to_owned),
        hint: hint.map(str::to_owned),
    }
    .into())
}
