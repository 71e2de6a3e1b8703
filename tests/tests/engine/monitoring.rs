//! The views that operators watch.

use crate::fixture::*;
use pg_workflow_client::Engine;
use pg_workflow_tests::with_database;
use serde_json::json;

/// Returns all rows of a view as JSON, with ages in seconds.
async fn rows(session: &mut Session, view: &str) -> serde_json::Value {
    session.value(format!("SELECT coalesce(jsonb_agg(to_jsonb(v)), '[]') FROM {view} AS v")).await
}

#[tokio::test]
async fn the_queue_is_counted_by_action() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        assert_eq!(rows(&mut session, "workflow.queue_summary").await, json!([]));
        session.define("tasks: [{name: a, action: demo.a}, {name: b, action: demo.b, priority: 5}]\n").await;
        session.start().await;
        session.at(10.0).await;
        let paused = session.start().await;
        session.start().await;
        session.run(format!("SELECT workflow_pause({paused}); SELECT workflow_claim('w1', 1, '{{demo.a}}')")).await;
        session.at(60.0).await;
        // Priority changes the position in the queue, not the waiting time. Paused tasks are not in the queue.
        assert_eq!(
            rows(&mut session, "(SELECT * FROM workflow.queue_summary ORDER BY action_ref)").await,
            json!([
                {"action_ref": "demo.a", "ready": 1, "oldest": "2026-01-01T00:00:10+00:00", "waited": "00:00:50"},
                {"action_ref": "demo.b", "ready": 2, "oldest": "2026-01-01T00:00:00+00:00", "waited": "00:01:00"},
            ])
        );
        let found = Engine::queue_summary(&mut session.connection).await.unwrap();
        let found: Vec<_> = found.iter().map(|queue| (queue.action_ref.as_str(), queue.ready)).collect();
        assert_eq!(found, [("demo.b", 2), ("demo.a", 1)], "longest wait first");
    })
    .await;
}

#[tokio::test]
async fn claims_and_workers_are_seen_while_they_hold_something() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a, with_items: {items: [1, 2, 3]}, input: {}}]\n").await;
        session.start().await;
        let tasks = session.claim(2).await;
        session.at(5.0).await;
        session.run("SELECT workflow_claim('w2', 1, lease => '10 s')").await;
        session.complete(&tasks[0], json!(null)).await;
        session.at(20.0).await;
        let (task, token) = (tasks[1].task, tasks[1].lease_token);
        session.run(format!("SELECT workflow_heartbeat(ARRAY[{task}], ARRAY[{token}])")).await;
        session.at(25.0).await;
        let claims = rows(&mut session, "(SELECT * FROM workflow.claim_detail ORDER BY task)").await;
        let mut first = json!({"part": 0, "task": task, "execution": 1, "task_name": "a", "task_index": 1,
            "action_ref": "demo.a", "attempt": 1, "worker": "w1", "claimed": "2026-01-01T00:00:00+00:00",
            "age": "00:00:25", "last_seen": "2026-01-01T00:00:20+00:00", "lease_until": "2026-01-01T00:00:50+00:00",
            "expired": false});
        assert_eq!(claims[0], first);
        first["task"] = json!(task + 1);
        first["task_index"] = json!(2);
        first["worker"] = json!("w2");
        first["claimed"] = json!("2026-01-01T00:00:05+00:00");
        first["last_seen"] = json!("2026-01-01T00:00:05+00:00");
        first["age"] = json!("00:00:20");
        first["lease_until"] = json!("2026-01-01T00:00:15+00:00");
        first["expired"] = json!(true);
        assert_eq!(claims, json!([claims[0], first]));
        assert_eq!(
            rows(&mut session, "(SELECT * FROM workflow.worker_summary ORDER BY worker)").await,
            json!([
                {"worker": "w1", "leases": 1, "tasks": 1, "expired": 0, "claimed": "2026-01-01T00:00:00+00:00",
                 "last_seen": "2026-01-01T00:00:20+00:00", "lease_until": "2026-01-01T00:00:50+00:00"},
                {"worker": "w2", "leases": 1, "tasks": 1, "expired": 1, "claimed": "2026-01-01T00:00:05+00:00",
                 "last_seen": "2026-01-01T00:00:05+00:00", "lease_until": "2026-01-01T00:00:15+00:00"},
            ])
        );
        let claims = Engine::claims(&mut session.connection, 1).await.unwrap();
        assert_eq!((claims.len(), claims[0].worker.as_str(), claims[0].expired), (1, "w1", false));
        let workers = Engine::worker_summary(&mut session.connection).await.unwrap();
        assert_eq!(
            workers.iter().map(|worker| (worker.worker.as_str(), worker.expired)).collect::<Vec<_>>(),
            [("w1", 0), ("w2", 1)]
        );
        // With the last report they are gone.
        session.complete(&tasks[1], json!(null)).await;
        for task in session.claim(1).await {
            session.complete(&task, json!(null)).await;
        }
        assert_eq!(rows(&mut session, "workflow.claim_detail").await, json!([]));
        assert_eq!(rows(&mut session, "workflow.worker_summary").await, json!([]));
    })
    .await;
}

