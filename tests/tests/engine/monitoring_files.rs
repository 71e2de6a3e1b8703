//! The files under `monitoring/`: every query runs with the privileges of a reader, and returns the actual state.

use crate::fixture::*;
use pg_workflow_tests::{Database, monitoring, with_database};
use sqlx::{AssertSqlSafe, Column, Executor, Row};
use std::process::Command;

/// The metrics, with their labels.
const METRICS: [(&str, &str); 9] = [
    ("pg_workflow_queue_tasks", "action"),
    ("pg_workflow_queue_oldest_seconds", "action"),
    ("pg_workflow_executions", "workflow, status"),
    ("pg_workflow_lease_tasks", "worker"),
    ("pg_workflow_lease_expired_tasks", "worker"),
    ("pg_workflow_overdue_rows", "kind"),
    ("pg_workflow_overdue_seconds", "kind"),
    ("pg_workflow_limit_running", "limit"),
    ("pg_workflow_limit_waiting", "limit"),
];

/// Creates tasks in every state: queued, held, waiting for a limit, overdue, ended.
async fn fill(db: &Database) {
    let mut session = Session::new(db).await;
    // The reader uses the real clock.
    session.run("SELECT set_config('pg_workflow.test_now', (now() - interval '10 minutes')::text, false)").await;
    session.run("SELECT workflow_set_limit('one', max_running => 1)").await;
    session.register_actions().await;
    session.run("SELECT workflow_register_action('shop.charge')").await;
    session
        .define("tasks: [{name: a, action: demo.a, limit: one}, {name: b, action: shop.charge}, {name: c, delay: 1, action: demo.c}]")
        .await;
    for _ in 0..3 {
        session.start().await;
    }
    session.run("SELECT * FROM workflow_claim('w1', 10, '{demo.a}')").await;
    session.define_as("demo.done", "tasks: [{name: d, action: demo.d}]").await;
    session.run("SELECT workflow_start('demo.done')").await;
    session.run("SELECT workflow_complete(task, lease_token) FROM workflow_claim('w1', 10, '{demo.d}')").await;
}

#[tokio::test]
async fn every_query_is_answered_for_a_role_that_may_only_read() {
    with_database(async |db| {
        fill(db).await;
        let role = db.role().await;
        db.run(format!("SELECT workflow_grant('{role}', 'reader')")).await;
        let mut reader = db.connect_as(&role).await;
        let queries = monitoring::queries();
        for file in ["sql_exporter.collector.yml", "pgwatch.yaml", "keda.yaml", "grafana.json"] {
            assert!(queries.iter().any(|query| query.file == file), "{file} has no query");
        }
        for query in queries {
            let what = format!("{}: {}", query.file, query.name);
            let rows = reader.fetch_all(AssertSqlSafe(query.sql.clone())).await;
            let rows = rows.unwrap_or_else(|error| panic!("{what}: {error}\n{}", query.sql));
            assert!(!rows.is_empty(), "{what} is empty");
        }
    })
    .await;
}

#[tokio::test]
async fn the_collector_has_the_documented_metrics_and_its_queries_their_columns() {
    with_database(async |db| {
        fill(db).await;
        let text = monitoring::read("sql_exporter.collector.yml");
        let field = |block: &str, name: &str| {
            let line = block.lines().find_map(|line| line.trim().strip_prefix(name));
            line.unwrap_or_else(|| panic!("{name}: {block}")).trim_matches(['[', ']', ' ']).to_owned()
        };
        let metrics = text.split("queries:\n").next().unwrap();
        let blocks: Vec<&str> = metrics.split("  - metric_name: ").skip(1).collect();
        let found: Vec<(String, String)> = blocks
            .iter()
            .map(|block| (block.lines().next().unwrap().to_owned(), field(block, "key_labels:")))
            .collect();
        let expected: Vec<(String, String)> = METRICS.map(|(name, labels)| (name.to_owned(), labels.to_owned())).into();
        assert_eq!(found, expected);
        let documented = std::fs::read_to_string(monitoring::folder().join("../docs/monitoring.md")).unwrap();
        let mut session = db.connect().await;
        for block in blocks {
            let name = block.lines().next().unwrap();
            assert!(documented.contains(name), "docs/monitoring.md says nothing of {name}");
            let wanted = field(block, "query_ref:");
            let query = monitoring::queries().into_iter().find(|query| query.name == wanted).unwrap();
            let rows = session.fetch_all(AssertSqlSafe(query.sql)).await.unwrap();
            let columns: Vec<&str> = rows[0].columns().iter().map(|column| column.name()).collect();
            let named = format!("{}, {}", field(block, "key_labels:"), field(block, "values:"));
            assert!(named.split(", ").all(|column| columns.contains(&column)), "{name}: {named} of {columns:?}");
        }
    })
    .await;
}

