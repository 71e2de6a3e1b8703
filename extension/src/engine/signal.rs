//! Signals: messages from outside for tasks that wait for them. What happens when a task begins to wait is in
//! [`signal_waits`](crate::engine::signal_waits).

use crate::cache::foreign_parts;
use crate::cache::graphs;
use crate::engine::control_log;
use crate::engine::finish::{finish, process_pending};
use crate::engine::signal_payload::{payload_value, violation};
use crate::engine::task_report::{TaskReport, WorkerReport};
use crate::error::Error;
use crate::pg::jsonb::Jsonb;
use crate::pg::statements;
use crate::store::reporter::Reporter;
use conductor::code::Code;
use conductor::expression::Rendering;
use conductor::graph::{Graph, Node};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiClient;
use serde_json::json;

/// A signal sent to an execution.
pub struct Signal<'a> {
    /// The execution's id.
    pub execution: i64,
    /// The signal's name.
    pub name: &'a str,
    /// Key by which a repetition is recognized.
    pub key: Option<&'a str>,
    /// Result with which the waiting task completes.
    pub payload: Option<Jsonb>,
    /// Error with which the waiting task fails.
    pub error: Option<Jsonb>,
}

impl Signal<'_> {
    /// Delivers the signal to the task that waits for it, or keeps it. Returns which of the two happened.
    pub fn send(&self, client: &SpiClient, now: TimestampWithTimeZone) -> Result<&'static str, Error> {
        let Signalled { run, status, version } =
            lock(client, now, self.execution, "End its task with workflow_update_task_execution.")?;
        if let Some(answer) = self.former_answer(client, run)? {
            return Ok(answer);
        }
        let arguments = [run.into(), self.name.into()];
        let waiting = statements::run(client, include_str!("../../queries/find_waiting_task.sql"), &arguments)?.first();
        let (waiting, task_name) = (waiting.get::<i64>(1)?, waiting.get::<String>(2)?);
        // A task may wait even if the execution has failed or is `cancelled`: for example, one that runs alongside
        // `fail`, or the last one.
        if waiting.is_none() && status != "running" {
            let message = format!("execution {} does not accept signals: it is {status}", self.execution);
            return Err(Error::refused(Code::WRONG_STATE, message, "Send it to a running execution."));
        }
        self.check_name(client, run)?;
        if waiting.is_none() {
            self.check_in_time(client, run)?;
        }
        self.check_payload(&*graphs::graph(client, version)?, task_name.as_deref())?;
        let arguments = [
            run.into(),
            waiting.into(),
            self.name.into(),
            self.key.into(),
            self.payload.into(),
            now.into(),
            self.error.into(),
        ];
        statements::run(client, include_str!("../../queries/insert_signal.sql"), &arguments)?;
        let mut detail = serde_json::Map::new();
        detail.extend(self.key.map(|key| ("key".to_owned(), json!(key))));
        detail.extend(waiting.map(|task| ("task".to_owned(), json!(task))));
        detail.extend(self.error.map(|_| ("failed".to_owned(), json!(true))));
        let detail = serde_json::Value::Object(detail).to_string();
        control_log::add(client, self.execution, "signal", Some(self.name), Some(detail), Vec::new(), now)?;
        if waiting.is_none() {
            return Ok("kept");
        }
        let done = TaskReport::of_worker(WorkerReport {
            task: waiting,
            status: Some(if self.error.is_some() { "failed" } else { "completed" }.to_owned()),
            result: self.payload,
            error: self.error,
            ..WorkerReport::default()
        });
        finish(client, vec![done], now, Reporter::Engine, None)?;
        Ok("delivered")
    }

    /// Refuses a payload that the waiting task, or every task that may come to wait for it, would reject.
    fn check_payload(&self, graph: &Graph, waiting: Option<&str>) -> Result<(), Error> {
        if self.error.is_some() || graph.nodes.iter().all(|node| node.signal_schema.is_none()) {
            return Ok(());
        }
        let payload = payload_value(self.payload.map(|payload| payload.text()).as_deref())?;
        let may_wait = |node: &&Node| match (&node.signal, waiting) {
            (None, _) => false,
            (Some(_), Some(name)) => node.name == name,
            (Some(Rendering::Literal(signal)), None) => signal.as_str() == Some(self.name),
            (Some(_), None) => true,
        };
        let mut refused = None;
        for node in graph.nodes.iter().filter(may_wait) {
            match violation(node, &payload) {
                None => return Ok(()),
                Some(why) => refused = refused.or(Some((node.name.as_str(), why))),
            }
        }
        let Some((task, why)) = refused else { return Ok(()) };
        let name: String = self.name.chars().take(200).collect();
        let message = format!("the payload of signal {name} violates the schema of task {task}: {why}");
        Err(Error::refused(
            Code::INVALID_PAYLOAD,
            message,
            "Send a payload that satisfies wait_for.schema, which workflow_list_waits shows.",
        ))
    }

    /// Returns the answer to an earlier signal with this name and key, updated to its current state.
    fn former_answer(&self, client: &SpiClient, run: i64) -> Result<Option<&'static str>, Error> {
        let Some(key) = self.key else { return Ok(None) };
        let arguments = [run.into(), self.name.into(), key.into()];
        let is_kept = statements::run(client, include_str!("../../queries/find_signal.sql"), &arguments)?.first();
        let is_kept = is_kept.get::<bool>(1)?;
        Ok(is_kept.map(|is_kept| if is_kept { "kept" } else { "delivered" }))
    }

    /// Refuses a signal whose wait has timed out. If it were kept, it would answer the next wait for the same name.
    fn check_in_time(&self, client: &SpiClient, run: i64) -> Result<(), Error> {
        let arguments = [run.into(), self.name.into()];
        let late = statements::run(client, include_str!("../../queries/find_late_wait.sql"), &arguments)?.first();
        let Some((task, time)) = late.get::<String>(1)?.zip(late.get::<String>(2)?) else { return Ok(()) };
        let name: String = self.name.chars().take(200).collect();
        let message = format!("signal {name} is too late: task {task} waited for it until {time}");
        Err(Error::refused(Code::WRONG_STATE, message, "Send it again when a task is waiting for it."))
    }

    /// Refuses a name that no task of the workflow ever waits for. A templated name is known only when its task starts
    /// waiting.
    fn check_name(&self, client: &SpiClient, run: i64) -> Result<(), Error> {
        let row = statements::run(client, include_str!("../../queries/list_waits.sql"), &[run.into()])?.first();
        let waits = row.get::<Vec<String>>(1)?.unwrap_or_default();
        if waits.iter().any(|wait| wait == self.name || wait.contains('{')) {
            return Ok(());
        }
        let name: String = self.name.chars().take(200).collect();
        let hint = match waits.is_empty() {
            true => "No task of its workflow has wait_for.".to_owned(),
            false => format!("Its workflow waits for these signals: {}.", waits.join(", ")),
        };
        let message = format!("execution {} never waits for signal {name}", self.execution);
        Err(Error::refused(Code::WRONG_STATE, message, hint))
    }
}

