//! Limits that are set, changed or deleted while tasks run, and the slots and keys that they use.

use crate::fixture::*;
use crate::limits::{BY_TENANT, assert_sound, keys, set, start_for};
use pg_workflow_tests::with_database;
use serde_json::json;

#[tokio::test]
async fn a_limit_can_be_raised_lowered_and_deleted_while_tasks_run() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        set(&mut session, "'payments', max_running => 4").await;
        session.define(BY_TENANT).await;
        start_for(&mut session, "acme", 30).await;
        let mut running = session.claim(100).await;
        assert_eq!(running.len(), 4);
        set(&mut session, "'payments', max_running => 2").await;
        for left in [3, 2] {
            session.complete(&running.pop().unwrap(), json!(null)).await;
            assert!(session.claim(100).await.is_empty(), "{left} are running");
            assert_sound(&mut session).await;
        }
        session.complete(&running.pop().unwrap(), json!(null)).await;
        session.at(70.0).await;
        // Without this, the leases of tasks that ran when the limit was lowered would have expired by now.
        session.run("UPDATE workflow.lease SET until = until + interval '1 day', expires_from = expires_from + interval '1 day'").await;
        let more = session.claim(100).await;
        assert_eq!(more.len(), 1);
        running.extend(more);
        set(&mut session, "'payments', max_running => 12").await;
        let more = session.claim(100).await;
        assert_eq!(more.len(), 10);
        running.extend(more);
        assert_sound(&mut session).await;
        session.run("SELECT workflow_delete_limit('payments')").await;
        let more = session.claim(100).await;
        assert_eq!(more.len(), 30 - 3 - 12);
        for task in running.iter().chain(&more) {
            session.complete(task, json!(null)).await;
        }
        assert_sound(&mut session).await;
        // Created again, it starts counting from zero.
        set(&mut session, "'payments', max_running => 1").await;
        start_for(&mut session, "acme", 3).await;
        assert_eq!(session.claim(100).await.len(), 1);
    })
    .await;
}

/// A limit that is raised after its keys were full admits as many tasks as it allows, whatever the number.
#[tokio::test]
async fn large_limits_grow_as_they_are_needed() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        set(&mut session, "'payments', max_running => 1000").await;
        session.define(BY_TENANT).await;
        session
            .run(r#"SELECT workflow_start_many('demo.w', array_fill('{"tenant": "big"}'::jsonb, ARRAY[1100]))"#)
            .await;
        assert_eq!(session.claim(3).await.len(), 3);
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.limit_slot").await, 8);
        let mut count = 3;
        loop {
            let claimed = session.claim(500).await.len();
            count += claimed;
            if claimed == 0 {
                break;
            }
        }
        assert_eq!(count, 1000);
        assert_eq!(keys(&mut session, "payments").await, [("big".into(), Some(1000), 100)]);
        assert_sound(&mut session).await;
    })
    .await;
}

/// Tasks that are already running are counted, even if their claim had not been committed when the limit was set.
#[tokio::test]
async fn tasks_that_were_running_before_a_limit_was_set_are_counted() {
    with_database(async |db| {
        let (mut session, mut other) = (Session::new(db).await, Session::new(db).await);
        set(&mut session, "'payments', rate => 1000, per => '1 s', burst => 1000").await;
        session.define(BY_TENANT).await;
        start_for(&mut session, "acme", 6).await;
        let mut running = session.claim(2).await;
        other.run("BEGIN").await;
        running.extend(other.claim(1).await);
        set(&mut session, "'payments', max_running => 3").await;
        session.run("SELECT workflow_tick()").await;
        other.run("COMMIT").await;
        for second in 1..100_000 {
            session.at(f64::from(second) / 10_000.0).await;
            session.run("SELECT workflow_tick()").await;
            if session.value::<bool>("SELECT count_from IS NULL FROM workflow.limit_rule").await {
                break;
            }
        }
        assert_eq!(keys(&mut session, "payments").await[0].1, Some(3));
        assert!(session.claim(10).await.is_empty());
        assert_sound(&mut session).await;
        for task in &running {
            session.complete(task, json!(null)).await;
        }
        assert_eq!(session.claim(10).await.len(), 3);
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn keys_that_nobody_uses_are_removed() {
    with_database(async |db| {
        let (mut session, mut other) = (Session::new(db).await, Session::new(db).await);
        set(&mut session, "'payments', max_running => 1").await;
        session.define(BY_TENANT).await;
        for tenant in ["gone", "running", "taken"] {
            start_for(&mut session, tenant, 1).await;
        }
        let tasks = session.claim(10).await;
        for task in &tasks {
            if task.execution != tasks[1].execution {
                session.complete(task, json!(null)).await;
            }
        }
        for session in [&mut session, &mut other] {
            session.at(7200.0).await;
        }
        session.run("UPDATE workflow.lease SET until = until + interval '1 day', expires_from = expires_from + interval '1 day'").await;
        start_for(&mut session, "taken", 1).await;
        other.run("BEGIN").await;
        assert_eq!(other.claim(10).await.len(), 1);
        let left = "SELECT count(*) FROM workflow.limit_key WHERE key <> ''";
        for _ in 0..2000 {
            session.run("SELECT workflow_tick()").await;
            if session.value::<i64>(left).await == 2 {
                break;
            }
        }
        assert_eq!(session.value::<i64>(left).await, 2);
        other.run("COMMIT").await;
        assert_sound(&mut session).await;
        start_for(&mut session, "gone", 2).await;
        assert_eq!(session.claim(10).await.len(), 1);
        assert_sound(&mut session).await;
    })
    .await;
}
