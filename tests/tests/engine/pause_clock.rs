//! A pause suspends the time limits of waits for signals and of the execution itself.

use crate::fixture::Session;
use pg_workflow_tests::with_database;
use serde_json::json;

#[tokio::test]
async fn neither_a_wait_nor_the_execution_times_out_during_a_pause() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let rest = "timeout: 100
tasks:
  - {name: wait, wait_for: {signal: go, timeout: 60}, on_success: [work, second], on_timeout: late}
  - {name: work, action: demo.a}
  - {name: second, wait_for: {signal: more, timeout: 30}, on_timeout: late}
  - {name: late, action: demo.b}
";
        let id = session.begin(rest).await;
        session.at(50.0).await;
        session.run(format!("SELECT workflow_pause({id})")).await;
        session.at(1000.0).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.status(id).await["current_tasks"], json!(["wait"]));
        // A wait that begins during the pause has all of its time left, too.
        session.run(format!("SELECT workflow_signal({id}, 'go')")).await;
        session.at(2000.0).await;
        session.run("SELECT workflow_tick()").await;
        session.run(format!("SELECT workflow_resume({id})")).await;
        session.at(2029.0).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.status(id).await["status"], "running");
        session.at(2031.0).await;
        session.run("SELECT workflow_tick()").await;
        session.claim_named(["late", "work"]).await;
        // 50 of the 100 seconds were left.
        session.at(2051.0).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.status(id).await["status"], "timeout");
    })
    .await;
}

#[tokio::test]
async fn what_runs_keeps_its_own_clock() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin("tasks: [{name: a, action: demo.a, timeout: 60}]").await;
        session.run("SELECT workflow_claim('w1', 1, lease => '10 minutes')").await;
        session.run(format!("SELECT workflow_pause({id})")).await;
        session.at(61.0).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.status(id).await["status"], "failed");
    })
    .await;
}

#[tokio::test]
async fn a_call_of_a_paused_execution_is_not_too_late() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.child", "tasks: [{name: x, action: demo.a}]\n").await;
        let id = session.begin("tasks: [{name: call, action: demo.child, timeout: 60}]\n").await;
        session.at(50.0).await;
        session.run(format!("SELECT workflow_pause({id})")).await;
        session.at(600.0).await;
        session.run("SELECT workflow_tick()").await;
        session.run(format!("SELECT workflow_resume({id})")).await;
        session.at(609.0).await;
        session.run("SELECT workflow_tick()").await;
        session.work("x", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn a_rerun_restarts_the_time_limit_of_the_workflow() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin("timeout: 100\ntasks: [{name: a, action: demo.a}]\n").await;
        let [a] = session.claim_named(["a"]).await;
        session.fail(&a, json!({})).await;
        session.at(90.0).await;
        session.run(format!("SELECT workflow_rerun({id})")).await;
        session.at(189.0).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.status(id).await["status"], "running");
        session.at(190.0).await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.status(id).await["status"], "timeout");
    })
    .await;
}
