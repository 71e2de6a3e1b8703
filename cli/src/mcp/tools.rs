//! The tools of the protocol: their names, their arguments, and the calls that they make.

use crate::exit_status::Failure;
use pg_workflow_client::model::WorkflowDefinition;
use pg_workflow_client::repository::{List, WorkflowDefinitionRepository};
use pg_workflow_client::{Engine, ExecutionFilter, Page, RerunInput, SignalInput, StartInput};
use rmcp::model::{Tool, ToolAnnotations};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use std::sync::Arc;

/// A tool.
pub struct Spec {
    pub name: &'static str,
    description: &'static str,
    /// Whether it changes executions.
    pub control: bool,
    /// Its arguments: name, JSON type, whether it is required, description.
    arguments: &'static [(&'static str, &'static str, bool, &'static str)],
}

const EXECUTION: (&str, &str, bool, &str) = ("execution", "integer", true, "Id of the execution");
const REASON: (&str, &str, bool, &str) = ("reason", "string", false, "Why; kept with the event");
const LIMIT: (&str, &str, bool, &str) = ("limit", "integer", false, "How many at most; 50 by default");
const AFTER: (&str, &str, bool, &str) = ("after", "integer", false, "Id of the last row of the previous page");
const SOURCE: (&str, &str, bool, &str) = ("source", "string", true, "The definition, as YAML or JSON text");
const REF: (&str, &str, bool, &str) = ("ref", "string", true, "Ref of the workflow, pack.name");

/// All tools, starting with those that only read.
pub const TOOLS: [Spec; 17] = [
    Spec {
        name: "list_workflows",
        description: "List workflows with their labels, versions and parameter schemas.",
        control: false,
        arguments: &[LIMIT, AFTER],
    },
    Spec {
        name: "workflow_source",
        description: "Get the text of a workflow's current definition.",
        control: false,
        arguments: &[REF],
    },
    Spec {
        name: "list_executions",
        description: "List executions, newest first.",
        control: false,
        arguments: &[
            ("workflow_ref", "string", false, "Only those of this workflow"),
            ("statuses", "array", false, "Only those in one of these statuses, such as running or failed"),
            ("paused", "boolean", false, "Only those that are paused, or that are not"),
            LIMIT,
            AFTER,
        ],
    },
    Spec {
        name: "execution_status",
        description: "Get the status of an execution: tasks by status, parameters, variables, output, errors.",
        control: false,
        arguments: &[EXECUTION],
    },
    Spec {
        name: "why_execution",
        description: "Get in words what an execution is waiting for or how it ended, with what can be done about it.",
        control: false,
        arguments: &[EXECUTION],
    },
    Spec {
        name: "list_tasks",
        description: "List the tasks of an execution with inputs, results and errors.",
        control: false,
        arguments: &[EXECUTION, LIMIT, AFTER],
    },
    Spec {
        name: "list_events",
        description: "List what has happened to an execution, oldest first.",
        control: false,
        arguments: &[EXECUTION, LIMIT, AFTER],
    },
    Spec {
        name: "execution_tree",
        description: "List an execution and those that it has called.",
        control: false,
        arguments: &[EXECUTION, LIMIT],
    },
    Spec {
        name: "overview",
        description: "Get what the database is doing: queues, workers, statistics of actions, overdue work.",
        control: false,
        arguments: &[],
    },
    Spec {
        name: "validate_definition",
        description: "Find all errors and warnings in a definition, with their places and remedies. Stores nothing.",
        control: false,
        arguments: &[SOURCE],
    },
    Spec {
        name: "test_definition",
        description: "Play a definition in memory with scripted answers, and compare with what is expected. Stores nothing.",
        control: false,
        arguments: &[SOURCE, ("script", "object", true, "A test script: answers, default, tests")],
    },
    Spec {
        name: "start_execution",
        description: "Start an execution of a workflow.",
        control: true,
        arguments: &[
            REF,
            ("parameters", "object", false, "Its parameters"),
            ("idempotency_key", "string", false, "The same key gives the same execution instead of another one"),
        ],
    },
    Spec {
        name: "signal_execution",
        description: "Send a signal to an execution. The task waiting for it completes with the payload as its result.",
        control: true,
        arguments: &[
            EXECUTION,
            ("name", "string", true, "Name that a task waits for"),
            ("payload", "object", false, "The payload"),
            ("key", "string", false, "Signals with the same name and key count once"),
        ],
    },
    Spec {
        name: "pause_execution",
        description: "Pause an execution: none of its tasks can be claimed until it is resumed.",
        control: true,
        arguments: &[EXECUTION, REASON],
    },
    Spec {
        name: "resume_execution",
        description: "Resume a paused execution.",
        control: true,
        arguments: &[EXECUTION, REASON],
    },
    Spec {
        name: "cancel_execution",
        description: "Cancel an execution: nothing new starts.",
        control: true,
        arguments: &[EXECUTION, REASON],
    },
    Spec {
        name: "rerun_execution",
        description: "Continue an execution that ended unsuccessfully from where it stopped.",
        control: true,
        arguments: &[
            EXECUTION,
            ("tasks", "array", false, "Names of the tasks to rerun; by default those whose failure was not handled"),
            REASON,
        ],
    },
];

