use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};
use sqlx::Row;
use std::collections::BTreeSet;

const PARAMETERS: &str = "
parameters:
  type: object
  required: [app, regions]
  properties:
    app: {type: string}
    regions: {type: array, items: {type: string}, minItems: 1}
    env: {type: string, enum: [dev, prod], default: dev}
    limits: {type: object, default: {}, properties: {cpu: {type: integer, default: 2}}}
  additionalProperties: false
tasks:
  - {name: a, action: demo.a, input: {env: '{{ parameters.env }}', app: '{{ parameters.app }}'}}
";

const ONE: &str = "tasks: [{name: a, action: demo.a}]\n";

#[tokio::test]
async fn defaults_apply_to_the_parameters_and_are_what_is_stored_and_rendered() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(PARAMETERS).await;
        let id = session.start_with(json!({"app": "x", "regions": ["eu"]})).await;
        let (config, action, status): (Value, String, String) = session
            .rows(format!("SELECT config, action_ref, status::text FROM workflow.execution WHERE id = {id}"))
            .await
            .remove(0);
        assert_eq!(config, json!({"app": "x", "regions": ["eu"], "env": "dev", "limits": {"cpu": 2}}));
        assert_eq!((action.as_str(), status.as_str()), ("demo.w", "running"));
        let [task] = session.claim_named(["a"]).await;
        assert_eq!(task.input, Some(json!({"env": "dev", "app": "x"})));
        let id = session.start_with(json!({"app": "x", "regions": ["eu"], "env": "prod"})).await;
        let env: String =
            session.value(format!("SELECT config ->> 'env' FROM workflow.execution WHERE id = {id}")).await;
        assert_eq!(env, "prod");
    })
    .await;
}

#[tokio::test]
async fn wrong_parameters_are_refused_with_all_violations_and_their_paths() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(PARAMETERS).await;
        let refusal = session
            .refused("SELECT workflow_start('demo.w', '{\"regions\": [\"eu\", 5], \"env\": \"x\", \"limits\": {\"cpu\": \"many\"}, \"more\": 1}')")
            .await;
        assert_eq!(refusal.code(), ("22023", "WF601"));
        assert_eq!(refusal.message, "WF601: the parameters of workflow demo.w are invalid");
        let found = refusal.json();
        let mut paths: Vec<&str> = found.as_array().unwrap().iter().map(|v| v["path"].as_str().unwrap()).collect();
        paths.sort();
        assert_eq!(paths, ["", "", "/env", "/limits/cpu", "/regions/1"], "{found:#}");
        let text = found.to_string();
        assert!(text.contains("app") && text.contains("more"), "{text}");
        for no_object in ["[]", "5", "null", "\"x\""] {
            let refusal = session.refused(format!("SELECT workflow_start('demo.w', '{no_object}')")).await;
            assert_eq!(refusal.code(), ("22023", "WF601"), "{no_object}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_report_of_wrong_parameters_is_bounded() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define("parameters: {properties: {l: {items: {type: string}}}}\ntasks: [{name: a, action: demo.a}]\n")
            .await;
        let refusal = session
            .refused("SELECT workflow_start('demo.w', (SELECT jsonb_build_object('l', jsonb_agg(jsonb_build_array(repeat('x', 10000)))) FROM generate_series(1, 500)))")
            .await;
        assert_eq!(refusal.code(), ("22023", "WF601"));
        assert!(refusal.detail.len() < 25_000, "{}", refusal.detail.len());
        let found = refusal.json();
        let list = found.as_array().unwrap();
        let told = list.len() - 1;
        assert_eq!(list[told], json!({"path": "", "message": format!("and {} more", 500 - told)}));
    })
    .await;
}

#[tokio::test]
async fn parameters_have_a_bound_that_is_looked_at_first() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("parameters: {properties: {l: {type: string}}}\ntasks: [{name: a, action: demo.a}]\n").await;
        session.run("SELECT workflow_validate(''); SET pg_workflow.max_parameter_bytes = 1000").await;
        // Few bytes as stored, and also invalid.
        for value in ["to_jsonb(repeat('x', 2000))", "to_jsonb(ARRAY[repeat('x', 2000)])"] {
            let start = format!("SELECT workflow_start('demo.w', jsonb_build_object('l', {value}))");
            let refusal = session.refused(start).await;
            assert_eq!(refusal.code(), ("54000", "WF614"));
            assert!(refusal.detail.ends_with("at most 1000 are allowed."), "{}", refusal.detail);
        }
        session.start_with(json!({"l": "x".repeat(900)})).await;
    })
    .await;
}

