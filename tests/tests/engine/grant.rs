//! Levels of privileges: what each may and may not call, and what remains after it is revoked.

use crate::fixture::*;
use pg_workflow_client::{Engine, Error, Level};
use pg_workflow_tests::{Database, with_database};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::collections::BTreeSet;

/// A call of each function of the API that succeeds for roles with the required level, by that level. `{running}` and
/// the like stand for ids.
pub const CALLS: &[(Option<Level>, &[&str])] = &[
    (
        Some(Level::Worker),
        &[
            "workflow_claim('me', 10)",
            "workflow_heartbeat(ARRAY[{task}], ARRAY[{lease}], progress => ARRAY['1']::jsonb[])",
            "workflow_complete({task}, {lease}, '{}')",
            "workflow_fail({task}, {lease}, '{}')",
            "workflow_finish(ARRAY[({task}, {lease}, 'completed', NULL, NULL, NULL, NULL, NULL, NULL)::workflow.outcome])",
            "workflow_finish_json('[{}, {\"task\": \"{task}\", \"lease_token\": \"{lease}\", \"status\": \"completed\"}]')",
            "workflow_finish_and_claim_json('me', max_tasks => 10)",
            "workflow_finish_and_claim('me', ARRAY[({task}, {lease}, 'completed', NULL, NULL, NULL, NULL, NULL, NULL)::workflow.outcome])",
            "workflow_tick()",
            "workflow_announce_idle('{demo.a}')",
        ],
    ),
    (
        Some(Level::Reader),
        &[
            "workflow_status({running})",
            "workflow_wait({running}, '0')",
            "workflow_tree({running})",
            "workflow_count_tasks({running})",
            "workflow_why({running})",
            "workflow_timeline({running})",
            "workflow_list_events({running})",
            "workflow_list_tasks({running})",
            "workflow_graph({running})",
            "workflow_graph('demo.w')",
            "workflow_check()",
            "workflow_part('acme')",
            "workflow_find_part(7)",
            "workflow_find_parts()",
            "workflow_find_arriving(7)",
            "workflow_find_leaving(7, '0/0')",
            "workflow_validate('{ref: demo.x}')",
            "workflow_test('{ref: demo.x, label: X, version: 1, tasks: [{name: a}]}', '{\"tests\": [{\"name\": \"t\", \"expect\": {\"status\": \"completed\"}}]}')",
            "workflow_find_pack({pack})",
            "workflow_find_pack_by_ref('demo')",
            "workflow_list_packs()",
            "workflow_find_action({action})",
            "workflow_find_action_by_ref('demo.a')",
            "workflow_list_actions()",
            "workflow_find_workflow_actions()",
            "workflow_find_actions_by_workflow_def({definition})",
            "workflow_find_definition({definition})",
            "workflow_find_definition_by_ref('demo.w')",
            "workflow_list_definitions()",
            "workflow_find_definitions_by_pack({pack})",
            "workflow_find_enabled_definitions()",
            "workflow_find_definitions_by_tag('x')",
            "workflow_find_execution({running})",
            "workflow_list_executions()",
            "workflow_find_executions_by_parent({running})",
            "workflow_find_workflow_execution({running})",
            "workflow_find_workflow_execution_by_execution({running})",
            "workflow_list_workflow_executions()",
            "workflow_find_workflow_executions_by_status('running')",
            "workflow_find_paused_workflow_executions()",
            "workflow_find_workflow_executions_by_workflow_def({definition})",
            "workflow_find_task_execution({task})",
            "workflow_list_task_executions()",
            "workflow_find_task_executions_by_workflow_execution({outside_run})",
            "workflow_find_task_executions_by_task_name({outside_run}, 'x')",
            "workflow_find_task_executions_by_execution({running})",
            "workflow_find_schedule('hourly')",
            "workflow_list_schedules()",
            "workflow_find_hook('ended')",
            "workflow_list_hooks()",
            "workflow_find_archive()",
            "workflow_list_waits()",
            "workflow_list_limits()",
            "workflow_list_limit_keys('slow')",
            "workflow_list_holds()",
            "workflow_list_weights('demo.w')",
            "workflow_find_pending_retries()",
            "workflow_find_timed_out()",
            "workflow_find_overdue()",
            "workflow_search()",
            "workflow_find_by_key('demo.wait', 'waiting')",
            "workflow_status_by_key('demo.wait', 'waiting')",
            "workflow_list_bulk_jobs()",
        ],
    ),
    (
        Some(Level::Operator),
        &[
            "workflow_archive_to(NULL)",
            "workflow_start('demo.w')",
            "workflow_start_many('demo.w', ARRAY['{}', '{}']::jsonb[])",
            "workflow_pause({running}, 'why')",
            "workflow_resume({paused})",
            "workflow_cancel({running}, 'why')",
            "workflow_rerun({failed})",
            "workflow_extend_wait({waiting}, 'go')",
            "workflow_signal({waiting}, 'go')",
            "workflow_signal_by_key('demo.wait', 'waiting', 'go')",
            "workflow_resolve({queued})",
            "workflow_prune('0')",
            "workflow_set_attributes({running}, '{\"tenant\": \"acme\"}')",
            "workflow_pause_by_key('demo.wait', 'waiting')",
            "workflow_resume_by_key('demo.wait', 'waiting')",
            "workflow_cancel_by_key('demo.wait', 'waiting')",
            "workflow_rerun_by_key('demo.wait', 'over')",
            "workflow_pause_many(ARRAY[{running}])",
            "workflow_resume_many(ARRAY[{paused}])",
            "workflow_cancel_many(ARRAY[{running}])",
            "workflow_rerun_many(ARRAY[{failed}])",
            "workflow_signal_many(ARRAY[{waiting}], 'go')",
            "workflow_prune_many(ARRAY[{failed}])",
            "workflow_erase({running})",
            "workflow_apply('cancel', '{\"statuses\": [\"running\"]}')",
            "workflow_stop_bulk_job(workflow_apply('cancel', '{\"statuses\": [\"running\"]}'))",
            "workflow_resume_bulk_job(workflow_apply('cancel', '{\"statuses\": [\"running\"]}'))",
            "workflow_schedule('daily', '@daily', 'demo.w')",
            "workflow_unschedule('hourly')",
            "workflow_pause_schedule('hourly')",
            "workflow_resume_schedule('hourly')",
            "workflow_set_limit('slow', max_running => 2)",
            "workflow_delete_limit('slow')",
            "workflow_hold('slow', NULL, 'tomorrow')",
            "workflow_release('slow')",
            "workflow_set_weight('demo.w', 'acme', 2)",
        ],
    ),
    (
        Some(Level::Author),
        &[
            "workflow_define('{ref: demo.new, label: New, version: 1.0.0, tasks: [{name: a, action: demo.a}]}')",
            "workflow_register_action('other.action')",
            "workflow_link_action({action}, {definition})",
            "workflow_on_end('ended', '{timeout}', 'demo.*', '{\"tenant\": 1}', 'demo.w')",
            "workflow_remove_hook('ended')",
            "workflow_create_pack('other', 'Other', '1.0.0')",
            "workflow_update_pack({pack}, '{\"label\": \"x\"}')",
            "workflow_delete_pack({empty_pack})",
            "workflow_create_action('demo.new', {pack}, 'New')",
            "workflow_update_action({action}, '{\"label\": \"x\"}')",
            "workflow_delete_action({action})",
            "workflow_create_definition('demo.new', {pack}, 'New', '1.0.0', '{}')",
            "workflow_update_definition({definition}, '{\"label\": \"x\"}')",
            "workflow_delete_definition({unused_definition})",
            "workflow_create_execution('demo.a')",
            "workflow_update_execution({outside}, '{\"executor\": 1}')",
            "workflow_delete_execution({outside})",
            "workflow_create_workflow_execution({childless}, {definition})",
            "workflow_update_workflow_execution({outside_run}, '{\"variables\": {}}')",
            "workflow_delete_workflow_execution({outside_run})",
            "workflow_create_task_execution({outside_run}, 'another')",
            "workflow_update_task_execution({outside_task}, '{\"status\": \"running\"}')",
            "workflow_delete_task_execution({outside_task})",
        ],
    ),
    (
        None,
        &[
            "workflow_grant('{role}', 'reader')",
            "workflow_revoke('{role}', 'reader')",
            "workflow_set_parts()",
            "workflow_publish_definitions()",
            "workflow_subscribe_definitions('host=a')",
            "workflow_offer_part(900)",
            "workflow_receive_part(900, 'a', 'host=a', '{}')",
            "workflow_fence_part(900, 'b')",
            "workflow_close_part(900)",
            "workflow_export_part(900)",
            "workflow_accept_part(900, '{}')",
            "workflow_release_part(900)",
            "workflow_clear_part(900)",
            "workflow_refuse_part(900)",
            "workflow_keep_part(900)",
            "workflow_start_ticker()",
            "workflow_stop_ticker()",
        ],
    ),
];

