//! What a worker adds to a trace: a span for each task, which contains everything that its handler logs.

use crate::fixture::*;
use pg_workflow_tests::with_database;
use serde_json::json;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

/// Stores what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Kept {
    type Writer = Kept;

    fn make_writer(&self) -> Kept {
        self.clone()
    }
}

#[tokio::test]
async fn a_span_for_each_task_says_which_it_is() {
    with_database(async |db| {
        let kept = Kept::default();
        let subscriber = tracing_subscriber::fmt().with_writer(kept.clone()).with_ansi(false).finish();
        // For all threads: otherwise, a call site that another test's thread reaches first would stay disabled, because
        // that thread has no subscriber.
        tracing::subscriber::set_global_default(subscriber).unwrap();
        define(db, TWO_STEPS).await;
        let [execution] = start(db, "ci.chain", 1).await[..] else { panic!() };
        let worker = worker(db, "w")
            .task_handler("ci.first", |_, _| async {
                tracing::info!("half way");
                Ok(json!({"sum": 1}))
            })
            .task_handler("ci.second", |_, _| async { Err("x".parse::<i32>().unwrap_err().into()) });
        let worker = Running::new(worker);
        ended(db, execution).await;
        let [one, two] = &tasks(db, execution).await[..] else { panic!() };
        worker.stop().await;
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let line =
            |what: &str| text.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {text}"));
        let said = line("half way");
        let run = one.workflow_execution;
        let span = format!("task{{id={} name=one action=ci.first execution={run} attempt=1}}", one.id);
        assert!(said.contains(&span), "{said}");
        let failed = line("ParseIntError");
        assert!(failed.contains(&format!("task{{id={} name=two", two.id)), "{failed}");
    })
    .await;
}
