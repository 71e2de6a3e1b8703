//! A task that follows from a report under a limit is handed to the asking worker at once, with the slot of the
//! previous task.

use crate::fixture::*;
use pg_workflow_tests::with_database;

const CHAIN: &str = "tasks:
  - {name: first, action: demo.a, limit: {name: one}, on_success: second}
  - {name: second, action: demo.a, limit: {name: one}, on_success: third}
  - {name: third, action: demo.a, limit: {name: one}}
";

/// Completes a task and claims up to 10. Returns what was claimed.
async fn turn(session: &mut Session, task: &Claimed) -> Vec<Claimed> {
    session
        .rows(format!(
            "SELECT execution, task_name, task, lease_token
             FROM workflow_finish_and_claim('w', {}, 10) WHERE state = 'claimed' ORDER BY task",
            outcome_array(&[(task.2, task.3, "completed")])
        ))
        .await
}

/// The execution, the name, the id and the lease token of a task.
type Claimed = (i64, String, i64, i64);

async fn claim(session: &mut Session) -> Vec<Claimed> {
    session.rows("SELECT execution, task_name, task, lease_token FROM workflow_claim('w', 10) ORDER BY task").await
}

/// Returns tasks that hold slots, with the names of their limits.
async fn slots(session: &mut Session) -> Vec<(String, i64)> {
    session
        .rows(
            "SELECT k.limit_name, s.task FROM workflow.limit_slot s JOIN workflow.limit_key k ON k.id = s.key
             WHERE s.task IS NOT NULL ORDER BY 1, 2",
        )
        .await
}

/// Returns the number of tasks that started when they were created, in the statement that inserted them.
async fn handed_over(session: &mut Session) -> i64 {
    session
        .value("SELECT count(*) FROM workflow.workflow_task_execution WHERE attempt = 1 AND status = 'running' AND xmax = '0'")
        .await
}

async fn assert_sound(session: &mut Session) {
    let broken: Vec<(String, String)> = session.rows("SELECT invariant, detail FROM workflow_check()").await;
    assert_eq!(broken, []);
}

#[tokio::test]
async fn the_next_task_gets_the_slot_of_the_one_before() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        for mode in ["auto", "force_generic_plan"] {
            session.run(format!("SET plan_cache_mode = {mode}")).await;
            session.run("SELECT workflow_set_limit('one', max_running => 1)").await;
            session.define(CHAIN).await;
            // Often enough for plans to change.
            for _ in 0..7 {
                session.start().await;
                let mut claimed = claim(&mut session).await;
                for name in ["second", "third"] {
                    claimed = turn(&mut session, &claimed[0]).await;
                    assert_eq!((claimed.len(), claimed[0].1.as_str()), (1, name));
                    assert_eq!(slots(&mut session).await, [("one".into(), claimed[0].2)]);
                    assert_eq!(handed_over(&mut session).await, 1);
                    assert_sound(&mut session).await;
                }
                assert_eq!(turn(&mut session, &claimed[0]).await, []);
                assert_eq!(slots(&mut session).await, []);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn slots_go_to_the_longest_waiting() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("SELECT workflow_set_limit('one', max_running => 1)").await;
        session.define(CHAIN).await;
        let (first, other) = (session.start().await, session.start().await);
        let claimed = claim(&mut session).await;
        assert_eq!((claimed.len(), claimed[0].0), (1, first));
        let mut order = Vec::new();
        let mut next = claimed;
        while let [task] = &next[..] {
            order.push((task.0, task.1.clone()));
            assert_sound(&mut session).await;
            next = turn(&mut session, task).await;
        }
        let expected = ["first", "second", "third"].map(|name| [(first, name.to_owned()), (other, name.to_owned())]);
        assert_eq!(order, expected.concat());
        assert_eq!(slots(&mut session).await, []);
    })
    .await;
}

/// All slots or none: a slot that cannot be used goes to another task.
#[tokio::test]
async fn a_task_that_lacks_another_slot_leaves_the_one_before_it_to_others() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("SELECT workflow_set_limit('one', max_running => 1)").await;
        session.run("SELECT workflow_set_limit('two', max_running => 1)").await;
        session.define_as("demo.holder", "tasks: [{name: holder, action: demo.b, limit: two}]").await;
        session
            .define(
                "tasks:
  - {name: first, action: demo.a, limit: one, on_success: both}
  - {name: both, action: demo.a, limit: [one, two]}
",
            )
            .await;
        session.run("SELECT workflow_start('demo.holder')").await;
        let holder = claim(&mut session).await;
        session.start().await;
        let first = claim(&mut session).await;
        assert_eq!(first[0].1, "first");
        assert_eq!(turn(&mut session, &first[0]).await, []);
        assert_eq!(slots(&mut session).await, [("two".into(), holder[0].2)]);
        assert_sound(&mut session).await;
        let both = turn(&mut session, &holder[0]).await;
        assert_eq!(both[0].1, "both");
        assert_eq!(slots(&mut session).await, [("one".into(), both[0].2), ("two".into(), both[0].2)]);
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn a_lowered_limit_a_hold_and_a_rate_hold_for_what_follows_too() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("SELECT workflow_set_limit('one', max_running => 2)").await;
        session.define(CHAIN).await;
        for _ in 0..2 {
            session.start().await;
        }
        let claimed = claim(&mut session).await;
        assert_eq!(claimed.len(), 2);
        session.run("SELECT workflow_set_limit('one', max_running => 1)").await;
        assert_eq!(turn(&mut session, &claimed[0]).await, []);
        assert_eq!(slots(&mut session).await, [("one".into(), claimed[1].2)]);
        let next = turn(&mut session, &claimed[1]).await;
        assert_eq!(next.len(), 1);
        assert_sound(&mut session).await;

        session.run("SELECT workflow_hold('one', NULL, workflow.now() + interval '1 h')").await;
        assert_eq!(turn(&mut session, &next[0]).await, []);
        assert_eq!(slots(&mut session).await, []);
        session.run("SELECT workflow_release('one')").await;
        session.run("SELECT workflow_tick()").await;

        session.at(10.0).await;
        session.run("SELECT workflow_set_limit('one', rate => 1, per => '1 minute')").await;
        let next = claim(&mut session).await;
        assert_eq!(next.len(), 1);
        assert_eq!(turn(&mut session, &next[0]).await, []);
        session.at(100.0).await;
        assert_eq!(claim(&mut session).await.len(), 1);
        assert_sound(&mut session).await;
    })
    .await;
}
