//! Parts of another server: calls about them are refused, whoever calls and however long the session has been open.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;
use std::collections::BTreeSet;

const WORKFLOW: &str = "tasks: [{name: a, action: demo.a, on_success: b}, {name: b, action: demo.b}]";

/// An id in part 600.
const FOREIGN: i64 = (600 << 48) | 1;

#[tokio::test]
async fn each_function_that_writes_refuses_a_part_of_another_server() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WORKFLOW).await;
        let mut other = Session::new(db).await;
        // The session is already open, and has seen that all parts belong to the server.
        other.start().await;
        session.run("SELECT workflow_set_parts('0-511')").await;
        let calls = [
            "workflow_start('demo.w', part => 600)",
            "workflow_start_many('demo.w', ARRAY['{}']::jsonb[], part => 600)",
            "workflow_schedule('s', '@daily', 'demo.w', part => 600)",
            "workflow_claim('w', parts => '{1,600}')",
            "workflow_finish_and_claim('w', '{}', parts => '{600}')",
            "workflow_finish_and_claim_json('w', parts => '{600}')",
            "workflow_tick(10, '{600}')",
            "workflow_complete($id, 1)",
            "workflow_fail($id, 1)",
            "workflow_pause($id)",
            "workflow_resume($id)",
            "workflow_cancel($id)",
            "workflow_signal($id, 'go')",
            "workflow_rerun($id)",
            "workflow_resolve($id)",
            "workflow_extend_wait($id, 'go')",
            "workflow_erase($id)",
            "workflow_wait($id)",
            "workflow_status($id)",
            "workflow_set_attributes($id, '{}')",
            "workflow_pause_by_key('demo.w', 'k', part => 600)",
            "workflow_resume_by_key('demo.w', 'k', part => 600)",
            "workflow_cancel_by_key('demo.w', 'k', part => 600)",
            "workflow_rerun_by_key('demo.w', 'k', part => 600)",
            "workflow_signal_by_key('demo.w', 'k', 'go', part => 600)",
            "workflow_create_execution('demo.a', part => 600)",
            "workflow_update_execution($id, '{}')",
            "workflow_delete_execution($id)",
            "workflow_create_workflow_execution($id, 1)",
            "workflow_update_workflow_execution($id, '{}')",
            "workflow_delete_workflow_execution($id)",
            "workflow_create_task_execution($id, 'x')",
            "workflow_update_task_execution($id, '{}')",
            "workflow_delete_task_execution($id)",
        ];
        for call in calls {
            let refusal = other.refused(format!("SELECT * FROM {}", call.replace("$id", &FOREIGN.to_string()))).await;
            assert_eq!(refusal.code(), ("55000", "WF622"), "{call}: {refusal:?}");
        }
        // Batch calls answer for each element.
        let outcomes = outcome_array(&[(FOREIGN, 1, "completed")]);
        let many = [
            format!("workflow_finish({outcomes})"),
            format!("workflow_pause_many('{{{FOREIGN}}}')"),
            format!("workflow_resume_many('{{{FOREIGN}}}')"),
            format!("workflow_cancel_many('{{{FOREIGN}}}')"),
            format!("workflow_rerun_many('{{{FOREIGN}}}')"),
            format!("workflow_signal_many('{{{FOREIGN}}}', 'go')"),
            format!("workflow_prune_many('{{{FOREIGN}}}')"),
        ];
        for call in &many {
            assert_eq!(other.value::<String>(format!("SELECT code FROM {call}")).await, "WF622", "{call}");
        }
        let report = json!([{"task": FOREIGN.to_string(), "lease_token": "1", "status": "completed"}]);
        let answers: serde_json::Value = other.value(format!("SELECT workflow_finish_json('{report}')")).await;
        assert!(answers.to_string().contains("WF622"), "{answers}");
        let state: String = other.value(format!("SELECT state FROM workflow_heartbeat('{{{FOREIGN}}}', '{{1}}')")).await;
        assert_eq!(state, "elsewhere");

        // No function is missing from the list.
        let named: BTreeSet<&str> = calls
            .iter()
            .copied()
            .chain(many.iter().map(String::as_str))
            .chain(["workflow_finish_json(", "workflow_heartbeat("])
            .filter_map(|call| call.split('(').next())
            .collect();
        let writing: Vec<(String,)> = session
            .rows(
                "SELECT DISTINCT p.proname::text FROM pg_proc AS p
                 WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname ~ '^workflow_' AND p.provolatile = 'v'
                   AND p.proargnames && '{execution_id,task,id,part,parts,executions,tasks,workflow_execution,execution,outcomes}'
                   -- These are about definitions, roles, or the parts themselves.
                   AND p.proname !~ '_(action|definition|pack|part|parts)$' AND p.proname <> 'workflow_grant'",
            )
            .await;
        let forgotten: Vec<&String> = writing.iter().map(|(name,)| name).filter(|name| !named.contains(name.as_str())).collect();
        assert!(forgotten.is_empty(), "{forgotten:?}");

        // The part belongs to the server again.
        assert_eq!(session.value::<String>("SELECT workflow_set_parts()").await, "0-1023");
        assert_eq!(other.value::<i64>("SELECT workflow_start('demo.w', part => 600)").await >> 48, 600);
    })
    .await;
}

