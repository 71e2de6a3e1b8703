//! Concurrency: executions begin in the order of their starts, and the newest is never cancelled for itself.

use crate::fixture::*;
use crate::limit_storm::{Chance, seeds};
use pg_workflow_tests::{Database, with_database};
use serde_json::json;
use std::collections::BTreeMap;

fn one_at_once(when_full: &str) -> String {
    format!(
        "concurrency: {{max: 1, when_full: {when_full}}}
cancellation_policy: cancel_running
tasks:
  - {{name: deploy, action: demo.a}}
"
    )
}

async fn assert_sound(session: &mut Session) {
    let broken: Vec<(String, String)> = session.rows("SELECT invariant, detail FROM workflow_check()").await;
    assert_eq!(broken, []);
}

/// The steps at which an execution was started, and at which others could see that.
type Times = (usize, usize);

/// Fails if an execution has begun although one that could be seen before it was started still waits.
async fn assert_in_order(session: &mut Session, started: &BTreeMap<i64, Times>) {
    let rows: Vec<(i64, bool)> = session
        .rows("SELECT w.id, w.limit_place IS NOT NULL FROM workflow.workflow_execution w WHERE w.status = 'running' AND NOT w.paused")
        .await;
    let of = |waits: bool| {
        rows.iter().filter(move |row| row.1 == waits).filter_map(|row| Some((row.0, *started.get(&row.0)?)))
    };
    for (begun, (start, _)) in of(false) {
        for (waiting, (_, seen)) in of(true) {
            assert!(seen >= start, "{begun} has begun, and {waiting}, which was started earlier, waits");
        }
    }
}

/// Starts that find the key locked by others, commits, rollbacks, ends, cancels and ticks.
async fn turns(db: &Database, seed: u64) {
    let mut chance = Chance::new(seed);
    let (mut session, mut opener) = (Session::new(db).await, Session::new(db).await);
    session.define(&one_at_once(chance.one_of(&["wait", "cancel_oldest"]))).await;
    session.run("SET lock_timeout = '1s'").await;
    let (mut started, mut now) = (BTreeMap::new(), 0.0);
    let mut unseen: Vec<(i64, usize)> = Vec::new();
    let mut is_open = false;
    for step in 0..150 {
        now += chance.one_of(&[0.0, 0.1, 0.1, 0.7, 3.0]);
        session.at(now).await;
        match chance.below(10) {
            0 | 1 => _ = started.insert(session.start().await, (step, step)),
            2 => {
                opener.at(now).await;
                if !is_open {
                    opener.run("BEGIN").await;
                    is_open = true;
                }
                unseen.push((opener.start().await, step));
            }
            3 if is_open => {
                opener.run("COMMIT").await;
                is_open = false;
                started.extend(unseen.drain(..).map(|(id, start)| (id, (start, step))));
            }
            4 if is_open => {
                opener.run("ROLLBACK").await;
                is_open = false;
                unseen.clear();
            }
            5..=7 => {
                for task in session.claim(5).await {
                    session.complete(&task, json!(null)).await;
                }
            }
            8 => session.run("SELECT workflow_tick()").await,
            9 if !is_open && !started.is_empty() => {
                let id = *started.keys().nth(chance.below(started.len())).unwrap();
                session.run(format!("SELECT workflow_cancel(id) FROM workflow.workflow_execution WHERE id = {id} AND status = 'running'")).await;
            }
            _ => {}
        }
        assert_in_order(&mut session, &started).await;
    }
    opener.run("ROLLBACK").await;
    assert_sound(&mut session).await;
    for _ in 0..started.len() * 3 {
        now += 1.0;
        session.at(now).await;
        session.run("SELECT workflow_tick()").await;
        for task in session.claim(5).await {
            session.complete(&task, json!(null)).await;
        }
        assert_in_order(&mut session, &started).await;
    }
    let left: i64 =
        session.value("SELECT count(*) FROM workflow.execution e WHERE NOT workflow.is_end(e.status)").await;
    assert_eq!(left, 0);
    assert_sound(&mut session).await;
}

#[tokio::test]
async fn executions_begin_in_the_order_in_which_they_were_started() {
    for seed in seeds() {
        println!("SEED={seed}");
        with_database(async |db| turns(db, seed).await).await;
    }
}

