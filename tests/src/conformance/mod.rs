//! The conformance cases: workflows recorded step by step, which are played on an engine and compared.
//!
//! Cases are read from every `*.json` of a folder. A case passes if every step has the recorded result, or differs from
//! it for a reason given in a record in `docs/adr`.

pub mod engine;
pub mod memory;
pub mod sql;

use engine::{Engine, ReadyTask};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A workflow and what must happen, step by step.
#[derive(Debug, Clone, Deserialize)]
pub struct Case {
    /// Its name.
    pub id: String,
    /// The workflow.
    pub definition: Value,
    /// Its parameters.
    pub parameters: Value,
    /// Its operations and their expected results.
    pub steps: Vec<Step>,
}

/// One operation.
#[derive(Debug, Clone, Deserialize)]
pub struct Step {
    /// `start`, `ready`, `claim`, `complete`, `pause`, `resume`, `cancel`, `rerun` or `output`.
    pub op: String,
    /// The task concerned.
    #[serde(default)]
    pub task: String,
    /// The route that led to it.
    #[serde(default)]
    pub route: u32,
    /// Index of the item.
    pub task_index: Option<u32>,
    /// What `complete` reports.
    #[serde(default)]
    pub status: String,
    /// What `complete` reports.
    pub result: Option<Value>,
    /// Arguments of `rerun`.
    #[serde(default)]
    pub tasks: Vec<RerunTask>,
    /// The expected result.
    pub expect: Expect,
}

/// A task to rerun.
#[derive(Debug, Clone, Deserialize)]
pub struct RerunTask {
    /// Its name.
    pub task: String,
    /// The route that led to it.
    #[serde(default)]
    pub route: u32,
    /// Whether successful items run again, too.
    #[serde(default)]
    pub reset_items: bool,
}

/// Expected result of a step.
#[derive(Debug, Clone, Deserialize)]
pub struct Expect {
    /// The workflow's status.
    pub workflow_status: String,
    /// The flag, if it is compared.
    pub paused: Option<bool>,
    /// The task's status as a whole, if it is compared.
    pub task_status: Option<String>,
    /// The claimable tasks, if they are compared.
    pub ready: Option<Vec<ReadyTask>>,
    /// The output; absent if it is not compared.
    #[serde(default, deserialize_with = "given")]
    pub output: Option<Value>,
}

/// Distinguishes an explicit null from a missing field.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Result of a case.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Every step is as recorded.
    Holds,
    /// Some steps differ, for a reason of the design.
    Departs(String),
    /// Some steps differ: the first difference.
    Fails(String),
}

/// Reads every case of a folder, or none if there is no such folder.
pub fn read(folder: &Path) -> std::io::Result<Option<Vec<Case>>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let mut paths: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    paths.sort_by_key(|entry| entry.path());
    let mut cases = Vec::new();
    for entry in paths {
        if entry.path().extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read_to_string(entry.path())?;
            cases.extend(serde_json::from_str::<Vec<Case>>(&text)?);
        }
    }
    Ok(Some(cases))
}

/// Plays a case on an engine.
pub fn play<E: Engine>(case: &Case, engine: &mut E) -> Verdict {
    if let Some(reason) = departure(case) {
        return Verdict::Departs(reason.to_owned());
    }
    for (number, step) in case.steps.iter().enumerate() {
        let looked_for = case.steps[number + 1..].iter().find(|next| next.op == "ready" || next.op == "output");
        match play_step(case, step, engine) {
            Ok(()) => {}
            Err(difference) => {
                // Evaluation is not deferred until the result is read, so an error shows one step earlier than
                // recorded.
                let early = looked_for.is_some_and(|next| next.expect.workflow_status == "failed")
                    && step.expect.workflow_status != "failed"
                    && engine.error().is_some_and(|error| error.starts_with("WF60"));
                // Orquesta reports a task as retrying although a cancel keeps it from being retried.
                let told = difference == "task_status: expected \"retrying\", got \"cancelled\"";
                return match (early, told) {
                    (true, _) => Verdict::Departs(
                        "an error of evaluation shows when it happens, not at the next look".to_owned(),
                    ),
                    (_, true) => Verdict::Departs("an answer is the same whenever a report is repeated".to_owned()),
                    _ => Verdict::Fails(format!("step {number} ({} {}): {difference}", step.op, step.task)),
                };
            }
        }
    }
    match engine.check().as_slice() {
        [] => Verdict::Holds,
        broken => Verdict::Fails(format!("after the last step: {}", broken.join("; "))),
    }
}

