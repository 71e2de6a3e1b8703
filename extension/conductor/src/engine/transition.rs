//! Continuing from a task that ended: every true transition fires, publishes and leads to its targets.

use crate::code::Code;
use crate::engine::cause::Cause;
use crate::engine::commands::{Report, Row};
use crate::engine::conductor::Conductor;
use crate::engine::outcome::{ItemOutcomes, TaskOutcome};
use crate::engine::published;
use crate::engine::reported::Reported;
use crate::engine::state::{Context, TaskKey};
use crate::engine::status::{Status, TaskEnd};
use crate::engine::variables;
use crate::engine::work::{EndedTask, NextTask, Work};
use crate::expression::overlay;
use crate::expression::{Data, Rendering};
use crate::graph::NodeId;
use crate::graph::node::Target;

/// A transition that fires: what it publishes and where it leads.
struct Fired<'a> {
    /// Its place in the task's list.
    place: u32,
    changes: variables::Changes,
    targets: &'a [Target],
    /// The error that the workflow fails with.
    error: Option<Data>,
}

impl<'a> Conductor<'a> {
    /// Processes the report of a task without items.
    pub(crate) fn finish_task(&mut self, reported: &Reported) -> Report {
        let mut outcome = reported.outcome(ItemOutcomes::None);
        let is_needless = self.is_needless(reported.key.node, reported.key.route);
        let (mut refusal, reported_outcome) = (None, outcome.clone());
        match self.again(reported, &mut outcome) {
            Ok(None) => {}
            _ if is_needless => {}
            Ok(Some(again)) if self.may_start(reported.closing) => {
                self.wait_begins |= self.graph.node(reported.key.node).signal.is_some() && again.delay <= 0.0;
                return Report::again(again);
            }
            // It does not run again, because the workflow is stopping. A rerun continues with a repetition.
            Ok(Some(again)) if again.repeats => outcome.end = TaskEnd::Cancelled,
            // If it is unknown whether the task was done, and it can be undone, it must not count as cancelled.
            Ok(Some(_)) if self.execution.status == Status::Canceling && !self.is_unknown(reported) => {
                outcome.end = TaskEnd::Cancelled;
            }
            Ok(Some(_)) => {}
            // It is unknown whether the result is right; a rerun asks again.
            Err(cause) if reported.end == TaskEnd::Completed => {
                (outcome.end, outcome.error) = (TaskEnd::Failed, Some(cause.as_error()));
                refusal = Some(cause);
            }
            Err(cause) => self.fail(cause),
        }
        if reported.end == TaskEnd::Cancelled && !is_needless {
            self.stop(Status::Canceling);
        }
        // Work that its worker has completed must be undoable, however the end is classified.
        let done = if reported.end == TaskEnd::Completed { &reported_outcome } else { &outcome };
        self.note_undo(reported, done);
        let end = outcome.end;
        let error = outcome.error.clone().filter(|_| end != reported.end && end.is_failure());
        self.end_refused(reported, outcome, refusal);
        Report { row: Row::Ended(end), error, state: end.name() }
    }

    /// Ends a task. `refusal` says why it has failed, if its worker did not report a failure.
    fn end_refused(&mut self, reported: &Reported, outcome: TaskOutcome, refusal: Option<Cause>) {
        let (key, context, end) = (reported.key, reported.context.to_vec(), outcome.end);
        let (closing, order) = (reported.closing, reported.order);
        self.work.push_back(Work::Ended(Box::new(EndedTask { key, context, outcome, end, closing, refusal, order })));
    }

    pub(crate) fn end_task(&mut self, key: TaskKey, context: &[u32], outcome: TaskOutcome, closing: bool, order: i64) {
        let (context, end) = (context.to_vec(), outcome.end);
        self.work.push_back(Work::Ended(Box::new(EndedTask {
            key,
            context,
            outcome,
            end,
            closing,
            refusal: None,
            order,
        })));
    }

    /// Tests a task's transitions and follows those that fire.
    pub(crate) fn follow_transitions(&mut self, ended: &EndedTask) {
        let (key, context) = (ended.key, &ended.context);
        if self.is_needless(key.node, key.route) {
            return self.stop_here(context);
        }
        if ended.end == TaskEnd::Cancelled {
            self.execution.state.failures.push(key);
            if ended.closing && !self.execution.state.forced {
                self.fail(self.cause_of(ended, "ended as cancelled"));
            }
            return self.stop_here(context);
        }
        let fired = self.fire(key, context, &ended.outcome, ended.end).and_then(|(published, fired)| {
            self.bound_variables(key, context, &published, &fired)?;
            Ok((published, fired))
        });
        match fired {
            Ok((published, fired)) => self.follow(ended, published, fired),
            Err(cause) => {
                self.stop_here(context);
                self.fail(cause);
            }
        }
    }

