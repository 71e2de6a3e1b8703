//! User code on our tables runs in the user's session as it is: with its planner settings and its replication role.

use crate::fixture::*;
use pg_workflow_tests::with_database;

const TASKS: &str = "tasks:
  - {name: a, action: demo.a, on_success: b}
  - {name: b, action: demo.a, with_items: '{{ [1, 2] }}', retry: {count: 1}}
  - {name: c, wait_for: {signal: later}}
";

/// The tables that the engine writes while executions run.
const TABLES: [&str; 6] = ["execution", "workflow_execution", "workflow_task_execution", "lease", "event", "signal"];

/// Number of executions that a session processes: plans are cached, and replaced, at several of these rounds.
const TURNS: usize = 8;

/// Creates a function that fails unless the settings are those of the session, and the plan of a join is one that they
/// allow.
const LOOK: &str = "
    CREATE TABLE probe AS SELECT x FROM generate_series(1, 1000) AS x;
    ANALYZE probe;
    CREATE FUNCTION look() RETURNS void LANGUAGE plpgsql AS $$
    <<look>>
    DECLARE
      name text;
      plan json;
    BEGIN
      FOREACH name IN ARRAY ARRAY['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin', 'enable_nestloop', 'jit',
        'plan_cache_mode', 'session_replication_role', 'enable_indexscan', 'enable_bitmapscan', 'enable_sort'] LOOP
        IF current_setting(look.name) <> (SELECT s.reset_val FROM pg_settings AS s WHERE s.name = look.name) THEN
          RAISE '% is %', look.name, current_setting(look.name);
        END IF;
      END LOOP;
      EXECUTE 'EXPLAIN (FORMAT JSON) SELECT FROM public.probe AS a JOIN public.probe AS b USING (x)' INTO plan;
      IF plan #>> '{0,Plan,Node Type}' <> 'Hash Join' THEN
        RAISE 'the plan is %', plan;
      END IF;
    END $$;
    CREATE TABLE seen (name text);
    CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM public.look(); INSERT INTO public.seen VALUES (TG_TABLE_NAME); RETURN NULL; END $$;";

/// Starts an execution and processes it in every possible way: claims, hand-overs, failures, retries, heartbeats,
/// ticks.
async fn turn(session: &mut Session) {
    session
        .run(
            "SELECT workflow_signal(workflow_start('demo.w'), 'later');
             SELECT workflow_signal(id, 'later') FROM workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[3])) AS id;
             SELECT workflow_tick();
             DO $$
             DECLARE
               outcomes workflow.outcome[] := '{}';
               turns int := 0;
             BEGIN
               LOOP
                 SELECT array_agg(ROW(c.task, c.lease_token, CASE WHEN c.task_index = 1 AND c.attempt = 1 THEN 'failed' ELSE 'completed' END,
                   NULL, NULL, NULL, NULL, NULL, NULL)::workflow.outcome)
                 FROM workflow_finish_and_claim('w', outcomes, 5) AS c WHERE c.state = 'claimed' INTO outcomes;
                 EXIT WHEN outcomes IS NULL;
                 PERFORM workflow_heartbeat(array_agg(o.task), array_agg(o.lease_token)) FROM unnest(outcomes) AS o;
                 turns := turns + 1;
                 ASSERT turns < 100;
               END LOOP;
             END $$;
             SELECT workflow_cancel(workflow_start('demo.w'), 'no need')",
        )
        .await;
}

/// Processes executions in two sessions, each of which caches its own plans: one that already existed, and a new one.
async fn turns(before: &mut Session, db: &pg_workflow_tests::Database) {
    let mut fresh = Session::new(db).await;
    for _ in 0..TURNS {
        turn(before).await;
        turn(&mut fresh).await;
    }
    let open: i64 = fresh.value("SELECT count(*) FROM workflow.execution WHERE NOT workflow.is_end(status)").await;
    assert_eq!(open, 0);
    let broken: i64 = fresh.value("SELECT count(*) FROM workflow_check()").await;
    assert_eq!(broken, 0);
}

