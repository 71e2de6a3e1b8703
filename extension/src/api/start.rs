//! Starting executions.

use crate::argument::{MAX_KEY_BYTES, check_count, check_length};
use crate::cache::foreign_parts;
use crate::engine::advance::Advance;
use crate::engine::attributes;
use crate::engine::settle::settle;
use crate::engine::start::begin;
use crate::engine::startable::{check, find};
use crate::error::Error;
use crate::pg::clock::{self};
use crate::pg::id::PARTS;
use crate::pg::jsonb::Jsonb;
use crate::pg::list::List;
use crate::pg::result_set::{RowSet, column};
use crate::settings;
use crate::store::starts::Wanted;
use conductor::code::Code;
use conductor::engine::status::Status;
use conductor::traceparent;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self};
use pgrx::prelude::*;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::rc::Rc;

/// Maximum number of executions that a call can start.
const MAX_EXECUTIONS: usize = 10_000;

/// Valid priorities of a start, in minutes of waiting.
const PRIORITIES: RangeInclusive<i32> = -1000..=1000;

/// How to start executions, regardless of their parameters.
struct Terms {
    reference: String,
    priority: i32,
    /// Part; `None` means that keys determine it.
    part: Option<i32>,
    now: TimestampWithTimeZone,
    /// Seconds until their first tasks can be claimed.
    delay: f64,
    /// Whether they were given a time to run at. If so, an execution that fails then is a failed execution, not an
    /// error of the call.
    is_timed: bool,
    /// Time at which they are to start, if one was given.
    run_at: Option<TimestampWithTimeZone>,
    /// Number of executions in the chain of hooks that led to it.
    hook_depth: Option<i32>,
    /// Trace span that starts them.
    traceparent: Option<Rc<str>>,
}

/// Arguments for one execution besides its parameters.
#[derive(Default)]
struct Given {
    keys: Vec<Option<String>>,
    times: Vec<Option<TimestampWithTimeZone>>,
    attributes: Vec<Option<Jsonb>>,
    traceparents: Vec<Option<String>>,
}

impl Terms {
    fn check(
        reference: Option<String>,
        priority: Option<i32>,
        run_at: Option<TimestampWithTimeZone>,
        part: Option<i32>,
    ) -> Result<Terms, Error> {
        let reference = reference.ok_or_else(|| Error::missing("ref"))?;
        let priority = priority.ok_or_else(|| Error::missing("priority"))?;
        if !PRIORITIES.contains(&priority) {
            return Err(Error::out_of_range(
                "priority is out of range",
                format!("priority is {priority}."),
                "Use -1000 to 1000.",
            ));
        }
        if let Some(part) = part {
            if !(0..PARTS).contains(&part) {
                return Err(Error::out_of_range("part is out of range", format!("part is {part}."), "Use 0 to 1023."));
            }
            foreign_parts::check(part)?;
        }
        let now = clock::now()?;
        let delay = match run_at {
            None => 0.0,
            Some(time) if time.is_infinity() || time.is_neg_infinity() => {
                let sign = if time.is_infinity() { "" } else { "-" };
                let detail = format!("run_at is {sign}infinity.");
                return Err(Error::out_of_range("run_at must be finite", detail, "Pass a time, or null for now."));
            }
            Some(time) => clock::seconds(now, time).max(0.0),
        };
        Ok(Terms {
            reference,
            priority,
            part,
            now,
            delay,
            is_timed: run_at.is_some(),
            run_at,
            hook_depth: None,
            traceparent: None,
        })
    }

