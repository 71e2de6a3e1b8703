//! Invalid arguments: each raises a clear error and changes nothing.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

const ONE: &str = "tasks: [{name: a, action: demo.a, retry: {count: 5, delay: 10}}]\n";

/// Values that no interval argument accepts. The first two are intervals only in PostgreSQL 17 and later.
const NO_INTERVALS: [&str; 6] =
    ["infinity", "-infinity", "-1 microsecond", "-1 day", "-170000000 years", "170000000 years"];

/// Calls with an interval argument, as `$`; `@` is the lease token of task 1.
const INTERVALS: [(&str, &str); 10] = [
    ("workflow_claim", "workflow_claim('w1', 1, NULL, $)"),
    ("workflow_fail", "workflow_fail(1, @, retry_in => $)"),
    ("workflow_finish_and_claim", "workflow_finish_and_claim('w1', '{}', 1, NULL, $)"),
    ("workflow_finish_and_claim_json", "workflow_finish_and_claim_json('w1', '[]', 1, NULL, $)"),
    ("workflow_heartbeat", "workflow_heartbeat('{1}', '{@}', $)"),
    ("workflow_prune", "workflow_prune($)"),
    ("workflow_schedule", "workflow_schedule('s', '0 9 * * *', 'demo.w', grace => $)"),
    ("workflow_wait", "workflow_wait(1, $)"),
    ("workflow_set_limit", "workflow_set_limit('x', rate => 1, per => $)"),
    // In an array of outcomes it is answered, not raised: see below.
    (
        "workflow_finish",
        "workflow_finish(ARRAY[ROW(1, @, 'failed', NULL, NULL, NULL, $, NULL, NULL)::workflow.outcome])",
    ),
];

async fn server_version(session: &mut Session) -> i32 {
    session.value("SELECT current_setting('server_version_num')::int").await
}