#[tokio::test]
async fn arguments_out_of_range_are_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(ONE).await;
        session.define_as("demo.off", &format!("enabled: false\n{ONE}")).await;
        session.run("SELECT workflow_create_definition('demo.outside', (SELECT id FROM workflow.pack WHERE ref = 'demo'), 'x', '1', '{}')").await;
        for (call, sqlstate, code) in [
            ("workflow_start('demo.none')", "P0002", "WF616"),
            ("workflow_start('')", "P0002", "WF616"),
            ("workflow_start('demo.a')", "P0002", "WF616"),
            ("workflow_start('demo.off')", "55000", "WF611"),
            ("workflow_start('demo.outside')", "55000", "WF618"),
            ("workflow_start(NULL)", "22023", "WF613"),
            ("workflow_start('demo.w', NULL)", "22023", "WF613"),
            ("workflow_start('demo.w', priority => NULL)", "22023", "WF613"),
            ("workflow_start('demo.w', part => 1024)", "22023", "WF613"),
            ("workflow_start('demo.w', part => -1)", "22023", "WF613"),
            ("workflow_start('demo.w', priority => 1001)", "22023", "WF613"),
            ("workflow_start('demo.w', run_at => 'infinity')", "22023", "WF613"),
            ("workflow_start('demo.w', run_at => '-infinity')", "22023", "WF613"),
            ("workflow_start_many('demo.w', NULL)", "22023", "WF613"),
            ("workflow_start_many('demo.w', ARRAY['{}', '{}']::jsonb[], ARRAY['k'])", "22023", "WF613"),
            ("workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[10001]))", "54000", "WF614"),
        ] {
            let refusal = session.refused(format!("SELECT {call}")).await;
            assert_eq!(refusal.code(), (sqlstate, code), "{call}: {refusal:#?}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_same_key_gives_the_same_execution_back() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(ONE).await;
        session.define_as("demo.v", ONE).await;
        let start = async |session: &mut Session, what: &str| {
            session.value::<i64>(format!("SELECT workflow_start({what})")).await
        };
        let first = start(&mut session, "'demo.w', idempotency_key => 'k'").await;
        let before = session.contents().await;
        assert_eq!(start(&mut session, "'demo.w', idempotency_key => 'k'").await, first);
        assert_eq!(start(&mut session, "'demo.w', '{}', 'k', 5").await, first);
        assert_eq!(session.contents().await, before);
        let others = [
            start(&mut session, "'demo.w', idempotency_key => 'l'").await,
            start(&mut session, "'demo.v', idempotency_key => 'k'").await,
            start(&mut session, "'demo.w', idempotency_key => 'k', part => 1").await,
            start(&mut session, "'demo.w'").await,
            start(&mut session, "'demo.w', idempotency_key => ''").await,
        ];
        assert!(!others.contains(&first));
        // Even long after it has ended.
        for task in session.claim(1000).await {
            session.complete(&task, json!(null)).await;
        }
        assert_eq!(start(&mut session, "'demo.w', idempotency_key => 'k'").await, first);
        session.assert_ended(first, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn the_same_key_at_once_from_two_sessions_gives_one_execution() {
    with_database(async |db| {
        let mut first = Session::new(db).await;
        first.define(ONE).await;
        for end in ["COMMIT", "ROLLBACK"] {
            let start = format!("SELECT workflow_start('demo.w', idempotency_key => '{end}')");
            first.run("BEGIN").await;
            let id: i64 = first.value(&start).await;
            let mut second = Session::new(db).await;
            let pid: i32 = second.value("SELECT pg_backend_pid()").await;
            let (other, ()) = tokio::join!(second.value::<i64>(&start), async {
                // The second waits for the first.
                while first.value::<Vec<i32>>(format!("SELECT pg_blocking_pids({pid})")).await.is_empty() {}
                first.run(end).await;
            });
            assert_eq!(other == id, end == "COMMIT");
            let count: i64 = first
                .value(format!(
                    "SELECT count(*) FROM workflow.execution WHERE idempotency_key = '{end}' AND id = {other}"
                ))
                .await;
            assert_eq!(count, 1);
        }
        assert_eq!(first.value::<i64>("SELECT count(*) FROM workflow.workflow_execution").await, 2);
        assert_eq!(first.claim(10).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn many_are_started_in_order_each_with_its_parameters() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("parameters: {properties: {n: {type: integer}}}\ntasks: [{name: a, action: demo.a, input: {n: '{{ parameters.n }}'}}]\n").await;
        let ids: Vec<(i64,)> = session
            .rows("SELECT workflow_start_many('demo.w', ARRAY(SELECT jsonb_build_object('n', n) FROM generate_series(1, 1000) AS n))")
            .await;
        let seen: Vec<(i64, i32)> =
            session.rows("SELECT id, (config ->> 'n')::int FROM workflow.execution ORDER BY id").await;
        assert_eq!(seen.iter().map(|(id, _)| (*id,)).collect::<Vec<_>>(), ids);
        assert_eq!(seen.iter().map(|(_, n)| *n).collect::<Vec<_>>(), (1..=1000).collect::<Vec<_>>());
        let tasks = session.claim(1000).await;
        assert_eq!(tasks.len(), 1000);
        let wrong: i64 = session
            .value(
                "SELECT count(*) FROM workflow.workflow_task_execution t JOIN workflow.workflow_execution w ON w.id = t.workflow_execution
                 JOIN workflow.execution e ON e.id = w.execution WHERE t.input -> 'n' <> e.config -> 'n'",
            )
            .await;
        assert_eq!(wrong, 0);
    })
    .await;
}

#[tokio::test]
async fn of_many_all_start_or_none() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(PARAMETERS).await;
        let refusal = session
            .refused(
                "SELECT workflow_start_many('demo.w', ARRAY['{\"app\": \"x\", \"regions\": [\"eu\"]}', '{\"app\": 5, \"regions\": [\"eu\"]}']::jsonb[])",
            )
            .await;
        assert_eq!(refusal.code(), ("22023", "WF601"));
        assert_eq!(refusal.json()[0]["path"], "/app");
        let refusal = session.refused("SELECT workflow_start_many('demo.w', ARRAY[NULL]::jsonb[])").await;
        assert_eq!(refusal.code(), ("22023", "WF601"));
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.execution").await, 0);
        let none: Vec<(i64,)> = session.rows("SELECT workflow_start_many('demo.w', '{}')").await;
        assert!(none.is_empty());
    })
    .await;
}

#[tokio::test]
async fn among_many_a_key_that_is_known_or_there_twice_starts_one() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(ONE).await;
        let known: i64 = session.value("SELECT workflow_start('demo.w', idempotency_key => 'old')").await;
        let ids: Vec<i64> = sqlx::query(
            "SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[6]), ARRAY['x', NULL, 'old', 'x', NULL, 'y'])",
        )
        .fetch_all(&mut session.connection)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
        assert_eq!(ids[2], known);
        assert_eq!(ids[0], ids[3]);
        let mut different = vec![ids[0], ids[1], ids[4], ids[5], known];
        different.sort();
        different.dedup();
        assert_eq!(different.len(), 5);
        let keys: Vec<(i64, Option<String>)> = session.rows("SELECT id, idempotency_key FROM workflow.execution").await;
        assert_eq!(keys.len(), 5);
        for (place, key) in ["x", "-", "old", "x", "-", "y"].into_iter().enumerate() {
            assert!(keys.contains(&(ids[place], (key != "-").then(|| key.to_owned()))), "{ids:?} {keys:?}");
        }
        assert_eq!(session.claim(100).await.len(), 5);
    })
    .await;
}

