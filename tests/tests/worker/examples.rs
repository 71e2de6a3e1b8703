//! The example workers in Python and Node, started as a user would: they execute the tasks of a workflow, and SIGTERM
//! ends them without leaving a task behind.

use crate::fixture::{Running, ended, until, worker};
use crate::trace::{of, request, spans};
use opentelemetry::context::FutureExt;
use pg_workflow_client::model::ExecutionStatus;
use pg_workflow_client::{Engine, RegisterActionInput, StartInput};
use pg_workflow_tests::{Database, with_database};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const DEPLOY: &str = include_str!("../../../examples/deploy.yaml");
const ACTIONS: [&str; 6] = ["ci.build", "ci.lint", "ci.scan", "k8s.apply", "k8s.rollback", "chat.post"];

/// Returns what `scripts/prepare workers` has installed.
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
    // Node looks for packages next to the module that imports them.
    let worker = folder.join("worker.mjs");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/worker.mjs"), &worker).unwrap();
    let mut command = Command::new("node");
    command.arg(worker);
    command
}

/// Whether this run includes slow tests that do not depend on the server's version.
fn is_first_major() -> bool {
    std::env::var("PG_WORKFLOW_MAJOR").is_ok_and(|major| major == "15")
}

/// Compiles an example, unless its toolchain is missing.
fn compiled(mut command: Command, needs: &Path) -> bool {
    if !is_first_major() {
        eprintln!("skipped: tested with PostgreSQL 15 only");
        return false;
    }
    if !needs.exists() || command.get_program() == "go" && Command::new("go").arg("version").output().is_err() {
        eprintln!("skipped: there is no {}", needs.display());
        return false;
    }
    match command.output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(error) => {
            eprintln!("skipped: {command:?}: {error}");
            false
        }
    }
}

/// Location of the driver in Debian's libpostgresql-jdbc-java.
const JDBC: &str = "/usr/share/java/postgresql.jar";

fn java() -> Option<Command> {
    let folder = installed().join("java");
    let mut compiler = Command::new("javac");
    compiler.args(["-cp", JDBC, "-Xlint:all", "-Werror", "-d"]).arg(&folder);
    compiler.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/Worker.java"));
    let mut command = Command::new("java");
    command.arg("-cp").arg(format!("{}:{JDBC}", folder.display())).arg("Worker");
    compiled(compiler, Path::new(JDBC)).then_some(command)
}

/// Location of the driver in Debian's golang-github-lib-pq-dev.
const GOPATH: &str = "/usr/share/gocode";

fn go() -> Option<Command> {
    let program = installed().join("worker-go");
    let mut compiler = Command::new("go");
    compiler.args(["build", "-o"]).arg(&program);
    compiler.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/worker.go"));
    compiler
        .envs([("GO111MODULE", "off"), ("GOPATH", GOPATH), ("GOFLAGS", "")])
        .env("GOCACHE", installed().join("go-cache"));
    compiled(compiler, &Path::new(GOPATH).join("src/github.com/lib/pq")).then(|| Command::new(program))
}

