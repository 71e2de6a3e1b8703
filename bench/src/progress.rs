//! Alternating runs, round by round; progress and failures.

use crate::Result;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// Overhead of a run in seconds, for creating the database and verifying it afterwards. A guess for the first estimate.
const BESIDES: f64 = 2.5;

/// The progress of all runs.
pub struct Progress {
    started: Instant,
    total: u32,
    count: u32,
    /// Estimated total seconds.
    planned: f64,
    passed: f64,
    /// Failures so far.
    pub failures: Vec<String>,
}

impl Progress {
    /// Creates the progress from the estimated seconds of every run.
    pub fn new(seconds: impl IntoIterator<Item = u32>) -> Progress {
        let (mut total, mut planned) = (0, 0.0);
        for seconds in seconds {
            total += 1;
            planned += f64::from(seconds) + BESIDES;
        }
        Progress { started: Instant::now(), total, count: 0, planned, passed: 0.0, failures: Vec::new() }
    }

    /// Measures each subject once per round. Every other round runs backwards, so that none is always first. A failure
    /// is reported and counts as not measured, and the rest are still measured.
    pub fn rounds<S: Display, T: Display>(
        &mut self,
        rounds: u32,
        seconds: u32,
        subjects: &[S],
        measure: impl Fn(&S) -> Result<T>,
    ) -> Vec<Vec<Option<T>>> {
        let mut measured: Vec<Vec<Option<T>>> = subjects.iter().map(|_| Vec::new()).collect();
        for round in 1..=rounds {
            let mut turn: Vec<usize> = (0..subjects.len()).collect();
            if round % 2 == 0 {
                turn.reverse();
            }
            for index in turn {
                let subject = &subjects[index];
                let result = measure(subject);
                self.pass(seconds);
                let head = format!("{} round {round}, {subject}", self.place());
                measured[index].push(match result {
                    Ok(value) => {
                        eprintln!("{head}: {value}");
                        Some(value)
                    }
                    Err(error) => {
                        eprintln!("{head}: FAILED: {error}");
                        self.failures.push(format!("round {round}, {subject}: {}", brief(&error.to_string())));
                        None
                    }
                });
            }
        }
        measured
    }

    fn pass(&mut self, seconds: u32) {
        self.count += 1;
        self.passed += f64::from(seconds) + BESIDES;
    }

    fn place(&self) -> String {
        let left = remaining(self.started.elapsed(), self.passed, self.planned);
        format!("[{:3}/{}, {} left]", self.count, self.total, minutes(left))
    }
}

/// Returns the most relevant line of a program's error output.
fn brief(text: &str) -> &str {
    let says = |line: &&str| ["error: ", "ERROR: ", "FATAL: "].iter().any(|word| line.contains(word));
    text.lines().find(says).or(text.lines().next()).unwrap_or_default()
}

/// Estimates the remaining time: it is off by the same factor as the time so far.
fn remaining(elapsed: Duration, passed: f64, planned: f64) -> Duration {
    elapsed.mul_f64(((planned - passed) / passed).max(0.0))
}

fn minutes(time: Duration) -> String {
    format!("{}:{:02} min", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use std::cell::RefCell;

    #[test]
    fn time_left_is_guessed_from_time_passed() {
        let left = remaining(Duration::from_secs(60), 40.0, 100.0);
        assert_eq!((left, minutes(left)), (Duration::from_secs(90), "1:30 min".into()));
    }

    #[test]
    fn a_failure_is_told_in_a_line() {
        assert_eq!(
            brief("pgbench failed: pgbench (15.1)\nclients: 8\npgbench: error: client 0 aborted\nHINT"),
            "pgbench: error: client 0 aborted"
        );
        assert_eq!(
            brief("the work of queue was not all done: 3 tasks\n2 tasks"),
            "the work of queue was not all done: 3 tasks"
        );
    }

    #[test]
    fn rounds_go_to_and_fro_and_outlast_a_failure() {
        let order = RefCell::new(String::new());
        let mut progress = Progress::new([1; 6]);
        let measured = progress.rounds(3, 1, &["a", "b"], |subject| {
            order.borrow_mut().push_str(subject);
            let run = order.borrow().len();
            if run == 2 { Err(Error::Undone { workload: "b".into(), problems: "all".into() }) } else { Ok(run) }
        });
        assert_eq!(*order.borrow(), "abbaab");
        assert_eq!(measured, [[Some(1), Some(4), Some(5)], [None, Some(3), Some(6)]]);
        assert_eq!(progress.failures.len(), 1);
        assert!(progress.failures[0].starts_with("round 1, b: "), "{:?}", progress.failures);
    }
}
