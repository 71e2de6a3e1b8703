//! Where runs take place: a fresh copy of a prepared database for each, and the proof that all work was done in it.

use crate::pgbench::{Load, Pgbench, Until};
use crate::server::{Server, Snapshot};
use crate::workload::{PAYLOAD, RESULT, Workload};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Where every workload has run a little, where a million tasks have ended besides, and where runs take place.
const TEMPLATE: &str = "bench_template";
const FINISHED: &str = "bench_finished";
pub const DATABASE: &str = "bench";

/// What surrounds a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scene {
    /// Little has ever run here.
    Fresh,
    /// A million tasks have ended here.
    Finished,
    /// Another session keeps a snapshot from before the run to its end.
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

/// What the tables say of a workload.
#[derive(Clone, Copy)]
pub struct State {
    /// Rows put in: executions, or tasks of the queue.
    pub rows: u64,
    /// Tasks completed.
    pub done: u64,
    /// Bytes of tables and indexes.
    pub bytes: u64,
}

/// A server with everything prepared on it.
pub struct Stage<'a> {
    pub server: &'a Server,
    pub folder: PathBuf,
}

impl<'a> Stage<'a> {
    /// Makes the databases that runs get copies of. In them every workload has already run a little, and been vacuumed and
    /// analysed, as in any database that is not new: with plans made for empty tables, chance would decide.
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
        // FULL leaves no free space behind, so that what a run writes is seen in the size of the tables.
        stage.fill(TEMPLATE, "VACUUM (FULL);")?;
        if scenes.contains(&Scene::Finished) {
            server.sql("postgres", &format!("CREATE DATABASE {FINISHED} TEMPLATE {TEMPLATE}"))?;
            stage.fill(FINISHED, include_str!("../scripts/finished.sql"))?;
        }
        Ok(stage)
    }

    /// Writes rows that have ended, and makes known what is there then.
    fn fill(&self, database: &str, sql: &str) -> Result<()> {
        let (fill_up, room) = (include_str!("../scripts/fill_up.sql"), include_str!("../scripts/room.sql"));
        self.server.sql(database, &[fill_up, sql, room, "VACUUM (ANALYZE);"].concat())?;
        Ok(())
    }

    /// Makes the database anew, with nothing left to write to disk. The snapshot is there for a scene that has one.
    pub fn fresh(&self, scene: Scene) -> Result<Option<Snapshot>> {
        let template = if scene == Scene::Finished { FINISHED } else { TEMPLATE };
        // By files, or a million finished tasks would go through the log.
        let sql = format!(
            "DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE);
             CREATE DATABASE {DATABASE} TEMPLATE {template} STRATEGY file_copy; CHECKPOINT;"
        );
        self.server.wait()?;
        self.server.sql("postgres", &sql)?;
        (scene == Scene::Snapshot).then(|| self.server.hold_snapshot(DATABASE)).transpose()
    }

    /// A run of a workload, by a script that was written for it.
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

    /// What the tables say now.
    pub fn state(&self, database: &str, workload: &Workload) -> Result<State> {
        let [rows, done, bytes] = self.server.numbers(database, workload.state())?;
        Ok(State { rows, done, bytes })
    }

    /// Asks whether as many rows are there as were put in.
    pub fn verify_rows(&self, workload: &Workload, before: &State, after: &State, wanted: u64) -> Result<()> {
        let rows = after.rows - before.rows;
        if rows == wanted {
            return Ok(());
        }
        Err(Error::Undone { workload: workload.name(), problems: format!("{wanted} were put in, {rows} are there") })
    }

    /// Works off what is left, and asks whether everything has come to its end as it should, every task of it.
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

    /// Leaves what pgbench is to go through where people can read it.
    pub fn write(&self, workload: &Workload, batch: u32) -> Result<PathBuf> {
        self.write_script(&format!("{}-{batch}", workload.name()), &workload.script(batch))
    }

    pub fn write_script(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(format!("{name}.sql"));
        fs::write(&path, text).map_err(|source| Error::Io { what: path.display().to_string(), source })?;
        Ok(path)
    }
}
