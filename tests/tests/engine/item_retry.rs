//! Items are retried separately: successful ones are kept, and the error of a task is that of its first failed item.

use crate::fixture::Session;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

const CARDS: &str = "tasks:
  - name: charge
    action: demo.a
    with_items: {items: [a, b, c], on_item_failure: continue}
    input: {card: '{{ item }}'}
    retry: {count: 2, delay: 5}
    next:
      - {when: '{{ succeeded() }}', do: after}
      - {when: '{{ failed() }}', do: refund}
  - {name: after, action: demo.b, input: {all: '{{ task.charge.result }}', counts: '{{ task.charge.counts }}'}}
  - {name: refund, action: demo.c, input: {error: '{{ task.charge.error }}', errors: '{{ task.charge.errors }}', by: '{{ task.charge.ended_by }}', n: '{{ task.charge.attempts }}'}}
";

#[tokio::test]
async fn only_the_items_that_failed_run_again_and_each_counts_for_itself() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(CARDS).await;
        let [a, b, c] = session.claim_named(["charge"; 3]).await;
        assert_eq!(session.complete(&a, json!("paid a")).await, "completed");
        assert_eq!(session.fail(&b, json!({"type": "busy"})).await, "retrying");
        assert_eq!(session.fail(&b, json!({"type": "busy"})).await, "retrying", "a repeated report is answered alike");
        assert_eq!(session.complete(&c, json!("paid c")).await, "completed");
        assert!(session.claim(10).await.is_empty());
        session.at(5.0).await;
        session.run("SELECT workflow_tick()").await;
        let last: Value = session.value("SELECT to_jsonb(c) FROM workflow_claim('w1', 9) AS c").await;
        assert_eq!(
            (&last["task_index"], &last["attempt"], &last["last_error"]),
            (&json!(1), &json!(2), &json!({"type": "busy"}))
        );
        session.run(format!("SELECT workflow_complete({}, {}, '\"paid b\"')", last["task"], last["lease_token"])).await;
        let [after] = session.claim_named(["after"]).await;
        let counts = json!({"total": 3, "completed": 3, "failed": 0, "cancelled": 0});
        assert_eq!(after.input, Some(json!({"all": ["paid a", "paid b", "paid c"], "counts": counts})));
        session.complete(&after, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn the_error_of_a_task_is_its_first_failed_items_whatever_is_reported_together() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        for together in [false, true] {
            let id = session.begin(&CARDS.replace("count: 2, delay: 5", "count: 0")).await;
            let [a, b, c] = session.claim_named(["charge"; 3]).await;
            let report = |task: &crate::fixture::Task, status: &str, error: &str| {
                format!(
                    "ROW({}, {}, '{status}', NULL, {error}, NULL, NULL, NULL, NULL)::workflow.outcome",
                    task.task, task.lease_token
                )
            };
            let reports = [
                report(&c, "failed", "'{\"type\": \"late\"}'"),
                report(&a, "completed", "NULL"),
                report(&b, "timeout", "'\"slow\"'"),
            ];
            let calls = if together { vec![reports.join(", ")] } else { reports.to_vec() };
            let mut states = Vec::new();
            for call in calls {
                let rows: Vec<(String,)> =
                    session.rows(format!("SELECT state FROM workflow_finish(ARRAY[{call}])")).await;
                states.extend(rows.into_iter().map(|(state,)| state));
            }
            assert_eq!(states, ["failed", "completed", "timeout"], "each is answered for itself");
            let [refund] = session.claim_named(["refund"]).await;
            let slow = json!({"type": "timeout", "message": "slow", "item": 1});
            assert_eq!(
                refund.input,
                Some(json!({"error": slow, "errors": [slow, {"type": "late", "item": 2}], "by": null, "n": 3})),
                "together: {together}"
            );
            session.complete(&refund, json!(null)).await;
            session.assert_ended(id, "completed", json!(null)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn tolerated_failures_are_retried_first_and_max_failures_implies_continue() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "tasks:
  - {name: each, action: demo.a, with_items: {items: [1, 2, 3], max_failures: 1}, retry: {count: 1}, on_success: after}
  - {name: after, action: demo.b, input: {status: '{{ task.each.status }}', errors: '{{ task.each.errors }}'}}
";
        let id = session.begin(rest).await;
        let [one, two, three] = session.claim_named(["each"; 3]).await;
        assert_eq!(session.fail(&one, json!({"type": "x"})).await, "retrying");
        session.complete(&two, json!(2)).await;
        session.complete(&three, json!(3)).await;
        let [again] = session.claim_named(["each"]).await;
        assert_eq!(session.fail(&again, json!({"type": "x"})).await, "failed");
        let [after] = session.claim_named(["after"]).await;
        assert_eq!(after.input, Some(json!({"status": "completed", "errors": [{"type": "x", "item": 0}]})));
        session.complete(&after, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        let both = "ref: demo.x\nlabel: X\nversion: 1\ntasks: [{name: a, action: demo.a, with_items: {items: [1], max_failures: 1, on_item_failure: fail_fast}}]";
        let found: Vec<(String,)> = session.rows(format!("SELECT code FROM workflow_validate('{both}')")).await;
        assert_eq!(found, [("WF006".to_owned(),)]);
    })
    .await;
}

#[tokio::test]
async fn retries_of_all_items_together_are_counted_together() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "tasks: [{name: each, action: demo.a, with_items: {items: [1, 2], on_item_failure: continue}, retry: {count: 1, each: task}}]";
        let id = session.begin(rest).await;
        let [one, two] = session.claim_named(["each"; 2]).await;
        assert_eq!(session.fail(&one, json!({"message": "first"})).await, "retrying");
        assert_eq!(session.fail(&two, json!({"message": "second"})).await, "failed");
        session.work("each", json!(1)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        let message = session.status(id).await["error_message"].as_str().unwrap().to_owned();
        assert!(message.ends_with("item 1: second"), "{message}");
    })
    .await;
}

#[tokio::test]
async fn a_condition_that_reads_the_error_is_evaluated_for_each_item() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "tasks: [{name: each, action: demo.a, with_items: {items: [1, 2]}, retry: {count: 3, when: \"{{ failed() and error().type != 'compile' }}\"}}]";
        let id = session.begin(rest).await;
        let [one, two] = session.claim_named(["each"; 2]).await;
        assert_eq!(session.fail(&one, json!({"type": "net"})).await, "retrying");
        assert_eq!(session.fail(&two, json!({"type": "compile", "message": "no"})).await, "failed");
        session.assert_ended(id, "failed", json!(null)).await;
        assert!(session.status(id).await["error_message"].as_str().unwrap().ends_with("item 1: no"));
    })
    .await;
}
