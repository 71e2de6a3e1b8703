use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

fn indexes(tasks: &[Task]) -> Vec<i32> {
    tasks.iter().map(|task| task.task_index.unwrap()).collect()
}

#[tokio::test]
async fn only_so_many_items_run_at_once_and_the_result_is_in_their_order() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define(
                "parameters: {properties: {list: {type: array}}}
tasks:
  - name: each
    action: demo.a
    with_items: {items: '{{ parameters.list }}', concurrency: 2}
    input: {item: '{{ item }}', number: '{{ index }}'}
    publish: {all: '{{ result() }}'}
    on_success: after
  - {name: after, action: demo.b, input: {all: '{{ vars.all }}'}}
",
            )
            .await;
        let id = session.start_with(json!({"list": ["a", "b", "c", "d", "e"]})).await;
        let first = session.claim(10).await;
        assert_eq!(indexes(&first), [0, 1]);
        assert_eq!(first[1].input, Some(json!({"item": "b", "number": 1})));
        // The second ends before the first, and the third follows it.
        assert_eq!(session.complete(&first[1], json!("B")).await, "completed");
        let second = session.claim(10).await;
        assert_eq!(indexes(&second), [2]);
        assert!(session.claim(10).await.is_empty());
        session.complete(&second[0], json!("C")).await;
        session.complete(&first[0], json!("A")).await;
        let last = session.claim(10).await;
        assert_eq!(indexes(&last), [3, 4]);
        session.complete(&last[1], json!("E")).await;
        assert_eq!(session.status(id).await["current_tasks"], json!(["each"]));
        assert_eq!(session.complete(&last[0], json!("D")).await, "completed");
        let [after] = session.claim_named(["after"]).await;
        assert_eq!(after.input, Some(json!({"all": ["A", "B", "C", "D", "E"]})));
        session.complete(&after, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn an_empty_list_completes_at_once_with_an_empty_result() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - {name: each, action: demo.a, with_items: [], input: {x: '{{ item }}'}, publish: {all: '{{ result() }}'}, on_success: after}
  - {name: after, action: demo.b, input: {all: '{{ vars.all }}'}}
",
            )
            .await;
        let [after] = session.claim_named(["after"]).await;
        assert_eq!(after.input, Some(json!({"all": []})));
        session.complete(&after, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn after_a_failed_item_no_new_one_starts_and_the_task_fails_when_none_is_active() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - {name: each, action: demo.a, with_items: {items: [1, 2, 3, 4], concurrency: 2}, input: {x: '{{ item }}'}, on_failure: mend}
  - {name: mend, action: demo.b}
",
            )
            .await;
        let items = session.claim(10).await;
        assert_eq!(indexes(&items), [0, 1]);
        assert_eq!(session.fail(&items[0], json!({"type": "x"})).await, "failed");
        assert!(session.claim(10).await.is_empty());
        session.complete(&items[1], json!(null)).await;
        session.work("mend", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        let statuses: Vec<String> = session
            .value("SELECT array_agg(status::text ORDER BY task_index) FROM workflow.workflow_task_execution WHERE task_name = 'each'")
            .await;
        assert_eq!(statuses, ["failed", "completed", "cancelled", "cancelled"]);
    })
    .await;
}

