//! Settings, all named `pg_workflow.…`.

use crate::pg::process;
use conductor::bounds::Bounds;
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::time::Duration;

static NODE: GucSetting<i32> = GucSetting::<i32>::new(0);
static DEFAULT_PARTS: GucSetting<i32> = GucSetting::<i32>::new(1);
static TEST_NOW: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static TEST_SEED: GucSetting<i32> = GucSetting::<i32>::new(0);
static ACTOR: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static NOTIFY: GucSetting<bool> = GucSetting::<bool>::new(true);
static NOTIFY_ENDS: GucSetting<bool> = GucSetting::<bool>::new(false);
static TRACEPARENT: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static LOG_TRANSITIONS: GucSetting<bool> = GucSetting::<bool>::new(false);
static KEEP: GucSetting<i32> = GucSetting::<i32>::new(-1);
static MAX_SOURCE_BYTES: GucSetting<i32> = GucSetting::<i32>::new(1 << 20);
static MAX_DEPTH: GucSetting<i32> = GucSetting::<i32>::new(64);
static MAX_ALIAS_NODES: GucSetting<i32> = GucSetting::<i32>::new(10_000);
static MAX_TASKS: GucSetting<i32> = GucSetting::<i32>::new(1000);
static MAX_ITEMS: GucSetting<i32> = GucSetting::<i32>::new(10_000);
static MAX_EXPRESSION_BYTES: GucSetting<i32> = GucSetting::<i32>::new(16 << 10);
static TEMPLATE_FUEL: GucSetting<i32> = GucSetting::<i32>::new(1_000_000);
static MAX_OUTPUT_BYTES: GucSetting<i32> = GucSetting::<i32>::new(16 << 20);
static MAX_CONTEXT_BYTES: GucSetting<i32> = GucSetting::<i32>::new(16 << 20);
static MAX_WORKFLOW_DEPTH: GucSetting<i32> = GucSetting::<i32>::new(10);
static HAND_OVER_GRACE: GucSetting<i32> = GucSetting::<i32>::new(10);
static MAX_RESULT_BYTES: GucSetting<i32> = GucSetting::<i32>::new(16 << 20);
static MAX_LOST_LEASES: GucSetting<i32> = GucSetting::<i32>::new(5);
static MAX_PARAMETER_BYTES: GucSetting<i32> = GucSetting::<i32>::new(16 << 20);
static DATABASES: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static TICK_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(1000);

/// Returns the number of this server among several that generate ids, 0 to 255.
pub fn node() -> i32 {
    NODE.get()
}

/// Returns the number of parts that hold executions started without one.
pub fn default_parts() -> i32 {
    DEFAULT_PARTS.get()
}

/// Returns the time set by tests.
pub fn test_now() -> Option<String> {
    TEST_NOW.get().and_then(|text| text.into_string().ok()).filter(|text| !text.is_empty())
}

/// Returns the seed for lease tokens set by tests; `None`: they are random.
pub fn test_seed() -> Option<i32> {
    Some(TEST_SEED.get()).filter(|seed| *seed != 0)
}

/// Whether idle workers are notified of tasks that this session queues.
pub fn notify() -> bool {
    NOTIFY.get()
}

/// Whether listeners are notified of the ends of executions.
pub fn notify_ends() -> bool {
    NOTIFY_ENDS.get()
}

/// Returns the trace span in which this session starts executions. It has not been validated.
pub fn traceparent() -> Option<String> {
    TRACEPARENT.get().and_then(|text| text.into_string().ok())
}

/// Whether every step of an execution is recorded as an event.
pub fn log_transitions() -> bool {
    LOG_TRANSITIONS.get()
}

/// Returns how many seconds executions are kept if their workflow does not specify it; `None` means forever.
pub fn keep() -> Option<f64> {
    Some(KEEP.get()).filter(|seconds| *seconds >= 0).map(f64::from)
}

