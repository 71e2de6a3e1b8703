//! Values as files to download.

use super::app::App;
use super::problem::Problem;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// Returns a value as a file.
pub fn file(app: &App, value: Option<Value>, name: &str) -> Result<Response, Problem> {
    let value = value.ok_or_else(|| Problem::missing("there is no such value"))?;
    let plain: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).collect();
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{plain}\"")),
    ];
    Ok((headers, app.masks.apply(&value).to_string()).into_response())
}
