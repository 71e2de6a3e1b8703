//! Recurring starts: when they happen, what happens to missed ones, and what a schedule refuses.

use crate::fixture::*;
use chrono::{DateTime, Utc};
use pg_workflow_client::model::{MissedRuns, Schedule, ScheduleInput};
use pg_workflow_client::{Engine, Error, Page};
use pg_workflow_tests::with_database;
use serde_json::{Value, json};
use std::time::Duration;

const WORKFLOW: &str = "parameters: {properties: {n: {type: integer}}, additionalProperties: false}
tasks: [{name: a, action: demo.a, input: {n: '{{ parameters.n | default(0) }}'}}]";

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn daily(name: &str) -> ScheduleInput {
    ScheduleInput { name: name.into(), cron: "0 3 * * *".into(), r#ref: "demo.w".into(), ..Default::default() }
}

async fn schedule(session: &mut Session, input: ScheduleInput) -> Schedule {
    Engine::schedule(&mut session.connection, input).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn find(session: &mut Session, name: &str) -> Schedule {
    Engine::find_schedule(&mut session.connection, name).await.unwrap().unwrap()
}

async fn tick(session: &mut Session) -> i32 {
    session.value("SELECT workflow_tick()").await
}

/// Returns the times for which executions were started, in order.
async fn runs(session: &mut Session) -> Vec<String> {
    let keys: Vec<(String,)> = session.rows("SELECT idempotency_key FROM workflow.execution ORDER BY id").await;
    keys.into_iter().map(|(key,)| key.split(" for ").nth(1).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_workflow_is_started_whenever_its_cron_expression_fires() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WORKFLOW).await;
        let input = ScheduleInput { parameters: json!({"n": 7}), priority: 5, part: Some(9), ..daily("nightly") };
        let made = schedule(&mut session, input).await;
        assert_eq!((made.next_at, made.last_at), (Some(time("2026-01-01T03:00:00Z")), None));
        assert_eq!(
            (made.workflow_ref.as_str(), &made.parameters, made.grace_seconds),
            ("demo.w", &json!({"n": 7}), 300.0)
        );
        session.at(3.0 * HOUR - 1.0).await;
        assert_eq!(tick(&mut session).await, 0);
        session.at(3.0 * HOUR + 0.5).await;
        assert_eq!(tick(&mut session).await, 1);
        assert_eq!(tick(&mut session).await, 0);
        let after = find(&mut session, "nightly").await;
        assert_eq!(after.next_at, Some(time("2026-01-02T03:00:00Z")));
        assert_eq!(after.last_at, Some(time("2026-01-01T03:00:00Z")));
        assert_eq!(after.last_error, None);
        let [task] = session.claim_named(["a"]).await;
        assert_eq!((&task.input, task.task >> 48), (&Some(json!({"n": 7})), 9));
        session.complete(&task, json!(null)).await;
        let (execution, priority): (i64, i32) =
            session.rows("SELECT execution, priority FROM workflow.workflow_execution").await[0];
        assert_eq!((Some(execution), priority), (after.last_execution, 5));
        // Starts that are due in another part are left to ticks of that part.
        session.at(DAY + 3.0 * HOUR).await;
        assert_eq!(session.value::<i32>("SELECT workflow_tick(parts => '{0,1}')").await, 0);
        assert_eq!(session.value::<i32>("SELECT workflow_tick(parts => '{1,9}')").await, 1);
        assert_eq!(runs(&mut session).await, ["2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z"]);
    })
    .await;
}

#[tokio::test]
async fn a_zone_whose_clock_is_changed_is_followed() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WORKFLOW).await;
        // 2026-03-29 in Berlin has no 02:30, and 2026-10-25 has it twice.
        let berlin = ScheduleInput { cron: "30 2 * * *".into(), time_zone: "Europe/Berlin".into(), ..daily("berlin") };
        for (begin, expected) in [
            ("2026-03-27 12:00Z", ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]),
            ("2026-10-23 12:00Z", ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
        ] {
            session.run(format!("SET pg_workflow.test_now = '{begin}'")).await;
            let mut next = schedule(&mut session, berlin.clone()).await.next_at;
            for due in expected {
                assert_eq!(next, Some(time(due)));
                session.run(format!("SET pg_workflow.test_now = '{due}'")).await;
                assert_eq!(tick(&mut session).await, 1);
                next = find(&mut session, "berlin").await.next_at;
            }
            assert!(Engine::unschedule(&mut session.connection, "berlin").await.unwrap());
        }
    })
    .await;
}

