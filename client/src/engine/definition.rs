//! Findings, diagrams, and the inputs of definition and start functions.

use super::Engine;
use crate::Result;
use crate::model::{Action, WorkflowDefinition};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgExecutor, query_as, query_scalar};

/// Lists the columns of a definition by name, so that a column added by an extension upgrade causes no trouble.
const DEFINE: &str = "SELECT id, ref, pack, pack_ref, label, description, version, param_schema, out_schema, definition, \
     tags, enabled, current_version, created, updated FROM pg_catalog.workflow_define(source => $1)";

const REGISTER_ACTION: &str = "SELECT id, ref, pack, pack_ref, label, description, entrypoint, runtime, param_schema, \
     out_schema, is_workflow, workflow_def, limits, created, updated \
     FROM pg_catalog.workflow_register_action(ref => $1, label => $2, description => $3, entrypoint => $4, \
     runtime => $5, param_schema => $6, out_schema => $7, limits => $8)";

impl Engine {
    /// Returns all findings for a definition (YAML or JSON text), in source order.
    pub async fn validate<'e>(executor: impl PgExecutor<'e>, source: &str) -> Result<Vec<Finding>> {
        Ok(query_as(
            "SELECT code, severity, category, message, hint, path, task, expression, line, \"column\" \
             FROM pg_catalog.workflow_validate(source => $1)",
        )
        .bind(source)
        .fetch_all(executor)
        .await?)
    }

    /// Runs a definition in memory, with the answers of a test script in place of workers, and compares the outcome
    /// with the script's expectations. An invalid definition or script is refused with the code of its first error.
    pub async fn test<'e>(executor: impl PgExecutor<'e>, source: &str, script: &Value) -> Result<Vec<TestResult>> {
        Ok(query_as(
            "SELECT test, passed, differences, extract(epoch FROM took)::float8 AS took \
             FROM pg_catalog.workflow_test(source => $1, script => $2)",
        )
        .bind(source)
        .bind(Json(script))
        .fetch_all(executor)
        .await?)
    }

    /// Stores a definition as the new version of its workflow. An invalid definition is refused with the code of its
    /// first error, and the detail holds all findings as JSON.
    pub async fn define<'e>(executor: impl PgExecutor<'e>, source: &str) -> Result<WorkflowDefinition> {
        Ok(query_as(DEFINE).bind(source).fetch_one(executor).await?)
    }

    /// Registers an action that workers can execute. If the ref exists, all its properties are replaced.
    pub async fn register_action<'e>(executor: impl PgExecutor<'e>, input: RegisterActionInput) -> Result<Action> {
        Ok(query_as(REGISTER_ACTION)
            .bind(input.r#ref)
            .bind(input.label)
            .bind(input.description)
            .bind(input.entrypoint)
            .bind(input.runtime)
            .bind(input.param_schema)
            .bind(input.out_schema)
            .bind(input.limits)
            .fetch_one(executor)
            .await?)
    }

    /// Returns the current version of a workflow as a diagram.
    pub async fn graph<'e>(executor: impl PgExecutor<'e>, r#ref: &str, format: GraphFormat) -> Result<String> {
        Ok(query_scalar("SELECT pg_catalog.workflow_graph(ref => $1, format => $2)")
            .bind(r#ref)
            .bind(format.as_str())
            .fetch_one(executor)
            .await?)
    }

    /// Returns the graph that an execution runs as a diagram, with tasks colored by status.
    pub async fn execution_graph<'e>(
        executor: impl PgExecutor<'e>,
        execution_id: i64,
        format: GraphFormat,
    ) -> Result<String> {
        Ok(query_scalar("SELECT pg_catalog.workflow_graph(execution_id => $1, format => $2)")
            .bind(execution_id)
            .bind(format.as_str())
            .fetch_one(executor)
            .await?)
    }
}

/// A finding of the validation of a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
#[non_exhaustive]
pub struct Finding {
    /// Code, `WF001` to `WF509`.
    pub code: String,
    /// Whether it prevents the definition from being stored.
    #[sqlx(try_from = "String")]
    pub severity: Severity,
    /// Syntax, graph, semantic, expression, schema or catalogue.
    #[serde(default)]
    pub category: String,
    /// Description of the problem.
    pub message: String,
    /// How to fix it.
    pub hint: Option<String>,
    /// Location in the document, such as `tasks[0].action`.
    pub path: Option<String>,
    /// Task that it concerns.
    pub task: Option<String>,
    /// Expression that it concerns.
    pub expression: Option<String>,
    /// Line in the source, starting at 1.
    pub line: Option<i32>,
    /// Column in that line, starting at 1.
    pub column: Option<i32>,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.line, self.column, &self.path) {
            (Some(line), Some(column), _) => write!(f, "line {line}, column {column}: ")?,
            (_, _, Some(path)) => write!(f, "{path}: ")?,
            _ => {}
        }
        write!(f, "{}: {}", self.code, self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, " ({hint})"))
    }
}

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The definition cannot be stored.
    Error,
    /// The definition can be stored.
    Warning,
}

