use crate::fixture::*;
use pg_workflow_client::model::*;
use pg_workflow_client::repository::*;
use pg_workflow_client::{Page, Patch};
use pg_workflow_tests::with_database;
use serde_json::json;

#[tokio::test]
async fn a_created_execution_is_found_as_it_was_given() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        let action = action(db, &pack, "build").await;
        let parent = execution(db, 0).await;
        let input = CreateExecutionInput {
            part: Some(0),
            action: Some(action.id),
            action_ref: "ci.build".into(),
            config: Some(json!({"app": "x", "big": 12345678901234567890u64})),
            parent: Some(parent.id),
            enforcement: Some(1),
            executor: Some(-2),
            status: ExecutionStatus::Canceling,
            result: Some(json!("done")),
        };
        let made = ExecutionRepository::create(&db.pool, input.clone()).await.unwrap();
        let given = CreateExecutionInput {
            part: Some(made.part),
            action: made.action,
            action_ref: made.action_ref.clone(),
            config: made.config.clone(),
            parent: made.parent,
            enforcement: made.enforcement,
            executor: made.executor,
            status: made.status,
            result: made.result.clone(),
        };
        assert_eq!(given, input);
        assert_eq!(ExecutionRepository::find_by_id(&db.pool, made.id).await.unwrap(), Some(made));
        assert_eq!(ExecutionRepository::find_by_id(&db.pool, 4711).await.unwrap(), None);
        assert_eq!(ExecutionRepository::find_by_id(&db.pool, i64::MIN).await.unwrap(), None);
        assert_eq!(ExecutionRepository::find_by_id(&db.pool, i64::MAX).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn every_status_goes_in_and_out() {
    with_database(async |db| {
        for status in ExecutionStatus::ALL {
            let input = CreateExecutionInput { status: *status, ..execution_input() };
            assert_eq!(ExecutionRepository::create(&db.pool, input).await.unwrap().status, *status);
        }
        let labels: Vec<String> =
            sqlx::query_scalar("SELECT unnest(enum_range(NULL::workflow.execution_status))::text")
                .fetch_all(&db.pool)
                .await
                .unwrap();
        assert_eq!(labels, ExecutionStatus::ALL.iter().map(|status| status.as_str()).collect::<Vec<_>>());
        let tasks: Vec<TaskStatus> = sqlx::query_scalar("SELECT unnest(enum_range(NULL::workflow.task_status))")
            .fetch_all(&db.pool)
            .await
            .unwrap();
        assert_eq!(tasks, TaskStatus::ALL);
    })
    .await;
}

#[tokio::test]
async fn a_status_is_read_and_written_whatever_the_search_path() {
    with_database(async |db| {
        for path in ["public", "workflow", "\"$user\", public, workflow", "pg_catalog"] {
            let mut session = db.connect().await;
            sqlx::query("SELECT set_config('search_path', $1, false)").bind(path).execute(&mut session).await.unwrap();
            let made = ExecutionRepository::create(&mut session, execution_input()).await.unwrap();
            let input = UpdateExecutionInput { status: Some(ExecutionStatus::Running), ..Default::default() };
            let updated = ExecutionRepository::update(&mut session, made.id, input).await.unwrap();
            assert_eq!(updated.status, ExecutionStatus::Running);
            let same: ExecutionStatus =
                sqlx::query_scalar("SELECT $1").bind(ExecutionStatus::Timeout).fetch_one(&mut session).await.unwrap();
            assert_eq!(same, ExecutionStatus::Timeout);
        }
    })
    .await;
}

#[tokio::test]
async fn an_id_names_its_part_and_a_tree_shares_one() {
    with_database(async |db| {
        assert_eq!(
            ExecutionRepository::create(&db.pool, execution_input()).await.unwrap().id,
            1,
            "1, 2, 3 on a plain server"
        );
        for part in [0, 1, 500, 1023] {
            let root = execution(db, part).await;
            assert_eq!((root.part, root.id >> 48), (part, i64::from(part)));
            let input = CreateExecutionInput { parent: Some(root.id), ..execution_input() };
            let child = ExecutionRepository::create(&db.pool, input).await.unwrap();
            assert_eq!((child.part, child.id >> 48, child.parent), (part, i64::from(part), Some(root.id)));
        }
    })
    .await;
}

#[tokio::test]
async fn an_invalid_execution_is_refused_by_kind() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        let other = action(db, &pack, "other").await;
        let root = execution(db, 5).await;
        let create = async |input| refused(ExecutionRepository::create(&db.pool, input).await);
        for part in [-1, 1024, i32::MAX] {
            let input = CreateExecutionInput { part: Some(part), ..execution_input() };
            assert_eq!(create(input).await, "Validation WF613 part is out of range");
        }
        let input = CreateExecutionInput { parent: Some(root.id), part: Some(6), ..execution_input() };
        assert_eq!(create(input).await, "Validation WF613 part must be the same as the parent's");
        let input = CreateExecutionInput { parent: Some(root.id + 1), ..execution_input() };
        assert_eq!(create(input).await, "NotFound WF616 there is no such execution");
        let input = CreateExecutionInput { action: Some(4711), ..execution_input() };
        assert_eq!(create(input).await, "NotFound WF616 there is no such action");
        let input = CreateExecutionInput { action: Some(other.id), ..execution_input() };
        assert_eq!(create(input).await, "Validation WF613 action_ref does not match the action");
    })
    .await;
}

