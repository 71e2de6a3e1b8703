use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

#[tokio::test]
async fn a_line_of_tasks_runs_one_after_the_other_and_publishes_to_the_next() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "vars: [{n: 1}]
tasks:
  - {name: one, action: demo.a, publish: [{n: '{{ result().n + vars.n }}'}], on_success: two}
  - {name: two, action: demo.b, input: {n: '{{ vars.n }}', text: 'n is {{ vars.n }}'}, on_success: three}
  - {name: three, action: demo.c, input: '{{ task.two.result }}'}
output_map: [{n: '{{ vars.n }}'}, {last: '{{ task.three.result }}'}]
",
            )
            .await;
        let status = session.status(id).await;
        assert_eq!((&status["status"], &status["ended"]), (&json!("running"), &json!(false)));
        session.work("one", json!({"n": 41})).await;
        assert_eq!(session.status(id).await["variables"], json!({"n": 42}));
        let [two] = session.claim_named(["two"]).await;
        assert_eq!((two.action.as_str(), two.input.clone()), ("demo.b", Some(json!({"n": 42, "text": "n is 42"}))));
        session.complete(&two, json!({"deep": [1, {"x": null}]})).await;
        let [three] = session.claim_named(["three"]).await;
        assert_eq!(three.input, Some(json!({"deep": [1, {"x": null}]})));
        session.complete(&three, json!("end")).await;
        session.assert_ended(id, "completed", json!({"n": 42, "last": "end"})).await;
        let status = session.status(id).await;
        assert_eq!(status["completed_tasks"], json!(["one", "two", "three"]));
    })
    .await;
}

#[tokio::test]
async fn a_join_waits_for_all_its_branches_and_merges_them_in_order_of_arrival() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "vars: [{last: none}, {a: 0}, {b: 0}]
tasks:
  - {name: fork, on_success: [a, b]}
  - {name: a, action: demo.a, publish: [{a: 1}, {last: a}], on_success: join}
  - {name: b, action: demo.b, publish: [{b: 2}, {last: b}], on_success: join}
  - {name: join, action: demo.c, join: all, input: {all: '{{ [vars.a, vars.b, vars.last] }}'}}
",
            )
            .await;
        let [a, b] = session.claim_named(["a", "b"]).await;
        session.complete(&b, json!(null)).await;
        assert!(session.claim(1).await.is_empty());
        session.complete(&a, json!(null)).await;
        let [join] = session.claim_named(["join"]).await;
        assert_eq!(join.input, Some(json!({"all": [1, 2, "a"]})));
        session.complete(&join, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_join_of_two_fires_once_when_the_second_arrives() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - {name: fork, on_success: [a, b, c]}
  - {name: a, action: demo.a, on_success: join}
  - {name: b, action: demo.b, on_success: join}
  - {name: c, action: demo.c, on_success: join}
  - {name: join, action: demo.d, join: 2}
",
            )
            .await;
        let [a, b, c] = session.claim_named(["a", "b", "c"]).await;
        session.complete(&a, json!(null)).await;
        session.complete(&c, json!(null)).await;
        let [join] = session.claim_named(["join"]).await;
        session.complete(&join, json!(null)).await;
        assert_eq!(session.status(id).await["ended"], false);
        session.complete(&b, json!(null)).await;
        assert!(session.claim(1).await.is_empty());
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_join_that_cannot_be_reached_any_more_fails_the_workflow() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - {name: fork, on_success: [a, b]}
  - {name: a, action: demo.a, on_success: join}
  - name: b
    action: demo.b
    next: [{when: '{{ succeeded() and result().go }}', do: join}]
  - {name: join, action: demo.c, join: all}
",
            )
            .await;
        let [a, b] = session.claim_named(["a", "b"]).await;
        session.complete(&a, json!(null)).await;
        session.complete(&b, json!({"go": false})).await;
        session.assert_ended(id, "failed", json!(null)).await;
        let message = session.status(id).await["error_message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("WF608") && message.contains("join"), "{message}");
    })
    .await;
}

#[tokio::test]
async fn a_task_without_join_runs_once_for_each_way_that_leads_to_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "vars: {from: none}
tasks:
  - {name: a, action: demo.a, publish: {from: a}, on_success: note}
  - {name: b, action: demo.b, publish: {from: b}, on_success: note}
  - {name: note, action: demo.c, input: {from: '{{ vars.from }}'}}
