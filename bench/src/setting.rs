//! Settings from the environment.

use crate::{Error, Result};

/// Length, number and selection of runs.
pub struct Settings {
    /// Length of a run in seconds.
    pub seconds: u32,
    /// Number of runs of each.
    pub rounds: u32,
    /// Names of what to measure; empty: everything.
    pub only: Vec<String>,
}

impl Settings {
    /// Returns the settings from the environment, with these defaults.
    pub fn from_environment(seconds: u32, rounds: u32) -> Result<Settings> {
        let only = std::env::var("BENCH_ONLY").unwrap_or_default();
        Ok(Settings {
            seconds: number("BENCH_SECONDS", seconds)?,
            rounds: number("BENCH_ROUNDS", rounds)?,
            only: only.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        })
    }
}

/// Returns a number from the environment, or the default.
pub fn number(variable: &'static str, default: u32) -> Result<u32> {
    let Ok(value) = std::env::var(variable) else { return Ok(default) };
    value.parse().ok().filter(|n| *n > 0).ok_or(Error::Setting { variable, value })
}

/// Returns a list of numbers from the environment, or the default.
pub fn numbers(variable: &'static str, default: &[u32]) -> Result<Vec<u32>> {
    let Ok(value) = std::env::var(variable) else { return Ok(default.to_vec()) };
    let numbers = value.split([',', ' ']).filter(|text| !text.is_empty()).map(str::parse::<u32>);
    let numbers: Option<Vec<u32>> = numbers.map(|number| number.ok().filter(|n| *n > 0)).collect();
    numbers.filter(|numbers| !numbers.is_empty()).ok_or(Error::Setting { variable, value })
}
