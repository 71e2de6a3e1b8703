use crate::fixture::*;
use pg_workflow_client::Page;
use pg_workflow_client::model::*;
use pg_workflow_client::repository::*;
use pg_workflow_tests::{Database, with_database};
use serde_json::{Value, json};

async fn rows(db: &Database, query: &'static str) -> Value {
    sqlx::query_scalar(query).fetch_one(&db.pool).await.unwrap()
}

#[tokio::test]
async fn the_summary_counts_tasks_and_says_0_for_none() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        let definition = definition(db, &pack, "deploy").await;
        let (empty, full) = (run(db, &definition, 0).await, run(db, &definition, 0).await);
        let list = |count: usize| Some(vec!["t".to_owned(); count]);
        let input = UpdateWorkflowExecutionInput {
            current_tasks: list(1),
            completed_tasks: list(2),
            failed_tasks: list(3),
            skipped_tasks: list(4),
            ..Default::default()
        };
        WorkflowExecutionRepository::update(&db.pool, full.id, input).await.unwrap();
        let summary = rows(
            db,
            "SELECT jsonb_agg(jsonb_build_array(id, workflow_ref, workflow_label, workflow_version,
               current_task_count, completed_task_count, failed_task_count, skipped_task_count) ORDER BY id)
             FROM workflow.workflow_execution_summary",
        )
        .await;
        let expected = json!([
            [empty.id, "ci.deploy", "DEPLOY", "1.0.0", 0, 0, 0, 0],
            [full.id, "ci.deploy", "DEPLOY", "1.0.0", 1, 2, 3, 4]
        ]);
        assert_eq!(summary, expected);
    })
    .await;
}

#[tokio::test]
async fn the_detail_of_a_task_says_where_it_stands_in_one_word() {
    with_database(async |db| {
        let run = any_run(db).await;
        for status in ExecutionStatus::ALL {
            let input = CreateWorkflowTaskExecutionInput { status: *status, ..task_input(&run, status.as_str()) };
            WorkflowTaskExecutionRepository::create(&db.pool, input).await.unwrap();
        }
        let skipped = CreateWorkflowTaskExecutionInput {
            status: ExecutionStatus::Completed,
            skipped: true,
            ..task_input(&run, "skipped")
        };
        WorkflowTaskExecutionRepository::create(&db.pool, skipped).await.unwrap();
        let detail = rows(
            db,
            "SELECT jsonb_object_agg(task_name, summary) FROM workflow.workflow_task_detail
             WHERE workflow_ref = 'ci.deploy' AND parent_execution IS NOT NULL",
        )
        .await;
        let expected = json!({
            "requested": "pending", "scheduling": "pending", "scheduled": "pending",
            "running": "running", "canceling": "running",
            "completed": "completed", "skipped": "skipped", "cancelled": "cancelled",
            "failed": "failed", "timeout": "failed", "abandoned": "failed",
        });
        assert_eq!(detail, expected);
    })
    .await;
}

#[tokio::test]
async fn the_link_view_has_every_workflow_and_the_action_it_stands_for() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        let (linked, alone) = (definition(db, &pack, "linked").await, definition(db, &pack, "alone").await);
        let action = action(db, &pack, "act").await;
        ActionRepository::link_workflow_def(&db.pool, action.id, linked.id).await.unwrap();
        let links = rows(
            db,
            "SELECT jsonb_agg(jsonb_build_array(workflow_def_id, workflow_ref, action_id, action_ref) ORDER BY 1)
             FROM (SELECT * FROM workflow.workflow_action_link ORDER BY workflow_def_id) AS link",
        )
        .await;
        assert_eq!(links, json!([[linked.id, "ci.linked", action.id, "ci.act"], [alone.id, "ci.alone", null, null]]));
    })
    .await;
}

/// A workflow execution as the engine would have it, with these tasks: name, route, visit, status, skipped.
/// All in one transaction that the caller gives up at the end, because the engine would not have made it.
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
         SELECT 7, workflow.make_id(7, nextval('workflow.workflow_execution_id_seq')), execution.id, $1, 'running', version.id,
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
    // One of its items goes on: so does the task.
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

#[tokio::test]
async fn what_has_ended_keeps_the_lists_that_were_written_at_its_end() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        let definition = definition(db, &pack, "deploy").await;
        let mut transaction = db.pool.begin().await.unwrap();
        let id = owned(&mut transaction, &definition, "failed", TASKS).await;
        let run = WorkflowExecutionRepository::find_by_id(&mut *transaction, id).await.unwrap().unwrap();
        assert_eq!((run.current_tasks.len(), run.completed_tasks), (0, vec!["written".to_owned()]));
        transaction.rollback().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_the_engine_owns_is_not_changed_by_the_data_layer() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        let definition = definition(db, &pack, "deploy").await;
        let mut transaction = db.pool.begin().await.unwrap();
        let id = owned(&mut transaction, &definition, "running", &TASKS[..1]).await;
        let t = &mut transaction;
        let run = WorkflowExecutionRepository::find_by_id(&mut **t, id).await.unwrap().unwrap();
        let task = WorkflowTaskExecutionRepository::list(&mut **t, Page::default()).await.unwrap().remove(0);
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