#[tokio::test]
async fn an_update_writes_clears_or_leaves_each_column() {
    with_database(async |db| {
        let made = execution(db, 3).await;
        let full = UpdateExecutionInput {
            config: Patch::Set(json!({"a": [1, {"b": null}]})),
            enforcement: Patch::Set(11),
            executor: Patch::Set(12),
            status: Some(ExecutionStatus::Completed),
            result: Patch::Set(json!(false)),
        };
        let updated = ExecutionRepository::update(&db.pool, made.id, full).await.unwrap();
        let expected = Execution {
            config: Some(json!({"a": [1, {"b": null}]})),
            enforcement: Some(11),
            executor: Some(12),
            status: ExecutionStatus::Completed,
            result: Some(json!(false)),
            updated: updated.updated,
            ..made.clone()
        };
        assert_eq!(updated, expected);
        assert_eq!(ExecutionRepository::update(&db.pool, made.id, Default::default()).await.unwrap(), expected);
        let cleared = UpdateExecutionInput {
            config: Patch::Null,
            enforcement: Patch::Null,
            executor: Patch::Null,
            result: Patch::Null,
            ..Default::default()
        };
        let updated = ExecutionRepository::update(&db.pool, made.id, cleared).await.unwrap();
        assert_eq!(updated, Execution { status: ExecutionStatus::Completed, updated: updated.updated, ..made });
        let input = UpdateExecutionInput { status: Some(ExecutionStatus::Failed), ..Default::default() };
        assert_eq!(
            refused(ExecutionRepository::update(&db.pool, 4711, input).await),
            "NotFound WF616 there is no such execution"
        );
    })
    .await;
}

#[tokio::test]
async fn deleting_an_execution_takes_its_tree_along_and_no_other() {
    with_database(async |db| {
        let run = any_run(db).await;
        let task = task(db, &run, "build").await;
        let input = CreateExecutionInput { parent: Some(run.execution), ..execution_input() };
        let child = ExecutionRepository::create(&db.pool, input).await.unwrap();
        let other = execution(db, 0).await;
        let children = ExecutionRepository::find_by_parent(&db.pool, run.execution, Page::default()).await.unwrap();
        assert_eq!(children, std::slice::from_ref(&child));
        assert!(ExecutionRepository::delete(&db.pool, run.execution).await.unwrap());
        assert!(!ExecutionRepository::delete(&db.pool, run.execution).await.unwrap());
        assert_eq!(ExecutionRepository::find_by_id(&db.pool, child.id).await.unwrap(), None);
        assert_eq!(WorkflowExecutionRepository::find_by_id(&db.pool, run.id).await.unwrap(), None);
        assert_eq!(WorkflowTaskExecutionRepository::find_by_id(&db.pool, task.id).await.unwrap(), None);
        assert_eq!(ExecutionRepository::list(&db.pool, Page::default()).await.unwrap(), [other]);
    })
    .await;
}
