//! WF304, WF308 and WF309: what expressions read from other tasks.

use std::collections::HashSet;

use super::Check;
use super::expressions::Expressions;
use super::facts::{self, Facts};
use super::habits;
use super::known_facts::{Flow, Known};
use super::sites::{Phase, Site};
use super::text::Text;
use crate::expression::template::{Compared, Guard, Read, Subject};
use crate::finding::shorten;
use crate::language::parse::name::{is_name, list, nearest, suggest};
use crate::language::task_fields::{FIELDS, ITEM_FIELDS};

/// Maximum number of transitions followed to determine which task comes after which.
const MAX_STEPS: usize = 20_000_000;
/// Possible final statuses of a task, as expressions see them.
const STATUSES: [&str; 4] = ["completed", "failed", "skipped", "cancelled"];
/// Possible ends of an execution.
const VERDICTS: [&str; 4] = ["completed", "failed", "timeout", "cancelled"];

impl Expressions<'_> {
    pub fn task(&mut self, check: &mut Check<'_>, text: &Text<'_>, read: &Read, name: &str) {
        let Some(&task) = self.shape.by_name.get(name) else {
            if read.guard != Guard::Whole {
                self.no_such_task(check, text, name, read.member_at);
            }
            return;
        };
        self.field(check, text, read, task);
        if read.guard != Guard::Whole {
            self.has_run(check, text, read, task);
        }
    }

    pub fn no_such_task(&mut self, check: &mut Check<'_>, text: &Text<'_>, name: &str, at: usize) {
        if self.shape.by_name.contains_key(name) {
            return;
        }
        let mut names: Vec<&str> = self.shape.by_name.keys().copied().collect();
        names.sort_unstable();
        let hint = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `task.{near}`?"),
            None => format!("defined: {}", list(&names)),
        };
        text.spot(check, at).error(304, format!("there is no task `{}`", shorten(name, 80)), hint);
    }

    /// Reports a field that the task does not have.
    fn field(&mut self, check: &mut Check<'_>, text: &Text<'_>, read: &Read, task: usize) {
        let Some((field, at)) = &read.field else { return };
        let field = field.as_str();
        let of_items = ITEM_FIELDS.contains(&field);
        let with_items = check.definition.tasks[task].with_items.is_some();
        if FIELDS.contains(&field) || (of_items && with_items) {
            return;
        }
        let shown = path(&check.definition.tasks[task].name);
        let message = format!("`{shown}` has no `{}`", shorten(field, 80));
        let valid: Vec<&str> = FIELDS.iter().chain(if with_items { &ITEM_FIELDS[..] } else { &[] }).copied().collect();
        let hint = match habits::field(field) {
            _ if of_items => "only a task with `with_items` has it".to_owned(),
            Some(hint) => hint.to_owned(),
            None => match nearest(field, valid.iter().copied()) {
                Some(_) => suggest(field, &valid),
                None => format!("what it reported is in `{shown}.result`; valid: {}", list(&valid)),
            },
        };
        let spot = text.spot(check, *at);
        match read.guard {
            Guard::None => spot.error(309, message, hint),
            // With `default`, the expression can still be evaluated.
            _ => spot.warning(309, message, hint),
        }
    }

    /// Reports a task that has not run, or may not have run, when it is read.
    fn has_run(&mut self, check: &mut Check<'_>, text: &Text<'_>, read: &Read, task: usize) {
        let site = text.site;
        let name = &self.shape.definition.tasks[task].name;
        let shown = shorten(name, 80);
        let here = match (site.phase, site.task) {
            (Phase::Start, _) => {
                let message = format!("no task has run yet: `{}`", path(name));
                return text.spot(check, read.member_at).error(304, message, None);
            }
            (phase, Some(here)) if here == task && phase.is_after_end() => return,
            (_, Some(here)) if self.shape.reachable[here] => here,
            (Phase::Output, _) => return self.has_run_at_end(check, text, read, name),
            _ => return,
        };
        let current = shorten(&check.definition.tasks[here].name, 80).into_owned();
        let last = Some(here) == self.shape.finally;
        if (!last || here == task) && self.cannot_have_run(task, here) {
            let message = format!("the task `{shown}` can't have run before `{current}`");
            return text.spot(check, read.member_at).error(304, message, None);
        }
        if !self.shape.complete {
            return;
        }
        let key = format!("task.{name}");
        let known = self.ended(check).known(here, &key);
        if read.conditional || known == Known::Always || self.is_tested(check, site, here, &key) {
            return;
        }
        let message = if last {
            format!("the task `{shown}` may not have run when the workflow ends")
        } else if !self.leads_to(task, here) {
            format!("the task `{shown}` may not have run before `{current}`: it does not lead there")
        } else if known == Known::UnlessFailed {
            format!("after a failure, the task `{shown}` may not have run before `{current}`")
        } else {
            format!("the task `{shown}` may not have run before `{current}`: it is not on every path there")
        };
        text.spot(check, read.member_at).warning(304, message, if_defined(read, name));
    }

    /// Reports a task that may not have run when the output is rendered.
    fn has_run_at_end(&mut self, check: &mut Check<'_>, text: &Text<'_>, read: &Read, name: &str) {
        if read.conditional || !self.shape.complete || self.ended(check).is_known_at_end(&format!("task.{name}")) {
            return;
        }
        let message = format!("the task `{}` may not have run when the workflow completes", shorten(name, 80));
        text.spot(check, read.member_at).warning(304, message, if_defined(read, name));
    }

    fn ended(&mut self, check: &Check<'_>) -> &Flow {
        let shape = self.shape;
        self.ended.get_or_insert_with(|| Flow::new(shape, Facts::of_tasks(shape, check.bounds)))
    }

    /// Whether the name of a task or parameter is mentioned by a condition on every path to a task, or by the task's
    /// own condition.
    pub fn is_tested(&mut self, check: &Check<'_>, site: &Site<'_>, here: usize, name: &str) -> bool {
        if self.ended(check).known(here, name) == Known::Always {
            return true;
        }
        // The condition itself is not protected by its own tests.
        let Some(when) = check.definition.tasks[here].when.as_deref().filter(|_| !site.is_condition_of_task()) else {
            return false;
        };
        let own = || facts::mentioned(when, check.bounds).into_iter().collect::<HashSet<_>>();
        self.asked.entry(here).or_insert_with(own).contains(name)
    }

    /// Returns which tasks can run without a task, and which come after it, or `None` if determining that would take
    /// too long.
    fn around(&mut self, here: usize) -> Option<&(Vec<bool>, Vec<bool>)> {
        let shape = self.shape;
        if !self.ran.contains_key(&here) && (self.ran.len() + 1) * shape.edges.len() > MAX_STEPS {
            return None;
        }
        Some(self.ran.entry(here).or_insert_with(|| {
            let next: Vec<usize> = shape.outbound[here].iter().map(|edge| shape.edges[*edge].to).collect();
            (shape.reach(&shape.starts, Some(here)), shape.reach(&next, None))
        }))
    }

    /// Whether every path to the task leads through `here`, and none leads back.
    fn cannot_have_run(&mut self, task: usize, here: usize) -> bool {
        if Some(task) == self.shape.finally {
            return !self.leads_to(task, here);
        }
        self.around(here).is_some_and(|(without, after)| !without[task] && !after[here])
    }

    fn leads_to(&mut self, task: usize, here: usize) -> bool {
        self.around(task).is_none_or(|(_, after)| after[here])
    }

    /// Reports a status that nothing can have.
    pub fn compared(&mut self, check: &mut Check<'_>, text: &Text<'_>, compared: &Compared) {
        let (what, valid, meant) = match compared.subject {
            Subject::Verdict => ("`system.verdict`", &VERDICTS, habits::verdict(&compared.value)),
            Subject::Task => ("a task's status", &STATUSES, habits::status(&compared.value)),
        };
        if valid.contains(&compared.value.as_str()) {
            return;
        }
        let message = format!("{what} is never `{}`", shorten(&compared.value, 80));
        let hint = match meant {
            Some(hint) => hint.to_owned(),
            None => suggest(&compared.value, valid),
        };
        text.spot(check, compared.at).error(308, message, hint);
    }
}

/// Returns how to read a task that may not have run.
fn if_defined(read: &Read, name: &str) -> String {
    let shown = path(name);
    match read.guard {
        Guard::None => format!("write `… if {shown} is defined else …`, or end it with `| default(…)`"),
        _ => format!("`default` applies to a name, not to what is computed from it: write `{shown}.… | default(…)`"),
    }
}

/// Returns how an expression refers to a task.
fn path(name: &str) -> String {
    match is_name(name) && !name.contains('-') {
        true => format!("task.{}", shorten(name, 80)),
        false => format!("task['{}']", shorten(name, 80)),
    }
}
