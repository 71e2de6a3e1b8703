//! The example workers in other languages, started as a user would: they execute the tasks of a workflow, continue
//! where a dead worker stopped, and end on SIGTERM without leaving a task behind.

use crate::fixture::until;
use pg_workflow_client::{Engine, RegisterActionInput, StartInput};
use pg_workflow_tests::{Database, with_database};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const DEPLOY: &str = include_str!("../../../examples/deploy.yaml");
const ACTIONS: [&str; 6] = ["ci.build", "ci.lint", "ci.scan", "k8s.apply", "k8s.rollback", "chat.post"];

/// Returns what `scripts/prepare workers` has installed.
pub fn installed() -> PathBuf {
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

pub fn node() -> Command {
    let folder = installed();
    // Node looks for packages next to the module that imports them.
    let worker = folder.join("worker.mjs");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/worker.mjs"), &worker).unwrap();
    let mut command = Command::new("node");
    command.arg(worker);
    command
}

/// Returns what `scripts/prepare extras` has unpacked, or `None` if that was not available or is not used by this run.
fn extras() -> Option<PathBuf> {
    if pg_workflow_tests::major() != 15 {
        eprintln!("skipped: tested with PostgreSQL 15 only");
        return None;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/extras/usr");
    if !folder.exists() {
        eprintln!("skipped: there is no target/extras: run scripts/prepare extras");
        return None;
    }
    Some(folder)
}

/// Compiles an example. Each test has a folder of its own.
fn compile(mut command: Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn folder(test: &str) -> PathBuf {
    let folder = installed().join(test);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn java(test: &str) -> Option<Command> {
    java_from(test, &Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/Worker.java"))
}

fn java_from(test: &str, source: &Path) -> Option<Command> {
    let driver = extras()?.join("share/java/postgresql.jar");
    if let Err(error) = Command::new("javac").arg("-version").output() {
        eprintln!("skipped: javac cannot be run ({error})");
        return None;
    }
    let folder = folder(test);
    let mut compiler = Command::new("javac");
    compiler.arg("-cp").arg(&driver).args(["-Xlint:all", "-Werror", "-d"]).arg(&folder);
    compiler.arg(source);
    compile(compiler);
    let mut command = Command::new("java");
    command.arg("-cp").arg(format!("{}:{}", folder.display(), driver.display())).arg("Worker");
    Some(command)
}

fn go(test: &str) -> Option<Command> {
    go_from(test, &Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/worker.go"))
}

fn go_from(test: &str, source: &Path) -> Option<Command> {
    let extras = extras()?;
    let folder = folder(test);
    let program = folder.join("worker");
    let mut compiler = Command::new(extras.join("lib/go-1.19/bin/go"));
    compiler.args(["build", "-o"]).arg(&program);
    compiler.arg(source);
    compiler.envs([("GO111MODULE", "off"), ("GOFLAGS", ""), ("CGO_ENABLED", "0")]);
    compiler.env("GOROOT", extras.join("lib/go-1.19")).env("GOPATH", extras.join("share/gocode"));
    compiler.env("GOCACHE", installed().join("go-cache"));
    compile(compiler);
    Some(Command::new(program))
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
            let input = RegisterActionInput::new(action);
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
        assert!(matches!(output.status.code(), Some(0 | ENDED_BY_TERM)), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(running(db).await, 0);
    })
    .await;
}

#[tokio::test]
async fn the_java_worker_does_its_work() {
    echoes(java("java-echo")).await;
}

#[tokio::test]
async fn the_go_worker_does_its_work() {
    echoes(go("go-echo")).await;
}

/// Exit status of a JVM that was asked to end, whatever it did before ending.
const ENDED_BY_TERM: i32 = 143;

/// A worker's process. It is killed if the test fails.
pub struct Process(Option<Child>);

impl Process {
    pub fn start(mut command: Command, db: &Database) -> Process {
        let options = db.options();
        let (user, host, port) = (options.get_username(), options.get_host(), options.get_port());
        command.env("DATABASE_URL", format!("postgres://{user}@{host}:{port}/{}?sslmode=disable", db.name));
        command.env("JDBC_URL", format!("jdbc:postgresql://{host}:{port}/{}?user={user}", db.name));
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Process(Some(child.expect("python3 and node are installed: scripts/prepare workers")))
    }

    /// Asks it to end, and waits until it has.
    pub fn terminate(mut self) -> Output {
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
            let input = RegisterActionInput::new(action);
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
/// its workflow is cancelled. Work that can be finished is finished, even if the worker is asked to end.
async fn holds_stops_and_drains(mut command: Command) {
    with_database(async |db| {
        let input = RegisterActionInput::new("demo.wait");
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
        let input = RegisterActionInput::new("demo.wait");
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
        let output = second.terminate();
        assert!(matches!(output.status.code(), Some(0 | ENDED_BY_TERM)), "{output:?}");
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
async fn the_go_worker_goes_on_from_where_a_dead_one_got() {
    if let Some(command) = go("go-death") {
        goes_on_after_a_death(|| Command::new(command.get_program())).await;
    }
}

#[tokio::test]
async fn the_java_worker_goes_on_from_where_a_dead_one_got() {
    if let Some(command) = java("java-death") {
        let again = || {
            let mut again = Command::new(command.get_program());
            again.args(command.get_args());
            again
        };
        goes_on_after_a_death(again).await;
    }
}

#[tokio::test]
async fn the_go_worker_renews_leases_and_stops_what_is_cancelled() {
    if let Some(command) = go("go-lease") {
        holds_stops_and_drains(command).await;
    }
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

const UNSTORABLE: &str = "
ref: demo.unstorable
label: Results that PostgreSQL cannot store
version: 1.0.0
tasks:
  - {name: nul, action: demo.nul}
  - {name: half, action: demo.half}
  - {name: raised, action: demo.raised}
  - {name: large, action: demo.large}
  - {name: noted, action: demo.noted}
  - {name: good, action: demo.good}
";

/// What a handler returns, raises or notes must not keep the results beside it from being stored, nor cost leases. `handlers` are added
/// before `marker` to those of the example, which is copied to another file for that. Strings of some languages cannot contain half a
/// character, and what is raised is made storable.
async fn fails_what_cannot_be_stored(
    example: &str,
    (marker, handlers): (&str, &str),
    half: &str,
    command: impl Fn(&Path) -> Option<Command>,
) {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(example)).unwrap();
    assert!(text.contains(marker), "{marker}");
    let folder = folder(&format!("unstorable-{example}"));
    std::fs::write(folder.join(example), text.replacen(marker, &format!("{handlers}\n{marker}"), 1)).unwrap();
    let Some(mut command) = command(&folder.join(example)) else { return };
    command.env("WORKER_LEASE", "1.5");
    with_database(async |db| {
        sqlx::query(AssertSqlSafe(format!("ALTER DATABASE {} SET pg_workflow.max_result_bytes = 100000", db.name)))
            .execute(&db.pool)
            .await
            .unwrap();
        for action in ["demo.nul", "demo.half", "demo.raised", "demo.large", "demo.noted", "demo.good"] {
            Engine::register_action(&db.pool, RegisterActionInput::new(action)).await.unwrap();
        }
        Engine::define(&db.pool, UNSTORABLE).await.unwrap();
        let worker = Process::start(command, db);
        let execution = Engine::start(&db.pool, StartInput::new("demo.unstorable")).await.unwrap().unwrap();
        let status = Engine::wait(&db.pool, execution, Duration::from_secs(60)).await.unwrap();
        assert!(status.ended, "{status:#?}");
        let statuses =
            "SELECT jsonb_object_agg(task_name, status || ' ' || attempt) FROM workflow.workflow_task_execution";
        let statuses: Value = sqlx::query_scalar(statuses).fetch_one(&db.pool).await.unwrap();
        let (failed, completed) = ("failed 1", "completed 1");
        let expected = json!({"nul": failed, "half": half, "raised": failed, "large": failed, "noted": completed, "good": completed});
        assert_eq!(statuses, expected);
        let output = worker.terminate();
        assert!(matches!(output.status.code(), Some(0 | ENDED_BY_TERM)), "{output:?}");
    })
    .await;
}

#[tokio::test]
async fn the_python_worker_fails_tasks_whose_outcome_cannot_be_stored() {
    let handlers = r#"    "demo.nul": lambda task: "a\0b",
    "demo.half": lambda task: b"caf\xe9".decode("utf8", "surrogateescape"),
    "demo.raised": lambda task: {}[b"caf\xe9\0".decode("utf8", "surrogateescape")],
    "demo.large": lambda task: "x" * 200000,
    "demo.noted": lambda task: setattr(task, "progress", {"at": "\0"}) or task.stop.wait(3),
    "demo.good": lambda task: "fine","#;
    fails_what_cannot_be_stored("worker.py", (r#"    "demo.wait": wait,"#, handlers), "failed 1", |file| {
        let mut command = Command::new("python3");
        command.arg(file).env("PYTHONPATH", installed().join("python"));
        Some(command)
    })
    .await;
}

#[tokio::test]
async fn the_node_worker_fails_tasks_whose_outcome_cannot_be_stored() {
    let handlers = r"  'demo.nul': () => 'a\0b',
  'demo.half': () => 'caf\ud800',
  'demo.raised': () => { throw new Error('caf\ud800\0'); },
  'demo.large': () => 'x'.repeat(200000),
  'demo.noted': async (task) => { task.note = { at: '\ud800' }; await sleep(3000); },
  'demo.good': () => 'fine',";
    fails_what_cannot_be_stored("worker.mjs", ("  'demo.wait': async", handlers), "failed 1", |file| {
        let mut command = Command::new("node");
        command.arg(file);
        Some(command)
    })
    .await;
}

#[tokio::test]
async fn the_go_worker_fails_tasks_whose_outcome_cannot_be_stored() {
    let handlers = r#"	"demo.nul":    func(context.Context, *Task) (any, error) { return "a\x00b", nil },
	"demo.half":   func(context.Context, *Task) (any, error) { return "caf\xe9", nil },
	"demo.raised": func(context.Context, *Task) (any, error) { return nil, errors.New("caf\xe9\x00") },
	"demo.large":  func(context.Context, *Task) (any, error) { return strings.Repeat("x", 200000), nil },
	"demo.noted": func(_ context.Context, task *Task) (any, error) {
		task.Note("\x00")
		time.Sleep(3 * time.Second)
		return nil, nil
	},
	"demo.good": func(context.Context, *Task) (any, error) { return "fine", nil },"#;
    let marker = "	\"demo.wait\": wait,";
    let command = |file: &Path| go_from("go-unstorable", file);
    fails_what_cannot_be_stored("worker.go", (marker, handlers), "completed 1", command).await;
}

#[tokio::test]
async fn the_java_worker_fails_tasks_whose_outcome_cannot_be_stored() {
    let handlers = r#"        "demo.nul", task -> "\"a\\u0000b\"",
        "demo.half", task -> "\"caf\\ud800\"",
        "demo.raised", task -> { throw new IllegalStateException("caf\ud800\0"); },
        "demo.large", task -> { throw new IllegalStateException("Java leaves results that are too large to its handlers"); },
        "demo.noted", task -> { task.note("\"\\u0000\""); Thread.sleep(3000); return "null"; },
        "demo.good", task -> "\"fine\"","#;
    let command = |file: &Path| java_from("java-unstorable", file);
    fails_what_cannot_be_stored("Worker.java", ("        \"demo.wait\", Worker::pause", handlers), "failed 1", command)
        .await;
}
