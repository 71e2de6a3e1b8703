//! The extension on a real server, through its SQL functions.

use super::RerunTask;
use super::engine::{Engine, ReadyAction, ReadyTask, together};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection, Row};
use std::collections::BTreeSet;
use tokio::runtime::Runtime;

/// A player of one case. Time stands still except when it waits for a delay.
pub struct Sql<'c> {
    runtime: &'c Runtime,
    connection: &'c mut PgConnection,
    execution: i64,
}

const TASK: &str = "
    SELECT t.id, t.lease, t.status::text AS status, t.due_at::text AS due_at
    FROM workflow.workflow_task_execution t
    JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
    WHERE w.execution = $1 AND t.task_name = $2 AND t.route = $3 AND t.task_index IS NOT DISTINCT FROM $4
    ORDER BY t.id DESC LIMIT 1";

const READY: &str = "
    SELECT t.task_name, t.route, t.task_index, t.action_ref, t.input,
           CASE WHEN t.due_at > workflow.now() THEN ceil(extract(epoch FROM t.due_at - workflow.now()))::bigint END AS delay
    FROM workflow.workflow_task_execution t
    JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
    WHERE w.execution = $1 AND NOT w.paused AND (t.queue_at IS NOT NULL OR (t.status = 'requested' AND t.due_at IS NOT NULL))
    ORDER BY t.task_name COLLATE \"C\", t.route, t.task_index";

/// Returns a task's newest row.
struct Found {
    id: i64,
    lease: Option<i64>,
    status: String,
    due_at: Option<String>,
}

