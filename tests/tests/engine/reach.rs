//! The amount that a call reads grows neither with the length of the queue nor with the amount of finished work.

use crate::explained::explain;
use crate::fixture::*;
use pg_workflow_tests::with_database;

const TASKS: &str = "tasks:
  - {name: a, action: demo.a, on_success: b}
  - {name: b, action: demo.a}
";

/// Runs a statement in a separate transaction. Returns how many rows of tasks it has read, and how many times it read
/// all of them.
async fn reach(session: &mut Session, sql: &str) -> (i64, i64) {
    let read = "SELECT seq_tup_read + idx_tup_fetch, seq_scan FROM pg_stat_xact_user_tables
                WHERE relid = 'workflow.workflow_task_execution'::regclass";
    session.run("BEGIN").await;
    let [(rows, whole)] = session.rows::<(i64, i64)>(read).await[..] else { panic!("no statistics") };
    session.run(sql).await;
    let [(rows_then, whole_then)] = session.rows::<(i64, i64)>(read).await[..] else { panic!("no statistics") };
    session.run("COMMIT").await;
    (rows_then - rows, whole_then - whole)
}

/// Claims ten tasks, extends their lease, reports them, and ticks. Returns what each call has read.
async fn work(worker: &mut Session) -> Vec<(&'static str, i64, i64)> {
    worker.run("DROP TABLE IF EXISTS held; CREATE TEMP TABLE held (task bigint, lease_token bigint)").await;
    let reports = "(SELECT coalesce(array_agg(ROW(h.task, h.lease_token, 'completed', NULL, NULL, NULL, NULL, NULL, NULL)::workflow.outcome), '{}')
                    FROM held AS h)";
    let mut all = Vec::new();
    for (what, sql) in [
        ("a claim", "INSERT INTO held SELECT task, lease_token FROM workflow_claim('w', 10)".to_owned()),
        (
            "a heartbeat",
            "SELECT count(*) FROM workflow_heartbeat((SELECT array_agg(task ORDER BY task) FROM held),
               (SELECT array_agg(lease_token ORDER BY task) FROM held))"
                .to_owned(),
        ),
        (
            "a report with a claim",
            format!(
                "WITH next AS (SELECT * FROM workflow_finish_and_claim('w', {reports}, 10)),
                   gone AS (DELETE FROM held)
                 INSERT INTO held SELECT task, lease_token FROM next WHERE state = 'claimed'"
            ),
        ),
        ("a report", format!("SELECT count(*) FROM workflow_finish({reports})")),
        ("a tick", "SELECT workflow_tick()".to_owned()),
    ] {
        let (rows, whole) = reach(worker, &sql).await;
        all.push((what, rows, whole));
    }
    all
}

async fn start(session: &mut Session, count: i32) {
    session.run(format!("SELECT workflow_start_many('demo.w', array_fill('{{}}'::jsonb, ARRAY[{count}]))")).await;
}

fn assert_little(calls: Vec<(&str, i64, i64)>) {
    for (what, rows, whole) in calls {
        assert!(rows < 200, "{what} has read {rows} rows");
        assert_eq!(whole, 0, "{what} has read all tasks");
    }
}

#[tokio::test]
async fn calls_read_what_they_are_about_and_no_more() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(TASKS).await;
        start(&mut session, 5000).await;
        // The planner now knows how long the queue is. Later sessions plan accordingly.
        session.run("VACUUM ANALYZE").await;
        let mut worker = Session::new(db).await;
        assert_little(work(&mut worker).await);
        let ended: i64 = session.value("SELECT count(*) FROM workflow.execution WHERE status = 'completed'").await;
        assert_eq!(ended, 10);
    })
    .await;
}

#[tokio::test]
async fn plans_that_were_made_for_empty_tables_serve_full_ones() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(TASKS).await;
        let mut worker = Session::new(db).await;
        start(&mut session, 10).await;
        work(&mut worker).await;
        start(&mut session, 5000).await;
        assert_little(work(&mut worker).await);
    })
    .await;
}

/// A long queue makes plans look expensive, and PostgreSQL JIT-compiles expensive plans at each call.
#[tokio::test]
async fn no_plan_is_compiled_however_dear_it_looks() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(TASKS).await;
        start(&mut session, 10).await;
        let settings = ["SET jit = on", "SET jit_above_cost = 0", "SET auto_explain.log_analyze = on"];
        let claim = "CREATE TEMP TABLE mine AS SELECT * FROM workflow_claim('w', 5)";
        let report = "SELECT f.task + 1, count(*) FROM workflow_finish_and_claim('w', (SELECT array_agg(
          ROW(task, lease_token, 'completed', '1', NULL, NULL, NULL, NULL, NULL)::workflow.outcome) FROM mine), 5) AS f GROUP BY 1";
        let heartbeat = "SELECT h.task + 1, count(*) FROM workflow_heartbeat(
          ARRAY(SELECT task FROM mine), ARRAY(SELECT lease_token FROM mine)) AS h GROUP BY 1";
        let tick = "SELECT t + 1, count(*) FROM workflow_tick() AS t GROUP BY 1";
        for call in [heartbeat, report, tick] {
            let Some(explained) = explain(&mut session, db, &settings, [claim, call, "SELECT 1"]).await else { return };
            let (own, nested) = explained.plans.split_last().expect("a call has a plan");
            if !own.contains("JIT:") {
                eprintln!("skipped: this server cannot compile plans");
                return;
            }
            assert!(nested.len() > 2, "{nested:?}");
            let compiled: Vec<_> = nested.iter().filter(|plan| plan.contains("JIT:")).collect();
            assert!(compiled.is_empty(), "{compiled:?}");
        }
    })
    .await;
}
