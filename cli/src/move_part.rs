//! `pg-workflow move-part`: moves parts to another server while work continues.
//!
//! The next step follows from where the two servers say that the part is, so running the same command again continues
//! an interrupted move. The rules are in the functions that it calls, in sql/move_part.sql.

use crate::connect::{Connection, wait_for};
use crate::exit_status::{Ending, Failure};
use crate::output;
use crate::progress::Progress;
use pg_workflow_client::{Engine, Error};
use serde_json::Value;
use sqlx::{Connection as _, Executor, PgConnection};
use std::time::{Duration, Instant};

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(20);

/// How long the source may wait for calls in progress before it drops the publication of a part. If they take longer,
/// the publication stays: the part's next move uses it.
const TIDY_FOR: &str = "SET lock_timeout = '5s'";

/// Maximum number of executions deleted per call.
const CLEARED: i32 = 1000;

/// Move parts to another server while work continues
///
/// Copies the rows by logical replication, stops calls for the part at the source, waits until everything has arrived,
/// and lets the target take over. Run it again if it was interrupted. Exit status: 0 if the parts have moved, or the
/// move was aborted as requested; 1 if not.
#[derive(clap::Args)]
pub struct Arguments {
    /// The parts, as numbers and ranges: 7 or 0-63,100
    #[arg(value_name = "PARTS", value_parser = parts)]
    parts: Parts,
    /// The server that has them, as postgres://user@host:port/name
    #[arg(long, value_name = "URL")]
    from: String,
    /// The server to which to move them
    #[arg(long, value_name = "URL")]
    to: String,
    /// How the target connects to the source, as a libpq connection string; by default in the same way as this program
    #[arg(long, value_name = "STRING")]
    connection: Option<String>,
    /// How long calls for a part may be refused; a move that takes longer is aborted
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    patience: u64,
    /// Undo a move that was interrupted, unless the target has already accepted the part
    #[arg(long)]
    abort: bool,
}

#[derive(Clone)]
struct Parts(Vec<i32>);

fn parts(text: &str) -> Result<Parts, String> {
    let mut all = Vec::new();
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.trim().parse().ok().filter(|part| (0..1024).contains(part));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => all.extend(first..=last),
            _ => return Err("list parts from 0 to 1023 and ranges, such as 0-63,100".to_owned()),
        }
    }
    Ok(Parts(all))
}

/// Moves parts.
pub fn run(arguments: Arguments) -> crate::Ended {
    wait_for(async {
        let (from, to) = (Connection::of_url(&arguments.from), Connection::of_url(&arguments.to));
        let (source_name, target_name) = (from.name()?, to.name()?);
        let (source, target) = (from.open().await?, to.open().await?);
        let connection = arguments.connection.unwrap_or(arguments.from);
        let patience = Duration::from_secs(arguments.patience);
        let mut servers = Move { from, source, target, source_name, target_name, connection, patience };
        for part in arguments.parts.0 {
            match arguments.abort {
                true => servers.abort(part).await?,
                false => servers.finish(part).await?,
            }
        }
        servers.source.close().await?;
        servers.target.close().await?;
        Ok(Ending::Good)
    })?
}

struct Move {
    from: Connection,
    source: PgConnection,
    target: PgConnection,
    source_name: String,
    target_name: String,
    connection: String,
    patience: Duration,
}

impl Move {
    /// Returns where the source and the target say that a part is, and the server that the target names.
    async fn state(&mut self, part: i32) -> Result<(String, String, Option<String>), Failure> {
        let source = Engine::find_part(&mut self.source, part).await?;
        let target = Engine::find_part(&mut self.target, part).await?;
        Ok((source.status, target.status, target.server))
    }

    /// Performs the remaining steps until the part has moved.
    async fn finish(&mut self, part: i32) -> Result<(), Failure> {
        loop {
            let (source, target, _) = self.state(part).await?;
            match (source.as_str(), target.as_str()) {
                ("here", "elsewhere") => self.begin(part).await?,
                ("here", "arriving") => self.copy(part).await?,
                ("leaving", "arriving") => self.hand_over(part).await?,
                ("leaving", "here") => self.release(part).await?,
                ("elsewhere", "here") => {
                    self.source.execute(TIDY_FOR).await?;
                    while Engine::clear_part(&mut self.source, part, CLEARED).await? > 0 {}
                    self.source.execute("RESET lock_timeout").await?;
                    say(part, "it has moved");
                    return Ok(());
                }
                ("leaving", "elsewhere") => {
                    let hint = "Run the command with --abort.";
                    return Err(Failure::refused(format!("part {part}: the target has refused it")).hint(hint));
                }
                (source, target) => return Err(unmovable(part, source, target)),
            }
        }
    }

    async fn begin(&mut self, part: i32) -> Result<(), Failure> {
        let offer = Engine::offer_part(&mut self.source, part).await?;
        // A slot that nobody reads from is left over from an interrupted attempt.
        drop_slot(&mut self.source, part).await?;
        sqlx::query("SELECT pg_create_logical_replication_slot(format('pg_workflow_part_%s', $1), 'pgoutput')")
            .bind(part)
            .execute(&mut self.source)
            .await?;
        let (name, connection) = (&self.source_name, &self.connection);
        // Rows left over from a time when the target had the part.
        while Engine::clear_part(&mut self.target, part, CLEARED).await? > 0 {}
        Engine::receive_part(&mut self.target, part, name, connection, &offer).await?;
        Ok(())
    }

