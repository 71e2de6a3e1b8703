//! Whoever waits for a limit begins as soon as it may, even if the limit was lowered, what could begin leaves, or somebody has locked
//! the key at that moment.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

const ONE: &str = "tasks: [{name: a, action: demo.a, limit: site}]";

async fn assert_sound(session: &mut Session) {
    let broken: Vec<(String, String)> = session.rows("SELECT invariant, detail FROM workflow_check()").await;
    assert_eq!(broken, []);
}

/// Sets the limit and starts executions of which one task is claimed for each slot. The others wait for a minute and a half, after
/// which their key is checked once a minute. Returns the claimed tasks.
async fn wait_long(session: &mut Session, limit: &str, count: i32) -> Vec<Task> {
    session.run(format!("SELECT workflow_set_limit('site', {limit})")).await;
    session.run("SELECT workflow_tick()").await;
    session.define(ONE).await;
    session.run(format!("SELECT workflow_start_many('demo.w', array_fill('{{}}'::jsonb, ARRAY[{count}]))")).await;
    let tasks = session.rows("SELECT * FROM workflow_claim('w1', 1000, lease => '1 hour')").await;
    for second in (10..=90).step_by(10) {
        session.at(f64::from(second)).await;
        session.run("SELECT workflow_tick()").await;
    }
    tasks
}

/// Claims with a tick before, a second after the given time.
async fn claim_soon(session: &mut Session, second: f64) -> Vec<Task> {
    for later in [0.5, 1.0, 1.5] {
        session.at(second + later).await;
        session.run("SELECT workflow_tick()").await;
    }
    let tasks = session.rows("SELECT * FROM workflow_claim('w1', 1000, lease => '1 hour')").await;
    assert_sound(session).await;
    tasks
}

#[tokio::test]
async fn a_burst_does_not_keep_the_rate_from_being_reached() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("SELECT workflow_set_limit('site', rate => 100, per => '1 second', burst => 5)").await;
        session.define(ONE).await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[200]))").await;
        assert_eq!(session.claim(1000).await.len(), 5);
        for turn in 1..=100 {
            session.at(0.03 * f64::from(turn)).await;
            session.run("SELECT workflow_tick()").await;
            assert_eq!(session.claim(1).await.len(), 1, "{turn}");
        }
        // After a rest, a burst may begin, and no more; what is in the queue beyond that waits again.
        session.at(4.0).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.claim(1000).await.len(), 5);
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn nothing_is_put_into_the_queue_that_nobody_claims() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("SELECT workflow_set_limit('site', rate => 100, per => '1 second', burst => 5)").await;
        session.define(ONE).await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[2000]))").await;
        assert_eq!(session.claim(1000).await.len(), 5);
        for turn in 1..=100 {
            session.at(0.1 * f64::from(turn)).await;
            session.run("SELECT workflow_tick()").await;
        }
        let queued: i64 =
            session.value("SELECT count(*) FROM workflow.workflow_task_execution WHERE queue_at IS NOT NULL").await;
        assert!((5..=40).contains(&queued), "{queued}");
    })
    .await;
}

