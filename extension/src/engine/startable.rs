//! What can be started, and whether parameters fit.

use crate::cache::graphs;
use crate::error::Error;
use crate::pg::jsonb::Jsonb;
use crate::pg::statements;
use crate::settings;
use crate::store::starts::Startable;
use conductor::code::Code;
use conductor::json::{from_text, to_text};
use conductor::language::definition::WhenFull;
use conductor::language::schema::Violation;
use pgrx::spi::SpiClient;
use serde_json::{Value, json};

/// Returns the workflow with this ref.
pub fn find(client: &SpiClient, reference: &str) -> Result<Startable, Error> {
    let rows = statements::run(client, include_str!("../../queries/find_workflow.sql"), &[reference.into()])?.first();
    let missing = || {
        Error::refused(Code::NOT_FOUND, format!("there is no workflow {reference}"), "Define it with workflow_define.")
    };
    if rows.is_empty() {
        return Err(missing());
    }
    if rows.get::<bool>(2)? == Some(false) {
        return Err(Error::refused(
            Code::WRONG_STATE,
            format!("workflow {reference} is disabled"),
            "Set enabled: true in its definition.",
        ));
    }
    let version = rows.get::<i64>(3)?.ok_or_else(|| {
        Error::refused(
            Code::NOT_OWNER,
            format!("workflow {reference} is driven from outside"),
            "Define it with workflow_define to let the engine run it.",
        )
    })?;
    Ok(Startable {
        reference: reference.to_owned(),
        definition: rows.get::<i64>(1)?.unwrap_or_default(),
        version,
        action: rows.get::<i64>(4)?,
        graph: graphs::graph(client, version)?,
    })
}

/// Returns the parameters with their defaults, in a form that expressions can use. Otherwise returns an error that
/// lists everything wrong with them.
pub fn check(workflow: &Startable, given: Option<Jsonb>) -> Result<Jsonb, Error> {
    let wrong = |detail: Value| {
        Error::refused(
            Code::INVALID_PARAMETERS,
            format!("the parameters of workflow {} are invalid", workflow.reference),
            "Pass parameters that match its parameter schema.",
        )
        .with_detail(detail.to_string())
    };
    let no_object = || wrong(json!([{"path": "", "message": "parameters must be a JSON object"}]));
    let given = given.or_else(|| Jsonb::from_text("{}")).ok_or_else(no_object)?;
    let useless = |obstacle: &str| {
        let message = format!("the parameters cannot be used: {obstacle}");
        Error::refused(Code::LIMIT_EXCEEDED, message, "Reduce the nesting, and use smaller numbers.")
    };
    let (bytes, most) = (given.raw_bytes(), settings::max_parameter_bytes());
    if bytes > most {
        let message = format!("the parameters of workflow {} are too large", workflow.reference);
        let hint = "Pass large data by reference, or raise pg_workflow.max_parameter_bytes.";
        let detail = format!("They have {bytes} bytes, but at most {most} are allowed.");
        return Err(Error::refused(Code::LIMIT_EXCEEDED, message, hint).with_detail(detail));
    }
    if !given.is_object() {
        return Err(given.obstacle().map_or_else(no_object, useless));
    }
    let Some(schema) = &workflow.graph.parameters else {
        return given.obstacle().map_or(Ok(given), |obstacle| Err(useless(obstacle)));
    };
    // Parameters that were read successfully have no obstacle.
    let mut parameters =
        from_text(&given.text()).map_err(|error| useless(given.obstacle().unwrap_or(&error.to_string())))?;
    let has_more = schema.add_defaults(&mut parameters);
    let violations = schema.violations(&parameters);
    if violations.list.is_empty() {
        let text = has_more.then(|| to_text(&parameters)).transpose();
        let parameters = text.map_err(|error| useless(&error.to_string()))?.and_then(|text| Jsonb::from_text(&text));
        return Ok(parameters.unwrap_or(given));
    }
    let entry = |violation: &Violation| json!({"path": violation.path, "message": violation.message});
    let mut list: Vec<Value> = violations.list.iter().map(entry).collect();
    if violations.more > 0 {
        list.push(json!({"path": "", "message": format!("and {} more", violations.more)}));
    }
    Err(wrong(Value::Array(list)))
}

impl Startable {
    /// Whether starting an execution is an error if the maximum number is already running.
    pub fn fails_when_full(&self) -> bool {
        self.graph.concurrency.as_ref().is_some_and(|concurrency| concurrency.when_full == WhenFull::Fail)
    }

    /// Returns the error for that case.
    pub fn too_many(&self) -> Error {
        Error::refused(
            Code::TOO_MANY_RUNNING,
            format!("workflow {} has reached its maximum number of running executions", self.reference),
            "Try again when one of them has ended, or set when_full: wait in the workflow's concurrency.",
        )
    }
}
