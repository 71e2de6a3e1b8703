//! Reports: each is answered in order and counts once, and the tasks that follow may be handed over immediately.

use crate::explained::explain;
use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

const LINEAR: &str = "tasks:
  - {name: one, action: demo.a, on_success: two}
  - {name: two, action: demo.b, input: {x: '{{ task.one.result }}'}}
";

const PARALLEL: &str = "tasks:
  - {name: each, action: demo.a, with_items: '{{ range(parameters.n) | list }}', input: {x: '{{ item }}'}}
parameters: {properties: {n: {type: integer, default: 8}}}
";

#[tokio::test]
async fn each_report_of_a_batch_is_answered_in_its_place() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(LINEAR).await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[6]))").await;
        let tasks = session.claim(6).await;
        let (id, lease) = (|n: usize| tasks[n].task, tasks[0].lease_token);
        let outcome = |task: &str, lease: &str, status: &str| {
            format!("ROW({task}, {lease}, {status}, '1', '2', NULL, NULL, NULL, NULL)::workflow.outcome")
        };
        let (lease, no) = (lease.to_string(), "NULL");
        let list = [
            outcome(&id(0).to_string(), &lease, "'completed'"),
            outcome(&id(1).to_string(), "12345", "'completed'"),
            outcome("999999", &lease, "'completed'"),
            outcome(no, &lease, "'completed'"),
            outcome(&id(2).to_string(), no, "'completed'"),
            outcome(&id(3).to_string(), &lease, no),
            outcome(&id(3).to_string(), &lease, "'running'"),
            outcome(&id(4).to_string(), &lease, "'failed'"),
            outcome(&id(0).to_string(), &lease, "'completed'"),
            outcome(&id(0).to_string(), &lease, "'failed'"),
            "NULL".to_owned(),
            outcome(&id(5).to_string(), &lease, "'cancelled'"),
            outcome("-1", &lease, "'completed'"),
            outcome(&i64::MAX.to_string(), &lease, "'completed'"),
        ];
        let answers: Vec<Answer> =
            session.rows(format!("SELECT * FROM workflow_finish(ARRAY[{}])", list.join(", "))).await;
        let words: Vec<&str> = answers.iter().map(Answer::word).collect();
        assert_eq!(
            words,
            [
                "completed",
                "WF615",
                "WF616",
                "WF613",
                "WF613",
                "WF613",
                "WF613",
                "failed",
                "completed",
                "completed",
                "WF613",
                "cancelled",
                "WF616",
                "WF616"
            ],
            "{answers:#?}"
        );
        assert_eq!(answers[1].task, Some(id(1)));
        assert_eq!(answers[1].lease_token, Some(12345));
        assert!(answers.iter().all(|answer| answer.state.is_some() == answer.code.is_none()));
        assert!(answers.iter().all(|answer| answer.code.is_some() == answer.message.is_some()));
        // The refused reports have changed nothing: their tasks are still running, and can be reported.
        let running: Vec<i64> = session
            .value("SELECT array_agg(id ORDER BY id) FROM workflow.workflow_task_execution WHERE status = 'running'")
            .await;
        assert_eq!(running, [id(1), id(2), id(3)]);
        let two = session.claim_named(["two"]).await;
        assert_eq!(two[0].input, Some(json!({"x": 1})));
    })
    .await;
}

#[tokio::test]
async fn a_repeated_report_is_answered_alike_and_changes_nothing() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(LINEAR).await;
        let [one] = session.claim_named(["one"]).await;
        assert_eq!(session.complete(&one, json!(1)).await, "completed");
        let before = session.contents().await;
        session.at(5.0).await;
        assert_eq!(session.complete(&one, json!(1)).await, "completed");
        assert_eq!(session.complete(&one, json!("something else")).await, "completed");
        assert_eq!(session.fail(&one, json!(1)).await, "completed", "the first word counts");
        assert_eq!(session.finish(&[(one.task, one.lease_token, "failed"); 3]).await[2].word(), "completed");
        assert_eq!(session.contents().await, before);
        session.work("two", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        let before = session.contents().await;
        assert_eq!(session.complete(&one, json!(1)).await, "completed");
        assert_eq!(session.contents().await, before);
        // Another token belongs to another worker.
        let refusal = session.refused(format!("SELECT workflow_complete({}, {})", one.task, one.lease_token + 1)).await;
        assert_eq!(refusal.code(), ("55006", "WF615"));
    })
    .await;
}

