//! Two tenants with their own workers in one database: each is restricted to its parts, whoever it claims to be.

use crate::fixture::*;
use pg_workflow_client::{Engine, Level};
use pg_workflow_tests::{Database, with_database};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection};

const NORTH: i32 = 1;
const SOUTH: i32 = 2;
const STEPS: &str = "parameters: {properties: {x: {}}}
tasks:
  - {name: a, action: demo.a, timeout: 3600, on_success: b}
  - {name: b, action: demo.b}
";

/// Opens a session of a role, with the clock of the tests.
async fn login(db: &Database, role: &str) -> Session {
    Session { connection: db.connect_as(role).await }
}

async fn grant(session: &mut Session, role: &str, parts: &str) {
    session.run(format!("SELECT workflow_grant('{role}', 'worker', {parts})")).await;
}

/// Makes a call that must be refused because of the part; nothing changes, and nothing is locked.
async fn refuse(owner: &mut Session, worker: &mut Session, call: &str) -> Refusal {
    let before = owner.contents().await;
    worker.run("BEGIN").await;
    let result = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {call}"))).fetch_all(&mut worker.connection).await;
    let refusal = Refusal::of(result.map(|rows| panic!("{call}: {} rows", rows.len())).unwrap_err());
    assert_eq!(refusal.code(), ("42501", "WF620"), "{call}: {refusal:?}");
    assert!(!refusal.hint.is_empty(), "{call}: {refusal:?}");
    worker.run("ROLLBACK").await;
    assert_eq!(owner.contents().await, before, "{call}");
    refusal
}

struct Tenants {
    owner: Session,
    north: String,
    south: String,
    /// Returns a claimed task of the south, and one that waits in the queue.
    held: Task,
}

/// Creates two roles, each bound to one part, with three executions in each part; the south holds a task.
async fn tenants(db: &Database) -> Tenants {
    let mut owner = Session::new(db).await;
    owner.run("RESET pg_workflow.test_now").await;
    owner.define(STEPS).await;
    let (north, south) = (db.role().await, db.role().await);
    grant(&mut owner, &north, &format!("ARRAY[{NORTH}]")).await;
    grant(&mut owner, &south, &format!("ARRAY[{SOUTH}]")).await;
    for part in [NORTH, SOUTH, NORTH, SOUTH, NORTH, SOUTH] {
        owner.run(format!("SELECT workflow_start('demo.w', part => {part})")).await;
    }
    let mut session = login(db, &south).await;
    let held = session.claim(1).await.remove(0);
    session.connection.close().await.unwrap();
    Tenants { owner, north, south, held }
}

fn part(id: i64) -> i32 {
    (id >> 48) as i32
}

#[tokio::test]
async fn a_bound_worker_is_given_tasks_of_its_parts_and_reports_them() {
    with_database(async |db| {
        let Tenants { mut owner, north, .. } = tenants(db).await;
        let mut worker = login(db, &north).await;
        let tasks = worker.claim(100).await;
        assert_eq!(tasks.iter().map(|task| part(task.task)).collect::<Vec<_>>(), [NORTH; 3]);
        let [first, second, third] = [&tasks[0], &tasks[1], &tasks[2]];
        let held: Vec<(String,)> = worker
            .rows(format!(
                "SELECT state FROM workflow_heartbeat(ARRAY[{}, {}], ARRAY[{}, {}])",
                first.task, second.task, first.lease_token, second.lease_token
            ))
            .await;
        assert_eq!(held, [("held".to_owned(),), ("held".to_owned(),)]);
        assert_eq!(worker.complete(first, json!(1)).await, "completed");
        assert_eq!(worker.fail(second, json!({})).await, "failed");
        // Tasks handed over are in the same part, and so are the others.
        let rows: Vec<(i64, String)> = worker
            .rows(format!(
                "SELECT task, state FROM workflow_finish_and_claim('w', {}, 100)",
                outcome_array(&[(third.task, third.lease_token, "completed")])
            ))
            .await;
        assert_eq!(rows.iter().map(|row| row.1.as_str()).collect::<Vec<_>>(), ["completed", "claimed", "claimed"]);
        assert!(rows.iter().all(|row| part(row.0) == NORTH), "{rows:?}");
        // A worker may name parts as long as it is bound to them.
        assert_eq!(worker.rows::<(i32,)>(format!("SELECT workflow_tick(10, ARRAY[{NORTH}, {NORTH}])")).await, [(0,)]);
        assert!(owner.claim(100).await.iter().all(|task| part(task.task) == SOUTH));
    })
    .await;
}

