//! Counts what runs under limits, from outside: by the tasks and executions as each session sees them.

use crate::fixture::Session;
use std::collections::{BTreeMap, BTreeSet};

/// What runs (a task, or an execution as a negative number), and a limit and key that it is under.
pub type Place = (i64, String, String);

/// How many tasks of the storm's rates begin in how many seconds at most: `rate + burst - 1` in `per`.
const RATES: [(&str, usize, f64); 2] = [("fast", 5, 1.0), ("pulse", 6, 2.0)];

/// When something began under a rate, by limit and key.
type Begun = ((String, String), f64);

/// Returns what runs under limits, as a session sees it. Nothing in the storm's workflows closes an execution, so one that
/// does not wait and has not ended has begun.
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

/// What the open transaction of a session has changed.
#[derive(Clone, Default)]
struct Change {
    begun: BTreeSet<Place>,
    ended: BTreeSet<Place>,
    /// The limits as it sees them.
    limits: BTreeMap<String, i32>,
}

impl Change {
    /// Returns how many more run under a key once the transaction has committed; a slot may have been passed on within it.
    fn growth(&self, limit: &str, key: &str) -> usize {
        let of =
            |places: &BTreeSet<Place>| places.iter().filter(|place| (&*place.1, &*place.2) == (limit, key)).count();
        of(&self.begun).saturating_sub(of(&self.ended))
    }
}

pub struct Recount {
    open: Vec<Change>,
    /// The same for rates, which count even what has ended since.
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

    /// Fails if a statement of a session let something begin although as many run as may: those that the session sees
    /// after it, and those that have begun in open transactions of others.
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
            // What began after the transaction deleted its limit is under none once that commits.
            begun: seen.difference(&committed).filter(|place| limits.contains_key(&place.1)).cloned().collect(),
            ended: committed.difference(&seen).cloned().collect(),
            limits: limits.clone(),
        };
        for (who, limit, key) in seen.difference(&before) {
            let others = self.open.iter().enumerate().filter(|(other, _)| *other != number);
            let others: Vec<_> = others.map(|(_, change)| (change, change.growth(limit, key))).collect();
            let count = seen.iter().filter(|place| (&place.1, &place.2) == (limit, key)).count()
                + others.iter().map(|(_, growth)| growth).sum::<usize>();
            // One that has raised the limit may have let more begin: both come into being together.
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

    /// Notes that the transaction of a session has ended.
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
