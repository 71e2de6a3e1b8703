//! Foreign keys hold for every writer, and the engine does not look up again rows that it has locked itself.

use crate::fixture::*;
use pg_workflow_tests::with_database;

const TASKS: &str = "tasks:
  - {name: a, action: demo.a, on_success: b}
  - {name: b, action: demo.a}
";

const START_FIFTY: &str = "SELECT count(*) FROM workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[50]))";

const ORPHAN: &str = "INSERT INTO workflow.workflow_task_execution (part, id, workflow_execution, task_name) VALUES (0, 999999, 999999, 'a')";

/// Returns how many times a statement, in a separate transaction, reads the tables that tasks and executions refer to.
async fn looks(session: &mut Session, sql: &str) -> i64 {
    let read = "SELECT sum(seq_scan + coalesce(idx_scan, 0))::bigint FROM pg_stat_xact_user_tables
                WHERE schemaname = 'workflow' AND relname IN ('workflow_execution', 'workflow_definition', 'action')";
    session.run("BEGIN").await;
    let before: i64 = session.value(read).await;
    session.run(sql).await;
    let after: i64 = session.value(read).await;
    session.run("COMMIT").await;
    after - before
}

#[tokio::test]
async fn what_a_call_holds_is_not_looked_up_for_each_row() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(TASKS).await;
        let found = looks(&mut session, START_FIFTY).await;
        assert!(found < 20, "{found} looks for 50 executions");
        session.run("CREATE TEMP TABLE held AS SELECT task, lease_token FROM workflow_claim('w', 50)").await;
        let step = "SELECT count(*) FROM workflow_finish_and_claim('w', (SELECT array_agg(
                      ROW(task, lease_token, 'completed', NULL, NULL, NULL, NULL, NULL, NULL)::workflow.outcome) FROM held), 50)";
        let found = looks(&mut session, step).await;
        // Locking the executions takes one lookup for each of the fifty.
        assert!(found < 70, "{found} looks for 50 new tasks");
    })
    .await;
}

#[tokio::test]
async fn a_trigger_of_the_users_own_sees_every_row() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(TASKS).await;
        session
            .run(
                "CREATE TABLE seen (name text, id bigint);
                 CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
                   BEGIN INSERT INTO public.seen VALUES (TG_TABLE_NAME, NEW.id); RETURN NULL; END $$;
                 CREATE TRIGGER see AFTER INSERT ON workflow.execution FOR EACH ROW EXECUTE FUNCTION see();
                 CREATE TRIGGER see AFTER INSERT ON workflow.workflow_execution FOR EACH ROW EXECUTE FUNCTION see();
                 CREATE TRIGGER see AFTER INSERT ON workflow.workflow_task_execution FOR EACH ROW EXECUTE FUNCTION see()",
            )
            .await;
        session.run(START_FIFTY).await;
        let seen = session
            .rows::<(String, i64)>("SELECT name, count(DISTINCT id) FROM seen GROUP BY name ORDER BY name")
            .await;
        let expected = ["execution", "workflow_execution", "workflow_task_execution"].map(|name| (name.to_owned(), 50));
        assert_eq!(seen, expected);
    })
    .await;
}

#[tokio::test]
async fn a_trigger_of_the_users_own_sees_every_change() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]\n").await;
        session
            .run(
                "CREATE TABLE seen (name text, status text);
                 CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
                   BEGIN INSERT INTO public.seen VALUES (TG_TABLE_NAME, to_jsonb(NEW) ->> 'status'); RETURN NULL; END $$;
                 CREATE TRIGGER see AFTER UPDATE ON workflow.execution FOR EACH ROW EXECUTE FUNCTION see();
                 CREATE TRIGGER see AFTER UPDATE ON workflow.workflow_execution FOR EACH ROW EXECUTE FUNCTION see();
                 CREATE TRIGGER see AFTER UPDATE ON workflow.workflow_task_execution FOR EACH ROW EXECUTE FUNCTION see();
                 CREATE TRIGGER see AFTER INSERT ON workflow.lease FOR EACH ROW EXECUTE FUNCTION see()",
            )
            .await;
        // One by one and together, because these are different statements.
        for count in [1, 3] {
            session.run("TRUNCATE seen").await;
            session
                .run(format!(
                    "SELECT count(*) FROM workflow_start_many('demo.w', array_fill('{{}}'::jsonb, ARRAY[{count}]))"
                ))
                .await;
            let held = session.claim(count as i32).await;
            let outcomes: Vec<_> = held.iter().map(|task| (task.task, task.lease_token, "completed")).collect();
            session.finish(&outcomes).await;
            let seen = session
                .rows::<(String, Option<String>, i64)>(
                    "SELECT name, status, count(*) FROM seen GROUP BY 1, 2 ORDER BY name, status DESC",
                )
                .await;
            let expected = [
                ("execution", Some("completed"), count),
                ("lease", None, 1),
                ("workflow_execution", Some("completed"), count),
                ("workflow_task_execution", Some("running"), count),
                ("workflow_task_execution", Some("completed"), count),
            ];
            let expected = expected.map(|(name, status, count)| (name.to_owned(), status.map(str::to_owned), count));
            assert_eq!(seen, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn a_foreign_key_of_the_users_own_is_checked() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(TASKS).await;
        session
            .run(
                "CREATE TABLE allowed (action text PRIMARY KEY);
                 ALTER TABLE workflow.workflow_task_execution ADD FOREIGN KEY (action_ref) REFERENCES allowed",
            )
            .await;
        assert_eq!(session.refused(START_FIFTY).await.sqlstate, "23503");
        session.run("INSERT INTO allowed VALUES ('demo.a')").await;
        session.run(START_FIFTY).await;
    })
    .await;
}

#[tokio::test]
async fn writes_by_others_are_checked_after_every_call_even_a_failed_one() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(TASKS).await;
        assert_eq!(session.refused(ORPHAN).await.sqlstate, "23503");
        session.run(START_FIFTY).await;
        assert_eq!(session.refused(ORPHAN).await.sqlstate, "23503");
        // The ids of the new tasks are taken, so the insert itself fails.
        session.run("SELECT setval('workflow.workflow_task_execution_id_seq', 1, false)").await;
        assert_eq!(session.refused(START_FIFTY).await.sqlstate, "23505");
        assert_eq!(session.refused(ORPHAN).await.sqlstate, "23503");
        assert_eq!(session.value::<String>("SHOW session_replication_role").await, "origin");
    })
    .await;
}

#[tokio::test]
async fn a_definition_stays_while_executions_of_it_begin() {
    with_database(async |db| {
        let (mut starter, mut author) = (Session::new(db).await, Session::new(db).await);
        starter.define(TASKS).await;
        author.run("SET lock_timeout = '100ms'").await;
        for table in ["workflow_definition", "action"] {
            let delete = format!("DELETE FROM workflow.{table} WHERE ref = 'demo.w'");
            starter.run("BEGIN").await;
            starter.run(START_FIFTY).await;
            assert_eq!(author.refused(&delete).await.sqlstate, "55P03");
            starter.run("COMMIT").await;
        }
        let gone = author.refused("DELETE FROM workflow.workflow_definition WHERE ref = 'demo.w'").await;
        assert_eq!(gone.sqlstate, "23503");
    })
    .await;
}
