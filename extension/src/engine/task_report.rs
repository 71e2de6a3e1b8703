//! A reported task: its contents, and what can be decided about it before the conductor is asked.

use crate::engine::own_report::OwnReport;
use crate::error::{Error, Refusal};
use crate::pg::clock;
use crate::pg::id;
use crate::pg::jsonb::Jsonb;
use crate::pg::rows::Rows;
use crate::pg::statements;
use crate::pg::transition_table::{RowRelation, value};
use crate::settings;
use conductor::code::Code;
use conductor::engine::outcome::Times;
use conductor::engine::reported::Advice;
use conductor::engine::status::TaskEnd;
use pgrx::datum::{AnyElement, Interval, TimestampWithTimeZone};
use pgrx::spi::SpiClient;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Maximum retry delay that can be requested, in seconds: a hundred years.
const MAX_RETRY: f64 = 100.0 * 365.25 * 86_400.0;

/// Maximum hold that can be requested, in seconds: ten years.
const MAX_HOLD: f64 = 10.0 * 365.25 * 86_400.0;

/// The report on one task, together with the task's row.
pub struct TaskReport {
    /// Id of the task.
    pub task: Option<i64>,
    /// Lease token with which it was claimed.
    pub lease: Option<i64>,
    /// `completed`, `failed`, …
    pub status: Option<String>,
    /// Result of the task.
    pub result: Option<Jsonb>,
    /// Error of the task.
    pub error: Option<Jsonb>,
    /// Progress of the task.
    pub progress: Option<Jsonb>,
    /// The worker's advice on retrying.
    pub advice: Advice,
    /// Retry delay requested by the worker, in seconds.
    retry_in: Option<f64>,
    /// How long the worker asks to hold back tasks of the same kind, in seconds.
    pub hold_for: Option<f64>,
    /// Stored size of the largest of result, error and progress, in bytes.
    pub bytes: usize,
    /// Row of the task, if it exists.
    pub row: Option<Rc<Row>>,
    /// Whether the row has already been ended as completed, as reported here.
    pub completed: bool,
    /// Whether an earlier call has already answered the report and left it pending.
    pub is_pending: bool,
    /// Role that made that call.
    pub role: Option<String>,
    /// For a call: whether the called execution has completed anything that it has not undone.
    pub undoable: Option<bool>,
}

/// A worker's report on a task that it holds: the fields of `workflow.outcome`.
#[derive(Default)]
pub struct WorkerReport {
    /// Id of the task.
    pub task: Option<i64>,
    /// Lease token with which it was claimed.
    pub lease: Option<i64>,
    /// Final status.
    pub status: Option<String>,
    /// Result of the task.
    pub result: Option<Jsonb>,
    /// Error of the task.
    pub error: Option<Jsonb>,
    /// `false` if it must not be retried.
    pub may_retry: Option<bool>,
    /// When to retry it.
    pub retry_in: Option<Interval>,
    /// How long to hold back tasks of the same kind.
    pub hold_for: Option<Interval>,
    /// Progress of the task.
    pub progress: Option<Jsonb>,
}

/// Row of a task.
pub struct Row {
    pub workflow_execution: i64,
    pub status: String,
    pub lease: Option<i64>,
    pub task_name: String,
    pub task_index: Option<u32>,
    pub route: u32,
    pub visit: u32,
    pub retries: u32,
    pub max_retries: u32,
    pub context: Vec<u32>,
    pub elapsed: f64,
    /// Whether it keeps running while its execution closes.
    pub closing: bool,
    /// Times of the task, and number of attempts.
    pub times: Times,
    /// Number of repetitions so far.
    pub repetitions: u32,
}

/// Answer to a report.
pub struct Answer {
    /// Id of the task.
    pub task: Option<i64>,
    /// Lease token in the report.
    pub lease: Option<i64>,
    /// Current state of the task; `None` if the report was refused.
    pub state: Option<String>,
    /// Reason for the refusal, if any.
    pub refusal: Option<Refusal>,
}