#[tokio::test]
async fn missed_times_are_skipped_made_up_for_once_or_all() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WORKFLOW).await;
        for missed in [MissedRuns::Skip, MissedRuns::Once, MissedRuns::All] {
            schedule(&mut session, ScheduleInput { missed, ..daily(missed.as_str()) }).await;
        }
        // Nobody has ticked for four days.
        session.at(3.0 * DAY + 9.0 * HOUR).await;
        assert_eq!(tick(&mut session).await, 1 + 1 + 4);
        assert_eq!(tick(&mut session).await, 0);
        let of = |name: &str| {
            format!("SELECT count(*) FROM workflow.execution WHERE idempotency_key LIKE 'schedule {name} %'")
        };
        for (missed, started) in [("skip", 0), ("once", 1), ("all", 4)] {
            assert_eq!(session.value::<i64>(of(missed)).await, started, "{missed}");
            assert_eq!(find(&mut session, missed).await.next_at, Some(time("2026-01-05T03:00:00Z")), "{missed}");
        }
        let skip = find(&mut session, "skip").await;
        assert_eq!((skip.last_at, skip.last_execution), (None, None));
        assert!(skip.last_error.unwrap().starts_with("WF611: missed: the start for 2026-01-04 03:00:00"));
        for name in ["once", "all"] {
            assert_eq!(find(&mut session, name).await.last_at, Some(time("2026-01-04T03:00:00Z")));
        }
        // A start that is late by no more than the grace is not missed.
        session.at(4.0 * DAY + 3.0 * HOUR + 300.0).await;
        assert_eq!(tick(&mut session).await, 3);
        assert_eq!(find(&mut session, "skip").await.last_at, Some(time("2026-01-05T03:00:00Z")));
        session.at(5.0 * DAY + 3.0 * HOUR + 300.5).await;
        assert_eq!(tick(&mut session).await, 3);
        assert_eq!(find(&mut session, "skip").await.last_at, Some(time("2026-01-05T03:00:00Z")));
        assert_eq!(session.value::<i64>(of("skip")).await, 1);
    })
    .await;
}

#[tokio::test]
async fn however_many_were_missed_a_tick_starts_no_more_than_it_may() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WORKFLOW).await;
        for (name, missed) in [("all", MissedRuns::All), ("once", MissedRuns::Once)] {
            let cron = "* * * * *".into();
            schedule(&mut session, ScheduleInput { missed, cron, ..daily(name) }).await;
        }
        session.at(25.0 * MINUTE).await;
        let mut ticks = Vec::new();
        loop {
            ticks.push(session.value::<i32>("SELECT workflow_tick(10)").await);
            if ticks.last() == Some(&0) {
                break;
            }
        }
        assert_eq!(ticks, [10, 10, 6, 0]);
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.execution").await, 26);
        // Years later there is one start, and it is found quickly.
        session.run("UPDATE workflow.schedule SET missed = 'once'").await;
        session.at(20.0 * 365.0 * DAY).await;
        session.run("SET statement_timeout = '10s'").await;
        assert_eq!(tick(&mut session).await, 2);
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.execution").await, 28);
    })
    .await;
}