#[tokio::test]
async fn a_bound_worker_cannot_claim_report_heartbeat_or_tick_in_another_part() {
    with_database(async |db| {
        let Tenants { mut owner, north, held, .. } = tenants(db).await;
        let waiting: i64 = owner
            .value(format!(
                "SELECT min(id) FROM workflow.workflow_task_execution WHERE part = {SOUTH} AND queue_at IS NOT NULL"
            ))
            .await;
        let mut worker = login(db, &north).await;
        let Task { task, lease_token: lease, .. } = held;
        for parts in ["2", "1, 2", "0", "1023"] {
            for call in [
                "workflow_claim('w', parts => ARRAY[$])",
                "workflow_finish_and_claim('w', '{}', parts => ARRAY[$])",
                "workflow_tick(10, ARRAY[$])",
            ] {
                refuse(&mut owner, &mut worker, &call.replace('$', parts)).await;
            }
        }
        // The answer does not reveal whether such a task exists, or whether it is claimed.
        let nothing = task + 1_000_000;
        for task in [task, waiting, nothing, 2 << 48, -1, i64::MIN, i64::MAX, 5] {
            for call in [
                "workflow_complete($, {lease})",
                "workflow_fail($, {lease})",
                "workflow_heartbeat(ARRAY[$], ARRAY[{lease}])",
            ] {
                let call = call.replace('$', &format!("({task})::bigint")).replace("{lease}", &lease.to_string());
                let refusal = refuse(&mut owner, &mut worker, &call).await;
                assert_eq!(refusal.message, format!("WF620: task {task} is in a part that the role is not bound to"));
            }
        }
        let before = owner.contents().await;
        let answers =
            worker.finish(&[(task, lease, "completed"), (nothing, lease, "failed"), (1, 1, "completed")]).await;
        assert_eq!(answers.iter().map(Answer::word).collect::<Vec<_>>(), ["WF620", "WF620", "WF620"]);
        assert_eq!(owner.contents().await, before);
    })
    .await;
}

/// Reports of its own tasks are still accepted, and each is answered in order.
#[tokio::test]
async fn reports_of_other_parts_do_not_keep_those_of_the_own_from_being_taken() {
    with_database(async |db| {
        let Tenants { mut owner, north, held, .. } = tenants(db).await;
        let mut worker = login(db, &north).await;
        let own = worker.claim(2).await;
        let foreign = (held.task, held.lease_token, "completed");
        let reports = [
            foreign,
            (own[0].task, own[0].lease_token, "completed"),
            foreign,
            (own[1].task, own[1].lease_token, "failed"),
        ];
        let answers = worker.finish(&reports).await;
        assert_eq!(answers.iter().map(Answer::word).collect::<Vec<_>>(), ["WF620", "completed", "WF620", "failed"]);
        for (answer, report) in answers.iter().zip(reports) {
            assert_eq!((answer.task, answer.lease_token), (Some(report.0), Some(report.1)));
        }
        let status: String = owner
            .value(format!("SELECT status::text FROM workflow.workflow_task_execution WHERE id = {}", held.task))
            .await;
        assert_eq!(status, "running");
    })
    .await;
}

/// The token of another tenant's lease, named with a task of one's own, does not even lock that lease.
#[tokio::test]
async fn a_heartbeat_with_the_token_of_another_part_touches_no_lease_there() {
    with_database(async |db| {
        let Tenants { mut owner, north, held, .. } = tenants(db).await;
        let mut worker = login(db, &north).await;
        let own = worker.claim(1).await.remove(0);
        let lease = format!("SELECT xmax::text FROM workflow.lease WHERE part = {SOUTH}");
        let before: String = owner.value(lease.clone()).await;
        let state: String = worker
            .value(format!("SELECT state FROM workflow_heartbeat(ARRAY[{}], ARRAY[{}])", own.task, held.lease_token))
            .await;
        assert_eq!((state.as_str(), owner.value::<String>(lease).await), ("lost", before));
    })
    .await;
}