#[tokio::test]
async fn actions_are_judged_by_their_newest_tasks() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define(
                "tasks:
  - {name: a, action: demo.a, retry: {count: 1}, on_complete: [b, c]}
  - {name: b, action: demo.b, when: '{{ false }}'}
  - {name: c}
",
            )
            .await;
        // Too old to count.
        session.start().await;
        session.work("a", json!(null)).await;
        session.at(7200.0).await;
        for part in [0, 0, 0, 7] {
            session.run(format!("SELECT workflow_start('demo.w', part => {part})")).await;
        }
        let tasks = session.claim(3).await;
        session.at(7202.0).await;
        session.complete(&tasks[0], json!(null)).await;
        session.at(7204.0).await;
        session.complete(&tasks[1], json!(null)).await;
        session.fail(&tasks[2], json!(null)).await;
        for task in session.claim(2).await {
            session.at(7205.0).await;
            if task.attempt == 2 {
                session.fail(&task, json!(null)).await;
            }
        }
        // Skipped and routing tasks are not counted for any action.
        assert_eq!(
            rows(&mut session, "workflow.action_summary").await,
            json!([
                {"action_ref": "demo.a", "since": "2026-01-01T01:00:05+00:00", "tasks": 4, "completed": 2, "failed": 1,
                 "repeated": 1, "ended_per_minute": 0.1, "median_ms": 2000, "p95_ms": 4000},
            ])
        );
        let found = Engine::action_summary(&mut session.connection).await.unwrap();
        assert_eq!((found.len(), found[0].tasks, found[0].median_ms), (1, 4, Some(2000)));
        // If there are too many, only the newest are counted; `since` is the time from which they are complete.
        session.at(7260.0).await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[6000]))").await;
        let (tasks, since): (i64, String) = session
            .rows("SELECT tasks, since::timestamptz(0)::text FROM workflow.action_summary WHERE action_ref = 'demo.a'")
            .await
            .remove(0);
        assert_eq!((tasks, since.as_str()), (5001, "2026-01-01 01:01:00+00"), "5000 of one part, the one of the other");
    })
    .await;
}

