//! Control of an execution that calls thousands reaches the nearest immediately and the others gradually, and never in
//! the wrong order.

use crate::fixture::*;
use pg_workflow_tests::{Database, with_database};

/// Number of executions that one call reaches.
const REACH: i64 = 1000;

/// Number of called executions, each of which calls two more.
const CHILDREN: i64 = 600;

const ALL: i64 = 3 * CHILDREN;

/// demo.w, which calls demo.middle for each item, which calls demo.leaf twice.
async fn family(db: &Database) -> (Session, i64) {
    let mut session = Session::new(db).await;
    session.define_as("demo.leaf", "tasks: [{name: x, action: demo.a}]").await;
    session.define_as("demo.middle", "tasks: [{name: one, action: demo.leaf}, {name: two, action: demo.leaf}]").await;
    session
        .define("parameters: {type: object, properties: {n: {type: array}}}\ntasks: [{name: call, action: demo.middle, with_items: '{{ parameters.n }}'}]")
        .await;
    let items: Vec<i64> = (0..CHILDREN).collect();
    let id = session.start_with(serde_json::json!({"n": items})).await;
    tick(&mut session).await;
    assert_eq!(count(&mut session, "w.depth > 0 AND w.status = 'running'").await, ALL);
    (session, id)
}

async fn tick(session: &mut Session) {
    while session.value::<i32>("SELECT workflow_tick(10000)").await > 0 {}
}

async fn count(session: &mut Session, which: &str) -> i64 {
    session.value(format!("SELECT count(*) FROM workflow.workflow_execution AS w WHERE {which}")).await
}

async fn queued(session: &mut Session) -> i64 {
    session.value("SELECT count(*) FROM workflow.workflow_task_execution WHERE queue_at IS NOT NULL").await
}

/// Checks that no invariant is broken and nothing is left to propagate.
async fn assert_settled(session: &mut Session) {
    assert_eq!(count(session, "w.propagate_after IS NOT NULL").await, 0);
    assert_sound(session).await;
}

async fn assert_sound(session: &mut Session) {
    let broken: Vec<(String, String)> = session.rows("SELECT c::text, c::text FROM workflow_check() AS c").await;
    assert!(broken.is_empty(), "{broken:?}");
}

/// Runs a call. Returns how many rows of executions it has written.
async fn written(session: &mut Session, call: &str) -> i64 {
    let written =
        "SELECT n_tup_upd FROM pg_stat_xact_user_tables WHERE relid = 'workflow.workflow_execution'::regclass";
    session.run("BEGIN").await;
    let before: i64 = session.value(written).await;
    session.run(format!("SELECT {call}")).await;
    let after: i64 = session.value(written).await;
    session.run("COMMIT").await;
    after - before
}

/// Maximum number of rows that a call may write: a few for each execution that it reaches.
fn assert_bounded(rows: i64) {
    assert!((1..=6 * REACH).contains(&rows), "{rows} rows were written");
}

/// Returns how many called executions have this as their last event.
async fn told(session: &mut Session, kind: &str, reason: &str) -> i64 {
    session
        .value(format!(
            "SELECT count(*) FROM workflow.workflow_execution AS w CROSS JOIN LATERAL (
               SELECT e.kind, e.message, e.author FROM workflow.event AS e WHERE e.part = w.part AND e.execution = w.id
               ORDER BY e.id DESC LIMIT 1) AS last
             WHERE w.depth > 0 AND last.kind = '{kind}' AND last.message = '{reason}' AND last.author = session_user"
        ))
        .await
}

