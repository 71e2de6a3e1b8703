use crate::fixture::*;
use pg_workflow_client::model::*;
use pg_workflow_client::repository::*;
use pg_workflow_client::{Page, Patch};
use pg_workflow_tests::with_database;
use serde_json::json;

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| word.to_string()).collect()
}

#[tokio::test]
async fn a_created_workflow_execution_is_found_as_it_was_given() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        let definition = definition(db, &pack, "deploy").await;
        let execution = execution(db, 9).await;
        let input = CreateWorkflowExecutionInput {
            execution: execution.id,
            workflow_def: definition.id,
            current_tasks: words(&["a", "b"]),
            completed_tasks: words(&["c"]),
            failed_tasks: words(&["d", ""]),
            skipped_tasks: words(&["e"]),
            variables: json!({"x": 1}),
            task_graph: Some(json!({"nodes": []})),
            status: ExecutionStatus::Running,
            error_message: Some("none yet".into()),
            paused: true,
            pause_reason: Some("lunch".into()),
        };
        let made = WorkflowExecutionRepository::create(&db.pool, input.clone()).await.unwrap();
        let given = CreateWorkflowExecutionInput {
            execution: made.execution,
            workflow_def: made.workflow_def,
            current_tasks: made.current_tasks.clone(),
            completed_tasks: made.completed_tasks.clone(),
            failed_tasks: made.failed_tasks.clone(),
            skipped_tasks: made.skipped_tasks.clone(),
            variables: made.variables.clone(),
            task_graph: made.task_graph.clone(),
            status: made.status,
            error_message: made.error_message.clone(),
            paused: made.paused,
            pause_reason: made.pause_reason.clone(),
        };
        assert_eq!(given, input);
        assert_eq!((made.part, made.id >> 48, made.version), (9, 9, None));
        assert_eq!(WorkflowExecutionRepository::find_by_id(&db.pool, made.id).await.unwrap().as_ref(), Some(&made));
        let found = WorkflowExecutionRepository::find_by_execution(&db.pool, execution.id).await.unwrap();
        assert_eq!(found, Some(made));
        assert_eq!(WorkflowExecutionRepository::find_by_id(&db.pool, 4711).await.unwrap(), None);
        assert_eq!(WorkflowExecutionRepository::find_by_execution(&db.pool, 4711).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn an_invalid_workflow_execution_is_refused_by_kind() {
    with_database(async |db| {
        let run = any_run(db).await;
        let create = async |execution, workflow_def| {
            let input = CreateWorkflowExecutionInput { execution, workflow_def, ..Default::default() };
            refused(WorkflowExecutionRepository::create(&db.pool, input).await)
        };
        assert_eq!(
            create(run.execution, run.workflow_def).await,
            "Conflict WF617 another workflow execution already has this execution"
        );
        assert_eq!(create(4711, run.workflow_def).await, "NotFound WF616 there is no such execution");
        let free = execution(db, 0).await.id;
        assert_eq!(create(free, 4711).await, "NotFound WF616 there is no such definition");
        let input = CreateWorkflowExecutionInput {
            execution: free,
            workflow_def: run.workflow_def,
            variables: json!(null),
            ..Default::default()
        };
        assert_eq!(
            refused(WorkflowExecutionRepository::create(&db.pool, input).await),
            "Validation WF613 variables is null"
        );
    })
    .await;
}

#[tokio::test]
async fn an_update_writes_clears_or_leaves_each_column() {
    with_database(async |db| {
        let made = any_run(db).await;
        let full = UpdateWorkflowExecutionInput {
            current_tasks: Some(words(&["b"])),
            completed_tasks: Some(words(&["a"])),
            failed_tasks: Some(words(&["x"])),
            skipped_tasks: Some(words(&["y", "z"])),
            variables: Some(json!({"n": 1})),
            task_graph: Patch::Set(json!([])),
            status: Some(ExecutionStatus::Running),
            error_message: Patch::Set("e".into()),
            paused: Some(true),
            pause_reason: Patch::Set("p".into()),
        };
        let updated = WorkflowExecutionRepository::update(&db.pool, made.id, full).await.unwrap();
        let expected = WorkflowExecution {
            current_tasks: words(&["b"]),
            completed_tasks: words(&["a"]),
            failed_tasks: words(&["x"]),
            skipped_tasks: words(&["y", "z"]),
            variables: json!({"n": 1}),
            task_graph: Some(json!([])),
            status: ExecutionStatus::Running,
            error_message: Some("e".into()),
            paused: true,
            pause_reason: Some("p".into()),
            updated: updated.updated,
            ..made.clone()
        };
        assert_eq!(updated, expected);
        assert_eq!(WorkflowExecutionRepository::update(&db.pool, made.id, Default::default()).await.unwrap(), expected);
        let cleared = UpdateWorkflowExecutionInput {
            task_graph: Patch::Null,
            error_message: Patch::Null,
            pause_reason: Patch::Null,
            current_tasks: Some(vec![]),
            ..Default::default()
        };
        let updated = WorkflowExecutionRepository::update(&db.pool, made.id, cleared).await.unwrap();
        let expected = WorkflowExecution {
            task_graph: None,
            error_message: None,
            pause_reason: None,
            current_tasks: vec![],
            updated: updated.updated,
            ..expected
        };
        assert_eq!(updated, expected);
        let input = UpdateWorkflowExecutionInput { paused: Some(true), ..Default::default() };
        assert_eq!(
            refused(WorkflowExecutionRepository::update(&db.pool, 4711, input).await),
            "NotFound WF616 there is no such workflow execution"
        );
        assert!(WorkflowExecutionRepository::delete(&db.pool, made.id).await.unwrap());
        assert!(!WorkflowExecutionRepository::delete(&db.pool, made.id).await.unwrap());
        let left = ExecutionRepository::find_by_id(&db.pool, made.execution).await.unwrap();
        assert!(left.is_some(), "the execution that it ran stays");
    })
    .await;
}

#[tokio::test]
async fn workflow_executions_are_found_by_status_and_by_being_paused() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        let definition = definition(db, &pack, "deploy").await;
        let mut ids = Vec::new();
        for (part, status, paused) in [
            (2, ExecutionStatus::Running, false),
            (0, ExecutionStatus::Running, true),
            (1, ExecutionStatus::Completed, false),
            (0, ExecutionStatus::Cancelled, true),
        ] {
            let made = run(db, &definition, part).await;
            let input =
                UpdateWorkflowExecutionInput { status: Some(status), paused: Some(paused), ..Default::default() };
            ids.push(WorkflowExecutionRepository::update(&db.pool, made.id, input).await.unwrap().id);
        }
        let page = Page::default();
        let ids_of = |runs: Vec<WorkflowExecution>| runs.iter().map(|run| run.id).collect::<Vec<_>>();
        let by_status =
            async |status| ids_of(WorkflowExecutionRepository::find_by_status(&db.pool, status, page).await.unwrap());
        assert_eq!(by_status(ExecutionStatus::Running).await, [ids[1], ids[0]]);
        assert_eq!(by_status(ExecutionStatus::Cancelled).await, [ids[3]]);
        assert_eq!(by_status(ExecutionStatus::Canceling).await, [0; 0]);
        assert_eq!(ids_of(WorkflowExecutionRepository::find_paused(&db.pool, page).await.unwrap()), [ids[1], ids[3]]);
    })
    .await;
}

#[tokio::test]
async fn the_executions_of_a_definition_come_newest_first_whatever_their_part() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        let (definition, other) = (definition(db, &pack, "deploy").await, definition(db, &pack, "other").await);
        let mut newest_first = Vec::new();
        for part in [3, 0, 1023, 0, 7] {
            newest_first.insert(0, run(db, &definition, part).await);
            run(db, &other, part).await;
        }
        let found =
            WorkflowExecutionRepository::find_by_workflow_def(&db.pool, definition.id, Page::default()).await.unwrap();
        assert_eq!(found, newest_first);
    })
    .await;
}
