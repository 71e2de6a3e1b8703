//! Whether and when a task runs again: after a failure, or until its result is right. This is decided before its
//! transitions.

use crate::code::Code;
use crate::engine::cause::Cause;
use crate::engine::commands::Again;
use crate::engine::conductor::Conductor;
use crate::engine::outcome::TaskOutcome;
use crate::engine::reported::{Advice, Reported};
use crate::engine::status::TaskEnd;
use crate::engine::variables;
use crate::expression::Data;
use crate::graph::node::{AfterSuccess, Growth, Repeat, Retry};
use crate::language::definition::Backoff;

/// Maximum delay, in seconds: a hundred years is effectively forever, and still a valid timestamp.
const LONGEST: f64 = 100.0 * 365.25 * 86_400.0;

impl Conductor<'_> {
    /// Returns how a task runs again, or `None` if it does not. If its result is still not right but no repetition is
    /// left, it ends as failed, or as timed out.
    pub(crate) fn again(&self, reported: &Reported, outcome: &mut TaskOutcome) -> Result<Option<Again>, Cause> {
        if reported.end == TaskEnd::Skipped {
            return Ok(None);
        }
        if let Some(delay) = self.retry(reported, outcome)? {
            return Ok(Some(Again { delay, repeats: false, input: None }));
        }
        match &self.graph.node(reported.key.node).repeat {
            Some(repeat) if reported.end == TaskEnd::Completed && reported.advice != Advice::Never => {
                self.repeat(repeat, reported, outcome)
            }
            _ => Ok(None),
        }
    }

    fn repeat(&self, repeat: &Repeat, reported: &Reported, outcome: &mut TaskOutcome) -> Result<Option<Again>, Cause> {
        let name = self.graph.node(reported.key.node).name.as_str();
        let task = Some((name, &*outcome));
        let vars = self.branch(reported.context);
        let evaluating = |what: &str, error| Cause::evaluating(Code::CONDITION_NOT_EVALUATED, what, Some(name), &error);
        let is_right = self.holds(repeat.until, vars.clone(), task);
        if is_right.map_err(|error| evaluating("repeat condition", error))? {
            return Ok(None);
        }
        let max =
            self.render(&repeat.max, vars.clone(), None, None).map_err(|error| evaluating("repeat max", error))?;
        let delay = self
            .seconds(&repeat.delay, vars.clone())
            .map_err(|error| evaluating("repeat delay", error))?
            .unwrap_or(0.0);
        let delay = grown(&repeat.growth, delay, reported.repetitions);
        let (end, kind, why) = if i64::from(reported.repetitions) >= max.as_i64().unwrap_or(0) {
            (
                TaskEnd::Failed,
                "repeat",
                format!("{} repetition{}", reported.repetitions, if reported.repetitions == 1 { "" } else { "s" }),
            )
        } else if let Some(most) = repeat.timeout.filter(|most| reported.elapsed + delay > *most as f64) {
            (TaskEnd::Timeout, "timeout", format!("{most} s"))
        } else {
            let input = self.next_input(reported, outcome, vars)?;
            return Ok(Some(Again { delay: delay.min(LONGEST), repeats: true, input }));
        };
        let message = format!("`until` was still not satisfied after {why}");
        outcome.end = end;
        outcome.error = Some(Data::from_pairs([("type", Data::from(kind)), ("message", Data::from(message))]));
        Ok(None)
    }

    /// Returns the input of the next repetition, which reads the result of this one, or `None` if it stays the same.
    fn next_input(
        &self,
        reported: &Reported,
        outcome: &TaskOutcome,
        vars: Option<Data>,
    ) -> Result<Option<Data>, Cause> {
        let node = self.graph.node(reported.key.node);
        let Some(input) = node.input.as_ref().filter(|_| node.renders_each_input) else { return Ok(None) };
        let rendered = self.render(input, vars, Some((&node.name, outcome)), None);
        let input =
            rendered.map_err(|error| Cause::evaluating(Code::TASK_NOT_RENDERED, "input", Some(&node.name), &error))?;
        self.bound_output(variables::bytes(&input), || format!("the input of task {} takes", node.name))?;
        Ok(Some(input))
    }

    /// Returns the seconds until the task runs again, or `None` if it does not.
    fn retry(&self, reported: &Reported, outcome: &TaskOutcome) -> Result<Option<f64>, Cause> {
        let node = self.graph.node(reported.key.node);
        let Some(retry) = &node.retry else { return Ok(None) };
        let spent = reported.retries >= reported.max_retries;
        if spent || reported.end == TaskEnd::Cancelled || reported.advice == Advice::Never {
            return Ok(None);
        }
        let task = Some((node.name.as_str(), outcome));
        let vars = self.branch(reported.context);
        let evaluating =
            |what: &str, error| Cause::evaluating(Code::CONDITION_NOT_EVALUATED, what, Some(&node.name), &error);
        let failed = reported.end.is_failure();
        let wanted = match (retry.when, retry.after_success) {
            (None, _) => failed,
            (Some(_), AfterSuccess::No) if !failed => false,
            (Some(when), after_success) => match self.holds(when, vars.clone(), task) {
                Err(_) if !failed && after_success == AfterSuccess::IfReadable => false,
                held => held.map_err(|error| evaluating("retry condition", error))?,
            },
        };
        if !wanted {
            return Ok(None);
        }
        let delay = match (reported.advice, &retry.delay) {
            (Advice::After(seconds), _) => seconds.clamp(0.0, LONGEST),
            (_, None) => 0.0,
            (_, delay) => {
                let first = self.seconds(delay, vars).map_err(|error| evaluating("retry delay", error))?;
                backoff(retry, first.unwrap_or(0.0), reported.retries, reported.jitter)
            }
        };
        let too_late = retry.spec.max_elapsed.is_some_and(|most| reported.elapsed + delay > most as f64);
        Ok((!too_late).then_some(delay))
    }
}

/// Returns the delay after `retries` retries; `jitter`, from 0 to 1, says where in its range it falls.
fn backoff(retry: &Retry, delay: f64, retries: u32, jitter: f64) -> f64 {
    let spec = &retry.spec;
    let growth = Growth { backoff: spec.backoff, factor: spec.factor, max_delay: spec.max_delay };
    let bounded = grown(&growth, delay, retries);
    let varied = match spec.full_jitter {
        true => bounded * jitter,
        false => bounded * (1.0 + spec.jitter * (2.0 * jitter - 1.0)),
    };
    varied.clamp(0.0, LONGEST)
}

/// Returns the delay after `count` retries or repetitions.
fn grown(growth: &Growth, delay: f64, count: u32) -> f64 {
    let grown = match growth.backoff {
        Backoff::Constant => delay,
        Backoff::Linear => delay * (f64::from(count) + 1.0),
        Backoff::Exponential => delay * growth.factor.powi(count.min(i32::MAX as u32) as i32),
    };
    grown.min(growth.max_delay.unwrap_or(f64::MAX))
}
