//! The larger example, `examples/rollout.yaml`, run to each of its possible ends.

use crate::fixture::*;
use pg_workflow_tests::{Database, with_database};
use serde_json::{Value, json};

const SOURCE: &str = include_str!("../../../examples/rollout.yaml");

/// A session in which the example is defined, and an execution of it.
async fn begin(db: &Database, parameters: Value) -> (Session, i64) {
    let mut session = Session::new(db).await;
    for action in ["ci.build", "ci.lint", "ci.scan", "k8s.apply", "k8s.rollback", "slack.post"] {
        session.run(format!("SELECT workflow_register_action('{action}')")).await;
    }
    let findings = sqlx::query_scalar("SELECT to_jsonb(f) FROM workflow_validate($1) AS f").bind(SOURCE);
    let findings: Vec<Value> = findings.fetch_all(&mut session.connection).await.unwrap();
    assert!(findings.is_empty(), "{findings:#?}");
    sqlx::query("SELECT workflow_define($1)").bind(SOURCE).execute(&mut session.connection).await.unwrap();
    let start = sqlx::query_scalar("SELECT workflow_start('deploy.regions', $1)").bind(parameters);
    let id = start.fetch_one(&mut session.connection).await.unwrap();
    (session, id)
}

/// The same, built: lint and scan are next.
async fn built(db: &Database, parameters: Value) -> (Session, i64) {
    let (mut session, id) = begin(db, parameters).await;
    session.work("build", json!({"image": "shop:1"})).await;
    (session, id)
}

fn production(regions: &[&str]) -> Value {
    json!({"app": "shop", "env": "prod", "regions": regions})
}

/// Returns the final statuses of the tasks.
async fn assert_tasks(session: &mut Session, execution: i64, completed: &[&str], failed: &[&str], skipped: &[&str]) {
    let status = session.status(execution).await;
    for (column, names) in [("completed_tasks", completed), ("failed_tasks", failed), ("skipped_tasks", skipped)] {
        assert_eq!(status[column], json!(names), "{column} of {status:#}");
    }
}

#[tokio::test]
async fn in_development_it_deploys_without_a_scan() {
    with_database(async |db| {
        let (mut session, id) = begin(db, json!({"app": "shop", "regions": ["eu"]})).await;
        let [build] = session.claim_named(["build"]).await;
        assert_eq!((build.action.as_str(), build.input.clone()), ("ci.build", Some(json!({"app": "shop"}))));
        session.complete(&build, json!({"image": "shop:1"})).await;
        let [lint] = session.claim_named(["lint"]).await;
        assert_eq!((lint.action.as_str(), lint.input.clone()), ("ci.lint", Some(json!({"image": "shop:1"}))));
        session.complete(&lint, json!(null)).await;
        let [deploy] = session.claim_named(["deploy"]).await;
        assert_eq!(deploy.input, Some(json!({"regions": ["eu"], "batch": 0, "image": "shop:1"})));
        session.complete(&deploy, json!({"url": "https://eu"})).await;
        session.assert_ended(id, "completed", json!({"status": "ok", "urls": ["https://eu"]})).await;
        assert_tasks(&mut session, id, &["build", "lint", "gate", "deploy"], &[], &["scan"]).await;
    })
    .await;
}

#[tokio::test]
async fn in_production_it_waits_for_the_scan_and_deploys_two_batches_at_a_time() {
    with_database(async |db| {
        let regions: Vec<String> = (0..12).map(|n| format!("r{n}")).collect();
        let names: Vec<&str> = regions.iter().map(String::as_str).collect();
        let (mut session, id) = built(db, production(&names)).await;
        let [lint, scan] = session.claim_named(["lint", "scan"]).await;
        assert_eq!((scan.action.as_str(), scan.input.clone()), ("ci.scan", None));
        session.complete(&lint, json!(null)).await;
        assert!(session.claim(10).await.is_empty());
        session.complete(&scan, json!({"critical": 0})).await;
        let [first, second] = session.claim_named(["deploy", "deploy"]).await;
        assert_eq!(first.input, Some(json!({"regions": names[..5], "batch": 0, "image": "shop:1"})));
        assert_eq!(second.input, Some(json!({"regions": names[5..10], "batch": 1, "image": "shop:1"})));
        session.complete(&second, json!({"url": "u1"})).await;
        let [third] = session.claim_named(["deploy"]).await;
        assert_eq!(third.input, Some(json!({"regions": names[10..], "batch": 2, "image": "shop:1"})));
        session.complete(&third, json!({"url": "u2"})).await;
        session.complete(&first, json!({"url": "u0"})).await;
        session.assert_ended(id, "completed", json!({"status": "ok", "urls": ["u0", "u1", "u2"]})).await;
        assert_tasks(&mut session, id, &["build", "lint", "scan", "gate", "deploy"], &[], &[]).await;
    })
    .await;
}

