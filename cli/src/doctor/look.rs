//! The checks of `doctor`.

use crate::exit_status::Failure;
use crate::output::{self, count};
use crate::table::ago;
use chrono::{TimeDelta, Utc};
use pg_workflow_client::{Engine, Error};
use serde::Serialize;
use sqlx::{PgConnection, query_as, query_scalar};

/// How long due work may wait before something must be wrong.
const LATE: TimeDelta = TimeDelta::seconds(30);

/// Result of a check.
#[derive(Debug, Serialize)]
pub struct Check {
    /// Whether the check passed.
    pub good: bool,
    /// What was found.
    pub message: String,
    /// How to fix it.
    pub hint: Option<String>,
}

fn good(message: impl Into<String>) -> Check {
    Check { good: true, message: message.into(), hint: None }
}

fn bad(message: impl Into<String>, hint: impl Into<String>) -> Check {
    Check { good: false, message: message.into(), hint: Some(hint.into()) }
}

/// The extension's versions: the one in the database, and the newest one that the server has files of.
pub struct Extension {
    pub installed: Option<String>,
    pub available: Option<String>,
}

/// Returns the versions of the extension.
pub async fn extension(session: &mut PgConnection) -> Result<Extension, Failure> {
    let found: Option<(Option<String>, Option<String>)> = query_as(
        "SELECT e.installed_version, e.default_version FROM pg_catalog.pg_available_extensions AS e \
         WHERE e.name OPERATOR(pg_catalog.=) 'pg_workflow'",
    )
    .fetch_optional(&mut *session)
    .await?;
    let (installed, available) = found.unwrap_or_default();
    Ok(Extension { installed, available })
}

/// Whether a version such as 1.10.0 comes after another.
pub fn is_newer(version: &str, than: &str) -> bool {
    let numbers = |text: &str| text.split(['.', '-']).map_while(|number| number.parse().ok()).collect::<Vec<u64>>();
    numbers(version) > numbers(than)
}

/// Fails if the extension is not installed, and warns if its version differs from this program's.
pub async fn require_extension(session: &mut PgConnection) -> Result<(), Failure> {
    let program = env!("CARGO_PKG_VERSION");
    match extension(session).await?.installed {
        None => Err(Failure::unreachable("the extension pg_workflow is not installed in this database")
            .hint("Run pg-workflow install as a superuser.")),
        Some(installed) if installed != program => {
            let text = format!(
                "this program is version {program}, but the extension is version {installed}: see `pg-workflow doctor`"
            );
            output::warning(&text);
            Ok(())
        }
        Some(_) => Ok(()),
    }
}

/// Examines a database.
pub async fn examine(session: &mut PgConnection, deep: bool) -> Result<Vec<Check>, Failure> {
    let mut checks = vec![server(session).await?];
    let extension = extension(session).await?;
    match (&extension.installed, &extension.available) {
        (None, None) => {
            let message = "the extension pg_workflow is not installed, and the server does not have its files";
            checks.push(bad(message, "Install the files on the server: see \"Installing\" in docs/operations.md."));
            return Ok(checks);
        }
        (None, Some(version)) => {
            let message = format!(
                "the extension pg_workflow is not installed in this database; the server has version {version}"
            );
            checks.push(bad(message, "Run pg-workflow install as a superuser."));
            return Ok(checks);
        }
        (Some(installed), Some(available)) if is_newer(installed, available) => {
            let message = format!(
                "the extension has version {installed}, but the server has only files of the older version {available}"
            );
            let hint = format!(
                "Install the files of version {installed} on the server: see \"Installing\" in docs/operations.md."
            );
            checks.push(bad(message, hint));
        }
        (Some(installed), Some(available)) if installed != available => {
            let message =
                format!("the extension has version {installed}, and the server has files of version {available}");
            checks.push(bad(message, "Run ALTER EXTENSION pg_workflow UPDATE, or pg-workflow install."));
        }
        (Some(installed), _) => checks.push(good(format!("the extension has version {installed}"))),
    }
    let program = env!("CARGO_PKG_VERSION");
    if let Some(installed) = extension.installed.filter(|installed| installed != program) {
        let message = format!("this program is version {program}, but the extension is version {installed}");
        checks.push(bad(message, "Use the program of the same version."));
    }
    let levels = levels(session).await?;
    let reads = levels.iter().any(|level| level != "worker");
    checks.push(privileges(session, &levels).await?);
    if !reads {
        return Ok(checks);
    }
    checks.extend(ticking(session).await?);
    checks.extend(queues(session).await?);
    checks.extend(settings(session).await?);
    if deep {
        let broken = Engine::check(&mut *session, 100).await?;
        checks.extend(broken.iter().map(|row| {
            let detail = row.detail.as_deref().unwrap_or_default();
            bad(
                format!("{}: {} {} {detail}", row.invariant, row.subject, row.id),
                "Please report this, with the events of the execution.",
            )
        }));
        if broken.is_empty() {
            checks.push(good("no invariant is broken"));
        }
    }
    Ok(checks)
}

