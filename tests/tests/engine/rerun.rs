//! Continuing executions that ended without success: failed tasks, named ones, items.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

const LINEAR: &str = "tasks:
  - {name: one, action: demo.a, on_success: two}
  - {name: two, action: demo.b}
";

async fn control(session: &mut Session, call: String) -> String {
    session.value(format!("SELECT workflow_{call}::text")).await
}

#[tokio::test]
async fn a_rerun_continues_a_failed_execution_from_its_failed_task() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(LINEAR).await;
        session.work("one", json!(1)).await;
        let [two] = session.claim_named(["two"]).await;
        session.fail(&two, json!({"type": "x"})).await;
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(control(&mut session, format!("rerun({id})")).await, "running");
        let status = session.status(id).await;
        assert_eq!((&status["ended"], &status["error_message"]), (&json!(false), &json!(null)), "{status:#}");
        // It is running now, so another rerun is refused.
        assert_eq!(session.refused(format!("SELECT workflow_rerun({id})")).await.code(), ("55000", "WF612"));
        session.work("two", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        // The report of the first run is stale, or gets the same answer as before; in no case does it take effect.
        let before = session.contents_but_refusals().await;
        let answer = session.finish(&[(two.task, two.lease_token, "failed")]).await.remove(0);
        assert!(["failed", "WF615"].contains(&answer.word()), "{answer:?}");
        assert_eq!(session.contents_but_refusals().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_rerun_reevaluates_skipped_tasks_and_continues_after_items_that_all_succeeded() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "parameters: {properties: {wanted: {}}}
tasks:
  - {name: maybe, action: demo.a, when: '{{ parameters.wanted is defined }}', on_success: after}
  - {name: after, action: demo.a}
  - {name: each, action: demo.b, with_items: [1, 2], on_success: next}
  - {name: next, action: demo.c}
",
            )
            .await;
        for item in session.claim_named(["each", "each"]).await {
            session.complete(&item, json!(null)).await;
        }
        let [next] = session.claim_named(["next"]).await;
        session.fail(&next, json!(null)).await;
        assert_eq!(control(&mut session, format!("rerun({id}, ARRAY['maybe', 'each'])")).await, "running");
        session.work("next", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        let skipped: i64 = session
            .value("SELECT count(*) FROM workflow.workflow_task_execution WHERE task_name = 'maybe' AND skipped")
            .await;
        assert_eq!(skipped, 2);
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_execution_can_be_rerun_from_named_tasks() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(LINEAR).await;
        session.work("one", json!(1)).await;
        let [two] = session.claim_named(["two"]).await;
        control(&mut session, format!("cancel({id})")).await;
        session.fail(&two, json!(null)).await;
        session.assert_ended(id, "cancelled", json!(null)).await;
        assert_eq!(control(&mut session, format!("rerun({id}, ARRAY['one'])")).await, "running");
        session.work("one", json!(2)).await;
        session.work("two", json!(3)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn only_unsuccessful_items_run_again_unless_items_are_reset() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define(
                "tasks:
  - name: each
    action: demo.a
    with_items: {items: [a, b, c, d], on_item_failure: continue, max_failures: 0}
    input: {x: '{{ item }}'}
    publish: {all: '{{ result() }}'}
output_map: [{all: \"{{ vars.all | default('none') }}\"}]
",
            )
            .await;
        for (reset, named, again) in [
            (false, "", vec![1, 3]),
            (false, "ARRAY['each'], ", vec![1, 3]),
            (true, "", vec![0, 1, 2, 3]),
            (true, "ARRAY['each'], ", vec![0, 1, 2, 3]),
        ] {
            let id = session.start().await;
            let items = session.claim(10).await;
            let outcomes: Vec<String> = items
                .iter()
                .map(|item| {
                    let index = item.task_index.unwrap();
                    let status = if index % 2 == 1 { "failed" } else { "completed" };
                    format!(
                        "ROW({}, {}, '{status}', '\"old {index}\"', NULL, NULL, NULL, NULL, NULL)::workflow.outcome",
                        item.task, item.lease_token
                    )
                })
                .collect();
            session.run(format!("SELECT workflow_finish(ARRAY[{}])", outcomes.join(","))).await;
            assert_eq!(session.status(id).await["status"], "failed");
            control(&mut session, format!("rerun({id}, {named}reset_items => {reset})")).await;
            let items = session.claim(10).await;
            assert_eq!(items.iter().map(|item| item.task_index.unwrap()).collect::<Vec<_>>(), again);
            for item in &items {
                session.complete(item, json!(format!("new {}", item.task_index.unwrap()))).await;
            }
            let expected = if reset {
                json!({"all": ["new 0", "new 1", "new 2", "new 3"]})
            } else {
                json!({"all": ["old 0", "new 1", "old 2", "new 3"]})
            };
            session.assert_ended(id, "completed", expected).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_rerun_runs_the_finally_task_only_at_its_own_end() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(&format!("finally: tidy\n{LINEAR}  - {{name: tidy, action: demo.c}}\n")).await;
        let id = session.start().await;
        session.work("one", json!(null)).await;
        let [two] = session.claim_named(["two"]).await;
        session.fail(&two, json!(null)).await;
        session.work("tidy", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        control(&mut session, format!("rerun({id})")).await;
        session.work("two", json!(null)).await;
        // Now, only the last task fails.
        let [tidy] = session.claim_named(["tidy"]).await;
        session.fail(&tidy, json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        control(&mut session, format!("rerun({id})")).await;
        session.work("tidy", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_rerun_that_leaves_a_failure_as_it_was_ends_failed_and_says_so() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin("tasks: [{name: a, action: demo.a}, {name: b, action: demo.a}]").await;
        for task in session.claim_named(["a", "b"]).await {
            session.fail(&task, json!(null)).await;
        }
        control(&mut session, format!("rerun({id}, ARRAY['a'])")).await;
        session.work("a", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        assert_eq!(session.status(id).await["error_message"], "the rerun left other failed tasks as they were: b");
        control(&mut session, format!("rerun({id})")).await;
        session.work("b", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

/// A join fires once: the tasks after it do not run again, so their failure remains.
#[tokio::test]
async fn a_failure_after_a_join_that_has_fired_stays_when_what_led_to_it_is_rerun() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        for join in ["all", "{count: 2, rest: cancel}"] {
            let id = session
                .begin(&format!(
                    "tasks:
  - {{name: s, action: demo.a, on_success: [a, b]}}
  - {{name: a, action: demo.a, on_success: j}}
  - {{name: b, action: demo.a, on_success: j}}
  - {{name: j, join: {join}, on_success: z}}
  - {{name: z, action: demo.b}}
"
                ))
                .await;
            session.work("s", json!(null)).await;
            for task in session.claim_named(["a", "b"]).await {
                session.complete(&task, json!(null)).await;
            }
            let [z] = session.claim_named(["z"]).await;
            session.fail(&z, json!(null)).await;
            control(&mut session, format!("rerun({id}, ARRAY['a'])")).await;
            session.work("a", json!(null)).await;
            session.assert_ended(id, "failed", json!(null)).await;
            assert_eq!(session.status(id).await["error_message"], "the rerun left other failed tasks as they were: z");
            control(&mut session, format!("rerun({id})")).await;
            session.work("z", json!(null)).await;
            session.assert_ended(id, "completed", json!(null)).await;
        }
    })
    .await;
}
