//! Signals: what comes from outside to a task that waits for it.

use crate::argument::{MOST_KEY_BYTES, check_length};
use crate::engine::control;
use crate::engine::finish::finish;
use crate::engine::own_report::Reporter;
use crate::engine::report::{Outcome, WorkerReport, check_size};
use crate::error::Error;
use crate::pg::clock;
use crate::pg::jsonb::Jsonb;
use crate::pg::statements;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;
use serde_json::json;

/// What was sent to an execution.
struct Signal<'a> {
    execution: i64,
    name: &'a str,
    key: Option<&'a str>,
    payload: Option<Jsonb>,
}

impl Signal<'_> {
    /// Hands the signal to the task that waits for it, or keeps it; returns which of the two it was.
    fn send(&self, client: &SpiClient, now: TimestampWithTimeZone) -> Result<&'static str, Error> {
        let (run, status) = lock(client, self.execution, "end its task with workflow_update_task_execution")?;
        if let Some(answer) = self.former_answer(client, run)? {
            return Ok(answer);
        }
        let arguments = [run.into(), self.name.into()];
        let waiting = statements::run(client, include_str!("../../queries/find_waiting_task.sql"), &arguments)?.first();
        let waiting = waiting.get::<i64>(1)?;
        // In one that has failed or is cancelled a task may wait all the same: one beside fail, or the last.
        if waiting.is_none() && status != "running" {
            let message = format!("execution {} does not accept signals: it is {status}", self.execution);
            return Err(Error::refused("WF611", message, "send it to a running execution"));
        }
        self.check_name(client, run)?;
        if waiting.is_none() {
            self.check_in_time(client, run)?;
        }
        let arguments =
            [run.into(), waiting.into(), self.name.into(), self.key.into(), self.payload.into(), now.into()];
        statements::run(client, include_str!("../../queries/insert_signal.sql"), &arguments)?;
        let mut detail = serde_json::Map::new();
        detail.extend(self.key.map(|key| ("key".to_owned(), json!(key))));
        detail.extend(waiting.map(|task| ("task".to_owned(), json!(task))));
        let detail = serde_json::Value::Object(detail).to_string();
        control::log(client, self.execution, "signal", Some(self.name), Some(detail), Vec::new(), now)?;
        if waiting.is_none() {
            return Ok("kept");
        }
        let done = Outcome::of_worker(WorkerReport {
            task: waiting,
            status: Some("completed".to_owned()),
            result: self.payload,
            ..WorkerReport::default()
        });
        finish(client, vec![done], now, Reporter::Engine, None)?;
        Ok("delivered")
    }

    /// What a signal of this name and key was answered with before, as it stands now.
    fn former_answer(&self, client: &SpiClient, run: i64) -> Result<Option<&'static str>, Error> {
        let Some(key) = self.key else { return Ok(None) };
        let arguments = [run.into(), self.name.into(), key.into()];
        let is_kept = statements::run(client, include_str!("../../queries/find_signal.sql"), &arguments)?.first();
        let is_kept = is_kept.get::<bool>(1)?;
        Ok(is_kept.map(|is_kept| if is_kept { "kept" } else { "delivered" }))
    }

    /// Refuses a signal whose wait has timed out: kept, it would answer the next question of that name.
    fn check_in_time(&self, client: &SpiClient, run: i64) -> Result<(), Error> {
        let arguments = [run.into(), self.name.into()];
        let late = statements::run(client, include_str!("../../queries/find_late_wait.sql"), &arguments)?.first();
        let Some((task, time)) = late.get::<String>(1)?.zip(late.get::<String>(2)?) else { return Ok(()) };
        let name: String = self.name.chars().take(200).collect();
        let message = format!("signal {name} is too late: task {task} waited for it until {time}");
        Err(Error::refused("WF611", message, "send it again when a task waits for it"))
    }

    /// Refuses a name that no task of the workflow ever waits for. A template's name is known only when its task begins to wait.
    fn check_name(&self, client: &SpiClient, run: i64) -> Result<(), Error> {
        let row = statements::run(client, include_str!("../../queries/list_waits.sql"), &[run.into()])?.first();
        let waits = row.get::<Vec<String>>(1)?.unwrap_or_default();
        if waits.iter().any(|wait| wait == self.name || wait.contains('{')) {
            return Ok(());
        }
        let name: String = self.name.chars().take(200).collect();
        let hint = match waits.is_empty() {
            true => "no task of its workflow has wait_for".to_owned(),
            false => format!("it waits for: {}", waits.join(", ")),
        };
        let message = format!("execution {} does not wait for a signal {name}", self.execution);
        Err(Error::refused("WF611", message, hint))
    }
}

/// Locks an execution that the engine runs; returns its id and status. The hint is for one that is driven from outside.
pub fn lock(client: &SpiClient, execution: i64, hint: &str) -> Result<(i64, String), Error> {
    let sql = include_str!("../../queries/lock_signalled.sql");
    let row = statements::run(client, sql, &[execution.into()])?.first();
    let Some(run) = row.get::<i64>(1)? else {
        let message = format!("there is no workflow execution for execution {execution}");
        return Err(Error::refused("WF616", message, "pass the id that workflow_start returned"));
    };
    if row.get::<bool>(3)? == Some(true) {
        return Err(Error::refused("WF618", format!("execution {execution} is driven from outside"), hint));
    }
    Ok((run, row.get::<String>(2)?.unwrap_or_default()))
}

/// `workflow_signal` in `sql/signal.sql`.
#[pg_extern(sql = false)]
fn workflow_signal(
    execution: Option<i64>,
    name: Option<&str>,
    payload: Option<Jsonb>,
    key: Option<&str>,
) -> Result<String, ErrorReport> {
    let name = name.ok_or_else(|| Error::missing("name"))?;
    let execution = execution.ok_or_else(|| Error::missing("execution_id"))?;
    check_length("name", name, MOST_KEY_BYTES)?;
    key.map_or(Ok(()), |key| check_length("key", key, MOST_KEY_BYTES))?;
    check_size("the payload", payload.map_or(0, Jsonb::bytes))?;
    let now = clock::now()?;
    let answer = Spi::connect(|client| Signal { execution, name, key, payload }.send(client, now))?;
    Ok(answer.to_owned())
}