const ECHO: &str = "
ref: demo.both
label: Two tasks
version: 1.0.0
vars: [{said: null}]
tasks:
  - {name: lint, action: ci.lint, on_success: echo}
  - {name: echo, action: demo.echo, input: {text: \"a \\\"quoted\\\" é\"}, publish: [{said: '{{ result() }}'}]}
output_map: [{said: '{{ vars.said }}'}]
";

/// Two tasks in a row, which return their input and trace.
async fn echoes(command: Option<Command>) {
    let Some(command) = command else { return };
    with_database(async |db| {
        for action in ["ci.lint", "demo.echo"] {
            let input = RegisterActionInput { r#ref: action.into(), ..Default::default() };
            Engine::register_action(&db.pool, input).await.unwrap();
        }
        Engine::define(&db.pool, ECHO).await.unwrap();
        let worker = Process::start(command, db);
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let input = StartInput { traceparent: Some(traceparent.into()), ..StartInput::new("demo.both") };
        let execution = Engine::start(&db.pool, input).await.unwrap().unwrap();
        let status = Engine::wait(&db.pool, execution, Duration::from_secs(60)).await.unwrap();
        let said = json!({"said": {"input": {"text": "a \"quoted\" é"}, "traceparent": traceparent}});
        assert_eq!(status.output, Some(said), "{status:#?}");
        let output = worker.terminate();
        // A JVM that is asked to end reports that in its exit status.
        assert!(matches!(output.status.code(), Some(0 | 143)), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(running(db).await, 0);
    })
    .await;
}

#[tokio::test]
async fn the_java_worker_does_its_work() {
    echoes(java()).await;
}

#[tokio::test]
async fn the_go_worker_does_its_work() {
    echoes(go()).await;
}

/// A worker's process. It is killed if the test fails.
struct Process(Option<Child>);

impl Process {
    fn start(mut command: Command, db: &Database) -> Process {
        let options = db.options();
        let (user, host, port) = (options.get_username(), options.get_host(), options.get_port());
        command.env("DATABASE_URL", format!("postgres://{user}@{host}:{port}/{}?sslmode=disable", db.name));
        command.env("JDBC_URL", format!("jdbc:postgresql://{host}:{port}/{}?user={user}", db.name));
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

/// Runs rollouts, one of which must be retried, and then stops a worker while it has tasks.
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

/// Work that takes longer than its lease: the task stays held, whatever happens to the connections, and is stopped when
/// its workflow is cancelled; work that can be finished is, even when the worker is asked to end.
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

const RESUMED: &str = "
ref: demo.long
label: Long work
version: 1.0.0
tasks: [{name: one, action: demo.wait, input: {seconds: 4}}]
";

/// A worker that dies in the middle of its work: the next one continues from its progress.
async fn goes_on_after_a_death(command: impl Fn() -> Command) {
    with_database(async |db| {
        let input = RegisterActionInput { r#ref: "demo.wait".into(), ..Default::default() };
        Engine::register_action(&db.pool, input).await.unwrap();
        Engine::define(&db.pool, RESUMED).await.unwrap();
        let start = || {
            let mut command = command();
            command.env("WORKER_LEASE", "1");
            Process::start(command, db)
        };
        let first = start();
        // Long after the worker became idle: it finds the task because it is notified.
        let execution = Engine::start(&db.pool, StartInput::new("demo.long")).await.unwrap().unwrap();
        let progress = "SELECT (progress ->> 'seconds')::int FROM workflow.workflow_task_execution";
        let noted = async || sqlx::query_scalar::<_, Option<i32>>(progress).fetch_one(&db.pool).await.unwrap();
        until("progress", async || noted().await.filter(|seconds| *seconds >= 2)).await;
        drop(first);
        let second = start();
        let status = Engine::wait(&db.pool, execution, Duration::from_secs(60)).await.unwrap();
        assert!(status.ended, "{status:#?}");
        let row = "SELECT attempt, EXTRACT(epoch FROM completed_at - started_at)::float8 FROM workflow.workflow_task_execution";
        let (attempt, seconds): (i32, f64) = sqlx::query_as(row).fetch_one(&db.pool).await.unwrap();
        assert_eq!(attempt, 2);
        assert!(seconds < 3.5, "the second attempt took {seconds} s: it began anew");
        assert!(second.terminate().status.success());
    })
    .await;
}

/// Runs worker.py like a user who wants its spans, here as lines of JSON.
const WITH_SPANS: &str = "
import runpy, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
provider = TracerProvider()
exporter = ConsoleSpanExporter(formatter=lambda span: span.to_json(indent=None) + chr(10))
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
runpy.run_path(sys.argv[1], run_name='__main__')
";

const THREE: &str = "
ref: ci.three
label: Three workers
version: 1.0.0
tasks:
  - {name: one, action: ci.first, on_success: lint}
  - {name: lint, action: ci.lint, on_success: two}
  - {name: two, action: ci.second}
";

#[tokio::test]
async fn a_request_through_three_workers_in_two_languages_is_one_trace() {
    with_database(async |db| {
        for action in ["ci.first", "ci.second", "ci.lint"] {
            let input = RegisterActionInput { r#ref: action.into(), ..Default::default() };
            Engine::register_action(&db.pool, input).await.unwrap();
        }
        Engine::define(&db.pool, THREE).await.unwrap();
        let mut command = Command::new("python3");
        command.args(["-c", WITH_SPANS]).arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/worker.py"));
        command.env("PYTHONPATH", installed().join("python"));
        let python = Process::start(command, db);
        let first = Running::new(worker(db, "first").handler("ci.first", |_: Value, _| async { Ok(()) }));
        let second = Running::new(worker(db, "second").handler("ci.second", |_: Value, _| async { Ok(()) }));
        let request = request();
        let execution =
            Engine::start(&db.pool, StartInput::new("ci.three")).with_context(request.clone()).await.unwrap().unwrap();
        assert_eq!(ended(db, execution).await.status, ExecutionStatus::Completed);
        let trace = of(&request).trace_id();
        let [send, one, two] = &spans(3, |span| span.span_context.trace_id() == trace).await[..] else { panic!() };
        assert_eq!((&*one.name, &*two.name), ("process ci.first", "process ci.second"));
        first.stop().await;
        second.stop().await;
        let output = python.terminate();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let lint: Value = serde_json::from_slice(&output.stdout).expect("one span");
        assert_eq!((&lint["name"], &lint["kind"]), (&json!("process ci.lint"), &json!("SpanKind.CONSUMER")));
        assert_eq!(lint["context"]["trace_id"], format!("0x{trace}"));
        for parent in [json!(one.parent_span_id.to_string()), json!(two.parent_span_id.to_string())] {
            assert_eq!(parent, send.span_context.span_id().to_string());
            assert_eq!(lint["parent_id"], format!("0x{}", parent.as_str().unwrap()));
        }
        assert_eq!(lint["attributes"]["pg_workflow.task"], "lint");
    })
    .await;
}

#[tokio::test]
async fn the_python_worker_goes_on_from_where_a_dead_one_got() {
    goes_on_after_a_death(python).await;
}

#[tokio::test]
async fn the_node_worker_goes_on_from_where_a_dead_one_got() {
    goes_on_after_a_death(node).await;
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
