//! `make demo`: fifty workflows on a private PostgreSQL, processed by two workers, one of which is killed halfway.
//!
//! The server is stopped but kept in the given directory, for `make psql`.

use indicatif::{ProgressBar, ProgressStyle};
use pg_workflow_client::{Engine, GraphFormat, RegisterActionInput, StartInput};
use pg_workflow_examples::{ACTIONS, DEPLOY};
use serde_json::json;
use sqlx::PgPool;
use std::error::Error;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use tabled::builder::Builder;
use tabled::settings::Style;
use tokio::process::Child;
use tokio::time::{sleep, timeout};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const EXECUTIONS: usize = 50;
/// How long a dead worker's tasks wait before another worker can claim them.
const LEASE_SECONDS: u64 = 3;
/// Number of summary rows to print.
const SHOWN: i64 = 16;

#[tokio::main]
async fn main() -> ExitCode {
    let Some(directory) = std::env::args().nth(1) else {
        eprintln!("usage: demo DIRECTORY (for the server)");
        return ExitCode::from(2);
    };
    // A signal drops everything `demo` holds, including the workers and the server.
    let end = match pg_workflow_client::worker::shutdown_signal() {
        Ok(asked) => tokio::select! {
            end = demo(directory) => end,
            _ = asked.cancelled() => Err("stopped".into()),
        },
        Err(error) => Err(error.into()),
    };
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(directory: String) -> Result<()> {
    let begun = Instant::now();
    println!("Starting a private PostgreSQL 15 in {directory}");
    let server = Server::create(directory)?;
    let url = server.url()?;
    let pool = PgPool::connect(&url).await?;
    sqlx::query("CREATE EXTENSION pg_workflow").execute(&pool).await?;

    for (action, description) in ACTIONS {
        let input = RegisterActionInput { description: Some(description.into()), ..RegisterActionInput::new(action) };
        Engine::register_action(&pool, input).await?;
    }
    let workflow = Engine::define(&pool, DEPLOY).await?;
    println!("Defined {} {} and its {} actions", workflow.r#ref, workflow.version, ACTIONS.len());

    // In one transaction: either all fifty start, or none.
    let mut transaction = pool.begin().await?;
    for number in 0..EXECUTIONS {
        Engine::start(&mut *transaction, rollout(number)).await?;
    }
    transaction.commit().await?;
    println!("Started {EXECUTIONS} rollouts: some to production, some of an app with findings, two with broken builds");

    let mut workers = [Worker::start("left", &url)?, Worker::start("right", &url)?];
    println!("Started two workers: process {} and process {}", workers[0].process(), workers[1].process());
    timeout(Duration::from_secs(60), watch(&pool, &mut workers))
        .await
        .map_err(|_| "the workflows do not end: inspect the server with make psql")??;
    for worker in workers {
        worker.stop().await?;
    }

    let fine = report(&pool, &url).await?;
    pool.close().await;
    drop(server);
    println!("\nThe demo took {:.1} seconds. The server is stopped.", begun.elapsed().as_secs_f64());
    if fine { Ok(()) } else { Err("something went wrong: see above".into()) }
}

/// Returns the parameters of one of the fifty rollouts.
fn rollout(number: usize) -> StartInput {
    let apps = ["shop", "billing", "search", "mail", "legacy-crm"];
    let regions = ["eu-west", "us-east", "ap-south", "sa-east"];
    let first = number % regions.len();
    let regions: Vec<&str> = regions.iter().cycle().skip(first).take(1 + number % 3).copied().collect();
    StartInput {
        r#ref: "deploy.rollout".into(),
        parameters: json!({
            "app": apps[number % apps.len()],
            "regions": regions,
            "env": if number.is_multiple_of(3) { "prod" } else { "dev" },
            "broken_builds": if number == 7 || number == 23 { 1 + number % 2 } else { 0 },
        }),
        idempotency_key: Some(format!("rollout {number}")),
        ..Default::default()
    }
}

/// Shows the progress until all executions have ended, and kills a worker halfway.
async fn watch(pool: &PgPool, workers: &mut [Worker; 2]) -> Result<()> {
    let progress = Progress::new();
    loop {
        let asked: sqlx::Result<(i64, i64, i64)> = sqlx::query_as(
            "SELECT (SELECT count(*) FROM workflow.execution WHERE workflow.is_end(status)), \
               (SELECT count(*) FROM workflow.workflow_task_execution WHERE status = 'completed' AND NOT skipped), \
               (SELECT count(*) FROM workflow.workflow_task_execution t \
                JOIN workflow.lease l ON l.part = t.part AND l.token = t.lease AND t.id = ANY (l.tasks) \
                WHERE t.status = 'running' AND l.worker = $1)",
        )
        .bind(workers[1].name)
        .fetch_one(pool)
        .await;
        let (ended, done, held) = match asked.map_err(pg_workflow_client::Error::from) {
            Ok(asked) => asked,
            // Somebody may be testing what happens when the server crashes.
            Err(error) if error.is_transient() => {
                progress.say(&format!("the server is unavailable: {error}"));
                sleep(Duration::from_millis(500)).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        progress.show(ended, done);
        if ended == EXECUTIONS as i64 {
            progress.end();
            return Ok(());
        }
        if ended >= EXECUTIONS as i64 / 2 && held > 0 && workers[1].is_alive() {
            workers[1].kill().await?;
            progress.say(&format!(
                "kill -9: the worker \"{}\" died holding {held} tasks; their leases expire in {LEASE_SECONDS} seconds, \
                 then \"{}\" takes over",
                workers[1].name, workers[0].name
            ));
        }
        for worker in workers.iter_mut().filter(|worker| !worker.killed) {
            if !worker.is_alive() {
                return Err(format!("the worker \"{}\" exited unexpectedly", worker.name).into());
            }
        }
        sleep(Duration::from_millis(40)).await;
    }
}

/// Prints the results, and returns whether everything went well.
async fn report(pool: &PgPool, url: &str) -> Result<bool> {
    let rows: Vec<Vec<String>> = sqlx::query_scalar(
        "SELECT ARRAY[s.execution::text, (e.config ->> 'app') || ' to ' || (e.config ->> 'env'), s.status::text, \
           coalesce(e.result ->> 'status', ''), s.completed_task_count::text, s.skipped_task_count::text, \
           s.failed_task_count::text, (extract(epoch FROM e.updated - s.created) * 1000)::bigint || ' ms'] \
         FROM workflow.workflow_execution_summary s JOIN workflow.execution e ON e.part = s.part AND e.id = s.execution \
         ORDER BY s.execution LIMIT $1",
    )
    .bind(SHOWN)
    .fetch_all(pool)
    .await?;
    println!("\nThe first {SHOWN} of them, from the view workflow.workflow_execution_summary:");
    print_table(&["execution", "what", "status", "output", "completed", "skipped", "failed", "took"], rows);

    let (completed, deployed, held_back, retried, taken_over): (i64, i64, i64, i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE e.status = 'completed'), \
           count(*) FILTER (WHERE e.result ->> 'status' = 'deployed'), \
           count(*) FILTER (WHERE e.result ->> 'status' = 'held_back'), \
           (SELECT coalesce(sum(retry_count), 0) FROM workflow.workflow_task_execution), \
           (SELECT count(*) FROM workflow.workflow_task_execution WHERE attempt > retry_count + 1) \
         FROM workflow.execution e",
    )
    .fetch_one(pool)
    .await?;
    println!("{completed} of {EXECUTIONS} completed: {deployed} deployed, {held_back} held back by the scan");
    println!("{retried} builds were retried, and {taken_over} tasks taken over after their leases had expired");

    // The most interesting execution: one with a task that was taken over if there is one, then one to production.
    let execution: i64 = sqlx::query_scalar(
        "SELECT e.id FROM workflow.execution e JOIN workflow.workflow_execution w ON w.part = e.part AND w.execution = e.id \
         ORDER BY EXISTS (SELECT FROM workflow.workflow_task_execution t WHERE t.part = w.part AND t.workflow_execution = w.id \
           AND t.attempt > t.retry_count + 1) DESC, e.config ->> 'env' = 'prod' DESC, e.id LIMIT 1",
    )
    .fetch_one(pool)
    .await?;
    let tasks: Vec<Vec<String>> = sqlx::query_scalar(
        "SELECT ARRAY[t.task_name, coalesce(t.task_index::text, ''), coalesce(t.action_ref, ''), \
           workflow.task_summary(t.status, t.skipped)::text, t.attempt::text, coalesce(to_char(t.started_at, 'HH24:MI:SS.MS'), ''), \
           coalesce(t.duration_ms || ' ms', '')] \
         FROM workflow.workflow_execution w JOIN workflow.workflow_task_execution t \
           ON t.part = w.part AND t.workflow_execution = w.id \
         WHERE w.execution = $1 ORDER BY t.id",
    )
    .bind(execution)
    .fetch_all(pool)
    .await?;
    println!("\nThe tasks of execution {execution}:");
    print_table(&["task", "item", "action", "status", "attempts", "started", "took"], tasks);
    for command in ["graph", "timeline"] {
        println!("\npg-workflow {command} {execution}\n");
        pg_workflow(url, &[command, &execution.to_string()])?;
    }
    println!("\nIts graph in Mermaid (paste it into https://mermaid.live):\n");
    println!("{}", Engine::execution_graph(pool, execution, GraphFormat::Mermaid).await?.trim_end());

    let broken = Engine::check(pool, 100).await?;
    for broken in &broken {
        println!("BROKEN: {broken:?}");
    }
    println!("\nworkflow_check() finds {} broken invariants", broken.len());
    println!("\nTo look at all this in a browser, run make console");
    println!(
        "\nTo try more, run make psql and paste:\n
    SELECT workflow_start('deploy.rollout', '{{\"app\": \"shop\", \"regions\": [\"eu-west\", \"us-east\"]}}') AS execution \\gset
    SELECT task, lease_token, task_name, input FROM workflow_claim('me') \\gset
    SELECT workflow_complete(:task, :lease_token, '{{\"image\": \"registry/shop:1\"}}');
    SELECT status, current_tasks, completed_tasks, variables FROM workflow_status(:execution);
    SELECT workflow_graph(:execution);
    SELECT execution, status, completed_task_count, updated - created AS took
      FROM workflow.workflow_execution_summary ORDER BY took DESC LIMIT 5;"
    );
    Ok(completed == EXECUTIONS as i64 && broken.is_empty())
}

/// Runs the program pg-workflow, which prints what it has to say.
fn pg_workflow(url: &str, arguments: &[&str]) -> Result<()> {
    let program = std::env::current_exe()?.with_file_name("pg-workflow");
    let status = Command::new(&program).args(arguments).env("DATABASE_URL", url).status();
    let status = status.map_err(|error| format!("{}: {error}", program.display()))?;
    if status.success() { Ok(()) } else { Err(format!("pg-workflow {}: {status}", arguments.join(" ")).into()) }
}

fn print_table(head: &[&str], rows: Vec<Vec<String>>) {
    let mut table = Builder::default();
    table.push_record(head.iter().copied());
    rows.into_iter().for_each(|row| table.push_record(row));
    println!("{}", table.build().with(Style::rounded()));
}

/// A progress bar on a terminal; otherwise a line now and then.
struct Progress {
    bar: Option<ProgressBar>,
    last: std::cell::Cell<i64>,
}

impl Progress {
    fn new() -> Progress {
        let bar = std::io::stdout().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:40} {pos} of {len} completed, {msg}");
            ProgressBar::with_draw_target(Some(EXECUTIONS as u64), indicatif::ProgressDrawTarget::stdout())
                .with_style(style.expect("the template is one"))
        });
        Progress { bar, last: std::cell::Cell::new(-1) }
    }

    fn show(&self, ended: i64, done: i64) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(format!("{done} tasks done"));
                bar.set_position(ended as u64);
            }
            None if ended / 10 > self.last.get() => {
                self.last.set(ended / 10);
                println!("{ended} of {EXECUTIONS} completed, {done} tasks done");
            }
            None => {}
        }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => println!("{text}"),
        }
    }

    fn end(&self) {
        self.bar.iter().for_each(ProgressBar::abandon);
    }
}