#[tokio::test]
async fn a_negative_or_infinite_interval_is_refused_wherever_there_is_one() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin(ONE).await;
        let [task] = session.claim_named(["a"]).await;
        let functions: Vec<(String,)> = session
            .rows(
                "SELECT DISTINCT p.proname::text FROM pg_proc p
                 WHERE p.proname ~ '^workflow_' AND p.pronamespace = 'pg_catalog'::regnamespace
                   AND 'interval'::regtype = ANY (p.proargtypes) ORDER BY 1",
            )
            .await;
        for (function,) in functions {
            assert!(INTERVALS.iter().any(|(known, _)| *known == function), "{function} is not in the list");
        }
        let has_infinity = server_version(&mut session).await >= 170_000;
        for (function, call) in INTERVALS {
            for interval in NO_INTERVALS {
                if interval.ends_with("infinity") && !has_infinity {
                    continue;
                }
                let call = call.replace('$', &format!("'{interval}'")).replace('@', &task.lease_token.to_string());
                if function == "workflow_finish" {
                    let before = session.contents().await;
                    let code: String = session.value(format!("SELECT code FROM {call}")).await;
                    assert_eq!((code.as_str(), session.contents().await), ("WF613", before), "{call}");
                    continue;
                }
                let refusal = session.refused(format!("SELECT * FROM {call}")).await;
                assert_eq!(refusal.code(), ("22023", "WF613"), "{call}: {refusal:?}");
                assert!(refusal.message.contains("out of range") && !refusal.hint.is_empty(), "{call}: {refusal:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_part_out_of_range_is_refused_wherever_there_is_one() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin(ONE).await;
        for part in ["-1", "1024", "2147483647", "-2147483648", "NULL"] {
            // In a call that creates something, no part means that the engine chooses one.
            let making = [
                format!("workflow_start('demo.w', part => {part})"),
                format!("workflow_start_many('demo.w', ARRAY['{{}}']::jsonb[], part => {part})"),
                format!("workflow_schedule('s', '0 9 * * *', 'demo.w', part => {part})"),
            ];
            let looking = [
                format!("workflow_claim('w1', 1, parts => ARRAY[0, {part}])"),
                format!("workflow_finish_and_claim('w1', '{{}}', parts => ARRAY[{part}]::int[])"),
                format!("workflow_tick(10, ARRAY[{part}, 0])"),
            ];
            for call in making.into_iter().filter(|_| part != "NULL").chain(looking) {
                let refusal = session.refused(format!("SELECT * FROM {call}")).await;
                assert_eq!(refusal.code(), ("22023", "WF613"), "{call}");
                assert!(refusal.message.contains("part"), "{call}: {refusal:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn control_of_what_is_not_in_that_state_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define_as("demo.child", "tasks: [{name: x, action: demo.a}]\n").await;
        let id = session.begin("tasks: [{name: call, action: demo.child}]\n").await;
        let refused = async |session: &mut Session, call: &str, code: &str| {
            let refusal = session.refused(format!("SELECT workflow_{call}")).await;
            assert_eq!(refusal.code(), ("55000", code), "{call}");
            assert!(!refusal.hint.is_empty(), "{refusal:?}");
        };
        refused(&mut session, &format!("rerun({id})"), "WF612").await;
        let [x] = session.claim_named(["x"]).await;
        session.fail(&x, json!(null)).await;
        refused(&mut session, &format!("resume({id})"), "WF611").await;
        refused(&mut session, &format!("pause({id})"), "WF611").await;
        refused(&mut session, &format!("cancel({id})"), "WF611").await;
        session.run(format!("SELECT workflow_rerun({id})")).await;
        session.work("x", json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        for call in [format!("rerun({id})"), format!("rerun({id}, ARRAY['call'])")] {
            refused(&mut session, &call, "WF612").await;
        }
        for call in ["pause", "resume", "cancel", "rerun"] {
            let refusal = session.refused(format!("SELECT workflow_{call}(999)")).await;
            assert_eq!(refusal.code(), ("P0002", "WF616"), "{call}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_signal_that_nobody_waits_for_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin("tasks: [{name: a, wait_for: {signal: yes}}]\n").await;
        let refused = async |session: &mut Session, call: String, code: (&str, &str)| {
            let refusal = session.refused(format!("SELECT workflow_signal({call})")).await;
            assert_eq!(refusal.code(), code, "{call}");
        };
        refused(&mut session, "999, 'yes'".into(), ("P0002", "WF616")).await;
        refused(&mut session, format!("{id}, 'no'"), ("55000", "WF611")).await;
        refused(&mut session, format!("{id}, NULL"), ("22023", "WF613")).await;
        session.run(format!("SELECT workflow_signal({id}, 'yes')")).await;
        session.assert_ended(id, "completed", json!(null)).await;
        refused(&mut session, format!("{id}, 'yes'"), ("55000", "WF611")).await;
    })
    .await;
}

#[tokio::test]
async fn the_token_of_another_worker_holds_nothing() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin(ONE).await;
        session.start().await;
        let [mine, other] = [session.claim(1).await.remove(0), session.claim(1).await.remove(0)];
        session.at(20.0).await;
        let before = session.contents_but_refusals().await;
        let states: Vec<(String,)> = session
            .rows(format!(
                "SELECT state FROM workflow_heartbeat('{{{}, {}}}', '{{{}, {}}}')",
                mine.task, other.task, other.lease_token, mine.lease_token
            ))
            .await;
        assert_eq!(states, [("lost".to_owned(),), ("lost".to_owned(),)]);
        assert_eq!(session.contents_but_refusals().await, before);
        let refusal = session.refused(format!("SELECT workflow_complete({}, {})", mine.task, other.lease_token)).await;
        assert_eq!(refusal.code(), ("55006", "WF615"));
        // This extended neither lease.
        session.at(30.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 2);
    })
    .await;
}

/// Every argument that has a limit, with a value beyond it, and the error code.
#[tokio::test]
async fn an_argument_that_is_too_long_or_has_too_many_elements_is_refused() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        let id = session.begin("tasks: [{name: a, wait_for: {signal: go}}]\n").await;
        session.define(ONE).await;
        session.run("CREATE FUNCTION public.noise(bytes int) RETURNS text LANGUAGE sql AS
          $$ SELECT left(string_agg(md5(n::text), ''), bytes) FROM generate_series(0, bytes / 32) AS n $$").await;
        for (call, code) in [
            ("workflow_claim(public.noise(201))", "WF613"),
            ("workflow_finish_and_claim(repeat('x', 20000000), '{}')", "WF613"),
            ("workflow_claim('w', 1, ARRAY[public.noise(1001)])", "WF613"),
            ("workflow_claim('w', 1, ARRAY(SELECT n::text FROM generate_series(1, 1001) AS n))", "WF614"),
            ("workflow_claim('w', 1, ARRAY[['a'], ['b']])", "WF613"),
            ("workflow_claim('w', 1, parts => ARRAY[[0], [1]])", "WF613"),
            ("workflow_claim('w', 1, parts => array_fill(0, ARRAY[1025]))", "WF614"),
            ("workflow_tick(1, array_fill(0, ARRAY[1025]))", "WF614"),
            ("workflow_tick(1, ARRAY[[0], [1]])", "WF613"),
            ("workflow_heartbeat(ARRAY[[1], [2]], ARRAY[[1], [2]])", "WF613"),
            ("workflow_finish(ARRAY[[ROW(1, 1, 'completed', NULL, NULL, NULL, NULL, NULL, NULL)::workflow.outcome], [NULL::workflow.outcome]])", "WF613"),
            ("workflow_start('demo.w', '{}', public.noise(1001))", "WF613"),
            ("workflow_start_many('demo.w', ARRAY['{}']::jsonb[], ARRAY[public.noise(3000)])", "WF613"),
            ("workflow_start_many('demo.w', ARRAY[['{}'], ['{}']]::jsonb[])", "WF613"),
            ("workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[10001]))", "WF614"),
            ("workflow_signal({id}, public.noise(1001))", "WF613"),
            ("workflow_signal({id}, 'go', NULL, public.noise(1001))", "WF613"),
            ("workflow_pause({id}, public.noise(10001))", "WF613"),
            ("workflow_resume({id}, public.noise(10001))", "WF613"),
            ("workflow_cancel({id}, public.noise(10001))", "WF613"),
            ("workflow_rerun({id}, reason => public.noise(10001))", "WF613"),
            ("workflow_rerun({id}, ARRAY[['a'], ['b']])", "WF613"),
            ("workflow_rerun({id}, ARRAY['a', NULL])", "WF613"),
            ("workflow_rerun({id}, ARRAY['a'], routes => ARRAY[0, 1])", "WF613"),
            ("workflow_rerun({id}, array_fill('a'::text, ARRAY[10001]))", "WF614"),
            ("workflow_register_action('demo.' || public.noise(5000))", "WF613"),
            ("workflow_create_pack(public.noise(1001), 'x', '1')", "WF613"),
            ("workflow_schedule('s', repeat('0,', 1000) || '0 * * * *', 'demo.w')", "WF613"),
            ("workflow_schedule(public.noise(201), '@daily', 'demo.w')", "WF613"),
        ] {
            let call = call.replace("{id}", &id.to_string());
            let refusal = session.refused(format!("SELECT * FROM {call}")).await;
            let sqlstate = if code == "WF613" { "22023" } else { "54000" };
            assert_eq!(refusal.code(), (sqlstate, code), "{call}: {refusal:?}");
            assert!(!refusal.hint.is_empty() && refusal.detail.len() < 1000, "{call}: {refusal:?}");
        }
        // Values at the limit are accepted.
        for call in [
            "workflow_claim(public.noise(200), 1, ARRAY(SELECT n::text FROM generate_series(1, 1000) AS n), parts => array_fill(0, ARRAY[1024]))",
            "workflow_claim('w', 1, ARRAY[public.noise(1000)])",
            "workflow_start('demo.w', '{}', public.noise(1000))",
            "workflow_pause({id}, public.noise(10000))",
            "workflow_register_action('demo.' || public.noise(995))",
        ] {
            session.run(format!("SELECT * FROM {}", call.replace("{id}", &id.to_string()))).await;
        }
        session.run("DROP FUNCTION public.noise").await;
    })
    .await;
}

/// The owner, who may call internal functions, gets a clear error or an answer, even if the plan is cached.
#[tokio::test]
async fn internal_functions_take_nulls() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.begin(ONE).await;
        session.claim_named(["a"]).await;
        let functions: Vec<(String, Vec<String>)> = session
            .rows(
                "SELECT p.oid::regproc::text, ARRAY(SELECT t.type::regtype::text FROM unnest(p.proargtypes) WITH ORDINALITY AS t(type, place) ORDER BY t.place)
                 FROM pg_proc AS p WHERE p.pronamespace = 'workflow'::regnamespace AND p.prorettype <> 'trigger'::regtype ORDER BY 1",
            )
            .await;
        assert!(functions.len() > 60, "{}", functions.len());
        let good = |kind: &str| match kind {
            "integer" | "bigint" => format!("1::{kind}"),
            "boolean" => "true".into(),
            "xid" => "'1'::xid".into(),
            "regtype" => "'text'::regtype".into(),
            "regclass" => "'workflow.pack'::regclass".into(),
            "regrole" => "'pg_monitor'::regrole".into(),
            "tstzrange" => "'(,)'::tstzrange".into(),
            "interval" => "interval '1 s'".into(),
            "timestamp with time zone" => "now()".into(),
            "jsonb" => "'{}'::jsonb".into(),
            "name" | "text" | "anyelement" => "'x'::text".into(),
            "bytea" => "'x'::bytea".into(),
            "workflow.execution_status" => "'running'::workflow.execution_status".into(),
            "workflow.outcome[]" => "ARRAY[ROW(1, 1, 'completed', NULL, NULL, NULL, NULL, NULL, NULL)]::workflow.outcome[]".into(),
            list if list.ends_with("[]") => format!("ARRAY[1]::{list}"),
            row => format!("(SELECT r FROM {row} AS r LIMIT 1)"),
        };
        for (function, kinds) in functions {
            let null = |kind: &str| format!("NULL::{}", if kind == "anyelement" { "text" } else { kind });
            let arguments = |nulls: &dyn Fn(usize) -> bool| -> String {
                let one = |(place, kind): (usize, &String)| if nulls(place) { null(kind) } else { good(kind) };
                kinds.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
            };
            let mut calls = vec![arguments(&|_| true), arguments(&|_| false)];
            calls.extend((0..kinds.len()).map(|place| arguments(&|other| other == place)));
            for arguments in calls {
                let call = format!("SELECT * FROM {function}({arguments})");
                for _ in 0..6 {
                    session.run("BEGIN").await;
                    if let Err(error) = sqlx::query(sqlx::AssertSqlSafe(call.as_str())).fetch_all(&mut session.connection).await {
                        let refusal = Refusal::of(error);
                        assert!(!["XX000", "XX001", "XX002"].contains(&refusal.sqlstate.as_str()), "{call}: {refusal:#?}");
                    }
                    session.run("ROLLBACK").await;
                }
            }
        }
    })
    .await;
}
