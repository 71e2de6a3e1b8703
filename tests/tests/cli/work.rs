//! `work`: commands as workers.

use crate::program::Program;
use pg_workflow_client::{Engine, StartInput, WorkflowStatus};
use pg_workflow_tests::{Database, with_database};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Child;

/// Defines a workflow of one task with these additional lines.
pub async fn define(program: &Program<'_>, task: &str) {
    program.file("pack/actions.yaml", "[shop.it]");
    let text = format!(
        "ref: shop.flow\nlabel: It\nversion: 1.0.0\nparameters: {{properties: {{n: {{type: integer}}}}}}\n\
         tasks:\n  - {{name: it, action: shop.it, input: {{n: \"{{{{ parameters.n | default(0) }}}}\"}}, publish: [{{r: \"{{{{ result() }}}}\"}}]{task}}}\n\
         vars: [{{r: null}}]\noutput_map: [{{r: \"{{{{ vars.r }}}}\"}}]\n"
    );
    program.file("pack/flow.yaml", &text);
    program.good(&["apply", &program.folder.join("pack").to_string_lossy()]).await;
}

/// Starts a worker that runs this command.
pub fn worker(program: &Program<'_>, command: &str, more: &[&str]) -> Child {
    let action = format!("shop.it={command}");
    let mut arguments = vec!["work", "--action", &action, "--poll", "10ms"];
    arguments.extend(more);
    program.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends a signal to a worker.
pub fn signal(child: &Child, signal: &str) {
    let kill = format!("kill -{signal} {}", child.id().unwrap());
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

/// Asks a worker to end, and returns its exit status and its output.
pub async fn end(child: Child) -> (Option<i32>, String) {
    signal(&child, "TERM");
    let output =
        tokio::time::timeout(Duration::from_secs(30), child.wait_with_output()).await.expect("it ends").unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

pub async fn start(db: &Database, n: i64) -> i64 {
    sqlx::query_scalar("SELECT workflow_start('shop.flow', jsonb_build_object('n', $1))")
        .bind(n)
        .fetch_one(&db.pool)
        .await
        .unwrap()
}

pub async fn ended(db: &Database, execution: i64) -> WorkflowStatus {
    let status = Engine::wait(&db.pool, execution, Duration::from_secs(60)).await.unwrap();
    assert!(status.ended, "{status:?}");
    status
}

/// Returns the error of the execution's only task.
async fn error_of(db: &Database, execution: i64) -> Value {
    sqlx::query_scalar("SELECT coalesce(error, 'null') FROM workflow_list_tasks($1)")
        .bind(execution)
        .fetch_one(&db.pool)
        .await
        .unwrap()
}

/// Waits until a condition holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// Whether a process exists and is not a zombie.
pub fn lives(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    status.rsplit(") ").next().and_then(|rest| rest.chars().next()).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

#[tokio::test]
async fn a_script_takes_part_in_a_workflow() {
    with_database(async |db| {
        let program = Program::new(db, "work_script");
        define(&program, "").await;
        let script = program.script("it.sh", "read -r input; echo \"doing $PG_WORKFLOW_TASK_NAME\" >&2; echo \"{\\\"got\\\": $input, \\\"attempt\\\": $PG_WORKFLOW_ATTEMPT}\"");
        let child = worker(&program, &script, &["--name", "shell"]);
        let execution = start(db, 5).await;
        let status = ended(db, execution).await;
        assert_eq!(status.output, Some(json!({"r": {"got": {"n": 5}, "attempt": 1}})), "{status:?}");
        let (code, told) = end(child).await;
        assert_eq!(code, Some(0));
        assert!(told.contains("working: as shell, on shop.it\n"), "{told}");
        assert!(told.contains(": doing it\n") && told.contains("completed: task "), "{told}");
    })
    .await;
}

#[tokio::test]
async fn a_command_is_told_which_trace_it_belongs_to() {
    with_database(async |db| {
        let program = Program::new(db, "work_trace");
        define(&program, "").await;
        let child = worker(&program, "echo \"\\\"$TRACEPARENT\\\"\"", &["--quiet"]);
        for traceparent in ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", ""] {
            let input =
                StartInput { r#ref: "shop.flow".into(), traceparent: Some(traceparent.into()), ..Default::default() };
            let execution = Engine::start(&db.pool, input).await.unwrap().expect("it is started");
            assert_eq!(ended(db, execution).await.output, Some(json!({"r": traceparent})));
        }
        assert_eq!(end(child).await.0, Some(0));
    })
    .await;
}

#[tokio::test]
async fn a_command_without_output_completes_with_null_and_needs_not_read_its_input() {
    with_database(async |db| {
        let program = Program::new(db, "work_null");
        define(&program, "").await;
        let child = worker(&program, "true", &["--quiet"]);
        let execution = start(db, 1).await;
        assert_eq!(ended(db, execution).await.output, Some(json!({"r": null})));
        assert_eq!(end(child).await.0, Some(0));
    })
    .await;
}

#[tokio::test]
async fn failures_say_what_the_command_said() {
    with_database(async |db| {
        let program = Program::new(db, "work_fail");
        define(&program, "").await;
        let script = program.script(
            "it.sh",
            r#"read -r input
case $input in
*1*) echo "starting" >&2; echo "card declined" >&2; exit 3 ;;
*2*) echo '{"type": "declined", "message": "no money", "code": 7}'; exit 1 ;;
*3*) echo "this is not JSON" ;;
*4*) kill -KILL $$ ;;
*5*) head -c 3000000 /dev/zero | tr '\0' 'x' ; sleep 600 ;;
*6*) no_such_program ;;
*7*) printf '"\\u0000"' ;;
esac"#,
        );
        let child = worker(&program, &script, &["--max-output", "1000000"]);
        let mut errors = Vec::new();
        for n in 1..=7 {
            let execution = start(db, n).await;
            let status = ended(db, execution).await;
            assert_eq!(status.status.as_str(), "failed", "{n}: {status:?}");
            errors.push(error_of(db, execution).await);
        }
        assert_eq!(
            errors[0],
            json!({"type": "exit", "message": "card declined", "status": 3, "stderr": "starting\ncard declined"})
        );
        assert_eq!(errors[1], json!({"type": "declined", "message": "no money", "code": 7, "status": 1}));
        assert_eq!((&errors[2]["type"], &errors[2]["output"]), (&json!("output"), &json!("this is not JSON\n")));
        assert_eq!(
            (&errors[3]["status"], &errors[3]["message"]),
            (&json!(137), &json!("the command was killed by signal 9"))
        );
        assert_eq!(
            (&errors[4]["type"], &errors[4]["message"]),
            (&json!("output"), &json!("the command printed more than 976 KiB"))
        );
        assert_eq!(errors[5]["status"], 127);
        assert_eq!(
            errors[6],
            json!({"type": "output", "message": "the result contains \\u0000, which PostgreSQL cannot store"})
        );
        assert_eq!(end(child).await.0, Some(0));
    })
    .await;
}

