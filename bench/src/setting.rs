//! What the environment says of a run.

use crate::{Error, Result};

/// How long, how often, and which.
pub struct Settings {
    /// How long a run lasts.
    pub seconds: u32,
    /// How often each is run.
    pub rounds: u32,
    /// What is measured, by name; nothing: everything.
    pub only: Vec<String>,
}

impl Settings {
    /// Those that are set, and else as given.
    pub fn from_environment(seconds: u32, rounds: u32) -> Result<Settings> {
        let only = std::env::var("BENCH_ONLY").unwrap_or_default();
        Ok(Settings {
            seconds: number("BENCH_SECONDS", seconds)?,
            rounds: number("BENCH_ROUNDS", rounds)?,
            only: only.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        })
    }
}

/// A number that is set, or else as given.
pub fn number(variable: &'static str, default: u32) -> Result<u32> {
    let Ok(value) = std::env::var(variable) else { return Ok(default) };
    value.parse().ok().filter(|n| *n > 0).ok_or(Error::Setting { variable, value })
}
