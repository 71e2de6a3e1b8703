//! What is run: the hand-written queue, and linear workflows. Their SQL is in scripts/.

use crate::report::Sample;
use crate::server::{Load, Run, Server, Until};
use crate::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// What a task gets, and what comes of it; the queue's tasks as well as ours.
const PAYLOAD: &str = r#"{"order": 12345, "note": "pack and send it"}"#;
const RESULT: &str = r#"{"order": 12345, "note": "packed and sent."}"#;
/// Where everything is prepared, and where it is run.
const TEMPLATE: &str = "bench_template";
const DATABASE: &str = "bench";

/// One side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Workload {
    /// The yardstick: tasks in a table, written by hand.
    Queue,
    /// Workflow executions of so many steps, one after the other.
    Linear { steps: u32 },
}

impl Workload {
    pub fn name(&self) -> String {
        match self {
            Workload::Queue => "queue".into(),
            Workload::Linear { steps } => format!("linear{steps}"),
        }
    }

    /// What pgbench goes through.
    fn script(&self) -> String {
        match self {
            Workload::Queue => include_str!("../scripts/queue.sql").into(),
            Workload::Linear { steps } => {
                let step = include_str!("../scripts/linear_step.sql").repeat(*steps as usize);
                [include_str!("../scripts/linear_start.sql"), &step, include_str!("../scripts/linear_finish.sql")]
                    .concat()
            }
        }
    }

    /// What has to be in the database for it.
    fn setup(&self) -> String {
        match self {
            Workload::Queue => include_str!("../scripts/queue_table.sql").into(),
            Workload::Linear { steps } => format!(
                "SELECT count(*) FROM workflow_register_action('bench.step');\n\
                 SELECT count(*) FROM workflow_define($yaml$\n{}$yaml$);\n",
                linear(&self.name(), *steps)
            ),
        }
    }

    /// Rows put in (tasks, executions), tasks completed, bytes of tables and indexes.
    fn state(&self) -> &'static str {
        match self {
            Workload::Queue => "SELECT count(*), count(*) FILTER (WHERE state = 2), pg_total_relation_size('q') FROM q",
            Workload::Linear { .. } => {
                "SELECT (SELECT count(*) FROM workflow.workflow_execution),
                   (SELECT count(*) FROM workflow.workflow_task_execution WHERE status = 'completed'),
                   (SELECT sum(pg_total_relation_size(oid)) FROM pg_class
                    WHERE relkind = 'r' AND relnamespace = 'workflow'::regnamespace)"
            }
        }
    }

    /// Works off what a run has left, so that it can be seen whether all comes to its end.
    fn drain(&self) -> &'static str {
        match self {
            Workload::Queue => "",
            Workload::Linear { .. } => include_str!("../scripts/linear_drain.sql"),
        }
    }

    /// Gives what is wrong, a line each.
    fn check(&self) -> &'static str {
        match self {
            Workload::Queue => include_str!("../scripts/queue_check.sql"),
            Workload::Linear { .. } => include_str!("../scripts/linear_check.sql"),
        }
    }

    /// Tasks that each row put in comes to.
    fn steps(&self) -> u64 {
        match self {
            Workload::Queue => 1,
            Workload::Linear { steps } => (*steps).into(),
        }
    }
}

/// A workflow whose every step gets the result of the one before.
fn linear(name: &str, steps: u32) -> String {
    let mut yaml = format!(
        "ref: bench.{name}\nlabel: {steps} steps in a row\nversion: 1.0.0\n\
         parameters: {{type: object, required: [order], properties: {{order: {{type: integer}}, note: {{type: string}}}}}}\n\
         tasks:\n"
    );
    for step in 1..=steps {
        let input = if step == 1 { "parameters".into() } else { format!("task.step{}.result", step - 1) };
        let next = if step == steps { String::new() } else { format!(", on_success: step{}", step + 1) };
        yaml += &format!("  - {{name: step{step}, action: bench.step, input: \"{{{{ {input} }}}}\"{next}}}\n");
    }
    yaml + &format!("output_map:\n  - result: \"{{{{ task.step{steps}.result }}}}\"\n")
}

/// A server with everything prepared on it.
pub struct Bench<'a> {
    server: &'a Server,
    folder: PathBuf,
}