/// A start that finds the key free still comes after those that were kept waiting by a lock.
#[tokio::test]
async fn a_start_that_found_the_key_locked_is_not_overtaken() {
    with_database(async |db| {
        let (mut session, mut other) = (Session::new(db).await, Session::new(db).await);
        for (when_full, later) in [("wait", true), ("skip", false)] {
            session.define(&one_at_once("wait")).await;
            let running = session.start().await;
            let [task] = session.claim_named(["deploy"]).await;
            other.run("BEGIN").await;
            other.start().await;
            let kept_out = session.start().await;
            other.run("ROLLBACK").await;
            session.complete(&task, json!(null)).await;
            session.assert_ended(running, "completed", json!(null)).await;
            session.define(&one_at_once(when_full)).await;
            let last: Option<i64> = session.value("SELECT workflow_start('demo.w')").await;
            assert_eq!(last.is_some(), later);
            for turn in std::iter::once(kept_out).chain(last) {
                session.at(10.0).await;
                session.run("SELECT workflow_tick()").await;
                let [task] = session.claim_named(["deploy"]).await;
                assert_eq!(task.execution, turn);
                session.complete(&task, json!(null)).await;
            }
            assert_sound(&mut session).await;
            session.at(0.0).await;
        }
    })
    .await;
}

/// A start that found the key locked is checked again later, when a newer one waits or has already begun.
#[tokio::test]
async fn no_execution_takes_its_own_place() {
    with_database(async |db| {
        let (mut session, mut other) = (Session::new(db).await, Session::new(db).await);
        session.define(&one_at_once("cancel_oldest")).await;
        for ends in [false, true] {
            let running = session.start().await;
            let [task] = session.claim_named(["deploy"]).await;
            other.run(format!("BEGIN; SELECT FROM workflow.limit_key FOR UPDATE; SELECT FROM workflow.workflow_execution WHERE id = {running} FOR UPDATE")).await;
            let first = session.start().await;
            other.run("ROLLBACK").await;
            if ends {
                session.complete(&task, json!(null)).await;
            }
            let second = session.start().await;
            for second in 1..5 {
                session.at(f64::from(second)).await;
                session.run("SELECT workflow_tick()").await;
            }
            session.at(0.0).await;
            let cancels: Vec<(i64, String)> =
                session.rows("SELECT execution, message FROM workflow.event WHERE kind = 'cancel' ORDER BY execution").await;
            let reason = format!("execution {second} has taken its place");
            let gone: Vec<i64> = if ends { vec![first] } else { vec![running, first] };
            let expected: Vec<(i64, String)> = gone.into_iter().map(|id| (id, reason.clone())).collect();
            assert_eq!(cancels, expected);
            let [task] = session.claim_named(["deploy"]).await;
            assert_eq!(task.execution, second);
            session.complete(&task, json!(null)).await;
            session.run("DELETE FROM workflow.event").await;
            assert_sound(&mut session).await;
        }
    })
    .await;
}

/// A rerun waits, whatever `when_full` says, even if it found the key locked.
#[tokio::test]
async fn a_rerun_cancels_nobody_and_is_not_cancelled_for_itself() {
    with_database(async |db| {
        let (mut session, mut other) = (Session::new(db).await, Session::new(db).await);
        session.define(&one_at_once("cancel_oldest")).await;
        let old = session.start().await;
        let [task] = session.claim_named(["deploy"]).await;
        session.fail(&task, json!({"message": "no"})).await;
        session.at(1.0).await;
        let running = session.start().await;
        let [task] = session.claim_named(["deploy"]).await;
        other.run("BEGIN; SELECT FROM workflow.limit_key FOR UPDATE").await;
        session.run(format!("SELECT workflow_rerun({old})")).await;
        other.run("ROLLBACK").await;
        session.at(5.0).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.event WHERE kind = 'cancel'").await, 0);
        session.complete(&task, json!(null)).await;
        session.assert_ended(running, "completed", json!(null)).await;
        let [task] = session.claim_named(["deploy"]).await;
        assert_eq!(task.execution, old);
        assert_sound(&mut session).await;
    })
    .await;
}

/// A start waits for an execution that cannot be cancelled because another server has its part.
#[tokio::test]
async fn a_start_waits_for_the_oldest_of_a_part_that_is_fenced() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(&one_at_once("cancel_oldest")).await;
        session.run("SELECT workflow_start('demo.w', part => 40)").await;
        session.run("SELECT workflow_fence_part(40, 'b'), workflow_close_part(40)").await;
        let newest: i64 = session.value("SELECT workflow_start('demo.w', part => 41)").await;
        session.at(5.0).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.status(newest).await["status"], json!("running"));
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.event WHERE kind = 'cancel'").await, 0);
        session.run("SELECT workflow_keep_part(40)").await;
    })
    .await;
}