impl Spec {
    /// Returns the tool as the protocol describes it.
    pub fn tool(&self) -> Tool {
        let one = |(name, kind, _, description): &(&str, &str, bool, &str)| {
            let mut schema = json!({"type": kind, "description": description});
            if *kind == "array" {
                schema["items"] = json!({"type": "string"});
            }
            ((*name).to_owned(), schema)
        };
        let properties: Map<String, Value> = self.arguments.iter().map(one).collect();
        let required: Vec<&str> =
            self.arguments.iter().filter(|(_, _, required, _)| *required).map(|(name, ..)| *name).collect();
        let mut schema = Map::new();
        schema.insert("type".into(), "object".into());
        schema.insert("properties".into(), properties.into());
        schema.insert("required".into(), required.into());
        schema.insert("additionalProperties".into(), false.into());
        let hints = ToolAnnotations::new().read_only(!self.control).destructive(self.name == "cancel_execution");
        Tool::new(self.name, self.description, Arc::new(schema)).with_annotations(hints)
    }
}

impl Spec {
    /// Refuses arguments that the tool does not have: if it ignored a misspelt filter, it would affect more than was
    /// asked for.
    pub fn admit(&self, arguments: &Value) -> Result<(), Failure> {
        let known: Vec<&str> = self.arguments.iter().map(|(name, ..)| *name).collect();
        let mut given = arguments.as_object().into_iter().flat_map(Map::keys);
        match given.find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) if known.is_empty() => {
                Err(Failure::unusable(format!("{} has no argument {name}", self.name)).hint("It takes no arguments."))
            }
            Some(name) => Err(Failure::unusable(format!("{} has no argument {name}", self.name))
                .hint(format!("Its arguments are {}.", known.join(", ")))),
        }
    }
}

/// Calls a tool.
pub async fn call(name: &str, session: &mut PgConnection, arguments: &Value) -> Result<Value, Failure> {
    let execution = || required::<i64>(arguments, "execution");
    let reason = optional::<String>(arguments, "reason")?;
    let reason = reason.as_deref();
    let limit = optional::<i32>(arguments, "limit")?.unwrap_or(50);
    let page = Page { max_rows: limit, after: optional(arguments, "after")? };
    match name {
        "list_workflows" => {
            let found = WorkflowDefinitionRepository::list(&mut *session, page).await?;
            Ok(found.iter().map(summary).collect())
        }
        "workflow_source" => {
            let reference: String = required(arguments, "ref")?;
            let source = Engine::definition_source(&mut *session, &reference).await?;
            value(source.ok_or_else(|| Failure::refused(format!("there is no workflow {reference}")))?)
        }
        "list_executions" => {
            let filter: ExecutionFilter = serde_json::from_value(arguments.clone()).map_err(Failure::unusable)?;
            value(Engine::list_executions(&mut *session, &filter, page).await?)
        }
        "execution_status" => value(Engine::status(&mut *session, execution()?).await?),
        "why_execution" => value(Engine::why(&mut *session, execution()?, limit).await?),
        "list_tasks" => value(Engine::list_tasks(&mut *session, execution()?, page).await?),
        "list_events" => value(Engine::list_events(&mut *session, execution()?, page).await?),
        "execution_tree" => value(Engine::tree(&mut *session, execution()?, limit).await?),
        "overview" => Ok(json!({
            "queues": Engine::queue_summary(&mut *session).await?,
            "workers": Engine::worker_summary(&mut *session).await?,
            "actions": Engine::action_summary(&mut *session).await?,
            "overdue": Engine::overdue_summary(&mut *session).await?,
        })),
        "validate_definition" => {
            value(Engine::validate(&mut *session, &required::<String>(arguments, "source")?).await?)
        }
        "test_definition" => {
            let source: String = required(arguments, "source")?;
            value(Engine::test(&mut *session, &source, &required(arguments, "script")?).await?)
        }
        "start_execution" => {
            let input: StartInput = serde_json::from_value(arguments.clone()).map_err(Failure::unusable)?;
            Ok(json!({"execution": Engine::start(&mut *session, input).await?}))
        }
        "signal_execution" => {
            let input: SignalInput = serde_json::from_value(arguments.clone()).map_err(Failure::unusable)?;
            value(Engine::signal(&mut *session, execution()?, input).await?)
        }
        "pause_execution" => value(Engine::pause(&mut *session, execution()?, reason).await?),
        "resume_execution" => value(Engine::resume(&mut *session, execution()?, reason).await?),
        "cancel_execution" => value(Engine::cancel(&mut *session, execution()?, reason).await?),
        "rerun_execution" => {
            let input: RerunInput = serde_json::from_value(arguments.clone()).map_err(Failure::unusable)?;
            value(Engine::rerun(&mut *session, execution()?, input).await?)
        }
        name => Err(Failure::unusable(format!("there is no tool {name}"))),
    }
}

fn summary(definition: &WorkflowDefinition) -> Value {
    json!({
        "id": definition.id,
        "ref": definition.r#ref,
        "label": definition.label,
        "description": definition.description,
        "version": definition.version,
        "tags": definition.tags,
        "enabled": definition.enabled,
        "parameters": definition.param_schema,
    })
}

fn value(value: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(Failure::unusable)
}

fn optional<T: DeserializeOwned>(arguments: &Value, name: &str) -> Result<Option<T>, Failure> {
    let read = |value: &Value| serde_json::from_value(value.clone());
    arguments
        .get(name)
        .filter(|value| !value.is_null())
        .map(read)
        .transpose()
        .map_err(|error| Failure::unusable(format!("{name}: {error}")))
}

fn required<T: DeserializeOwned>(arguments: &Value, name: &str) -> Result<T, Failure> {
    optional(arguments, name)?.ok_or_else(|| Failure::unusable(format!("the argument {name} is missing")))
}