/// Levels, and those that each contains.
pub const CONTAINED: [(Level, &[Level]); 4] = [
    (Level::Worker, &[Level::Worker]),
    (Level::Reader, &[Level::Reader]),
    (Level::Operator, &[Level::Reader, Level::Operator]),
    (Level::Author, &[Level::Reader, Level::Operator, Level::Author]),
];

/// Creates the objects that the calls name, in various states. Returns the placeholder and the value of each.
pub async fn prepare(session: &mut Session) -> Vec<(&'static str, String)> {
    session.run("RESET pg_workflow.test_now").await;
    session.define_as("demo.wait", "tasks: [{name: w, wait_for: {signal: go, heartbeat: 1d}}]").await;
    session.run("SELECT workflow_cancel(workflow_start('demo.wait', idempotency_key => 'over'))").await;
    session.define("tasks: [{name: a, action: demo.a}]").await;
    let failed = session.start().await;
    let [task] = session.claim_named(["a"]).await;
    session.fail(&task, serde_json::json!({})).await;
    let paused = session.start().await;
    session.run(format!("SELECT workflow_pause({paused})")).await;
    let running = session.start().await;
    let [task] = session.claim_named(["a"]).await;
    session.start().await;
    session
        .run("SELECT workflow_schedule('hourly', '@hourly', 'demo.w'), workflow_set_limit('slow', max_running => 1)")
        .await;
    session.run("SELECT workflow_hold('slow', 'key', now() + interval '1 hour')").await;
    session.run("SELECT workflow_apply('cancel', '{\"error_code\": \"none\"}')").await;
    session.run("SELECT workflow_on_end('ended', '{timeout}', 'other.*', start_workflow => 'demo.w')").await;
    let mut names = vec![
        ("failed", failed.to_string()),
        ("paused", paused.to_string()),
        ("running", running.to_string()),
        ("task", task.task.to_string()),
        ("lease", task.lease_token.to_string()),
    ];
    for (name, query) in [
        ("waiting", "SELECT workflow_start('demo.wait', idempotency_key => 'waiting')"),
        ("queued", "SELECT max(id) FROM workflow.workflow_task_execution WHERE queue_at IS NOT NULL"),
        ("pack", "SELECT id FROM workflow_find_pack_by_ref('demo')"),
        ("empty_pack", "SELECT id FROM workflow_create_pack('empty', 'Empty', '1.0.0')"),
        ("action", "SELECT id FROM workflow_find_action_by_ref('demo.a')"),
        ("definition", "SELECT id FROM workflow_find_definition_by_ref('demo.w')"),
        (
            "unused_definition",
            "SELECT id FROM workflow_create_definition('demo.unused', (SELECT id FROM workflow.pack WHERE ref = 'demo'), 'x', '1', '{}')",
        ),
        ("outside", "SELECT id FROM workflow_create_execution('demo.a')"),
        (
            "outside_run",
            "SELECT id FROM workflow_create_workflow_execution((SELECT max(id) FROM workflow.execution), (SELECT min(id) FROM workflow.workflow_definition))",
        ),
        (
            "outside_task",
            "SELECT id FROM workflow_create_task_execution((SELECT max(id) FROM workflow.workflow_execution), 'x')",
        ),
        ("childless", "SELECT id FROM workflow_create_execution('demo.a')"),
    ] {
        names.push((name, session.value::<i64>(query).await.to_string()));
    }
    names
}

