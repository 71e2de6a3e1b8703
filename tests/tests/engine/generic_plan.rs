//! PostgreSQL plans a statement of a function for the actual arguments in its first five calls in a session, and then
//! generically. The result of a function must not depend on that.

use crate::fixture::*;
use crate::grant::{CALLS, prepare};
use pg_workflow_tests::with_database;

/// Calls that the tests of privileges do not need: other branches, and functions that no call of the API reaches.
const MORE: &[&str] = &[
    "workflow.count_limited('payments')",
    "workflow_why({failed})",
    "workflow_why({paused})",
    "workflow_why({waiting})",
    "workflow_why({outside})",
    "workflow_why({broken_parent})",
    "workflow_why({parent})",
    "workflow_why({items})",
    "workflow_why({crowded})",
    "workflow_status({broken_parent})",
    "workflow_tree({parent})",
    "workflow_timeline({broken_parent})",
    "workflow_pause({parent}, 'why')",
    "workflow_cancel({items}, 'why')",
    "workflow_rerun({broken_parent}, reset_items => true)",
    "workflow_signal({waiting}, 'go', '{}', 'key')",
    "workflow_tick(1000, ARRAY[0, 1])",
    "workflow_start('demo.w', '{}', 'key', part => 4)",
    "workflow_list_events({paused}, 10, 1)",
    "workflow_find_timed_out(1, NULL)",
    "workflow.fire_schedule((SELECT s FROM workflow.schedule AS s LIMIT 1), 10, workflow.now() + interval '1 day')",
    "workflow_grant('{role}', 'worker', '{1}')",
    "workflow.log_claim(ARRAY[{task}], 'me', 'postgres', workflow.now())",
    "workflow.why_late('it was due to start', workflow.now())",
    "workflow.action_summary",
    "workflow.overdue_summary",
    "workflow.execution_count",
    "workflow.workflow_summary",
    "workflow.archived_form({failed})",
    "workflow.delete_archivable('{}', workflow.now())",
    "workflow.definitions_state()",
    "workflow.drop_publication(900)",
    "workflow.drop_subscription(900)",
    "workflow.has_rows(900)",
    "workflow.stop_offer(900)",
    "workflow.take_slots_of_part(900)",
    "workflow.is_worker_first(1)",
    "workflow.request_limit_checks(ARRAY[1])",
];

/// Functions whose effects go beyond a transaction, or that need a moving part.
pub const LEFT_OUT: &[&str] = &[
    "workflow_start_ticker()",
    "workflow_stop_ticker()",
    "workflow_publish_definitions()",
    "workflow_subscribe_definitions('host=a')",
    "workflow_offer_part(900)",
    "workflow_receive_part(900, 'a', 'host=a', '{}')",
    "workflow_close_part(900)",
    "workflow_export_part(900)",
    "workflow_accept_part(900, '{}')",
    "workflow_release_part(900)",
    "workflow_clear_part(900)",
    "workflow_refuse_part(900)",
];

async fn more(session: &mut Session, names: &mut Vec<(&'static str, String)>) {
    session.define_as("demo.child", "tasks: [{name: c, action: demo.c}]").await;
    session.define_as("demo.parent", "tasks: [{name: call, action: demo.child}]").await;
    session
        .define_as("demo.items", "tasks: [{name: i, action: demo.d, with_items: {items: [1, 2, 3], concurrency: 2}}]")
        .await;
    session.define_as("demo.single", "concurrency: {max: 1}\ntasks: [{name: a, action: demo.a}]").await;
    let broken: i64 = session.value("SELECT workflow_start('demo.parent')").await;
    let tasks: Vec<Task> = session.rows("SELECT * FROM workflow_claim('w', 10, '{demo.c}')").await;
    session.fail(&tasks[0], serde_json::json!({"message": "no"})).await;
    names.push(("broken_parent", broken.to_string()));
    session.run("SELECT workflow_start('demo.single')").await;
    for (name, workflow) in [("parent", "demo.parent"), ("items", "demo.items"), ("crowded", "demo.single")] {
        let id: i64 = session.value(format!("SELECT workflow_start('{workflow}')")).await;
        names.push((name, id.to_string()));
    }
    session.run("SELECT workflow_claim('w', 1, '{demo.d}')").await;
}

fn forget_tokens(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.remove("lease_token");
            fields.values_mut().for_each(forget_tokens);
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(forget_tokens),
        _ => {}
    }
}

