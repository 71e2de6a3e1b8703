//! A reported task: what came in, and what may be said of it before the conductor is asked.

use crate::error::Error;
use crate::jsonb::Jsonb;
use crate::settings;
use conductor::conductor::Advice;
use conductor::state::TaskEnd;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiTupleTable;

/// The longest time until a retry that may be asked for, in seconds: a hundred years.
const LONGEST_RETRY: f64 = 100.0 * 365.25 * 86_400.0;

/// What was reported of one task, beside the task's row.
pub struct Outcome {
    /// The task's id.
    pub task: Option<i64>,
    /// The token it was claimed with.
    pub lease: Option<i64>,
    /// `completed`, `failed`, …
    pub status: Option<String>,
    /// What it yielded.
    pub result: Option<Jsonb>,
    /// What went wrong.
    pub error: Option<Jsonb>,
    /// The worker's word on a retry.
    pub advice: Advice,
    /// Seconds until the retry that the worker asks for.
    retry_in: Option<f64>,
    /// Bytes of the larger of the two, as stored.
    pub bytes: i32,
    /// The task's row, where there is one.
    pub row: Option<Row>,
}

/// A task's row.
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
    /// The child execution that does its work.
    pub child: Option<i64>,
}

/// What a report is answered with.
pub struct Answer {
    /// The task.
    pub task: Option<i64>,
    /// The token it was reported with.
    pub lease: Option<i64>,
    /// How the task stands now; none where the report was refused.
    pub state: Option<String>,
    /// Why it was refused.
    pub refusal: Option<Refusal>,
}

/// Why a report was refused.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// `WF615`
    pub code: &'static str,
    /// Lower case, naming the thing.
    pub message: String,
}

impl Refusal {
    fn new(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into() }
    }
}

impl Outcome {
    /// Reads a row of `load_reported`.
    pub fn read(row: &SpiTupleTable) -> Result<Outcome, Error> {
        let retry_in = row.get::<f64>(7)?;
        let advice = match (row.get::<bool>(6)?, retry_in) {
            (Some(false), _) => Advice::Never,
            (_, Some(seconds)) => Advice::After(seconds),
            _ => Advice::None,
        };
        let number = |ordinal| Ok::<u32, Error>(row.get::<i32>(ordinal)?.unwrap_or_default() as u32);
        let task_row = match row.get::<i64>(9)? {
            None => None,
            Some(workflow_execution) => Some(Row {
                workflow_execution,
                status: row.get::<String>(10)?.unwrap_or_default(),
                lease: row.get::<i64>(12)?,
                task_name: row.get::<String>(13)?.unwrap_or_default(),
                task_index: row.get::<i32>(14)?.map(|index| index as u32),
                route: number(15)?,
                visit: number(16)?,
                retries: number(17)?,
                max_retries: number(18)?,
                context: row.get::<String>(19)?.map(|text| context(&text)).unwrap_or_default(),
                elapsed: row.get::<f64>(20)?.unwrap_or_default(),
                child: row.get::<i64>(21)?,
            }),
        };
        Ok(Outcome {
            task: row.get::<i64>(1)?,
            lease: row.get::<i64>(2)?,
            status: row.get::<String>(3)?,
            result: row.get::<Jsonb>(4)?,
            error: row.get::<Jsonb>(5)?,
            advice,
            retry_in,
            bytes: row.get::<i32>(8)?.unwrap_or_default(),
            row: task_row,
        })
    }

    /// How it ended, if the report can be taken; what it is answered with, if the row alone says so.
    pub fn judge(&self) -> Result<TaskEnd, Result<String, Refusal>> {
        let refuse = |code, message: String| Err(Err(Refusal::new(code, message)));
        let (Some(task), Some(lease)) = (self.task, self.lease) else {
            let missing = if self.task.is_none() { "task" } else { "lease" };
            return refuse("WF613", format!("{missing} is null"));
        };
        let Some(row) = &self.row else { return refuse("WF616", format!("there is no task {task}")) };
        let end = match self.status.as_deref() {
            Some("skipped") | None => None,
            Some(status) => TaskEnd::parse(status),
        };
        let Some(end) = end else {
            let status = self.status.as_deref().unwrap_or("null");
            return refuse(
                "WF613",
                format!("a task cannot end as {status}: give completed, failed, timeout, abandoned or cancelled"),
            );
        };
        if row.lease != Some(lease) {
            return refuse("WF615", format!("lease is stale: task {task} is not held by it any more"));
        }
        if self.retry_in.is_some_and(|seconds| !(0.0..=LONGEST_RETRY).contains(&seconds)) {
            return refuse("WF613", format!("retry_in of task {task} is out of range: give 0 to 100 years"));
        }
        if self.bytes > settings::max_result_bytes() {
            let most = settings::max_result_bytes();
            return refuse(
                "WF614",
                format!("the result of task {task} has {} bytes, at most {most} are taken", self.bytes),
            );
        }
        match row.status.as_str() {
            "running" => Ok(end),
            "requested" | "scheduled" => Err(Ok("retrying".to_owned())),
            ended => Err(Ok(ended.to_owned())),
        }
    }

    /// How it ended, as the engine itself reports it: no worker's token is asked for.
    pub fn judge_own(&self) -> Option<TaskEnd> {
        let row = self.row.as_ref()?;
        let live = matches!(row.status.as_str(), "running" | "scheduled");
        self.status.as_deref().and_then(TaskEnd::parse).filter(|_| live)
    }

    /// The answer to it.
    pub fn answer(&self, judged: Result<String, Refusal>) -> Answer {
        let (state, refusal) = match judged {
            Ok(state) => (Some(state), None),
            Err(refusal) => (None, Some(refusal)),
        };
        Answer { task: self.task, lease: self.lease, state, refusal }
    }
}

/// `workflow.check_size` in `sql/work.sql`.
#[pg_extern(sql = false)]
fn workflow_check_size(what: &str, bytes: Option<i32>) -> Result<(), ErrorReport> {
    let (bytes, most) = (bytes.unwrap_or(0), settings::max_result_bytes());
    if bytes <= most {
        return Ok(());
    }
    let message = format!("{what} has {bytes} bytes, at most {most} are taken");
    Err(Error::refused("WF614", message, "mend it and send it again"))?
}

/// `{1,2}`
pub fn context(text: &str) -> Vec<u32> {
    text.trim_matches(['{', '}']).split(',').filter_map(|id| id.parse().ok()).collect()
}
