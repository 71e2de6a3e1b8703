//! One action on all executions that match a filter: steps, progress, stopping, and privileges.

use crate::fixture::*;
use pg_workflow_client::{BulkJobStatus, BulkOperation, Engine, Level, Page};
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

async fn fail_many(session: &mut Session, count: i32) {
    session.define("tasks: [{name: a, action: demo.a}]").await;
    session
        .run(format!("SELECT count(*) FROM workflow_start_many('demo.w', array_fill('{{}}'::jsonb, '{{{count}}}'), attributes => ARRAY(SELECT jsonb_build_object('tenant', n % 3) FROM generate_series(1, {count}) AS n))"))
        .await;
    session
        .run("SELECT count(*) FROM workflow_finish((SELECT array_agg(ROW(c.task, c.lease_token, 'failed', NULL, '{\"type\": \"declined\"}', NULL, NULL, NULL, NULL)::workflow.outcome) FROM workflow_claim('w', 10000) AS c))")
        .await;
}

async fn count(session: &mut Session, status: &str) -> i64 {
    session.value(format!("SELECT count(*) FROM workflow.workflow_execution WHERE status = '{status}'")).await
}

#[tokio::test]
async fn a_job_is_done_in_steps_can_be_watched_stopped_and_resumed() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        fail_many(&mut session, 900).await;
        let filter = json!({"error_code": "declined", "attributes": {"tenant": 1}, "statuses": ["failed"]});
        let job = Engine::apply(&db.pool, BulkOperation::Rerun, &filter, &json!({"reason": "fixed"})).await.unwrap();
        assert_eq!(count(&mut session, "running").await, 0, "nothing happens before a tick");
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 200);
        let listed = Engine::list_bulk_jobs(&db.pool, Page::default()).await.unwrap();
        let progress = &listed[0];
        assert_eq!(
            (progress.job, progress.action, progress.status),
            (job, BulkOperation::Rerun, BulkJobStatus::Running)
        );
        assert_eq!((progress.processed, progress.refused, progress.busy), (200, 0, 0));
        assert!(progress.reached.is_some());
        assert_eq!(Engine::stop_bulk_job(&db.pool, job).await.unwrap(), BulkJobStatus::Stopped);
        assert_eq!(Engine::stop_bulk_job(&db.pool, job).await.unwrap(), BulkJobStatus::Stopped);
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 0);
        assert_eq!(count(&mut session, "running").await, 200);
        assert_eq!(Engine::resume_bulk_job(&db.pool, job).await.unwrap(), BulkJobStatus::Running);
        assert_eq!(
            session.value::<i32>("SELECT workflow_tick(max_rows => 7)").await,
            7,
            "a step is no larger than its tick"
        );
        while session.value::<i32>("SELECT workflow_tick()").await > 0 {}
        assert_eq!(count(&mut session, "running").await, 300);
        let done = Engine::list_bulk_jobs(&db.pool, Page::default()).await.unwrap().remove(0);
        assert_eq!((done.status, done.processed, done.refused), (BulkJobStatus::Completed, 300, 0));
        let (message, author): (String, String) = session
            .rows("SELECT message, author FROM workflow.event WHERE kind = 'rerun' ORDER BY id DESC LIMIT 1")
            .await
            .remove(0);
        assert_eq!((message, author), ("fixed".to_owned(), done.author));
        let refusal = session.refused(format!("SELECT workflow_resume_bulk_job({job})")).await;
        assert_eq!(refusal.code(), ("55000", "WF611"));
    })
    .await;
}

#[tokio::test]
async fn an_execution_started_after_the_job_is_left_alone_and_refusals_are_counted() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.never", "rerun: never\ntasks: [{name: a, action: demo.a}]").await;
        session.run("SELECT count(*) FROM workflow_start_many('demo.never', '{\"{}\", \"{}\"}')").await;
        fail_many(&mut session, 3).await;
        session.run("SELECT workflow_apply('rerun', '{\"statuses\": [\"failed\"]}')").await;
        session.at(1.0).await;
        fail_many(&mut session, 5).await;
        while session.value::<i32>("SELECT workflow_tick()").await > 0 {}
        let job = Engine::list_bulk_jobs(&db.pool, Page::default()).await.unwrap().remove(0);
        assert_eq!((job.status, job.processed, job.refused), (BulkJobStatus::Completed, 3, 2));
        assert_eq!(job.refusals["WF612"]["count"], 2);
        assert!(job.refusals["WF612"]["message"].as_str().unwrap().contains("rerun: never"), "{}", job.refusals);
        assert_eq!((count(&mut session, "running").await, count(&mut session, "failed").await), (3, 7));
    })
    .await;
}

