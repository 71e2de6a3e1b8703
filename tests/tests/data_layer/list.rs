use crate::fixture::*;
use futures::TryStreamExt;
use pg_workflow_client::model::*;
use pg_workflow_client::repository::*;
use pg_workflow_client::{Page, Patch, Result, Row, walk};
use pg_workflow_tests::{Database, with_database};

/// Checks that a list returns these rows, in this order and each once, whatever the page size.
async fn walks<T: Row>(name: &str, expected: &[i64], fetch: impl AsyncFn(Page) -> Result<Vec<T>>) {
    for size in [1, 2, 3, expected.len() as i32, 10_000] {
        let rows: Vec<i64> = walk(Page::of(size), &fetch)
            .map_ok(|row| row.id())
            .try_collect()
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(rows, expected, "{name} by {size}");
    }
    for size in [0, -1, 10_001, i32::MIN, i32::MAX] {
        let refusal = refused(fetch(Page::of(size)).await.map(|_| ()));
        assert_eq!(refusal, "Validation WF613 max_rows is out of range", "{name} by {size}");
    }
}

/// A list that is not in order of id raises an error, rather than ending, if the row to continue after is gone.
async fn misses<T: Row>(name: &str, after: i64, fetch: impl AsyncFn(Page) -> Result<Vec<T>>) {
    let refusal = refused(fetch(Page { max_rows: 10, after: Some(after) }).await.map(|_| ()));
    assert_eq!(refusal, "NotFound WF616 the row that after refers to is no longer in the list", "{name}");
}

#[tokio::test]
async fn lists_of_packs_actions_and_definitions_are_walked_to_their_end() {
    with_database(async |db| {
        let mut packs = Vec::new();
        for number in 0..7 {
            packs.push(pack(db, &format!("pack{number}")).await);
        }
        let pack = &packs[0];
        let (mut definitions, mut actions) = (Vec::new(), Vec::new());
        for number in 0..7 {
            let input = CreateWorkflowDefinitionInput {
                label: ["b", "a"][number % 2].into(),
                tags: vec!["x".into()],
                ..definition_input(pack, &format!("flow{number}"))
            };
            definitions.push(WorkflowDefinitionRepository::create(&db.pool, input).await.unwrap());
            let made = action(db, pack, &format!("act{number}")).await;
            actions.push(ActionRepository::link_workflow_def(&db.pool, made.id, definitions[0].id).await.unwrap());
        }
        fn ids<T: Row>(rows: &[T]) -> Vec<i64> {
            rows.iter().map(Row::id).collect()
        }
        let pool = &db.pool;
        walks("packs", &ids(&packs), async |page| PackRepository::list(pool, page).await).await;
        let all = ids(&definitions);
        walks("definitions", &all, async |page| WorkflowDefinitionRepository::list(pool, page).await).await;
        walks("by pack", &all, async |page| WorkflowDefinitionRepository::find_by_pack(pool, pack.id, page).await)
            .await;
        walks("enabled", &all, async |page| WorkflowDefinitionRepository::find_enabled(pool, page).await).await;
        let by_label: Vec<i64> = [1, 3, 5, 0, 2, 4, 6].iter().map(|number: &usize| all[*number]).collect();
        let by_tag = async |page| WorkflowDefinitionRepository::find_by_tag(pool, "x", page).await;
        walks("by tag", &by_label, by_tag).await;
        misses("by tag", 4711, by_tag).await;
        let all = ids(&actions);
        walks("actions", &all, async |page| ActionRepository::list(pool, page).await).await;
        walks("workflows", &all, async |page| ActionRepository::find_workflows(pool, page).await).await;
        let by_workflow = async |page| ActionRepository::find_by_workflow_def(pool, definitions[0].id, page).await;
        walks("by workflow", &all, by_workflow).await;
    })
    .await;
}

/// Creates seven workflow executions in several parts. Returns them in order of creation.
async fn runs(db: &Database) -> Vec<WorkflowExecution> {
    let pack = pack(db, "ci").await;
    let definition = definition(db, &pack, "deploy").await;
    let mut runs = Vec::new();
    for part in [5, 0, 1023, 5, 0, 1, 0] {
        let made = run(db, &definition, part).await;
        let input = UpdateWorkflowExecutionInput { paused: Some(true), ..Default::default() };
        runs.push(WorkflowExecutionRepository::update(&db.pool, made.id, input).await.unwrap());
    }
    runs
}

