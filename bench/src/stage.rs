//! The databases of the runs: a fresh copy of a prepared database for each, and the verification that all work was done
//! in it.

use crate::pgbench::{Load, Pgbench, Until};
use crate::server::{Server, Snapshot};
use crate::workload::{PAYLOAD, RESULT, Workload};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The database in which every workload has run briefly, the one with a million finished tasks, and the one in which
/// runs take place.
const TEMPLATE: &str = "bench_template";
const FINISHED: &str = "bench_finished";
pub const DATABASE: &str = "bench";

/// The circumstances of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scene {
    /// The tables are small.
    Fresh,
    /// The tables contain a million finished tasks.
    Finished,
    /// Another session holds a snapshot from before the run until its end.
    Snapshot,
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scene::Fresh => "fresh",
            Scene::Finished => "1,000,000 finished",
            Scene::Snapshot => "snapshot held",
        })
    }
}

/// The state of a workload according to the tables.
#[derive(Clone, Copy)]
pub struct State {
    /// Rows inserted: executions, or tasks of the queue.
    pub rows: u64,
    /// Tasks completed.
    pub done: u64,
    /// Bytes of tables and indexes.
    pub bytes: u64,
}

/// A server with all databases prepared.
pub struct Stage<'a> {
    pub server: &'a Server,
    pub folder: PathBuf,
}

impl<'a> Stage<'a> {
    /// Creates the databases that are copied for runs. In them every workload has already run briefly, and everything
    /// has been vacuumed and analyzed, as in any database that is not new: with plans made for empty tables, results
    /// would depend on chance.
    pub fn prepare(server: &'a Server, folder: &Path, workloads: &[Workload], scenes: &[Scene]) -> Result<Stage<'a>> {
        let stage = Stage { server, folder: folder.to_owned() };
        server.sql("postgres", &format!("CREATE DATABASE {TEMPLATE} TEMPLATE template0"))?;
        server.sql(TEMPLATE, "CREATE EXTENSION pg_workflow")?;
        for workload in workloads {
            server.sql(TEMPLATE, &workload.setup())?;
            let load = Load { batch: 100, clients: 1, synchronous_commit: false };
            let script = stage.write(workload, load.batch)?;
            let before = stage.state(TEMPLATE, workload)?;
            let times = (6000 / (workload.rows(load.batch) * workload.steps())).max(1);
            stage.pgbench(TEMPLATE, workload, load, &script, Until::Transactions(times)).run(server)?;
            stage.verify(TEMPLATE, workload, &before)?;
        }
        // FULL leaves no free space behind, so that writes of a run show in the size of the tables.
        stage.fill(TEMPLATE, "VACUUM (FULL);")?;
        if scenes.contains(&Scene::Finished) {
            server.sql("postgres", &format!("CREATE DATABASE {FINISHED} TEMPLATE {TEMPLATE}"))?;
            stage.fill(FINISHED, include_str!("../scripts/finished.sql"))?;
        }
        Ok(stage)
    }

    /// Writes finished rows, then vacuums and analyzes.
    fn fill(&self, database: &str, sql: &str) -> Result<()> {
        let (fill_up, room) = (include_str!("../scripts/fill_up.sql"), include_str!("../scripts/room.sql"));
        self.server.sql(database, &[fill_up, sql, room, "VACUUM (ANALYZE);"].concat())?;
        Ok(())
    }

    /// Recreates the database, with nothing left to write to disk, and opens a snapshot if the scene has one.
    pub fn fresh(&self, scene: Scene) -> Result<Option<Snapshot>> {
        let template = if scene == Scene::Finished { FINISHED } else { TEMPLATE };
        // As a file copy: otherwise a million finished tasks would go through the WAL.
        let sql = format!(
            "DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE);
             CREATE DATABASE {DATABASE} TEMPLATE {template} STRATEGY file_copy; CHECKPOINT;"
        );
        self.server.wait()?;
        self.server.sql("postgres", &sql)?;
        (scene == Scene::Snapshot).then(|| self.server.hold_snapshot(DATABASE)).transpose()
    }

    /// Returns a pgbench run of a workload, with a script written for it.
    pub fn pgbench<'p>(
        &self,
        database: &'p str,
        workload: &Workload,
        load: Load,
        script: &'p Path,
        until: Until,
    ) -> Pgbench<'p> {
        let variables = vec![
            ("rows", workload.rows(load.batch).to_string()),
            ("k", workload.steps().to_string()),
            ("ref", format!("bench.{}", workload.name())),
            ("payload", PAYLOAD.into()),
            ("result", RESULT.into()),
            ("phase", "0".into()),
        ];
        Pgbench { database, script, load, variables, until, rate: None, log: None }
    }

    /// Reads the current state from the tables.
    pub fn state(&self, database: &str, workload: &Workload) -> Result<State> {
        let [rows, done, bytes] = self.server.numbers(database, workload.state())?;
        Ok(State { rows, done, bytes })
    }

    /// Verifies that as many rows exist as were inserted.
    pub fn verify_rows(&self, workload: &Workload, before: &State, after: &State, wanted: u64) -> Result<()> {
        let rows = after.rows - before.rows;
        if rows == wanted {
            return Ok(());
        }
        Err(Error::Undone { workload: workload.name(), problems: format!("{wanted} were put in, {rows} are there") })
    }

    /// Processes what is left, and verifies that everything has ended as it should, task by task.
    pub fn verify(&self, database: &str, workload: &Workload, before: &State) -> Result<()> {
        self.server.sql(database, &workload.drain())?;
        let mut problems = self.server.sql(database, workload.check())?;
        let after = self.state(database, workload)?;
        let (wanted, done) = ((after.rows - before.rows) * u64::from(workload.steps()), after.done - before.done);
        if done != wanted {
            problems += &format!("{done} of {wanted} tasks are completed");
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Undone { workload: workload.name(), problems }) }
    }

    /// Writes pgbench's script to a file, where people can read it.
    pub fn write(&self, workload: &Workload, batch: u32) -> Result<PathBuf> {
        self.write_script(&format!("{}-{batch}", workload.name()), &workload.script(batch))
    }

    pub fn write_script(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(format!("{name}.sql"));
        fs::write(&path, text).map_err(|source| Error::Io { what: path.display().to_string(), source })?;
        Ok(path)
    }
}