async fn server(session: &mut PgConnection) -> Result<Check, Failure> {
    let (version, database, role, encoding, is_standby): (String, String, String, String, bool) = query_as(
        "SELECT pg_catalog.current_setting('server_version'), pg_catalog.current_database()::text, CURRENT_USER::text, \
         pg_catalog.current_setting('server_encoding'), pg_catalog.pg_is_in_recovery()",
    )
    .fetch_one(&mut *session)
    .await?;
    let message = format!("PostgreSQL {version}, database {database}, role {role}");
    if encoding != "UTF8" {
        let hint = "Use a database with the encoding UTF8. The extension does not support others.";
        return Ok(bad(format!("{message}, encoding {encoding}"), hint));
    }
    if is_standby {
        return Ok(good(format!("{message}; it is a standby, so nothing can be changed here, and no worker can work")));
    }
    Ok(good(message))
}

/// Returns the levels whose functions this role may call.
async fn levels(session: &mut PgConnection) -> Result<Vec<String>, Failure> {
    Ok(query_scalar(
        "SELECT l.level FROM (VALUES ('worker', 'workflow_claim'), ('reader', 'workflow_status'), \
         ('operator', 'workflow_start'), ('author', 'workflow_define')) AS l (level, function) \
         WHERE (SELECT pg_catalog.bool_and(pg_catalog.has_function_privilege(p.oid, 'EXECUTE')) \
         FROM pg_catalog.pg_proc AS p WHERE p.proname OPERATOR(pg_catalog.=) l.function::pg_catalog.name \
         AND p.pronamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace)",
    )
    .fetch_all(&mut *session)
    .await?)
}

async fn privileges(session: &mut PgConnection, levels: &[String]) -> Result<Check, Failure> {
    if !levels.is_empty() {
        return Ok(good(format!("this role has the privileges of {}", levels.join(", "))));
    }
    let role: String = query_scalar("SELECT CURRENT_USER::text").fetch_one(&mut *session).await?;
    Ok(bad(
        "this role may not call any of the extension's functions",
        format!(
            "As the owner of the extension, run SELECT workflow_grant('{role}', 'operator'); worker, reader and author are the other levels."
        ),
    ))
}

/// Checks whether due work is being done.
async fn ticking(session: &mut PgConnection) -> Result<Vec<Check>, Failure> {
    let overdue = Engine::overdue_summary(&mut *session).await?;
    let late: Vec<Check> = overdue
        .iter()
        .filter(|row| Utc::now() - row.oldest > LATE)
        .map(|row| {
            let message = format!(
                "{}: {} overdue, the oldest for {}",
                row.kind,
                count(row.rows as usize, "row"),
                ago(row.oldest)
            );
            bad(
                message,
                "Nothing is ticking. Run a worker, or the server's own ticker (SELECT workflow_start_ticker()).",
            )
        })
        .collect();
    Ok(if late.is_empty() { vec![good("nothing is overdue")] } else { late })
}

/// Checks whether workers serve every action that is queued.
async fn queues(session: &mut PgConnection) -> Result<Vec<Check>, Failure> {
    let queues = Engine::queue_summary(&mut *session).await?;
    let claims = Engine::claims(&mut *session, 10_000).await?;
    let mut checks = Vec::new();
    for queue in queues.iter().filter(|queue| Utc::now() - queue.oldest > LATE) {
        let served = claims.iter().any(|claim| claim.action_ref.as_ref() == Some(&queue.action_ref) && !claim.expired);
        let tasks = count(queue.ready as usize, "task");
        let waiting = format!("{}: {tasks} waiting, the first for {}", queue.action_ref, ago(queue.oldest));
        checks.push(match served {
            false => bad(
                format!("{waiting}: no worker has claimed any of them"),
                format!("Run a worker for it: pg-workflow work --action {}=COMMAND.", queue.action_ref),
            ),
            true => bad(format!("{waiting}: its workers are busy"), "Run more workers, or increase their concurrency."),
        });
    }
    let expired = claims.iter().filter(|claim| claim.expired).count();
    if expired > 0 {
        let message = format!("{} with an expired lease", count(expired, "task"));
        checks.push(bad(message, "The next claim or tick makes them available again."));
    }
    if checks.is_empty() {
        let ready: i64 = queues.iter().map(|queue| queue.ready).sum();
        checks.push(good(format!("{} ready, {} claimed", count(ready as usize, "task"), claims.len())));
    }
    Ok(checks)
}

/// Lists the extension's settings that differ from their defaults.
async fn settings(session: &mut PgConnection) -> Result<Vec<Check>, Failure> {
    // They are only known once the library is loaded, which any call does.
    let _ = Engine::validate(&mut *session, "").await.map_err(drop::<Error>);
    let changed: Vec<(String, String, String)> = query_as(
        "SELECT s.name, s.setting, coalesce(s.boot_val, '') FROM pg_catalog.pg_settings AS s \
         WHERE s.name OPERATOR(pg_catalog.~~) 'pg\\_workflow.%' AND s.setting OPERATOR(pg_catalog.<>) s.boot_val \
         ORDER BY s.name",
    )
    .fetch_all(&mut *session)
    .await?;
    Ok(changed.into_iter().map(|(name, value, usual)| good(format!("{name} is {value} (default {usual})"))).collect())
}

#[cfg(test)]
mod tests {
    use super::is_newer;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(is_newer("0.10.0", "0.9.1") && is_newer("1.0.1", "1.0"));
        assert!(!is_newer("0.9.1", "0.10.0") && !is_newer("1.0.0", "1.0.0"));
    }
}
