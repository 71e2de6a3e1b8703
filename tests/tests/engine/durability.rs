//! What remains after a crash, a dump, and a drop of the extension.

use crate::fixture::*;
use pg_workflow_tests::{Server, with_database};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

/// State, action, input, task and lease token of each row that workflow_finish_and_claim returns.
type HandedRow = (String, Option<String>, Option<Value>, i64, i64);

const WORKFLOW: &str = "vars: {n: 0}
keep: {completed: 1000d}
tasks:
  - {name: fork, on_success: [a, b]}
  - {name: a, action: demo.a, publish: {n: '{{ vars.n + 1 }}'}, on_success: join}
  - {name: b, action: demo.b, with_items: {items: [1, 2, 3], concurrency: 2}, input: {x: '{{ item }}'}, on_success: join}
  - {name: join, join: all, on_success: last}
  - {name: last, action: demo.c, input: {n: '{{ vars.n }}'}, retry: {count: 2, delay: 10}}
output_map: [{n: '{{ vars.n }}'}, {items: '{{ task.b.result }}'}]
";

/// Opens a session as soon as the server accepts connections again.
async fn session_of(server: &Server) -> Session {
    loop {
        match sqlx::PgConnection::connect_with(&server.options).await {
            Ok(connection) => {
                let mut session = Session { connection };
                session.at(0.0).await;
                return session;
            }
            // It is recovering.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// Works until there is nothing to do. Returns how many times each task was reported as done.
async fn work_off(session: &mut Session, now: &mut f64) -> BTreeMap<i64, usize> {
    let mut done = BTreeMap::new();
    let mut idle = 0;
    while idle < 2 {
        session.run("SELECT workflow_tick()").await;
        let tasks = session.claim(7).await;
        for task in &tasks {
            assert_eq!(session.complete(task, json!(task.task_index)).await, "completed");
            *done.entry(task.task).or_default() += 1;
        }
        idle = if tasks.is_empty() { idle + 1 } else { 0 };
        if tasks.is_empty() {
            // Past every lease and delay.
            *now += 40.0;
            session.at(*now).await;
        }
    }
    done
}

/// Returns all tables, row by row, and all sequences. Bindings of roles are tested with the grants.
async fn tables(session: &mut Session) -> Vec<String> {
    let mut all = Vec::new();
    let names: Vec<(String,)> = session
        .rows("SELECT relname::text FROM pg_class WHERE relnamespace = 'workflow'::regnamespace AND relkind = 'r' AND relname <> 'worker_parts' ORDER BY 1")
        .await;
    for (table,) in names {
        let rows: Option<String> = session
            .value(format!("SELECT jsonb_agg(t ORDER BY to_jsonb(t)::text)::text FROM workflow.{table} AS t"))
            .await;
        all.push(format!("{table}: {}", rows.expect(&table)));
    }
    let sequences: Vec<(String,)> = session
        .rows("SELECT relname::text FROM pg_class WHERE relnamespace = 'workflow'::regnamespace AND relkind = 'S' ORDER BY 1")
        .await;
    for (sequence,) in sequences {
        let next: String =
            session.value(format!("SELECT row(last_value, is_called)::text FROM workflow.{sequence}")).await;
        all.push(format!("{sequence}: {next}"));
    }
    all
}

#[tokio::test]
async fn a_dump_taken_in_the_middle_of_a_run_runs_on_where_it_is_restored() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WORKFLOW).await;
        session.define(&format!("description: newer\n{WORKFLOW}")).await;
        let mut ids = Vec::new();
        for part in [0, 7] {
            for key in ["k", "l"] {
                ids.push(
                    session
                        .value::<i64>(format!(
                            "SELECT workflow_start('demo.w', idempotency_key => '{key}', part => {part}, attributes => '{{\"key\": \"{key}\"}}')"
                        ))
                        .await,
                );
            }
        }
        session
            .define_as(
                "demo.family",
                "tasks:\n  - {name: call, action: demo.w, on_success: wait}\n  - {name: wait, wait_for: {signal: go}}\n",
            )
            .await;
        let family: i64 = session.value("SELECT workflow_start('demo.family')").await;
        session.run(format!("SELECT workflow_signal({family}, 'go')")).await;
        // Some tasks are done, some running, some waiting, and one will be retried.
        for task in session.claim(6).await {
            session.complete(&task, json!(task.task_index)).await;
        }
        let held = session.claim(3).await;
        session.run(format!("SELECT workflow_pause({}, 'moving')", ids[1])).await;
        session.run("SELECT workflow_schedule('yearly', '@yearly', 'demo.w')").await;
        session.run("SELECT workflow_set_parts('0-1022')").await;
        // One has the only slot of a limit, and the others are waiting for it.
        session.run("SELECT workflow_set_limit('slow', max_running => 1), workflow_set_weight('demo.w', 'k', 2)").await;
        session.define_as("demo.limited", "tasks: [{name: e, action: demo.e, limit: slow}]").await;
        session.run("SELECT workflow_start_many('demo.limited', array_fill('{}'::jsonb, ARRAY[3]))").await;
        session.run("SELECT workflow_claim('w', 3, '{demo.e}')").await;
        // The one that has the slot is erased: the next one waits for a check of the limit.
        session
            .run(
                "SELECT workflow_erase(workflow_execution) FROM workflow.workflow_task_execution
                 WHERE action_ref = 'demo.e' AND status = 'running'",
            )
            .await;
        session.run("SELECT workflow_hold('demo.d', NULL, workflow.now() + interval '1 s', target => 'action')").await;
        session.run("SELECT workflow_apply('cancel', '{\"error_code\": \"none\"}')").await;
        session.run("CREATE TABLE public.gone (execution bigint, data jsonb); SELECT workflow_archive_to('public.gone')").await;
        session.run("SELECT workflow_on_end('h', workflow_pattern => 'other.*', start_workflow => 'demo.w')").await;
        // One is done, but its report has not been processed yet.
        let mut holder = Session::new(db).await;
        holder.run("BEGIN; SELECT FROM workflow.workflow_execution FOR NO KEY UPDATE").await;
        assert_eq!(session.complete(&held[1], json!(held[1].task_index)).await, "completed");
        holder.run("COMMIT").await;

        let other = format!("{}_restored", db.name);
        session.run(format!("CREATE DATABASE {other} TEMPLATE template0")).await;
        let mut dump = Command::new("pg_dump").args(["--dbname", &db.name]).stdout(Stdio::piped()).spawn().unwrap();
        let restored = Command::new("psql")
            .args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", &other])
            .stdin(dump.stdout.take().unwrap())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(restored.success() && dump.wait().unwrap().success());

        let mut there = Session::open(&db.options().database(&other)).await;
        assert_eq!(tables(&mut there).await, tables(&mut session).await);
        let broken: Vec<(String,)> = there.rows("SELECT c::text FROM workflow_check() AS c").await;
        assert!(broken.is_empty(), "{broken:?}");
        // The lease continues, the key is known, and new ids are unused ones.
        assert_eq!(
            there.complete(&held[0], json!(held[0].task_index)).await,
            "completed"
        );
        let again: i64 = there.value("SELECT workflow_start('demo.w', idempotency_key => 'k', part => 7)").await;
        assert!(ids.contains(&again));
        let new: i64 = there.value("SELECT workflow_start('demo.w')").await;
        assert!(!ids.contains(&new));
        there.run(format!("SELECT workflow_resume({})", ids[1])).await;
        let mut now = 0.0;
        let done = work_off(&mut there, &mut now).await;
        assert!(done.values().all(|times| *times == 1) && held[..2].iter().all(|task| !done.contains_key(&task.task)));
        for id in ids.iter().chain([&new]) {
            there.assert_ended(*id, "completed", json!({"n": 1, "items": [0, 1, 2]})).await;
        }
        there.assert_ended(family, "completed", json!(null)).await;
        let waiting: i64 = there.value("SELECT count(*) FROM workflow.limit_slot WHERE task IS NOT NULL").await;
        let limited: i64 = there.value("SELECT count(*) FROM workflow.execution WHERE action_ref = 'demo.limited' AND status = 'completed'").await;
        assert_eq!((waiting, limited), (0, 2));
        let broken: Vec<(String,)> = there.rows("SELECT c::text FROM workflow_check() AS c").await;
        assert!(broken.is_empty(), "{broken:?}");
        there.connection.close().await.unwrap();
        session.run(format!("DROP DATABASE {other} WITH (FORCE)")).await;
        // The old database has not changed.
        assert_eq!(session.status(ids[0]).await["ended"], false);
        session.run("SELECT workflow_tick()").await;
    })
    .await;
}

