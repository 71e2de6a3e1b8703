//! Levels of privileges: what each may call, what it may not, and what is left when it is taken away.

use crate::fixture::*;
use pg_workflow_client::{Engine, Error, Level};
use pg_workflow_tests::{Database, with_database};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

/// A call of each function of the API that goes well for whoever may make it, by the level that it takes. `{running}`
/// and the like stand for ids.
pub const CALLS: &[(Option<Level>, &[&str])] = &[
    (
        Some(Level::Worker),
        &[
            "workflow_claim('me', 10)",
            "workflow_heartbeat(ARRAY[{task}], ARRAY[{lease}])",
            "workflow_complete({task}, {lease}, '{}')",
            "workflow_fail({task}, {lease}, '{}')",
            "workflow_finish(ARRAY[({task}, {lease}, 'completed', NULL, NULL, NULL, NULL)::workflow.outcome])",
            "workflow_finish_and_claim('me', ARRAY[({task}, {lease}, 'completed', NULL, NULL, NULL, NULL)::workflow.outcome])",
            "workflow_tick()",
        ],
    ),
    (
        Some(Level::Reader),
        &[
            "workflow_status({running})",
            "workflow_wait({running}, '0')",
            "workflow_tree({running})",
            "workflow_why({running})",
            "workflow_timeline({running})",
            "workflow_list_events({running})",
            "workflow_graph({running})",
            "workflow_graph('demo.w')",
            "workflow_check()",
            "workflow_validate('{ref: demo.x}')",
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
            "workflow_find_pending_retries()",
            "workflow_find_timed_out()",
            "workflow_find_overdue()",
        ],
    ),
    (
        Some(Level::Operator),
        &[
            "workflow_start('demo.w')",
            "workflow_start_many('demo.w', ARRAY['{}', '{}']::jsonb[])",
            "workflow_pause({running}, 'why')",
            "workflow_resume({paused})",
            "workflow_cancel({running}, 'why')",
            "workflow_rerun({failed})",
            "workflow_signal({waiting}, 'go')",
            "workflow_prune('0')",
            "workflow_schedule('daily', '@daily', 'demo.w')",
            "workflow_unschedule('hourly')",
            "workflow_pause_schedule('hourly')",
            "workflow_resume_schedule('hourly')",
        ],
    ),
    (
        Some(Level::Author),
        &[
            "workflow_define('{ref: demo.new, label: New, version: 1.0.0, tasks: [{name: a, action: demo.a}]}')",
            "workflow_register_action('other.action')",
            "workflow_link_action({action}, {definition})",
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
            "workflow_start_ticker()",
            "workflow_stop_ticker()",
        ],
    ),
];

/// Levels, and those that each contains.
const CONTAINED: [(Level, &[Level]); 4] = [
    (Level::Worker, &[Level::Worker]),
    (Level::Reader, &[Level::Reader]),
    (Level::Operator, &[Level::Reader, Level::Operator]),
    (Level::Author, &[Level::Reader, Level::Operator, Level::Author]),
];

/// What the calls name: something in each state, and what stands for it.
pub async fn prepare(session: &mut Session) -> Vec<(&'static str, String)> {
    session.run("RESET pg_workflow.test_now").await;
    session.define_as("demo.wait", "tasks: [{name: w, wait_for: {signal: go}}]").await;
    session.define("tasks: [{name: a, action: demo.a}]").await;
    let failed = session.start().await;
    let [task] = session.claim_named(["a"]).await;
    session.fail(&task, serde_json::json!({})).await;
    let paused = session.start().await;
    session.run(format!("SELECT workflow_pause({paused})")).await;
    let running = session.start().await;
    let [task] = session.claim_named(["a"]).await;
    session.start().await;
    session.run("SELECT workflow_schedule('hourly', '@hourly', 'demo.w')").await;
    let mut names = vec![
        ("failed", failed.to_string()),
        ("paused", paused.to_string()),
        ("running", running.to_string()),
        ("task", task.task.to_string()),
        ("lease", task.lease_token.to_string()),
    ];
    for (name, query) in [
        ("waiting", "SELECT workflow_start('demo.wait')"),
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

/// What a call came to. Nothing of it stays.
async fn attempt(session: &mut PgConnection, call: &str, names: &[(&str, String)]) -> Result<(), Error> {
    let sql = names.iter().fold(call.to_owned(), |sql, (name, value)| sql.replace(&format!("{{{name}}}"), value));
    let mut transaction = session.begin().await.unwrap();
    let result = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {sql}"))).fetch_all(&mut *transaction).await;
    transaction.rollback().await.unwrap();
    Ok(result.map(drop)?)
}

/// Every privilege on anything that a role has been granted.
async fn granted(session: &mut Session, role: &str) -> Vec<String> {
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

async fn assert_may(db: &Database, role: &str, levels: &[Level], names: &[(&str, String)]) {
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
            .rows("SELECT DISTINCT proname::text FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^workflow_'")
            .await;
        let functions: BTreeSet<&str> = functions.iter().map(|(name,)| name.as_str()).collect();
        assert_eq!(called, functions, "CALLS has one call of each function of the API, at the level it is meant for");
        let nobody = db.role().await;
        names.push(("role", nobody.clone()));
        for (_, calls) in CALLS {
            for call in *calls {
                if let Err(error) = attempt(&mut session.connection, call, &names).await {
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

/// Every table and view can be read from reader on, and written as far as the calls of a level need it.
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
                let reads = contained.contains(&Level::Reader);
                let writes =
                    *is_table && (level == Level::Author || (level == Level::Operator && *has_part));
                assert_eq!(may, (reads, writes, writes, writes, false), "{level:?} {relation}");
            }
        }
    })
    .await;
}

/// Functions that run with their owner's rights are a worker's and nobody else's.
#[tokio::test]
async fn only_what_a_worker_calls_runs_with_the_owners_rights() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let definer: Vec<(String,)> = session
            .rows("SELECT DISTINCT oid::regproc::text FROM pg_proc WHERE prosecdef AND (proname ~ '^workflow_' OR pronamespace = 'workflow'::regnamespace)")
            .await;
        let definer: BTreeSet<&str> = definer.iter().map(|(name,)| name.as_str()).collect();
        let worker: BTreeSet<&str> = CALLS[0].1.iter().map(|call| call.split('(').next().unwrap()).collect();
        assert_eq!(definer, worker);
    })
    .await;
}