#[tokio::test]
async fn lists_of_executions_are_walked_to_their_end_across_parts() {
    with_database(async |db| {
        let runs = runs(db).await;
        let pool = &db.pool;
        let mut by_id: Vec<i64> = runs.iter().map(|run| run.id).collect();
        let newest_first: Vec<i64> = by_id.iter().rev().copied().collect();
        by_id.sort();
        let mut executions: Vec<i64> = runs.iter().map(|run| run.execution).collect();
        executions.sort();
        walks("executions", &executions, async |page| ExecutionRepository::list(pool, page).await).await;
        walks("workflow executions", &by_id, async |page| WorkflowExecutionRepository::list(pool, page).await).await;
        let requested = ExecutionStatus::Requested;
        walks("by status", &by_id, async |page| {
            WorkflowExecutionRepository::find_by_status(pool, requested, page).await
        })
        .await;
        walks("paused", &by_id, async |page| WorkflowExecutionRepository::find_paused(pool, page).await).await;
        let definition = runs[0].workflow_def;
        let by_definition =
            async |page| WorkflowExecutionRepository::find_by_workflow_def(pool, definition, page).await;
        walks("by definition", &newest_first, by_definition).await;
        misses("by definition", 4711, by_definition).await;

        let mut children = Vec::new();
        for _ in 0..7 {
            let input = CreateExecutionInput { parent: Some(runs[0].execution), ..execution_input() };
            children.push(ExecutionRepository::create(pool, input).await.unwrap().id);
        }
        let by_parent = async |page| ExecutionRepository::find_by_parent(pool, runs[0].execution, page).await;
        walks("by parent", &children, by_parent).await;
    })
    .await;
}

#[tokio::test]
async fn lists_of_tasks_are_walked_to_their_end() {
    with_database(async |db| {
        let runs = runs(db).await;
        let pool = &db.pool;
        let mut made = Vec::new();
        // All at the same time, so that only their ids distinguish them.
        let mut session = db.connect().await;
        set_now(&mut session, "2020-01-01 00:00:00Z").await;
        for number in 0..7 {
            let input = CreateWorkflowTaskExecutionInput {
                status: ExecutionStatus::Running,
                // Pairs of rows have the same position, so that only the id distinguishes them.
                started_at: Some(time("2020-01-02T00:00:00Z") - chrono::TimeDelta::hours(number / 2)),
                timeout_seconds: Some(1),
                max_retries: 1,
                next_retry_at: Some(time("2020-01-02T00:00:00Z") - chrono::TimeDelta::hours(number / 2)),
                ..task_input(&runs[0], "build")
            };
            made.push(WorkflowTaskExecutionRepository::create(&mut session, input).await.unwrap().id);
        }
        let id = runs[0].id;
        let by_age: Vec<i64> = [6, 4, 5, 2, 3, 0, 1].iter().map(|number: &usize| made[*number]).collect();
        walks("tasks", &made, async |page| WorkflowTaskExecutionRepository::list(pool, page).await).await;
        let by_run = async |page| WorkflowTaskExecutionRepository::find_by_workflow_execution(pool, id, page).await;
        walks("by run", &made, by_run).await;
        misses("by run", 4711, by_run).await;
        let by_name = async |page| WorkflowTaskExecutionRepository::find_by_task_name(pool, id, "build", page).await;
        walks("by name", &made, by_name).await;
        misses("by name", 4711, by_name).await;
        let by_execution =
            async |page| WorkflowTaskExecutionRepository::find_by_execution(pool, runs[0].execution, page).await;
        walks("by execution", &made, by_execution).await;
        misses("by execution", 4711, by_execution).await;
        let retries = async |page| WorkflowTaskExecutionRepository::find_pending_retries(pool, page).await;
        walks("retries", &by_age, retries).await;
        misses("retries", 4711, retries).await;
        let overdue = async |page| WorkflowTaskExecutionRepository::find_overdue(pool, page).await;
        walks("overdue", &by_age, overdue).await;
        misses("overdue", 4711, overdue).await;

        // A row that exists but no longer has a position would also end a list silently.
        let input = UpdateWorkflowTaskExecutionInput {
            next_retry_at: Patch::Null,
            timed_out: Some(true),
            ..Default::default()
        };
        let first = WorkflowTaskExecutionRepository::update(pool, by_age[0], input).await.unwrap();
        misses("retries", first.id, retries).await;
        misses("overdue", first.id, overdue).await;
        for id in &made {
            let input = UpdateWorkflowTaskExecutionInput { timed_out: Some(true), ..Default::default() };
            WorkflowTaskExecutionRepository::update(pool, *id, input).await.unwrap();
        }
        walks("timed out", &made, async |page| WorkflowTaskExecutionRepository::find_timed_out(pool, page).await).await;
    })
    .await;
}

#[tokio::test]
async fn a_walk_by_id_continues_after_a_deleted_row() {
    with_database(async |db| {
        let mut packs = Vec::new();
        for number in 0..4 {
            packs.push(pack(db, &format!("pack{number}")).await);
        }
        let page = Page::of(2);
        let first = PackRepository::list(&db.pool, page).await.unwrap();
        PackRepository::delete(&db.pool, packs[1].id).await.unwrap();
        let second = PackRepository::list(&db.pool, page.next(&first).unwrap()).await.unwrap();
        assert_eq!(second, packs[2..]);
    })
    .await;
}