#[tokio::test]
async fn after_a_backend_is_killed_every_workflow_still_ends_and_no_task_counts_twice() {
    let server = Server::create("durability", &["restart_after_crash=on"]);
    let mut session = session_of(&server).await;
    session.run("CREATE EXTENSION pg_workflow").await;
    session.define(WORKFLOW).await;
    session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[20]))").await;
    let mut reported: Vec<(Task, String)> = Vec::new();
    for kill in 0..4 {
        // Acknowledged: this must last.
        for task in session.claim(8).await {
            let state = session.complete(&task, json!(task.task_index)).await;
            reported.push((task, state));
        }
        // Claimed and reported in a transaction that is lost with its backend.
        let pid: i32 = session.value("SELECT pg_backend_pid()").await;
        session.run("BEGIN").await;
        for task in session.claim(5).await {
            session.complete(&task, json!("never")).await;
        }
        if kill % 2 == 0 {
            session.run("INSERT INTO workflow.lease SELECT part, id + 1000000, token, worker, role, created, expires_from, until, updated, tasks FROM workflow.lease").await;
        }
        // The server ends all sessions once it has noticed the crash, including sessions opened before that.
        let mut bystander = session_of(&server).await;
        assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
        while bystander.connection.execute("SELECT 1").await.is_ok() {}
        session = session_of(&server).await;
        let broken: Vec<(String,)> = session.rows("SELECT c::text FROM workflow_check() AS c").await;
        assert!(broken.is_empty(), "{broken:?}");
        for (task, state) in &reported {
            assert_eq!(&session.complete(task, json!("again")).await, state);
        }
    }
    let mut now = 0.0;
    let done = work_off(&mut session, &mut now).await;
    assert!(done.values().all(|times| *times == 1));
    assert!(reported.iter().all(|(task, _)| !done.contains_key(&task.task)), "what was acknowledged ran again");
    let ended: Value =
        session.value("SELECT jsonb_agg(DISTINCT jsonb_build_array(status, result)) FROM workflow.execution").await;
    assert_eq!(ended, json!([["completed", {"n": 1, "items": [0, 1, 2]}]]));
    let rows: i64 = session
        .value("SELECT count(*) FROM workflow.workflow_task_execution WHERE task_name IN ('a', 'b', 'last')")
        .await;
    assert_eq!(rows, 20 * 5);
    assert_eq!(done.len() + reported.len(), 100);
    let broken: Vec<(String,)> = session.rows("SELECT c::text FROM workflow_check() AS c").await;
    assert!(broken.is_empty(), "{broken:?}");
}