/// Returns the reason if design section 4 treats a case differently: the engine completes a task without an action and
/// never offers it.
fn departure(case: &Case) -> Option<&'static str> {
    // A status has one name everywhere; the recording has two for the same expression.
    if case.definition.to_string().contains("task_status(") && recorded_word(case, "succeeded") {
        return Some("task_status() has the labels of workflow.task_status");
    }
    let tasks = case.definition["tasks"].as_array()?;
    let routing: Vec<&str> =
        tasks.iter().filter(|task| task["action"].is_null()).filter_map(|task| task["name"].as_str()).collect();
    let offered = |step: &Step| {
        step.expect.ready.iter().flatten().any(|ready| routing.contains(&ready.task.as_str()))
            || (step.op == "claim" && routing.contains(&step.task.as_str()))
    };
    case.steps.iter().any(offered).then_some("a routing task is done by the engine and never offered to a worker")
}

/// Whether a recorded input has this word as its message.
fn recorded_word(case: &Case, word: &str) -> bool {
    let inputs = case.steps.iter().flat_map(|step| step.expect.ready.iter().flatten()).flat_map(|ready| &ready.actions);
    inputs.into_iter().any(|action| action.input["message"] == word)
}

fn play_step<E: Engine>(case: &Case, step: &Step, engine: &mut E) -> Result<(), String> {
    let mut task_status = None;
    match step.op.as_str() {
        "start" => engine.start(&case.definition, &case.parameters)?,
        "ready" => {}
        "claim" => engine.claim(&step.task, step.route, step.task_index)?,
        "complete" => {
            let status =
                engine.complete(&step.task, step.route, step.task_index, &step.status, step.result.as_ref())?;
            task_status = Some(status);
        }
        "pause" => engine.pause()?,
        "resume" => engine.resume()?,
        "cancel" => engine.cancel()?,
        "rerun" => engine.rerun(&step.tasks)?,
        "output" => {}
        other => return Err(format!("unknown operation {other}")),
    }
    let (status, paused) = engine.status()?;
    let expect = &step.expect;
    same("workflow_status", json!(expect.workflow_status), json!(status)).map_err(|difference| {
        format!("{difference}{}", engine.error().map(|e| format!(" ({e})")).unwrap_or_default())
    })?;
    if let Some(expected) = expect.paused {
        same("paused", json!(expected), json!(paused))?;
    }
    if let (Some(expected), Some(got)) = (&expect.task_status, task_status) {
        // If a task timed out or was abandoned, our more exact status is accepted, too.
        let exact = expected == "failed" && (got == "timeout" || got == "abandoned");
        if !exact {
            same("task_status", json!(expected), json!(got))?;
        }
    }
    if let Some(expected) = &expect.ready {
        same("ready", json!(expected), json!(engine.ready()?))?;
    }
    if let Some(expected) = &expect.output {
        same("output", expected.clone(), engine.output()?)?;
    }
    Ok(())
}

/// Plays all cases, and prints those that fail and the number that pass. Returns whether none fails.
pub fn run<E: Engine>(name: &str, cases: &[Case], engine: &mut E) -> bool {
    let (mut hold, mut depart) = (0, 0);
    for case in cases {
        match play(case, engine) {
            Verdict::Holds => hold += 1,
            Verdict::Departs(reason) => {
                depart += 1;
                println!("{name}: {} departs: {reason}", case.id);
            }
            Verdict::Fails(difference) => println!("{name}: {} FAILS: {difference}", case.id),
        }
    }
    let departing = if depart > 0 { format!(", {depart} depart") } else { String::new() };
    println!("conformance ({name}): {hold} of {} cases hold{departing}", cases.len());
    !cases.is_empty() && hold + depart == cases.len()
}

/// Returns the folder of cases: CONFORMANCE_DIR, or one next to the project.
pub fn folder() -> PathBuf {
    std::env::var_os("CONFORMANCE_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance"), PathBuf::from)
}

/// Plays all cases twice: on the pure conductor, and through SQL on the server that DATABASE_URL names. Returns whether
/// none fails, or `None` if there are no cases.
pub fn run_all() -> std::io::Result<Option<bool>> {
    let folder = folder();
    let Some(cases) = read(&folder)? else {
        println!("conformance: skipped, there is no folder {} (set CONFORMANCE_DIR)", folder.display());
        return Ok(None);
    };
    let pure = run("conductor", &cases, &mut memory::Memory::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let database = runtime.block_on(crate::Database::create());
    let mut connection = runtime.block_on(database.connect());
    let served = run("sql", &cases, &mut sql::Sql::new(&runtime, &mut connection));
    Ok(Some(pure && served))
}

fn same(what: &str, expected: Value, got: Value) -> Result<(), String> {
    match expected == got {
        true => Ok(()),
        false => Err(format!("{what}: expected {expected}, got {got}")),
    }
}
