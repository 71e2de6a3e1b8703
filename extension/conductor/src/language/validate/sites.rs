//! All places in a definition that can contain an expression, and what it can read there.

use serde_json::Value;

use crate::language::definition::{Assignment, Definition, Task};

/// When an expression is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// When the workflow starts.
    Start,
    /// Before a task, once.
    Before,
    /// For each item of a task, if it has items.
    Item,
    /// When an attempt or the whole task has ended; for a task with items, possibly for each item.
    Attempt,
    /// When a row of a task has completed: its undo.
    Undo,
    /// After a task, once.
    After,
    /// When the workflow ends.
    Output,
}

impl Phase {
    /// Whether the task itself has ended by then, so that its own result can be read. All else is as certain as it was
    /// when the task began.
    pub fn is_after_end(self) -> bool {
        matches!(self, Phase::Attempt | Phase::Undo | Phase::After)
    }
}

/// A value that may contain expressions.
pub struct Site<'d> {
    /// Its path in the normal form.
    pub path: String,
    pub value: SiteValue<'d>,
    pub task: Option<usize>,
    pub phase: Phase,
    /// Variables set just before it, in addition to what flows in: entries of `vars`, or published by the same task.
    pub set: Vec<&'d [Assignment]>,
}

impl Site<'_> {
    /// Whether it is the condition that decides whether a task is skipped.
    pub fn is_condition_of_task(&self) -> bool {
        self.phase == Phase::Before && self.path.ends_with("].when")
    }
}

/// The value at a site.
#[derive(Clone, Copy)]
pub enum SiteValue<'d> {
    /// Any value.
    Any(&'d Value),
    /// A text.
    Text(&'d str),
    /// A text that must be a condition.
    Condition(&'d str),
}

/// Visits all sites.
pub fn visit<'d>(definition: &'d Definition, visit: &mut dyn FnMut(Site<'d>)) {
    assignments(&definition.vars, "vars", None, Phase::Start, &[], visit);
    if let Some(key) = &definition.fair_by {
        let value = SiteValue::Text(key);
        visit(Site { path: "fair_by".to_owned(), value, task: None, phase: Phase::Start, set: Vec::new() });
    }
    if let Some(concurrency) = definition.concurrency.as_ref().filter(|concurrency| !concurrency.key.is_null()) {
        let (path, value) = ("concurrency.key".to_owned(), SiteValue::Any(&concurrency.key));
        visit(Site { path, value, task: None, phase: Phase::Start, set: Vec::new() });
    }
    for (i, attribute) in definition.attributes.iter().enumerate() {
        let (path, value) = (format!("attributes[{i}].value"), SiteValue::Any(&attribute.value));
        visit(Site { path, value, task: None, phase: Phase::Start, set: vec![&definition.vars] });
    }
    for (i, task) in definition.tasks.iter().enumerate() {
        self::task(task, i, visit);
    }
    assignments(&definition.output_map, "output_map", None, Phase::Output, &[], visit);
}

fn assignments<'d>(
    list: &'d [Assignment],
    path: &str,
    task: Option<usize>,
    phase: Phase,
    before: &[&'d [Assignment]],
    visit: &mut dyn FnMut(Site<'d>),
) {
    for (i, assignment) in list.iter().enumerate() {
        // Each entry sees what the entries before it set, including output keys.
        let set = before.iter().copied().chain([&list[..i]]).collect();
        let value = SiteValue::Any(&assignment.value);
        visit(Site { path: format!("{path}[{i}].value"), value, task, phase, set });
    }
}

fn task<'d>(task: &'d Task, number: usize, visit: &mut dyn FnMut(Site<'d>)) {
    use SiteValue::{Any, Condition, Text};
    let mut site = |field: &str, value: SiteValue<'d>, phase: Phase| {
        visit(Site { path: format!("tasks[{number}].{field}"), value, task: Some(number), phase, set: Vec::new() });
    };
    let mut value = |field: &str, value: &'d Option<Value>, phase: Phase| {
        if let Some(value) = value {
            site(field, Any(value), phase);
        }
    };
    value("delay", &task.delay, Phase::Item);
    value("timeout", &task.timeout, Phase::Item);
    if let Some(items) = &task.with_items {
        value("with_items.concurrency", &items.concurrency, Phase::Before);
        value("with_items.batch_size", &items.batch_size, Phase::Before);
    }
    if let Some(retry) = &task.retry {
        value("retry.delay", &retry.delay, Phase::Attempt);
    }
    if let Some(repeat) = &task.repeat {
        value("repeat.delay", &repeat.delay, Phase::Attempt);
    }
    if let Some(wait) = &task.wait_for {
        value("wait_for.timeout", &wait.timeout, Phase::Item);
    }
    if let Some(action) = &task.action {
        site("action", Text(action), Phase::Item);
    }
    site("input", Any(&task.input), Phase::Item);
    for (number, limit) in task.limit.iter().enumerate() {
        site(&format!("limit[{number}].key"), Any(&limit.key), Phase::Item);
    }
    if let Some(when) = &task.when {
        site("when", Condition(when), Phase::Before);
    }
    if let Some(items) = &task.with_items {
        site("with_items.items", Any(&items.items), Phase::Before);
        items.label.iter().for_each(|label| site("with_items.label", Text(label), Phase::Item));
    }
    if let Some(retry) = &task.retry {
        site("retry.count", Any(&retry.count), Phase::Attempt);
        if let Some(when) = &retry.when {
            site("retry.when", Condition(when), Phase::Attempt);
        }
    }
    if let Some(repeat) = &task.repeat {
        site("repeat.max", Any(&repeat.max), Phase::Attempt);
        site("repeat.until", Condition(&repeat.until), Phase::Attempt);
    }
    if let Some(wait) = &task.wait_for {
        site("wait_for.signal", Text(&wait.signal), Phase::Item);
    }
    if let Some(undo) = &task.undo {
        site("undo.action", Text(&undo.action), Phase::Undo);
        site("undo.input", Any(&undo.input), Phase::Undo);
        undo.timeout.iter().for_each(|timeout| site("undo.timeout", Any(timeout), Phase::Undo));
        if let Some(retry) = &undo.retry {
            site("undo.retry.count", Any(&retry.count), Phase::Undo);
            retry.delay.iter().for_each(|delay| site("undo.retry.delay", Any(delay), Phase::Attempt));
            retry.when.iter().for_each(|when| site("undo.retry.when", Condition(when), Phase::Attempt));
        }
    }
    let path = format!("tasks[{number}]");
    assignments(&task.publish, &format!("{path}.publish"), Some(number), Phase::After, &[], visit);
    for (j, next) in task.next.iter().enumerate() {
        let path = format!("{path}.next[{j}]");
        let set: Vec<&[Assignment]> = vec![&task.publish];
        if let Some(when) = &next.when {
            let value = Condition(when);
            visit(Site {
                path: format!("{path}.when"),
                value,
                task: Some(number),
                phase: Phase::After,
                set: set.clone(),
            });
        }
        if let Some(error) = &next.error {
            let (path, value) = (format!("{path}.error"), Any(error));
            visit(Site { path, value, task: Some(number), phase: Phase::After, set: set.clone() });
        }
        assignments(&next.publish, &format!("{path}.publish"), Some(number), Phase::After, &set, visit);
    }
}