impl TaskReport {
    /// Reads a worker's reports, in order, from an array of `workflow.outcome`. The rows still have to be found.
    pub fn read_all(outcomes: AnyElement) -> Result<Vec<TaskReport>, Error> {
        let mut rows = Rows::of_array(outcomes);
        let mut all = Vec::with_capacity(rows.len());
        while rows.next().is_some() {
            all.push(TaskReport::of_worker(WorkerReport {
                task: rows.get::<i64>(1)?,
                lease: rows.get::<i64>(2)?,
                status: rows.label(3),
                result: rows.get::<Jsonb>(4)?,
                error: rows.get::<Jsonb>(5)?,
                may_retry: rows.get::<bool>(6)?,
                retry_in: rows.get::<Interval>(7)?,
                hold_for: rows.get::<Interval>(8)?,
                progress: rows.get::<Jsonb>(9)?,
            }));
        }
        Ok(all)
    }

    /// Returns the outcome for a worker's report.
    pub fn of_worker(report: WorkerReport) -> TaskReport {
        let WorkerReport { task, lease, status, result, error, may_retry, retry_in, hold_for, progress } = report;
        let retry_in = retry_in.map(|interval| interval.as_micros() as f64 / 1e6);
        let advice = match (may_retry, retry_in) {
            (Some(false), _) => Advice::Never,
            (_, Some(seconds)) => Advice::After(seconds),
            _ => Advice::None,
        };
        let bytes = [result, error, progress].into_iter().flatten().map(Jsonb::bytes).max().unwrap_or_default();
        TaskReport {
            task,
            lease,
            status,
            result,
            error,
            progress,
            advice,
            retry_in,
            hold_for: hold_for.map(|interval| interval.as_micros() as f64 / 1e6),
            bytes,
            row: None,
            completed: false,
            is_pending: false,
            role: None,
            undoable: None,
        }
    }

    /// Returns the outcome for a report by the engine itself.
    pub fn own(report: &OwnReport) -> TaskReport {
        let json = |text: &Option<String>| text.as_deref().and_then(Jsonb::from_text);
        TaskReport {
            task: Some(report.task),
            lease: None,
            status: Some(report.end.name().to_owned()),
            result: json(&report.result),
            error: json(&report.error),
            progress: None,
            advice: Advice::None,
            retry_in: None,
            hold_for: None,
            bytes: 0,
            row: None,
            completed: false,
            is_pending: false,
            role: None,
            undoable: report.undoable,
        }
    }

    /// Returns the outcome for a report that an earlier call by this role has left pending.
    pub fn pending(report: WorkerReport, row: Row, role: Option<String>) -> TaskReport {
        let (lease, status) = (row.lease, Some(TaskEnd::Completed.name().to_owned()));
        let report = WorkerReport { lease, status, ..report };
        TaskReport { row: Some(Rc::new(row)), completed: true, is_pending: true, role, ..TaskReport::of_worker(report) }
    }

    /// Returns how the task ended, if the report can be accepted; otherwise the answer, if the row alone determines it.
    pub fn judge(&self) -> Result<TaskEnd, Result<String, Refusal>> {
        let refuse = |code, message: String| Err(Err(Refusal::new(code, message)));
        let (Some(task), Some(lease)) = (self.task, self.lease) else {
            let missing = if self.task.is_none() { "task" } else { "lease" };
            return refuse(Code::INVALID_ARGUMENT, format!("{missing} is null"));
        };
        let Some(row) = &self.row else { return refuse(Code::NOT_FOUND, format!("there is no task {task}")) };
        let end = match self.status.as_deref() {
            Some("skipped") | None => None,
            Some(status) => TaskEnd::parse(status),
        };
        let Some(end) = end else {
            let status = self.status.as_deref().unwrap_or("null");
            return refuse(
                Code::INVALID_ARGUMENT,
                format!("a task cannot end as {status}: use completed, failed, timeout, abandoned or cancelled"),
            );
        };
        if row.lease != Some(lease) {
            return refuse(Code::STALE_LEASE, format!("the lease is stale: it no longer holds task {task}"));
        }
        if let Some(refusal) = self.is_out_of_bounds(task) {
            return Err(Err(refusal));
        }
        match row.status.as_str() {
            "running" => Ok(end),
            "requested" | "scheduled" => Err(Ok("retrying".to_owned())),
            ended => Err(Ok(ended.to_owned())),
        }
    }