",
            )
            .await;
        for task in session.claim_named(["a", "b"]).await {
            session.complete(&task, json!(null)).await;
        }
        let notes = session.claim_named(["note", "note"]).await;
        assert_eq!(notes.clone().map(|task| task.input.unwrap()["from"].clone()), [json!("a"), json!("b")]);
        for task in &notes {
            session.complete(task, json!(null)).await;
        }
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn every_true_transition_fires_and_a_decision_takes_the_first() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - name: every
    action: demo.a
    next:
      - {when: '{{ result() > 1 }}', do: [x]}
      - {when: '{{ result() > 2 }}', do: 'y'}
      - {when: '{{ result() > 3 }}', do: 'z'}
  - {name: x, action: demo.b}
  - name: 'y'
    action: demo.b
    decision:
      - {when: '{{ result() == 1 }}', next: x1}
      - {when: '{{ result() < 5 }}', next: x2}
      - {default: true, next: x3}
  - {name: z, action: demo.b}
  - {name: x1, action: demo.c}
  - {name: x2, action: demo.c}
  - {name: x3, action: demo.c}
",
            )
            .await;
        session.work("every", json!(3)).await;
        let [x, y] = session.claim_named(["x", "y"]).await;
        session.complete(&x, json!(null)).await;
        session.complete(&y, json!(1)).await;
        session.work("x1", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_task_whose_condition_is_false_is_skipped_and_satisfies_on_complete() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "parameters: {properties: {scan: {type: boolean}}}
tasks:
  - {name: build, action: demo.a, on_success: scan}
  - {name: scan, action: demo.b, when: '{{ parameters.scan }}', on_complete: ship, on_skipped: note}
  - {name: ship, action: demo.c}
  - {name: note, action: demo.d}
";
        session.define(rest).await;
        let id = session.start_with(json!({"scan": false})).await;
        session.work("build", json!(null)).await;
        let tasks = session.claim_named(["note", "ship"]).await;
        let status = session.status(id).await;
        assert_eq!((&status["skipped_tasks"], &status["completed_tasks"]), (&json!(["scan"]), &json!(["build"])));
        for task in &tasks {
            session.complete(task, json!(null)).await;
        }
        session.assert_ended(id, "completed", json!(null)).await;
        assert_eq!(session.status(id).await["skipped_tasks"], json!(["scan"]));
        let id = session.start_with(json!({"scan": true})).await;
        session.work("build", json!(null)).await;
        session.work("scan", json!(null)).await;
        session.work("ship", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_failure_that_nothing_handles_fails_the_workflow_while_what_runs_may_finish() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - {name: a, action: demo.a, on_success: later}
  - {name: b, action: demo.b, on_success: later}
  - {name: later, action: demo.c}
",
            )
            .await;
        let [a, b] = session.claim_named(["a", "b"]).await;
        assert_eq!(session.fail(&a, json!({"type": "disk", "message": "full"})).await, "failed");
        let status = session.status(id).await;
        assert_eq!((&status["status"], &status["ended"]), (&json!("failed"), &json!(false)));
        assert_eq!(session.complete(&b, json!(null)).await, "completed");
        session.assert_ended(id, "failed", json!(null)).await;
        let status = session.status(id).await;
        assert_eq!((&status["failed_tasks"], &status["completed_tasks"]), (&json!(["a"]), &json!(["b"])));
        assert!(session.claim(1).await.is_empty());
        let error: Value =
            session.value("SELECT error FROM workflow.workflow_task_execution WHERE task_name = 'a'").await;
        assert_eq!(error, json!({"type": "disk", "message": "full"}));
    })
    .await;
}

#[tokio::test]
async fn a_failure_that_a_transition_handles_can_end_in_success() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - {name: a, action: demo.a, on_success: good, on_failure: mend}
  - {name: good, action: demo.b}
  - {name: mend, action: demo.c, input: {why: '{{ task.a.error.type }}', status: '{{ task.a.status }}'}}
",
            )
            .await;
        let [a] = session.claim_named(["a"]).await;
        session.fail(&a, json!({"type": "disk"})).await;
        let [mend] = session.claim_named(["mend"]).await;
        assert_eq!(mend.input, Some(json!({"why": "disk", "status": "failed"})));
        session.complete(&mend, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn beside_fail_the_named_tasks_still_run_and_the_workflow_fails() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - name: a
    action: demo.a
    next: [{when: '{{ failed() }}', do: [alert, fail]}]
  - {name: alert, action: demo.b, on_success: [log, end]}
  - {name: log, action: demo.c}
  - {name: b, action: demo.d, on_success: end}
  - {name: end, action: demo.c}
",
            )
            .await;
        let [a, b] = session.claim_named(["a", "b"]).await;
        session.fail(&a, json!(null)).await;
        session.work("alert", json!(null)).await;
        session.work("log", json!(null)).await;
        session.complete(&b, json!(null)).await;
        // Tasks that can also be reached without a failure no longer start.
        assert!(session.claim(1).await.is_empty());
        session.assert_ended(id, "failed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_cycle_counts_its_visits_and_ends_at_the_limit() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "max_visits: 3
vars: {n: 0}
tasks:
  - {name: start, on_success: poll}
  - name: poll
    action: demo.a
    input: {n: '{{ vars.n }}'}
    next:
      - {when: '{{ not result().done }}', publish: {n: '{{ vars.n + 1 }}'}, do: poll}
      - {when: '{{ result().done }}', do: last}
  - {name: last, action: demo.b}
";
        let good = session.begin(rest).await;
        for n in 0..2 {
            let [poll] = session.claim_named(["poll"]).await;
            assert_eq!(poll.input, Some(json!({"n": n})));
            session.complete(&poll, json!({"done": n == 1})).await;
        }
        session.work("last", json!(null)).await;
        session.assert_ended(good, "completed", json!(null)).await;
        let endless = session.start().await;
        for _ in 0..3 {
            session.work("poll", json!({"done": false})).await;
        }
        session.assert_ended(endless, "failed", json!(null)).await;
        let message = session.status(endless).await["error_message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("WF609") && message.contains("poll"), "{message}");
    })
    .await;
}

