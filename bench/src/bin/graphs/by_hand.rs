//! What a good engineer would write by hand: tasks with a countdown of the tasks that they wait for.

use crate::Result;
use crate::shape::Graph;
use sqlx::{Connection, PgConnection, Row};

/// Query for the number of tasks done.
pub const DONE: &str = "SELECT count(*) FROM node WHERE state = 2";

/// Query for whether any task is left.
pub const LEFT: &str = "SELECT EXISTS (SELECT FROM node WHERE state < 2)";

/// Returns the SQL that creates the tables and fills them.
pub fn prepare(graph: &Graph, executions: u32) -> String {
    let nodes: Vec<String> =
        graph.iter().enumerate().map(|(task, before)| format!("({task}, {})", before.len())).collect();
    let edges: Vec<String> = graph
        .iter()
        .enumerate()
        .flat_map(|(task, before)| before.iter().map(move |other| format!("({other}, {task})")))
        .collect();
    let size = graph.len();
    format!(
        "CREATE TABLE node (id bigint PRIMARY KEY, state smallint NOT NULL DEFAULT 0, attempts smallint NOT NULL DEFAULT 0,
           waits int NOT NULL, lease_until timestamptz, done_at timestamptz, payload jsonb, result jsonb) WITH (fillfactor = 50);
         CREATE INDEX node_ready ON node (id) WHERE state = 0 AND waits = 0;
         CREATE INDEX node_left ON node (id) WHERE state < 2;
         CREATE TABLE edge (source bigint, target bigint, PRIMARY KEY (source, target));
         INSERT INTO node (id, waits, payload) SELECT e * {size} + n.id, n.waits, jsonb_build_object('n', n.id)
         FROM generate_series(0, {executions} - 1) AS e, (VALUES {}) AS n(id, waits);
         INSERT INTO edge SELECT e * {size} + d.source, e * {size} + d.target
         FROM generate_series(0, {executions} - 1) AS e, (VALUES {}) AS d(source, target)",
        nodes.join(", "),
        edges.join(", ")
    )
}

/// Reports tasks as completed, and claims a batch of tasks, in one transaction, which is repeated after a deadlock.
pub async fn turn(connection: &mut PgConnection, tasks: Vec<i64>, batch: i32) -> Result<Vec<i64>> {
    loop {
        match try_turn(connection, &tasks, batch).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("40P01") => {}
            done => return Ok(done?),
        }
    }
}

async fn try_turn(connection: &mut PgConnection, tasks: &[i64], batch: i32) -> sqlx::Result<Vec<i64>> {
    let mut transaction = connection.begin().await?;
    if !tasks.is_empty() {
        // Targets are locked in order: otherwise, two transactions that count down the same tasks could deadlock.
        let finish = "WITH done AS (UPDATE node SET state = 2, done_at = now(), result = '{\"note\": \"pack and send it, carefully\"}'
              WHERE id = ANY ($1) AND state = 1 RETURNING id),
            fewer AS MATERIALIZED (SELECT e.target, count(*) AS times FROM done JOIN edge e ON e.source = done.id GROUP BY 1),
            locked AS MATERIALIZED (SELECT n.id FROM node n WHERE n.id IN (SELECT target FROM fewer) ORDER BY n.id FOR NO KEY UPDATE)
            UPDATE node n SET waits = n.waits - f.times FROM locked l JOIN fewer f ON f.target = l.id WHERE n.id = l.id";
        sqlx::query(finish).bind(tasks).execute(&mut *transaction).await?;
    }
    let claim = "UPDATE node SET state = 1, attempts = attempts + 1, lease_until = now() + interval '30s'
        WHERE id IN (SELECT id FROM node WHERE state = 0 AND waits = 0 ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING id, payload";
    let rows = sqlx::query(claim).bind(batch).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
