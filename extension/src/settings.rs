//! The settings, all named `pg_workflow.…`.

use conductor::limits::Limits;
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use pgrx::prelude::*;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::time::Duration;

static NODE: GucSetting<i32> = GucSetting::<i32>::new(0);
static TEST_NOW: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static NOTIFY: GucSetting<bool> = GucSetting::<bool>::new(false);
static LOG_TRANSITIONS: GucSetting<bool> = GucSetting::<bool>::new(false);
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
static MAX_PARAMETER_BYTES: GucSetting<i32> = GucSetting::<i32>::new(16 << 20);
static DATABASES: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static TICK_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(1000);

/// Which server of several makes the ids, 0 to 255.
pub fn node() -> i32 {
    NODE.get()
}

/// The time that tests have set.
pub fn test_now() -> Option<String> {
    TEST_NOW.get().and_then(|text| text.into_string().ok()).filter(|text| !text.is_empty())
}

/// Are workers told of queues that are empty no more?
pub fn notify() -> bool {
    NOTIFY.get()
}

/// Is every step of an execution an event?
pub fn log_transitions() -> bool {
    LOG_TRANSITIONS.get()
}

/// The databases that the launcher keeps a ticker in.
pub fn databases() -> BTreeSet<String> {
    let list = DATABASES.get().and_then(|list| list.into_string().ok()).unwrap_or_default();
    let names = list.split(',').map(|name| name.trim().trim_matches('"').to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// How long a ticker rests.
pub fn tick_interval() -> Duration {
    Duration::from_millis(TICK_INTERVAL.get().max(1) as u64)
}

/// Bytes of one reported result or error, as stored.
pub fn max_result_bytes() -> i32 {
    MAX_RESULT_BYTES.get()
}

/// Bytes of the parameters of one execution, not compressed.
pub fn max_parameter_bytes() -> usize {
    MAX_PARAMETER_BYTES.get().max(0) as usize
}

/// Seconds that a task may wait longer than one that follows from a report before the latter has to queue, too.
pub fn hand_over_grace() -> i32 {
    HAND_OVER_GRACE.get()
}

/// The bounds that definitions and executions keep to.
pub fn limits() -> Limits {
    let size = |setting: &GucSetting<i32>| setting.get().max(0) as usize;
    Limits {
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
    }
}

/// Makes the settings known to the server.
pub fn register() {
    GucRegistry::define_int_guc(
        c"pg_workflow.node",
        c"Which server of several makes the ids.",
        c"Goes into bits 40 to 47 of every id, so that ids made on different servers never meet.",
        &NODE,
        0,
        255,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_workflow.hand_over_grace",
        c"How far ahead in the queue others may be of what is handed over to a worker that reports.",
        c"Where they are further ahead, at most half of what the worker asks for is handed over, and the rest comes from the queue.",
        &HAND_OVER_GRACE,
        0,
        86_400,
        GucContext::Suset,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_string_guc(
        c"pg_workflow.test_now",
        c"The time that the functions go by, for tests.",
        c"A timestamp with time zone; empty = the clock.",
        &TEST_NOW,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pg_workflow.notify",
        c"Workers that listen are told when an empty queue is so no more.",
        c"By NOTIFY on the channel pg_workflow: a hint, once for an action in a part.",
        &NOTIFY,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"pg_workflow.log_transitions",
        c"Every step of an execution becomes an event.",
        c"Off: only what people do, failures, retries, time limits and ended leases.",
        &LOG_TRANSITIONS,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"pg_workflow.databases",
        c"The databases to tick in, where the library is preloaded.",
        c"Names with commas between them; each takes a background worker.",
        &DATABASES,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pg_workflow.tick_interval",
        c"How long a background worker that ticks rests.",
        c"Where there was more to do than one tick does, it does not rest.",
        &TICK_INTERVAL,
        10,
        3_600_000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    let limits: [(&CStr, &CStr, &'static GucSetting<i32>, i32); 12] = [
        (c"pg_workflow.max_source_bytes", c"Bytes of a definition's source.", &MAX_SOURCE_BYTES, 16 << 20),
        // The parsers recurse: deeper than this the stack of a backend would not be safe.
        (c"pg_workflow.max_depth", c"Nesting of a definition, and of what expressions yield.", &MAX_DEPTH, 100),
        (
            c"pg_workflow.max_alias_nodes",
            c"Nodes that YAML aliases may add to a definition.",
            &MAX_ALIAS_NODES,
            1_000_000,
        ),
        (c"pg_workflow.max_tasks", c"Tasks in a workflow.", &MAX_TASKS, 10_000),
        (c"pg_workflow.max_items", c"Items of one with_items.", &MAX_ITEMS, 1_000_000),
        (c"pg_workflow.max_expression_bytes", c"Bytes of one expression.", &MAX_EXPRESSION_BYTES, 64 << 10),
        (c"pg_workflow.template_fuel", c"Steps one expression may take.", &TEMPLATE_FUEL, 1_000_000_000),
        (
            c"pg_workflow.max_output_bytes",
            c"Bytes one expression may yield, and all inputs of the tasks that start at once.",
            &MAX_OUTPUT_BYTES,
            256 << 20,
        ),
        (c"pg_workflow.max_context_bytes", c"Bytes of all variables of an execution.", &MAX_CONTEXT_BYTES, 256 << 20),
        (c"pg_workflow.max_workflow_depth", c"Workflows within workflows.", &MAX_WORKFLOW_DEPTH, 100),
        (
            c"pg_workflow.max_result_bytes",
            c"Bytes of one reported result or error, as stored.",
            &MAX_RESULT_BYTES,
            256 << 20,
        ),
        (
            c"pg_workflow.max_parameter_bytes",
            c"Bytes of the parameters that one execution starts with, as jsonb.",
            &MAX_PARAMETER_BYTES,
            256 << 20,
        ),
    ];
    for (name, about, setting, most) in limits {
        let context = GucContext::Suset;
        GucRegistry::define_int_guc(name, about, c"", setting, 1, most, context, GucFlags::default());
    }
    prepare_process();
}

#[allow(unsafe_code)]
fn prepare_process() {
    // SAFETY: the argument is a NUL-terminated constant, and _PG_init is where this may be called.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"pg_workflow".as_ptr()) }
    // With RUST_BACKTRACE in the server's environment every error would carry a Rust backtrace in its detail.
    // SAFETY: a backend has one thread, and nothing reads the environment at this time.
    unsafe { std::env::set_var("RUST_LIB_BACKTRACE", "0") }
}