#[tokio::test]
async fn what_nobody_ticks_is_overdue() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define(
                "timeout: 100
tasks:
  - {name: a, action: demo.a, timeout: 10}
  - {name: b, action: demo.b, retry: {count: 1, delay: 20}}
  - {name: c, action: demo.c, delay: 30}
  - {name: d, wait_for: {signal: go, timeout: 40}}
",
            )
            .await;
        session.start().await;
        let tasks = session.claim(10).await;
        session.fail(&tasks[1], json!(null)).await;
        session.run("SELECT workflow_schedule('minutely', '* * * * *', 'demo.w')").await;
        session.run("SELECT workflow_apply('pause', '{\"workflow\": \"demo.w\"}')").await;
        assert_eq!(rows(&mut session, "workflow.overdue_summary").await, json!([]));
        session.at(110.0).await;
        let row = |kind: &str, oldest: &str, late: &str| json!({"kind": kind, "rows": 1, "oldest": format!("2026-01-01T{oldest}+00:00"), "late": late});
        assert_eq!(
            rows(&mut session, "(SELECT * FROM workflow.overdue_summary ORDER BY oldest, kind)").await,
            json!([
                row("bulk_job", "00:00:01", "00:01:49"),
                row("task timeout", "00:00:10", "00:01:40"),
                row("retry", "00:00:20", "00:01:30"),
                row("delay", "00:00:30", "00:01:20"),
                row("lease", "00:00:30", "00:01:20"),
                row("wait", "00:00:40", "00:01:10"),
                row("schedule", "00:01:00", "00:00:50"),
                row("workflow", "00:01:40", "00:00:10"),
            ])
        );
        assert_eq!(Engine::overdue_summary(&mut session.connection).await.unwrap().len(), 8);
        while session.value::<i32>("SELECT workflow_tick()").await > 0 {}
        assert_eq!(rows(&mut session, "workflow.overdue_summary").await, json!([]));
    })
    .await;
}

#[tokio::test]
async fn a_bulk_job_is_overdue_only_while_it_runs_and_nobody_ticks() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]\n").await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[500]))").await;
        session.run("SELECT workflow_apply('pause', '{\"workflow\": \"demo.w\"}')").await;
        let overdue = "SELECT coalesce(sum(rows), 0)::bigint FROM workflow.overdue_summary WHERE kind = 'bulk_job'";
        assert_eq!(session.value::<i64>(overdue).await, 0, "the next tick has yet to come");
        session.at(60.0).await;
        assert_eq!(session.value::<i64>(overdue).await, 1);
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.value::<i64>(overdue).await, 0, "a step was done a moment ago");
        session.at(120.0).await;
        assert_eq!(session.value::<i64>(overdue).await, 1);
        session.run("SELECT workflow_stop_bulk_job(max(job)) FROM workflow_list_bulk_jobs()").await;
        assert_eq!(session.value::<i64>(overdue).await, 0, "nobody waits for one that was stopped");
        session.run("SELECT workflow_resume_bulk_job(max(job)) FROM workflow_list_bulk_jobs()").await;
        while session.value::<i32>("SELECT workflow_tick()").await > 0 {}
        session.at(240.0).await;
        assert_eq!(session.value::<i64>(overdue).await, 0, "it is completed");
    })
    .await;
}

#[tokio::test]
async fn a_fingerprint_is_another_one_once_anything_is_committed_or_falls_due() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let role = db.role().await;
        db.run(format!("SELECT workflow_grant('{role}', 'reader')")).await;
        let mut reader = db.connect_as(&role).await;
        session.define("tasks: [{name: a, action: demo.a}]\n").await;
        session.run("BEGIN").await;
        session.start().await;
        let before = Engine::fingerprint(&mut reader).await.unwrap();
        session.run("COMMIT").await;
        let after = Engine::fingerprint(&mut reader).await.unwrap();
        assert_ne!(before, after, "what was not to be seen before is to be seen now");
        // Work that becomes due changes nothing in the database: only the clock of the asking session shows it.
        sqlx::query("SET pg_workflow.test_now = '2026-01-01 00:00:00+00'")
            .execute(&mut session.connection)
            .await
            .unwrap();
        session.run("SELECT * FROM workflow_claim('w', 1, lease => '20 seconds')").await;
        let mut seen = Vec::new();
        for at in [0.0, 19.0, 25.0, 31.0] {
            session.at(at).await;
            seen.push(Engine::fingerprint(&mut session.connection).await.unwrap());
        }
        let due: Vec<&str> = seen.iter().map(|text| text.split_once(' ').map_or("", |(_, due)| due)).collect();
        assert_eq!(due, ["", "", "lease 1 f", "lease 1 t"]);
    })
    .await;
}

