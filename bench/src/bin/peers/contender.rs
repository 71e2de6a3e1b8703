//! The systems compared, and how each system's own tables tell what has been done.

use crate::Result;
use std::fmt;

/// The system that all others are compared with.
pub const OURS: &str = "pg_workflow";

/// Ours too: jobs enqueued together are the items of one workflow.
const ITEMS: &str = "pg_workflow-items";

/// Not a system, but the rows that ours writes, written by hand, to show their share of a job's cost.
const BY_HAND: &str = "rows-by-hand";

/// Language of a driver.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub enum Language {
    Rust,
    Node,
    Python,
}

/// A system with a worker in one language.
#[derive(Debug, PartialEq)]
pub struct Contender {
    /// Name, which is also that of its package.
    pub system: &'static str,
    pub language: Language,
    /// Driver, a file in bench/peers/.
    pub driver: &'static str,
    /// Workloads it supports, by number of steps: 1 is a job.
    pub steps: &'static [u32],
    /// Whether its driver can have one job of a key at a time, whatever the number of workers.
    pub limits_keys: bool,
    /// Divisor of its workload: it takes milliseconds per step, and a full run would take minutes.
    pub fewer: u32,
    /// Query for whether anything is left to do.
    pub left: &'static str,
    /// Query for the total number of steps done. Some systems delete what they have done.
    pub done: Option<&'static str>,
}

/// All contenders, in the order of a round.
pub static CONTENDERS: [Contender; 10] = [
    ours(Language::Rust, "pg_workflow.rs"),
    ours(Language::Node, "pg_workflow.mjs"),
    Contender { system: ITEMS, steps: &[1], limits_keys: false, ..ours(Language::Node, "pg_workflow_items.mjs") },
    Contender { system: BY_HAND, steps: &[1], limits_keys: false, ..ours(Language::Node, "rows_by_hand.mjs") },
    Contender {
        system: "graphile-worker",
        language: Language::Node,
        driver: "graphile_worker.mjs",
        steps: &[1, 3, 10],
        limits_keys: true,
        fewer: 1,
        left: "SELECT EXISTS (SELECT FROM graphile_worker._private_jobs)",
        done: None,
    },
    Contender {
        system: "pg-boss",
        language: Language::Node,
        driver: "pg_boss.mjs",
        steps: &[1, 3, 10],
        limits_keys: true,
        fewer: 1,
        left: "SELECT EXISTS (SELECT FROM pgboss.job WHERE name = 'job' AND state < 'completed')",
        done: Some("SELECT count(*) FROM pgboss.job WHERE name = 'job' AND state = 'completed'"),
    },
    ours(Language::Python, "pg_workflow.py"),
    Contender {
        system: "pgqueuer",
        language: Language::Python,
        driver: "pgqueuer_jobs.py",
        steps: &[1, 3, 10],
        limits_keys: false,
        fewer: 1,
        left: "SELECT EXISTS (SELECT FROM pgqueuer)",
        done: Some("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'"),
    },
    Contender {
        system: "procrastinate",
        language: Language::Python,
        driver: "procrastinate_jobs.py",
        steps: &[1, 3, 10],
        limits_keys: false,
        fewer: 10,
        left: "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))",
        done: Some("SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"),
    },
    Contender {
        system: "dbos",
        language: Language::Python,
        driver: "dbos_workflows.py",
        steps: &[3, 10],
        limits_keys: false,
        fewer: 10,
        left: "SELECT EXISTS (SELECT FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING'))",
        done: Some(
            "SELECT count(*) FROM dbos.operation_outputs JOIN dbos.workflow_status USING (workflow_uuid) \
             WHERE status = 'SUCCESS'",
        ),
    },
];

const fn ours(language: Language, driver: &'static str) -> Contender {
    Contender {
        system: OURS,
        language,
        driver,
        steps: &[1, 3, 10],
        limits_keys: matches!(language, Language::Node),
        fewer: 1,
        left: "SELECT EXISTS (SELECT FROM workflow.execution WHERE status NOT IN ('completed', 'failed'))",
        done: Some(
            "SELECT count(*) FROM workflow.workflow_task_execution AS t \
             JOIN workflow.workflow_execution AS w ON w.part = t.part AND w.id = t.workflow_execution \
             WHERE t.status = 'completed' AND w.status = 'completed' AND NOT EXISTS (SELECT FROM workflow_check())",
        ),
    }
}

/// Returns those with these names; all if no names are given.
pub fn select(only: &[String]) -> Result<Vec<&'static Contender>> {
    if let Some(name) = only.iter().find(|name| CONTENDERS.iter().all(|contender| contender.system != *name)) {
        let mut names: Vec<&str> = CONTENDERS.iter().map(|contender| contender.system).collect();
        names.sort_unstable();
        names.dedup();
        return Err(pg_workflow_bench::Error::Name { name: name.clone(), names: names.join(", ") }.into());
    }
    let wanted = |contender: &&Contender| only.is_empty() || only.iter().any(|name| contender.system == name);
    Ok(CONTENDERS.iter().filter(wanted).collect())
}

impl Contender {
    /// Whether it supports a workload with this many steps and keys.
    pub fn can_do(&self, steps: u32, keys: u32) -> bool {
        self.steps.contains(&steps) && (keys == 0 || self.limits_keys)
    }

    pub fn is_ours(&self) -> bool {
        self.system == OURS
    }

    /// Whether it works on our tables.
    pub fn has_our_tables(&self) -> bool {
        [OURS, ITEMS, BY_HAND].contains(&self.system)
    }

    /// Returns the name of the database that is copied for its runs.
    pub fn template(&self) -> String {
        format!("peers_{}", self.system.replace('-', "_"))
    }

    /// Returns the installed version, as pinned in its package's file.
    pub fn version(&self) -> &'static str {
        let pinned = match self.language {
            _ if self.has_our_tables() => return env!("CARGO_PKG_VERSION"),
            Language::Node => {
                include_str!("../../../peers/package.json").split_once(&format!("\"{}\": \"", self.system))
            }
            Language::Python => {
                include_str!("../../../peers/requirements.txt").split_once(&format!("\n{}==", self.system))
            }
            Language::Rust => None,
        };
        let (_, version) = pinned.expect("every peer is pinned");
        version.split(['"', '\n']).next().unwrap_or_default()
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} ({})", self.system, self.language))
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_pinned() {
        for contender in &CONTENDERS {
            let version = contender.version();
            assert!(
                version.split('.').count() == 3 && version.split('.').all(|n| n.parse::<u32>().is_ok()),
                "{version}"
            );
        }
    }

    #[test]
    fn every_peer_has_one_of_ours_in_its_language_that_does_the_same() {
        for peer in CONTENDERS.iter().filter(|c| !c.is_ours()) {
            let ours = CONTENDERS.iter().find(|c| c.is_ours() && c.language == peer.language).expect("one of ours");
            assert!(peer.steps.iter().all(|steps| ours.steps.contains(steps)), "{peer}");
            assert!(ours.limits_keys || !peer.limits_keys, "{peer}");
        }
    }
}