/// Returns the outcome of a call, whose effects are rolled back.
async fn attempt(session: &mut PgConnection, call: &str, names: &[(&str, String)]) -> Result<(), Error> {
    let sql = names.iter().fold(call.to_owned(), |sql, (name, value)| sql.replace(&format!("{{{name}}}"), value));
    let mut transaction = session.begin().await.unwrap();
    let result = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {sql}"))).fetch_all(&mut *transaction).await;
    transaction.rollback().await.unwrap();
    Ok(result.map(drop)?)
}

/// Returns all privileges that a role has been granted on any object.
pub async fn granted(session: &mut Session, role: &str) -> Vec<String> {
    session
        .rows::<(String,)>(format!(
            "SELECT format('%s on %s', entry.privilege_type, object.name) FROM (
               SELECT oid::regprocedure::text, proacl FROM pg_proc UNION ALL SELECT oid::regclass::text, relacl FROM pg_class
               UNION ALL SELECT nspname, nspacl FROM pg_namespace UNION ALL SELECT attname, attacl FROM pg_attribute
             ) AS object (name, acl), aclexplode(acl) AS entry
             WHERE entry.grantee = '{role}'::regrole ORDER BY 1"
        ))
        .await
        .into_iter()
        .map(|(line,)| line)
        .collect()
}