async fn prepared(db: &pg_workflow_tests::Database) -> Session {
    let mut session = Session::new(db).await;
    session.define(TASKS).await;
    session.run(LOOK).await;
    for _ in 0..7 {
        turn(&mut session).await;
    }
    session
}

#[tokio::test]
async fn a_trigger_sees_the_settings_of_its_session() {
    with_database(async |db| {
        let mut session = prepared(db).await;
        for table in TABLES {
            for (event, name) in [("INSERT", "i"), ("UPDATE", "u"), ("DELETE", "d")] {
                session
                    .run(format!(
                        "CREATE TRIGGER watch_{name} AFTER {event} ON workflow.{table} FOR EACH ROW EXECUTE FUNCTION watch();
                         CREATE TRIGGER watch_{name}_first BEFORE {event} ON workflow.{table} EXECUTE FUNCTION watch()"
                    ))
                    .await;
            }
        }
        turns(&mut session, db).await;
        let seen: i64 = session.value("SELECT count(DISTINCT name) FROM seen").await;
        assert_eq!(seen, TABLES.len() as i64);
    })
    .await;
}

#[tokio::test]
async fn a_setting_that_a_trigger_makes_local_ends_with_the_transaction() {
    with_database(async |db| {
        let mut session = prepared(db).await;
        session
            .run(
                "CREATE FUNCTION scan() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN SET LOCAL enable_seqscan = on; SET LOCAL jit = on; SET LOCAL plan_cache_mode = auto; RETURN NULL; END $$;
                 CREATE TRIGGER scan AFTER INSERT OR UPDATE ON workflow.workflow_execution FOR EACH ROW EXECUTE FUNCTION scan();
                 CREATE TRIGGER scan AFTER INSERT OR UPDATE ON workflow.workflow_task_execution FOR EACH ROW EXECUTE FUNCTION scan();
                 SET enable_seqscan = off; SET jit = off; SET plan_cache_mode = force_custom_plan",
            )
            .await;
        for _ in 0..TURNS {
            turn(&mut session).await;
            let settings: String = session
                .value("SELECT concat_ws(' ', current_setting('enable_seqscan'), current_setting('jit'), current_setting('plan_cache_mode'))")
                .await;
            assert_eq!(settings, "off off force_custom_plan");
        }
        session.run("RESET ALL").await;
        let scan: String = session.value("SHOW enable_seqscan").await;
        assert_eq!(scan, "on");
    })
    .await;
}

#[tokio::test]
async fn rules_apply_to_what_the_engine_writes() {
    with_database(async |db| {
        let mut session = prepared(db).await;
        session
            .run(
                "CREATE RULE begun AS ON INSERT TO workflow.execution DO ALSO INSERT INTO public.seen SELECT 'begun' FROM public.look();
                 CREATE RULE begun AS ON INSERT TO workflow.workflow_task_execution
                   DO ALSO INSERT INTO public.seen SELECT 'task' FROM public.look();
                 CREATE RULE ended AS ON UPDATE TO workflow.execution WHERE new.status IN ('completed', 'cancelled')
                   DO ALSO INSERT INTO public.seen SELECT 'ended' FROM public.look()",
            )
            .await;
        turns(&mut session, db).await;
        let seen: Vec<(String, i64)> = session.rows("SELECT name, count(*) FROM seen GROUP BY name ORDER BY name").await;
        // Five executions per round; the rule on tasks counts statements.
        let executions = (5 * 2 * TURNS) as i64;
        assert_eq!(seen[0], ("begun".to_owned(), seen[0].1));
        assert!(seen[0].1 >= (3 * 2 * TURNS) as i64, "{seen:?}");
        assert_eq!((seen[1].0.as_str(), seen[2].0.as_str()), ("ended", "task"));
        assert!(seen[1].1 > 0 && seen[1].1 <= executions, "{seen:?}");
    })
    .await;
}