#[tokio::test]
async fn a_bound_worker_makes_time_pass_in_its_parts_only() {
    with_database(async |db| {
        let Tenants { mut owner, north, south, .. } = tenants(db).await;
        for (name, part) in [("north", NORTH), ("south", SOUTH)] {
            owner.run(format!("SELECT workflow_schedule('{name}', '* * * * *', 'demo.w', part => {part})")).await;
        }
        let mut worker = login(db, &north).await;
        worker.claim(1).await;
        // Leases have expired, time limits have elapsed and schedules are due, in both parts.
        owner.run("UPDATE workflow.lease SET until = now() - interval '1 hour', expires_from = now() - interval '1 hour'").await;
        owner.run("UPDATE workflow.schedule SET next_at = now() - interval '1 minute'").await;
        let south_before = "SELECT concat((SELECT jsonb_agg(t ORDER BY id) FROM workflow.workflow_task_execution t WHERE part = 2),
          (SELECT jsonb_agg(l) FROM workflow.lease l WHERE part = 2), (SELECT jsonb_agg(s) FROM workflow.schedule s WHERE part = 2),
          (SELECT jsonb_agg(e) FROM workflow.execution e WHERE part = 2))";
        let before: String = owner.value(south_before).await;
        assert_eq!(worker.value::<i32>("SELECT workflow_tick()").await, 2);
        assert_eq!(worker.value::<i32>("SELECT workflow_tick()").await, 0);
        // A claim that finds fewer tasks than it wants also looks for expired leases.
        assert_eq!(worker.claim(100).await.len(), 4);
        assert_eq!(owner.value::<String>(south_before).await, before);
        let mut worker = login(db, &south).await;
        assert_eq!(worker.value::<i32>("SELECT workflow_tick()").await, 2);
    })
    .await;
}