pub async fn assert_may(db: &Database, role: &str, levels: &[Level], names: &[(&str, String)]) {
    let mut session = db.connect_as(role).await;
    for (level, calls) in CALLS {
        for call in *calls {
            let result = attempt(&mut session, call, names).await;
            match level.is_some_and(|level| levels.contains(&level)) {
                true => result.unwrap_or_else(|error| panic!("{levels:?}: {call}: {error}")),
                false => {
                    let error = result.expect_err(call);
                    let sqlstate = error.refusal().map(|refusal| refusal.sqlstate.as_str());
                    assert_eq!(sqlstate, Some("42501"), "{levels:?}: {call}: {error}");
                }
            }
        }
    }
    session.close().await.unwrap();
}

#[tokio::test]
async fn each_function_can_be_called_by_the_levels_it_belongs_to_and_by_nobody_else() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let mut names = prepare(&mut session).await;
        let called: BTreeSet<&str> =
            CALLS.iter().flat_map(|(_, calls)| calls.iter().map(|call| call.split('(').next().unwrap())).collect();
        let functions: Vec<(String,)> = session
            .rows("SELECT DISTINCT proname::text FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^workflow_'
                     AND prorettype <> 'trigger'::regtype")
            .await;
        let functions: BTreeSet<&str> = functions.iter().map(|(name,)| name.as_str()).collect();
        assert_eq!(called, functions, "CALLS has one call of each function of the API, at the level it is meant for");
        let nobody = db.role().await;
        names.push(("role", nobody.clone()));
        for (_, calls) in CALLS {
            for call in *calls {
                // The steps of a move need a part that is moving.
                if let Err(error) = attempt(&mut session.connection, call, &names).await
                    && error.code() != Some("WF611")
                {
                    panic!("the owner may not {call}: {error}");
                }
            }
        }
        assert_may(db, &nobody, &[], &names).await;
        for (level, contained) in CONTAINED {
            let role = db.role().await;
            Engine::grant(&db.pool, &role, level).await.unwrap();
            assert_may(db, &role, contained, &names).await;
            let before = granted(&mut session, &role).await;
            Engine::grant(&db.pool, &role, level).await.unwrap();
            assert_eq!(granted(&mut session, &role).await, before, "granting {level:?} again");
            Engine::revoke(&db.pool, &role, level).await.unwrap();
            assert_eq!(granted(&mut session, &role).await, [""; 0], "what is left of {level:?}");
            assert_may(db, &role, &[], &names).await;
            Engine::revoke(&db.pool, &role, level).await.unwrap();
        }
    })
    .await;
}