#[tokio::test]
async fn what_is_to_run_later_is_claimable_when_its_time_has_come() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(ONE).await;
        let later: i64 =
            session.value("SELECT workflow_start('demo.w', run_at => workflow.now() + interval '1 hour')").await;
        let past: i64 =
            session.value("SELECT workflow_start('demo.w', run_at => workflow.now() - interval '1 hour')").await;
        let [task] = session.claim_named(["a"]).await;
        session.complete(&task, json!(null)).await;
        session.assert_ended(past, "completed", json!(null)).await;
        session.at(3599.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 0);
        assert!(session.claim(1).await.is_empty());
        session.at(3600.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 1);
        session.work("a", json!(null)).await;
        session.assert_ended(later, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn who_goes_anywhere_stays_in_a_part_for_a_second_and_starves_none() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a}]").await;
        for part in [0, 512] {
            let start =
                format!("SELECT workflow_start_many('demo.w', array_fill('{{}}'::jsonb, ARRAY[80]), part => {part})");
            session.run(start).await;
        }
        let mut turns = [0, 0];
        session.claim(1).await;
        for second in 1..25 {
            let mut parts = BTreeSet::new();
            for part_of_second in [0.0, 0.9] {
                session.at(f64::from(second) + part_of_second).await;
                parts.extend(session.claim(1).await.iter().map(|task| task.task >> 48));
            }
            assert_eq!(parts.len(), 1, "within a second");
            turns[usize::from(parts.contains(&512))] += 1;
        }
        assert!(turns.iter().all(|count| *count > 0), "{turns:?}");
        // Between them, the two parts have all remaining tasks.
        assert_eq!(session.claim(160).await.len(), 160 - 1 - 2 * 24);
    })
    .await;
}

