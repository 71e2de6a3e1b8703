//! Rows to test with.

use chrono::{DateTime, Utc};
use pg_workflow_client::Error;
use pg_workflow_client::model::*;
use pg_workflow_client::repository::*;
use pg_workflow_tests::Database;
use serde_json::json;
use sqlx::PgConnection;

pub async fn pack(db: &Database, r#ref: &str) -> Pack {
    let input = CreatePackInput {
        r#ref: r#ref.into(),
        label: r#ref.to_uppercase(),
        version: "1.0.0".into(),
        ..Default::default()
    };
    PackRepository::create(&db.pool, input).await.unwrap()
}

pub fn definition_input(pack: &Pack, name: &str) -> CreateWorkflowDefinitionInput {
    CreateWorkflowDefinitionInput {
        r#ref: format!("{}.{name}", pack.r#ref),
        pack: pack.id,
        label: name.to_uppercase(),
        version: "1.0.0".into(),
        definition: json!({"tasks": []}),
        ..Default::default()
    }
}

pub async fn definition(db: &Database, pack: &Pack, name: &str) -> WorkflowDefinition {
    WorkflowDefinitionRepository::create(&db.pool, definition_input(pack, name)).await.unwrap()
}

pub fn action_input(pack: &Pack, name: &str) -> CreateActionInput {
    CreateActionInput {
        r#ref: format!("{}.{name}", pack.r#ref),
        pack: pack.id,
        label: name.to_uppercase(),
        ..Default::default()
    }
}

pub async fn action(db: &Database, pack: &Pack, name: &str) -> Action {
    ActionRepository::create(&db.pool, action_input(pack, name)).await.unwrap()
}

pub fn execution_input() -> CreateExecutionInput {
    CreateExecutionInput { action_ref: "ci.build".into(), ..Default::default() }
}

pub async fn execution(db: &Database, part: i32) -> Execution {
    let input = CreateExecutionInput { part: Some(part), ..execution_input() };
    ExecutionRepository::create(&db.pool, input).await.unwrap()
}

/// Creates a workflow execution of a definition, with its execution.
pub async fn run(db: &Database, definition: &WorkflowDefinition, part: i32) -> WorkflowExecution {
    let input = CreateWorkflowExecutionInput {
        execution: execution(db, part).await.id,
        workflow_def: definition.id,
        ..Default::default()
    };
    WorkflowExecutionRepository::create(&db.pool, input).await.unwrap()
}

/// Creates a workflow execution with everything that it needs.
pub async fn any_run(db: &Database) -> WorkflowExecution {
    let pack = pack(db, "ci").await;
    let definition = definition(db, &pack, "deploy").await;
    run(db, &definition, 0).await
}

pub fn task_input(run: &WorkflowExecution, name: &str) -> CreateWorkflowTaskExecutionInput {
    CreateWorkflowTaskExecutionInput { workflow_execution: run.id, task_name: name.into(), ..Default::default() }
}

pub async fn task(db: &Database, run: &WorkflowExecution, name: &str) -> WorkflowTaskExecution {
    WorkflowTaskExecutionRepository::create(&db.pool, task_input(run, name)).await.unwrap()
}

/// Sets the clock of a session.
pub async fn set_now(session: &mut PgConnection, now: &str) {
    sqlx::query("SELECT set_config('pg_workflow.test_now', $1, false)").bind(now).execute(session).await.unwrap();
}

/// Returns a point in time.
pub fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Returns the kind and code of a refusal, such as `NotFound WF616`.
pub fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    let error = result.unwrap_err();
    let kind = match &error {
        Error::NotFound(_) => "NotFound",
        Error::Conflict(_) => "Conflict",
        Error::Validation(_) => "Validation",
        Error::WrongState(_) => "WrongState",
        Error::StaleLease(_) => "StaleLease",
        Error::LimitExceeded(_) => "LimitExceeded",
        Error::Privilege(_) => "Privilege",
        other => panic!("{other}"),
    };
    let refusal = error.refusal().unwrap();
    format!("{kind} {} {}", refusal.code.as_deref().unwrap_or(&refusal.sqlstate), refusal.message)
}
