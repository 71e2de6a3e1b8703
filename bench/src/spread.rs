//! The arithmetic of repetitions: medians and ranges.

/// Result of several rounds.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Spread {
    /// Median.
    pub median: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
}

impl Spread {
    /// Returns the spread of these values. None if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (below, above) = (values.get(values.len().checked_sub(1)? / 2)?, values[values.len() / 2]);
        Some(Spread { median: (below + above) / 2.0, min: values[0], max: values[values.len() - 1] })
    }

    /// Returns the spread of the ratios of the individual rounds: one side's value divided by the other's in the same
    /// round.
    pub fn of_ratios(ours: impl IntoIterator<Item = f64>, theirs: impl IntoIterator<Item = f64>) -> Option<Spread> {
        Spread::of(ours.into_iter().zip(theirs).map(|(ours, theirs)| ours / theirs))
    }
}

/// Returns a percentile. Sorts the values.
pub fn percentile(values: &mut [f64], percent: usize) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get((values.len() * percent).div_ceil(100).checked_sub(1)?).copied()
}

/// Rounds a number, for people and for files that people compare.
pub fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_in_the_middle() {
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 9.0]), Some(Spread { median: 3.0, min: 1.0, max: 9.0 }));
        assert_eq!(Spread::of([4.0]), Some(Spread { median: 4.0, min: 4.0, max: 4.0 }));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_are_those_of_the_same_round() {
        let spread = Spread::of_ratios([400.0, 100.0, 150.0], [100.0, 200.0, 300.0]);
        assert_eq!(spread, Some(Spread { median: 0.5, min: 0.5, max: 4.0 }));
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let mut values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!((percentile(&mut values, 50), percentile(&mut values, 95)), (Some(100.0), Some(190.0)));
        assert_eq!(percentile(&mut [7.0], 95), Some(7.0));
        assert_eq!(percentile(&mut [], 95), None);
    }
}
