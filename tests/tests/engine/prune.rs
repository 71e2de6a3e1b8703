//! Retention: what is deleted, what is kept, and at what cost.

use crate::fixture::*;
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::{Engine, Error};
use pg_workflow_tests::with_database;
use serde_json::json;
use std::time::Duration;

const ONE: &str = "tasks: [{name: a, action: demo.a}]";
const DAY: Duration = Duration::from_secs(86_400);

/// Creates an execution that ended with this status at this time.
async fn ended(session: &mut Session, status: ExecutionStatus, day: f64) -> i64 {
    session.at(day * 86_400.0).await;
    let id = session.start().await;
    match status {
        ExecutionStatus::Cancelled => session.run(format!("SELECT workflow_cancel({id})")).await,
        _ => {
            let [task] = session.claim_named(["a"]).await;
            match status {
                ExecutionStatus::Completed => session.complete(&task, json!(null)).await,
                _ => session.fail(&task, json!({})).await,
            };
        }
    }
    id
}

async fn left(session: &mut Session) -> Vec<i64> {
    session.rows::<(i64,)>("SELECT id FROM workflow.execution ORDER BY id").await.into_iter().map(|(id,)| id).collect()
}

#[tokio::test]
async fn what_ended_long_enough_ago_and_in_that_way_goes_oldest_first() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(ONE).await;
        let goes_on = session.start().await;
        session.run(format!("SELECT workflow_pause({goes_on})")).await;
        let mut ids = Vec::new();
        for (day, status) in [
            (0.0, ExecutionStatus::Failed),
            (1.0, ExecutionStatus::Completed),
            (2.0, ExecutionStatus::Cancelled),
            (3.0, ExecutionStatus::Completed),
            (4.0, ExecutionStatus::Completed),
        ] {
            ids.push(ended(&mut session, status, day).await);
        }
        session.at(10.0 * 86_400.0).await;
        let completed: &[ExecutionStatus] = &[ExecutionStatus::Completed];
        assert_eq!(Engine::prune(&mut session.connection, 10 * DAY + DAY / 2, 100, None).await.unwrap(), 0);
        assert_eq!(Engine::prune(&mut session.connection, 7 * DAY, 1, Some(completed)).await.unwrap(), 1);
        assert_eq!(left(&mut session).await, [goes_on, ids[0], ids[2], ids[3], ids[4]]);
        assert_eq!(Engine::prune(&mut session.connection, 7 * DAY, 100, Some(completed)).await.unwrap(), 1);
        assert_eq!(Engine::prune(&mut session.connection, 7 * DAY, 100, Some(completed)).await.unwrap(), 0);
        assert_eq!(Engine::prune(&mut session.connection, 7 * DAY, 100, Some(&[])).await.unwrap(), 0);
        assert_eq!(left(&mut session).await, [goes_on, ids[0], ids[2], ids[4]]);
        let others: &[ExecutionStatus] = &[ExecutionStatus::Failed, ExecutionStatus::Cancelled];
        assert_eq!(Engine::prune(&mut session.connection, 7 * DAY, 100, Some(others)).await.unwrap(), 2);
        assert_eq!(Engine::prune(&mut session.connection, Duration::ZERO, 100, None).await.unwrap(), 1);
        assert_eq!(left(&mut session).await, [goes_on]);
        session.run(format!("SELECT workflow_resume({goes_on})")).await;
        session.work("a", json!(null)).await;
    })
    .await;
}

/// It ran for a long time: the time of its creation does not count.
#[tokio::test]
async fn age_is_counted_from_the_end() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin(ONE).await;
        session.at(20.0 * 86_400.0).await;
        session.work("a", json!(null)).await;
        session.at(21.0 * 86_400.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_prune('2 days')").await, 0);
        assert_eq!(session.value::<i32>("SELECT workflow_prune('1 day')").await, 1);
    })
    .await;
}

#[tokio::test]
async fn all_that_hangs_on_an_execution_goes_with_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(ONE).await;
        session
            .define_as("demo.parent", "tasks:\n  - {name: call, action: demo.w, on_success: wait}\n  - {name: wait, wait_for: {signal: go}}\n")
            .await;
        let id: i64 = session.value("SELECT workflow_start('demo.parent', idempotency_key => 'k')").await;
        session.run(format!("SELECT workflow_signal({id}, 'go'); SELECT workflow_signal({id}, 'go')")).await;
        session.run(format!("SELECT workflow_pause({id}, 'why'); SELECT workflow_resume({id})")).await;
        let [task] = session.claim_named(["a"]).await;
        // Its child is still running, so nothing is deleted.
        assert_eq!(session.value::<i32>("SELECT workflow_prune('0')").await, 0);
        session.complete(&task, json!(null)).await;
        session.run("SELECT workflow_tick()").await;
        session.assert_ended(id, "completed", json!(null)).await;
        let rows = |table: &str| format!("SELECT count(*) FROM workflow.{table}");
        assert!(session.value::<i64>(rows("event")).await > 0 && session.value::<i64>(rows("signal")).await > 0);
        // The parent is deleted with its child: they count as one.
        assert_eq!(session.value::<i32>("SELECT workflow_prune('0')").await, 1);
        let grown: Vec<(String,)> = session
            .rows(
                "SELECT c.relname::text FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'part'
                 WHERE c.relnamespace = 'workflow'::regnamespace AND c.relkind = 'r' AND c.relname <> 'schedule'",
            )
            .await;
        assert!(grown.len() > 5, "{grown:?}");
        // A lease that outlives its tasks is deleted when it expires.
        session.at(31.0).await;
        session.run("SELECT workflow_tick()").await;
        for (table,) in grown {
            assert_eq!(session.value::<i64>(rows(&table)).await, 0, "{table}");
        }
        let again: i64 = session.value("SELECT workflow_start('demo.parent', idempotency_key => 'k')").await;
        assert_ne!(again, id, "the key is free again");
    })
    .await;
}

