//! Rows of the engine: the data layer shows them, but does not change them.

use crate::fixture::*;
use pg_workflow_client::Page;
use pg_workflow_client::model::*;
use pg_workflow_client::repository::*;
use pg_workflow_tests::{Database, with_database};
use serde_json::{Value, json};

const DEPLOY: &str = r#"
ref: ci.deploy
label: Deploy
version: 0.9.0
tasks:
  - name: build
    action: ci.build
    next: [{do: [lint, scan]}]
  - name: lint
    action: ci.lint
    when: "{{ 1 > 2 }}"
  - name: scan
    action: ci.scan
"#;

/// A workflow that was just started, in part 7.
async fn start(db: &Database) -> WorkflowExecution {
    for action in ["ci.build", "ci.lint", "ci.scan"] {
        sqlx::query("SELECT workflow_register_action($1)").bind(action).execute(&db.pool).await.unwrap();
    }
    sqlx::query("SELECT workflow_define($1)").bind(DEPLOY).execute(&db.pool).await.unwrap();
    let execution: i64 =
        sqlx::query_scalar("SELECT workflow_start('ci.deploy', part => 7)").fetch_one(&db.pool).await.unwrap();
    WorkflowExecutionRepository::find_by_execution(&db.pool, execution).await.unwrap().unwrap()
}

/// Claims the only task and reports it.
async fn work(db: &Database, status: &str) {
    let states: Vec<String> = sqlx::query_scalar(
        "SELECT f.state FROM workflow_claim('me') AS c,
         workflow_finish(ARRAY[ROW(c.task, c.lease_token, $1, NULL, NULL, NULL, NULL, NULL, NULL)::workflow.outcome]) AS f",
    )
    .bind(status)
    .fetch_all(&db.pool)
    .await
    .unwrap();
    assert_eq!(states.len(), 1);
}

#[tokio::test]
async fn the_lists_follow_the_tasks_and_are_the_same_when_it_has_ended() {
    with_database(async |db| {
        let run = start(db).await;
        let lists = async || {
            let run = WorkflowExecutionRepository::find_by_id(&db.pool, run.id).await.unwrap().unwrap();
            let counts: Vec<i32> = sqlx::query_scalar(
                "SELECT unnest(ARRAY[current_task_count, completed_task_count, failed_task_count, skipped_task_count])
                 FROM workflow.workflow_execution_summary WHERE workflow_version = '0.9.0'",
            )
            .fetch_all(&db.pool)
            .await
            .unwrap();
            let lists = [run.current_tasks, run.completed_tasks, run.failed_tasks, run.skipped_tasks];
            assert_eq!(
                counts,
                lists.each_ref().map(|list| list.len() as i32),
                "the view counts what the function lists"
            );
            lists.map(|list| list.join(" "))
        };
        assert_eq!((run.part, run.status), (7, ExecutionStatus::Running));
        assert_eq!(lists().await, ["build", "", "", ""]);
        work(db, "completed").await;
        assert_eq!(lists().await, ["scan", "build", "", "lint"]);
        work(db, "failed").await;
        let ended = WorkflowExecutionRepository::find_by_id(&db.pool, run.id).await.unwrap().unwrap();
        assert_eq!(ended.status, ExecutionStatus::Failed);
        assert_eq!(lists().await, ["", "build", "scan", "lint"]);
    })
    .await;
}

#[tokio::test]
async fn the_graph_is_the_pinned_one_whatever_was_defined_since() {
    with_database(async |db| {
        let run = start(db).await;
        let stored: Value = sqlx::query_scalar("SELECT graph FROM workflow.workflow_definition_version")
            .fetch_one(&db.pool)
            .await
            .unwrap();
        assert_eq!(run.task_graph.as_ref(), Some(&stored));
        sqlx::query("SELECT workflow_define($1)")
            .bind(
                DEPLOY.replace("0.9.0", "1.0.0").replace("[lint, scan]", "[lint]").replace("name: scan", "name: other"),
            )
            .execute(&db.pool)
            .await
            .unwrap();
        let later = WorkflowExecutionRepository::find_by_id(&db.pool, run.id).await.unwrap().unwrap();
        assert_eq!(later, run);
        let version: String = sqlx::query_scalar("SELECT workflow_version FROM workflow.workflow_execution_summary")
            .fetch_one(&db.pool)
            .await
            .unwrap();
        assert_eq!(version, "0.9.0");
    })
    .await;
}

