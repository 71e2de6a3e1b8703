//! Arguments that cannot be: a clear error each, and nothing has changed.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;

const ONE: &str = "tasks: [{name: a, action: demo.a, retry: {count: 5, delay: 10}}]\n";

/// What no interval argument takes. The first two are intervals since PostgreSQL 17, and before that no text of one.
const NO_INTERVALS: [&str; 6] =
    ["infinity", "-infinity", "-1 microsecond", "-1 day", "-170000000 years", "170000000 years"];

/// Calls with an interval argument, as `$`; `@` is the lease token of task 1.
const INTERVALS: [(&str, &str); 8] = [
    ("workflow_claim", "workflow_claim('w1', 1, NULL, $)"),
    ("workflow_fail", "workflow_fail(1, @, retry_in => $)"),
    ("workflow_finish_and_claim", "workflow_finish_and_claim('w1', '{}', 1, NULL, $)"),
    ("workflow_heartbeat", "workflow_heartbeat('{1}', '{@}', $)"),
    ("workflow_prune", "workflow_prune($)"),
    ("workflow_schedule", "workflow_schedule('s', '0 9 * * *', 'demo.w', grace => $)"),
    ("workflow_wait", "workflow_wait(1, $)"),
    // In an array of outcomes it is answered, not raised: see below.
    ("workflow_finish", "workflow_finish(ARRAY[ROW(1, @, 'failed', NULL, NULL, NULL, $)::workflow.outcome])"),
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
            for call in [
                format!("workflow_start('demo.w', part => {part})"),
                format!("workflow_start_many('demo.w', ARRAY['{{}}']::jsonb[], part => {part})"),
                format!("workflow_claim('w1', 1, parts => ARRAY[0, {part}])"),
                format!("workflow_finish_and_claim('w1', '{{}}', parts => ARRAY[{part}]::int[])"),
                format!("workflow_schedule('s', '0 9 * * *', 'demo.w', part => {part})"),
                format!("workflow_tick(10, ARRAY[{part}, 0])"),
            ] {
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
        refused(&mut session, &format!("resume({id})"), "WF611").await;
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
        // Neither lease was prolonged by that.
        session.at(30.0).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick()").await, 2);
    })
    .await;
}