#[tokio::test]
async fn an_invalid_report_is_refused_by_name() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin(LINEAR).await;
        let outside: i64 = session
            .value(
                "SELECT t.id FROM workflow_create_execution('demo.a') AS e,
                   LATERAL workflow_create_workflow_execution(e.id, (SELECT id FROM workflow.workflow_definition)) AS w,
                   LATERAL workflow_create_task_execution(w.id, 'x', status => 'running') AS t",
            )
            .await;
        let unclaimed: i64 =
            session.value("SELECT id FROM workflow.workflow_task_execution WHERE queue_at IS NOT NULL").await;
        for (call, sqlstate, code) in [
            ("workflow_complete(12345, 1)".to_owned(), "P0002", "WF616"),
            ("workflow_complete(-5, 1)".into(), "P0002", "WF616"),
            (format!("workflow_complete({unclaimed}, 1)"), "55006", "WF615"),
            (format!("workflow_complete({outside}, 1)"), "55000", "WF618"),
            (format!("workflow_fail({unclaimed}, 1, status => 'completed')"), "22023", "WF613"),
            (format!("workflow_fail({unclaimed}, 1, status => 'running')"), "22023", "WF613"),
            (format!("workflow_fail({unclaimed}, 1, status => '''; DROP TABLE workflow.pack; --')"), "22023", "WF613"),
            (format!("workflow_fail({unclaimed}, 1, status => NULL)"), "22023", "WF613"),
            (format!("workflow_complete({unclaimed}, NULL)"), "22023", "WF613"),
            ("workflow_complete(NULL, 1)".into(), "22023", "WF613"),
            ("workflow_finish(NULL)".into(), "22023", "WF613"),
            ("workflow_finish(array_fill(NULL::workflow.outcome, ARRAY[10001]))".into(), "54000", "WF614"),
            ("workflow_finish_and_claim('w1', NULL)".into(), "22023", "WF613"),
            ("workflow_finish_and_claim(NULL, '{}')".into(), "22023", "WF613"),
            ("workflow_finish_and_claim('w1', '{}', 0)".into(), "22023", "WF613"),
            ("workflow_finish_and_claim('w1', '{}', lease => '0')".into(), "22023", "WF613"),
        ] {
            let refusal = session.refused(format!("SELECT {call}")).await;
            assert_eq!(refusal.code(), (sqlstate, code), "{call}: {refusal:#?}");
        }
        assert!(session.finish(&[]).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_follows_is_handed_over_as_a_claim_would_give_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(LINEAR).await;
        let mut given: Vec<Value> = Vec::new();
        for by_hand in [true, false] {
            session.start().await;
            let [one] = session.claim_named(["one"]).await;
            session.at(7.0).await;
            let outcomes = format!("ARRAY[ROW({}, {}, 'completed', '[5]', NULL, NULL, NULL, NULL, NULL)::workflow.outcome]", one.task, one.lease_token);
            let task = if by_hand {
                session.run(format!("SELECT workflow_finish({outcomes})")).await;
                "SELECT to_jsonb(c) FROM workflow_claim('w1', 1, lease => '1 minute') AS c".to_owned()
            } else {
                format!(
                    "SELECT to_jsonb(c) - '{{state,code,message}}'::text[]
                     FROM workflow_finish_and_claim('w1', {outcomes}, 1, lease => '1 minute') AS c WHERE c.state = 'claimed'"
                )
            };
            given.push(session.value(task).await);
            let id = given.last().unwrap()["task"].as_i64().unwrap();
            given.push(
                session
                    .value(format!(
                        "SELECT jsonb_build_array(to_jsonb(t), to_jsonb(l)) FROM workflow.workflow_task_execution t
                         JOIN workflow.lease l ON l.part = t.part AND l.token = t.lease AND t.id = ANY (l.tasks) WHERE t.id = {id}"
                    ))
                    .await,
            );
            session.at(0.0).await;
        }
        let same = |value: &Value| {
            let mut value = value.clone();
            for object in [0, 1] {
                let object = if value.is_array() { &mut value[object] } else { &mut value };
                for key in ["task", "lease_token", "execution", "workflow_execution", "id", "lease", "token", "tasks"] {
                    object.as_object_mut().unwrap().remove(key);
                }
            }
            if let Some(lease) = value.get_mut(1) {
                // A reused lease is an older row.
                lease.as_object_mut().unwrap().remove("created");
            }
            value
        };
        assert_eq!(same(&given[0]), same(&given[2]));
        assert_eq!(same(&given[1]), same(&given[3]));
        let handed = &given[2];
        assert_eq!((&handed["input"], &handed["attempt"], &handed["task_name"]), (&json!({"x": [5]}), &json!(1), &json!("two")));
        assert_eq!(handed["lease_until"], "2026-01-01T00:01:07+00:00");
        assert_eq!(given[3][1]["worker"], "w1");
        // It belongs to the worker: no other worker gets it, and its report is accepted.
        assert!(session.claim(10).await.is_empty());
        let state: String = session.value(format!("SELECT workflow_complete({}, {})", handed["task"], handed["lease_token"])).await;
        assert_eq!(state, "completed");
    })
    .await;
}