#[tokio::test]
async fn what_somebody_else_has_locked_is_tried_again_and_nothing_waits() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let mut other = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]").await;
        let (one, two) = (session.start().await, session.start().await);
        other.run("BEGIN").await;
        other.run(format!("SELECT workflow_pause({one})")).await;
        session.run("SELECT workflow_apply('cancel', '{\"workflow\": \"demo.w\"}')").await;
        session.run("SET lock_timeout = '1s'").await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 0, "it need not be called again at once");
        let job = Engine::list_bulk_jobs(&db.pool, Page::default()).await.unwrap().remove(0);
        assert_eq!((job.status, job.processed, job.busy), (BulkJobStatus::Running, 1, 1));
        other.run("COMMIT").await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
        let job = Engine::list_bulk_jobs(&db.pool, Page::default()).await.unwrap().remove(0);
        assert_eq!((job.status, job.processed, job.busy), (BulkJobStatus::Completed, 2, 0));
        for id in [one, two] {
            session.assert_ended(id, "cancelled", json!(null)).await;
        }
    })
    .await;
}

/// Whoever ticks, a job may do exactly what the role that created it may do.
#[tokio::test]
async fn a_job_has_the_privileges_of_the_role_that_asked_for_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]").await;
        let (own, foreign): (i64, i64) = session
            .rows("SELECT workflow_start('demo.w', part => 1), workflow_start('demo.w', part => 2)")
            .await[0];
        let role = db.role().await;
        Engine::grant(&db.pool, &role, Level::Operator).await.unwrap();
        session
            .run(format!(
                "ALTER TABLE workflow.execution ENABLE ROW LEVEL SECURITY; ALTER TABLE workflow.workflow_execution ENABLE ROW LEVEL SECURITY;
                 CREATE POLICY own ON workflow.execution TO {role} USING (part = 1);
                 CREATE POLICY own ON workflow.workflow_execution TO {role} USING (part = 1)"
            ))
            .await;
        let mut operator = Session::new(db).await;
        operator.run(format!("SET ROLE {role}")).await;
        let job: i64 = operator.value("SELECT workflow_apply('cancel', '{\"workflow\": \"demo.w\"}')").await;
        for sql in [
            "INSERT INTO workflow.bulk_job (action, filter, arguments, role, author, status) VALUES ('cancel', '{}', '{}', 'postgres', 'x', 'running')".to_owned(),
            format!("UPDATE workflow.bulk_job SET role = 10::oid::regrole WHERE id = {job}"),
            "SELECT workflow.bulk_step_as(10::oid::regrole, 'x', 'cancel', '{}', '{}', now(), NULL, false, '{}', 1)".to_owned(),
        ] {
            let refusal = operator.refused(sql.clone()).await;
            assert_eq!(refusal.sqlstate, "42501", "{sql}");
        }
        // Plans cached by the session make no difference, nor do settings.
        session.run(format!("SELECT * FROM workflow_search('demo.w'); SELECT * FROM workflow_resume_many(ARRAY[{own}, {foreign}])")).await;
        session.run("SELECT workflow_apply('pause', '{\"error_code\": \"none\"}')").await;
        session.run("SELECT workflow_tick()").await;
        session.run("SET row_security = off").await;
        while session.value::<i32>("SELECT workflow_tick()").await > 0 {}
        session.run("RESET row_security").await;
        session.assert_ended(own, "cancelled", json!(null)).await;
        assert_eq!(session.status(foreign).await["status"], "running");
        // Another operator cannot control it, but the owner can.
        let second: i64 = operator.value("SELECT workflow_apply('cancel', '{\"workflow\": \"demo.w\"}')").await;
        let stranger = db.role().await;
        Engine::grant(&db.pool, &stranger, Level::Operator).await.unwrap();
        operator.run(format!("RESET ROLE; SET ROLE {stranger}")).await;
        let refusal = operator.refused(format!("SELECT workflow_stop_bulk_job({second})")).await;
        assert_eq!(refusal.code(), ("P0002", "WF616"));
        assert_eq!(Engine::stop_bulk_job(&db.pool, second).await.unwrap(), BulkJobStatus::Stopped);
        // If its role loses a privilege, the job stops, and nothing else is affected.
        Engine::resume_bulk_job(&db.pool, second).await.unwrap();
        Engine::revoke(&db.pool, &role, Level::Operator).await.unwrap();
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
        let failed = Engine::list_bulk_jobs(&db.pool, Page::default()).await.unwrap().remove(0);
        assert_eq!(failed.status, BulkJobStatus::Failed);
        assert!(failed.last_error.unwrap().contains("permission denied"));
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 0);
        session
            .run("ALTER TABLE workflow.execution DISABLE ROW LEVEL SECURITY; ALTER TABLE workflow.workflow_execution DISABLE ROW LEVEL SECURITY")
            .await;
    })
    .await;
}