#[test]
fn the_dashboard_and_the_alerts_use_metrics_that_the_collector_has() {
    for file in ["grafana.json", "prometheus.rules.yml", "prometheus.test.yml"] {
        let text = monitoring::read(file);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let used: Vec<&str> = words.filter(|word| word.starts_with("pg_workflow_")).collect();
        assert!(!used.is_empty(), "{file} uses none");
        for metric in used {
            assert!(METRICS.iter().any(|(name, _)| *name == metric), "{file} uses {metric}");
        }
    }
}

#[tokio::test]
async fn a_long_queue_is_not_counted_to_its_end() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}, {name: b, action: demo.b}]").await;
        for part in [0, 7, 1023] {
            session
                .run(format!(
                    "SELECT workflow_start_many('demo.w', array_fill('{{}}'::jsonb, ARRAY[2000]), part => {part})"
                ))
                .await;
        }
        session.run("ANALYZE workflow.workflow_task_execution").await;
        session.at(5.0).await;
        let found: Vec<(String, i64, f64)> = session
            .rows("SELECT action_ref, tasks, extract(epoch FROM waited)::float8 FROM workflow.queue_depth ORDER BY 1")
            .await;
        assert_eq!(found, [("demo.a".to_owned(), 3000, 5.0), ("demo.b".to_owned(), 3000, 5.0)]);
        let read = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_xact_user_tables
                    WHERE relname = 'workflow_task_execution'";
        session.run("BEGIN").await;
        let before: i64 = session.value(read).await;
        session.run("SELECT * FROM workflow.queue_depth").await;
        let after: i64 = session.value(read).await;
        session.run("ROLLBACK").await;
        assert!(after - before <= 6100, "it reads {} rows of 12000", after - before);
    })
    .await;
}

#[tokio::test]
async fn limits_are_counted_with_all_their_keys() {
    with_database(async |db| {
        fill(db).await;
        let mut session = Session::new(db).await;
        session.run("SELECT workflow_set_limit('unused', rate => 5, per => '1 second')").await;
        let found: Vec<(String, i64, i64)> =
            session.rows("SELECT limit_name, running, waiting FROM workflow.limit_summary ORDER BY 1").await;
        assert_eq!(found, [("one".to_owned(), 1, 2), ("unused".to_owned(), 0, 0)]);
    })
    .await;
}

#[test]
fn the_alerts_are_what_promtool_expects() {
    let unpacked = monitoring::folder().join("../target/extras/usr/bin/promtool");
    let program = if unpacked.exists() { unpacked } else { "promtool".into() };
    let promtool = |arguments: &[&str]| {
        let output = Command::new(&program).args(arguments).current_dir(monitoring::folder()).output();
        output.map(|output| {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()))
        })
    };
    if let Err(error) = promtool(&["check", "rules", "prometheus.rules.yml"]) {
        return eprintln!("skipped: promtool cannot be run ({error}); scripts/prepare extras unpacks it");
    }
    promtool(&["test", "rules", "prometheus.test.yml"]).unwrap();
}