#[tokio::test]
async fn a_pause_and_a_resume_reach_all_that_is_called_in_bounded_steps() {
    with_database(async |db| {
        let (mut session, id) = family(db).await;
        assert_bounded(written(&mut session, &format!("workflow_pause({id}, 'night')")).await);
        assert_eq!(count(&mut session, "w.paused AND w.depth > 0").await, REACH);
        assert_sound(&mut session).await;
        assert_bounded(written(&mut session, "workflow_tick()").await);
        assert_sound(&mut session).await;
        tick(&mut session).await;
        assert_eq!(count(&mut session, "w.paused AND w.pause_reason = 'night'").await, ALL + 1);
        assert_eq!((queued(&mut session).await, told(&mut session, "pause", "night").await), (0, ALL));
        assert_settled(&mut session).await;
        assert_bounded(written(&mut session, &format!("workflow_resume({id}, 'day')")).await);
        assert_eq!(count(&mut session, "NOT w.paused AND w.depth > 0").await, REACH);
        tick(&mut session).await;
        assert_eq!(count(&mut session, "w.paused").await, 0);
        assert_eq!((queued(&mut session).await, told(&mut session, "resume", "day").await), (2 * CHILDREN, ALL));
        assert_settled(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn a_resume_overtakes_a_pause_that_is_under_way_and_a_cancel_overtakes_both() {
    with_database(async |db| {
        let (mut session, id) = family(db).await;
        for ticks in [0, 1] {
            session.run(format!("SELECT workflow_pause({id})")).await;
            for _ in 0..ticks {
                session.run("SELECT workflow_tick(500)").await;
            }
            session.run(format!("SELECT workflow_resume({id})")).await;
            tick(&mut session).await;
            assert_eq!((count(&mut session, "w.paused").await, queued(&mut session).await), (0, 2 * CHILDREN));
            assert_settled(&mut session).await;
        }
        // An execution far below that was paused separately continues with the others.
        let leaf: i64 = session.value("SELECT max(execution) FROM workflow.workflow_execution WHERE depth = 2").await;
        session.run(format!("SELECT workflow_pause({leaf})")).await;
        session.run(format!("SELECT workflow_pause({id})")).await;
        session.run(format!("SELECT workflow_resume({id})")).await;
        tick(&mut session).await;
        assert_eq!((count(&mut session, "w.paused").await, queued(&mut session).await), (0, 2 * CHILDREN));
        session.run(format!("SELECT workflow_pause({id})")).await;
        assert_bounded(written(&mut session, &format!("workflow_cancel({id}, 'enough')")).await);
        assert_sound(&mut session).await;
        let rows = written(&mut session, "workflow_tick()").await;
        assert_bounded(rows);
        assert_sound(&mut session).await;
        tick(&mut session).await;
        assert_eq!(count(&mut session, "w.status = 'cancelled'").await, ALL + 1);
        assert_eq!((queued(&mut session).await, told(&mut session, "cancel", "enough").await), (0, ALL));
        assert_settled(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn a_locked_execution_is_reached_once_it_is_unlocked() {
    with_database(async |db| {
        let (mut session, id) = family(db).await;
        let last: i64 = session.value("SELECT max(id) FROM workflow.workflow_execution WHERE depth = 2").await;
        let mut other = Session::new(db).await;
        other.run("BEGIN").await;
        other.run(format!("SELECT FROM workflow.workflow_execution WHERE id = {last} FOR NO KEY UPDATE")).await;
        session.run(format!("SELECT workflow_pause({id})")).await;
        tick(&mut session).await;
        let unaware: Vec<i64> =
            session.value("SELECT array_agg(id) FROM workflow.workflow_execution WHERE NOT paused").await;
        assert_eq!(unaware, [last]);
        other.run("COMMIT").await;
        tick(&mut session).await;
        assert_eq!(count(&mut session, "w.paused").await, ALL + 1);
        assert_settled(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn a_rerun_lets_the_called_run_on_in_bounded_steps() {
    with_database(async |db| {
        let (mut session, id) = family(db).await;
        loop {
            let tasks = session.claim(10_000).await;
            if tasks.is_empty() {
                break;
            }
            let reports: Vec<_> = tasks.iter().map(|task| (task.task, task.lease_token, "failed")).collect();
            session.finish(&reports).await;
            tick(&mut session).await;
        }
        session.assert_ended(id, "failed", serde_json::json!(null)).await;
        session.run(format!("SELECT workflow_rerun({id})")).await;
        let going = count(&mut session, "w.status = 'running' AND w.depth > 0").await;
        assert!((1..=REACH).contains(&going), "{going} run on at once");
        assert_sound(&mut session).await;
        tick(&mut session).await;
        assert_eq!(count(&mut session, "w.status = 'running'").await, ALL + 1);
        assert_eq!(count(&mut session, "true").await, ALL + 1, "nothing was called anew");
        assert_settled(&mut session).await;
        loop {
            let tasks = session.claim(10_000).await;
            if tasks.is_empty() {
                break;
            }
            let reports: Vec<_> = tasks.iter().map(|task| (task.task, task.lease_token, "completed")).collect();
            session.finish(&reports).await;
            tick(&mut session).await;
        }
        assert_eq!(count(&mut session, "w.status = 'completed'").await, ALL + 1);
    })
    .await;
}
