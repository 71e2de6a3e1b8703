//! Why a page could not be made, or an action failed.

use super::hint;
use crate::exit_status::{MISSING, is_missing};
use axum::http::StatusCode;
use pg_workflow_client::Error;

/// What to do if the database is unavailable.
const RECOVERS: &str = "This page recovers by itself.";

/// Maximum number of things that a line names.
const LISTED: usize = 3;

/// A problem, in words.
#[derive(Debug, Clone)]
pub struct Problem {
    pub status: StatusCode,
    pub message: String,
    /// Everything that is wrong, if there can be several things.
    pub list: Vec<String>,
    pub hint: Option<String>,
}

impl Problem {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Problem {
        Problem { status, message: message.into(), list: Vec::new(), hint: None }
    }

    /// Returns the problem for an invalid request.
    pub fn invalid(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// Returns the problem for an object that does not exist.
    pub fn missing(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, message)
    }

    pub fn read_only() -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "this console is read-only").hint("It was started with --read-only.")
    }

    pub fn hint(self, hint: impl Into<String>) -> Problem {
        Problem { hint: Some(hint.into()), ..self }
    }

    /// Returns the message with its hint and the first few things that are wrong.
    pub fn text(&self) -> String {
        let mut list = self.list[..self.list.len().min(LISTED)].join("; ");
        if self.list.len() > LISTED {
            list = format!("{list}; and {} more", self.list.len() - LISTED);
        }
        let list = if list.is_empty() { list } else { format!(" ({list})") };
        let hint = self.hint.as_deref().unwrap_or_default();
        // Some hints are sentences, and some continue the message.
        let mark = match hint.chars().next() {
            None => "",
            Some(first) if first.is_uppercase() => ". ",
            Some(_) => ": ",
        };
        format!("{}{list}{mark}{hint}", self.message)
    }
}

/// Whether an error says that nothing can be written here: this server is a standby, or its transactions are read-only.
fn is_read_only(error: &Error) -> bool {
    let Error::Database(sqlx::Error::Database(error)) = error else { return false };
    error.code().as_deref() == Some("25006")
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        if is_read_only(&error) {
            let problem = Problem::new(
                StatusCode::CONFLICT,
                "nothing can be changed on this server: it is a standby, or read-only",
            );
            return problem.hint("Use a console of the primary server.");
        }
        let status = match &error {
            Error::NotFound(_) => StatusCode::NOT_FOUND,
            Error::Conflict(_) | Error::WrongState(_) | Error::StaleLease(_) => StatusCode::CONFLICT,
            Error::Validation(_) | Error::LimitExceeded(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Privilege(_) => StatusCode::FORBIDDEN,
            // A row that can't be read is a defect; otherwise the database can't be used as it is.
            Error::Database(
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_),
            ) => StatusCode::INTERNAL_SERVER_ERROR,
            Error::Database(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let away = status == StatusCode::SERVICE_UNAVAILABLE;
        if let Some(refusal) = error.refusal() {
            let list = refusal.detail.as_deref().map(readable).unwrap_or_default();
            let code = refusal.code.as_ref().map(|code| format!("{code}: ")).unwrap_or_default();
            let message = format!("{code}{}", refusal.message);
            let hint = match (&refusal.hint, status) {
                (Some(hint), _) => Some(hint::words(hint, None)),
                (None, StatusCode::FORBIDDEN) => Some("The console's database role lacks the privilege.".to_owned()),
                _ => None,
            };
            return Problem { status, message, list, hint };
        }
        if let Error::Database(sqlx::Error::Database(told)) = &error {
            let hint = match is_missing(&told.code().unwrap_or_default(), told.message()) {
                true => MISSING,
                false => RECOVERS,
            };
            let message = format!("The database can't be used: {}", told.message());
            return Problem::new(status, message).hint(hint);
        }
        let message = match &error {
            // The pool's own message is about the pool.
            Error::Database(sqlx::Error::PoolTimedOut) => {
                "The database can't be used: its server does not respond".to_owned()
            }
            error if away => format!("The database can't be used: {error}"),
            error => error.to_string(),
        };
        Problem { status, message, list: Vec::new(), hint: away.then(|| RECOVERS.to_owned()) }
    }
}

/// Returns a detail in readable form. A detail in JSON lists what is wrong, for example with parameters.
fn readable(detail: &str) -> Vec<String> {
    if !detail.starts_with('[') {
        return vec![detail.to_owned()];
    }
    let list: Vec<serde_json::Value> = serde_json::from_str(detail).unwrap_or_default();
    let say = |one: &serde_json::Value| {
        let message = one["message"].as_str()?;
        Some(match one["path"].as_str().filter(|path| !path.is_empty()) {
            Some(path) => format!("{path}: {message}"),
            None => message.to_owned(),
        })
    };
    list.iter().filter_map(say).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_in_json_is_told_in_words() {
        let detail = r#"[{"path":"","message":"\"m\" is required"},{"path":"/n","message":"not an integer"}]"#;
        assert_eq!(readable(detail), ["\"m\" is required", "/n: not an integer"]);
        assert_eq!(readable("x is 3"), ["x is 3"]);
        assert!(readable("[not json").is_empty());
    }

    #[test]
    fn a_line_names_the_first_of_what_is_wrong() {
        let list = (1..=5).map(|n| n.to_string()).collect();
        let problem = Problem { list, ..Problem::invalid("wrong").hint("look") };
        assert_eq!(problem.text(), "wrong (1; 2; 3; and 2 more): look");
        assert_eq!(Problem::invalid("wrong").text(), "wrong");
        assert_eq!(Problem::invalid("wrong").hint("Look.").text(), "wrong. Look.");
    }
}
