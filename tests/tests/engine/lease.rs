//! Claims and leases: who has a task, for how long, and what a worker that has lost it is told.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub const ONE: &str = "tasks: [{name: a, action: demo.a}]\n";

/// Starts this many executions of one task.
pub async fn start_many(session: &mut Session, count: usize) {
    session.define(ONE).await;
    session.run(format!("SELECT workflow_start_many('demo.w', array_fill('{{}}'::jsonb, ARRAY[{count}]))")).await;
}

#[tokio::test]
async fn a_claim_is_of_the_actions_asked_for_oldest_first() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define(
                "tasks:\n  - {name: a, action: demo.a}\n  - {name: b, action: demo.b}\n  - {name: c, action: demo.c}\n",
            )
            .await;
        for seconds in 0..3 {
            session.at(f64::from(seconds)).await;
            session.start().await;
        }
        let claim = async |session: &mut Session, max: i32, actions: &str| {
            let mut tasks: Vec<Task> =
                session.rows(format!("SELECT * FROM workflow_claim('w1', {max}, {actions})")).await;
            tasks.sort_by_key(|task| task.task);
            tasks.into_iter().map(|task| (task.task_name, task.execution)).collect::<Vec<_>>()
        };
        let named = |list: &[(&str, i64)]| list.iter().map(|(name, id)| (name.to_string(), *id)).collect::<Vec<_>>();
        assert_eq!(claim(&mut session, 2, "ARRAY['demo.b']").await, named(&[("b", 1), ("b", 2)]));
        assert_eq!(
            claim(&mut session, 3, "ARRAY['demo.c', 'demo.a', 'demo.a']").await,
            named(&[("a", 1), ("c", 1), ("a", 2)])
        );
        assert_eq!(claim(&mut session, 5, "ARRAY['demo.none', NULL]").await, []);
        assert_eq!(claim(&mut session, 5, "'{}'").await, []);
        assert_eq!(claim(&mut session, 5, "NULL").await, named(&[("c", 2), ("a", 3), ("b", 3), ("c", 3)]));
    })
    .await;
}

/// The first of these claims has its own statement.
#[tokio::test]
async fn one_task_of_one_action_is_claimed_like_any_other() {
    for (max, actions) in [(1, "demo.a"), (1, "demo.a, demo.none"), (2, "demo.a")] {
        with_database(async |db| {
            let mut session = Session::new(db).await;
            session.define("tasks:\n  - {name: a, action: demo.a, timeout: 5}\n  - {name: b, action: demo.b}\n").await;
            let start = async |session: &mut Session, arguments: &str| {
                session.value::<i64>(format!("SELECT workflow_start('demo.w'{arguments})")).await
            };
            let paused = start(&mut session, "").await;
            session.run(format!("SELECT workflow_pause({paused})")).await;
            // As if somebody had been claiming it when the pause came, and then had rolled back.
            session
                .run("UPDATE workflow.workflow_task_execution SET queue_at = created - interval '1 day' WHERE task_name = 'a'")
                .await;
            let (late, urgent) = (start(&mut session, "").await, start(&mut session, ", priority => 1").await);
            let elsewhere = start(&mut session, ", part => 7, priority => 9").await;
            let mut other = Session::new(db).await;
            other.run("BEGIN").await;
            let locked = start(&mut session, ", priority => 5").await;
            other
                .run(format!(
                    "SELECT FROM workflow.workflow_task_execution t JOIN workflow.workflow_execution w ON w.id = t.workflow_execution
                     WHERE w.execution = {locked} AND t.task_name = 'a' FOR UPDATE OF t"
                ))
                .await;
            let mut claimed = Vec::new();
            loop {
                let rows: Vec<(i64, i64, i32)> = session
                    .rows(format!(
                        "SELECT w.execution, c.lease_token, c.attempt
                         FROM workflow_claim('w1', {max}, '{{{actions}}}', parts => '{{0}}') WITH ORDINALITY AS c
                         JOIN workflow.workflow_execution w ON w.id = c.execution
                         ORDER BY c.ordinality"
                    ))
                    .await;
                if rows.is_empty() {
                    break;
                }
                claimed.extend(rows);
            }
            let of = |(execution, _, attempt): &(i64, i64, i32)| (*execution, *attempt);
            assert_eq!(claimed.iter().map(of).collect::<Vec<_>>(), [(urgent, 1), (late, 1)], "{max} {actions}");
            assert_eq!(claimed[0].1 == claimed[1].1, max == 2, "a token a claim");
            let held: i64 = session
                .value(
                    "SELECT count(*) FROM workflow.workflow_task_execution t
                     JOIN workflow.lease l ON l.part = t.part AND l.id = t.lease AND l.token = t.lease AND t.id = ANY (l.tasks)
                     WHERE t.status = 'running' AND t.queue_at IS NULL AND l.worker = 'w1'
                       AND t.due_at = t.started_at + interval '5 s' AND l.until = t.started_at + interval '30 s'",
                )
                .await;
            assert_eq!(held, 2);
            other.run("ROLLBACK").await;
            let mut rest = Vec::new();
            for _ in 0..2 {
                let next = "SELECT w.execution FROM workflow_claim('w1', 1, '{demo.a}') AS c
                            JOIN workflow.workflow_execution w ON w.id = c.execution";
                rest.push(session.value::<i64>(next).await);
            }
            rest.sort_unstable();
            let mut expected = [locked, elsewhere];
            expected.sort_unstable();
            assert_eq!(rest, expected);
        })
        .await;
    }
}