/// Runs a call, undoes its effects, including those on sequences, and returns its answer.
async fn answer(session: &mut Session, call: &str, sequences: &str) -> String {
    session.run("SAVEPOINT before").await;
    let answer = format!("SELECT coalesce(jsonb_agg(to_jsonb(answer)), '[]')::text FROM {call} AS answer");
    let answer: String = session.value(answer).await;
    session.run("ROLLBACK TO before").await;
    session.run(sequences).await;
    // The lease token differs at each claim.
    let mut rows: Vec<serde_json::Value> = serde_json::from_str(&answer).unwrap();
    rows.iter_mut().for_each(forget_tokens);
    serde_json::Value::from(rows).to_string()
}

#[tokio::test]
async fn a_function_answers_alike_at_each_call_and_with_a_plan_for_any_arguments() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let mut names = prepare(&mut session).await;
        more(&mut session, &mut names).await;
        names.push(("role", db.role().await));
        session.run("SET track_functions = 'all'").await;
        session.run("SELECT set_config('pg_workflow.test_now', clock_timestamp()::text, false)").await;
        session.run("BEGIN").await;
        let sequences: String = session
            .value(
                "SELECT string_agg(format('SELECT setval(%L, %s)', format('%I.%I', s.schemaname, s.sequencename), s.last_value), '; ')
                 FROM pg_sequences AS s WHERE s.schemaname = 'workflow' AND s.last_value IS NOT NULL",
            )
            .await;
        let calls = CALLS.iter().flat_map(|(_, calls)| calls.iter()).chain(MORE);
        for call in calls.filter(|call| !LEFT_OUT.contains(call)) {
            let call =
                names.iter().fold((*call).to_owned(), |sql, (name, value)| sql.replace(&format!("{{{name}}}"), value));
            let first = answer(&mut session, &call, &sequences).await;
            for again in 2..=7 {
                assert_eq!(answer(&mut session, &call, &sequences).await, first, "{call}, call {again}");
            }
            session.run("SET LOCAL plan_cache_mode = force_generic_plan").await;
            assert_eq!(answer(&mut session, &call, &sequences).await, first, "{call}, with a plan for any arguments");
            session.run("SET LOCAL plan_cache_mode = auto").await;
        }
        assert_eq!(not_called(&mut session).await, NEVER_CALLED);
        session.run("ROLLBACK").await;
    })
    .await;
}

/// Functions in PL/pgSQL that none of the calls reaches: they raise an error, or are left out. (Most SQL functions are
/// inlined into the statements that name them.)
const NEVER_CALLED: &[&str] = &[
    "plan_replicated",
    "raise_lost",
    "raise_missing",
    "raise_owned",
    "raise_taken",
    "workflow_accept_part",
    "workflow_clear_part",
    "workflow_close_part",
    "workflow_export_part",
    "workflow_offer_part",
    "workflow_publish_definitions",
    "workflow_receive_part",
    "workflow_refuse_part",
    "workflow_release_part",
    "workflow_start_from_row",
    "workflow_subscribe_definitions",
];

async fn not_called(session: &mut Session) -> Vec<String> {
    session
        .value(
            "SELECT coalesce(array_agg(p.proname::text ORDER BY p.proname), '{}') FROM pg_proc AS p
             JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
             JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid AND e.extname = 'pg_workflow'
             WHERE p.prolang = (SELECT l.oid FROM pg_language AS l WHERE l.lanname = 'plpgsql')
               AND NOT EXISTS (SELECT FROM pg_stat_xact_user_functions AS f WHERE f.funcid = p.oid)",
        )
        .await
}