#[tokio::test]
async fn without_overlap_nothing_is_started_while_the_execution_before_goes_on() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WORKFLOW).await;
        schedule(&mut session, ScheduleInput { overlap: false, missed: MissedRuns::All, ..daily("one") }).await;
        session.at(2.0 * DAY).await;
        // Two have been missed; the second would have overlapped the first.
        assert_eq!(tick(&mut session).await, 1);
        assert_eq!(runs(&mut session).await, ["2026-01-02T03:00:00Z"]);
        let first = find(&mut session, "one").await.last_execution.unwrap();
        session.at(2.0 * DAY + 3.0 * HOUR).await;
        assert_eq!(tick(&mut session).await, 1);
        let held = find(&mut session, "one").await;
        assert_eq!((held.last_execution, held.next_at), (Some(first), Some(time("2026-01-04T03:00:00Z"))));
        assert!(held.last_error.unwrap().ends_with(&format!("execution {first} had not ended yet")));
        session.work("a", json!(null)).await;
        session.at(3.0 * DAY + 3.0 * HOUR).await;
        assert_eq!(tick(&mut session).await, 1);
        assert_eq!(runs(&mut session).await, ["2026-01-02T03:00:00Z", "2026-01-04T03:00:00Z"]);
        assert_eq!(find(&mut session, "one").await.last_error, None);
    })
    .await;
}

#[tokio::test]
async fn a_failed_scheduled_start_is_recorded_and_does_not_fail_the_tick() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WORKFLOW).await;
        session.define_as("demo.other", "tasks: [{name: a, action: demo.a}]").await;
        for (name, r#ref) in [("broken", "demo.w"), ("good", "demo.other")] {
            let parameters = if name == "good" { json!({}) } else { json!({"n": 1}) };
            schedule(&mut session, ScheduleInput { r#ref: r#ref.into(), parameters, ..daily(name) }).await;
        }
        let mut day = 0.0;
        for (change, code) in [
            ("SELECT workflow_define($$ {ref: demo.w, label: x, version: 2.0.0, parameters: {properties: {n: {type: string}}}, tasks: [{name: a, action: demo.a}]} $$)", "WF601"),
            ("SELECT workflow_define($$ {ref: demo.w, label: x, version: 2.0.1, enabled: false, tasks: [{name: a, action: demo.a}]} $$)", "WF611"),
            ("SELECT workflow_delete_definition(id) FROM workflow.workflow_definition WHERE ref = 'demo.w'", "WF616"),
            ("UPDATE workflow.schedule SET time_zone = 'Atlantis' WHERE name = 'broken'", "WF613"),
        ] {
            session.run(change).await;
            session.at(day * DAY + 3.0 * HOUR).await;
            assert_eq!(tick(&mut session).await, 2, "{change}");
            let broken = find(&mut session, "broken").await;
            assert!(broken.last_error.as_ref().unwrap().starts_with(code), "{change}: {:?}", broken.last_error);
            assert_eq!((broken.last_at, broken.last_execution), (None, None));
            let good = find(&mut session, "good").await;
            assert_eq!((good.last_error, good.last_at), (None, good.next_at.map(|at| at - chrono::TimeDelta::days(1))));
            if code != "WF613" {
                assert_eq!(broken.next_at, good.next_at, "it waits for its next time");
            } else {
                assert_eq!(broken.next_at, None, "a clock that is not there shows no time");
            }
            day += 1.0;
        }
        assert_eq!(runs(&mut session).await.len(), 4);
        // Once repaired, it continues.
        session.define(WORKFLOW).await;
        let mended = schedule(&mut session, ScheduleInput { parameters: json!({"n": 1}), ..daily("broken") }).await;
        assert_eq!((mended.last_error, mended.next_at), (None, Some(time("2026-01-05T03:00:00Z"))));
        session.at(day * DAY + 3.0 * HOUR).await;
        assert_eq!(tick(&mut session).await, 2);
        assert_eq!(find(&mut session, "broken").await.last_error, None);
    })
    .await;
}