#[tokio::test]
async fn pruning_while_others_start_work_and_rerun_loses_nothing_that_goes_on() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(ONE).await;
        let start = "SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[20]))";
        let working = (0..3).map(async |worker| {
            let mut session = Session::new(db).await;
            let (mut done, mut failed) = (0, Vec::new());
            for round in 0..15 {
                if worker == 0 {
                    session.run(start).await;
                }
                for task in session.claim(10).await {
                    if round < 10 && task.task % 7 == 0 && task.attempt == 1 {
                        session.fail(&task, json!({})).await;
                        let execution =
                            format!("SELECT execution FROM workflow.workflow_execution WHERE id = {}", task.execution);
                        let found: Vec<(i64,)> = session.rows(execution).await;
                        failed.extend(found.into_iter().map(|(id,)| id));
                    } else {
                        assert_eq!(session.complete(&task, json!(null)).await, "completed");
                        done += 1;
                    }
                }
                for id in failed.drain(..) {
                    let rerun =
                        sqlx::query("SELECT workflow_rerun($1)").bind(id).execute(&mut session.connection).await;
                    if let Err(error) = rerun {
                        // It has already been deleted.
                        assert_eq!(Error::from(error).code(), Some("WF616"));
                    }
                }
            }
            done
        });
        let pruning = (0..2).map(async |_| {
            let mut session = Session::new(db).await;
            let mut pruned = 0;
            for _ in 0..60 {
                pruned += session.value::<i32>("SELECT workflow_prune('0', 5)").await;
            }
            pruned
        });
        let (_, _) = futures::join!(futures::future::join_all(working), futures::future::join_all(pruning));
        loop {
            let tasks = session.claim(1000).await;
            if tasks.is_empty() {
                break;
            }
            for task in tasks {
                assert_eq!(session.complete(&task, json!(null)).await, "completed");
            }
        }
        let open: i64 =
            session.value("SELECT count(*) FROM workflow.execution WHERE status NOT IN ('completed', 'failed')").await;
        assert_eq!(open, 0);
    })
    .await;
}

#[tokio::test]
async fn where_nothing_is_old_little_is_read_however_much_there_is() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(ONE).await;
        session
            .run(
                "INSERT INTO workflow.execution (part, id, action_ref, status, created, updated)
                 SELECT 0, n, 'demo.w', 'completed', workflow.now(), workflow.now() FROM generate_series(1, 20000) AS n;
                 INSERT INTO workflow.workflow_execution (part, id, execution, workflow_def, status, version, created, updated)
                 SELECT 0, n, n, d.id, 'completed', d.current_version, workflow.now(), workflow.now()
                 FROM generate_series(1, 20000) AS n, workflow.workflow_definition AS d;
                 ANALYZE workflow.execution, workflow.workflow_execution",
            )
            .await;
        session.at(86_400.0).await;
        let read = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_xact_user_tables
                    WHERE relname IN ('execution', 'workflow_execution')";
        session.run("BEGIN").await;
        // The counts are those of the session since it last reported them.
        let before: i64 = session.value(read).await;
        assert_eq!(session.value::<i32>("SELECT workflow_prune('2 days')").await, 0);
        // Planning may read the ends of an index.
        let cost = session.value::<i64>(read).await - before;
        assert!(cost < 100, "{cost} rows read to prune none");
        assert_eq!(session.value::<Option<String>>("SELECT pg_current_xact_id_if_assigned()::text").await, None);
        assert_eq!(session.value::<i32>("SELECT workflow_prune('0', 10)").await, 10);
        let cost = session.value::<i64>(read).await - before;
        assert!(cost < 1000, "{cost} rows read to prune ten");
        session.run("ROLLBACK; TRUNCATE workflow.execution CASCADE").await;
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_pruned_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(ONE).await;
        ended(&mut session, ExecutionStatus::Completed, 0.0).await;
        for arguments in [
            "NULL",
            "'-1 second'",
            "'2000 years'",
            "'0', 0",
            "'0', 10001",
            "'0', NULL",
            "'0', 10, '{running}'",
            "'0', 10, '{completed,canceling}'",
            "'0', 10, ARRAY[NULL]::workflow.execution_status[]",
        ] {
            let refusal = session.refused(format!("SELECT workflow_prune({arguments})")).await;
            assert_eq!(refusal.code(), ("22023", "WF613"), "{arguments}: {refusal:?}");
            assert!(!refusal.hint.is_empty(), "{arguments}: {refusal:?}");
        }
        let error = Engine::prune(&mut session.connection, DAY, 0, None).await.unwrap_err();
        assert!(matches!(error, Error::Validation(_)), "{error}");
    })
    .await;
}