#[tokio::test]
async fn with_continue_all_items_run_unless_more_fail_than_may() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        for (failures, max_failures, run, word) in [
            (1, ", max_failures: 1", 4, "completed"),
            (2, ", max_failures: 1", 2, "failed"),
            (2, ", max_failures: 50%", 4, "completed"),
            (4, ", max_failures: 100%", 4, "completed"),
            (0, "", 4, "completed"),
            (1, "", 4, "failed"),
            (4, "", 4, "failed"),
        ] {
            let id = session
                .begin(&format!(
                    "tasks:
  - name: each
    action: demo.a
    with_items: {{items: [1, 2, 3, 4], concurrency: 1, on_item_failure: continue{max_failures}}}
    input: {{x: '{{{{ item }}}}'}}
"
                ))
                .await;
            for index in 0..run {
                let [item] = session.claim_named(["each"]).await;
                assert_eq!(item.task_index, Some(index));
                if index < failures {
                    session.fail(&item, json!(null)).await;
                } else {
                    session.complete(&item, json!(null)).await;
                }
            }
            assert!(session.claim(1).await.is_empty());
            session.assert_ended(id, word, json!(null)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_follows_items_that_were_withdrawn_may_ask_for_their_error() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - name: each
    action: demo.a
    with_items: [1, 2, 3]
    next: [{when: '{{ failed() and error() is defined }}', do: mend}]
  - {name: mend, action: demo.b}
",
            )
            .await;
        let [item] = session.claim(1).await.try_into().unwrap();
        session.fail(&item, json!({"type": "x"})).await;
        session.work("mend", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn items_that_were_withdrawn_are_retried_as_often_as_their_task_says() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id =
            session.begin("tasks:\n  - {name: each, action: demo.a, with_items: [1, 2, 3], retry: {count: 2}}\n").await;
        for _ in 0..3 {
            let [item] = session.claim(1).await.try_into().unwrap();
            session.fail(&item, json!(null)).await;
        }
        session.assert_ended(id, "failed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_task_that_tolerates_its_failures_is_completed_for_whoever_reads_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .begin(
                "tasks:
  - {name: each, action: demo.a, with_items: {items: [1, 2], on_item_failure: continue, max_failures: 1}, on_success: then}
  - {name: then, action: demo.b, on_success: last}
  - {name: last, action: demo.c, input: {was: '{{ task.each.status }}'}}
",
            )
            .await;
        let items = session.claim(10).await;
        session.fail(&items[0], json!(null)).await;
        session.complete(&items[1], json!(null)).await;
        session.work("then", json!(null)).await;
        let [last] = session.claim_named(["last"]).await;
        assert_eq!(last.input, Some(json!({"was": "completed"})));
    })
    .await;
}

#[tokio::test]
async fn items_come_in_batches() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .begin(
                "tasks:
  - {name: each, action: demo.a, with_items: {items: '{{ range(5) | list }}', batch_size: 2}, input: {x: '{{ item }}', n: '{{ index }}'}}
",
            )
            .await;
        let inputs: Vec<Value> = session.claim(10).await.into_iter().map(|task| task.input.unwrap()).collect();
        assert_eq!(
            inputs,
            [json!({"x": [0, 1], "n": 0}), json!({"x": [2, 3], "n": 1}), json!({"x": [4], "n": 2})]
        );
    })
    .await;
}

#[tokio::test]
async fn a_thousand_items_are_reported_in_one_batch_and_counted_once() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - {name: each, action: demo.a, with_items: '{{ range(1000) | list }}', input: {x: '{{ item }}'}, publish: {n: '{{ result() | length }}'}}
output_map: [{n: '{{ vars.n }}'}]
",
            )
            .await;
        let tasks = session.claim(1000).await;
        assert_eq!(indexes(&tasks), (0..1000).collect::<Vec<_>>());
        let outcomes: Vec<_> = tasks.iter().map(|task| (task.task, task.lease_token, "completed")).collect();
        let answers = session.finish(&outcomes).await;
        assert_eq!(answers.len(), 1000);
        assert!(answers.iter().all(|answer| answer.word() == "completed"), "{:?}", answers[0]);
        session.assert_ended(id, "completed", json!({"n": 1000})).await;
    })
    .await;
}

#[tokio::test]
async fn too_many_items_fail_the_workflow_with_the_bound() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks:\n  - {name: each, action: demo.a, with_items: '{{ range(10001) | list }}', input: {x: '{{ item }}'}}\n").await;
        assert_eq!(session.refused("SELECT workflow_start('demo.w')").await.code(), ("54000", "WF614"));
    })
    .await;
}