impl<'a> Bench<'a> {
    /// Makes the database that each run gets a copy of. In it every workload has already run a little, and been vacuumed
    /// and analysed, as in any database that is not new: with plans made for empty tables, chance would decide.
    pub fn prepare(server: &'a Server, folder: &Path, workloads: &[Workload]) -> Result<Bench<'a>> {
        server.sql("postgres", &format!("CREATE DATABASE {TEMPLATE} TEMPLATE template0"))?;
        server.sql(TEMPLATE, "CREATE EXTENSION pg_workflow")?;
        let bench = Bench { server, folder: folder.to_owned() };
        for workload in workloads {
            let script = bench.script(workload);
            fs::write(&script, workload.script())
                .map_err(|source| Error::Io { what: script.display().to_string(), source })?;
            server.sql(TEMPLATE, &workload.setup())?;
            let load = Load { batch: 100, clients: 1, synchronous_commit: false };
            bench.pgbench(TEMPLATE, workload, &load, &Until::Transactions((60 / workload.steps()) as u32))?;
            bench.verify(TEMPLATE, workload)?;
        }
        // FULL leaves no free space behind, so that what a run writes is seen in the size of the tables. It leaves the
        // visibility maps empty too: hence once more.
        server.sql(TEMPLATE, "VACUUM (FULL); VACUUM (ANALYZE);")?;
        Ok(bench)
    }

    /// One run in a fresh database, checked.
    pub fn measure(&self, workload: &Workload, load: &Load, seconds: u32) -> Result<Sample> {
        let server = self.server;
        let fresh = format!(
            "DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE); CREATE DATABASE {DATABASE} TEMPLATE {TEMPLATE}; CHECKPOINT;"
        );
        server.sql("postgres", &fresh)?;
        let [rows_before, done_before, bytes_before] = server.numbers(DATABASE, workload.state())?;
        let wal_before = server.wal()?;
        let run = self.pgbench(DATABASE, workload, load, &Until::Seconds(seconds))?;
        // First of all, since reading the tables tidies up in them, and that is logged.
        let wal = server.wal()? - wal_before;
        let [rows, done, bytes] = server.numbers(DATABASE, workload.state())?;

        let (rows, done) = (rows - rows_before, done - done_before);
        let wanted = run.transactions * u64::from(load.batch);
        if rows != wanted {
            let problems = format!("{wanted} were put in, {rows} are there");
            return Err(Error::Undone { workload: workload.name(), problems });
        }
        self.verify(DATABASE, workload)?;
        Ok(Sample {
            rate: done as f64 / run.seconds,
            wal: wal as f64 / done as f64,
            // Vacuum may have given pages back.
            bytes: bytes.saturating_sub(bytes_before) as f64 / done as f64,
            left: rows * workload.steps() - done,
        })
    }

    /// Works off what is left, and asks whether everything has come to its end as it should.
    fn verify(&self, database: &str, workload: &Workload) -> Result<()> {
        self.server.sql(database, workload.drain())?;
        let problems = self.server.sql(database, workload.check())?;
        if problems.is_empty() { Ok(()) } else { Err(Error::Undone { workload: workload.name(), problems }) }
    }

    fn pgbench(&self, database: &str, workload: &Workload, load: &Load, until: &Until) -> Result<Run> {
        let reference = format!("bench.{}", workload.name());
        let variables = [("payload", PAYLOAD), ("result", RESULT), ("ref", &reference)];
        self.server.pgbench(database, &self.script(workload), load, &variables, until)
    }

    fn script(&self, workload: &Workload) -> PathBuf {
        self.folder.join(format!("{}.sql", workload.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_script_has_a_commit_a_step_and_two_around() {
        let script = Workload::Linear { steps: 3 }.script();
        assert_eq!(script.matches("\\gset").count(), 5);
        assert_eq!(script.matches("workflow_finish_and_claim").count(), 3);
    }

    #[test]
    fn a_linear_workflow_passes_results_on() {
        let yaml = linear("linear2", 2);
        assert!(
            yaml.contains(r#"name: step1, action: bench.step, input: "{{ parameters }}", on_success: step2}"#),
            "{yaml}"
        );
        assert!(yaml.contains(r#"name: step2, action: bench.step, input: "{{ task.step1.result }}"}"#), "{yaml}");
    }
}