#[tokio::test]
async fn levels_that_a_role_has_beside_each_other_are_taken_one_by_one() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let mut names = prepare(&mut session).await;
        let role = db.role().await;
        names.push(("role", role.clone()));
        Engine::grant(&db.pool, &role, Level::Worker).await.unwrap();
        let worker = granted(&mut session, &role).await;
        for level in [Level::Reader, Level::Author] {
            Engine::grant(&db.pool, &role, level).await.unwrap();
            Engine::revoke(&db.pool, &role, level).await.unwrap();
            assert_eq!(granted(&mut session, &role).await, worker);
        }
        assert_may(db, &role, &[Level::Worker], &names).await;
        Engine::grant(&db.pool, &role, Level::Operator).await.unwrap();
        Engine::revoke(&db.pool, &role, Level::Worker).await.unwrap();
        assert_may(db, &role, &[Level::Reader, Level::Operator], &names).await;
        Engine::revoke(&db.pool, &role, Level::Operator).await.unwrap();
        assert_eq!(granted(&mut session, &role).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_role_or_level_that_is_not_there_is_named() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let role = db.role().await;
        for function in ["workflow_grant", "workflow_revoke"] {
            for (arguments, sqlstate, code, detail) in [
                ("'nobody_at_all', 'reader'", "P0002", "WF616", "role is nobody_at_all"),
                ("'public', 'reader'", "P0002", "WF616", "role is public"),
                ("'{role}', 'boss'", "22023", "WF613", "level is 'boss'"),
                ("'{role}', 'Reader'", "22023", "WF613", "level is 'Reader'"),
                ("'{role}', ''", "22023", "WF613", "level is ''"),
                ("NULL, 'reader'", "22023", "WF613", ""),
                ("'{role}', NULL", "22023", "WF613", ""),
                ("current_user, 'reader'", "22023", "WF613", "role is postgres"),
                ("'x; DROP TABLE workflow.pack', 'reader'", "P0002", "WF616", "role is x; DROP TABLE workflow.pack"),
            ] {
                let refusal =
                    session.refused(format!("SELECT {function}({})", arguments.replace("{role}", &role))).await;
                assert_eq!(refusal.code(), (sqlstate, code), "{function}({arguments}): {refusal:?}");
                assert_eq!(refusal.detail, detail, "{function}({arguments})");
                assert!(!refusal.hint.is_empty(), "{refusal:?}");
            }
        }
        assert_eq!(granted(&mut session, &role).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_role_may_have_any_name() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let role = format!("{} \"quoted\"; 'x' %I", db.name);
        let quoted = format!("\"{}\"", role.replace('"', "\"\""));
        session.run(format!("CREATE ROLE {quoted} LOGIN")).await;
        Engine::grant(&db.pool, &role, Level::Worker).await.unwrap();
        assert!(db.connect_as(&role).await.close().await.is_ok());
        let mut worker = db.connect_as(&role).await;
        sqlx::query("SELECT workflow_tick()").fetch_one(&mut worker).await.unwrap();
        worker.close().await.unwrap();
        Engine::revoke(&db.pool, &role, Level::Worker).await.unwrap();
        // Nothing depends on it any more.
        session.run(format!("DROP ROLE {quoted}")).await;
    })
    .await;
}

#[tokio::test]
async fn two_that_grant_at_once_do_not_fail() {
    with_database(async |db| {
        let (one, two) = (db.role().await, db.role().await);
        let granting = (0..6).map(|n| {
            let role = if n % 2 == 0 { &one } else { &two };
            Engine::grant(&db.pool, role, if n % 3 == 0 { Level::Author } else { Level::Worker })
        });
        for granted in futures::future::join_all(granting).await {
            granted.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn levels_are_in_a_dump() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let mut names = prepare(&mut session).await;
        let mut roles = Vec::new();
        for (level, contained) in CONTAINED {
            let role = db.role().await;
            Engine::grant(&db.pool, &role, level).await.unwrap();
            roles.push((role, contained));
        }
        names.push(("role", roles[0].0.clone()));
        let restored = Database::create().await;
        restored.run("DROP EXTENSION pg_workflow CASCADE").await;
        let mut dump = Command::new("pg_dump").args(["--dbname", &db.name]).stdout(Stdio::piped()).spawn().unwrap();
        let status = Command::new("psql")
            .args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", &restored.name])
            .stdin(dump.stdout.take().unwrap())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success() && dump.wait().unwrap().success());
        let mut there = Session::new(&restored).await;
        for (role, contained) in roles {
            assert_eq!(granted(&mut there, &role).await, granted(&mut session, &role).await);
            assert_may(&restored, &role, contained, &names).await;
        }
    })
    .await;
}