    fn is_out_of_bounds(&self, task: i64) -> Option<Refusal> {
        let (bytes, most) = (self.bytes, settings::max_result_bytes());
        if self.retry_in.is_some_and(|seconds| !(0.0..=MAX_RETRY).contains(&seconds)) {
            let message = format!("retry_in of task {task} is out of range: use 0 to 100 years");
            Some(Refusal::new(Code::INVALID_ARGUMENT, message))
        } else if self.hold_for.is_some_and(|seconds| !(0.0..=MAX_HOLD).contains(&seconds)) {
            Some(Refusal::new(
                Code::INVALID_ARGUMENT,
                format!("hold_for of task {task} is out of range: use 0 to 10 years"),
            ))
        } else if bytes > most as usize {
            let message = format!("the result of task {task} has {bytes} bytes, but at most {most} are allowed");
            Some(Refusal::new(Code::LIMIT_EXCEEDED, message))
        } else {
            None
        }
    }

    /// Whether the report is refused because some value in it is out of bounds.
    pub fn exceeds_bounds(&self) -> bool {
        self.task.is_some_and(|task| self.is_out_of_bounds(task).is_some())
    }

    /// Returns why expressions cannot use the result, if they cannot.
    pub fn obstacle(&self) -> Option<&'static str> {
        self.result.into_iter().chain(self.error).find_map(Jsonb::obstacle)
    }

    /// Whether the report says `completed` and its result is usable, so that only the row can still be a reason to
    /// refuse it.
    pub fn is_done(&self) -> bool {
        self.status.as_deref() == Some("completed")
            && self.task.zip(self.lease).is_some_and(|(task, _)| self.is_out_of_bounds(task).is_none())
            && self.obstacle().is_none()
    }

    /// Returns how the task ended, without checking a worker's token, provided that its row has one of these statuses.
    pub fn judge_own(&self, live: &[&str]) -> Option<TaskEnd> {
        let row = self.row.as_ref()?;
        self.status.as_deref().and_then(TaskEnd::parse).filter(|_| live.contains(&row.status.as_str()))
    }

    /// Returns the answer to the report.
    pub fn answer(&self, judged: Result<String, Refusal>) -> Answer {
        let (state, refusal) = match judged {
            Ok(state) => (Some(state), None),
            Err(refusal) => (None, Some(refusal)),
        };
        Answer { task: self.task, lease: self.lease, state, refusal }
    }
}

/// Ends the tasks reported as done in the same statement that reads their rows; the rows are returned as they were
/// before. Most reports are of this kind, and most workflows accept them. If a workflow retries a completed task
/// instead, the row is written again.
pub fn complete(client: &SpiClient, now: TimestampWithTimeZone, outcomes: &mut [TaskReport]) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    for outcome in outcomes.iter_mut() {
        // If there are duplicate reports, the first one counts, whatever it says.
        outcome.completed = seen.insert((outcome.task, outcome.lease)) && outcome.is_done();
    }
    let done: Vec<&TaskReport> = outcomes.iter().filter(|outcome| outcome.completed).collect();
    if done.is_empty() {
        return Ok(());
    }
    let ended = end(client, now, &done)?;
    let found = read_rows(ended, now, |_| "running".to_owned())?;
    for outcome in outcomes {
        outcome.row = outcome.task.and_then(|task| found.get(&task).cloned());
        outcome.completed &= outcome.row.as_ref().is_some_and(|row| row.lease == outcome.lease);
    }
    Ok(())
}