    /// Starts an execution for each element of `parameters`, with the corresponding elements of `given`. Returns their
    /// ids in order, and `None` for an execution that is skipped because the maximum number is already running.
    fn start(self, parameters: Vec<Option<Jsonb>>, given: Given) -> Result<Vec<Option<i64>>, Error> {
        let Terms { reference, priority, part, now, delay, is_timed, run_at, hook_depth, traceparent } = self;
        let Given { keys, times, attributes, traceparents } = given;
        keys.iter().flatten().try_for_each(|key| check_length("idempotency_key", key, MAX_KEY_BYTES))?;
        attributes.iter().try_for_each(|given| attributes::check(*given))?;
        // Executions without a key all go to one part, so that the call writes to few places.
        let keyless = part.map_or_else(|| foreign_parts::default_part(None), Ok)?;
        Spi::connect(|client| {
            let workflow = find(client, &reference)?;
            let (mut keys, mut times, mut attributes) = (keys.into_iter(), times.into_iter(), attributes.into_iter());
            let mut traceparents = traceparents.into_iter();
            let wanted = parameters.into_iter().map(|given| {
                let parameters = check(&workflow, given)?;
                let given = given.unwrap_or(parameters);
                let (key, scheduled_for) = (keys.next().flatten(), times.next().flatten().or(run_at));
                let attributes = attributes.next().flatten();
                let part = match (part, &key) {
                    (None, Some(key)) => foreign_parts::default_part(Some(key))?,
                    _ => keyless,
                };
                foreign_parts::check(part)?;
                let traceparent = match traceparents.next().flatten() {
                    Some(given) => traceparent::parse(&given).map(Rc::from),
                    None => traceparent.clone(),
                };
                Ok(Wanted {
                    part,
                    parent: None,
                    parameters,
                    given,
                    key,
                    priority,
                    depth: 0,
                    scheduled_for,
                    attributes,
                    hook_depth,
                    traceparent,
                })
            });
            let wanted = wanted.collect::<Result<Vec<_>, Error>>()?;
            let mut advance = Advance::new(client, now, BTreeMap::new());
            let ids = begin(&mut advance, &workflow, &wanted, delay)?;
            if workflow.fails_when_full()
                && let Some(place) = ids.iter().position(Option::is_none)
            {
                let error = workflow.too_many();
                let detail = format!("It is element {} of parameters.", place + 1);
                return Err(if ids.len() > 1 { error.with_detail(detail) } else { error });
            }
            if !is_timed {
                check_begun(&advance, &reference, &ids)?;
            }
            settle(&mut advance, None)?;
            Ok(ids)
        })
    }
}

/// Refuses a call if one of its executions failed before there was anything to do. The error rolls back that execution
/// along with the rest of the call.
fn check_begun(advance: &Advance, reference: &str, ids: &[Option<i64>]) -> Result<(), Error> {
    let failed = |id: &i64| advance.execution(*id).is_some_and(|execution| execution.status == Status::Failed);
    for (place, id) in ids.iter().enumerate().filter_map(|(place, id)| Some((place, (*id).filter(|id| failed(id))?))) {
        if let Some(cause) = advance.batch.failed_start(id) {
            let code = cause.code.unwrap_or(Code::TASK_NOT_RENDERED);
            let message =
                cause.message.strip_prefix(&code.to_string()).unwrap_or(&cause.message).trim_start_matches(": ");
            let error = Error::refused(
                code,
                message,
                format!("Nothing was started. Fix the parameters, or workflow {reference}."),
            );
            return Err(if ids.len() > 1 {
                error.with_detail(format!("It is element {} of parameters.", place + 1))
            } else {
                error
            });
        }
    }
    Ok(())
}

/// Returns the trace span in which this session starts executions.
fn of_session() -> Option<Rc<str>> {
    settings::traceparent().and_then(|given| traceparent::parse(&given)).map(Rc::from)
}

/// `workflow_start` in `sql/start.sql`.
#[pg_extern(sql = false)]
#[expect(clippy::too_many_arguments, reason = "they are those of the SQL function")]
fn workflow_start(
    reference: Option<String>,
    parameters: Option<Jsonb>,
    key: Option<String>,
    priority: Option<i32>,
    run_at: Option<TimestampWithTimeZone>,
    part: Option<i32>,
    attributes: Option<Jsonb>,
    traceparent: Option<String>,
) -> Result<Option<i64>, ErrorReport> {
    let terms = Terms { traceparent: of_session(), ..Terms::check(reference, priority, run_at, part)? };
    let parameters = parameters.ok_or_else(|| Error::missing("parameters"))?;
    let (keys, attributes, traceparents) = (vec![key], vec![attributes], vec![traceparent]);
    let given = Given { keys, attributes, traceparents, ..Given::default() };
    Ok(terms.start(vec![Some(parameters)], given)?.first().copied().flatten())
}