    /// Ends a branch.
    pub(crate) fn stop_here(&mut self, context: &[u32]) {
        self.note_end(context);
        self.execution.state.live -= 1;
    }

    /// Returns what the task itself publishes, and the transitions that fire with what they publish.
    fn fire(
        &self,
        key: TaskKey,
        context: &Context,
        outcome: &TaskOutcome,
        end: TaskEnd,
    ) -> Result<(variables::Changes, Vec<Fired<'a>>), Cause> {
        let graph = self.graph;
        let node = graph.node(key.node);
        let task = (node.name.as_str(), outcome);
        let vars = self.branch(context);
        let mut published = variables::Changes::new();
        let mut bytes = 0;
        if end == TaskEnd::Completed {
            self.publish_all(&node.publish, vars.as_ref(), &mut published, task, &mut bytes)?;
        }
        let mut fired = Vec::new();
        for (place, next) in node.next.iter().enumerate() {
            let seen = vars.as_ref().map(|vars| overlay::seen_through(vars, &published));
            let fires = match next.when {
                None => true,
                Some(when) => self.holds(when, seen, Some(task)).map_err(|error| {
                    Cause::evaluating(Code::CONDITION_NOT_EVALUATED, "condition", Some(&node.name), &error)
                })?,
            };
            if fires {
                let mut changes = published.clone();
                self.publish_all(&next.publish, vars.as_ref(), &mut changes, task, &mut bytes)?;
                let error = next.error.as_ref().map(|error| {
                    let seen = vars.as_ref().map(|vars| overlay::seen_through(vars, &changes));
                    self.render(error, seen, Some(task), None).map_err(|error| {
                        Cause::evaluating(Code::CONDITION_NOT_EVALUATED, "error", Some(&node.name), &error)
                    })
                });
                let (place, error) = (place as u32, error.transpose()?);
                fired.push(Fired { place, changes, targets: &next.targets, error });
            }
        }
        Ok((published, fired))
    }

    fn publish_all(
        &self,
        entries: &[(String, Rendering)],
        vars: Option<&Data>,
        changes: &mut variables::Changes,
        task: (&str, &TaskOutcome),
        bytes: &mut u64,
    ) -> Result<(), Cause> {
        for (name, value) in entries {
            let seen = vars.map(|vars| overlay::seen_through(vars, changes));
            let value = self.render(value, seen, Some(task), None).map_err(|error| {
                Cause::evaluating(Code::VARIABLE_NOT_EVALUATED, &format!("publish {name}"), Some(task.0), &error)
            })?;
            // The limit is applied while a task's end is processed; otherwise it could take any amount of memory before
            // being rejected.
            *bytes += variables::size_of(name, &value);
            self.bound(*bytes, Some(task.0), name)?;
            changes.insert(name.clone(), value);
        }
        Ok(())
    }

    /// Checks the limit on all variables, including what the task's end publishes.
    fn bound_variables(
        &self,
        key: TaskKey,
        context: &Context,
        published: &variables::Changes,
        fired: &[Fired],
    ) -> Result<(), Cause> {
        let state = &self.execution.state;
        let mut all: Vec<&variables::Changes> = fired.iter().map(|next| &next.changes).collect();
        all.extend(fired.is_empty().then_some(published));
        let changed = all.iter().copied().flatten();
        let Some((_, name)) = changed.map(|(name, value)| (variables::size_of(name, value), name)).max() else {
            return Ok(());
        };
        let bytes = match all.as_slice() {
            [changes] => self.bytes_after(context, changes),
            all => state.bytes + all.iter().map(|changes| variables::size(changes)).sum::<u64>(),
        };
        self.bound(bytes, Some(&self.graph.node(key.node).name), name)
    }

