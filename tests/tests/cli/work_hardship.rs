//! `work` on bad days: nobody reads what it says, commands are noisy or don't want to end, the server only reads.

use crate::program::Program;
use crate::work::{define, end, ended, lives, signal, start, until, worker};
use pg_workflow_tests::with_database;
use serde_json::json;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

/// Whether to skip tests that take long, and in which the server's version makes no difference.
fn are_run_with_another_major() -> bool {
    pg_workflow_tests::major() != 15
}

#[tokio::test]
async fn nothing_waits_for_whoever_reads_standard_error() {
    if are_run_with_another_major() {
        return;
    }
    with_database(async |db| {
        let program = Program::new(db, "work_unread");
        define(&program, "").await;
        let runs = program.folder.join("runs");
        // It says more than the pipe holds and the program keeps, and takes three leases.
        let script = program.script(
            "it.sh",
            &format!(
                "echo run >> {}; yes noise | head -n 50000 >&2; sleep 15; echo $PG_WORKFLOW_ATTEMPT",
                runs.display()
            ),
        );
        let mut child = worker(&program, &script, &["--lease", "5s"]);
        let execution = start(db, 1).await;
        assert_eq!(ended(db, execution).await.output, Some(json!({"r": 1})));
        assert_eq!(std::fs::read_to_string(&runs).unwrap(), "run\n");
        signal(&child, "TERM");
        let status = tokio::time::timeout(Duration::from_secs(30), child.wait()).await.expect("it ends").unwrap();
        assert_eq!(status.code(), Some(0));
    })
    .await;
}

#[tokio::test]
async fn lines_that_are_dropped_are_counted() {
    if are_run_with_another_major() {
        return;
    }
    with_database(async |db| {
        let program = Program::new(db, "work_dropped");
        define(&program, "").await;
        let script = program.script("it.sh", "yes noise | head -n 50000 >&2; echo 1");
        let mut child = worker(&program, &script, &[]);
        let execution = start(db, 1).await;
        ended(db, execution).await;
        // Only now does anybody read.
        signal(&child, "TERM");
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).await.unwrap();
        let said = told.lines().filter_map(|line| line.strip_prefix("warning: ")?.split(" lines dropped").next());
        let dropped: usize = said.filter_map(|number| number.parse::<usize>().ok()).sum();
        let noise = told.matches(": noise\n").count();
        // The others are what the program itself said.
        assert!(dropped > 0 && (50_000..50_010).contains(&(noise + dropped)), "{noise} and {dropped}");
    })
    .await;
}