#[tokio::test]
async fn items_have_labels_for_people() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let items = "with_items: {items: [{name: eu}, {name: us}], label: '{{ item.name }}'}";
        let id =
            session.begin(&format!("tasks: [{{name: a, action: demo.a, {items}}}, {{name: b, action: demo.b}}]")).await;
        let [_, us, _] = session.claim_named(["a", "a", "b"]).await;
        session.fail(&us, json!({"message": "no"})).await;
        let labels: Vec<(String, Option<String>)> =
            session.rows(format!("SELECT task_name, label FROM workflow_list_tasks({id})")).await;
        let label = |name: &str, label: Option<&str>| (name.to_owned(), label.map(str::to_owned));
        assert_eq!(labels, [label("a", Some("eu")), label("a", Some("us")), label("b", None)]);
        let told: Value =
            session.value(format!("SELECT detail FROM workflow_list_events({id}) WHERE kind = 'failed'")).await;
        assert_eq!(told["label"], "us");
        let bad = "tasks: [{name: a, action: demo.a, with_items: {items: [1], label: '{{ item.name }}'}}]";
        session.define(bad).await;
        assert_eq!(session.refused("SELECT workflow_start('demo.w')").await.code().1, "WF603");
    })
    .await;
}

/// Results are matched with items by position: an item without a result leaves its position empty.
#[tokio::test]
async fn the_list_of_results_has_a_place_for_every_item_up_to_the_last_that_began() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let pairs = "{pairs: '{{ zip([10, 20, 30], task.each.result) }}'}";
        session
            .define(&format!(
                "tasks:
  - {{name: each, wait_for: {{signal: 's{{{{ item }}}}'}}, with_items: {{items: [10, 20, 30], min_successes: 2}}, on_success: after}}
  - {{name: after, action: demo.b, input: {pairs}}}
"
            ))
            .await;
        let id = session.start().await;
        session.run(format!("SELECT workflow_signal({id}, 's20', '2'), workflow_signal({id}, 's30', '3')")).await;
        let [after] = session.claim_named(["after"]).await;
        assert_eq!(after.input, Some(json!({"pairs": [[10, null], [20, 2], [30, 3]]})));
        session.complete(&after, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;

        // One that was resolved by hand has a result without ever having begun.
        let id = session
            .begin(&format!(
                "tasks:
  - {{name: each, action: demo.a, with_items: {{items: [10, 20, 30], concurrency: 1}}, on_success: after}}
  - {{name: after, action: demo.b, input: {pairs}}}
"
            ))
            .await;
        let first: i64 = session
            .value(format!("SELECT task FROM workflow_list_tasks({id}) WHERE task_index = 0"))
            .await;
        session.run(format!("SELECT workflow_resolve({first}, result => '1')")).await;
        for result in [2, 3] {
            session.work("each", json!(result)).await;
        }
        let [after] = session.claim_named(["after"]).await;
        assert_eq!(after.input, Some(json!({"pairs": [[10, 1], [20, 2], [30, 3]]})));
    })
    .await;
}

/// An item that waits is withdrawn between the two reports; what is reported second has not ended by then, although its
/// row says so.
#[tokio::test]
async fn what_a_call_reports_later_has_not_ended_for_what_it_reported_before() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = r#"vars: [{seen: null}]
output_map: [{seen: '{{ vars.seen }}'}]
tasks:
  - {name: begin, on_success: [slow, fast]}
  - {name: slow, action: demo.a}
  - name: fast
    action: demo.b
    with_items: [1, 2]
    next: [{when: '{{ failed() }}', publish: [{seen: "{{ task.slow.status | default('nothing') }}"}]}]
"#;
        for _ in 0..6 {
            let id = session.begin(rest).await;
            let fast: Task = session.rows("SELECT * FROM workflow_claim('w1', 1, '{demo.b}')").await.remove(0);
            let slow: Task = session.rows("SELECT * FROM workflow_claim('w1', 1, '{demo.a}')").await.remove(0);
            let outcomes = [(fast.task, fast.lease_token, "failed"), (slow.task, slow.lease_token, "completed")];
            session.finish(&outcomes).await;
            session.assert_ended(id, "failed", json!({"seen": "nothing"})).await;
        }
    })
    .await;
}