#[tokio::test]
async fn a_transaction_with_an_old_snapshot_sees_a_fence() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WORKFLOW).await;
        let mut old = Session::new(db).await;
        old.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM workflow.execution").await;
        session.run("SELECT workflow_fence_part(7, 'b')").await;
        let refused = sqlx::query("SELECT workflow_start('demo.w', part => 7)").execute(&mut old.connection).await;
        assert_eq!(Refusal::of(refused.unwrap_err()).code(), ("55000", "WF622"));
        old.run("ROLLBACK").await;
        session.run("SELECT workflow_keep_part(7)").await;
        old.run("SELECT workflow_start('demo.w', part => 7)").await;
    })
    .await;
}

#[tokio::test]
async fn whoever_fences_a_part_waits_for_calls_that_began_before_and_holds_up_nobody() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WORKFLOW).await;
        let (mut writer, mut bystander) = (Session::new(db).await, Session::new(db).await);
        writer.run("BEGIN; SELECT workflow_start('demo.w', part => 7)").await;
        session.run("SELECT workflow_fence_part(7, 'b')").await;
        let mut closer = Session::new(db).await;
        let pid: i32 = closer.value("SELECT pg_backend_pid()").await;
        let closing = async {
            closer.run("SELECT workflow_close_part(7)").await;
            closer.value::<i64>("SELECT count(*) FROM workflow.execution WHERE part = 7").await
        };
        let rest = async {
            let waits = format!("SELECT count(*) FROM pg_locks WHERE pid = {pid} AND NOT granted");
            while session.value::<i64>(waits.as_str()).await == 0 {
                tokio::task::yield_now().await;
            }
            // A transaction that has begun continues, even with the part that has been fenced in the meantime; nobody
            // else waits.
            writer.run("SELECT workflow_start('demo.w', part => 7)").await;
            bystander.run("SET lock_timeout = '1s'; SELECT workflow_start('demo.w', part => 8)").await;
            let refusal = bystander.refused("SELECT workflow_start('demo.w', part => 7)").await;
            assert_eq!(refusal.code().1, "WF622");
            writer.run("COMMIT").await;
        };
        let (seen, ()) = tokio::join!(closing, rest);
        assert_eq!(seen, 2, "what was begun is there once the part is closed");
        let refusal = writer.refused("SELECT workflow_start('demo.w', part => 7)").await;
        assert_eq!(refusal.code().1, "WF622");
        session.run("SELECT workflow_keep_part(7)").await;
    })
    .await;
}

#[tokio::test]
async fn what_is_fenced_is_neither_claimed_nor_ticked() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("keep: {completed: 1s}\ntasks: [{name: a, action: demo.a, timeout: 5}]").await;
        session.run("SELECT workflow_schedule('hourly', '@hourly', 'demo.w', part => 7)").await;
        session.run("SELECT workflow_start('demo.w', part => 7), workflow_start('demo.w', part => 8)").await;
        session.run("SELECT * FROM workflow_claim('w', 1, lease => '1 second', parts => '{7}')").await;
        session.run("SELECT workflow_start('demo.w', part => 7)").await;
        session.run("SELECT workflow_fence_part(7, 'b')").await;
        let before: String = session
            .value("SELECT string_agg(t::text, ' ') FROM workflow.workflow_task_execution t WHERE part = 7")
            .await;
        session.at(7200.0).await;
        let claimed: Vec<Task> = session.rows("SELECT * FROM workflow_claim('w', 10)").await;
        assert_eq!(claimed.iter().map(|task| task.task >> 48).collect::<Vec<_>>(), [8]);
        session.run("SELECT workflow_tick(), workflow_prune('0 s')").await;
        let after: String = session
            .value("SELECT string_agg(t::text, ' ') FROM workflow.workflow_task_execution t WHERE part = 7")
            .await;
        assert_eq!(after, before);
        for call in [
            "workflow_pause_schedule('hourly')",
            "workflow_unschedule('hourly')",
            "workflow_schedule('hourly', '@daily', 'demo.w', part => 8)",
        ] {
            assert_eq!(session.refused(format!("SELECT * FROM {call}")).await.code().1, "WF622", "{call}");
        }
        assert_eq!(session.value::<String>("SELECT workflow_find_parts()").await, "0-6,8-1023");
        let place: (String, Option<String>) = session.rows("SELECT * FROM workflow_find_part(7)").await.remove(0);
        assert_eq!(place, ("leaving".to_owned(), Some("b".to_owned())));
        session.run("SELECT workflow_keep_part(7)").await;
        assert!(session.value::<i32>("SELECT workflow_tick()").await > 0);
        session.run("SELECT workflow_unschedule('hourly')").await;
    })
    .await;
}