#[tokio::test]
async fn a_dropped_extension_leaves_nothing_and_can_be_made_again_in_the_same_session() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let objects = "SELECT count(*) FROM (
             SELECT oid FROM pg_class WHERE relnamespace::regnamespace::text = 'workflow'
             UNION ALL SELECT oid FROM pg_proc WHERE proname ~ '^workflow_' OR pronamespace::regnamespace::text = 'workflow'
             UNION ALL SELECT oid FROM pg_type WHERE typnamespace::regnamespace::text = 'workflow'
             UNION ALL SELECT oid FROM pg_namespace WHERE nspname = 'workflow') AS o";
        for round in 0..3 {
            // Different graphs with the same ids each time: cached graphs of the session must not be used for them.
            let (first, second) = if round % 2 == 0 { ("demo.a", "demo.b") } else { ("demo.c", "demo.d") };
            let id = session
                .begin(&format!("tasks:\n  - {{name: one, action: {first}, on_success: two}}\n  - {{name: two, action: {second}, input: {{r: '{round}'}}}}\n"))
                .await;
            let [one] = session.claim_named(["one"]).await;
            assert_eq!(one.action, first);
            let rows: Vec<HandedRow> = session
                .rows(format!(
                    "SELECT state, action, input, task, lease_token FROM workflow_finish_and_claim('w1', {})",
                    outcome_array(&[(one.task, one.lease_token, "completed")])
                ))
                .await;
            assert_eq!((rows[1].0.as_str(), rows[1].1.as_deref()), ("claimed", Some(second)), "round {round}");
            assert_eq!(rows[1].2, Some(json!({"r": round.to_string()})));
            session.run(format!("SELECT workflow_fail({}, {})", rows[1].3, rows[1].4)).await;
            session.run(format!("SELECT workflow_rerun({id})")).await;
            session.work("two", json!(null)).await;
            session.run("SELECT workflow_tick()").await;
            session.assert_ended(id, "completed", json!(null)).await;
            session.run("DROP EXTENSION pg_workflow CASCADE").await;
            assert_eq!(session.value::<i64>(objects).await, 0);
            session.run("CREATE EXTENSION pg_workflow").await;
        }
        let error = session.connection.execute(AssertSqlSafe("DROP TABLE workflow.pack")).await.unwrap_err();
        assert_eq!(Refusal::of(error).sqlstate, "2BP01");
    })
    .await;
}