#[tokio::test]
async fn a_worker_is_handed_only_what_it_serves_and_no_more_than_it_asks_for() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "tasks:
  - {name: fork, action: demo.a, on_success: [a1, a2, b1, b2]}
  - {name: a1, action: demo.a}
  - {name: a2, action: demo.a}
  - {name: b1, action: demo.b}
  - {name: b2, action: demo.b}
";
        session.begin(rest).await;
        let [fork] = session.claim_named(["fork"]).await;
        let rows: Vec<(String, Option<String>)> = session
            .rows(format!(
                "SELECT state, task_name FROM workflow_finish_and_claim('w1', {}, 3, ARRAY['demo.b', 'demo.x'])",
                outcome_array(&[(fork.task, fork.lease_token, "completed")])
            ))
            .await;
        let names: Vec<_> = rows.iter().map(|(state, name)| (state.as_str(), name.as_deref().unwrap_or(""))).collect();
        assert_eq!(names, [("completed", ""), ("claimed", "b1"), ("claimed", "b2")]);
        session.claim_named(["a1", "a2"]).await;
        session.start().await;
        let [fork] = session.claim_named(["fork"]).await;
        let rows: Vec<(String,)> = session
            .rows(format!(
                "SELECT state FROM workflow_finish_and_claim('w1', {}, 3)",
                outcome_array(&[(fork.task, fork.lease_token, "completed")])
            ))
            .await;
        assert_eq!(rows.len(), 4);
        assert_eq!(session.claim(10).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_batch_hands_over_and_fills_up_from_the_queue() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(LINEAR).await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[5]))").await;
        let mut outcomes: Vec<(i64, i64, &str)> = Vec::new();
        let mut claimed = 0;
        let mut rounds = 0;
        loop {
            let rows: Vec<(String, i64, i64)> = session
                .rows(format!(
                    "SELECT state, task, lease_token FROM workflow_finish_and_claim('w1', {}, 2)",
                    outcome_array(&outcomes)
                ))
                .await;
            let (answers, tasks) = rows.split_at(outcomes.len());
            assert!(answers.iter().all(|(state, ..)| state == "completed"), "{answers:?}");
            assert!(tasks.iter().all(|(state, ..)| state == "claimed"), "{tasks:?}");
            if tasks.is_empty() {
                break;
            }
            claimed += tasks.len();
            rounds += 1;
            outcomes = tasks.iter().map(|(_, task, lease)| (*task, *lease, "completed")).collect();
        }
        assert_eq!((claimed, rounds), (10, 6));
        let ended: i64 = session.value("SELECT count(*) FROM workflow.execution WHERE status = 'completed'").await;
        assert_eq!(ended, 5);
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.lease").await, 0);
    })
    .await;
}