#[tokio::test]
async fn the_same_name_again_is_the_same_schedule() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WORKFLOW).await;
        let made = schedule(&mut session, daily("nightly")).await;
        // If nothing differs, nothing is written. A start that is already due stays due.
        session.at(4.0 * HOUR).await;
        assert_eq!(schedule(&mut session, daily("nightly")).await, made);
        let other = schedule(&mut session, ScheduleInput { parameters: json!({"n": 2}), ..daily("nightly") }).await;
        assert_eq!((other.id, other.next_at, &other.parameters), (made.id, made.next_at, &json!({"n": 2})));
        // A different expression has different times.
        let hourly = ScheduleInput { cron: "@hourly".into(), ..daily("nightly") };
        assert_eq!(schedule(&mut session, hourly).await.next_at, Some(time("2026-01-01T05:00:00Z")));
        assert_eq!(Engine::list_schedules(&mut session.connection, Page::default()).await.unwrap().len(), 1);
        // Deleted and created again, it does not start twice for the same time.
        session.at(5.0 * HOUR).await;
        assert_eq!(tick(&mut session).await, 1);
        assert!(Engine::unschedule(&mut session.connection, "nightly").await.unwrap());
        assert!(!Engine::unschedule(&mut session.connection, "nightly").await.unwrap());
        assert_eq!(Engine::find_schedule(&mut session.connection, "nightly").await.unwrap(), None);
        session.at(4.5 * HOUR).await;
        schedule(&mut session, ScheduleInput { cron: "@hourly".into(), ..daily("nightly") }).await;
        session.at(5.0 * HOUR).await;
        assert_eq!(tick(&mut session).await, 1);
        assert_eq!(runs(&mut session).await, ["2026-01-01T05:00:00Z"]);
    })
    .await;
}

#[tokio::test]
async fn a_paused_schedule_starts_nothing_and_makes_nothing_up() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WORKFLOW).await;
        schedule(&mut session, ScheduleInput { missed: MissedRuns::All, ..daily("nightly") }).await;
        let paused = Engine::pause_schedule(&mut session.connection, "nightly").await.unwrap();
        assert_eq!((paused.paused, paused.next_at), (true, None));
        assert_eq!(Engine::pause_schedule(&mut session.connection, "nightly").await.unwrap(), paused);
        // Defining it again, as a deployment does, keeps the pause.
        let again = schedule(&mut session, ScheduleInput { cron: "0 4 * * *".into(), ..daily("nightly") }).await;
        assert_eq!((again.paused, again.next_at), (true, None));
        session.at(3.0 * DAY).await;
        assert_eq!(tick(&mut session).await, 0);
        let resumed = Engine::resume_schedule(&mut session.connection, "nightly").await.unwrap();
        assert_eq!((resumed.paused, resumed.next_at), (false, Some(time("2026-01-04T04:00:00Z"))));
        session.at(3.0 * DAY + 4.0 * HOUR).await;
        assert_eq!(Engine::resume_schedule(&mut session.connection, "nightly").await.unwrap(), resumed);
        assert_eq!(tick(&mut session).await, 1);
        assert_eq!(runs(&mut session).await, ["2026-01-04T04:00:00Z"]);
    })
    .await;
}

#[tokio::test]
async fn of_many_that_tick_at_once_one_starts() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WORKFLOW).await;
        for n in 0..20 {
            let missed = if n % 2 == 0 { MissedRuns::All } else { MissedRuns::Once };
            schedule(&mut session, ScheduleInput { missed, ..daily(&format!("s{n}")) }).await;
        }
        let mut tickers = Vec::new();
        for _ in 0..8 {
            let mut ticker = Session::new(db).await;
            ticker.at(DAY + 4.0 * HOUR).await;
            tickers.push(ticker);
        }
        let mut total = 0;
        for _ in 0..3 {
            let counts = futures::future::join_all(
                tickers.iter_mut().map(|ticker| ticker.value::<i32>("SELECT workflow_tick(7)")),
            );
            total += counts.await.into_iter().sum::<i32>();
        }
        assert_eq!(total, 10 * 2 + 10);
        let (starts, times): (i64, i64) =
            session.rows("SELECT count(*), count(DISTINCT idempotency_key) FROM workflow.execution").await[0];
        assert_eq!((starts, times), (30, 30));
    })
    .await;
}

#[tokio::test]
async fn a_schedule_that_another_ticker_holds_is_left_to_it() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WORKFLOW).await;
        schedule(&mut session, daily("nightly")).await;
        let mut other = Session::new(db).await;
        for ticker in [&mut session, &mut other] {
            ticker.at(3.0 * HOUR).await;
        }
        session.run("BEGIN").await;
        assert_eq!(tick(&mut session).await, 1);
        assert_eq!(tick(&mut other).await, 0);
        session.run("ROLLBACK").await;
        assert_eq!(tick(&mut other).await, 1);
        assert_eq!(tick(&mut session).await, 0);
    })
    .await;
}

