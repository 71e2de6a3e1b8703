//! How long executions are kept, and how they are archived.

use crate::fixture::*;
use pg_workflow_client::Engine;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

const DAY: f64 = 86_400.0;
const KEEP: &str = "keep: {completed: 7d, failed: 90d, cancelled: forever}\ntasks: [{name: a, action: demo.a}]";

async fn tick(session: &mut Session, day: f64) -> i32 {
    session.at(day * DAY).await;
    session.value("SELECT workflow_tick()").await
}

async fn left(session: &mut Session) -> Vec<i64> {
    session.rows::<(i64,)>("SELECT id FROM workflow.execution ORDER BY id").await.into_iter().map(|(id,)| id).collect()
}

async fn ended(session: &mut Session, status: &str) -> i64 {
    let id = session.start().await;
    if status == "cancelled" {
        session.run(format!("SELECT workflow_cancel({id})")).await;
        return id;
    }
    let [task] = session.claim_named(["a"]).await;
    match status {
        "completed" => session.complete(&task, json!({"done": id})).await,
        _ => session.fail(&task, json!({"message": "no"})).await,
    };
    id
}

async fn assert_sound(session: &mut Session) {
    let broken: Vec<(String,)> = session.rows("SELECT c::text FROM workflow_check() AS c").await;
    assert!(broken.is_empty(), "{broken:?}");
}