    async fn copy(&mut self, part: i32) -> Result<(), Failure> {
        say(part, "copying");
        let mut progress = Progress::of("copying tables", 0);
        loop {
            let arriving = Engine::find_arriving(&mut self.target, part).await?;
            progress.grow(arriving.tables.unsigned_abs().into());
            progress.set(arriving.copied.unsigned_abs().into());
            if arriving.tables > 0 && arriving.copied == arriving.tables {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(Engine::fence_part(&mut self.source, part, &self.target_name).await?)
    }

    /// Calls for the part are refused until this is done.
    async fn hand_over(&mut self, part: i32) -> Result<(), Failure> {
        let began = Instant::now();
        let export = match tokio::time::timeout(self.patience, self.close(part)).await {
            Ok(done) => done?,
            Err(_) => return Err(self.give_up(part).await?),
        };
        loop {
            match Engine::accept_part(&mut self.target, part, &export).await {
                Ok(()) => break,
                // Definitions may not have arrived yet.
                Err(Error::WrongState(_)) if began.elapsed() < self.patience => tokio::time::sleep(PAUSE).await,
                Err(error) if error.refusal().is_some() => {
                    self.abort(part).await?;
                    return Err(
                        Failure::from(error).about(format!("part {part} was not accepted and stays at the source"))
                    );
                }
                // Running the command again finds out whether it was accepted.
                Err(error) => return Err(error.into()),
            }
        }
        say(part, &format!("calls were refused for {} ms", began.elapsed().as_millis()));
        Ok(())
    }

    async fn close(&mut self, part: i32) -> Result<Value, Failure> {
        Engine::close_part(&mut self.source, part).await?;
        let export = Engine::export_part(&mut self.source, part).await?;
        let lsn = export["lsn"].as_str().unwrap_or_default().to_owned();
        while Engine::find_leaving(&mut self.source, part, &lsn).await? != Some(0) {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(export)
    }

    /// Aborts a move that takes too long. Returns the message to print.
    async fn give_up(&mut self, part: i32) -> Result<Failure, Failure> {
        // The old session is still in the middle of a call.
        self.source = self.from.open().await?;
        self.abort(part).await?;
        let seconds = self.patience.as_secs();
        let hint = "Look for long transactions and for causes of replication delay, or increase --patience.";
        Ok(Failure::refused(format!(
            "part {part} could not be handed over within {seconds} s, and stays at the source"
        ))
        .hint(hint))
    }

    /// Gives up the part at the source. The target's process may need a moment to release the slot.
    async fn release(&mut self, part: i32) -> Result<(), Failure> {
        retry(async || Engine::release_part(&mut self.source, part).await).await
    }

    /// Undoes the move. The target refuses first: from then on, the part can no longer be accepted there.
    async fn abort(&mut self, part: i32) -> Result<(), Failure> {
        let (source, target, server) = self.state(part).await?;
        match (source.as_str(), target.as_str()) {
            ("here" | "leaving", "arriving") => Engine::refuse_part(&mut self.target, part).await?,
            ("here", "elsewhere") => {}
            // A part that the target has refused is at the source, but not one that it had and has moved on.
            ("leaving", "elsewhere") if server.as_deref() == Some(self.source_name.as_str()) => {}
            ("leaving", "here") => {
                let hint = "Run the command without --abort, then move the part back.";
                return Err(Failure::refused(format!("part {part}: the target has accepted it")).hint(hint));
            }
            (source, target) => return Err(unmovable(part, source, target)),
        }
        retry(async || Engine::keep_part(&mut self.source, part).await).await?;
        while Engine::clear_part(&mut self.target, part, CLEARED).await? > 0 {}
        say(part, "it stays at the source");
        // Drops the publication that the first call has emptied.
        self.source.execute(TIDY_FOR).await?;
        Engine::keep_part(&mut self.source, part).await?;
        self.source.execute("RESET lock_timeout").await?;
        Ok(())
    }
}

fn unmovable(part: i32, source: &str, target: &str) -> Failure {
    let hint = "Compare workflow_find_parts() on all servers. Each part must be on exactly one of them.";
    Failure::refused(format!("part {part}: the source reports {source}, the target reports {target}")).hint(hint)
}

/// Calls again while a replication slot is in use.
async fn retry(mut call: impl AsyncFnMut() -> Result<(), Error>) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        match call().await {
            Err(Error::Database(sqlx::Error::Database(error)))
                if error.code().as_deref() == Some("55006") && began.elapsed() < Duration::from_secs(30) =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            ended => return Ok(ended?),
        }
    }
}

async fn drop_slot(source: &mut PgConnection, part: i32) -> Result<(), Failure> {
    sqlx::query(
        "SELECT pg_drop_replication_slot(s.slot_name) FROM pg_replication_slots AS s \
         WHERE s.slot_name = format('pg_workflow_part_%s', $1) AND s.database = current_database() AND NOT s.active",
    )
    .bind(part)
    .execute(source)
    .await?;
    Ok(())
}

fn say(part: i32, what: &str) {
    output::print(&format!("part {part}: {what}\n"));
}
