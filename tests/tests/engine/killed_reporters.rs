//! Many processes report tasks of one graph and are constantly killed: every task is done, its value is published once,
//! and nothing is left behind.

use crate::fixture::*;
use pg_workflow_tests::{Database, with_database};
use serde_json::json;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const REPORTERS: usize = 6;
const LAYERS: usize = 10;
const WIDTH: usize = 20;

/// Each task waits for all tasks of the previous layer, and publishes a variable.
fn layers() -> String {
    let name = |layer: usize, place: usize| format!("t{layer}_{place}");
    let mut tasks = "tasks:\n".to_owned();
    for layer in 0..LAYERS {
        let next: Vec<String> = (0..WIDTH).filter(|_| layer + 1 < LAYERS).map(|place| name(layer + 1, place)).collect();
        for place in 0..WIDTH {
            let name = name(layer, place);
            let join = if layer > 0 { ", join: all" } else { "" };
            let then = if next.is_empty() { String::new() } else { format!(", do: [{}]", next.join(", ")) };
            tasks += &format!(
                "  - {{name: {name}, action: demo.a{join}, next: [{{publish: [{{{name}: '{{{{ result() }}}}'}}]{then}}}]}}\n"
            );
        }
    }
    format!("{tasks}output_map: [{{count: '{{{{ vars | length }}}}'}}]\n")
}

/// Starts a reporter.
fn start(db: &Database, number: usize) -> Child {
    let options = db.options();
    let url =
        format!("postgres://{}@{}:{}/{}", options.get_username(), options.get_host(), options.get_port(), db.name);
    let mut reporter = Command::new(env!("CARGO_BIN_EXE_reporter"));
    reporter.arg(format!("reporter {number}")).env("DATABASE_URL", url).spawn().expect("the reporter starts")
}

fn kill(mut reporter: Child) {
    reporter.kill().unwrap();
    reporter.wait().unwrap();
}

#[tokio::test]
async fn killing_reporters_loses_nothing_and_does_nothing_twice() {
    let rounds: usize = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
    with_database(async |db| {
        let mut session = Session::new(db).await;
        session.run("RESET pg_workflow.test_now").await;
        session.run(format!("ALTER DATABASE {} SET pg_workflow.max_lost_leases = 1000", db.name)).await;
        session.define(&layers()).await;
        for round in 0..rounds {
            let id = session.start().await;
            let mut reporters: Vec<Child> = (0..REPORTERS).map(|number| start(db, number)).collect();
            let (began, mut killed) = (Instant::now(), 0);
            while session.status(id).await["ended"] != json!(true) {
                assert!(began.elapsed() < Duration::from_secs(120), "{:#}", session.status(id).await);
                kill(reporters.remove(killed % REPORTERS));
                reporters.push(start(db, REPORTERS + killed));
                killed += 1;
                session.run("SELECT workflow_tick()").await;
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
            reporters.into_iter().for_each(kill);
            session.assert_ended(id, "completed", json!({"count": LAYERS * WIDTH})).await;
            let wrong: Vec<(String,)> = session
                .rows(format!(
                    "SELECT t.task_name FROM workflow.workflow_task_execution t CROSS JOIN workflow_status({id}) s
                     WHERE t.workflow_execution = {id} AND (t.status <> 'completed' OR s.variables -> t.task_name <> to_jsonb(t.id))"
                ))
                .await;
            assert_eq!(wrong, [], "round {round}");
            let tasks: i64 = session
                .value(format!("SELECT count(*) FROM workflow.workflow_task_execution WHERE workflow_execution = {id}"))
                .await;
            assert_eq!(tasks, (LAYERS * WIDTH) as i64, "round {round}");
            assert_eq!(session.value::<i64>("SELECT count(*) FROM workflow.pending_report").await, 0);
            let broken: Vec<(String, String)> = session.rows("SELECT invariant, detail FROM workflow_check()").await;
            assert_eq!(broken, [], "round {round}, {killed} killed");
        }
    })
    .await;
}