#[tokio::test]
async fn a_build_that_fails_is_tried_again_three_times_later_each_time() {
    with_database(async |db| {
        let (mut session, id) = begin(db, production(&["eu"])).await;
        let mut now = 0.0;
        for delay in [10.0, 20.0, 40.0] {
            let [build] = session.claim_named(["build"]).await;
            assert_eq!(session.fail(&build, json!({"type": "network"})).await, "retrying");
            // The jitter is up to a fifth either way.
            for (factor, due) in [(0.79, 0), (1.21, 1)] {
                session.at(now + delay * factor).await;
                session.run("SELECT workflow_tick()").await;
                let queued = "SELECT count(*) FROM workflow.workflow_task_execution WHERE queue_at <= workflow.now()";
                assert_eq!(session.value::<i64>(queued).await, due, "{delay} s × {factor}");
            }
            now += delay * 1.21;
        }
        session.work("build", json!({"image": "shop:4"})).await;
        let [lint, _scan] = session.claim_named(["lint", "scan"]).await;
        assert_eq!(lint.input, Some(json!({"image": "shop:4"})));
        let tried =
            "SELECT (retry_count, max_retries)::text FROM workflow.workflow_task_execution WHERE task_name = 'build'";
        assert_eq!(session.value::<String>(tried).await, "(3,3)");
        assert_eq!(session.status(id).await["status"], "running");
    })
    .await;
}

#[tokio::test]
async fn a_build_that_does_not_compile_is_not_tried_again() {
    with_database(async |db| {
        let (mut session, id) = begin(db, production(&["eu"])).await;
        let [build] = session.claim_named(["build"]).await;
        assert_eq!(session.fail(&build, json!({"type": "compile"})).await, "failed");
        let [alert] = session.claim_named(["alert"]).await;
        assert_eq!(
            (alert.action.as_str(), alert.input.clone()),
            ("slack.post", Some(json!({"text": "Rollout of shop needs attention"})))
        );
        session.complete(&alert, json!(null)).await;
        session.assert_ended(id, "failed", json!({"status": "unknown", "urls": []})).await;
        assert_tasks(&mut session, id, &["alert"], &["build"], &[]).await;
    })
    .await;
}

#[tokio::test]
async fn what_the_scan_finds_critical_is_told_and_not_deployed() {
    with_database(async |db| {
        let (mut session, id) = built(db, production(&["eu"])).await;
        let [lint, scan] = session.claim_named(["lint", "scan"]).await;
        session.complete(&scan, json!({"critical": 2})).await;
        session.complete(&lint, json!(null)).await;
        session.work("alert", json!(null)).await;
        session.assert_ended(id, "completed", json!({"status": "unknown", "urls": []})).await;
        assert_tasks(&mut session, id, &["build", "lint", "scan", "gate", "alert"], &[], &[]).await;
    })
    .await;
}

#[tokio::test]
async fn a_region_that_fails_does_not_stop_the_others_but_rolls_back() {
    with_database(async |db| {
        let regions: Vec<String> = (0..11).map(|n| format!("r{n}")).collect();
        let names: Vec<&str> = regions.iter().map(String::as_str).collect();
        let (mut session, id) = built(db, production(&names)).await;
        for task in session.claim_named(["lint", "scan"]).await {
            session.complete(&task, json!({})).await;
        }
        let [first, second] = session.claim_named(["deploy", "deploy"]).await;
        assert_eq!(session.fail(&first, json!({"type": "quota"})).await, "failed");
        let [third] = session.claim_named(["deploy"]).await;
        session.complete(&second, json!({"url": "u1"})).await;
        session.complete(&third, json!({"url": "u2"})).await;
        let [rollback] = session.claim_named(["rollback"]).await;
        assert_eq!((rollback.action.as_str(), rollback.input.clone()), ("k8s.rollback", Some(json!({"app": "shop"}))));
        session.complete(&rollback, json!(null)).await;
        session.assert_ended(id, "failed", json!({"status": "rolled_back", "urls": []})).await;
        assert_tasks(&mut session, id, &["build", "lint", "scan", "gate", "rollback"], &["deploy"], &[]).await;
    })
    .await;
}
