//! Privileges on the functions in schema workflow: only those that functions of the API need are granted.

use crate::fixture::*;
use crate::grant::CONTAINED;
use pg_workflow_client::{Engine, Level};
use pg_workflow_tests::with_database;

/// Internal functions by the lowest level that may call them; only the owner may call the others.
const INTERNAL: [(Level, &[&str]); 4] = [
    (Level::Worker, &["check_outcomes", "flaw_of", "interval_of", "read_outcomes", "write_answers"]),
    (
        Level::Reader,
        &[
            "check_format",
            "check_wait",
            "closing_tasks",
            "default_part",
            "foreign_parts",
            "make_id",
            "require_part",
            "count_executions",
            "count_limited",
            "diagram",
            "execution_shares",
            "fair_hash",
            "gantt",
            "half_open",
            "is_end",
            "last_claim",
            "limit_hold",
            "limit_opens_at",
            "live_lists",
            "now",
            "overdue_rows",
            "page_size",
            "raise_error",
            "raise_lost",
            "raise_missing",
            "readable",
            "recent_executions",
            "recent_tasks",
            "require",
            "require_key",
            "require_run",
            "say_closed",
            "say_undone",
            "say_error",
            "say_hold",
            "say_not_rerun",
            "say_rerun",
            "say_time",
            "search",
            "task_created",
            "task_lists",
            "task_summary",
            "slot_execution",
            "is_cancelled_by_others",
            "is_ended_from_above",
            "waits_in_deadlock",
            "is_worker_first",
            "find_deadlock",
            "say_deadlock",
            "why_calling",
            "why_ended",
            "why_held",
            "why_items",
            "why_joins",
            "why_late",
            "why_limited",
            "why_queued",
            "why_rows",
            "why_running",
            "why_waiting",
            "why_task",
            "why_whole",
        ],
    ),
    (
        Level::Operator,
        &[
            "add_bulk_job",
            "add_errors",
            "answer_each",
            "archive_executions",
            "author_of",
            "bulk_step",
            "check_apply",
            "check_attributes",
            "check_hold",
            "check_key",
            "check_keys",
            "check_limit_name",
            "check_parameters",
            "check_prune",
            "check_schedule",
            "check_start",
            "control_locked",
            "delete_executions",
            "do_each",
            "lock_executions",
            "is_in_progress_elsewhere",
            "name_caller",
            "next_due",
            "prune_each",
            "rerun_locked",
            "run_hooks",
            "search_by",
            "start_by_hook",
            "try_lock_family",
            "set_bulk_job_status",
            "wake_limit_keys",
            "request_limit_checks",
        ],
    ),
    (
        Level::Author,
        &[
            "check_hook",
            "check_limits",
            "check_patch",
            "define",
            "fits",
            "owns_execution",
            "plan_concurrency",
            "plan_retention",
            "raise_owned",
            "raise_taken",
            "require_action",
            "require_count",
            "require_definition",
            "require_execution",
            "require_limits",
            "require_outside",
            "require_own_task",
            "require_pack",
            "require_ref",
            "require_task",
            "require_time",
            "require_text_array",
            "require_worker",
            "settle_part",
            "settle_task",
            "store_definition",
            "upsert_pack",
        ],
    ),
];

#[tokio::test]
async fn internal_functions_are_granted_to_those_who_need_them_and_nobody_else() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        for (level, contained) in CONTAINED {
            let role = db.role().await;
            Engine::grant(&db.pool, &role, level).await.unwrap();
            let granted: Vec<(String,)> = session
                .rows(format!(
                    "SELECT proname::text FROM pg_proc WHERE pronamespace = 'workflow'::regnamespace
                       AND has_function_privilege('{role}', oid, 'EXECUTE') ORDER BY proname COLLATE \"C\""
                ))
                .await;
            let mut expected: Vec<&str> =
                INTERNAL.iter().filter(|(level, _)| contained.contains(level)).flat_map(|(_, names)| *names).copied().collect();
            expected.sort_unstable();
            assert_eq!(granted.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), expected, "{level:?}");
            // Whatever the functions and views of the level name, however deep, can be called.
            let missing: Vec<(String,)> = session
                .rows(format!(
                    "WITH RECURSIVE body (oid, name, text) AS (
                       SELECT p.oid, p.proname, pg_get_functiondef(p.oid) FROM pg_proc AS p
                       WHERE p.pronamespace = 'workflow'::regnamespace OR p.proname ~ '^workflow_'
                       UNION ALL
                       SELECT c.oid, c.relname, pg_get_viewdef(c.oid) FROM pg_class AS c
                       WHERE c.relkind = 'v' AND c.relnamespace = 'workflow'::regnamespace),
                     reached (oid, name, text, by) AS (
                       SELECT b.oid, b.name, b.text, b.name::text FROM body AS b
                       WHERE b.name ~ '^workflow_' AND CASE WHEN EXISTS (SELECT FROM pg_proc AS p WHERE p.oid = b.oid)
                         THEN has_function_privilege('{role}', b.oid, 'EXECUTE') ELSE has_table_privilege('{role}', b.oid, 'SELECT') END
                       UNION
                       SELECT b.oid, b.name, b.text, r.by FROM reached AS r
                       JOIN body AS b ON r.text ~ format('workflow\\.%s\\(', b.name) AND b.oid <> r.oid)
                     SELECT DISTINCT format('%s, which %s needs', r.name, r.by) FROM reached AS r
                     WHERE EXISTS (SELECT FROM pg_proc AS p WHERE p.oid = r.oid) AND NOT has_function_privilege('{role}', r.oid, 'EXECUTE')"
                ))
                .await;
            assert_eq!(missing, [] as [(String,); 0], "{level:?}");
        }
    })
    .await;
}