#[tokio::test]
async fn a_failure_is_retried_unless_the_command_says_that_it_is_pointless() {
    with_database(async |db| {
        let program = Program::new(db, "work_retry");
        define(&program, ", retry: {count: 3, delay: 0}").await;
        let script = program.script("it.sh", "read -r input; case $input in *1*) exit 100 ;; esac; [ \"$PG_WORKFLOW_ATTEMPT\" = 3 ] || exit 1; echo \"$PG_WORKFLOW_LAST_ERROR\"");
        let child = worker(&program, &script, &[]);
        let pointless = start(db, 1).await;
        assert_eq!(ended(db, pointless).await.status.as_str(), "failed");
        let retried: i32 = sqlx::query_scalar("SELECT retry_count FROM workflow_list_tasks($1)").bind(pointless).fetch_one(&db.pool).await.unwrap();
        assert_eq!(retried, 0);
        let execution = start(db, 2).await;
        let status = ended(db, execution).await;
        assert_eq!(status.output.unwrap()["r"]["status"], 1, "the error of the attempt before");
        end(child).await;
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_task_ends_with_everything_that_it_has_started() {
    with_database(async |db| {
        let program = Program::new(db, "work_cancel");
        define(&program, "").await;
        let pids = program.folder.join("pids");
        // Both the shell and its child ignore SIGTERM.
        let script = program.script(
            "it.sh",
            &format!("trap '' TERM; sleep 600 & echo $$ $! > {0}.new; mv {0}.new {0}; wait; sleep 600", pids.display()),
        );
        let child = worker(&program, &script, &["--lease", "1s", "--kill-after", "200ms"]);
        let execution = start(db, 1).await;
        until("the command runs", async || pids.exists()).await;
        let started = std::fs::read_to_string(&pids).unwrap();
        assert!(started.split_whitespace().all(lives));
        program.good(&["cancel", "--force", &execution.to_string()]).await;
        until("nothing of it is left", async || !started.split_whitespace().any(lives)).await;
        assert_eq!(ended(db, execution).await.status.as_str(), "cancelled");
        let (_, told) = end(child).await;
        assert!(told.contains("the result is no longer needed"), "{told}");
    })
    .await;
}

#[tokio::test]
async fn a_task_that_takes_too_long_is_killed_and_times_out() {
    with_database(async |db| {
        let program = Program::new(db, "work_timeout");
        define(&program, ", timeout: 1").await;
        let pid = program.folder.join("pid");
        let script =
            program.script("it.sh", &format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600", pid.display()));
        let child = worker(&program, &script, &["--lease", "1s"]);
        let execution = start(db, 1).await;
        let status = ended(db, execution).await;
        let task: String = sqlx::query_scalar("SELECT status::text FROM workflow_list_tasks($1)")
            .bind(execution)
            .fetch_one(&db.pool)
            .await
            .unwrap();
        assert_eq!(task, "timeout", "{status:?}");
        let pid = std::fs::read_to_string(&pid).unwrap();
        until("the command is killed", async || !lives(&pid)).await;
        end(child).await;
    })
    .await;
}

#[tokio::test]
async fn progress_is_stored_and_leftovers_do_not_keep_a_task_open() {
    with_database(async |db| {
        let program = Program::new(db, "work_progress");
        define(&program, "").await;
        let go = program.folder.join("go");
        // The background process keeps standard output open.
        let script = program.script(
            "it.sh",
            &format!(
                "sleep 600 & echo '::progress {{\"percent\": 40}}' >&2; while [ ! -e {} ]; do sleep 0.05; done; echo 1",
                go.display()
            ),
        );
        let child = worker(&program, &script, &["--lease", "600ms"]);
        let execution = start(db, 1).await;
        until("the progress is stored", async || {
            let progress: Option<Value> = sqlx::query_scalar("SELECT progress FROM workflow_list_tasks($1)")
                .bind(execution)
                .fetch_one(&db.pool)
                .await
                .unwrap();
            progress == Some(json!({"percent": 40}))
        })
        .await;
        std::fs::write(&go, "").unwrap();
        assert_eq!(ended(db, execution).await.output, Some(json!({"r": 1})));
        end(child).await;
    })
    .await;
}

#[tokio::test]
async fn what_runs_may_finish_after_sigterm_and_a_second_one_ends_it() {
    with_database(async |db| {
        let program = Program::new(db, "work_drain");
        define(&program, "").await;
        let (begun, go) = (program.folder.join("begun"), program.folder.join("go"));
        let script = program.script(
            "it.sh",
            &format!("touch {}; while [ ! -e {} ]; do sleep 0.05; done; echo 1", begun.display(), go.display()),
        );
        let child = worker(&program, &script, &["--grace", "60s"]);
        let (first, second) = (start(db, 1).await, start(db, 2).await);
        until("the command runs", async || begun.exists()).await;
        signal(&child, "TERM");
        std::fs::write(&go, "").unwrap();
        let output =
            tokio::time::timeout(Duration::from_secs(30), child.wait_with_output()).await.expect("it ends").unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(ended(db, first).await.status.as_str(), "completed");
        let _ = second;

        std::fs::remove_file(&go).unwrap();
        std::fs::remove_file(&begun).unwrap();
        let child = worker(&program, &script, &["--grace", "60s"]);
        start(db, 3).await;
        until("the command runs again", async || begun.exists()).await;
        signal(&child, "INT");
        signal(&child, "TERM");
        let output =
            tokio::time::timeout(Duration::from_secs(30), child.wait_with_output()).await.expect("it ends").unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    })
    .await;
}

#[tokio::test]
async fn no_more_commands_run_at_once_than_allowed() {
    with_database(async |db| {
        let program = Program::new(db, "work_concurrency");
        define(&program, "").await;
        let running = program.folder.join("running");
        std::fs::create_dir_all(&running).unwrap();
        let script =
            program.script("it.sh", &format!("touch {0}/$$; ls {0} | wc -l; sleep 0.1; rm {0}/$$", running.display()));
        let child = worker(&program, &script, &["--concurrency", "8", "--action-concurrency", "shop.it=2"]);
        let mut executions = Vec::new();
        for n in 0..8 {
            executions.push(start(db, n).await);
        }
        let mut most = 0;
        for execution in executions {
            most = most.max(ended(db, execution).await.output.unwrap()["r"].as_i64().unwrap());
        }
        assert_eq!(most, 2);
        end(child).await;
    })
    .await;
}

#[tokio::test]
async fn invalid_arguments_are_refused_before_any_task_is_claimed() {
    with_database(async |db| {
        let program = Program::new(db, "work_arguments");
        for (arguments, message) in [
            (&["work"][..], "--action <REF=COMMAND>"),
            (&["work", "--action", "shop.it"], "write it as shop.charge=./charge.sh"),
            (&["work", "--action", "shop.it=./nowhere.sh"], "there is no file ./nowhere.sh"),
            (&["work", "--action", "shop.it=/etc/ --fast"], "a directory can't be executed: /etc/"),
            (&["work", "--action", "shop.it=/etc/passwd"], "there is no permission to execute /etc/passwd"),
            (&["work", "--action", "shop.it=true", "--lease", "soon"], "soon is not a duration"),
            (&["work", "--action", "shop.it=true", "--action", "shop.it=false"], "duplicate action shop.it"),
            (
                &["work", "--action", "shop.it=true", "--action-concurrency", "shop.at=1"],
                "--action-concurrency names shop.at, which has no --action",
            ),
            (&["work", "--action", "shop.it=true", "--concurrency", "0"], "0 is not in 1..=10000"),
        ] {
            let told = program.bad(2, arguments).await;
            assert!(told.contains(message), "{told}");
        }
        // A role that may not claim.
        let stranger = db.role().await;
        let output =
            program.command(&["work", "--action", "shop.it=true"]).env("PGUSER", stranger).output().await.unwrap();
        assert_eq!(output.status.code(), Some(1));
        let told = crate::program::told(&output);
        assert!(told.contains("error: permission denied"), "{told}");
        assert_eq!(told.matches("permission denied").count(), 1, "{told}");
    })
    .await;
}

#[tokio::test]
async fn a_process_that_gets_away_does_not_keep_a_task_open() {
    with_database(async |db| {
        let program = Program::new(db, "work_away");
        define(&program, "").await;
        let pid = program.folder.join("pid");
        let script = program.script("it.sh", &format!("setsid sh -c 'echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600' & while [ ! -e {0} ]; do sleep 0.05; done; echo 1", pid.display()));
        let child = worker(&program, &script, &[]);
        let execution = start(db, 1).await;
        assert_eq!(ended(db, execution).await.output, Some(json!({"r": 1})));
        let away = std::fs::read_to_string(&pid).unwrap();
        assert!(lives(&away));
        assert!(std::process::Command::new("kill").arg(away.trim()).status().unwrap().success());
        end(child).await;
    })
    .await;
}