#[tokio::test]
async fn what_fails_to_render_fails_the_workflow_and_names_task_and_expression() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        for (rest, code, words) in [
            (
                "tasks:\n  - {name: a, action: demo.a, on_success: b}\n  - {name: b, action: demo.b, input: {x: '{{ task.a.result.missing }}'}}\n",
                "WF602",
                ["task b", "task.a.result.missing"],
            ),
            (
                "tasks:\n  - {name: a, action: demo.a, on_success: b}\n  - {name: b, action: demo.b, with_items: '{{ task.a.result }}', input: {x: '{{ item }}'}}\n",
                "WF603",
                ["task b", "must be a list"],
            ),
            (
                "tasks:\n  - {name: a, action: demo.a, next: [{when: '{{ result().x.y > 1 }}', do: b}]}\n  - {name: b, action: demo.b}\n",
                "WF604",
                ["task a", "result().x.y > 1"],
            ),
            (
                "tasks:\n  - {name: a, action: demo.a, publish: {p: '{{ result() + 1 }}'}}\n",
                "WF605",
                ["task a", "result() + 1"],
            ),
            (
                "tasks:\n  - {name: a, action: demo.a}\noutput_map: [{good: 1}, {bad: '{{ task.a.result.x.y }}'}]\n",
                "WF606",
                ["bad", "task.a.result.x.y"],
            ),
            (
                "output: {type: object, properties: {n: {type: integer}}}\ntasks:\n  - {name: a, action: demo.a}\noutput_map: [{n: '{{ task.a.result | string }}'}]\n",
                "WF607",
                ["n", ""],
            ),
        ] {
            let id = session.begin(rest).await;
            session.work("a", json!({"z": 1})).await;
            let status = session.status(id).await;
            assert_eq!((&status["status"], &status["ended"]), (&json!("failed"), &json!(true)), "{code}: {status:#}");
            let message = status["error_message"].as_str().unwrap();
            assert!(message.starts_with(code) && words.iter().all(|word| message.contains(word)), "{code}: {message}");
            if code == "WF606" {
                assert_eq!(status["output"], json!({"good": 1}), "what was rendered is kept");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn results_are_data_and_never_rendered() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let evil = json!({"x": "{{ parameters.secret }} {% for i in range(9) %}{{ i }}{% endfor %}"});
        session
            .define(
                "parameters: {properties: {secret: {default: hidden}}}
vars: {kept: none}
tasks:
  - {name: a, action: demo.a, publish: {kept: '{{ result().x }}'}, on_success: b}
  - {name: b, action: demo.b, input: {plain: '{{ vars.kept }}', text: 'got {{ vars.kept }}'}}
output_map: [{kept: '{{ vars.kept }}'}]
",
            )
            .await;
        let id = session.start().await;
        session.work("a", evil.clone()).await;
        let [b] = session.claim_named(["b"]).await;
        let text = evil["x"].as_str().unwrap();
        assert_eq!(b.input, Some(json!({"plain": text, "text": format!("got {text}")})));
        session.complete(&b, json!(null)).await;
        session.assert_ended(id, "completed", json!({"kept": text})).await;
    })
    .await;
}

#[tokio::test]
async fn numbers_and_text_pass_through_a_workflow_unchanged() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin(
                "tasks:
  - {name: a, action: demo.a, on_success: b}
  - {name: b, action: demo.b, input: '{{ task.a.result }}'}
output_map: [{all: '{{ task.a.result }}'}]
",
            )
            .await;
        let value = json!({
            "big": 9007199254740993i64, "min": i64::MIN, "float": 0.1, "negative": -0.5, "zero": 0,
            "text": "ünï 🦀 \u{1} \\ \" '", "empty": "", "null": null, "list": [[], {}, [null]], "bool": false
        });
        session.work("a", value.clone()).await;
        let [b] = session.claim_named(["b"]).await;
        assert_eq!(b.input, Some(value.clone()));
        session.complete(&b, json!(null)).await;
        session.assert_ended(id, "completed", json!({"all": value})).await;
    })
    .await;
}
