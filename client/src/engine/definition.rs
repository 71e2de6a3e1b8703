//! What is defined, and what is started of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Finding {
    /// `WF001` to `WF508`.
    pub code: String,
    /// Does it keep the definition from being stored?
    #[sqlx(try_from = "String")]
    pub severity: Severity,
    /// Syntax, graph, semantic, expression, schema or catalogue.
    pub category: String,
    /// What is wrong.
    pub message: String,
    /// The remedy.
    pub hint: Option<String>,
    /// Where in the document, as `tasks[0].action`.
    pub path: Option<String>,
    /// The task it is about.
    pub task: Option<String>,
    /// The expression it is about.
    pub expression: Option<String>,
    /// Line of the source, from 1.
    pub line: Option<i32>,
    /// Column of that line, from 1.
    pub column: Option<i32>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The definition cannot be stored.
    Error,
    /// It can.
    Warning,
}

impl TryFrom<String> for Severity {
    type Error = String;

    fn try_from(label: String) -> Result<Severity, String> {
        match label.as_str() {
            "error" => Ok(Severity::Error),
            "warning" => Ok(Severity::Warning),
            _ => Err(format!("no severity is called {label:?}")),
        }
    }
}

/// What a diagram is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GraphFormat {
    /// Mermaid, which GitHub and many editors draw.
    #[default]
    Mermaid,
    /// DOT, for Graphviz.
    Dot,
}

impl GraphFormat {
    /// Its name in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            GraphFormat::Mermaid => "mermaid",
            GraphFormat::Dot => "dot",
        }
    }
}

/// Registers an action; its pack is made where there is none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RegisterActionInput {
    /// Unique name, `pack.name`, lower case.
    pub r#ref: String,
    /// What people call it; none: its ref.
    pub label: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// What a worker calls to do it.
    pub entrypoint: Option<String>,
    /// What a worker needs for it.
    pub runtime: Option<i64>,
    /// JSON Schema of its input.
    pub param_schema: Option<Value>,
    /// JSON Schema of its result.
    pub out_schema: Option<Value>,
}

/// Starts an execution of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StartInput {
    /// The workflow.
    pub r#ref: String,
    /// An object that its parameters schema takes; `{}` by default.
    pub parameters: Value,
    /// The same key for the same workflow in the same part gives the same execution.
    pub idempotency_key: Option<String>,
    /// -1000 to 1000; higher goes first.
    pub priority: i32,
    /// When its first tasks can be claimed; none: now.
    pub run_at: Option<DateTime<Utc>>,
    /// 0 to 1023: where its rows live.
    pub part: i32,
}

impl Default for StartInput {
    fn default() -> Self {
        StartInput {
            r#ref: String::new(),
            parameters: Value::Object(Default::default()),
            idempotency_key: None,
            priority: 0,
            run_at: None,
            part: 0,
        }
    }
}

/// Starts many executions of one workflow.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StartManyInput {
    /// The workflow.
    pub r#ref: String,
    /// For each execution an object that the workflow's parameters schema takes; at most 10,000.
    pub parameters: Vec<Value>,
    /// A key, or none, for each of them.
    pub idempotency_keys: Option<Vec<Option<String>>>,
    /// -1000 to 1000; higher goes first.
    pub priority: i32,
    /// When their first tasks can be claimed; none: now.
    pub run_at: Option<DateTime<Utc>>,
    /// 0 to 1023: where their rows live.
    pub part: i32,
}
