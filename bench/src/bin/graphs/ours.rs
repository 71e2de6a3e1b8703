//! The graph as a workflow, and a worker's turn in one call.

use crate::Result;
use crate::shape::Graph;
use sqlx::{PgConnection, Row};

/// Query for the number of tasks done, if all executions have completed and all invariants hold.
pub const DONE: &str = "SELECT count(*) FROM workflow.workflow_task_execution t \
    JOIN workflow.execution e ON e.part = t.part AND e.id = t.workflow_execution \
    WHERE t.status = 'completed' AND e.status = 'completed' AND NOT EXISTS (SELECT FROM workflow_check())";

/// Query for whether an execution is still running.
pub const LEFT: &str = "SELECT EXISTS (SELECT FROM workflow.execution WHERE status NOT IN ('completed', 'failed'))";

/// Returns the SQL that defines the workflow and starts it.
pub fn prepare(graph: &Graph, executions: u32) -> String {
    let mut after = vec![Vec::new(); graph.len()];
    for (task, before) in graph.iter().enumerate() {
        before.iter().for_each(|other| after[*other].push(format!("t{task}")));
    }
    let mut yaml = "ref: bench.graph\nlabel: A graph\nversion: 1.0.0\ntasks:\n".to_owned();
    for (task, (before, after)) in graph.iter().zip(&after).enumerate() {
        let join = if before.len() > 1 { ", join: all" } else { "" };
        let next = if after.is_empty() { String::new() } else { format!(", on_success: [{}]", after.join(", ")) };
        yaml += &format!("  - {{name: t{task}, action: bench.step, input: {{n: {task}}}{join}{next}}}\n");
    }
    format!(
        "CREATE EXTENSION pg_workflow; ALTER DATABASE graphs SET pg_workflow.max_tasks = 10000; SET pg_workflow.max_tasks = 10000;
         SELECT ref FROM workflow_register_action('bench.step');
         SELECT count(*) FROM workflow_define($yaml${yaml}$yaml$);
         SELECT count(workflow_start('bench.graph')) FROM generate_series(1, {executions})"
    )
}

/// A claimed task.
pub struct Held {
    task: i64,
    lease: i64,
}

/// Reports tasks as completed, and claims a batch of tasks.
pub async fn turn(connection: &mut PgConnection, held: Vec<Held>, batch: i32) -> Result<Vec<Held>> {
    let (tasks, leases): (Vec<i64>, Vec<i64>) = held.into_iter().map(|held| (held.task, held.lease)).unzip();
    let sql = "SELECT task, lease_token FROM workflow_finish_and_claim('w', ARRAY(
          SELECT ROW(d.task, d.lease, 'completed', '{\"note\": \"pack and send it, carefully\"}', NULL, NULL, NULL, NULL, NULL)::workflow.outcome
          FROM unnest($1::bigint[], $2::bigint[]) AS d(task, lease)), $3)
        WHERE state = 'claimed'";
    let rows = sqlx::query(sql).bind(tasks).bind(leases).bind(batch).fetch_all(connection).await?;
    Ok(rows.iter().map(|row| Held { task: row.get(0), lease: row.get(1) }).collect())
}
