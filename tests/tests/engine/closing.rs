//! Tasks that still run once an execution has failed, timed out or been cancelled: handlers that have begun, tasks
//! beside `fail`, the `finally` task, and tasks that follow from them.

use crate::fixture::Session;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

/// A task that fails, and a last task that is retried and leads to others.
const FINALLY: &str = "finally: tidy
tasks:
  - {name: work, action: demo.a}
  - {name: tidy, action: demo.b, retry: {count: 2, delay: 10}, on_success: tell}
  - {name: tell, action: demo.c}
";

/// Two branches, each with a handler.
const HANDLERS: &str = "finally: tidy
tasks:
  - {name: fork, on_success: [a, b, c]}
  - {name: a, action: demo.a, on_failure: refund}
  - {name: b, action: demo.a}
  - {name: c, action: demo.a, on_success: ship}
  - {name: ship, action: demo.e}
  - {name: refund, action: demo.b, retry: {count: 1}, next: [{when: '{{ succeeded() }}', do: [tell, ship]}]}
  - {name: tell, action: demo.c}
  - {name: tidy, action: demo.d}
";

#[tokio::test]
async fn the_last_task_is_retried_and_what_follows_it_runs() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(FINALLY).await;
        let [work] = session.claim_named(["work"]).await;
        session.fail(&work, json!({"message": "disk full"})).await;
        let [tidy] = session.claim_named(["tidy"]).await;
        assert_eq!(session.fail(&tidy, json!({"message": "no answer"})).await, "retrying");
        session.at(10.0).await;
        session.run("SELECT workflow_tick()").await;
        session.work("tidy", json!(null)).await;
        session.work("tell", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_closing_task_is_taken_over_from_a_dead_worker_also_after_a_cancel() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(FINALLY).await;
        session.run(format!("SELECT workflow_cancel({id})")).await;
        let [lost] = session.claim_named(["tidy"]).await;
        session.at(30.0).await;
        session.run("SELECT workflow_tick()").await;
        let [tidy] = session.claim_named(["tidy"]).await;
        assert_eq!((tidy.task, tidy.attempt), (lost.task, 2));
        session.complete(&tidy, json!(null)).await;
        session.work("tell", json!(null)).await;
        session.assert_ended(id, "cancelled", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn another_failure_a_cancel_and_a_timeout_withdraw_no_handler() {
    for stop in ["fail", "cancel", "timeout"] {
        with_database(async |db| {
            let mut session = Session::new(db).await;
            let id = session.begin(&format!("timeout: 20\n{HANDLERS}")).await;
            let [a, b, c] = session.claim_named(["a", "b", "c"]).await;
            session.fail(&a, json!({"message": "declined"})).await;
            match stop {
                "fail" => drop(session.fail(&b, json!({"message": "disk full"})).await),
                "cancel" => session.run(format!("SELECT workflow_cancel({id})")).await,
                _ => {
                    session.at(20.0).await;
                    session.run("SELECT workflow_tick()").await;
                }
            }
            let [refund] = session.claim_named(["refund"]).await;
            assert_eq!(session.fail(&refund, json!(null)).await, "retrying");
            // Running tasks on the forward paths may finish, but lead nowhere.
            session.complete(&c, json!(null)).await;
            if stop != "fail" {
                session.complete(&b, json!(null)).await;
            }
            session.work("refund", json!(null)).await;
            session.work("tell", json!(null)).await;
            session.work("tidy", json!(null)).await;
            let status = if stop == "fail" {
                "failed"
            } else if stop == "cancel" {
                "cancelled"
            } else {
                "timeout"
            };
            session.assert_ended(id, status, json!(null)).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_heartbeat_holds_closing_tasks_and_stops_the_others() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(HANDLERS).await;
        let [a, b, _] = session.claim_named(["a", "b", "c"]).await;
        session.fail(&a, json!(null)).await;
        let [refund] = session.claim_named(["refund"]).await;
        session.run(format!("SELECT workflow_cancel({id})")).await;
        let beat = format!(
            "SELECT state FROM workflow_heartbeat('{{{}, {}}}', '{{{}, {}}}')",
            b.task, refund.task, b.lease_token, refund.lease_token
        );
        assert_eq!(session.rows::<(String,)>(beat).await, [("stop".to_owned(),), ("held".to_owned(),)]);
    })
    .await;
}

#[tokio::test]
async fn a_closing_task_that_cannot_begin_is_a_recorded_failure() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "finally: tidy
vars: {why: null}
tasks:
  - {name: work, action: demo.a, on_success: more}
  - {name: more, action: demo.a}
  - {name: tidy, action: demo.b, input: {p: '{{ task.more.result }}'},
     next: [{when: '{{ failed() }}', publish: {why: '{{ error().message }}'}, do: tell}]}
  - {name: tell, action: demo.c, input: {why: '{{ vars.why }}'}}
";
        let id = session.begin(rest).await;
        let [work] = session.claim_named(["work"]).await;
        session.fail(&work, json!({"message": "disk full", "type": "disk"})).await;
        let [tell] = session.claim_named(["tell"]).await;
        let why = tell.input.clone().unwrap()["why"].as_str().unwrap().to_owned();
        assert!(why.starts_with("WF602: input of task tidy failed to evaluate"), "{why}");
        session.complete(&tell, json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
        let event = format!("SELECT kind FROM workflow_list_events({id}) WHERE task_name = 'tidy'");
        assert_eq!(session.value::<String>(event).await, "failed");
        let errors: Value =
            session.value(format!("SELECT errors FROM workflow.workflow_execution WHERE execution = {id}")).await;
        assert_eq!(errors.as_array().unwrap().len(), 2, "{errors:#}");
        assert_eq!((&errors[1]["task"], &errors[1]["code"]), (&json!("tidy"), &json!("WF602")));
        assert_eq!(errors[0]["task"], "work");
        assert_eq!(errors[0]["message"], "task work ended as failed and no transition handles it: disk full");
        assert_eq!(errors[0]["error"], json!({"message": "disk full", "type": "disk"}));
        assert!(errors[0]["time"].is_string());
        let message = format!("SELECT error_message FROM workflow_status({id})");
        assert_eq!(
            session.value::<Value>(format!("SELECT to_jsonb(m) FROM ({message}) AS m (m)")).await,
            errors[0]["message"]
        );
    })
    .await;
}

#[tokio::test]
async fn every_cause_is_kept_and_the_first_is_the_message() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(HANDLERS).await;
        let [a, b, c] = session.claim_named(["a", "b", "c"]).await;
        for task in [&a, &b, &c] {
            session.fail(task, json!({"message": format!("{} broke", task.task_name)})).await;
        }
        let [refund] = session.claim_named(["refund"]).await;
        session.fail(&refund, json!(null)).await;
        let [refund] = session.claim_named(["refund"]).await;
        session.fail(&refund, json!({"message": "the bank is closed"})).await;
        let [tidy] = session.claim_named(["tidy"]).await;
        session.fail(&tidy, json!("out of paper")).await;
        session.assert_ended(id, "failed", json!(null)).await;
        let causes: Vec<(String, String)> = session
            .rows(format!(
                "SELECT e ->> 'task', e ->> 'message' FROM workflow.workflow_execution w, jsonb_array_elements(w.errors) AS e
                 WHERE w.execution = {id}"
            ))
            .await;
        let no_handler = |task: &str, why: &str| {
            (task.to_owned(), format!("task {task} ended as failed and no transition handles it: {why}"))
        };
        let expected = [
            no_handler("b", "b broke"),
            no_handler("c", "c broke"),
            no_handler("refund", "the bank is closed"),
            no_handler("tidy", "out of paper"),
        ];
        assert_eq!(causes, expected);
        // A rerun begins a new list.
        session.run(format!("SELECT workflow_rerun({id})")).await;
        let none = format!("SELECT errors IS NULL AND error_message IS NULL FROM workflow.workflow_execution WHERE execution = {id}");
        assert!(session.value::<bool>(none).await);
    })
    .await;
}