impl<'c> Sql<'c> {
    /// Plays on a database that has the extension.
    pub fn new(runtime: &'c Runtime, connection: &'c mut PgConnection) -> Sql<'c> {
        Sql { runtime, connection, execution: 0 }
    }

    fn value(&mut self, sql: &'static str, execution: i64) -> Result<sqlx::postgres::PgRow, String> {
        let query = sqlx::query(sql).bind(execution);
        self.runtime.block_on(query.fetch_one(&mut *self.connection)).map_err(|error| error.to_string())
    }

    fn find(&mut self, task: &str, route: u32, index: Option<u32>) -> Result<Option<Found>, String> {
        let query =
            sqlx::query(TASK).bind(self.execution).bind(task).bind(route as i32).bind(index.map(|index| index as i32));
        let row =
            self.runtime.block_on(query.fetch_optional(&mut *self.connection)).map_err(|error| error.to_string())?;
        Ok(row.map(|row| Found {
            id: row.get("id"),
            lease: row.get("lease"),
            status: row.get("status"),
            due_at: row.get("due_at"),
        }))
    }

    fn run(&mut self, sql: String) -> Result<(), String> {
        let query = sqlx::raw_sql(AssertSqlSafe(sql));
        self.runtime.block_on(query.execute(&mut *self.connection)).map(|_| ()).map_err(|error| error.to_string())
    }

    fn register(&mut self, definition: &Value) -> Result<(), String> {
        let tasks = definition["tasks"].as_array().cloned().unwrap_or_default();
        let actions: BTreeSet<String> = tasks
            .iter()
            .filter_map(|task| task["action"].as_str())
            .filter(|action| !action.contains("{{"))
            .map(str::to_owned)
            .collect();
        for action in actions {
            let query = sqlx::query("SELECT 1 FROM workflow_register_action($1)").bind(action);
            self.runtime.block_on(query.execute(&mut *self.connection)).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Claims a row by moving it to the head of the queue, after waiting for its delay.
    fn take(&mut self, found: &Found) -> Result<i64, String> {
        if let Some(due) = &found.due_at {
            self.run(format!("SET pg_workflow.test_now = '{due}'"))?;
            self.run("SELECT workflow_tick()".to_owned())?;
        }
        let head = sqlx::query(
            "UPDATE workflow.workflow_task_execution SET queue_at = '-infinity' WHERE id = $1 AND queue_at IS NOT NULL",
        );
        self.runtime.block_on(head.bind(found.id).execute(&mut *self.connection)).map_err(|error| error.to_string())?;
        let claim = sqlx::query("SELECT task, lease_token FROM workflow_claim('conformance', 1, NULL, '1 day')");
        let row =
            self.runtime.block_on(claim.fetch_optional(&mut *self.connection)).map_err(|error| error.to_string())?;
        match row {
            Some(row) if row.get::<i64, _>("task") == found.id => Ok(row.get("lease_token")),
            _ => Err(format!("the task cannot be claimed: it is {}", found.status)),
        }
    }

    /// Returns the status of a task, all its items taken together: none of the cases tolerates a failure.
    fn task_status(&mut self, row: i64) -> Result<String, String> {
        let status = "SELECT CASE WHEN NOT bool_and(workflow.is_end(t.status)) THEN CASE
                WHEN min(w.status) = 'canceling' THEN 'canceling'
                WHEN bool_or(t.status = 'running' OR NOT workflow.is_end(t.status) AND t.retry_count = 0 AND t.next_retry_at IS NULL)
                THEN 'running' ELSE 'retrying' END
              WHEN bool_or(t.status = 'cancelled' AND t.started_at IS NOT NULL) OR bool_or(w.state ? 'canceling_since') AND bool_or(t.status <> 'completed') THEN 'cancelled'
              WHEN bool_or(t.status IN ('failed', 'timeout', 'abandoned')) THEN (array_agg(t.status::text ORDER BY t.task_index)
                FILTER (WHERE t.status IN ('failed', 'timeout', 'abandoned')))[1]
              WHEN bool_or(t.status = 'cancelled') THEN 'cancelled' ELSE 'completed' END AS status
            FROM workflow.workflow_task_execution AS o
              JOIN workflow.workflow_task_execution AS t USING (workflow_execution, task_name, route, visit)
              JOIN workflow.workflow_execution AS w ON w.id = o.workflow_execution WHERE o.id = $1";
        Ok(self.value(status, row)?.get("status"))
    }

    fn control(&mut self, sql: &'static str) -> Result<(), String> {
        let execution = self.execution;
        self.value(sql, execution).map(|_| ())
    }
}

impl Engine for Sql<'_> {
    fn start(&mut self, definition: &Value, parameters: &Value) -> Result<(), String> {
        self.execution = 0;
        self.run("SET pg_workflow.test_now = '2026-01-01 00:00:00+00'".to_owned())?;
        self.register(definition)?;
        let define = sqlx::query("SELECT ref FROM workflow_define($1)").bind(definition.to_string());
        let row = self.runtime.block_on(define.fetch_one(&mut *self.connection)).map_err(|error| error.to_string())?;
        let reference: String = row.get("ref");
        let start = sqlx::query("SELECT workflow_start($1, $2) AS id").bind(reference).bind(parameters);
        let row = self.runtime.block_on(start.fetch_one(&mut *self.connection)).map_err(|error| error.to_string())?;
        self.execution = row.get("id");
        Ok(())
    }

    fn ready(&mut self) -> Result<Vec<ReadyTask>, String> {
        let query = sqlx::query(READY).bind(self.execution);
        let rows = self.runtime.block_on(query.fetch_all(&mut *self.connection)).map_err(|error| error.to_string())?;
        Ok(together(rows.iter().map(|row| {
            let action = ReadyAction {
                action: row.get("action_ref"),
                input: row.get::<Option<Value>, _>("input").unwrap_or_default(),
                task_index: row.get::<Option<i32>, _>("task_index").map(|index| index as u32),
            };
            (row.get("task_name"), row.get::<i32, _>("route") as u32, row.get("delay"), action)
        })))
    }

    fn claim(&mut self, task: &str, route: u32, index: Option<u32>) -> Result<(), String> {
        match self.find(task, route, index)? {
            Some(found) if found.status == "running" => Ok(()),
            Some(found) => self.take(&found).map(|_| ()),
            // A claim of a task with items as a whole claims its items one by one.
            None if index.is_none() && self.find(task, route, Some(0))?.is_some() => Ok(()),
            None => Err(format!("there is no task {task} on route {route}")),
        }
    }

    fn complete(
        &mut self,
        task: &str,
        route: u32,
        index: Option<u32>,
        status: &str,
        result: Option<&Value>,
    ) -> Result<String, String> {
        let found =
            self.find(task, route, index)?.ok_or_else(|| format!("there is no task {task} on route {route}"))?;
        let lease = match found.lease {
            Some(lease) if found.status == "running" => lease,
            _ => self.take(&found)?,
        };
        let report = sqlx::query(
            "SELECT state, code, message FROM workflow_finish(ARRAY[
               ROW($1, $2, $3::workflow.execution_status, $4, NULL, NULL, NULL, NULL, NULL)::workflow.outcome])",
        );
        let report = report.bind(found.id).bind(lease).bind(status).bind(result);
        let row = self.runtime.block_on(report.fetch_one(&mut *self.connection)).map_err(|error| error.to_string())?;
        match row.get::<Option<String>, _>("state") {
            Some(_) if index.is_some() => self.task_status(found.id),
            Some(state) => Ok(state),
            None => Err(row.get::<Option<String>, _>("message").unwrap_or_default()),
        }
    }

    fn pause(&mut self) -> Result<(), String> {
        self.control("SELECT workflow_pause($1)")
    }

    fn resume(&mut self) -> Result<(), String> {
        self.control("SELECT workflow_resume($1)")
    }

    fn cancel(&mut self) -> Result<(), String> {
        self.control("SELECT workflow_cancel($1)")
    }

    fn rerun(&mut self, tasks: &[RerunTask]) -> Result<(), String> {
        let names: Vec<String> = tasks.iter().map(|task| task.task.clone()).collect();
        let routes: Vec<i32> = tasks.iter().map(|task| task.route as i32).collect();
        let reset = tasks.iter().any(|task| task.reset_items);
        let query = sqlx::query("SELECT workflow_rerun($1, $2, $3, $4)")
            .bind(self.execution)
            .bind(names)
            .bind(reset)
            .bind(routes);
        self.runtime.block_on(query.execute(&mut *self.connection)).map(|_| ()).map_err(|error| error.to_string())
    }

    fn output(&mut self) -> Result<Value, String> {
        let execution = self.execution;
        let row = self.value("SELECT output FROM workflow_status($1)", execution)?;
        Ok(json!(row.get::<Option<Value>, _>("output")))
    }

    fn status(&mut self) -> Result<(String, bool), String> {
        let execution = self.execution;
        let row = self.value("SELECT status::text AS status, paused FROM workflow_status($1)", execution)?;
        Ok((row.get("status"), row.get("paused")))
    }

    fn error(&mut self) -> Option<String> {
        let execution = self.execution;
        self.value("SELECT error_message FROM workflow_status($1)", execution).ok()?.get("error_message")
    }

    fn check(&mut self) -> Vec<String> {
        let query = sqlx::query(
            "SELECT format('%s: %s %s: %s', invariant, subject, id, detail) AS broken FROM workflow_check()",
        );
        match self.runtime.block_on(query.fetch_all(&mut *self.connection)) {
            Ok(rows) => rows.iter().map(|row| row.get("broken")).collect(),
            Err(error) => vec![error.to_string()],
        }
    }
}