#[tokio::test]
async fn refused_reports_do_not_keep_a_worker_from_getting_more() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin(LINEAR).await;
        let rows: Vec<(Option<String>, Option<String>)> = session
            .rows(format!(
                "SELECT state, code FROM workflow_finish_and_claim('w1', {}, 5)",
                outcome_array(&[(99, 1, "completed"), (98, 1, "failed")])
            ))
            .await;
        let words: Vec<_> = rows.iter().map(|(state, code)| state.as_deref().or(code.as_deref()).unwrap()).collect();
        assert_eq!(words, ["WF616", "WF616", "claimed"]);
    })
    .await;
}

#[tokio::test]
async fn reports_to_one_execution_from_many_sessions_at_once_all_count_once() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(PARALLEL).await;
        let id = session.start_with(json!({"n": 200})).await;
        let work = |name: &'static str| async move {
            let mut session = Session::new(db).await;
            let mut outcomes: Vec<(i64, i64, &str)> = Vec::new();
            let mut worked = Vec::new();
            loop {
                let rows: Vec<(Option<String>, i64, i64)> = session
                    .rows(format!(
                        "SELECT state, task, lease_token FROM workflow_finish_and_claim('{name}', {}, 3)",
                        outcome_array(&outcomes)
                    ))
                    .await;
                let (answers, tasks) = rows.split_at(outcomes.len());
                assert!(answers.iter().all(|(state, ..)| matches!(state.as_deref(), Some("completed"))), "{answers:?}");
                if tasks.is_empty() {
                    return worked;
                }
                outcomes = tasks.iter().map(|(_, task, lease)| (*task, *lease, "completed")).collect();
                worked.extend(tasks.iter().map(|(_, task, _)| *task));
            }
        };
        let (a, b, c, d) = tokio::join!(work("w1"), work("w2"), work("w3"), work("w4"));
        let mut all = [a, b, c, d].concat();
        assert_eq!(all.len(), 200);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 200, "a task went to two workers");
        // Two sessions that reported at the same time at the very end have not seen each other.
        session.run("SELECT workflow_tick()").await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn crossing_batches_of_many_executions_do_not_deadlock() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks:\n  - {name: a, action: demo.a}\n  - {name: b, action: demo.b}\n").await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[100]))").await;
        let report = |action: &'static str, backwards: bool| async move {
            let mut session = Session::new(db).await;
            let mut tasks: Vec<Task> =
                session.rows(format!("SELECT * FROM workflow_claim('w1', 100, ARRAY['{action}'])")).await;
            tasks.sort_by_key(|task| if backwards { -task.task } else { task.task });
            for batch in tasks.chunks(20) {
                let outcomes: Vec<_> = batch.iter().map(|task| (task.task, task.lease_token, "completed")).collect();
                let answers = session.finish(&outcomes).await;
                assert!(answers.iter().all(|answer| answer.word() == "completed"), "{answers:?}");
            }
        };
        tokio::join!(report("demo.a", false), report("demo.b", true));
        session.run("SELECT workflow_tick()").await;
        let ended: i64 = session.value("SELECT count(*) FROM workflow.execution WHERE status = 'completed'").await;
        assert_eq!(ended, 100);
    })
    .await;
}