#[tokio::test]
async fn a_part_is_in_every_id_and_claims_find_it_with_and_without_being_told() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks:\n  - {name: a, action: demo.a, on_success: b}\n  - {name: b, action: demo.b}\n").await;
        let ids: Vec<i64> = vec![
            session.value("SELECT workflow_start('demo.w', part => 7)").await,
            session.value("SELECT * FROM workflow_start_many('demo.w', ARRAY['{}']::jsonb[], part => 7)").await,
            session.value("SELECT workflow_start('demo.w', part => 7)").await,
        ];
        let claim = async |session: &mut Session, parts: &str| {
            session.rows::<Task>(format!("SELECT * FROM workflow_claim('w1', 1, parts => {parts})")).await
        };
        assert_eq!(claim(&mut session, "'{6}'").await, []);
        assert_eq!(claim(&mut session, "'{}'").await, []);
        let mut tasks = claim(&mut session, "'{7}'").await;
        tasks.extend(claim(&mut session, "'{6, 7}'").await);
        tasks.extend(claim(&mut session, "NULL").await);
        assert_eq!(tasks.len(), 3);
        for task in &tasks {
            session.complete(task, json!(null)).await;
        }
        let tasks = session.claim_named(["b", "b", "b"]).await;
        let tasks: Vec<i64> = tasks.iter().map(|task| task.task).collect();
        let elsewhere: i64 = session
            .value(
                "SELECT count(*) FILTER (WHERE id >> 48 <> 7 OR part <> 7) FROM (
                   SELECT part, id FROM workflow.execution UNION ALL SELECT part, id FROM workflow.workflow_execution
                   UNION ALL SELECT part, id FROM workflow.workflow_task_execution
                   UNION ALL SELECT part, unnest(tasks) FROM workflow.lease) AS r",
            )
            .await;
        assert_eq!(elsewhere, 0);
        assert!(ids.iter().chain(&tasks).all(|id| id >> 48 == 7), "{ids:?} {tasks:?}");
        // Leases expire there, too.
        session.at(31.0).await;
        let [first, ..] = session.claim_named(["b", "b", "b"]).await;
        assert_eq!((first.attempt, first.task >> 48), (2, 7));
        for task in ["{1024}", "{-1}", "{NULL}"] {
            let refusal = session.refused(format!("SELECT * FROM workflow_claim('w1', parts => '{task}')")).await;
            assert_eq!(refusal.code(), ("22023", "WF613"));
        }
    })
    .await;
}

#[tokio::test]
async fn parts_do_not_starve_each_other() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(ONE).await;
        for part in [0, 5, 1023] {
            session
                .run(format!(
                    "SELECT workflow_start_many('demo.w', array_fill('{{}}'::jsonb, ARRAY[20]), part => {part})"
                ))
                .await;
        }
        let mut parts: Vec<i64> = Vec::new();
        loop {
            let tasks = session.claim(1).await;
            let [task] = tasks.as_slice() else { break };
            parts.push(task.task >> 48);
        }
        assert_eq!(parts.len(), 60);
        let mut all = session.claim(100).await;
        all.retain(|task| task.attempt == 1);
        assert!(all.is_empty());
        // One claim takes tasks from several parts.
        session.at(31.0).await;
        assert_eq!(session.claim(60).await.len(), 60);
    })
    .await;
}