#[tokio::test]
async fn what_the_engine_owns_is_not_changed_by_the_data_layer() {
    with_database(async |db| {
        let run = start(db).await;
        let id = run.id;
        let task = WorkflowTaskExecutionRepository::list(&db.pool, Page::default()).await.unwrap().remove(0);
        let mut transaction = db.pool.begin().await.unwrap();
        let t = &mut transaction;
        let parent = CreateExecutionInput { part: Some(7), ..execution_input() };
        let outer = ExecutionRepository::create(&mut **t, parent).await.unwrap().id;
        let refusals = async |t: &mut sqlx::PgConnection, call: &str, what: &str, instead: &str| {
            // Each in a savepoint, because an error ends a transaction.
            let mut savepoint = sqlx::Acquire::begin(t).await.unwrap();
            let s = &mut *savepoint;
            let error = match call {
                "update execution" => {
                    let input = UpdateExecutionInput { status: Some(ExecutionStatus::Failed), ..Default::default() };
                    ExecutionRepository::update(s, run.execution, input).await.map(drop)
                }
                "delete execution" => ExecutionRepository::delete(s, run.execution).await.map(drop),
                "delete parent" => {
                    sqlx::query("UPDATE workflow.execution SET parent = $1 WHERE id = $2")
                        .bind(outer)
                        .bind(run.execution)
                        .execute(&mut *s)
                        .await
                        .unwrap();
                    ExecutionRepository::delete(s, outer).await.map(drop)
                }
                "delete worker" => {
                    sqlx::query("UPDATE workflow.workflow_task_execution SET execution = $1 WHERE id = $2")
                        .bind(outer)
                        .bind(task.id)
                        .execute(&mut *s)
                        .await
                        .unwrap();
                    ExecutionRepository::delete(s, outer).await.map(drop)
                }
                "update run" => {
                    let input = UpdateWorkflowExecutionInput { paused: Some(true), ..Default::default() };
                    WorkflowExecutionRepository::update(s, id, input).await.map(drop)
                }
                "delete run" => WorkflowExecutionRepository::delete(s, id).await.map(drop),
                "create task" => WorkflowTaskExecutionRepository::create(s, task_input(&run, "x")).await.map(drop),
                "update task" => {
                    let input = UpdateWorkflowTaskExecutionInput { retry_count: Some(1), ..Default::default() };
                    WorkflowTaskExecutionRepository::update(s, task.id, input).await.map(drop)
                }
                "delete task" => WorkflowTaskExecutionRepository::delete(s, task.id).await.map(drop),
                _ => unreachable!(),
            }
            .unwrap_err();
            let refusal = error.refusal().unwrap().clone();
            assert_eq!(refused::<()>(Err(error)), format!("WrongState WF618 the engine owns this {what}"), "{call}");
            assert!(refusal.hint.as_ref().unwrap().contains(instead), "{call}: {refusal:?}");
            assert_eq!(refusal.sqlstate, "55000");
            savepoint.rollback().await.unwrap();
        };
        for (call, what, instead) in [
            ("update execution", "execution", "workflow_complete"),
            ("delete execution", "execution", "workflow_prune"),
            ("delete parent", "execution", "workflow_prune"),
            ("delete worker", "execution", "workflow_prune"),
            ("update run", "workflow execution", "workflow_pause"),
            ("delete run", "workflow execution", "workflow_prune"),
            ("create task", "workflow execution", "workflow_define"),
            ("update task", "task execution", "workflow_complete"),
            ("delete task", "task execution", "workflow_prune"),
        ] {
            refusals(&mut **t, call, what, instead).await;
        }
        let same = WorkflowTaskExecutionRepository::update(&mut **t, task.id, Default::default()).await.unwrap();
        assert_eq!(same, task, "an empty patch only reads");
        transaction.rollback().await.unwrap();
    })
    .await;
}

