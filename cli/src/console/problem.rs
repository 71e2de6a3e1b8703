//! Why a page could not be made, or an action failed.

use super::page;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pg_workflow_client::Error;

/// A problem, in words.
#[derive(Debug, Clone)]
pub struct Problem {
    pub status: StatusCode,
    pub message: String,
    pub hint: Option<String>,
}

impl Problem {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Problem {
        Problem { status, message: message.into(), hint: None }
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
        Problem::new(StatusCode::FORBIDDEN, "this console is read-only").hint("it was started with --read-only")
    }

    pub fn hint(self, hint: impl Into<String>) -> Problem {
        Problem { hint: Some(hint.into()), ..self }
    }

    /// Returns the message with its hint.
    pub fn text(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!(": {hint}")).unwrap_or_default();
        format!("{}{hint}", self.message)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
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
            let detail = refusal.detail.as_deref().and_then(readable).unwrap_or_default();
            let detail = if detail.is_empty() { detail } else { format!(" ({detail})") };
            let code = refusal.code.as_ref().map(|code| format!("{code}: ")).unwrap_or_default();
            let message = format!("{code}{}{detail}", refusal.message);
            let hint = match (&refusal.hint, status) {
                (Some(hint), _) => Some(hint.clone()),
                (None, StatusCode::FORBIDDEN) => Some("this console's database role may not do that".to_owned()),
                _ => None,
            };
            return Problem { status, message, hint };
        }
        let message = if away { format!("The database can't be used: {error}") } else { error.to_string() };
        Problem { status, message, hint: away.then(|| "this page comes back by itself once it can".to_owned()) }
    }
}

/// Returns a detail in readable form. A detail in JSON is a list of problems, such as with parameters; the first ones are
/// shown.
fn readable(detail: &str) -> Option<String> {
    if !detail.starts_with('[') {
        return Some(detail.to_owned());
    }
    let list: Vec<serde_json::Value> = serde_json::from_str(detail).ok()?;
    let say = |one: &serde_json::Value| {
        let message = one["message"].as_str()?;
        Some(match one["path"].as_str().filter(|path| !path.is_empty()) {
            Some(path) => format!("{path}: {message}"),
            None => message.to_owned(),
        })
    };
    Some(list.iter().filter_map(say).take(3).collect::<Vec<_>>().join("; "))
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, axum::response::Html(page::problem(&self).0)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn a_detail_in_json_is_told_in_words() {
        let detail = r#"[{"path":"","message":"\"m\" is required"},{"path":"/n","message":"not an integer"}]"#;
        assert_eq!(readable(detail).as_deref(), Some("\"m\" is required; /n: not an integer"));
        assert_eq!(readable("x is 3").as_deref(), Some("x is 3"));
        assert_eq!(readable("[not json"), None);
    }
}