/// Runs the statement that ends tasks and returns their rows.
fn end<'conn>(
    client: &SpiClient<'conn>,
    now: TimestampWithTimeZone,
    done: &[&TaskReport],
) -> Result<Rows<'conn>, Error> {
    if let [TaskReport { task: Some(task), lease, result, error, .. }] = done {
        let arguments =
            [id::part(*task).into(), (*task).into(), (*lease).into(), (*result).into(), (*error).into(), now.into()];
        return statements::run(client, include_str!("../../queries/complete_task.sql"), &arguments);
    }
    let reports = RowRelation::new(c"outcome", done, |outcome| {
        [
            ("task", value(outcome.task)),
            ("lease_token", value(outcome.lease)),
            ("result", value(outcome.result)),
            ("error", value(outcome.error)),
        ]
    })?;
    reports.run(client, include_str!("../../queries/complete_tasks.sql"), &[now.into()])
}

/// Finds the rows that are not known yet, using prepared statements for each part.
pub fn find_rows(client: &SpiClient, now: TimestampWithTimeZone, outcomes: &mut [TaskReport]) -> Result<(), Error> {
    let unknown = outcomes.iter().filter(|outcome| outcome.row.is_none()).filter_map(|outcome| outcome.task);
    let mut found = BTreeMap::new();
    for (part, tasks) in id::by_part(unknown) {
        let arguments = [part.into(), tasks.into()];
        let rows = statements::run(client, include_str!("../../queries/load_reported.sql"), &arguments)?;
        found.extend(read_rows(rows, now, |row| row.label(16).unwrap_or_default())?);
    }
    for outcome in outcomes.iter_mut().filter(|outcome| outcome.row.is_none()) {
        outcome.row = outcome.task.and_then(|task| found.get(&task).cloned());
    }
    Ok(())
}

/// Reads rows as returned by `load_reported` and `complete_tasks`. `standing` supplies the status, which the latter
/// omits.
fn read_rows(
    mut rows: Rows,
    now: TimestampWithTimeZone,
    standing: impl Fn(&Rows) -> String,
) -> Result<BTreeMap<i64, Rc<Row>>, Error> {
    let mut found = BTreeMap::new();
    while rows.next().is_some() {
        let row = Row::read(&rows, now, standing(&rows))?;
        found.insert(rows.get::<i64>(1)?.unwrap_or_default(), Rc::new(row));
    }
    Ok(found)
}

impl Row {
    /// Reads a row as returned by `load_reported`, given the time of the report and the status.
    pub fn read(row: &Rows, now: TimestampWithTimeZone, status: String) -> Result<Row, Error> {
        let number = |column| Ok::<u32, Error>(row.get::<i32>(column)?.unwrap_or_default() as u32);
        let created = row.get::<TimestampWithTimeZone>(11)?.unwrap_or(now);
        Ok(Row {
            workflow_execution: row.get::<i64>(2)?.unwrap_or_default(),
            status,
            lease: row.get::<i64>(3)?,
            task_name: row.get::<String>(4)?.unwrap_or_default(),
            task_index: row.get::<i32>(5)?.map(|index| index as u32),
            route: number(6)?,
            visit: number(7)?,
            retries: number(8)?,
            max_retries: number(9)?,
            context: row.get::<Vec<i32>>(10)?.unwrap_or_default().into_iter().map(|id| id as u32).collect(),
            elapsed: clock::seconds(created, now),
            closing: row.get::<bool>(12)?.unwrap_or_default(),
            times: Times {
                started: row.get::<TimestampWithTimeZone>(13)?.map(clock::moment),
                completed: Some(clock::moment(now)),
                attempts: number(14)?,
            },
            repetitions: number(15)?,
        })
    }
}

/// Refuses a value that exceeds the maximum size of a result. `what` names the value in the error.
pub fn check_size(what: &str, bytes: usize) -> Result<(), Error> {
    let most = settings::max_result_bytes();
    if bytes <= most as usize {
        return Ok(());
    }
    let message = format!("{what} has {bytes} bytes, but at most {most} are allowed");
    Err(Error::refused(
        Code::LIMIT_EXCEEDED,
        message,
        "Send less, or have a superuser raise pg_workflow.max_result_bytes.",
    ))
}