#[tokio::test]
async fn force_ends_everything_at_once_and_is_logged() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.child", FINALLY).await;
        let rest = "finally: close
tasks:
  - {name: fork, on_success: [a, b]}
  - {name: a, action: demo.a, on_failure: close}
  - {name: b, action: demo.a}
  - {name: close, action: demo.child}
";
        let rest = rest
            .replace("on_failure: close", "on_failure: call")
            .replace("  - {name: close", "  - {name: call, action: demo.child}\n  - {name: close");
        let id = session.begin(&rest).await;
        let [a, b] = session.claim_named(["a", "b"]).await;
        session.fail(&a, json!(null)).await;
        session.run(format!("SELECT workflow_cancel({id})")).await;
        // The handler is a call: the cancel does not reach its child.
        let [work] = session.claim_named(["work"]).await;
        session.run(format!("SELECT workflow_cancel({id}, 'enough', force => true)")).await;
        session.run(format!("SELECT workflow_cancel({id}, force => true)")).await;
        session.assert_ended(id, "cancelled", json!(null)).await;
        for task in [&b, &work] {
            let stale = format!("SELECT workflow_complete({}, {})", task.task, task.lease_token);
            assert_eq!(session.refused(stale).await.code(), ("55006", "WF615"));
        }
        let statuses: Vec<(String,)> = session.rows("SELECT DISTINCT status::text FROM workflow.execution").await;
        assert_eq!(statuses, [("cancelled".to_owned(),)]);
        let event = format!(
            "SELECT count(*) FROM workflow_list_events({id}) WHERE kind = 'cancel' AND detail -> 'force' = 'true'"
        );
        assert_eq!(session.value::<i64>(event).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_pause_holds_what_closes_an_execution() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin(FINALLY).await;
        let [work] = session.claim_named(["work"]).await;
        session.run(format!("SELECT workflow_pause({id})")).await;
        session.fail(&work, json!(null)).await;
        assert!(session.claim(1).await.is_empty());
        session.run(format!("SELECT workflow_resume({id})")).await;
        session.work("tidy", json!(null)).await;
        session.run(format!("SELECT workflow_pause({id})")).await;
        assert!(session.claim(1).await.is_empty());
        session.run(format!("SELECT workflow_resume({id})")).await;
        session.work("tell", json!(null)).await;
        session.assert_ended(id, "failed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_retry_condition_is_evaluated_after_a_success_only_if_it_reads_the_result() {
    for (when, runs) in [
        ("parameters.n < 100", 1),
        ("error().type != 'declined'", 1),
        ("not result().done", 3),
        ("not result().missing.deep", 1),
        ("completed() and parameters.n < 100", 3),
    ] {
        with_database(async |db| {
            let mut session = Session::new(db).await;
            let rest = format!(
                "parameters: {{properties: {{n: {{type: number, default: 5}}}}}}
tasks:
  - {{name: charge, action: demo.a, retry: {{count: 2, when: \"{{{{ {when} }}}}\"}}}}
"
            );
            let id = session.begin(&rest).await;
            let mut count = 0;
            while let [charge] = &session.claim(1).await[..] {
                session.complete(charge, json!({"done": false})).await;
                count += 1;
            }
            assert_eq!(count, runs, "{when}");
            session.assert_ended(id, "completed", json!(null)).await;
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_listed_beside_fail_does_not_start_after_a_cancel_nor_with_a_rerun() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "tasks:
  - {name: a, action: demo.a, next: [{when: '{{ failed() }}', do: [alert, fail]}]}
  - {name: alert, action: demo.b}
";
        let id = session.begin(rest).await;
        let [a] = session.claim_named(["a"]).await;
        session.run(format!("SELECT workflow_cancel({id})")).await;
        session.fail(&a, json!(null)).await;
        session.assert_ended(id, "cancelled", json!(null)).await;
        session.run(format!("SELECT workflow_rerun({id})")).await;
        session.work("a", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_is_rolled_back_after_a_stop_does_not_keep_the_execution_open() {
    with_database(async |db| {
        for stop in ["cancel", "failure"] {
            let mut session = Session::new(db).await;
            let mut claimer = Session::new(db).await;
            let id = session.begin("tasks: [{name: a, action: demo.a}, {name: b, action: demo.b}]\n").await;
            claimer.run("BEGIN").await;
            claimer.run("SELECT workflow_claim('dies', 1, '{demo.a}')").await;
            if stop == "cancel" {
                session.run(format!("SELECT workflow_cancel({id})")).await;
            } else {
                let tasks: Vec<crate::fixture::Task> =
                    session.rows("SELECT * FROM workflow_claim('w1', 1, '{demo.b}')").await;
                session.fail(&tasks[0], json!({})).await;
            }
            session.run("SELECT workflow_tick()").await;
            claimer.run("ROLLBACK").await;
            session.at(1.0).await;
            session.run("SELECT workflow_tick()").await;
            let status = if stop == "cancel" { "cancelled" } else { "failed" };
            session.assert_ended(id, status, json!(null)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_being_claimed_at_a_cancel_by_force_is_neither_taken_over_nor_retried() {
    with_database(async |db| {
        for dies in [true, false] {
            let (mut session, mut claimer) = (Session::new(db).await, Session::new(db).await);
            let id = session.begin(FINALLY).await;
            let [work] = session.claim_named(["work"]).await;
            session.fail(&work, json!({})).await;
            claimer.run("BEGIN").await;
            let [tidy] = claimer.claim_named(["tidy"]).await;
            session.run(format!("SELECT workflow_cancel({id}, force => true)")).await;
            claimer.run("COMMIT").await;
            session.run("SELECT workflow_tick()").await;
            if dies {
                session.at(31.0).await;
                session.run("SELECT workflow_tick()").await;
            } else {
                claimer.fail(&tidy, json!({})).await;
            }
            session.assert_ended(id, "failed", json!(null)).await;
            let broken: Vec<(String, String)> = session.rows("SELECT invariant, detail FROM workflow_check()").await;
            assert_eq!(broken, []);
        }
    })
    .await;
}
