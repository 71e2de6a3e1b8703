//! Who may do what.

use super::Engine;
use crate::Result;
use serde::{Deserialize, Serialize};
use sqlx::{PgExecutor, query};

/// What a role may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Claim, heartbeat, report and tick, without a right on any table.
    Worker,
    /// See everything.
    Reader,
    /// What a reader may, and start, schedule, control and prune executions.
    Operator,
    /// What an operator may, and define workflows, register actions and write through the data layer.
    Author,
}

impl Level {
    /// Its name, as the functions take it.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Worker => "worker",
            Level::Reader => "reader",
            Level::Operator => "operator",
            Level::Author => "author",
        }
    }
}

impl Engine {
    /// Lets a role that exists do what a level may. For the owner of the extension.
    pub async fn grant<'e>(executor: impl PgExecutor<'e>, role: &str, level: Level) -> Result<()> {
        query("SELECT pg_catalog.workflow_grant(role => $1, level => $2)")
            .bind(role)
            .bind(level.as_str())
            .execute(executor)
            .await?;
        Ok(())
    }

    /// Lets a role that exists work in these parts and in no others. For the owner of the extension.
    pub async fn grant_worker<'e>(executor: impl PgExecutor<'e>, role: &str, parts: &[i32]) -> Result<()> {
        query("SELECT pg_catalog.workflow_grant(role => $1, level => $2, parts => $3)")
            .bind(role)
            .bind(Level::Worker.as_str())
            .bind(parts)
            .execute(executor)
            .await?;
        Ok(())
    }

    /// Takes from a role exactly what `grant` gave it for that level, for a worker with the parts that it was bound to. For the
    /// owner of the extension.
    pub async fn revoke<'e>(executor: impl PgExecutor<'e>, role: &str, level: Level) -> Result<()> {
        query("SELECT pg_catalog.workflow_revoke(role => $1, level => $2)")
            .bind(role)
            .bind(level.as_str())
            .execute(executor)
            .await?;
        Ok(())
    }
}