#[tokio::test]
async fn each_action_can_be_applied() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: w, wait_for: {signal: go}}]").await;
        let id = session.start().await;
        for (action, arguments, status) in [
            ("pause", json!({"reason": "r"}), "running"),
            ("resume", json!({}), "running"),
            ("cancel", json!({"force": true}), "cancelled"),
            ("rerun", json!({"tasks": ["w"], "reset_items": true}), "running"),
            ("signal", json!({"name": "go", "payload": [1]}), "completed"),
        ] {
            session
                .run(format!("SELECT workflow_apply('{action}', '{{\"workflow\": \"demo.w\", \"created\": \"(,)\"}}', '{arguments}')"))
                .await;
            while session.value::<i32>("SELECT workflow_tick()").await > 0 {}
            assert_eq!(session.status(id).await["status"], status, "{action}");
        }
        session.run("SELECT workflow_apply('prune', '{\"workflow\": \"demo.w\"}')").await;
        while session.value::<i32>("SELECT workflow_tick()").await > 0 {}
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.execution").await, 0);
        let refused: Value = session.value("SELECT jsonb_agg(refusals) FROM workflow_list_bulk_jobs()").await;
        assert_eq!(refused, json!([{}, {}, {}, {}, {}, {}]));
    })
    .await;
}

#[tokio::test]
async fn an_invalid_job_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin("tasks: [{name: a, action: demo.a}]").await;
        for (arguments, code) in [
            ("NULL, '{}'".to_owned(), "WF613"),
            ("'cancel', NULL".into(), "WF613"),
            ("'cancel', '{\"workflow\": \"demo.w\"}', NULL".into(), "WF613"),
            ("'cancel', '{}'".into(), "WF613"),
            ("'cancel', '[]'".into(), "WF613"),
            ("'explode', '{\"workflow\": \"demo.w\"}'".into(), "WF613"),
            ("'cancel', '{\"workflow\": \"demo.none\"}'".into(), "WF616"),
            ("'cancel', '{\"workflow\": 7}'".into(), "WF613"),
            ("'cancel', '{\"status\": [\"failed\"]}'".into(), "WF613"),
            ("'cancel', '{\"statuses\": [\"broken\"]}'".into(), "WF613"),
            ("'cancel', '{\"statuses\": [[\"failed\"]]}'".into(), "WF613"),
            ("'cancel', '{\"statuses\": null}'".into(), "WF613"),
            ("'cancel', '{\"created\": \"yesterday\"}'".into(), "WF613"),
            ("'cancel', '{\"created\": \"empty\"}'".into(), "WF613"),
            ("'cancel', '{\"attributes\": []}'".into(), "WF613"),
            ("'cancel', '{\"workflow\": \"demo.w\"}', '{\"why\": 1}'".into(), "WF613"),
            ("'cancel', '{\"workflow\": \"demo.w\"}', '{\"force\": \"yes\"}'".into(), "WF613"),
            ("'prune', '{\"workflow\": \"demo.w\"}', '{\"reason\": \"x\"}'".into(), "WF613"),
            ("'signal', '{\"workflow\": \"demo.w\"}'".into(), "WF613"),
            (format!("'cancel', '{{\"text\": \"{}\"}}'", "x".repeat(200_000)), "WF614"),
        ] {
            let refusal = session.refused(format!("SELECT workflow_apply({arguments})")).await;
            assert_eq!(refusal.code().1, code, "{:.100}: {refusal:?}", arguments);
        }
        for call in ["stop_bulk_job(7)", "resume_bulk_job(7)"] {
            assert_eq!(session.refused(format!("SELECT workflow_{call}")).await.code().1, "WF616");
        }
        for call in ["stop_bulk_job(NULL)", "resume_bulk_job(NULL)", "list_bulk_jobs(0)"] {
            assert_eq!(session.refused(format!("SELECT workflow_{call}")).await.code().1, "WF613");
        }
    })
    .await;
}