    /// Checks the size of variables against the limit.
    pub(crate) fn bound(&self, bytes: u64, task: Option<&str>, variable: &str) -> Result<(), Cause> {
        let most = self.graph.bounds.context_bytes;
        if bytes <= most as u64 {
            return Ok(());
        }
        let by = task.map(|task| format!(", published by task {task}")).unwrap_or_default();
        let message =
            format!("with variable {variable}{by}, the variables take {bytes} bytes, but at most {most} are allowed");
        Err(Cause::rule(Code::LIMIT_EXCEEDED, task, message))
    }

    fn follow(&mut self, ended: &EndedTask, published: variables::Changes, fired: Vec<Fired>) {
        let EndedTask { key, context, end, .. } = ended;
        self.changes.fired.extend(fired.iter().map(|next| (key.node, next.place)));
        let leads = |target: &Target| matches!(target, Target::Task(..) | Target::Noop);
        let handled = !end.is_failure() || fired.iter().any(|next| next.targets.iter().any(leads));
        let fails_explicitly = fired.iter().any(|next| next.targets.contains(&Target::Fail));
        if !handled || fails_explicitly {
            self.close(ended, fails_explicitly, fired.iter().find_map(|next| next.error.clone()));
        } else if let Some(cause) = &ended.refusal {
            // It is recorded that the task could not begin, even if the failure is handled.
            self.changes.causes.push(cause.clone());
        }
        // If the failure was not handled, a rerun runs the task again, and then what it leads to. Therefore only the
        // tasks listed beside `fail` start now.
        let only_beside_fail = end.is_failure() && (fails_explicitly || !handled);
        let mut arrivals: Vec<(NodeId, Context)> = Vec::new();
        let mut leads_on: Vec<NextTask> = Vec::new();
        let mut ends: Vec<Context> = Vec::new();
        let alone = fired.len() <= 1;
        // What one of several branches publishes must not be visible to the others.
        let context = &if alone { context.clone() } else { published::shared(context) };
        if fired.is_empty() {
            ends.push(self.publish(context, &published, alone));
        }
        for next in &fired {
            let carried = self.publish(context, &next.changes, alone);
            let beside_fail = next.targets.contains(&Target::Fail);
            let mut led = false;
            for target in next.targets {
                let Target::Task(to) = *target else { continue };
                led = true;
                if self.graph.node(to).join.is_some() {
                    match arrivals.iter_mut().find(|(join, _)| *join == to) {
                        Some((_, seen)) => *seen = published::joined(seen, &carried),
                        None => arrivals.push((to, carried.clone())),
                    }
                } else {
                    let route = self.route_to(to, key.route);
                    let (context, after_closing) = (carried.clone(), ended.closing);
                    leads_on.push(NextTask { node: to, route, context, beside_fail, after_closing });
                }
            }
            if !led {
                ends.push(carried);
            }
        }
        if leads_on.len() + arrivals.len() + ends.len() > 1 {
            leads_on.iter_mut().for_each(|next| next.context = published::shared(&next.context));
        }
        if only_beside_fail {
            leads_on.retain(|next| next.beside_fail && self.starts(next));
            arrivals.clear();
        }
        for next in leads_on {
            self.start_branch(next, ended);
        }
        for (node, context) in arrivals {
            if !self.ends_before(node, ended) {
                self.arrive(node, ended, context);
            }
        }
        for context in ends {
            self.note_end(&context);
        }
        self.execution.state.live -= 1;
    }

    /// Starts one more branch.
    fn start_branch(&mut self, next: NextTask, after: &EndedTask) {
        if self.execution.state.routes > self.graph.max_visits {
            let name = &self.graph.node(next.node).name;
            let message = format!("task {name} was reached on more routes than max_visits allows");
            return self.fail(Cause::rule(Code::TOO_MANY_VISITS, Some(name), message));
        }
        if next.beside_fail || !self.ends_before(next.node, after) {
            self.execution.state.live += 1;
            self.work.push_back(Work::Ready(next));
        }
    }

    /// Whether a path from a closing task back to the forward paths ends here for good. A rerun continues from the
    /// failure that started the task, and must not follow this path as well.
    fn ends_before(&self, node: NodeId, after: &EndedTask) -> bool {
        let before = self.graph.node(after.key.node);
        let of_unhandled = after.closing && (before.beside_fail || !before.closing);
        of_unhandled && !self.may_start(self.graph.node(node).closing)
    }

    fn route_to(&mut self, node: NodeId, route: u32) -> u32 {
        match self.graph.node(node).split {
            true => self.execution.state.open_route(),
            false => route,
        }
    }
}
