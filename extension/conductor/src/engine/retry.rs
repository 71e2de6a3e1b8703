//! Whether and when a task runs again. This is decided before its transitions.

use crate::engine::cause::Cause;
use crate::engine::conductor::{Advice, Conductor, Reported};
use crate::engine::facts::Outcome;
use crate::engine::state::TaskEnd;
use crate::graph::{AfterSuccess, Retry};
use crate::language::definition::Backoff;

/// Maximum delay, in seconds: a hundred years is effectively forever, and still a valid timestamp.
const LONGEST: f64 = 100.0 * 365.25 * 86_400.0;

impl Conductor<'_> {
    /// Returns the seconds until the task runs again; none: it does not.
    pub(crate) fn retry(&self, reported: &Reported, outcome: &Outcome) -> Result<Option<f64>, Cause> {
        let node = self.graph.node(reported.key.node);
        let Some(retry) = &node.retry else { return Ok(None) };
        let spent = reported.retries >= reported.max_retries;
        if spent || reported.end == TaskEnd::Cancelled || reported.advice == Advice::Never {
            return Ok(None);
        }
        let task = Some((node.name.as_str(), outcome));
        let vars = self.branch(reported.context);
        let evaluating = |what: &str, error| Cause::evaluating("WF604", what, Some(&node.name), &error);
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
    let grown = match spec.backoff {
        Backoff::Constant => delay,
        Backoff::Linear => delay * f64::from(retries + 1),
        Backoff::Exponential => delay * spec.factor.powi(retries.min(i32::MAX as u32) as i32),
    };
    let bounded = grown.min(spec.max_delay.unwrap_or(f64::MAX));
    let varied = bounded * (1.0 + spec.jitter * (2.0 * jitter - 1.0));
    varied.clamp(0.0, LONGEST)
}
