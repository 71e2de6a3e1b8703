//! Reports for executions that another session has locked.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::{Value, json};

const THREE: &str = "tasks:
  - {name: each, action: demo.a, with_items: [a, b, c], on_success: after}
  - {name: after, action: demo.b, input: {all: '{{ task.each.result }}'}}
";

const JOIN: &str = "tasks:
  - {name: a, action: demo.a, publish: {seen: a}, on_success: join}
  - {name: b, action: demo.a, publish: {seen: b}, on_success: join}
  - {name: c, action: demo.a, publish: {seen: c}, on_success: join}
  - {name: join, join: all, action: demo.b, input: {seen: '{{ vars.seen }}'}}
vars: {seen: nobody}
";

/// Locks an execution in an open transaction.
async fn hold(holder: &mut Session, execution: i64) {
    holder
        .run(format!("BEGIN; SELECT FROM workflow.workflow_execution WHERE id = {execution} FOR NO KEY UPDATE"))
        .await;
}

async fn pending(session: &mut Session) -> i64 {
    session.value("SELECT count(*) FROM workflow.pending_report").await
}

async fn assert_sound(session: &mut Session) {
    let broken: Vec<(String, String)> = session.rows("SELECT invariant, detail FROM workflow_check()").await;
    assert_eq!(broken, []);
}

#[tokio::test]
async fn a_completed_task_does_not_wait_and_the_next_claim_processes_it() {
    with_database(async |db| {
        let (mut session, mut holder) = (Session::new(db).await, Session::new(db).await);
        session.run("SET lock_timeout = '1s'").await;
        // As many times as a plan may change.
        for round in 0..7 {
            let id = session.begin(THREE).await;
            let [a, b, c] = session.claim_named(["each"; 3]).await;
            hold(&mut holder, id).await;
            for task in [&c, &a, &b] {
                assert_eq!(session.complete(task, json!(round)).await, "completed");
                assert_eq!(session.complete(task, json!("again")).await, "completed");
            }
            assert_eq!(pending(&mut session).await, 3);
            assert!(session.claim(10).await.is_empty(), "somebody still has it");
            assert_sound(&mut session).await;
            holder.run("COMMIT").await;
            let [after] = session.claim_named(["after"]).await;
            assert_eq!(after.input, Some(json!({"all": [round, round, round]})));
            assert_eq!(pending(&mut session).await, 0);
            session.complete(&after, json!(null)).await;
            session.assert_ended(id, "completed", json!(null)).await;
            assert_sound(&mut session).await;
        }
    })
    .await;
}

/// The next session that locks the execution, for whatever reason, processes pending reports first.
#[tokio::test]
async fn pending_reports_come_before_what_anybody_does() {
    with_database(async |db| {
        let (mut session, mut holder) = (Session::new(db).await, Session::new(db).await);
        for what in ["report", "tick", "pause", "cancel", "signal"] {
            let rest = JOIN.replace(
                "tasks:\n",
                "tasks:\n  - {name: wait, wait_for: {signal: go}}\n  - {name: slow, action: demo.c}\n",
            );
            let id = session.begin(&rest).await;
            let [a, b, c, slow] = session.claim_named(["a", "b", "c", "slow"]).await;
            hold(&mut holder, id).await;
            for task in [&b, &c, &a] {
                assert_eq!(session.complete(task, json!(null)).await, "completed");
            }
            holder.run("COMMIT").await;
            let call = match what {
                "report" => format!("workflow_complete({}, {})", slow.task, slow.lease_token),
                "tick" => "workflow_tick()".to_owned(),
                "signal" => format!("workflow_signal({id}, 'go')"),
                control => format!("workflow_{control}({id})"),
            };
            session.run(format!("SELECT {call}")).await;
            assert_eq!(pending(&mut session).await, 0, "{what}");
            // In order of completion: the last one wins. A cancel withdraws tasks that had become ready.
            let join: (String, Value) =
                session.rows("SELECT status::text, input FROM workflow.workflow_task_execution WHERE task_name = 'join' ORDER BY id DESC LIMIT 1").await.remove(0);
            let status = if what == "cancel" { "cancelled" } else { "scheduled" };
            assert_eq!(join, (status.to_owned(), json!({"seen": "a"})), "{what}");
            assert_sound(&mut session).await;
            session.run(format!("SELECT workflow_cancel({id}, force => true)")).await;
        }
    })
    .await;
}

