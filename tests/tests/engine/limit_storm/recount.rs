//! Counts what runs under limits, from outside: by the tasks and executions as each session sees them.

use crate::fixture::Session;
use std::collections::{BTreeMap, BTreeSet};

/// A running task, or a running execution as a negative number, with a limit and key that it is under.
pub type Place = (i64, String, String);

/// Maximum number of tasks that may begin under each rate of the storm, `rate + burst - 1`, and its period in seconds.
const RATES: [(&str, usize, f64); 2] = [("fast", 5, 1.0), ("pulse", 6, 2.0)];

/// When something began under a rate, by limit and key.
type Begun = ((String, String), f64);

/// Returns everything that runs under limits, as a session sees it. Nothing in the storm's workflows closes an
/// execution, so an execution that neither waits nor has ended has begun.
pub async fn running(session: &mut Session) -> BTreeSet<Place> {
    let rows: Vec<Place> = session
        .rows(
            "SELECT t.id, o.pair ->> 0, o.pair ->> 1
             FROM workflow.workflow_task_execution t CROSS JOIN jsonb_array_elements(t.limits) AS o(pair)
             WHERE t.status = 'running' AND t.limits IS NOT NULL
             UNION ALL
             SELECT -w.id, '@' || d.ref, w.concurrency_key
             FROM workflow.workflow_execution w
             JOIN workflow.execution e ON e.part = w.part AND e.id = w.id
             JOIN workflow.workflow_definition d ON d.id = w.workflow_def
             WHERE w.concurrency_key IS NOT NULL AND w.limit_place IS NULL AND NOT workflow.is_end(e.status)",
        )
        .await;
    rows.into_iter().collect()
}

/// Changes made by the open transaction of a session.
#[derive(Clone, Default)]
struct Change {
    begun: BTreeSet<Place>,
    ended: BTreeSet<Place>,
    /// The limits as the session sees them.
    limits: BTreeMap<String, i32>,
}

impl Change {
    /// Returns how many more tasks or executions run under a key once the transaction has committed; it may have passed
    /// on a slot.
    fn growth(&self, limit: &str, key: &str) -> usize {
        let of =
            |places: &BTreeSet<Place>| places.iter().filter(|place| (&*place.1, &*place.2) == (limit, key)).count();
        of(&self.begun).saturating_sub(of(&self.ended))
    }
}

pub struct Recount {
    open: Vec<Change>,
    /// The same for rates, which also count tasks that have ended since.
    paced: Vec<Vec<Begun>>,
    committed: BTreeMap<(String, String), Vec<f64>>,
}

impl Recount {
    pub fn new(sessions: usize) -> Recount {
        Recount {
            open: vec![Change::default(); sessions],
            paced: vec![Vec::new(); sessions],
            committed: BTreeMap::new(),
        }
    }

    /// Fails if a statement let something begin although the limit was reached, counting what the session sees
    /// afterwards and what has begun in open transactions of others.
    pub async fn check(
        &mut self,
        number: usize,
        session: &mut Session,
        eye: &mut Session,
        before: BTreeSet<Place>,
        now: f64,
    ) {
        let (seen, committed) = (running(session).await, running(eye).await);
        let limits: Vec<(String, i32)> = session
            .rows("SELECT name, max_running FROM workflow.limit_rule WHERE max_running IS NOT NULL AND count_from IS NULL")
            .await;
        let limits: BTreeMap<String, i32> = limits.into_iter().collect();
        self.open[number] = Change {
            // Anything that began after the transaction deleted its limit is under no limit once the transaction
            // commits.
            begun: seen.difference(&committed).filter(|place| limits.contains_key(&place.1)).cloned().collect(),
            ended: committed.difference(&seen).cloned().collect(),
            limits: limits.clone(),
        };
        for (who, limit, key) in seen.difference(&before) {
            let others = self.open.iter().enumerate().filter(|(other, _)| *other != number);
            let others: Vec<_> = others.map(|(_, change)| (change, change.growth(limit, key))).collect();
            let count = seen.iter().filter(|place| (&place.1, &place.2) == (limit, key)).count()
                + others.iter().map(|(_, growth)| growth).sum::<usize>();
            // A transaction that has raised the limit may have let more begin: both take effect together.
            let raised =
                others.iter().filter(|(_, growth)| *growth > 0).filter_map(|(change, _)| change.limits.get(limit));
            if let Some(most) = limits.get(limit).map(|most| raised.fold(*most, |most, other| most.max(*other))) {
                assert!(
                    count <= most as usize,
                    "{who} began, and {count} of {most} run under {limit}, key {key}: {seen:?}"
                );
            }
            self.paced[number].push(((limit.clone(), key.clone()), now));
        }
    }

    /// Records that the transaction of a session has ended.
    pub fn ended(&mut self, number: usize, commits: bool) {
        self.open[number] = Change::default();
        for (key, time) in self.paced[number].drain(..).filter(|_| commits) {
            self.committed.entry(key).or_default().push(time);
        }
    }

    /// Fails if more tasks began in any period than a rate allows.
    pub fn assert_rates(&mut self) {
        for (name, most, per) in RATES {
            for ((limit, key), times) in self.committed.iter_mut().filter(|((limit, _), _)| limit == name) {
                times.sort_by(f64::total_cmp);
                for window in times.windows(most + 1) {
                    // The clock's steps are tenths of a second.
                    assert!(window[most] - window[0] > per - 0.01, "{limit}, key {key}: {window:?} within {per} s");
                }
            }
        }
    }
}
