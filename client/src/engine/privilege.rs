//! Privileges.

use super::Engine;
use crate::Result;
use serde::{Deserialize, Serialize};
use sqlx::{PgExecutor, query};

/// Level of privileges of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Claim, heartbeat, report and tick, without privileges on any table.
    Worker,
    /// Read everything.
    Reader,
    /// Everything a reader may do, plus start, schedule, control and prune executions.
    Operator,
    /// Everything an operator may do, plus define workflows, register actions and write through the data layer.
    Author,
}

impl Level {
    /// Returns the level's name, as the functions take it.
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
    /// Grants an existing role the privileges of a level. Reserved for the owner of the extension.
    pub async fn grant<'e>(executor: impl PgExecutor<'e>, role: &str, level: Level) -> Result<()> {
        query("SELECT pg_catalog.workflow_grant(role => $1, level => $2)")
            .bind(role)
            .bind(level.as_str())
            .execute(executor)
            .await?;
        Ok(())
    }

    /// Grants an existing role the privileges of a worker in these parts only. Reserved for the owner of the extension.
    pub async fn grant_worker<'e>(executor: impl PgExecutor<'e>, role: &str, parts: &[i32]) -> Result<()> {
        query("SELECT pg_catalog.workflow_grant(role => $1, level => $2, parts => $3)")
            .bind(role)
            .bind(Level::Worker.as_str())
            .bind(parts)
            .execute(executor)
            .await?;
        Ok(())
    }

    /// Revokes from a role exactly what `grant` gave it for that level, for a worker including the parts it was bound
    /// to. Reserved for the owner of the extension.
    pub async fn revoke<'e>(executor: impl PgExecutor<'e>, role: &str, level: Level) -> Result<()> {
        query("SELECT pg_catalog.workflow_revoke(role => $1, level => $2)")
            .bind(role)
            .bind(level.as_str())
            .execute(executor)
            .await?;
        Ok(())
    }
}
