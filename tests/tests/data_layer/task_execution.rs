use crate::fixture::*;
use chrono::TimeDelta;
use pg_workflow_client::model::*;
use pg_workflow_client::repository::*;
use pg_workflow_client::{Page, Patch};
use pg_workflow_tests::with_database;
use serde_json::json;

fn names(tasks: Vec<WorkflowTaskExecution>) -> Vec<String> {
    tasks.into_iter().map(|task| task.task_name).collect()
}

fn turn(status: ExecutionStatus) -> UpdateWorkflowTaskExecutionInput {
    UpdateWorkflowTaskExecutionInput { status: Some(status), ..Default::default() }
}

#[tokio::test]
async fn a_created_task_is_found_as_it_was_given() {
    with_database(async |db| {
        let run = any_run(db).await;
        let input = CreateWorkflowTaskExecutionInput {
            workflow_execution: run.id,
            execution: Some(execution(db, 0).await.id),
            task_name: "build".into(),
            task_index: Some(3),
            task_batch: Some(1),
            status: ExecutionStatus::Failed,
            started_at: Some(time("2026-01-01T00:00:00Z")),
            completed_at: Some(time("2026-01-01T00:00:01.5Z")),
            duration_ms: Some(1234),
            result: Some(json!({"a": 1})),
            error: Some(json!({"type": "compile"})),
            retry_count: 1,
            max_retries: 3,
            next_retry_at: Some(time("2026-01-01T00:01:00.000001Z")),
            timeout_seconds: Some(60),
            timed_out: true,
            skipped: false,
            action_ref: Some("ci.build".into()),
            input: Some(json!([1])),
        };
        let made = WorkflowTaskExecutionRepository::create(&db.pool, input.clone()).await.unwrap();
        let given = CreateWorkflowTaskExecutionInput {
            workflow_execution: made.workflow_execution,
            execution: made.execution,
            task_name: made.task_name.clone(),
            task_index: made.task_index,
            task_batch: made.task_batch,
            status: made.status,
            started_at: made.started_at,
            completed_at: made.completed_at,
            duration_ms: made.duration_ms,
            result: made.result.clone(),
            error: made.error.clone(),
            retry_count: made.retry_count,
            max_retries: made.max_retries,
            next_retry_at: made.next_retry_at,
            timeout_seconds: made.timeout_seconds,
            timed_out: made.timed_out,
            skipped: made.skipped,
            action_ref: made.action_ref.clone(),
            input: made.input.clone(),
        };
        assert_eq!(given, input);
        assert_eq!(WorkflowTaskExecutionRepository::find_by_id(&db.pool, made.id).await.unwrap(), Some(made));
        assert_eq!(WorkflowTaskExecutionRepository::find_by_id(&db.pool, 4711).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn an_invalid_task_is_refused_by_kind() {
    with_database(async |db| {
        let run = any_run(db).await;
        let worker = execution(db, 0).await.id;
        let input = || task_input(&run, "build");
        let linked = CreateWorkflowTaskExecutionInput { execution: Some(worker), ..input() };
        WorkflowTaskExecutionRepository::create(&db.pool, linked.clone()).await.unwrap();
        let create = async |input| refused(WorkflowTaskExecutionRepository::create(&db.pool, input).await);
        assert_eq!(create(linked).await, "Conflict WF617 another task execution already has this execution");
        let other = CreateWorkflowTaskExecutionInput { workflow_execution: 4711, ..input() };
        assert_eq!(create(other).await, "NotFound WF616 there is no such workflow execution");
        let other = CreateWorkflowTaskExecutionInput { execution: Some(4711), ..input() };
        assert_eq!(create(other).await, "NotFound WF616 there is no such execution");
        let far = execution(db, 1).await.id;
        let other = CreateWorkflowTaskExecutionInput { execution: Some(far), ..input() };
        assert_eq!(create(other).await, "Validation WF613 execution is in a different part");
        for (name, input) in [
            ("task_index", CreateWorkflowTaskExecutionInput { task_index: Some(-1), ..input() }),
            ("task_batch", CreateWorkflowTaskExecutionInput { task_batch: Some(-1), ..input() }),
            ("duration_ms", CreateWorkflowTaskExecutionInput { duration_ms: Some(-1), ..input() }),
            ("retry_count", CreateWorkflowTaskExecutionInput { retry_count: -1, ..input() }),
            ("max_retries", CreateWorkflowTaskExecutionInput { max_retries: i32::MIN, ..input() }),
            ("timeout_seconds", CreateWorkflowTaskExecutionInput { timeout_seconds: Some(-1), ..input() }),
        ] {
            assert_eq!(create(input).await, format!("Validation WF613 {name} must not be negative"));
        }
    })
    .await;
}

#[tokio::test]
async fn an_update_writes_clears_or_leaves_each_column() {
    with_database(async |db| {
        let run = any_run(db).await;
        let made = task(db, &run, "build").await;
        let full = UpdateWorkflowTaskExecutionInput {
            execution: Patch::Set(execution(db, 0).await.id),
            status: Some(ExecutionStatus::Failed),
            started_at: Patch::Set(time("2026-01-01T00:00:00Z")),
            completed_at: Patch::Set(time("2026-01-01T00:00:01Z")),
            duration_ms: Patch::Set(77),
            result: Patch::Set(json!(1)),
            error: Patch::Set(json!("e")),
            retry_count: Some(1),
            max_retries: Some(2),
            next_retry_at: Patch::Set(time("2026-01-01T00:00:02.123456Z")),
            timeout_seconds: Patch::Set(5),
            timed_out: Some(true),
            skipped: Some(true),
            action_ref: Patch::Set("ci.build".into()),
            input: Patch::Set(json!({})),
        };
        let updated = WorkflowTaskExecutionRepository::update(&db.pool, made.id, full.clone()).await.unwrap();
        let Patch::Set(execution) = full.execution else { unreachable!() };
        let expected = WorkflowTaskExecution {
            execution: Some(execution),
            status: ExecutionStatus::Failed,
            started_at: Some(time("2026-01-01T00:00:00Z")),
            completed_at: Some(time("2026-01-01T00:00:01Z")),
            duration_ms: Some(77),
            result: Some(json!(1)),
            error: Some(json!("e")),
            retry_count: 1,
            max_retries: 2,
            next_retry_at: Some(time("2026-01-01T00:00:02.123456Z")),
            timeout_seconds: Some(5),
            timed_out: true,
            skipped: true,
            action_ref: Some("ci.build".into()),
            input: Some(json!({})),
            updated: updated.updated,
            ..made.clone()
        };
        assert_eq!(updated, expected);
        assert_eq!(
            WorkflowTaskExecutionRepository::update(&db.pool, made.id, Default::default()).await.unwrap(),
            expected
        );
        let cleared = UpdateWorkflowTaskExecutionInput {
            execution: Patch::Null,
            started_at: Patch::Null,
            completed_at: Patch::Null,
            duration_ms: Patch::Null,
            result: Patch::Null,
            error: Patch::Null,
            next_retry_at: Patch::Null,
            timeout_seconds: Patch::Null,
            action_ref: Patch::Null,
            input: Patch::Null,
            ..Default::default()
        };
        let updated = WorkflowTaskExecutionRepository::update(&db.pool, made.id, cleared).await.unwrap();
        let expected = WorkflowTaskExecution {
            status: ExecutionStatus::Failed,
            retry_count: 1,
            max_retries: 2,
            timed_out: true,
            skipped: true,
            updated: updated.updated,
            ..made.clone()
        };
        assert_eq!(updated, expected);
        assert!(WorkflowTaskExecutionRepository::delete(&db.pool, made.id).await.unwrap());
        assert!(!WorkflowTaskExecutionRepository::delete(&db.pool, made.id).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn an_invalid_update_is_refused_by_kind() {
    with_database(async |db| {
        let run = any_run(db).await;
        let worker = execution(db, 0).await.id;
        let linked = CreateWorkflowTaskExecutionInput { execution: Some(worker), ..task_input(&run, "one") };
        WorkflowTaskExecutionRepository::create(&db.pool, linked).await.unwrap();
        let made = task(db, &run, "two").await;
        let update = async |id, input| refused(WorkflowTaskExecutionRepository::update(&db.pool, id, input).await);
        let link =
            |execution| UpdateWorkflowTaskExecutionInput { execution: Patch::Set(execution), ..Default::default() };
        assert_eq!(update(4711, link(worker)).await, "NotFound WF616 there is no such task execution");
        assert_eq!(
            update(made.id, link(worker)).await,
            "Conflict WF617 another task execution already has this execution"
        );
        assert_eq!(update(made.id, link(4711)).await, "NotFound WF616 there is no such execution");
        let negative = UpdateWorkflowTaskExecutionInput { retry_count: Some(-1), ..Default::default() };
        assert_eq!(update(made.id, negative).await, "Validation WF613 retry_count must not be negative");
        assert_eq!(WorkflowTaskExecutionRepository::find_by_id(&db.pool, made.id).await.unwrap(), Some(made));
    })
    .await;
}

#[tokio::test]
async fn when_a_task_starts_and_ends_follows_from_its_status() {
    with_database(async |db| {
        let run = any_run(db).await;
        let made = task(db, &run, "build").await;
        let mut session = db.connect().await;
        set_now(&mut session, "2026-01-01 00:00:00Z").await;
        let task = WorkflowTaskExecutionRepository::update(&mut session, made.id, turn(ExecutionStatus::Running))
            .await
            .unwrap();
        assert_eq!((task.started_at, task.completed_at), (Some(time("2026-01-01T00:00:00Z")), None));

        set_now(&mut session, "2026-01-01 00:00:02.5Z").await;
        let task = WorkflowTaskExecutionRepository::update(&mut session, made.id, turn(ExecutionStatus::Failed))
            .await
            .unwrap();
        assert_eq!((task.completed_at, task.duration_ms), (Some(time("2026-01-01T00:00:02.5Z")), Some(2500)));
        assert!(!task.timed_out);

        set_now(&mut session, "2026-01-01 00:01:00Z").await;
        let task = WorkflowTaskExecutionRepository::update(&mut session, made.id, turn(ExecutionStatus::Running))
            .await
            .unwrap();
        assert_eq!(
            (task.started_at, task.completed_at, task.duration_ms),
            (Some(time("2026-01-01T00:01:00Z")), None, None),
            "a retry begins anew"
        );

        let input = UpdateWorkflowTaskExecutionInput {
            completed_at: Patch::Set(time("2026-01-01T00:01:00.25Z")),
            ..turn(ExecutionStatus::Completed)
        };
        let task = WorkflowTaskExecutionRepository::update(&mut session, made.id, input).await.unwrap();
        assert_eq!((task.completed_at, task.duration_ms), (Some(time("2026-01-01T00:01:00.25Z")), Some(250)));
        let input = UpdateWorkflowTaskExecutionInput { result: Patch::Set(json!(1)), ..Default::default() };
        let later = WorkflowTaskExecutionRepository::update(&mut session, made.id, input).await.unwrap();
        assert_eq!((later.completed_at, later.duration_ms), (task.completed_at, task.duration_ms), "it ended once");
    })
    .await;
}

#[tokio::test]
async fn a_task_is_overdue_past_its_timeout_until_it_is_marked_or_ends() {
    with_database(async |db| {
        let run = any_run(db).await;
        let mut session = db.connect().await;
        set_now(&mut session, "2026-01-01 00:00:00Z").await;
        let mut ids = Vec::new();
        for (name, timeout_seconds) in [("slow", Some(20)), ("quick", Some(10)), ("patient", None)] {
            let input = CreateWorkflowTaskExecutionInput { timeout_seconds, ..task_input(&run, name) };
            let made = WorkflowTaskExecutionRepository::create(&mut session, input).await.unwrap();
            assert_eq!(made.due_at, None);
            let task = WorkflowTaskExecutionRepository::update(&mut session, made.id, turn(ExecutionStatus::Running))
                .await
                .unwrap();
            assert_eq!(
                task.due_at,
                timeout_seconds.map(|seconds| task.started_at.unwrap() + TimeDelta::seconds(seconds.into()))
            );
            ids.push(task.id);
        }
        let overdue = async |session: &mut sqlx::PgConnection, now: &str| {
            set_now(session, now).await;
            names(WorkflowTaskExecutionRepository::find_overdue(session, Page::default()).await.unwrap())
        };
        assert_eq!(overdue(&mut session, "2026-01-01 00:00:09.999Z").await, [""; 0]);
        assert_eq!(overdue(&mut session, "2026-01-01 00:00:10Z").await, ["quick"]);
        assert_eq!(overdue(&mut session, "2026-01-01 00:00:20Z").await, ["quick", "slow"], "longest overdue first");

        let ticked: i32 = sqlx::query_scalar("SELECT workflow_tick(1)").fetch_one(&mut session).await.unwrap();
        assert_eq!(ticked, 0, "the engine leaves it to its master");

        let marked = UpdateWorkflowTaskExecutionInput { timed_out: Some(true), ..Default::default() };
        WorkflowTaskExecutionRepository::update(&mut session, ids[1], marked).await.unwrap();
        assert_eq!(overdue(&mut session, "2026-01-01 00:00:20Z").await, ["slow"]);
        let task = WorkflowTaskExecutionRepository::update(&mut session, ids[0], turn(ExecutionStatus::Timeout))
            .await
            .unwrap();
        assert!(task.timed_out, "a task that ends by its timeout is marked");
        assert_eq!(overdue(&mut session, "2026-01-01 00:00:20Z").await, [""; 0]);
        let timed_out = WorkflowTaskExecutionRepository::find_timed_out(&mut session, Page::default()).await.unwrap();
        assert_eq!(names(timed_out), ["slow", "quick"]);

        let longer =
            UpdateWorkflowTaskExecutionInput { timeout_seconds: Patch::Set(30), ..turn(ExecutionStatus::Running) };
        let task = WorkflowTaskExecutionRepository::update(&mut session, ids[0], longer).await.unwrap();
        assert!(!task.timed_out, "its retry has not");
        assert_eq!(task.due_at, Some(time("2026-01-01T00:00:50Z")));
        assert_eq!(overdue(&mut session, "2026-01-01 00:00:50Z").await, ["slow"]);
        db.run("UPDATE workflow.workflow_task_execution SET timed_out = true").await;
        assert_eq!(overdue(&mut session, "2026-01-01 00:00:50Z").await, [""; 0], "marked by whomever");
        db.run("UPDATE workflow.workflow_task_execution SET timed_out = false").await;
        let endless = UpdateWorkflowTaskExecutionInput { timeout_seconds: Patch::Null, ..Default::default() };
        WorkflowTaskExecutionRepository::update(&mut session, ids[0], endless).await.unwrap();
        assert_eq!(overdue(&mut session, "2026-01-02 00:00:00Z").await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn pending_retries_are_due_have_retries_left_and_come_oldest_first() {
    with_database(async |db| {
        let run = any_run(db).await;
        let mut session = db.connect().await;
        for (name, retry_count, max_retries, next_retry_at) in [
            ("later", 0, 1, Some("2026-01-01T00:00:11Z")),
            ("second", 0, 1, Some("2026-01-01T00:00:10Z")),
            ("first", 2, 3, Some("2026-01-01T00:00:05Z")),
            ("exhausted", 3, 3, Some("2026-01-01T00:00:05Z")),
            ("beyond", 4, 3, Some("2026-01-01T00:00:05Z")),
            ("none", 0, 3, None),
        ] {
            let input = CreateWorkflowTaskExecutionInput {
                retry_count,
                max_retries,
                next_retry_at: next_retry_at.map(time),
                ..task_input(&run, name)
            };
            WorkflowTaskExecutionRepository::create(&mut session, input).await.unwrap();
        }
        set_now(&mut session, "2026-01-01 00:00:10Z").await;
        let pending = async |session: &mut sqlx::PgConnection| {
            WorkflowTaskExecutionRepository::find_pending_retries(session, Page::default()).await.unwrap()
        };
        let found = pending(&mut session).await;
        let first = found[0].clone();
        assert_eq!(names(found), ["first", "second"]);
        // Its last retry is dispatched: it is counted now, not when it was planned.
        let dispatched = UpdateWorkflowTaskExecutionInput {
            retry_count: Some(first.retry_count + 1),
            next_retry_at: Patch::Null,
            ..turn(ExecutionStatus::Running)
        };
        WorkflowTaskExecutionRepository::update(&mut session, first.id, dispatched).await.unwrap();
        assert_eq!(names(pending(&mut session).await), ["second"]);
    })
    .await;
}

#[tokio::test]
async fn tasks_are_found_by_workflow_execution_by_name_and_by_execution_oldest_first() {
    with_database(async |db| {
        let pack = pack(db, "ci").await;
        let definition = definition(db, &pack, "deploy").await;
        let (first, second) = (run(db, &definition, 4).await, run(db, &definition, 4).await);
        let mut session = db.connect().await;
        // Created in a different order from that of their times.
        for (run, name, now) in [
            (&first, "b", "2026-01-01 00:00:02Z"),
            (&second, "a", "2026-01-01 00:00:00Z"),
            (&first, "a", "2026-01-01 00:00:01Z"),
            (&first, "b", "2026-01-01 00:00:00Z"),
            (&first, "c", "2026-01-01 00:00:01Z"),
        ] {
            set_now(&mut session, now).await;
            WorkflowTaskExecutionRepository::create(&mut session, task_input(run, name)).await.unwrap();
        }
        let page = Page::default();
        let found =
            WorkflowTaskExecutionRepository::find_by_workflow_execution(&db.pool, first.id, page).await.unwrap();
        assert_eq!(names(found.clone()), ["b", "a", "c", "b"]);
        let by_execution =
            WorkflowTaskExecutionRepository::find_by_execution(&db.pool, first.execution, page).await.unwrap();
        assert_eq!(by_execution, found, "the tasks of the workflow that the execution runs");
        let named = WorkflowTaskExecutionRepository::find_by_task_name(&db.pool, first.id, "b", page).await.unwrap();
        assert_eq!(named, [found[0].clone(), found[3].clone()]);
        for name in ["", "B", "d"] {
            let named =
                WorkflowTaskExecutionRepository::find_by_task_name(&db.pool, first.id, name, page).await.unwrap();
            assert_eq!(named, []);
        }
        assert_eq!(
            WorkflowTaskExecutionRepository::find_by_workflow_execution(&db.pool, 4711, page).await.unwrap(),
            []
        );

        let child = CreateExecutionInput { parent: Some(first.execution), ..execution_input() };
        let child = ExecutionRepository::create(&db.pool, child).await.unwrap();
        let input = UpdateWorkflowTaskExecutionInput { execution: Patch::Set(child.id), ..Default::default() };
        let linked = WorkflowTaskExecutionRepository::update(&db.pool, found[1].id, input).await.unwrap();
        let by_execution = WorkflowTaskExecutionRepository::find_by_execution(&db.pool, child.id, page).await.unwrap();
        assert_eq!(by_execution, [linked], "the task whose work it does");
    })
    .await;
}