/// `workflow_start_many` in `sql/start.sql`.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn workflow_start_many(
    reference: Option<String>,
    parameters: Option<List<Jsonb>>,
    keys: Option<List<String>>,
    priority: Option<i32>,
    run_at: Option<TimestampWithTimeZone>,
    part: Option<i32>,
    attributes: Option<List<Jsonb>>,
    traceparents: Option<List<String>>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<(), ErrorReport> {
    let mut rows = RowSet::of_call(fcinfo);
    let terms = Terms { traceparent: of_session(), ..Terms::check(reference, priority, run_at, part)? };
    let List(parameters) = parameters.ok_or_else(|| Error::missing("parameters"))?;
    check_count("executions", parameters.len(), MAX_EXECUTIONS)?;
    let given = Given {
        keys: one_each(parameters.len(), keys, "idempotency_keys", "key")?,
        attributes: one_each(parameters.len(), attributes, "attributes", "object")?,
        traceparents: one_each(parameters.len(), traceparents, "traceparents", "traceparent")?,
        times: Vec::new(),
    };
    terms.start(parameters, given)?.into_iter().for_each(|id| rows.push([column(id)]));
    Ok(())
}

/// Returns the element given for each of `count` executions; nothing if the list is missing.
fn one_each<T>(count: usize, given: Option<List<T>>, name: &str, what: &str) -> Result<Vec<Option<T>>, Error> {
    let Some(List(given)) = given else { return Ok(Vec::new()) };
    if given.len() == count {
        return Ok(given);
    }
    let hint = format!("Pass one {what} per execution, or null for none.");
    let error = Error::refused(
        Code::INVALID_ARGUMENT,
        format!("parameters and {name} must have the same number of elements"),
        hint,
    );
    Err(error.with_detail(format!("There are {count} parameters and {} {name}.", given.len())))
}

/// `workflow.start_for` in `sql/schedule.sql`.
#[pg_extern(sql = false)]
fn workflow_start_for(
    reference: Option<String>,
    parameters: Option<Jsonb>,
    keys: Option<List<String>>,
    times: Option<List<TimestampWithTimeZone>>,
    priority: Option<i32>,
    part: Option<i32>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Result<(), ErrorReport> {
    let mut rows = RowSet::of_call(fcinfo);
    let List(times) = times.ok_or_else(|| Error::missing("times"))?;
    let List(keys) = keys.ok_or_else(|| Error::missing("keys"))?;
    let terms = Terms::check(reference, priority, Some(clock::now()?), part)?;
    let parameters = vec![parameters; times.len()];
    let given = Given { keys, times, ..Given::default() };
    terms.start(parameters, given)?.into_iter().for_each(|id| rows.push([column(id)]));
    Ok(())
}

/// `workflow.start_by_hook` in `sql/hook.sql`.
#[pg_extern(sql = false)]
fn workflow_start_by_hook(
    reference: Option<String>,
    parameters: Option<Jsonb>,
    part: Option<i32>,
    hook_depth: Option<i32>,
    traceparent: Option<String>,
) -> Result<Option<i64>, ErrorReport> {
    let most = settings::bounds().workflow_depth;
    if hook_depth.is_some_and(|depth| depth > most as i32) {
        let message = format!("a chain of hooks has started more than {most} executions");
        let hint = "Make sure that no hook applies to executions that it has started, or raise pg_workflow.max_workflow_depth.";
        Err(Error::refused(Code::LIMIT_EXCEEDED, message, hint))?;
    }
    let traceparent = traceparent.map(Rc::from);
    let terms = Terms { hook_depth, traceparent, is_timed: true, ..Terms::check(reference, Some(0), None, part)? };
    Ok(terms.start(vec![parameters], Given::default())?.first().copied().flatten())
}

/// `workflow.check_start` in `sql/start.sql`.
#[pg_extern(sql = false)]
fn workflow_check_start(
    reference: Option<String>,
    priority: Option<i32>,
    part: Option<i32>,
) -> Result<(), ErrorReport> {
    Terms::check(reference, priority, None, part)?;
    Ok(())
}

/// `workflow.check_parameters` in `sql/schedule.sql`: whether this workflow could be started with these parameters.
#[pg_extern(sql = false)]
fn workflow_check_parameters(reference: Option<&str>, parameters: Option<Jsonb>) -> Result<(), ErrorReport> {
    let reference = reference.ok_or_else(|| Error::missing("reference"))?;
    Spi::connect(|client| check(&find(client, reference)?, parameters).map(drop))?;
    Ok(())
}
