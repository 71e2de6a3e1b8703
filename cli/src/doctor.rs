//! `pg-workflow doctor` and `install`: check, or install, everything that workflows need.

mod look;

use crate::connect::{Connection, wait_for};
use crate::exit_status::{Ending, Failure};
use crate::output::{self, Style, styled, visible};
use look::Check;
pub use look::require_extension;
use sqlx::{Connection as _, Executor};

/// Report what is wrong with a database, and how to fix it
///
/// Exit status: 0 if nothing is wrong, 1 if something is, such as a missing extension, 3 if it can't connect.
#[derive(clap::Args)]
pub struct Arguments {
    /// Also look for broken invariants, which reads all data
    #[arg(long)]
    deep: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Examines a database.
pub fn run(arguments: Arguments) -> crate::Ended {
    let checks = wait_for(async {
        let mut session = arguments.connection.open().await?;
        look::examine(&mut session, arguments.deep).await
    })??;
    tell(&checks, arguments.json)
}

fn tell(checks: &[Check], json: bool) -> crate::Ended {
    if json {
        let text = serde_json::to_string_pretty(checks).map_err(Failure::unusable)?;
        output::print(&format!("{text}\n"));
    } else {
        for Check { good, message, hint } in checks {
            let sign = if *good { styled(Style::Green, "✓") } else { styled(Style::Red, "✗") };
            output::print(&format!("{sign} {}\n", visible(message)));
            if let Some(hint) = hint {
                output::print(&format!("  {}: {}\n", styled(Style::Bold, "hint"), visible(hint)));
            }
        }
    }
    Ok(if checks.iter().all(|check| check.good) { Ending::Good } else { Ending::Bad })
}

/// Install the extension in a database, or update it, and examine the database
///
/// The extension's files must already be on the server. Requires a superuser.
#[derive(clap::Args)]
pub struct Install {
    /// Give a role its privileges: worker, reader, operator or author; repeatable
    #[arg(long, value_name = "ROLE=LEVEL", value_parser = grant)]
    grant: Vec<(String, String)>,
    /// Start a background worker that ticks in this database
    #[arg(long)]
    ticker: bool,
    #[command(flatten)]
    connection: Connection,
}

fn grant(text: &str) -> Result<(String, String), String> {
    let (role, level) = text.rsplit_once('=').ok_or("write it as role=worker")?;
    Ok((role.to_owned(), level.to_owned()))
}

/// Installs the extension.
pub fn install(arguments: Install) -> crate::Ended {
    let checks = wait_for(async {
        let mut session = arguments.connection.open().await?;
        let mut transaction = session.begin().await?;
        let extension = look::extension(&mut transaction).await?;
        let Some(available) = &extension.available else {
            return Err(Failure::refused("the server does not have the files of the extension pg_workflow")
                .hint("Install them on the server first: see \"Installing\" in docs/operations.md."));
        };
        let done = match &extension.installed {
            None => {
                transaction.execute("CREATE EXTENSION pg_workflow").await?;
                format!("installed the extension, version {available}")
            }
            Some(installed) if look::is_newer(installed, available) => {
                format!("the extension is already installed, version {installed}; the server's files are older")
            }
            Some(installed) if installed != available => {
                transaction.execute("ALTER EXTENSION pg_workflow UPDATE").await?;
                format!("updated the extension from version {installed} to {available}")
            }
            Some(installed) => format!("the extension is already installed, version {installed}"),
        };
        for (role, level) in &arguments.grant {
            sqlx::query("SELECT pg_catalog.workflow_grant(role => $1, level => $2)")
                .bind(role)
                .bind(level)
                .execute(&mut *transaction)
                .await
                .map_err(pg_workflow_client::Error::from)?;
        }
        transaction.commit().await?;
        output::line(&done);
        if arguments.ticker && !pg_workflow_client::Engine::start_ticker(&mut session).await? {
            output::line("the ticker is already running");
        }
        look::examine(&mut session, false).await
    })??;
    tell(&checks, false)
}
