//! Measures how long every view, every read-only function and every query of `monitoring/` takes with a million ended
//! executions, ten thousand tasks that wait for a limit, and PostgreSQL's default settings: `views [EXECUTIONS]`, on a
//! separate server. Fails if one takes longer than [`BOUND`] in the best of [`TRIES`].

use pg_workflow_tests::{Server, monitoring};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection};
use std::time::{Duration, Instant};

/// Maximum time that one may take.
const BOUND: Duration = Duration::from_millis(50);
const TRIES: usize = 3;
const EXECUTIONS: usize = 1_000_000;

/// Function that reads all executions, as its documentation says.
const READS_ALL: &str = "workflow_check";

/// Views and functions that are read completely.
const SUMMARIES: &[&str] = &[
    "workflow.queue_summary",
    "workflow.queue_depth",
    "workflow.limit_summary",
    "workflow.claim_detail",
    "workflow.worker_summary",
    "workflow.action_summary",
    "workflow.overdue_summary",
    "workflow.execution_count",
    "workflow.workflow_summary",
];

/// Views and functions of which up to 100 rows are read.
const LOOKS: &[&str] = &[
    "workflow.workflow_execution_summary",
    "workflow.workflow_execution_summary WHERE execution = 1500000",
    "workflow.workflow_task_detail",
    "workflow.workflow_task_detail WHERE id = 1500000",
    "workflow.workflow_action_link",
    "workflow_status(1500000)",
    "workflow_wait(1500000, '0')",
    "workflow_why(1500000)",
    "workflow_tree(1500000)",
    "workflow_list_tasks(1500000)",
    "workflow_list_events(1500000)",
    "workflow_timeline(1500000)",
    "workflow_graph(1500000)",
    "workflow_list_waits()",
    "workflow_list_executions()",
    "workflow_list_workflow_executions()",
    "workflow_list_task_executions()",
    "workflow_list_definitions()",
    "workflow_list_actions()",
    "workflow_list_schedules()",
    "workflow_list_hooks()",
    "workflow_find_overdue()",
    "workflow_find_pending_retries()",
    "workflow_find_timed_out()",
    "workflow_find_paused_workflow_executions()",
    "workflow_find_execution(1500000)",
    "workflow_find_task_executions_by_workflow_execution(1500000)",
];

const DEFINE: &str = "SELECT workflow_register_action('demo.a');
SELECT workflow_define(format('{ref: demo.w%s, label: W, version: 1, tasks: [{name: a, action: demo.a}]}', n)) FROM generate_series(0, 2) AS n;";

/// Tasks that wait for a limit: two run, ten thousand wait.
const LIMITED: &str = "SELECT workflow_set_limit('few', max_running => 2);
SELECT workflow_define('{ref: demo.limited, label: W, version: 1, tasks: [{name: a, action: demo.a, limit: few}]}');
SELECT workflow_start_many('demo.limited', array_fill('{}'::jsonb, ARRAY[10000]));
SELECT workflow_claim('w', 10);";

/// Executions of three workflows: one task each, some failed, ten per second.
fn fill(count: usize) -> String {
    format!(
        "INSERT INTO workflow.execution (part, id, action_ref, config, status, created, updated)
         SELECT 0, 1000000 + n, 'demo.w' || n % 3, '{{}}', CASE WHEN n % 500 = 0 THEN 'failed' ELSE 'completed' END::workflow.execution_status,
           now() - ({count} - n) * interval '100 ms', now() - ({count} - n) * interval '90 ms' FROM generate_series(1, {count}) AS n;
         INSERT INTO workflow.workflow_execution (part, id, execution, workflow_def, version, status, created, updated, completed_tasks)
         SELECT 0, e.id, e.id, d.id, d.current_version, e.status, e.created, e.updated, '{{a}}'
         FROM workflow.execution e JOIN workflow.workflow_definition d ON d.ref = e.action_ref WHERE e.id > 1000000;
         INSERT INTO workflow.workflow_task_execution (part, id, workflow_execution, task_name, action_ref, status, created, updated,
           started_at, completed_at, duration_ms, input, result)
         SELECT 0, e.id, e.id, 'a', 'demo.a', e.status, e.created, e.updated, e.created, e.updated, 9, '{{}}', '{{\"n\": 1}}'
         FROM workflow.execution e WHERE e.id > 1000000;"
    )
}

#[tokio::main]
async fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(EXECUTIONS);
    let server = Server::create("views", &["shared_buffers=512MB", "max_wal_size=4GB"]);
    let mut session = server.options.connect().await.expect("connected");
    eprintln!("views: {count} executions");
    run(&mut session, "CREATE EXTENSION pg_workflow").await;
    run(&mut session, DEFINE).await;
    run(&mut session, LIMITED).await;
    run(&mut session, &fill(count)).await;
    run(&mut session, "VACUUM ANALYZE").await;
    let mut failed = false;
    let summaries = SUMMARIES.iter().map(|what| format!("SELECT count(*) FROM (SELECT * FROM {what}) AS s"));
    let looks = LOOKS.iter().map(|what| format!("SELECT * FROM {what} LIMIT 100"));
    let scrapes = monitoring::queries().into_iter().map(|query| query.sql.replace('\n', " "));
    for sql in summaries.chain(looks).chain(scrapes) {
        let mut times = Vec::new();
        // The sixth call may have a different plan.
        for _ in 0..2 * TRIES + 1 {
            let began = Instant::now();
            run(&mut session, &sql).await;
            times.push(began.elapsed());
        }
        let (first, last) = times.split_at(TRIES);
        let best = first.iter().min().max(last.iter().min()).copied().unwrap_or_default();
        let is_slow = best > BOUND;
        failed |= is_slow;
        println!("{:8.2} ms{} {sql}", best.as_secs_f64() * 1e3, if is_slow { " TOO SLOW" } else { "" });
    }
    println!("not among them: {READS_ALL}, which reads everything");
    drop(session);
    drop(server);
    if failed {
        std::process::exit(1);
    }
}

async fn run(session: &mut PgConnection, sql: &str) {
    if let Err(error) = session.execute(AssertSqlSafe(sql)).await {
        panic!("{error}\n{sql}");
    }
}