#[tokio::test]
async fn the_function_of_a_policy_sees_the_settings_of_its_session() {
    with_database(async |db| {
        let mut session = prepared(db).await;
        let role = db.role().await;
        session
            .run(format!(
                "SELECT workflow_grant('{role}', 'operator'), workflow_grant('{role}', 'worker');
                 GRANT SELECT ON probe TO {role};
                 CREATE FUNCTION at_run(part int) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
                   BEGIN PERFORM public.look(); RETURN true; END $$;
                 -- The planner evaluates these itself.
                 CREATE FUNCTION at_estimate() RETURNS int LANGUAGE plpgsql STABLE AS $$
                   BEGIN PERFORM public.look(); RETURN 0; END $$;
                 CREATE FUNCTION at_plan(part int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
                   BEGIN PERFORM public.look(); RETURN part; END $$"
            ))
            .await;
        for table in TABLES {
            session
                .run(format!(
                    "ALTER TABLE workflow.{table} ENABLE ROW LEVEL SECURITY;
                     ALTER TABLE workflow.{table} FORCE ROW LEVEL SECURITY;
                     CREATE POLICY mine ON workflow.{table} USING (at_run(part) AND part >= at_estimate() AND part >= at_plan(0))"
                ))
                .await;
        }
        for _ in 0..TURNS {
            session.run(format!("SET ROLE {role}")).await;
            turn(&mut session).await;
            session.run("RESET ROLE").await;
            turn(&mut session).await;
        }
    })
    .await;
}

#[tokio::test]
async fn columns_that_an_owner_adds_get_their_defaults_while_others_work() {
    with_database(async |db| {
        let mut session = prepared(db).await;
        let mut owner = Session::new(db).await;
        owner.run("CREATE FUNCTION mark() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM public.look(); RETURN 7; END $$").await;
        for table in TABLES {
            owner
                .run(format!(
                    "ALTER TABLE workflow.{table} ADD COLUMN filled int NOT NULL DEFAULT 3, ADD COLUMN called int DEFAULT public.mark(),
                       ADD COLUMN double bigint GENERATED ALWAYS AS (id * 2) STORED, ADD COLUMN free text"
                ))
                .await;
            turn(&mut session).await;
        }
        for _ in 0..TURNS {
            turn(&mut session).await;
        }
        for table in TABLES.into_iter().filter(|table| *table != "lease") {
            let filled: i64 = session
                .value(format!("SELECT count(*) FROM workflow.{table} WHERE filled = 3 AND called = 7 AND double = id * 2"))
                .await;
            assert!(filled > 0, "{table}");
        }
        let readable: i64 = session
            .value("SELECT count(*) FROM workflow_list_workflow_executions(), workflow_status(execution) AS s WHERE filled = 3 AND s.ended")
            .await;
        assert!(readable > 0);
        for table in TABLES {
            owner.run(format!("ALTER TABLE workflow.{table} DROP COLUMN filled, DROP COLUMN called")).await;
            turn(&mut session).await;
        }
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow_check()").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_fails_leaves_nothing_set() {
    with_database(async |db| {
        let mut session = prepared(db).await;
        session.run("CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'stop'; END $$").await;
        for table in ["execution", "workflow_execution", "workflow_task_execution"] {
            session
                .run(format!(
                    "CREATE TRIGGER stop BEFORE INSERT ON workflow.{table} FOR EACH ROW EXECUTE FUNCTION stop()"
                ))
                .await;
            for _ in 0..7 {
                session.run("BEGIN; SAVEPOINT here").await;
                let refused = sqlx::query("SELECT workflow_start('demo.w')").fetch_one(&mut session.connection).await;
                assert!(Refusal::of(refused.unwrap_err()).message.contains("stop"));
                session.run("ROLLBACK TO here; SELECT look(); COMMIT; SELECT look()").await;
            }
            session.run(format!("DROP TRIGGER stop ON workflow.{table}; SELECT look()")).await;
            turn(&mut session).await;
        }
    })
    .await;
}