#[tokio::test]
async fn a_slot_freed_after_a_limit_was_lowered_is_passed_on() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let tasks = wait_long(&mut session, "max_running => 2", 5).await;
        session.run("SELECT workflow_set_limit('site', max_running => 1)").await;
        session.at(91.0).await;
        session.run("SELECT workflow_tick()").await;
        session.complete(&tasks[0], json!(null)).await;
        assert!(claim_soon(&mut session, 91.0).await.is_empty());
        session.complete(&tasks[1], json!(null)).await;
        let next = claim_soon(&mut session, 93.0).await;
        assert_eq!(next.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_execution_begins_soon_after_concurrency_was_lowered() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let source = |max| format!("concurrency: {{max: {max}}}\ntasks: [{{name: a, action: demo.a}}]");
        session.define(&source(2)).await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[4]))").await;
        let tasks: Vec<Task> = session.rows("SELECT * FROM workflow_claim('w1', 1000, lease => '1 hour')").await;
        assert_eq!(tasks.len(), 2);
        for second in (10..=90).step_by(10) {
            session.at(f64::from(second)).await;
            session.run("SELECT workflow_tick()").await;
        }
        session.define(&source(1)).await;
        session.at(91.0).await;
        session.run("SELECT workflow_tick()").await;
        for task in &tasks {
            session.complete(task, json!(null)).await;
        }
        assert_eq!(claim_soon(&mut session, 91.0).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_nobody_waiting() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("SELECT workflow_set_limit('site', rate => 1, per => '1 second')").await;
        session.define(ONE).await;
        session.at(5000.0).await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[3]))").await;
        assert_eq!(session.claim(9).await.len(), 1);
        for second in [0.0, 1.1, 2.2] {
            session.at(second).await;
            session.run("SELECT workflow_tick()").await;
            session.claim(9).await;
        }
        let begun: i64 =
            session.value("SELECT count(*) FROM workflow.workflow_task_execution WHERE status = 'running'").await;
        assert_eq!(begun, 3);
        assert_sound(&mut session).await;
    })
    .await;
}

/// The other session has counted the free slots, and has not committed yet.
#[tokio::test]
async fn a_slot_freed_while_somebody_checks_the_key_is_passed_on() {
    for free in ["complete", "erase"] {
        with_database(async |db| {
            let (mut session, mut other) = (Session::new(db).await, Session::new(db).await);
            let limit = "max_running => 1, rate => 1000, per => '1 second', burst => 5";
            let tasks = wait_long(&mut session, limit, 3).await;
            assert_eq!(tasks.len(), 1);
            session.at(200.0).await;
            other.at(200.0).await;
            other.run("BEGIN; SELECT workflow_tick()").await;
            match free {
                "complete" => _ = session.complete(&tasks[0], json!(null)).await,
                _ => session.run(format!("SELECT workflow_erase({})", tasks[0].execution)).await,
            }
            // Until then, each of many may leave a request, but one is enough.
            session.run("SELECT workflow_tick()").await;
            assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.limit_wakeup").await, 1);
            other.run("COMMIT").await;
            assert_eq!(claim_soon(&mut session, 200.0).await.len(), 1, "{free}");
            assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.limit_wakeup").await, 0);
        })
        .await;
    }
}

