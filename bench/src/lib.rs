//! Code shared by `make bench` and `make bench-peers`: the server, the workflows, the settings, and the arithmetic.

pub mod definition;
pub mod server;
pub mod setting;
pub mod spread;

/// Why a benchmark failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what each is")]
pub enum Error {
    #[error("{0:?} is not a command: measure, quick or publish is")]
    Command(String),
    #[error("{variable} is {value:?}: give a whole number from 1 on")]
    Setting { variable: &'static str, value: String },
    #[error("BENCH_ONLY names {name:?}: what can be measured is {names}")]
    Name { name: String, names: String },
    #[error("{program} failed: {output}")]
    Program { program: String, output: String },
    #[error("{program} answered what is not understood: {output}")]
    Answer { program: String, output: String },
    #[error("the work of {workload} was not all done: {problems}")]
    Undone { workload: String, problems: String },
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
    #[error("the report is not one, or can't be written: {0}")]
    Report(#[from] serde_json::Error),
    #[error("a plot can't be drawn: {0}")]
    Plot(String),
    #[error("{page} has no place for what was measured: put {line} there, and the line that ends it")]
    Page { page: String, line: &'static str },
    #[error("{0} runs failed: see above, and `failures` of the report")]
    Failures(usize),
}

/// Result of a benchmark operation.
pub type Result<T> = std::result::Result<T, Error>;
