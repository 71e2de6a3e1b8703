use crate::fixture::*;
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
             WHERE workflow_ref = 'ci.deploy' AND execution IS NOT NULL AND child_execution IS NULL",
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