#[tokio::test]
async fn invalid_parts_are_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WORKFLOW).await;
        session.run("SELECT workflow_start('demo.w', part => 7)").await;
        for parts in ["NULL", "'x'", "'0-1024'", "'5-3'", "'1,,2'", "'-1'"] {
            let refusal = session.refused(format!("SELECT workflow_set_parts({parts})")).await;
            assert_eq!(refusal.code(), ("22023", "WF613"), "{parts}");
        }
        assert_eq!(session.refused("SELECT workflow_set_parts('0-6')").await.code(), ("55000", "WF611"));
        assert_eq!(session.value::<String>("SELECT workflow_set_parts('7, 3-4,4')").await, "3-4,7");
        session.run("SELECT workflow_fence_part(7, 'b')").await;
        assert_eq!(session.refused("SELECT workflow_set_parts('7')").await.code(), ("55000", "WF611"));
        session.run("SELECT workflow_keep_part(7)").await;
        for (call, state) in [
            ("workflow_close_part(7)", "here"),
            ("workflow_fence_part(9, 'b')", "elsewhere"),
            ("workflow_release_part(7)", "here"),
            ("workflow_clear_part(7)", "here"),
            ("workflow_accept_part(9, '{}')", "elsewhere"),
            ("workflow_refuse_part(9)", "elsewhere"),
            ("workflow_keep_part(9)", "elsewhere"),
            ("workflow_offer_part(7)", "logical"),
            ("workflow_receive_part(7, 'a', 'c', '{}')", "here"),
        ] {
            let refusal = session.refused(format!("SELECT {call}")).await;
            assert_eq!(refusal.code(), ("55000", "WF611"), "{call}");
            assert!(format!("{refusal:?}").contains(state), "{call}: {refusal:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_start_without_a_part_goes_by_its_key_or_anywhere() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WORKFLOW).await;
        // SHA-256 of acme begins with 0x8c32.
        let known: (i32, i32) = session
            .rows("SELECT workflow_part('acme'), (get_byte(sha256('acme'), 0) * 256 + get_byte(sha256('acme'), 1)) % 1024")
            .await
            .remove(0);
        assert_eq!(known.0, known.1);
        assert_eq!(session.start().await, 1, "as ever, where nobody has asked for more");
        session.run("SET pg_workflow.default_parts = 64").await;
        let keyed = "SELECT workflow_start('demo.w', idempotency_key => 'acme')";
        let execution: i64 = session.value(keyed).await;
        assert_eq!((execution >> 48) as i32, known.0 % 64);
        assert_eq!(session.value::<i64>(keyed).await, execution);
        assert_eq!(session.value::<i64>("SELECT workflow_find_by_key('demo.w', 'acme')").await, execution);
        let many: Vec<(i64,)> = session
            .rows("SELECT * FROM workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[3]), ARRAY['b', 'acme', NULL])")
            .await;
        assert_eq!(many[1].0, execution);
        session.run("SELECT workflow_schedule('acme', '@yearly', 'demo.w')").await;
        assert_eq!(session.value::<i32>("SELECT part FROM workflow_find_schedule('acme')").await, known.0 % 64);
        // Without a key, in any part of the server.
        session.run("DELETE FROM workflow.execution; DELETE FROM workflow.schedule; SELECT workflow_set_parts('3,5,100')").await;
        let mut parts = BTreeSet::new();
        while parts.len() < 2 {
            parts.insert(session.start().await >> 48);
        }
        assert_eq!(parts, BTreeSet::from([3, 5]));
    })
    .await;
}

#[tokio::test]
async fn a_server_may_have_no_part() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        assert_eq!(session.value::<String>("SELECT workflow_set_parts('')").await, "");
        assert_eq!(session.value::<String>("SELECT workflow_set_parts()").await, "0-1023");
    })
    .await;
}