/// The caller is the current role: after SET ROLE, and within SECURITY DEFINER functions, but never the role that
/// logged in.
#[tokio::test]
async fn the_binding_is_that_of_the_role_that_calls() {
    with_database(async |db| {
        let Tenants { mut owner, north, south, .. } = tenants(db).await;
        let free = db.role().await;
        owner.run(format!("SELECT workflow_grant('{free}', 'worker'); GRANT {north}, {south} TO {free}; ALTER ROLE {free} NOINHERIT")).await;
        let mut session = login(db, &free).await;
        let parts = "SELECT coalesce(array_agg(DISTINCT (task >> 48)::int ORDER BY (task >> 48)::int), '{}') FROM workflow_claim('w', 100)";
        let seen = async |session: &mut Session| -> Vec<i32> {
            session.run("BEGIN").await;
            let seen = session.value(parts).await;
            session.run("ROLLBACK").await;
            seen
        };
        assert_eq!(seen(&mut session).await, [NORTH, SOUTH]);
        session.run(format!("SET ROLE {north}")).await;
        assert_eq!(seen(&mut session).await, [NORTH]);
        session.run(format!("SET ROLE {south}")).await;
        assert_eq!(seen(&mut session).await, [SOUTH]);
        session.run("RESET ROLE").await;
        assert_eq!(seen(&mut session).await, [NORTH, SOUTH]);
        // A superuser who has switched to another role counts as that role.
        owner.run(format!("SET ROLE {north}")).await;
        assert_eq!(seen(&mut owner).await, [NORTH]);
        owner.run("RESET ROLE").await;
        assert_eq!(seen(&mut owner).await, [NORTH, SOUTH]);
        // A SECURITY DEFINER function calls as its owner, whoever has called it; afterwards, the role is the previous
        // one.
        owner
            .run(format!(
                "CREATE FUNCTION public.claim_north() RETURNS SETOF bigint LANGUAGE sql SECURITY DEFINER
                   AS $$ SELECT task FROM workflow_claim('w', 100) $$;
                 ALTER FUNCTION public.claim_north OWNER TO {north};
                 CREATE FUNCTION public.claim_fails() RETURNS text LANGUAGE plpgsql AS $$
                 BEGIN PERFORM workflow_claim('w', 1, parts => '{{0}}'); RETURN 'none';
                 EXCEPTION WHEN insufficient_privilege THEN RETURN format('%s %s', current_user, SQLERRM); END $$"
            ))
            .await;
        let through = "SELECT array_agg(DISTINCT (t.id >> 48)::int) FROM public.claim_north() AS t(id)";
        for role in [&free, &south] {
            session.run(format!("SET ROLE {role}")).await;
            session.run("BEGIN").await;
            assert_eq!(session.value::<Vec<i32>>(through).await, [NORTH]);
            assert_eq!(session.value::<String>("SELECT current_user::text").await, *role);
            session.run("ROLLBACK").await;
        }
        // After an error in a block, or after a savepoint, nobody has the owner's privileges.
        for _ in 0..6 {
            let caught: String = session.value("SELECT public.claim_fails()").await;
            assert_eq!(caught, format!("{south} WF620: the role is bound to other parts"));
            session.run("BEGIN; SAVEPOINT s").await;
            assert!(sqlx::query("SELECT workflow_complete(1, 1)").execute(&mut session.connection).await.is_err());
            session.run("ROLLBACK TO s").await;
            assert_eq!(session.value::<String>("SELECT current_user::text").await, south);
            let denied = sqlx::query("SELECT FROM workflow.lease").execute(&mut session.connection).await.unwrap_err();
            assert_eq!(Refusal::of(denied).sqlstate, "42501");
            session.run("ROLLBACK").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_role_is_bound_to_all_parts_of_the_roles_whose_privileges_it_has() {
    with_database(async |db| {
        let Tenants { mut owner, north, south, .. } = tenants(db).await;
        let member = db.role().await;
        let mut session = Session { connection: { owner.run(format!("GRANT {north} TO {member}")).await; db.connect_as(&member).await } };
        let tick = async |session: &mut Session, parts: &str| -> bool {
            sqlx::query(AssertSqlSafe(format!("SELECT workflow_tick(1, {parts})"))).execute(&mut session.connection).await.is_ok()
        };
        assert!(tick(&mut session, "'{1}'").await);
        assert!(!tick(&mut session, "'{2}'").await);
        owner.run(format!("GRANT {south} TO {member}")).await;
        assert!(tick(&mut session, "'{1, 2}'").await);
        assert!(!tick(&mut session, "'{3}'").await);
        owner.run(format!("REVOKE {north} FROM {member}")).await;
        assert!(!tick(&mut session, "'{1}'").await);
        // An open session notices a change of the binding itself, even in the middle of a transaction.
        session.run("BEGIN").await;
        assert!(tick(&mut session, "'{2}'").await);
        grant(&mut owner, &south, "'{3}'").await;
        assert!(tick(&mut session, "'{3}'").await);
        assert!(!tick(&mut session, "'{2}'").await);
        session.run("ROLLBACK").await;
        // What was never committed is forgotten.
        owner.run(format!("BEGIN; SELECT workflow_grant('{south}', 'worker', '{{4}}'); SET LOCAL ROLE {south}; SELECT workflow_tick(1, '{{4}}'); ROLLBACK; SET ROLE {south}")).await;
        assert!(!tick(&mut owner, "'{4}'").await);
        owner.run("RESET ROLE").await;
    })
    .await;
}

#[tokio::test]
async fn a_binding_is_replaced_kept_and_taken_away() {
    with_database(async |db| {
        let mut owner = Session::new(db).await;
        let role = db.role().await;
        let bound = "SELECT coalesce(jsonb_agg(jsonb_build_array(role::text, parts)), '[]') FROM workflow.worker_parts";
        for (arguments, parts) in [
            ("'worker', '{3, 1, 3}'", json!([1, 3])),
            ("'worker'", json!([1, 3])),
            ("'reader'", json!([1, 3])),
            ("'worker', '{7}'", json!([7])),
            ("'worker', NULL", json!([7])),
        ] {
            owner.run(format!("SELECT workflow_grant('{role}', {arguments})")).await;
            assert_eq!(owner.value::<serde_json::Value>(bound).await, json!([[role, parts]]), "{arguments}");
        }
        for arguments in [
            "'worker', '{}'",
            "'worker', '{1024}'",
            "'worker', '{-1}'",
            "'worker', '{NULL}'",
            "'worker', '{{1}, {2}}'",
            "'reader', '{1}'",
            "'operator', '{1}'",
            "'author', '{1}'",
            "'worker', array_fill(1, ARRAY[1025])",
        ] {
            let refusal = owner.refused(format!("SELECT workflow_grant('{role}', {arguments})")).await;
            assert!(["WF613", "WF614"].contains(&refusal.code().1), "{arguments}: {refusal:?}");
            assert_eq!(owner.value::<serde_json::Value>(bound).await, json!([[role, [7]]]), "{arguments}");
        }
        // It follows a role that is renamed.
        let renamed = format!("{role}_renamed");
        owner.run(format!("ALTER ROLE {role} RENAME TO {renamed}")).await;
        let mut session = login(db, &renamed).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick(1, '{7}')").await, 0);
        session.connection.close().await.unwrap();
        owner.run(format!("ALTER ROLE {renamed} RENAME TO {role}")).await;
        for level in [Level::Reader, Level::Worker] {
            Engine::revoke(&db.pool, &role, level).await.unwrap();
        }
        assert_eq!(owner.value::<serde_json::Value>(bound).await, json!([]));
        // A role that is dropped leaves a row, which the next grant removes.
        let gone = format!("{role}_gone");
        owner.run(format!("CREATE ROLE {gone}")).await;
        grant(&mut owner, &gone, "'{1}'").await;
        owner.run(format!("DROP OWNED BY {gone}; DROP ROLE {gone}")).await;
        grant(&mut owner, &role, "'{1}'").await;
        assert_eq!(owner.value::<serde_json::Value>(bound).await, json!([[role, [1]]]));
    })
    .await;
}

/// Readers and operators of the tenants are restricted by PostgreSQL's row-level security.
#[tokio::test]
async fn two_tenants_do_not_see_start_or_control_each_others_executions() {
    with_database(async |db| {
        let Tenants { mut owner, north, south, held } = tenants(db).await;
        owner
            .run(
                "DO $$ DECLARE t regclass; BEGIN
                   FOR t IN SELECT a.attrelid FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                     WHERE c.relnamespace = 'workflow'::regnamespace AND c.relkind = 'r' AND a.attname = 'part' LOOP
                     EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
                   END LOOP; END $$",
            )
            .await;
        let mut roles = Vec::new();
        for part in [NORTH, SOUTH] {
            let role = db.role().await;
            owner.run(format!("SELECT workflow_grant('{role}', 'operator')")).await;
            owner
                .run(format!(
                    "DO $$ DECLARE t regclass; BEGIN
                       FOR t IN SELECT a.attrelid FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                         WHERE c.relnamespace = 'workflow'::regnamespace AND c.relkind = 'r' AND a.attname = 'part' LOOP
                         EXECUTE format('CREATE POLICY tenant_{part} ON %s TO {role} USING (part = {part})', t);
                       END LOOP; END $$"
                ))
                .await;
            roles.push(role);
        }
        let execution: i64 = owner.value(format!("SELECT min(id) FROM workflow.execution WHERE part = {SOUTH}")).await;
        let mut operator = login(db, &roles[0]).await;
        for relation in [
            "execution",
            "workflow_execution",
            "workflow_task_execution",
            "lease",
            "event",
            "signal",
            "schedule",
            "workflow_execution_summary",
            "workflow_task_detail",
            "claim_detail",
        ] {
            let parts: Option<Vec<i32>> =
                operator.value(format!("SELECT array_agg(DISTINCT part) FROM workflow.{relation}")).await;
            assert!(parts.unwrap_or_default().iter().all(|part| *part == NORTH), "{relation}");
        }
        for call in [
            "workflow_status({id})",
            "workflow_pause({id})",
            "workflow_cancel({id})",
            "workflow_rerun({id})",
            "workflow_signal({id}, 'x')",
            "workflow_tree({id})",
            "workflow_why({id})",
            "workflow_list_events({id})",
        ] {
            let sql = format!("SELECT * FROM {}", call.replace("{id}", &execution.to_string()));
            let error = sqlx::query(AssertSqlSafe(sql)).execute(&mut operator.connection).await.unwrap_err();
            assert_eq!(Refusal::of(error).code(), ("P0002", "WF616"), "{call}");
        }
        for call in ["workflow_start('demo.w', part => 2)", "workflow_schedule('s', '@daily', 'demo.w', part => 2)"] {
            let error = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {call}")))
                .execute(&mut operator.connection)
                .await
                .unwrap_err();
            assert_eq!(Refusal::of(error).sqlstate, "42501", "{call}");
        }
        assert_eq!(operator.value::<i32>("SELECT workflow_prune('0')").await, 0);
        // Calls for its own part succeed, and the functions of workers are not affected.
        let own: i64 = operator.value("SELECT workflow_start('demo.w', part => 1)").await;
        operator.run(format!("SELECT workflow_pause({own}), workflow_resume({own}), workflow_cancel({own})")).await;
        assert_eq!(login(db, &north).await.claim(100).await.len(), 3);
        let mut worker = login(db, &south).await;
        assert_eq!(worker.complete(&held, json!(1)).await, "completed");
        for denied in ["SELECT FROM workflow.worker_parts", "DELETE FROM workflow.worker_parts"] {
            for session in [&mut operator, &mut worker] {
                let error = sqlx::query(AssertSqlSafe(denied)).execute(&mut session.connection).await.unwrap_err();
                assert_eq!(Refusal::of(error).sqlstate, "42501");
            }
        }
    })
    .await;
}