/// A claim of several actions locks the first task of each action, and takes the first of all.
#[tokio::test]
async fn what_a_transaction_has_looked_at_it_can_claim() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks:\n  - {name: a, action: demo.a}\n  - {name: b, action: demo.b}\n").await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[2]))").await;
        session.run("BEGIN").await;
        let mut ids = Vec::new();
        for _ in 0..4 {
            let claim = "SELECT task FROM workflow_claim('w1', 1, '{demo.a, demo.b}')";
            ids.push(session.value::<i64>(claim).await);
        }
        session.run("COMMIT").await;
        assert!(ids.is_sorted(), "they began together, so they come by id: {ids:?}");
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_ends_frees_its_task_and_makes_its_token_stale() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(ONE).await;
        let [old] = session.claim_named(["a"]).await;
        let worker = format!("SELECT worker FROM workflow_list_tasks({id})");
        assert_eq!(session.value::<Option<String>>(&worker).await.as_deref(), Some("w1"));
        session.at(29.0).await;
        assert!(session.claim(1).await.is_empty());
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 0);
        session.at(30.0).await;
        // A claim that finds nothing looks for expired leases itself.
        let [new] = session.claim_named(["a"]).await;
        assert_eq!((new.task, new.attempt), (old.task, 2));
        assert_ne!(new.lease_token, old.lease_token);
        for call in ["workflow_complete", "workflow_fail"] {
            let refusal = session.refused(format!("SELECT {call}({}, {})", old.task, old.lease_token)).await;
            assert_eq!(refusal.code(), ("55006", "WF615"));
            assert!(refusal.message.starts_with("WF615: the lease is stale"), "{refusal:?}");
        }
        assert_eq!(session.finish(&[(old.task, old.lease_token, "completed")]).await[0].word(), "WF615");
        assert_eq!(session.complete(&new, json!(1)).await, "completed");
        // The one that lost it is not the one that completed it.
        assert_eq!(session.value::<Option<String>>(&worker).await, None);
        session.assert_ended(id, "completed", json!(null)).await;
        let refusal = session.refused(format!("SELECT workflow_complete({}, {})", old.task, old.lease_token)).await;
        assert_eq!(refusal.code(), ("55006", "WF615"));
    })
    .await;
}

#[tokio::test]
async fn a_tick_frees_ended_leases_too_and_a_late_report_is_refused_before_the_next_claim() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        start_many(&mut session, 3).await;
        let tasks = session.claim(2).await;
        let done = &tasks[0];
        session.complete(done, json!(null)).await;
        session.at(30.0).await;
        // Until somebody frees it, the lease still holds: nobody else has it.
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 0);
        let late = &tasks[1];
        let refusal = session.refused(format!("SELECT workflow_complete({}, {})", late.task, late.lease_token)).await;
        assert_eq!(refusal.code(), ("55006", "WF615"));
        let again: BTreeSet<i64> = session.claim(10).await.iter().map(|task| task.task).collect();
        assert_eq!(again.len(), 2);
        assert!(again.contains(&late.task) && !again.contains(&done.task));
    })
    .await;
}

#[tokio::test]
async fn a_report_after_the_leases_end_counts_while_nobody_else_has_the_task() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(ONE).await;
        let [task] = session.claim_named(["a"]).await;
        session.at(1000.0).await;
        assert_eq!(session.complete(&task, json!(null)).await, "completed");
        session.assert_ended(id, "completed", json!(null)).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_claim_out_of_range_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin(ONE).await;
        for (arguments, text) in [
            ("'w1', 0", "max_tasks"),
            ("'w1', -1", "max_tasks"),
            ("'w1', 10001", "max_tasks"),
            ("'w1', NULL", "max_tasks"),
            ("NULL", "worker"),
            ("'w1', 1, NULL, '0'", "lease"),
            ("'w1', 1, NULL, '-5 seconds'", "lease"),
            ("'w1', 1, NULL, '31 days'", "lease"),
            ("'w1', 1, NULL, NULL", "lease"),
            ("'w1', 1, NULL, '1 day', '{-1}'", "part"),
        ] {
            let refusal = session.refused(format!("SELECT * FROM workflow_claim({arguments})")).await;
            assert_eq!(refusal.code(), ("22023", "WF613"), "{arguments}");
            assert!(refusal.message.contains(text), "{arguments}: {refusal:?}");
            assert!(!refusal.hint.is_empty() || text == "part", "{refusal:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn idle_calls_take_no_transaction_id_and_write_no_wal() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        start_many(&mut session, 1).await;
        session.claim_named(["a"]).await;
        for call in [
            "workflow_claim('w2', 10)",
            "workflow_claim('w2', 10, ARRAY['demo.a', 'demo.none'])",
            "workflow_claim('w2', 10, parts => '{0, 1}')",
            "workflow_finish_and_claim('w2', '{}', 10)",
            "workflow_tick()",
            "workflow_finish('{}')",
            &format!("workflow_finish_and_claim('w2', {}, 10)", outcome_array(&[(99, 1, "completed")])),
            "workflow_heartbeat('{99}', '{1}')",
        ] {
            // The first call of a session fills its caches and may prune pages.
            session.run(format!("SELECT * FROM {call}")).await;
            session.run("BEGIN").await;
            let plan: Value = session.value(format!("EXPLAIN (ANALYZE, WAL, FORMAT json) SELECT * FROM {call}")).await;
            let wal = &plan[0]["Plan"]["WAL Bytes"];
            let xid: Option<String> = session.value("SELECT pg_current_xact_id_if_assigned()::text").await;
            session.run("COMMIT").await;
            assert_eq!((wal, xid), (&json!(0), None), "{call}");
        }
    })
    .await;
}

