//! A slot does not stay free while a task waits that could have it, however long the key has been full.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

async fn assert_sound(session: &mut Session) {
    let broken: Vec<(String, String)> = session.rows("SELECT invariant, detail FROM workflow_check()").await;
    assert_eq!(broken, []);
}

/// Extends the leases of tasks by an hour.
async fn renew(session: &mut Session, tasks: &[&Task]) {
    for task in tasks {
        let (id, lease) = (task.task, task.lease_token);
        session.run(format!("SELECT * FROM workflow_heartbeat(ARRAY[{id}], ARRAY[{lease}], '1 hour')")).await;
    }
}

/// The task for which a slot was freed may lack another limit: those behind it get the slot at the next tick, however
/// long they have been waiting.
#[tokio::test]
async fn a_slot_that_the_first_cannot_use_goes_to_the_next() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("SELECT workflow_set_limit('a', max_running => 1)").await;
        session.run("SELECT workflow_set_limit('b', max_running => 1)").await;
        session
            .begin(
                "tasks:
  - {name: holds_b, action: demo.a, limit: b, priority: 2}
  - {name: holds_a, action: demo.a, limit: a, priority: 2}
  - {name: waits_for_both, action: demo.a, limit: [a, b], priority: 1}
  - {name: waits_too, action: demo.a, limit: a}
",
            )
            .await;
        let [only_a, only_b] = session.claim_named(["holds_a", "holds_b"]).await;
        session.at(60.0).await;
        renew(&mut session, &[&only_a, &only_b]).await;
        session.run("SELECT workflow_tick()").await;
        session.complete(&only_a, json!(null)).await;
        assert!(session.claim(9).await.is_empty());
        session.run("SELECT workflow_tick()").await;
        let [last] = session.claim_named(["waits_too"]).await;
        session
            .finish(&[(last.task, last.lease_token, "completed"), (only_b.task, only_b.lease_token, "completed")])
            .await;
        session.run("SELECT workflow_tick()").await;
        session.claim_named(["waits_for_both"]).await;
        assert_sound(&mut session).await;
    })
    .await;
}

/// A key that has been full for a minute is checked rarely, but also as soon as a slot becomes free.
#[tokio::test]
async fn a_slot_of_a_limit_with_a_rate_goes_to_the_next_at_once() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("SELECT workflow_set_limit('a', 1, rate => 10, per => '1 second')").await;
        session
            .begin(
                "tasks:\n  - {name: first, action: demo.a, limit: a, priority: 1}\n  - {name: second, action: demo.a, limit: a}\n",
            )
            .await;
        let [first] = session.claim_named(["first"]).await;
        session.at(60.0).await;
        renew(&mut session, &[&first]).await;
        session.run("SELECT workflow_tick()").await;
        session.complete(&first, json!(null)).await;
        session.run("SELECT workflow_tick()").await;
        session.claim_named(["second"]).await;
        assert_sound(&mut session).await;
    })
    .await;
}

/// A slot was freed for the first in line, which leaves the queue before a worker claims it: those behind it get the
/// slot at the next tick, however long they have been waiting.
#[tokio::test]
async fn a_slot_freed_for_a_task_that_never_starts_goes_to_the_next() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("SELECT workflow_set_limit('a', max_running => 1)").await;
        session.define_as("demo.first", "tasks:\n  - {name: first, action: demo.a, limit: a, priority: 1}\n").await;
        session.define("tasks:\n  - {name: task, action: demo.a, limit: a}\n").await;
        let mut start = 0.0;
        for leaves in [
            "workflow_cancel({first})",
            "workflow_pause({first})",
            "workflow_resolve((SELECT id FROM workflow.workflow_task_execution WHERE workflow_execution = {first}), 'failed')",
            "workflow_hold('demo.first', NULL, workflow.now() + interval '1 h', target => 'workflow')",
        ] {
            start += 1000.0;
            session.at(start).await;
            session.start().await;
            let [holder] = session.claim_named(["task"]).await;
            let first: i64 = session.value("SELECT workflow_start('demo.first')").await;
            session.start().await;
            assert!(session.claim(9).await.is_empty());
            session.at(start + 60.0).await;
            renew(&mut session, &[&holder]).await;
            session.run("SELECT workflow_tick()").await;
            session.complete(&holder, json!(null)).await;
            session.run(format!("SELECT {}", leaves.replace("{first}", &first.to_string()))).await;
            session.claim(9).await;
            session.run("SELECT workflow_tick()").await;
            let running = "SELECT array_agg(task_name) FROM workflow.workflow_task_execution WHERE status = 'running'";
            let claimed = session.claim(9).await.len();
            assert_eq!(session.value::<Option<Vec<String>>>(running).await, Some(vec!["task".to_owned()]), "{leaves}: {claimed}");
            assert_sound(&mut session).await;
            session.run("SELECT workflow_cancel(e.id, force => true) FROM workflow.execution e WHERE NOT workflow.is_end(e.status)").await;
        }
    })
    .await;
}