#[tokio::test]
async fn commands_that_speak_without_end_do_not_cost_their_leases() {
    if are_run_with_another_major() {
        return;
    }
    with_database(async |db| {
        let program = Program::new(db, "work_noise");
        define(&program, "").await;
        let script =
            program.script("it.sh", "yes noise >&2 & yes more noise >&2 & sleep 15; echo $PG_WORKFLOW_ATTEMPT");
        let action = format!("shop.it={script}");
        let mut command = program.command(&["work", "--action", &action, "--lease", "5s"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let executions = [start(db, 1).await, start(db, 2).await];
        for execution in executions {
            assert_eq!(ended(db, execution).await.output, Some(json!({"r": 1})));
        }
        end(child).await;
    })
    .await;
}

/// Returns a script whose shell ends at once when it is told to, unlike the process that it has started.
fn slow_to_end(program: &Program<'_>) -> String {
    let folder = program.folder.display();
    let slow = program.script(
        "slow.sh",
        &format!(
            "trap 'sleep 0.5; touch {folder}/cleaned; exit' TERM; touch {folder}/begun; while :; do sleep 0.05; done"
        ),
    );
    program.script("it.sh", &format!("{slow}\necho 1"))
}

#[tokio::test]
async fn processes_behind_a_shell_have_time_to_end() {
    if are_run_with_another_major() {
        return;
    }
    with_database(async |db| {
        let program = Program::new(db, "work_group");
        define(&program, "").await;
        let child = worker(&program, &slow_to_end(&program), &["--lease", "1s", "--kill-after", "60s"]);
        let execution = start(db, 1).await;
        until("the command runs", async || program.folder.join("begun").exists()).await;
        program.good(&["cancel", "--force", &execution.to_string()]).await;
        until("it has ended in its own way", async || program.folder.join("cleaned").exists()).await;
        end(child).await;
    })
    .await;
}

#[tokio::test]
async fn commands_have_time_to_end_after_the_grace_period() {
    if are_run_with_another_major() {
        return;
    }
    with_database(async |db| {
        let program = Program::new(db, "work_grace");
        define(&program, "").await;
        let child = worker(&program, &slow_to_end(&program), &["--grace", "100ms", "--kill-after", "3s"]);
        let execution = start(db, 1).await;
        until("the command runs", async || program.folder.join("begun").exists()).await;
        let (status, told) = end(child).await;
        assert_eq!(status, Some(0), "{told}");
        assert!(program.folder.join("cleaned").exists(), "{told}");
        // Another worker will do it.
        let status: String = sqlx::query_scalar("SELECT status::text FROM workflow_list_tasks($1)")
            .bind(execution)
            .fetch_one(&db.pool)
            .await
            .unwrap();
        assert_eq!(status, "running");
    })
    .await;
}

#[tokio::test]
async fn a_task_that_has_timed_out_makes_room_long_before_the_next_heartbeat() {
    if are_run_with_another_major() {
        return;
    }
    with_database(async |db| {
        let program = Program::new(db, "work_room");
        define(&program, ", timeout: 1").await;
        let pid = program.folder.join("pid");
        let script = program.script(
            "it.sh",
            &format!("read -r input; case $input in *1*) echo $$ > {}; exec sleep 600 ;; esac; echo 2", pid.display()),
        );
        let child = worker(&program, &script, &["--concurrency", "1", "--lease", "1h"]);
        let slow = start(db, 1).await;
        until("the command runs", async || pid.exists()).await;
        let quick = start(db, 2).await;
        assert_eq!(ended(db, quick).await.output, Some(json!({"r": 2})));
        assert_ne!(ended(db, slow).await.status.as_str(), "completed");
        assert!(!lives(&std::fs::read_to_string(&pid).unwrap()));
        end(child).await;
    })
    .await;
}

#[tokio::test]
async fn the_same_trouble_is_reported_once_and_with_its_meaning() {
    with_database(async |db| {
        let program = Program::new(db, "work_read_only");
        define(&program, "").await;
        let mut command = program.command(&["work", "--action", "shop.it=cat", "--name", "a\nb"]);
        command.env("PGOPTIONS", "-c default_transaction_read_only=on");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
        assert_eq!(told.next_line().await.unwrap().unwrap(), "working: as a\\nb, on shop.it");
        let first = told.next_line().await.unwrap().unwrap();
        assert!(first.contains("read-only transaction (the server is a standby"), "{first}");
        // It has tried again several times.
        until("it has failed often", async || {
            let failed: i64 = sqlx::query_scalar(
                "SELECT pg_stat_get_db_xact_rollback(oid) FROM pg_database WHERE datname = current_database()",
            )
            .fetch_one(&db.pool)
            .await
            .unwrap();
            failed > 10
        })
        .await;
        signal(&child, "TERM");
        let mut rest = Vec::new();
        while let Some(line) = told.next_line().await.unwrap() {
            rest.push(line);
        }
        let again = rest.iter().filter(|line| line.contains("read-only transaction")).collect::<Vec<_>>();
        // Claims and ticks fail with different statements.
        assert!(again.len() < 3, "{again:?}");
        assert_eq!(child.wait().await.unwrap().code(), Some(0), "{rest:?}");
    })
    .await;
}