/// Their answers depend on what the conductor decides.
#[tokio::test]
async fn failures_and_successes_that_may_not_be_the_end_wait_for_their_turn() {
    with_database(async |db| {
        let (mut session, mut holder) = (Session::new(db).await, Session::new(db).await);
        session.run("SET lock_timeout = '100ms'").await;
        let id = session
            .begin(
                "tasks:
  - {name: fails, action: demo.a, retry: {count: 1}}
  - {name: poll, action: demo.a, repeat: {until: '{{ result() == 1 }}'}}
  - {name: retried, action: demo.a, retry: {count: 1, when: '{{ result() != 1 }}'}}
",
            )
            .await;
        let [fails, poll, retried] = session.claim_named(["fails", "poll", "retried"]).await;
        hold(&mut holder, id).await;
        for call in [
            format!("workflow_fail({}, {})", fails.task, fails.lease_token),
            format!("workflow_complete({}, {})", poll.task, poll.lease_token),
            format!("workflow_complete({}, {})", retried.task, retried.lease_token),
        ] {
            let refused = session.refused(format!("SELECT {call}")).await;
            assert_eq!(refused.sqlstate, "55P03", "{call}: {refused:?}");
        }
        // Also from a session that has not claimed it.
        let mut other = Session::new(db).await;
        other.run("SET lock_timeout = '100ms'").await;
        let refused = other.refused(format!("SELECT workflow_complete({}, {})", poll.task, poll.lease_token)).await;
        assert_eq!(refused.sqlstate, "55P03", "{refused:?}");
        // In the same call, reports that need not wait do wait.
        assert_eq!(pending(&mut session).await, 0);
        holder.run("COMMIT").await;
        assert_eq!(session.complete(&poll, json!(0)).await, "retrying");
        let [again] = session.claim_named(["poll"]).await;
        hold(&mut holder, id).await;
        let refused = session.refused(format!("SELECT workflow_complete({}, {})", again.task, again.lease_token)).await;
        assert_eq!(refused.sqlstate, "55P03", "{refused:?}");
        holder.run("COMMIT").await;
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn a_call_waits_for_no_execution_of_which_only_successes_are_reported() {
    with_database(async |db| {
        let (mut session, mut holder) = (Session::new(db).await, Session::new(db).await);
        session.run("SET lock_timeout = '1s'").await;
        session.define(THREE).await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[300]))").await;
        let tasks = session.claim(900).await;
        holder.run("BEGIN; SELECT FROM workflow.workflow_execution WHERE id % 2 = 0 FOR NO KEY UPDATE").await;
        let outcomes: Vec<_> = tasks.iter().map(|task| (task.task, task.lease_token, "completed")).collect();
        let answers = session.finish(&outcomes).await;
        assert!(answers.iter().all(|answer| answer.word() == "completed"), "{answers:?}");
        assert_eq!(pending(&mut session).await, 450);
        assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.lease").await, 0, "all is reported");
        assert_eq!(session.claim(900).await.len(), 150);
        holder.run("COMMIT").await;
        assert_eq!(session.claim(900).await.len(), 150);
        assert_eq!(pending(&mut session).await, 0);
        assert_sound(&mut session).await;
    })
    .await;
}

#[tokio::test]
async fn a_pending_report_that_is_rolled_back_never_was() {
    with_database(async |db| {
        let (mut session, mut holder) = (Session::new(db).await, Session::new(db).await);
        let id = session.begin(JOIN).await;
        let [a, b, c] = session.claim_named(["a", "b", "c"]).await;
        hold(&mut holder, id).await;
        session.run("BEGIN").await;
        session.complete(&a, json!(null)).await;
        session.run("ROLLBACK; BEGIN; SAVEPOINT one").await;
        session.complete(&b, json!(null)).await;
        session.run("ROLLBACK TO one").await;
        session.complete(&c, json!(null)).await;
        session.run("COMMIT").await;
        holder.run("ROLLBACK").await;
        session.run("SELECT workflow_tick()").await;
        assert_eq!(session.status(id).await["completed_tasks"], json!(["c"]));
        for task in [&a, &b] {
            assert_eq!(session.complete(task, json!(null)).await, "completed");
        }
        let [join] = session.claim_named(["join"]).await;
        assert_eq!(join.input, Some(json!({"seen": "b"})));
        assert_sound(&mut session).await;
    })
    .await;
}

/// Anything that withdraws running tasks skips one that is being reported: it counts as done, and nobody waits for its
/// transaction.
#[tokio::test]
async fn what_is_being_reported_is_neither_voided_nor_expired() {
    with_database(async |db| {
        let (mut session, mut reporter, mut holder) =
            (Session::new(db).await, Session::new(db).await, Session::new(db).await);
        session.run("SET lock_timeout = '1s'").await;
        let ways = "cancellation_policy: cancel_running\n";
        for what in ["cancel", "force", "lease", "timeout"] {
            let id = session.begin(&format!("{ways}tasks: [{{name: a, action: demo.a, timeout: 60}}]")).await;
            let [a] = session.claim_named(["a"]).await;
            hold(&mut holder, id).await;
            reporter.run("BEGIN").await;
            assert_eq!(reporter.complete(&a, json!(null)).await, "completed");
            holder.run("COMMIT").await;
            match what {
                "cancel" => session.run(format!("SELECT workflow_cancel({id})")).await,
                "force" => session.run(format!("SELECT workflow_cancel({id}, force => true)")).await,
                "lease" => {
                    session.at(31.0).await;
                    session.run("SELECT workflow_tick()").await;
                }
                _ => {
                    session.at(61.0).await;
                    session.run("SELECT workflow_tick()").await;
                }
            }
            reporter.run("COMMIT").await;
            session.run("SELECT workflow_tick()").await;
            let status = if ["cancel", "force"].contains(&what) { "cancelled" } else { "completed" };
            session.assert_ended(id, status, json!(null)).await;
            let task: String = session
                .value(format!(
                    "SELECT status::text FROM workflow.workflow_task_execution WHERE workflow_execution = {id}"
                ))
                .await;
            assert_eq!(task, "completed", "{what}");
            assert_sound(&mut session).await;
            session.at(0.0).await;
        }
    })
    .await;
}

#[tokio::test]
async fn why_says_who_has_locked_an_execution_and_check_what_nobody_has_processed() {
    with_database(async |db| {
        let (mut session, mut holder) = (Session::new(db).await, Session::new(db).await);
        let id = session.begin(THREE).await;
        let [a, _, _] = session.claim_named(["each"; 3]).await;
        let pid: i32 = holder.value("SELECT pg_backend_pid()").await;
        hold(&mut holder, id).await;
        session.complete(&a, json!(null)).await;
        let why = format!("SELECT why, hint FROM workflow_why({id}) LIMIT 1");
        let (told, hint): (String, String) = session.rows(&why).await.remove(0);
        let expected = format!("reports of 1 completed tasks have been pending since 2026-01-01 00:00:00+00: process {pid} has locked the execution");
        assert_eq!(told, expected);
        assert!(hint.ends_with(&format!("WHERE pid = {pid}")), "{hint}");
        session.run(hint).await;
        holder.run("COMMIT").await;
        let (told, hint): (String, String) = session.rows(&why).await.remove(0);
        assert_eq!(told, "reports of 1 completed tasks have been pending since 2026-01-01 00:00:00+00");
        assert_eq!(hint, "the next claim or workflow_tick processes them");
        session.at(61.0).await;
        let broken: Vec<(String, i64)> = session.rows("SELECT invariant, id FROM workflow_check() WHERE subject = 'pending_report'").await;
        assert_eq!(broken, [("a pending report is processed within a minute".to_owned(), a.task)]);
        let overdue = "SELECT rows FROM workflow.overdue_summary WHERE kind = 'pending report'";
        assert_eq!(session.value::<i64>(overdue).await, 1);
        session.run("SELECT workflow_tick()").await;
        assert_eq!(pending(&mut session).await, 0);
    })
    .await;
}

/// Workflows that call workflows: a pending report ends a called execution, and its caller continues.
#[tokio::test]
async fn the_end_of_a_called_execution_can_be_pending() {
    with_database(async |db| {
        let (mut session, mut holder) = (Session::new(db).await, Session::new(db).await);
        session.define_as("demo.child", "tasks: [{name: work, action: demo.a}]").await;
        let id = session
            .begin("tasks: [{name: call, action: demo.child, on_success: after}, {name: after, action: demo.b}]")
            .await;
        let [work] = session.claim_named(["work"]).await;
        let child: i64 = session.value(format!("SELECT id FROM workflow.execution WHERE parent = {id}")).await;
        hold(&mut holder, child).await;
        assert_eq!(session.complete(&work, json!(null)).await, "completed");
        holder.run("COMMIT").await;
        let [after] = session.claim_named(["after"]).await;
        session.complete(&after, json!(null)).await;
        session.assert_ended(id, "completed", json!(null)).await;
        assert_sound(&mut session).await;
    })
    .await;
}

/// Locked executions do not keep others from being examined, however few a call examines.
#[tokio::test]
async fn executions_that_are_locked_do_not_take_the_place_of_others() {
    with_database(async |db| {
        let (mut session, mut holder) = (Session::new(db).await, Session::new(db).await);
        session.define("tasks: [{name: x, action: demo.a, on_success: y}, {name: y, action: demo.b}]").await;
        session.run("SELECT workflow_start_many('demo.w', array_fill('{}'::jsonb, ARRAY[6]))").await;
        let mut tasks = session.claim(6).await;
        tasks.sort_by_key(|task| task.task);
        for way in ["SELECT count(*) FROM workflow_claim('w', 1)", "SELECT workflow_tick(1)::bigint"] {
            holder.run("BEGIN; SELECT FROM workflow.workflow_execution FOR NO KEY UPDATE").await;
            let last = tasks.pop().unwrap();
            for task in tasks[..3].iter().chain([&last]) {
                assert_eq!(session.complete(task, json!(null)).await, "completed");
            }
            holder.run("COMMIT; BEGIN").await;
            let locked = tasks[..3].iter().map(|task| task.execution.to_string()).collect::<Vec<_>>().join(", ");
            holder.run(format!("SELECT FROM workflow.workflow_execution WHERE id IN ({locked}) FOR NO KEY UPDATE")).await;
            assert_eq!(session.value::<i64>(way).await, 1, "{way}");
            assert_eq!(session.value::<i64>(format!("SELECT count(*) FROM workflow.workflow_task_execution WHERE workflow_execution = {} AND task_name = 'y'", last.execution)).await, 1);
            holder.run("COMMIT").await;
        }
        session.run("SELECT workflow_tick()").await;
        assert_sound(&mut session).await;
    })
    .await;
}

/// A task that was skipped because it was being reported, and whose report was rolled back, is not needed either.
#[tokio::test]
async fn what_was_passed_over_as_needless_is_not_taken_over() {
    with_database(async |db| {
        let (mut session, mut reporter, mut holder) =
            (Session::new(db).await, Session::new(db).await, Session::new(db).await);
        for (rest, names) in [
            (
                "tasks:
  - {name: x, action: demo.a, on_success: j}
  - {name: y, action: demo.a, on_success: j}
  - {name: j, join: {count: 1, rest: cancel}, action: demo.b}
",
                ["x", "y"],
            ),
            (
                "tasks:
  - {name: x, action: demo.a, with_items: {items: [1, 2], min_successes: 1, rest: cancel_running}, on_success: j}
  - {name: j, action: demo.b}
",
                ["x", "x"],
            ),
        ] {
            let id = session.begin(rest).await;
            let [x, y] = session.claim_named(names).await;
            hold(&mut holder, id).await;
            reporter.run("BEGIN").await;
            assert_eq!(reporter.complete(&y, json!(null)).await, "completed");
            assert_eq!(session.complete(&x, json!(null)).await, "completed");
            holder.run("COMMIT").await;
            session.run("SELECT workflow_tick()").await;
            reporter.run("ROLLBACK").await;
            session.at(40.0).await;
            session.run("SELECT workflow_tick()").await;
            session.work("j", json!(null)).await;
            session.assert_ended(id, "completed", json!(null)).await;
            assert_sound(&mut session).await;
            session.at(0.0).await;
        }
    })
    .await;
}

/// A repeated cancel reaches tasks that the first one skipped.
#[tokio::test]
async fn a_repeated_cancel_takes_away_what_was_being_reported_at_the_first() {
    with_database(async |db| {
        let (mut session, mut reporter, mut holder) =
            (Session::new(db).await, Session::new(db).await, Session::new(db).await);
        for call in ["workflow_cancel({})", "workflow_cancel({}, force => true)"] {
            let id = session.begin("cancellation_policy: cancel_running\ntasks: [{name: x, action: demo.a}]").await;
            let call = call.replace("{}", &id.to_string());
            let [x] = session.claim_named(["x"]).await;
            hold(&mut holder, id).await;
            reporter.run("BEGIN").await;
            assert_eq!(reporter.complete(&x, json!(null)).await, "completed");
            holder.run("COMMIT").await;
            assert_eq!(session.value::<String>(format!("SELECT {call}::text")).await, "canceling");
            reporter.run("ROLLBACK").await;
            assert_eq!(session.value::<String>(format!("SELECT {call}::text")).await, "cancelled");
            session.assert_ended(id, "cancelled", json!(null)).await;
            assert_sound(&mut session).await;
        }
    })
    .await;
}

#[tokio::test]
async fn control_sees_the_end_that_was_pending_and_a_result_that_is_too_large_is_refused_at_once() {
    with_database(async |db| {
        let (mut session, mut holder) = (Session::new(db).await, Session::new(db).await);
        session.run("SET lock_timeout = '1s'").await;
        let id = session.begin("tasks: [{name: x, action: demo.a}]").await;
        let [x] = session.claim_named(["x"]).await;
        hold(&mut holder, id).await;
        let large = format!(
            "SELECT workflow_complete({}, {}, to_jsonb(repeat('x', 1 + current_setting('pg_workflow.max_result_bytes')::int)))",
            x.task, x.lease_token
        );
        assert_eq!(session.refused(large).await.code().1, "WF614");
        assert_eq!(session.complete(&x, json!(null)).await, "completed");
        holder.run("COMMIT").await;
        let refused = session.refused(format!("SELECT workflow_pause({id})")).await;
        assert_eq!(refused.code().1, "WF611", "{refused:?}");
        session.run("SELECT workflow_tick()").await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}

#[tokio::test]
async fn the_event_of_a_pending_report_names_who_reported_it() {
    with_database(async |db| {
        let (mut session, mut holder) = (Session::new(db).await, Session::new(db).await);
        let role = db.role().await;
        session.run(format!("SELECT workflow_grant('{role}', 'worker')")).await;
        let id = session.begin(THREE).await;
        let [a, _, _] = session.claim_named(["each"; 3]).await;
        hold(&mut holder, id).await;
        session.run(format!("SET ROLE {role}")).await;
        session.complete(&a, json!(null)).await;
        session.run("RESET ROLE").await;
        holder.run("COMMIT; SET pg_workflow.log_transitions = on").await;
        assert_eq!(holder.value::<i32>("SELECT workflow_tick()").await, 1);
        let author =
            format!("SELECT author FROM workflow_list_events({id}) WHERE kind = 'completed' AND task = {}", a.task);
        assert_eq!(session.value::<String>(author).await, format!("w1 (role {role})"));
    })
    .await;
}

#[tokio::test]
async fn resolving_does_not_wait_for_whoever_has_the_task() {
    with_database(async |db| {
        let (mut session, mut holder) = (Session::new(db).await, Session::new(db).await);
        session.run("SET lock_timeout = '1s'").await;
        let id = session.begin("tasks: [{name: a, action: demo.a}]").await;
        let task: i64 = session.value("SELECT id FROM workflow.workflow_task_execution").await;
        holder.run("BEGIN").await;
        assert_eq!(holder.claim(1).await.len(), 1);
        let refusal = session.refused(format!("SELECT workflow_resolve({task})")).await;
        let message = format!("WF611: task {task} cannot be resolved: it is being claimed or reported");
        assert_eq!((refusal.sqlstate.as_str(), refusal.message), ("55000", message));
        holder.run("ROLLBACK").await;
        session.run(format!("SELECT workflow_resolve({task})")).await;
        session.assert_ended(id, "completed", json!(null)).await;
    })
    .await;
}