#[tokio::test]
async fn sessions_that_claim_at_once_never_get_the_same_task() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .begin("tasks: [{name: each, action: demo.a, with_items: '{{ range(400) | list }}', input: {x: '{{ item }}'}}]\n")
            .await;
        let claim = |size: i32| async move {
            let mut session = Session::new(db).await;
            let mut claimed = Vec::new();
            let mut nothing = 0;
            while nothing < 2 {
                let tasks = session.claim(size).await;
                nothing = if tasks.is_empty() { nothing + 1 } else { 0 };
                claimed.extend(tasks.iter().map(|task| task.task));
            }
            claimed
        };
        let (a, b, c, d) = tokio::join!(claim(1), claim(2), claim(3), claim(7));
        let mut all = [a, b, c, d].concat();
        all.extend(session.claim(1000).await.iter().map(|task| task.task));
        assert_eq!(all.len(), 400);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 400, "a task went to two workers");
    })
    .await;
}

#[tokio::test]
async fn a_claim_waits_for_nobody() {
    with_database(async |db| {
        let (mut first, mut second) = (Session::new(db).await, Session::new(db).await);
        start_many(&mut first, 4).await;
        let reported = first.claim(1).await.remove(0);
        second.run("SET lock_timeout = '10s'").await;
        second.run("SET deadlock_timeout = '10ms'").await;
        // Another claim, and a report, in transactions that are still open.
        first.run("BEGIN").await;
        let held = first.claim(1).await;
        first.complete(&reported, json!(null)).await;
        let others = second.claim(10).await;
        assert_eq!(others.len(), 2);
        assert!(others.iter().all(|task| task.task != held[0].task));
        first.run("ROLLBACK").await;
        // Tasks whose claim was rolled back are available again.
        let back = second.claim(10).await;
        assert_eq!(back.iter().map(|task| task.task).collect::<Vec<_>>(), [held[0].task]);
        assert_eq!(first.complete(&reported, json!(null)).await, "completed");
    })
    .await;
}

#[tokio::test]
async fn workers_that_vanish_again_and_again_lose_nothing() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks:\n  - {name: a, action: demo.a, on_success: b}\n  - {name: b, action: demo.b}\n").await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[10]))").await;
        session.run("SET pg_workflow.max_lost_leases = 1000").await;
        let mut now = 0.0;
        loop {
            let tasks = session.claim(3).await;
            if tasks.is_empty() {
                break;
            }
            // The first task of each claim is reported; the others are lost with their worker.
            session.complete(&tasks[0], json!(null)).await;
            now += 30.0;
            session.at(now).await;
        }
        let ended: i64 = session.value("SELECT count(*) FROM workflow.execution WHERE status = 'completed'").await;
        assert_eq!(ended, 10);
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.lease").await, 0);
    })
    .await;
}

#[tokio::test]
async fn the_next_steps_wait_no_longer_than_those_of_executions_that_began_before() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks:\n  - {name: a, action: demo.a, on_success: b}\n  - {name: b, action: demo.a}\n").await;
        session.start().await;
        session.at(1.0).await;
        session.start().await;
        let first = session.claim(1).await.remove(0);
        session.at(2.0).await;
        session.complete(&first, json!(null)).await;
        let names: Vec<String> =
            [session.claim(1).await, session.claim(1).await].concat().into_iter().map(|task| task.task_name).collect();
        assert_eq!(names, ["a", "b"]);
    })
    .await;
}

#[tokio::test]
async fn a_tick_counts_the_tasks_that_a_lost_lease_ends() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("SET pg_workflow.max_lost_leases = 1").await;
        let id = session.begin(ONE).await;
        session.claim_named(["a"]).await;
        session.at(31.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 0);
        session.assert_ended(id, "failed", json!(null)).await;
    })
    .await;
}