/// A locked execution to which a signal is addressed.
pub struct Signalled {
    /// Its id.
    pub run: i64,
    /// Its status.
    pub status: String,
    /// Its version.
    pub version: i64,
}

/// Locks an execution that the engine runs. `hint` is used if the execution is driven from outside.
pub fn lock(client: &SpiClient, now: TimestampWithTimeZone, execution: i64, hint: &str) -> Result<Signalled, Error> {
    foreign_parts::check_id(execution)?;
    let signalled = lock_now(client, execution, hint)?;
    match process_pending(client, now, vec![signalled.run], None)?.reports {
        0 => Ok(signalled),
        _ => lock_now(client, execution, hint),
    }
}

fn lock_now(client: &SpiClient, execution: i64, hint: &str) -> Result<Signalled, Error> {
    let sql = include_str!("../../queries/lock_signalled.sql");
    let row = statements::run(client, sql, &[execution.into()])?.first();
    let Some(run) = row.get::<i64>(1)? else {
        let message = format!("there is no execution {execution}");
        return Err(Error::refused(Code::NOT_FOUND, message, "Pass the id that workflow_start returned."));
    };
    let Some(version) = row.get::<i64>(3)? else {
        return Err(Error::refused(Code::NOT_OWNER, format!("execution {execution} is driven from outside"), hint));
    };
    Ok(Signalled { run, status: row.get::<String>(2)?.unwrap_or_default(), version })
}