#[tokio::test]
async fn the_tick_deletes_what_the_definition_no_longer_keeps() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(KEEP).await;
        let mut ids = Vec::new();
        for status in ["completed", "failed", "cancelled", "completed"] {
            ids.push(ended(&mut session, status).await);
        }
        let late = session.start().await;
        assert_eq!(tick(&mut session, 0.1).await, 0);
        assert_eq!(tick(&mut session, 6.9).await, 0);
        assert!(tick(&mut session, 7.01).await > 0);
        assert_eq!(left(&mut session).await, [ids[1], ids[2], late]);
        assert_eq!(tick(&mut session, 7.011).await, 0, "what stays is not looked at again and again");
        // It ended long after it was started: the next round finds it when it is due.
        session.work("a", json!(null)).await;
        tick(&mut session, 13.0).await;
        assert_eq!(left(&mut session).await, [ids[1], ids[2], late]);
        tick(&mut session, 15.1).await;
        tick(&mut session, 15.2).await;
        assert_eq!(left(&mut session).await, [ids[1], ids[2]]);
        tick(&mut session, 90.1).await;
        tick(&mut session, 1000.0).await;
        tick(&mut session, 2000.0).await;
        assert_eq!(left(&mut session).await, [ids[2]], "for ever");
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn it_goes_in_steps_and_only_roots_go() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("keep: {completed: 1h}\ntasks: [{name: a, action: demo.a}]").await;
        session.define_as("demo.parent", "keep: {completed: 10d}\ntasks: [{name: call, action: demo.w}]").await;
        let parent: i64 = session.value("SELECT workflow_start('demo.parent')").await;
        session.work("a", json!(null)).await;
        session.assert_ended(parent, "completed", json!(null)).await;
        for _ in 0..5 {
            ended(&mut session, "completed").await;
        }
        let running = session.start().await;
        session.at(DAY).await;
        let mut looks = Vec::new();
        while let looked @ 1.. = session.value::<i32>("SELECT workflow_tick(2)").await {
            looks.push(looked);
        }
        assert!(looks.iter().all(|looked| *looked <= 2), "{looks:?}");
        let child: i64 = session.value(format!("SELECT id FROM workflow.execution WHERE parent = {parent}")).await;
        assert_eq!(left(&mut session).await, [parent, child, running], "a child goes with its parent");
        // A worker that is bound to parts deletes nothing, because deletions would affect other parts.
        session.at(20.0 * DAY).await;
        session.run("SELECT workflow_tick(1000, ARRAY[0])").await;
        assert_eq!(left(&mut session).await, [parent, child, running]);
        session.run("SELECT workflow_tick()").await;
        assert_eq!(left(&mut session).await, [running]);
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn a_setting_says_what_a_definition_does_not_and_a_new_version_counts_for_all() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("keep: {failed: forever}\ntasks: [{name: a, action: demo.a}]").await;
        let (completed, failed) = (ended(&mut session, "completed").await, ended(&mut session, "failed").await);
        tick(&mut session, 100.0).await;
        assert_eq!(left(&mut session).await, [completed, failed], "without either, for ever");
        session.run("SET pg_workflow.keep = '30d'").await;
        tick(&mut session, 101.0).await;
        assert_eq!(left(&mut session).await, [failed]);
        session.define("keep: {failed: 1d}\ntasks: [{name: a, action: demo.a}]").await;
        tick(&mut session, 101.1).await;
        assert_eq!(left(&mut session).await, [] as [i64; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_definition_with_impossible_retention_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.register_actions().await;
        for (keep, code) in [
            ("{completed: -1d}", "WF006"),
            ("{completed: never}", "WF006"),
            ("{done: 7d}", "WF003"),
            ("7d", "WF005"),
            ("{completed: 0}", "WF006"),
        ] {
            let text = source("demo.w", &format!("keep: {keep}\ntasks: [{{name: a, action: demo.a}}]"));
            let found: Vec<(String,)> =
                session.rows(format!("SELECT code FROM workflow_validate($${text}$$) WHERE severity = 'error'")).await;
            assert_eq!(found.iter().map(|(code,)| code.as_str()).collect::<Vec<_>>(), [code], "{keep}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_deleted_goes_to_the_archive_with_the_rights_of_who_named_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(KEEP).await;
        let role = db.role().await;
        Engine::grant(&db.pool, &role, pg_workflow_client::Level::Operator).await.unwrap();
        session
            .run(format!(
                "CREATE SCHEMA old; CREATE TABLE old.gone (execution bigint, data jsonb, by text DEFAULT current_user);
                 GRANT USAGE ON SCHEMA old TO {role}; GRANT INSERT ON old.gone TO {role}"
            ))
            .await;
        let mut operator = db.connect_as(&role).await;
        Engine::archive_to(&mut operator, Some("old.gone")).await.unwrap();
        let archive = Engine::find_archive(&mut operator).await.unwrap().unwrap();
        assert_eq!((archive.kind.as_str(), archive.target.as_str(), &archive.role), ("table", "old.gone", &role));
        let first = ended(&mut session, "completed").await;
        tick(&mut session, 8.0).await;
        assert_eq!(left(&mut session).await, [] as [i64; 0]);
        let (execution, data, by): (i64, Value, String) = session.rows("TABLE old.gone").await.remove(0);
        assert_eq!((execution, by), (first, role.clone()));
        assert_eq!(data["executions"][0]["id"], json!(first));
        assert_eq!(
            (&data["tasks"][0]["task_name"], &data["tasks"][0]["result"]),
            (&json!("a"), &json!({"done": first}))
        );
        // If it cannot be archived, it is kept, with an event, and nothing is lost.
        session.run(format!("REVOKE INSERT ON old.gone FROM {role}")).await;
        let second = ended(&mut session, "completed").await;
        for day in [16.0, 17.0, 18.0, 20.0] {
            tick(&mut session, day).await;
        }
        assert_eq!(left(&mut session).await, [second]);
        let events: Vec<(String,)> = session
            .rows(format!("SELECT message FROM workflow_list_events({second}) WHERE kind = 'archive_failed'"))
            .await;
        assert_eq!(events.len(), 1, "said once");
        assert!(events[0].0.contains("permission denied"), "{events:?}");
        let trouble: String =
            session.value("SELECT last_error FROM workflow.retention WHERE status = 'completed'").await;
        assert!(trouble.contains(&format!("execution {second}")), "{trouble}");
        let refusal = session.refused("SELECT workflow_prune('0')").await;
        assert_eq!(refusal.sqlstate, "42501", "by hand, it is the call's error");
        Engine::archive_to(&mut operator, None).await.unwrap();
        assert_eq!(Engine::find_archive(&mut operator).await.unwrap(), None);
        tick(&mut session, 30.0).await;
        assert_eq!(left(&mut session).await, [] as [i64; 0]);
    })
    .await;
}

#[tokio::test]
async fn one_that_the_archive_does_not_take_keeps_no_other() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(KEEP).await;
        session
            .run(
                "CREATE SCHEMA old; CREATE TABLE old.gone (execution bigint);
                 CREATE FUNCTION old.take(jsonb) RETURNS void LANGUAGE plpgsql AS $$
                 BEGIN
                   IF ($1 #>> '{executions,0,config,poison}')::bool THEN RAISE serialization_failure USING MESSAGE = 'no thanks'; END IF;
                   INSERT INTO old.gone VALUES (($1 #>> '{executions,0,id}')::bigint);
                 END $$;
                 SELECT workflow_archive_to('old.take(jsonb)')",
            )
            .await;
        let mut ids = Vec::new();
        for poison in [false, true, false] {
            ids.push(session.start_with(json!({"poison": poison})).await);
            session.work("a", json!(null)).await;
        }
        tick(&mut session, 8.0).await;
        assert_eq!(left(&mut session).await, [ids[1]]);
        let gone: Vec<(i64,)> = session.rows("SELECT execution FROM old.gone ORDER BY 1").await;
        assert_eq!(gone, [(ids[0],), (ids[2],)]);
        session.run("DROP FUNCTION old.take").await;
        let other = ended(&mut session, "completed").await;
        tick(&mut session, 16.0).await;
        assert_eq!(left(&mut session).await, [ids[1], other], "what is gone takes nothing");
        assert_sound(&mut session).await;
    })
    .await;
}

/// Code that runs with the privileges of one role must never run with those of another, or change the session that
/// ticks.
#[tokio::test]
async fn an_archive_function_gets_no_more_rights_than_its_role_has() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(KEEP).await;
        let role = db.role().await;
        Engine::grant(&db.pool, &role, pg_workflow_client::Level::Operator).await.unwrap();
        session.run(format!("CREATE SCHEMA old AUTHORIZATION {role}; CREATE TABLE public.seen (what text); GRANT INSERT ON public.seen TO {role}")).await;
        let mut operator = Session { connection: db.connect_as(&role).await };
        operator
            .run(
                "CREATE TABLE old.gone (execution bigint, data jsonb);
                 CREATE FUNCTION old.take(jsonb) RETURNS void LANGUAGE plpgsql AS $$
                 BEGIN
                   PERFORM set_config('search_path', 'old', false);
                   INSERT INTO public.seen VALUES (current_user);
                   BEGIN
                     EXECUTE 'RESET ROLE';
                     INSERT INTO public.seen VALUES ('role');
                   EXCEPTION WHEN OTHERS THEN NULL;
                   END;
                   BEGIN
                     SET SESSION AUTHORIZATION DEFAULT;
                     INSERT INTO public.seen VALUES ('authorization');
                   EXCEPTION WHEN OTHERS THEN NULL;
                   END;
                 END $$;
                 CREATE FUNCTION old.later() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN INSERT INTO public.seen VALUES ('later as ' || current_user); RETURN NULL; END $$;
                 CREATE CONSTRAINT TRIGGER later AFTER INSERT ON old.gone INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION old.later();
                 SELECT workflow_archive_to('old.take(jsonb)')",
            )
            .await;
        ended(&mut session, "completed").await;
        let path: String = session.value("SHOW search_path").await;
        tick(&mut session, 8.0).await;
        assert_eq!(session.value::<String>("SHOW search_path").await, path);
        let seen: Vec<(String,)> = session.rows("TABLE public.seen").await;
        assert_eq!(seen, [(role.clone(),)]);
        // A trigger that would run later, as another role, does not run at all.
        operator.run("SELECT workflow_archive_to('old.gone')").await;
        let kept = ended(&mut session, "completed").await;
        tick(&mut session, 16.0).await;
        assert_eq!(left(&mut session).await, [kept]);
        assert_eq!(session.rows::<(String,)>("TABLE public.seen").await.len(), 1);
        for (target, code) in [
            ("old.none", ("P0002", "WF616")),
            ("old.none(jsonb)", ("P0002", "WF616")),
            ("old.later()", ("22023", "WF613")),
            ("public.seen", ("22023", "WF613")),
            ("pg_catalog.jsonb_pretty(jsonb)", ("22023", "WF613")),
            ("old.gone; DROP TABLE old.gone", ("P0002", "WF616")),
        ] {
            let refusal = session.refused(format!("SELECT workflow_archive_to('{target}')")).await;
            assert_eq!(refusal.code(), code, "{target}");
        }
    })
    .await;
}