#[tokio::test]
async fn where_nothing_is_due_nothing_is_written_and_one_index_page_is_read() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WORKFLOW).await;
        schedule(&mut session, daily("nightly")).await;
        session
            .run(
                "INSERT INTO workflow.schedule (name, cron, time_zone, workflow_ref, parameters, missed, grace, overlap, priority, part, next_at)
                 SELECT 's' || n, '0 3 * * *', 'UTC', 'demo.w', '{}', 'once', '5 minutes', true, 0, 0, '2026-01-01 03:00Z'
                 FROM generate_series(1, 20000) AS n; ANALYZE workflow.schedule",
            )
            .await;
        session.run("BEGIN").await;
        assert_eq!(tick(&mut session).await, 0);
        assert_eq!(session.value::<Option<String>>("SELECT pg_current_xact_id_if_assigned()::text").await, None);
        session.run("ROLLBACK").await;
        let plan: Value = session
            .value(
                "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT s.* FROM workflow.schedule s
                 WHERE s.next_at <= workflow.now() AND (NULL::int[] IS NULL OR s.part = ANY (NULL::int[]))
                 ORDER BY s.next_at, s.id LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED",
            )
            .await;
        assert!(plan.to_string().contains("schedule_next_idx"), "{plan:#}");
        session.run("DELETE FROM workflow.schedule").await;
    })
    .await;
}

#[tokio::test]
async fn an_invalid_schedule_is_refused_by_kind_and_changes_nothing() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define(WORKFLOW).await;
        session.define_as("demo.off", "enabled: false\ntasks: [{name: a, action: demo.a}]").await;
        schedule(&mut session, daily("there")).await;
        for name in ["there", "new"] {
            for (arguments, sqlstate, code, word) in [
                ("cron => '61 * * * *', ref => 'demo.w'", "22023", "WF613", "the cron expression is invalid"),
                ("cron => '* * * *', ref => 'demo.w'", "22023", "WF613", "the cron expression is invalid"),
                ("cron => '', ref => 'demo.w'", "22023", "WF613", "the cron expression is invalid"),
                ("cron => '0 0 30 2 *', ref => 'demo.w'", "22023", "WF613", "the cron expression never fires"),
                (
                    "cron => '@daily', ref => 'demo.w', time_zone => 'Mars/Olympus'",
                    "22023",
                    "WF613",
                    "unknown time zone",
                ),
                ("cron => '@daily', ref => 'demo.w', time_zone => ''", "22023", "WF613", "unknown time zone"),
                ("cron => '@daily', ref => 'demo.nowhere'", "P0002", "WF616", "demo.nowhere"),
                ("cron => '@daily', ref => 'demo.off'", "55000", "WF611", "disabled"),
                ("cron => '@daily', ref => 'demo.w', parameters => '{\"n\": \"x\"}'", "22023", "WF601", "parameters"),
                ("cron => '@daily', ref => 'demo.w', parameters => '[]'", "22023", "WF601", "parameters"),
                ("cron => '@daily', ref => 'demo.w', missed => 'never'", "22023", "WF613", "unknown value of missed"),
                ("cron => '@daily', ref => 'demo.w', grace => '-1 s'", "22023", "WF613", "grace is out of range"),
                (
                    "cron => '@daily', ref => 'demo.w', grace => '1000000 days'",
                    "22023",
                    "WF613",
                    "grace is out of range",
                ),
                ("cron => '@daily', ref => 'demo.w', priority => 1001", "22023", "WF613", "priority"),
                ("cron => '@daily', ref => 'demo.w', part => 1024", "22023", "WF613", "part"),
                ("cron => NULL, ref => 'demo.w'", "22023", "WF613", "cron is null"),
                ("cron => '@daily', ref => NULL", "22023", "WF613", "ref is null"),
                ("cron => '@daily', ref => 'demo.w', parameters => NULL", "22023", "WF613", "parameters is null"),
                ("cron => '@daily', ref => 'demo.w', time_zone => NULL", "22023", "WF613", "time_zone is null"),
                ("cron => '@daily', ref => 'demo.w', missed => NULL", "22023", "WF613", "missed is null"),
                ("cron => '@daily', ref => 'demo.w', grace => NULL", "22023", "WF613", "grace is null"),
                ("cron => '@daily', ref => 'demo.w', overlap => NULL", "22023", "WF613", "overlap is null"),
                ("cron => '@daily', ref => 'demo.w', priority => NULL", "22023", "WF613", "priority is null"),
            ] {
                let refusal = session.refused(format!("SELECT workflow_schedule(name => '{name}', {arguments})")).await;
                assert_eq!(refusal.code(), (sqlstate, code), "{arguments}: {refusal:?}");
                assert!(refusal.message.contains(word), "{arguments}: {refusal:?}");
                assert!(!refusal.hint.is_empty(), "{arguments}: {refusal:?}");
            }
        }
        for name in ["NULL", "''", "repeat('x', 201)"] {
            let refusal = session.refused(format!("SELECT workflow_schedule({name}, '@daily', 'demo.w')")).await;
            assert_eq!(refusal.code(), ("22023", "WF613"), "{name}: {refusal:?}");
        }
        for call in [
            "workflow_unschedule(NULL)",
            "workflow_find_schedule(NULL)",
            "workflow_pause_schedule(NULL)",
            "workflow_resume_schedule(NULL)",
        ] {
            assert_eq!(session.refused(format!("SELECT * FROM {call}")).await.code(), ("22023", "WF613"), "{call}");
        }
        for error in [
            Engine::pause_schedule(&mut session.connection, "nowhere").await.unwrap_err(),
            Engine::resume_schedule(&mut session.connection, "nowhere").await.unwrap_err(),
        ] {
            assert!(matches!(error, Error::NotFound(_)) && error.code() == Some("WF616"), "{error}");
        }
        let input = ScheduleInput { grace: Duration::from_secs(1), time_zone: "x".into(), ..daily("new") };
        let error = Engine::schedule(&mut session.connection, input).await.unwrap_err();
        assert!(matches!(error, Error::Validation(_)), "{error}");
    })
    .await;
}