/// Levels from reader up can read every table and view, and each can write what its calls need.
#[tokio::test]
async fn a_level_reads_and_writes_the_tables_it_is_for_and_no_other() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let relations: Vec<(String, bool, bool)> = session
            .rows(
                "SELECT c.oid::regclass::text, c.relkind = 'r',
                   EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'part')
                 FROM pg_class AS c WHERE c.relnamespace = 'workflow'::regnamespace AND c.relkind IN ('r', 'v')",
            )
            .await;
        for (level, contained) in CONTAINED {
            let role = db.role().await;
            Engine::grant(&db.pool, &role, level).await.unwrap();
            for (relation, is_table, has_part) in &relations {
                let may: (bool, bool, bool, bool, bool) = session
                    .rows(format!(
                        "SELECT has_table_privilege('{role}', '{relation}', 'SELECT'), has_table_privilege('{role}', '{relation}', 'INSERT'),
                           has_table_privilege('{role}', '{relation}', 'UPDATE'), has_table_privilege('{role}', '{relation}', 'DELETE'),
                           has_table_privilege('{role}', '{relation}', 'TRUNCATE, REFERENCES, TRIGGER')"
                    ))
                    .await[0];
                let is_granted = !["workflow.worker_parts", "workflow.archive"].contains(&relation.as_str());
                let reads = is_granted && contained.contains(&Level::Reader);
                // Operations in bulk_job are performed as the role stored there; foreign_part fences parts.
                let writes = is_granted
                    && !["workflow.bulk_job", "workflow.foreign_part"].contains(&relation.as_str())
                    && *is_table
                    && (level == Level::Author || (level == Level::Operator && *has_part));
                assert_eq!(may, (reads, writes, writes, writes, false), "{level:?} {relation}");
            }
        }
    })
    .await;
}

/// A SECURITY DEFINER function could not know who called it.
#[tokio::test]
async fn no_function_is_security_definer() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let definer: Vec<(String,)> = session
            .rows("SELECT oid::regproc::text FROM pg_proc WHERE prosecdef AND (proname ~ '^workflow_' OR pronamespace = 'workflow'::regnamespace)")
            .await;
        assert_eq!(definer, [] as [(String,); 0]);
    })
    .await;
}

/// Settings may make a call do more than usual.
#[tokio::test]
async fn an_operator_can_do_everything_also_where_workers_are_notified_and_every_step_is_logged() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let names = prepare(&mut session).await;
        let role = db.role().await;
        Engine::grant(&db.pool, &role, Level::Operator).await.unwrap();
        session
            .run(format!(
                "ALTER ROLE {role} SET pg_workflow.notify = on; ALTER ROLE {role} SET pg_workflow.log_transitions = on"
            ))
            .await;
        let mut operator = db.connect_as(&role).await;
        for call in CALLS.iter().filter(|(level, _)| *level == Some(Level::Operator)).flat_map(|(_, calls)| *calls) {
            attempt(&mut operator, call, &names).await.unwrap_or_else(|error| panic!("{call}: {error}"));
        }
        operator.close().await.unwrap();
    })
    .await;
}