/// Returns the databases in which the launcher keeps a ticker running.
pub fn databases() -> BTreeSet<String> {
    let list = DATABASES.get().and_then(|list| list.into_string().ok()).unwrap_or_default();
    let names = list.split(',').map(|name| name.trim().trim_matches('"').to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// Returns the pause between ticks.
pub fn tick_interval() -> Duration {
    Duration::from_millis(TICK_INTERVAL.get().max(1) as u64)
}

/// Returns the maximum size of a reported result or error, in bytes as stored.
pub fn max_result_bytes() -> i32 {
    MAX_RESULT_BYTES.get()
}

/// Returns how many leases on a task may expire before it ends as abandoned.
pub fn max_lost_leases() -> i32 {
    MAX_LOST_LEASES.get()
}

/// Returns the maximum size of the parameters of an execution, in bytes, uncompressed.
pub fn max_parameter_bytes() -> usize {
    MAX_PARAMETER_BYTES.get().max(0) as usize
}

/// Returns how many seconds longer a queued task may have been waiting than a task that follows from a report before
/// the latter has to queue, too.
pub fn hand_over_grace() -> i32 {
    HAND_OVER_GRACE.get()
}

/// Returns the bounds of definitions and executions.
pub fn bounds() -> Bounds {
    let size = |setting: &GucSetting<i32>| setting.get().max(0) as usize;
    Bounds {
        source_bytes: size(&MAX_SOURCE_BYTES),
        depth: size(&MAX_DEPTH),
        alias_nodes: size(&MAX_ALIAS_NODES),
        tasks: size(&MAX_TASKS),
        items: size(&MAX_ITEMS),
        expression_bytes: size(&MAX_EXPRESSION_BYTES),
        template_fuel: size(&TEMPLATE_FUEL) as u64,
        output_bytes: size(&MAX_OUTPUT_BYTES),
        context_bytes: size(&MAX_CONTEXT_BYTES),
        workflow_depth: size(&MAX_WORKFLOW_DEPTH),
        ..Bounds::default()
    }
}

/// Registers the settings with the server.
pub fn register() {
    GucRegistry::define_int_guc(
        c"pg_workflow.node",
        c"Sets the number of this server among several that generate ids.",
        c"Stored in bits 40 to 47 of every id, so that ids generated on different servers never collide.",
        &NODE,
        0,
        255,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_workflow.default_parts",
        c"Sets the number of parts that executions started without one are spread over.",
        c"By their idempotency key if they have one. 1 means that all are in part 0; set it before the first key is used, because keys are unique only within a part.",
        &DEFAULT_PARTS,
        1,
        1024,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_workflow.hand_over_grace",
        c"Sets how far queued tasks may be ahead of those handed over directly to a reporting worker.",
        c"If they are further ahead, at most half of the tasks requested bypass the queue.",
        &HAND_OVER_GRACE,
        0,
        86_400,
        GucContext::Suset,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_string_guc(
        c"pg_workflow.test_now",
        c"Sets the current time used by the functions, for tests.",
        c"A timestamp with time zone; an empty string means the system clock.",
        &TEST_NOW,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_workflow.test_seed",
        c"Makes lease tokens predictable, for tests and examples.",
        c"Each session then draws the same sequence of tokens, restarted when this changes; 0 means random tokens.",
        &TEST_SEED,
        0,
        i32::MAX,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"pg_workflow.actor",
        c"Names the person for whom the session controls executions.",
        c"Stored with the role as the author of events, holds and bulk jobs; only the first 100 characters are used.",
        &ACTOR,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pg_workflow.notify",
        c"Notifies idle workers of the tasks that this session queues.",
        c"Uses NOTIFY on the channel pg_workflow, and only where a worker has announced that it is idle.",
        &NOTIFY,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pg_workflow.notify_ends",
        c"Notifies listeners of the ends of executions.",
        c"Uses NOTIFY on the channel pg_workflow_end; the payload is id and status, such as '12 completed'.",
        &NOTIFY_ENDS,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"pg_workflow.traceparent",
        c"Sets the span that executions started by this session belong to.",
        c"In W3C Trace Context format; a malformed value is ignored.",
        &TRACEPARENT,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pg_workflow.log_transitions",
        c"Records every step of an execution as an event.",
        c"If off, only user actions, failures, retries, timeouts and expired leases are recorded.",
        &LOG_TRANSITIONS,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_workflow.keep",
        c"Sets how long executions are kept after their end if their workflow does not say.",
        c"-1 keeps them until they are deleted by workflow_prune.",
        &KEEP,
        -1,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_string_guc(
        c"pg_workflow.databases",
        c"Lists the databases to tick in if the library is preloaded.",
        c"A comma-separated list of names; each database takes one background worker.",
        &DATABASES,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_workflow.tick_interval",
        c"Sets the pause between the ticks of a background worker.",
        c"There is no pause if a tick leaves work undone.",
        &TICK_INTERVAL,
        10,
        3_600_000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    let limits: [(&CStr, &CStr, &'static GucSetting<i32>, i32); 13] = [
        (
            c"pg_workflow.max_source_bytes",
            c"Sets the maximum size of a definition's source, in bytes.",
            &MAX_SOURCE_BYTES,
            16 << 20,
        ),
        // The parsers are recursive: beyond this depth the stack of a backend might overflow.
        (
            c"pg_workflow.max_depth",
            c"Sets the maximum nesting depth of definitions and of the values of expressions.",
            &MAX_DEPTH,
            100,
        ),
        (
            c"pg_workflow.max_alias_nodes",
            c"Sets the maximum number of nodes that YAML aliases may add to a definition.",
            &MAX_ALIAS_NODES,
            1_000_000,
        ),
        (c"pg_workflow.max_tasks", c"Sets the maximum number of tasks in a workflow.", &MAX_TASKS, 10_000),
        (c"pg_workflow.max_items", c"Sets the maximum number of items of one with_items.", &MAX_ITEMS, 1_000_000),
        (
            c"pg_workflow.max_expression_bytes",
            c"Sets the maximum size of an expression, in bytes.",
            &MAX_EXPRESSION_BYTES,
            64 << 10,
        ),
        (
            c"pg_workflow.template_fuel",
            c"Sets the maximum number of steps in the evaluation of an expression.",
            &TEMPLATE_FUEL,
            1_000_000_000,
        ),
        (
            c"pg_workflow.max_output_bytes",
            c"Sets the maximum size of an expression's value, and of all inputs of tasks started together, in bytes.",
            &MAX_OUTPUT_BYTES,
            256 << 20,
        ),
        (
            c"pg_workflow.max_context_bytes",
            c"Sets the maximum total size of the variables of an execution, in bytes.",
            &MAX_CONTEXT_BYTES,
            256 << 20,
        ),
        (
            c"pg_workflow.max_workflow_depth",
            c"Sets the maximum nesting depth of workflows that call workflows.",
            &MAX_WORKFLOW_DEPTH,
            100,
        ),
        (
            c"pg_workflow.max_result_bytes",
            c"Sets the maximum size of a reported result or error, in bytes as stored.",
            &MAX_RESULT_BYTES,
            256 << 20,
        ),
        (
            c"pg_workflow.max_lost_leases",
            c"Sets how many leases on a task may expire before it ends as abandoned.",
            &MAX_LOST_LEASES,
            1000,
        ),
        (
            c"pg_workflow.max_parameter_bytes",
            c"Sets the maximum size of the parameters of an execution, in bytes as jsonb.",
            &MAX_PARAMETER_BYTES,
            256 << 20,
        ),
    ];
    for (name, about, setting, most) in limits {
        let context = GucContext::Suset;
        GucRegistry::define_int_guc(name, about, c"", setting, 1, most, context, GucFlags::default());
    }
    process::prepare();
}