#[tokio::test]
async fn an_execution_knows_the_time_that_it_is_for() {
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.define("tasks: [{name: a, action: demo.a, input: {day: '{{ (system.scheduled_for or \"none\")[:10] }}'}, on_success: b}, {name: b, action: demo.b, input: {for: '{{ system.scheduled_for }}'}}]").await;
        schedule(&mut session, ScheduleInput { missed: MissedRuns::All, ..daily("nightly") }).await;
        session.at(2.0 * DAY + 5.0 * HOUR).await;
        tick(&mut session).await;
        let started = runs(&mut session).await;
        assert!(started.len() >= 2, "{started:?}");
        let claimed = session.claim(10).await;
        let days: Vec<Value> = claimed.iter().map(|task| task.input.clone().unwrap()["day"].clone()).collect();
        let expected: Vec<Value> = started.iter().map(|time| json!(time[..10])).collect();
        assert_eq!(days, expected, "each has its own, however late it was started");
        session.complete(&claimed[0], json!(null)).await;
        let [b] = session.claim_named(["b"]).await;
        let seen: DateTime<Utc> = time(b.input.unwrap()["for"].as_str().unwrap());
        assert_eq!(seen, time(&started[0]));

        session.run("SELECT workflow_start('demo.w', run_at => '2030-01-02 03:04:05+00')").await;
        session.run("SELECT workflow_start('demo.w')").await;
        let inputs: Vec<(Value,)> =
            session.rows("SELECT input FROM workflow.workflow_task_execution WHERE task_name = 'a' ORDER BY id DESC LIMIT 2").await;
        assert_eq!(inputs, [(json!({"day": "none"}),), (json!({"day": "2030-01-02"}),)]);
    })
    .await;
}