/// A worker process, which dies with this one.
struct Worker {
    name: &'static str,
    child: Child,
    killed: bool,
}

impl Worker {
    fn start(name: &'static str, url: &str) -> Result<Worker> {
        let program = std::env::current_exe()?.with_file_name("worker");
        let child = tokio::process::Command::new(&program)
            .envs([("DATABASE_URL", url), ("WORKER_NAME", name), ("WORKER_CONCURRENCY", "4")])
            .env("WORKER_LEASE", LEASE_SECONDS.to_string())
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(Worker { name, child, killed: false })
    }

    fn process(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    async fn kill(&mut self) -> Result<()> {
        self.killed = true;
        Ok(self.child.kill().await?)
    }

    /// Asks the worker to stop, as an operator would.
    async fn stop(mut self) -> Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        run(Command::new("kill").arg(self.process().to_string()))?;
        let status = timeout(Duration::from_secs(10), self.child.wait()).await??;
        if status.success() { Ok(()) } else { Err(format!("the worker \"{}\" exited with {status}", self.name).into()) }
    }
}

/// The private server, which stops with this process; its data is kept.
struct Server {
    script: PathBuf,
    directory: String,
}

impl Server {
    fn create(directory: String) -> Result<Server> {
        let script = PathBuf::from("scripts/server");
        if !script.exists() {
            return Err("there is no scripts/server here: run make demo in the repository".into());
        }
        // Constructed first, so that a server that was only partly created is stopped as well.
        let server = Server { script, directory };
        run(Command::new(&server.script).args(["create", &server.directory, "15"]))?;
        Ok(server)
    }

    fn url(&self) -> Result<String> {
        let print = r#"settings=$("$0" env "$1") && eval "$settings" && printf %s "$DATABASE_URL""#;
        run(Command::new("bash").args(["-c", print]).arg(&self.script).arg(&self.directory))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new(&self.script).args(["stop", &self.directory])) {
            eprintln!("demo: the server may still be running: {error}");
        }
    }
}

/// Runs a program to completion; returns its output.
fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{:?} failed ({})", command.get_program(), output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