#[tokio::test]
async fn no_view_reads_what_has_ended_long_ago() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin("tasks: [{name: a, action: demo.a}]\n").await;
        session.claim(1).await;
        session
            .run(
                "INSERT INTO workflow.workflow_task_execution (part, id, workflow_execution, status, task_name, action_ref)
                   SELECT 0, 1000 + n, 1, 'completed', 'a', 'demo.a' FROM generate_series(1, 20000) AS n;
                 INSERT INTO workflow.execution (part, id, action_ref, status)
                   SELECT 0, 1000 + n, 'demo.w', 'completed' FROM generate_series(1, 20000) AS n;
                 ANALYZE workflow.workflow_task_execution, workflow.execution",
            )
            .await;
        let read = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_xact_user_tables
                    WHERE relname IN ('workflow_task_execution', 'workflow_execution', 'execution')";
        for (view, most) in [
            ("queue_summary", 10),
            ("queue_depth", 10),
            ("limit_summary", 10),
            ("claim_detail", 10),
            ("worker_summary", 10),
            ("overdue_summary", 10),
            ("action_summary", 10_010),
            ("workflow_summary", 10_010),
            ("execution_count", 10),
        ] {
            session.run("BEGIN").await;
            let before: i64 = session.value(read).await;
            rows(&mut session, &format!("workflow.{view}")).await;
            let after: i64 = session.value(read).await;
            session.run("ROLLBACK").await;
            assert!(after - before <= most, "{view} reads {} rows", after - before);
        }
        session.run("DELETE FROM workflow.workflow_task_execution WHERE id > 1000; DELETE FROM workflow.execution WHERE id > 1000").await;
    })
    .await;
}

#[tokio::test]
async fn executions_are_counted_exactly_while_there_are_few_and_then_estimated() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]\n").await;
        for count in [2, 1] {
            session.run(format!("SELECT workflow_start_many('demo.w', array_fill('{{}}'::jsonb, ARRAY[{count}]))")).await;
            let tasks = session.claim(count).await;
            for task in &tasks {
                match count {
                    2 => session.complete(task, json!(null)).await,
                    _ => session.fail(task, json!({})).await,
                };
            }
        }
        session.start().await;
        let counts = Engine::execution_counts(&mut session.connection).await.unwrap();
        let seen: Vec<(&str, i64, bool)> =
            counts.iter().map(|row| (row.status.as_str(), row.executions, row.estimated)).collect();
        assert_eq!(seen, [("running", 1, false), ("completed", 2, false), ("failed", 1, false)]);
        session.at(120.0).await;
        let [summary] = &Engine::workflow_summary(&mut session.connection).await.unwrap()[..] else { panic!() };
        assert_eq!((summary.started, summary.completed, summary.failed, summary.unfinished), (4, 2, 1, 1));
        assert_eq!((summary.started_per_minute, summary.ended_per_minute), (0.1, 0.1));
        session
            .run(
                "INSERT INTO workflow.execution (part, id, action_ref, status)
                   SELECT 0, 1000 + n, 'demo.w', CASE WHEN n % 10 = 0 THEN 'failed' ELSE 'completed' END::workflow.execution_status
                   FROM generate_series(1, 20000) AS n;
                 ANALYZE workflow.execution",
            )
            .await;
        let counts = Engine::execution_counts(&mut session.connection).await.unwrap();
        for (status, exact) in [("completed", 18_002_i64), ("failed", 2001)] {
            let row = counts.iter().find(|row| row.status.as_str() == status).unwrap();
            assert!(row.estimated && (row.executions - exact).abs() < exact / 20, "{row:?}");
        }
        let role = db.role().await;
        session.run(format!("SELECT workflow_grant('{role}', 'reader')")).await;
        let seen = Engine::execution_counts(&mut db.connect_as(&role).await).await.unwrap();
        assert_eq!(seen, counts, "a reader sees what the owner sees");
        session.run("DELETE FROM workflow.execution WHERE id > 1000").await;
    })
    .await;
}
