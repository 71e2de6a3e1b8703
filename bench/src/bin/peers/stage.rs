//! The databases of the runs: a fresh copy of a system's database for each, and the verification that all work was done
//! in it.

use crate::contender::Contender;
use crate::driver::{Driver, Worker};
use crate::install::Tools;
use crate::report::Sample;
use crate::{Error, KEYS, Result, Workload};
use pg_workflow_bench::definition::{jobs, keyed, linear};
use pg_workflow_bench::server::Server;
use sqlx::{Connection, PgConnection, query_scalar};
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Number of jobs of each kind that each system processes before anything is measured.
const REHEARSAL: u32 = 100;
/// Maximum duration of a run: longer than the slowest needs.
const PATIENCE: Duration = Duration::from_secs(300);
/// Database in which runs take place.
const DATABASE: &str = "peers";

/// A server and the systems that run on it.
pub struct Stage {
    pub server: Server,
    pub tools: Tools,
    /// Number of workers per system, one process each.
    pub workers: u32,
    /// Log of the drivers' error output.
    pub log: PathBuf,
}

impl Stage {
    /// Creates the databases that are copied for runs. Every system processes a little there, so that none starts with
    /// plans made for empty tables, and failures show before minutes of measuring.
    pub async fn rehearse(&self, contenders: &[&Contender]) -> Result<()> {
        let mut made = HashSet::new();
        for contender in contenders {
            let template = contender.template();
            if made.insert(template.clone()) {
                eprintln!("bench-peers: preparing {}", contender.system);
                self.server.sql("postgres", &format!("CREATE DATABASE {template} TEMPLATE template0"))?;
                if contender.has_our_tables() {
                    self.server.sql(&template, &definitions(contender))?;
                }
                if !contender.is_ours() {
                    self.driver(contender).prepare(&self.server.url(&template))?;
                }
            }
            for steps in contender.steps {
                self.run(contender, &template, Workload { jobs: REHEARSAL, steps: *steps, keys: 0 }).await?;
            }
            if contender.limits_keys {
                self.run(contender, &template, Workload { jobs: REHEARSAL, steps: 1, keys: KEYS }).await?;
            }
        }
        Ok(())
    }

    /// Performs one run in a fresh database.
    pub async fn measure(&self, contender: &Contender, workload: Workload) -> Result<Sample> {
        let template = contender.template();
        let fresh = format!(
            "DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE); CREATE DATABASE {DATABASE} TEMPLATE {template}; CHECKPOINT;"
        );
        self.server.sql("postgres", &fresh)?;
        self.run(contender, DATABASE, workload).await
    }

    /// Enqueues everything, lets workers process it, and verifies that all of it was done, and nothing twice.
    async fn run(&self, contender: &Contender, database: &str, workload: Workload) -> Result<Sample> {
        let (driver, url) = (self.driver(contender), self.server.url(database));
        let mut observer = PgConnection::connect(&url).await?;
        let before = done(&mut observer, contender).await?;
        let put_in = driver.enqueue(&url, workload)?;
        // Otherwise autovacuum would run at arbitrary times.
        self.server.sql(database, "VACUUM (ANALYZE)")?;

        let mut workers: Vec<Worker<'_>> =
            (0..self.workers).map(|_| driver.worker(&url, workload)).collect::<Result<_>>()?;
        workers.iter_mut().try_for_each(Worker::wait_until_ready)?;
        let begin = Instant::now();
        workers.iter_mut().try_for_each(Worker::begin)?;
        self.wait(&mut observer, contender, &mut workers).await?;
        let worked_off = begin.elapsed().as_secs_f64();

        let counted: u64 = workers.into_iter().map(Worker::stop).sum::<Result<u64>>()?;
        let wanted = u64::from(workload.jobs * workload.steps);
        let after = done(&mut observer, contender).await?;
        observer.close().await?;
        let in_tables = after.zip(before).map_or(counted, |(after, before)| after - before);
        if (counted, in_tables) == (wanted, wanted) {
            return Ok(Sample { put_in, worked_off });
        }
        let problem = format!("of {wanted} steps its workers did {counted}, and its tables say {in_tables}");
        Err(Error::Undone { contender: contender.to_string(), problem })
    }

    /// Waits until the system's tables say that nothing is left to do.
    async fn wait(&self, observer: &mut PgConnection, contender: &Contender, workers: &mut [Worker<'_>]) -> Result<()> {
        let begin = Instant::now();
        loop {
            let asked = Instant::now();
            if !query_scalar::<_, bool>(contender.left).fetch_one(&mut *observer).await? {
                return Ok(());
            }
            workers.iter_mut().try_for_each(Worker::must_live)?;
            if begin.elapsed() > PATIENCE {
                let problem = format!("something is left after {} s", PATIENCE.as_secs());
                return Err(Error::Undone { contender: contender.to_string(), problem });
            }
            // The query takes a twentieth of this session's time, so that it disturbs nobody.
            sleep((asked.elapsed() * 20).max(Duration::from_millis(5))).await;
        }
    }

    fn driver<'a>(&'a self, contender: &'a Contender) -> Driver<'a> {
        Driver { contender, tools: &self.tools, log: &self.log }
    }
}

/// Returns how many steps have been done, if the tables tell.
async fn done(observer: &mut PgConnection, contender: &Contender) -> Result<Option<u64>> {
    let Some(question) = contender.done else { return Ok(None) };
    let done: i64 = query_scalar(question).fetch_one(observer).await?;
    Ok(Some(done.unsigned_abs()))
}

/// Returns our own workflows: those of `make bench`, the one for jobs that are enqueued together, and the one that runs
/// one task per key at once.
fn definitions(ours: &Contender) -> String {
    let mut sql = "CREATE EXTENSION pg_workflow; SELECT ref FROM workflow_register_action('bench.step');\n".to_owned();
    let linear = ours.steps.iter().map(|steps| linear(&format!("linear{steps}"), *steps));
    sql += "SELECT workflow_set_limit('tenants', max_running => 1);\n";
    for yaml in linear.chain([jobs("jobs"), keyed("keyed")]) {
        sql += &format!("SELECT ref FROM workflow_define($yaml$\n{yaml}$yaml$);\n");
    }
    sql
}