/// Creates a workflow execution like one of the engine's, with these tasks: name, route, visit, status, skipped. All in
/// one transaction, which the caller rolls back at the end, because the engine would never have created it.
async fn owned(
    transaction: &mut sqlx::PgConnection,
    definition: &WorkflowDefinition,
    status: &str,
    tasks: &[(&str, i32, i32, &str, bool)],
) -> i64 {
    let id: i64 = sqlx::query_scalar(
        "WITH version AS (
           INSERT INTO workflow.workflow_definition_version (workflow_def, number, source, definition, graph, sha256)
           VALUES ($1, 1, '', '{\"version\": \"0.9\"}', '{\"nodes\": []}', '') RETURNING id),
         execution AS (
           INSERT INTO workflow.execution (part, id, action_ref, status)
           VALUES (7, workflow.make_id(7, nextval('workflow.execution_id_seq')), 'ci.deploy', $2::workflow.execution_status)
           RETURNING id)
         INSERT INTO workflow.workflow_execution (part, id, execution, workflow_def, status, version, completed_tasks)
         SELECT 7, execution.id, execution.id, $1, 'running', version.id,
           '{written}'
         FROM version, execution RETURNING id",
    )
    .bind(definition.id)
    .bind(status)
    .fetch_one(&mut *transaction)
    .await
    .unwrap();
    for (name, route, visit, status, skipped) in tasks {
        sqlx::query(
            "INSERT INTO workflow.workflow_task_execution (part, id, workflow_execution, task_name, route, visit, status, skipped)
             VALUES (7, workflow.make_id(7, nextval('workflow.workflow_task_execution_id_seq')), $1, $2, $3, $4,
               $5::workflow.execution_status, $6)",
        )
        .bind(id)
        .bind(name)
        .bind(route)
        .bind(visit)
        .bind(status)
        .bind(skipped)
        .execute(&mut *transaction)
        .await
        .unwrap();
    }
    id
}

const TASKS: &[(&str, i32, i32, &str, bool)] = &[
    ("build", 0, 0, "completed", false),
    ("lint", 0, 0, "completed", true),
    // One of its items continues, and so does the task.
    ("items", 0, 0, "completed", false),
    ("items", 0, 0, "scheduled", false),
    ("failed_items", 0, 0, "completed", false),
    ("failed_items", 0, 0, "timeout", false),
    // It ran before, and runs again.
    ("again", 0, 0, "completed", false),
    ("again", 0, 1, "running", false),
    ("again", 0, 2, "completed", false),
    ("stopped", 0, 0, "cancelled", false),
    ("deploy", 1, 0, "requested", false),
];

#[tokio::test]
async fn the_lists_of_what_the_engine_runs_are_those_of_its_tasks_and_its_graph_the_pinned_one() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        let definition = definition(db, &pack, "deploy").await;
        let mut transaction = db.pool.begin().await.unwrap();
        let id = owned(&mut transaction, &definition, "running", TASKS).await;
        let run = WorkflowExecutionRepository::find_by_id(&mut *transaction, id).await.unwrap().unwrap();
        assert_eq!(run.current_tasks, ["items", "again", "deploy"]);
        assert_eq!(run.completed_tasks, ["build", "again"]);
        assert_eq!(run.failed_tasks, ["failed_items"]);
        assert_eq!(run.skipped_tasks, ["lint"]);
        assert_eq!(run.task_graph, Some(json!({"nodes": []})));
        let page = Page::default();
        let by_execution =
            WorkflowExecutionRepository::find_by_execution(&mut *transaction, run.execution).await.unwrap();
        assert_eq!(by_execution.as_ref(), Some(&run));
        let empty = WorkflowExecutionRepository::update(&mut *transaction, id, Default::default()).await.unwrap();
        assert_eq!(empty, run);
        for found in [
            WorkflowExecutionRepository::list(&mut *transaction, page).await.unwrap(),
            WorkflowExecutionRepository::find_by_status(&mut *transaction, ExecutionStatus::Running, page)
                .await
                .unwrap(),
            WorkflowExecutionRepository::find_by_workflow_def(&mut *transaction, definition.id, page).await.unwrap(),
        ] {
            assert_eq!(found, std::slice::from_ref(&run));
        }
        let counts: Vec<i32> = sqlx::query_scalar(
            "SELECT unnest(ARRAY[current_task_count, completed_task_count, failed_task_count, skipped_task_count])
             FROM workflow.workflow_execution_summary WHERE workflow_version = '0.9'",
        )
        .fetch_all(&mut *transaction)
        .await
        .unwrap();
        assert_eq!(counts, [3, 2, 1, 1]);
        transaction.rollback().await.unwrap();
    })
    .await;
}