#[tokio::test]
async fn priority_is_worth_minutes_of_waiting() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(ONE).await;
        let mut started = Vec::new();
        for (at, priority) in [(0.0, 0), (1.0, 5), (2.0, 0), (3.0, -1), (299.0, 10)] {
            session.at(at).await;
            started
                .push(session.value::<i64>(format!("SELECT workflow_start('demo.w', priority => {priority})")).await);
        }
        let mut order = Vec::new();
        for _ in 0..5 {
            let [task] = <[Task; 1]>::try_from(session.claim(1).await).unwrap();
            let execution: i64 = session
                .value(format!("SELECT execution FROM workflow.workflow_execution WHERE id = {}", task.execution))
                .await;
            order.push(started.iter().position(|id| *id == execution).unwrap());
        }
        // Moved ahead: 299 s - 10 min, 1 s - 5 min, 0 s, 2 s, 3 s + 1 min.
        assert_eq!(order, [4, 1, 0, 2, 3]);
    })
    .await;
}

#[tokio::test]
async fn a_workflow_of_nothing_but_routing_ends_as_it_starts() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session
            .begin("vars: {x: 1}\ntasks:\n  - {name: a, publish: {x: '{{ vars.x + 1 }}'}, on_success: b}\n  - {name: b}\noutput_map: [{x: '{{ vars.x }}'}]\n")
            .await;
        session.assert_ended(id, "completed", json!({"x": 2})).await;
    })
    .await;
}

#[tokio::test]
async fn a_start_that_fails_before_there_is_anything_to_do_is_an_error_of_the_start() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("finally: b\nvars: {x: '{{ 1 / 0 }}'}\ntasks: [{name: a, action: demo.a}, {name: b, action: demo.b}]\n").await;
        let refusal = session.refused("SELECT workflow_start('demo.w')").await;
        assert_eq!(refusal.code(), ("22023", "WF605"), "{refusal:?}");
        assert!(refusal.message.contains("variable x") && refusal.hint.contains("Nothing was started"), "{refusal:?}");
        session.define("parameters: {properties: {x: {}}}\ntasks: [{name: a, action: demo.a}, {name: b, action: demo.b, input: {x: '{{ parameters.x }}'}}]\n").await;
        let refusal = session.refused("SELECT workflow_start('demo.w')").await;
        assert!(refusal.message.starts_with("WF602: ") && refusal.message.contains("task b"), "{refusal:?}");
        let many = "SELECT workflow_start_many('demo.w', ARRAY['{\"x\": 1}', '{}', '{\"x\": 1}']::jsonb[])";
        let refusal = session.refused(many).await;
        assert_eq!(refusal.detail, "It is element 2 of parameters.");
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.execution").await, 0);
        // With run_at, there is no caller to receive the error, so the execution records it.
        let id: i64 = session.value("SELECT workflow_start('demo.w', run_at => workflow.now() + interval '1 hour')").await;
        session.assert_ended(id, "failed", serde_json::json!(null)).await;
        let told: String = session.value(format!("SELECT message FROM workflow_list_events({id}) WHERE kind = 'failed'")).await;
        assert!(told.contains("task b"), "{told}");
        let why: String = session.value(format!("SELECT why FROM workflow_why({id})")).await;
        assert!(why.contains("task b"), "{why}");
        session.run("SELECT workflow_schedule('s', '* * * * *', 'demo.w')").await;
        session.at(61.0).await;
        session.run("SELECT workflow_tick()").await;
        let last: i64 = session.value("SELECT last_execution FROM workflow.schedule").await;
        session.assert_ended(last, "failed", serde_json::json!(null)).await;
        assert!(session.claim(1).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_key_that_was_used_with_other_parameters_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session
            .define("parameters: {properties: {x: {}, y: {default: 1}}}\ntasks: [{name: a, action: demo.a}]\n")
            .await;
        let start = |parameters: &str| format!("SELECT workflow_start('demo.w', '{parameters}', 'key')");
        let id: i64 = session.value(start(r#"{"x": 1}"#)).await;
        // Later changes of the defaults have no effect.
        session
            .define("parameters: {properties: {x: {}, y: {default: 2}}}\ntasks: [{name: a, action: demo.a}]\n")
            .await;
        for same in [r#"{"x": 1}"#, r#"{"x": 1, "y": 1}"#, r#"{"x": 1.0}"#] {
            assert_eq!(session.value::<i64>(start(same)).await, id, "{same}");
        }
        for other in [r#"{"x": 2}"#, r#"{"x": 1, "y": 3}"#, r#"{"x": 1, "z": 1}"#] {
            let refusal = session.refused(start(other)).await;
            assert_eq!(refusal.code(), ("23505", "WF617"), "{other}: {refusal:?}");
            assert!(refusal.message.contains(&format!("execution {id}")), "{refusal:?}");
        }
    })
    .await;
}