#[tokio::test]
async fn a_report_is_undone_with_its_transaction_and_can_be_made_again() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(LINEAR).await;
        let [one] = session.claim_named(["one"]).await;
        let before = session.contents().await;
        session.run("BEGIN").await;
        session.complete(&one, json!(1)).await;
        session.run("ROLLBACK").await;
        assert_eq!(session.contents().await, before);
        assert_eq!(session.complete(&one, json!(2)).await, "completed");
        let [two] = session.claim_named(["two"]).await;
        assert_eq!(two.input, Some(json!({"x": 2})));
        session.complete(&two, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_batch_of_a_thousand_takes_as_many_statements_as_one() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(LINEAR).await;
        let mut counts = Vec::new();
        for size in [1, 1, 1000] {
            session
                .run(format!("SELECT workflow_start_many('demo.w', array_fill('{{}}'::jsonb, ARRAY[{size}]))"))
                .await;
            let claim = format!("CREATE TEMP TABLE one AS SELECT * FROM workflow_claim('w1', {size})");
            let finish = "CREATE TEMP TABLE answer AS SELECT * FROM workflow_finish((SELECT array_agg(
              ROW(task, lease_token, 'completed', '1', NULL, NULL, NULL, NULL, NULL)::workflow.outcome) FROM one))";
            let count = "SELECT count(*) FROM answer WHERE state = 'completed'";
            let Some(explained) = explain(&mut session, db, &[], [&claim, finish, count]).await else { return };
            assert_eq!(explained.printed, size.to_string());
            // Foreign keys are checked row by row, with a cached plan.
            counts.push(explained.plans.iter().filter(|plan| !plan.contains("FOR KEY SHARE")).count());
            session.run("SELECT workflow_claim('w1', 1000)").await;
        }
        assert_eq!(counts[1], counts[2], "{counts:?}");
        assert!((5..30).contains(&counts[1]), "{counts:?}");
    })
    .await;
}

#[tokio::test]
async fn a_report_may_come_from_another_session_than_the_claim() {
    with_database(async |db| {
        let (mut claimer, mut reporter) = (Session::new(db).await, Session::new(db).await);
        claimer.define("tasks: [{name: a, action: demo.a}]").await;
        let [first, second, third] = [claimer.start().await, claimer.start().await, claimer.start().await];
        let [a, b] = claimer.claim(2).await.try_into().unwrap();
        let [c] = reporter.claim(1).await.try_into().unwrap();
        // One of its own tasks, one of another session; then one that it does not know at all.
        let both = [(c.task, c.lease_token, "completed"), (a.task, a.lease_token, "completed")];
        assert!(reporter.finish(&both).await.iter().all(|answer| answer.word() == "completed"));
        let rest = [(b.task, b.lease_token, "completed")];
        assert_eq!(reporter.finish(&rest).await[0].word(), "completed");
        assert_eq!(claimer.finish(&rest).await[0].word(), "completed", "repeated by who claimed");
        for execution in [first, second, third] {
            assert_eq!(claimer.status(execution).await["status"], "completed");
        }
    })
    .await;
}

#[tokio::test]
async fn a_retry_that_another_report_of_the_batch_withdraws_is_answered_as_cancelled() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .begin("tasks: [{name: a, action: demo.a, retry: {count: 3, delay: 60}}, {name: b, action: demo.b}]\n")
            .await;
        let [a, b] = session.claim_named(["a", "b"]).await;
        let report = [(a.task, a.lease_token, "failed"), (b.task, b.lease_token, "failed")];
        for _ in 0..2 {
            let answers = session.finish(&report).await;
            assert_eq!(answers.iter().map(Answer::word).collect::<Vec<_>>(), ["cancelled", "failed"]);
        }
    })
    .await;
}

#[tokio::test]
async fn an_item_that_fails_in_one_batch_with_a_task_that_leads_to_a_wait_has_failed() {
    const SOURCE: &str = "tasks:
  - {name: one, action: demo.a, on_success: asked}
  - {name: asked, wait_for: {signal: go}}
  - {name: many, action: demo.b, with_items: [1, 2]}
";
    for order in [[2, 0, 1], [2, 1, 0], [0, 2, 1], [1, 2, 0], [0, 1, 2], [1, 0, 2]] {
        with_database(async |db| {
            let mut session = Session::new(db).await;
            let id = session.begin(SOURCE).await;
            let tasks = session.claim_named(["many", "many", "one"]).await;
            let ends = ["completed", "failed", "completed"];
            let outcomes = order.map(|place| (tasks[place].task, tasks[place].lease_token, ends[place]));
            let answers = session.finish(&outcomes).await;
            assert_eq!(answers.iter().map(|answer| answer.word()).collect::<Vec<_>>(), order.map(|place| ends[place]));
            session.assert_ended(id, "failed", serde_json::json!(null)).await;
        })
        .await;
    }
}
