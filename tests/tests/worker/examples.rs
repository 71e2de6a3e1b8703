//! The example workers in Python and Node, as their users start them: they do a workflow's work, and SIGTERM ends them
//! without leaving a task behind.

use crate::fixture::until;
use pg_workflow_client::{Engine, RegisterActionInput, StartInput};
use pg_workflow_tests::{Database, with_database};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const DEPLOY: &str = include_str!("../../../examples/deploy.yaml");
const ACTIONS: [&str; 6] = ["ci.build", "ci.lint", "ci.scan", "k8s.apply", "k8s.rollback", "chat.post"];

/// What `scripts/prepare workers` has installed.
fn installed() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/examples");
    assert!(folder.join(".stamp").exists(), "the example workers lack their packages: run scripts/prepare workers");
    folder
}

fn python() -> Command {
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/worker.py"));
    command.env("PYTHONPATH", installed().join("python"));
    command
}

fn node() -> Command {
    let folder = installed();
    // Node looks for packages beside the module that imports them.
    let worker = folder.join("worker.mjs");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/worker.mjs"), &worker).unwrap();
    let mut command = Command::new("node");
    command.arg(worker);
    command
}

/// A worker's process. It is killed if the test fails.
struct Process(Option<Child>);

impl Process {
    fn start(mut command: Command, db: &Database) -> Process {
        let options = db.options();
        let (user, host, port) = (options.get_username(), options.get_host(), options.get_port());
        command.env("DATABASE_URL", format!("postgres://{user}@{host}:{port}/{}", db.name));
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Process(Some(child.expect("python3 and node are installed: scripts/prepare workers")))
    }

    /// Asks it to end, and waits until it has.
    fn terminate(mut self) -> Output {
        let child = self.0.take().unwrap();
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        child.wait_with_output().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

async fn start(db: &Database, parameters: Value) -> i64 {
    let input = StartInput { r#ref: "deploy.rollout".into(), parameters, ..Default::default() };
    Engine::start(&db.pool, input).await.unwrap().unwrap()
}

/// Rollouts, one of which must be retried, and then a worker that is stopped while it has tasks.
async fn works_and_ends(command: Command) {
    with_database(async |db| {
        for action in ACTIONS {
            let input = RegisterActionInput { r#ref: action.into(), ..Default::default() };
            Engine::register_action(&db.pool, input).await.unwrap();
        }
        Engine::define(&db.pool, DEPLOY).await.unwrap();
        let worker = Process::start(command, db);

        let deployed = start(db, json!({"app": "shop", "regions": ["eu", "us"], "broken_builds": 1})).await;
        let held_back = start(db, json!({"app": "legacy", "regions": ["eu"], "env": "prod"})).await;
        let urls = json!(["https://eu.example.com", "https://us.example.com"]);
        for (execution, output) in [
            (deployed, json!({"status": "deployed", "urls": urls})),
            (held_back, json!({"status": "held_back", "urls": []})),
        ] {
            let status = Engine::wait(&db.pool, execution, Duration::from_secs(60)).await.unwrap();
            assert!(status.ended, "{status:#?}");
            assert_eq!(status.output, Some(output), "{:?}", status.error_message);
        }

        for _ in 0..20 {
            start(db, json!({"app": "shop", "regions": ["eu"]})).await;
        }
        until("a claim", async || (running(db).await > 0).then_some(())).await;
        let output = worker.terminate();
        assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(running(db).await, 0, "tasks that were claimed and not reported");
    })
    .await;
}

const LONG: &str = "
ref: demo.long
label: Long work
version: 1.0.0
tasks: [{name: one, action: demo.wait, input: {seconds: 3600}}, {name: two, action: demo.wait, input: {seconds: 6}}]
";

/// Work that takes longer than its lease: it is held meanwhile, whatever becomes of the connections, and stopped when its
/// workflow is cancelled; what can be finished is, even when the worker is told to end.
async fn holds_stops_and_drains(mut command: Command) {
    with_database(async |db| {
        let input = RegisterActionInput { r#ref: "demo.wait".into(), ..Default::default() };
        Engine::register_action(&db.pool, input).await.unwrap();
        Engine::define(&db.pool, LONG).await.unwrap();
        let input = StartInput { r#ref: "demo.long".into(), ..Default::default() };
        let execution = Engine::start(&db.pool, input).await.unwrap().unwrap();
        command.env("WORKER_LEASE", "1.5");
        let worker = Process::start(command, db);
        until("both claims", async || (running(db).await == 2).then_some(())).await;
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'test'";
        sqlx::query("SET application_name = 'test'").execute(&db.pool).await.unwrap();
        sqlx::query(cut).execute(&db.pool).await.ok();
        // Twice as long as a lease lasts.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let attempts = "SELECT array_agg(attempt) FROM workflow.workflow_task_execution WHERE status = 'running'";
        let attempts: Vec<i32> = sqlx::query_scalar(attempts).fetch_one(&db.pool).await.unwrap();
        assert_eq!(attempts, [1, 1], "both are still held by the worker that claimed them first");
        Engine::cancel(&db.pool, execution, None).await.unwrap();
        let output = worker.terminate();
        assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        let status = Engine::status(&db.pool, execution).await.unwrap();
        assert!(status.ended, "{status:#?}");
        let statuses = "SELECT jsonb_object_agg(task_name, status) FROM workflow.workflow_task_execution";
        let statuses: Value = sqlx::query_scalar(statuses).fetch_one(&db.pool).await.unwrap();
        assert_eq!(statuses["one"], "cancelled");
        assert_eq!(running(db).await, 0);
    })
    .await;
}

#[tokio::test]
async fn the_python_worker_renews_leases_and_stops_what_is_cancelled() {
    holds_stops_and_drains(python()).await;
}

#[tokio::test]
async fn the_node_worker_renews_leases_and_stops_what_is_cancelled() {
    holds_stops_and_drains(node()).await;
}

async fn running(db: &Database) -> i64 {
    let count = "SELECT count(*) FROM workflow.claim_detail";
    sqlx::query_scalar(count).fetch_one(&db.pool).await.unwrap()
}

#[tokio::test]
async fn the_python_worker_does_its_work_and_ends_cleanly() {
    works_and_ends(python()).await;
}

#[tokio::test]
async fn the_node_worker_does_its_work_and_ends_cleanly() {
    works_and_ends(node()).await;
}