impl TryFrom<String> for Severity {
    type Error = String;

    fn try_from(label: String) -> std::result::Result<Severity, String> {
        match label.as_str() {
            "error" => Ok(Severity::Error),
            "warning" => Ok(Severity::Warning),
            _ => Err(format!("unknown severity {label:?}")),
        }
    }
}

/// Result of one test of a definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub struct TestResult {
    /// Name of the test.
    pub test: String,
    /// Whether everything was as expected.
    pub passed: bool,
    /// Unmet expectations: an array of objects with `what`, `expected`, `got`, `hint` and `line`.
    pub differences: Value,
    /// Duration of the execution in virtual time, in seconds.
    pub took: f64,
}

/// Language of a diagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GraphFormat {
    /// Mermaid, which GitHub and many editors render.
    #[default]
    Mermaid,
    /// DOT, for Graphviz.
    Dot,
}

impl GraphFormat {
    /// Returns the format's name in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            GraphFormat::Mermaid => "mermaid",
            GraphFormat::Dot => "dot",
        }
    }
}

/// An action to register. Its pack is created if it does not exist.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RegisterActionInput {
    /// Unique name, `pack.name`, lower case.
    pub r#ref: String,
    /// Display name; `None` for its ref.
    pub label: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// What a worker calls to execute it.
    pub entrypoint: Option<String>,
    /// Runtime that a worker needs for it.
    pub runtime: Option<i64>,
    /// JSON Schema of its input.
    pub param_schema: Option<Value>,
    /// JSON Schema of its result.
    pub out_schema: Option<Value>,
    /// Limits that apply to all its tasks: an array of names, or of objects with `name` and `key`.
    pub limits: Option<Value>,
}

impl RegisterActionInput {
    /// Returns an action with a ref and nothing else.
    pub fn new(r#ref: impl Into<String>) -> RegisterActionInput {
        RegisterActionInput { r#ref: r#ref.into(), ..RegisterActionInput::default() }
    }
}

/// An execution to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StartInput {
    /// Ref of the workflow.
    pub r#ref: String,
    /// Parameters: an object that is valid against the workflow's parameter schema; `{}` by default.
    pub parameters: Value,
    /// Idempotency key: the same key for the same workflow in the same part returns the same execution.
    pub idempotency_key: Option<String>,
    /// Priority, -1000 to 1000; higher goes first.
    pub priority: i32,
    /// When its first tasks can be claimed; `None` for now.
    pub run_at: Option<DateTime<Utc>>,
    /// Part that its rows belong to, 0 to 1023; `None` to derive it from its key, or choose any, according to
    /// `pg_workflow.default_parts`.
    pub part: Option<i32>,
    /// Attributes to find it by: an object. They override those of the definition; a null removes one.
    pub attributes: Option<Value>,
    /// The span that starts it, in the format of W3C Trace Context; `None` for the session's setting
    /// `pg_workflow.traceparent`.
    pub traceparent: Option<String>,
}

impl Default for StartInput {
    fn default() -> Self {
        StartInput {
            r#ref: String::new(),
            parameters: Value::Object(Default::default()),
            idempotency_key: None,
            priority: 0,
            run_at: None,
            part: None,
            attributes: None,
            traceparent: None,
        }
    }
}

impl StartInput {
    /// Returns a start of a workflow without parameters.
    pub fn new(r#ref: impl Into<String>) -> StartInput {
        StartInput { r#ref: r#ref.into(), ..StartInput::default() }
    }

    /// Sets the parameters from any value that serde serializes as an object.
    pub fn with_parameters(mut self, parameters: &impl Serialize) -> serde_json::Result<StartInput> {
        self.parameters = serde_json::to_value(parameters)?;
        Ok(self)
    }
}

/// Executions of one workflow to start.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StartManyInput {
    /// Ref of the workflow.
    pub r#ref: String,
    /// Parameters of each execution: objects that are valid against the workflow's parameter schema; at most 10,000.
    pub parameters: Vec<Value>,
    /// Idempotency key of each execution, if it has one.
    pub idempotency_keys: Option<Vec<Option<String>>>,
    /// Priority, -1000 to 1000; higher goes first.
    pub priority: i32,
    /// When their first tasks can be claimed; `None` for now.
    pub run_at: Option<DateTime<Utc>>,
    /// Part that their rows belong to, 0 to 1023; `None` to derive it from their keys, or choose any, according to
    /// `pg_workflow.default_parts`.
    pub part: Option<i32>,
    /// Attributes of each execution, if it has any.
    pub attributes: Option<Vec<Option<Value>>>,
    /// The span that starts each execution; `None` for the session's setting `pg_workflow.traceparent`.
    pub traceparents: Option<Vec<Option<String>>>,
}