/// A task that was put back into the queue leaves it without having begun.
#[tokio::test]
async fn the_turn_of_a_task_that_leaves_is_passed_on_even_if_the_key_is_locked() {
    for (leave, is_locked) in [("cancel", true), ("pause", true), ("erase", true), ("erase", false)] {
        with_database(async |db| {
            let (mut session, mut other) = (Session::new(db).await, Session::new(db).await);
            let tasks = wait_long(&mut session, "max_running => 1", 3).await;
            session.at(91.0).await;
            session.complete(&tasks[0], json!(null)).await;
            let first: i64 = session
                .value("SELECT workflow_execution FROM workflow.workflow_task_execution WHERE queue_at IS NOT NULL")
                .await;
            if is_locked {
                other.run("BEGIN; SELECT FROM workflow.limit_key FOR NO KEY UPDATE").await;
            }
            session.run(format!("SELECT workflow_{leave}({first})")).await;
            if is_locked {
                other.run("COMMIT").await;
            }
            assert_eq!(claim_soon(&mut session, 91.0).await.len(), 1, "{leave}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_rerun_of_a_called_execution_is_counted_even_if_the_key_is_locked() {
    for lock in [
        "BEGIN; SELECT workflow_set_limit('site', max_running => 1)",
        "BEGIN; SELECT FROM workflow.limit_key FOR NO KEY UPDATE",
    ] {
        with_database(async |db| {
            let (mut session, mut other) = (Session::new(db).await, Session::new(db).await);
            session.run("SELECT workflow_set_limit('site', max_running => 1)").await;
            session.run("SELECT workflow_tick()").await;
            session.define_as("demo.inner", "tasks: [{name: a, action: demo.a}]").await;
            session.define("tasks: [{name: call, action: demo.inner, limit: site}]").await;
            session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[3]))").await;
            let [a] = session.claim_named(["a"]).await;
            session.fail(&a, json!({"message": "no"})).await;
            session.at(2.0).await;
            session.run("SELECT workflow_tick()").await;
            other.at(2.0).await;
            other.run(lock).await;
            session.run(format!("SELECT workflow_rerun({})", a.execution)).await;
            session.run("SELECT workflow_tick()").await;
            other.run("COMMIT").await;
            for second in [3.0, 4.0] {
                session.at(second).await;
                session.run("SELECT workflow_tick()").await;
            }
            assert_sound(&mut session).await;
            let keys: Vec<(Option<i64>, i64)> =
                session.rows("SELECT running, waiting FROM workflow_list_limit_keys('site')").await;
            assert_eq!(keys, [(Some(2), 1)]);
            assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.limit_wakeup").await, 0);
        })
        .await;
    }
}

/// A session whose transaction stays open has relied on the request of another one, which is met nevertheless.
#[tokio::test]
async fn a_request_is_met_while_somebody_relies_on_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let (mut checks, mut reports) = (Session::new(db).await, Session::new(db).await);
        let limit = "max_running => 2, rate => 1000, per => '1 second', burst => 5";
        let tasks = wait_long(&mut session, limit, 6).await;
        for each in [&mut session, &mut checks, &mut reports] {
            each.at(200.0).await;
        }
        checks.run("BEGIN; SELECT workflow_tick()").await;
        session.complete(&tasks[0], json!(null)).await;
        reports.run("BEGIN").await;
        reports.complete(&tasks[1], json!(null)).await;
        checks.run("COMMIT").await;
        assert_eq!(claim_soon(&mut session, 200.0).await.len(), 1);
        reports.run("COMMIT").await;
        assert_eq!(claim_soon(&mut session, 203.0).await.len(), 1);
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.limit_wakeup").await, 0);
    })
    .await;
}

#[tokio::test]
async fn requests_for_a_locked_key_are_few_and_keep_no_other_key_waiting() {
    with_database(async |db| {
        let (mut session, mut other) = (Session::new(db).await, Session::new(db).await);
        session.run("SELECT workflow_set_limit('many', max_running => 100)").await;
        session.run("SELECT workflow_tick()").await;
        session.define_as("demo.many", "tasks: [{name: a, action: demo.b, limit: many}]").await;
        session.run("SELECT workflow_start_many('demo.many', array_fill('{}'::jsonb, ARRAY[300]))").await;
        session.run("SELECT workflow_claim('w2', 1000, '{demo.b}', lease => '1 hour')").await;
        let tasks = wait_long(&mut session, "max_running => 1", 3).await;
        session.at(91.0).await;
        other.run("BEGIN; SELECT FROM workflow.limit_key WHERE limit_name = 'many' FOR NO KEY UPDATE").await;
        let running = "SELECT workflow_execution FROM workflow.workflow_task_execution WHERE status = 'running' AND action_ref = 'demo.b'";
        let executions: Vec<(i64,)> = session.rows(format!("{running} ORDER BY 1 LIMIT 50")).await;
        for (id,) in executions {
            session.run(format!("SELECT workflow_erase({id})")).await;
        }
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.limit_wakeup").await, 1);
        session.complete(&tasks[0], json!(null)).await;
        let first: i64 = session
            .value("SELECT workflow_execution FROM workflow.workflow_task_execution WHERE queue_at IS NOT NULL AND action_ref = 'demo.a'")
            .await;
        session.run(format!("SELECT workflow_erase({first})")).await;
        assert_eq!(claim_soon(&mut session, 91.0).await.len(), 1);
        other.run("COMMIT").await;
        assert_eq!(claim_soon(&mut session, 93.0).await.len(), 50);
    })
    .await;
}
