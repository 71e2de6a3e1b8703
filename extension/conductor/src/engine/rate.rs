//! Rates: when the next of several tasks may begin, by the generic cell rate algorithm (GCRA).
//!
//! Its entire state is one time, the theoretical arrival time of the next task. A task may begin earlier than that by
//! as much as the burst allows, and each task advances the time by the interval between two tasks. In any period, at
//! most `rate + burst − 1` tasks begin.

/// Microseconds since an arbitrary fixed moment.
pub type Micros = i64;

/// How fast tasks may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Time between two tasks, rounded up.
    interval: Micros,
    /// How much earlier than its theoretical arrival time a task may begin.
    tolerance: Micros,
}

impl Rate {
    /// Returns the rate of `count` tasks per period, of which `burst` may begin at once.
    pub fn new(count: u32, period: Micros, burst: u32) -> Rate {
        let count = i64::from(count.max(1));
        let interval = period.max(1).saturating_add(count - 1) / count;
        Rate { interval, tolerance: interval.saturating_mul(i64::from(burst.max(1)) - 1) }
    }

    /// Returns how many tasks may begin now, at most `most`, given the theoretical arrival time of the next.
    pub fn allowed(self, next: Micros, now: Micros, most: usize) -> usize {
        let room = now.saturating_add(self.tolerance).saturating_sub(next.max(now));
        if room < 0 {
            return 0;
        }
        usize::try_from(room / self.interval + 1).unwrap_or(usize::MAX).min(most)
    }

    /// Returns the theoretical arrival time after `begun` tasks have begun now.
    pub fn after(self, next: Micros, now: Micros, begun: usize) -> Micros {
        if begun == 0 {
            return next;
        }
        next.max(now).saturating_add(self.interval.saturating_mul(i64::try_from(begun).unwrap_or(i64::MAX)))
    }

    /// Returns the latest theoretical arrival time that this rate can have produced by now. A later one is from a rate
    /// that has been changed, or from a clock that has been set back, and must not delay tasks further.
    pub fn latest(self, now: Micros) -> Micros {
        now.saturating_add(self.tolerance).saturating_add(self.interval)
    }

    /// Returns how many tasks this rate allows to begin within a period, apart from bursts.
    pub fn passed(self, time: Micros) -> usize {
        usize::try_from(time.max(0) / self.interval).unwrap_or(usize::MAX)
    }

    /// Returns when a task with this theoretical arrival time may begin.
    pub fn opens_at(self, next: Micros) -> Micros {
        next.saturating_sub(self.tolerance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Micros = 1_000_000;

    #[test]
    fn tasks_begin_evenly() {
        let rate = Rate::new(10, SECOND, 1);
        let (mut next, mut begun) = (i64::MIN, Vec::new());
        for now in (0..3 * SECOND).step_by(10_000) {
            let allowed = rate.allowed(next, now, 100);
            assert!(allowed <= 1, "{allowed} at once");
            next = rate.after(next, now, allowed);
            begun.extend((allowed > 0).then_some(now));
        }
        assert_eq!(begun.len(), 30);
        assert!(begun.windows(2).all(|pair| pair[1] - pair[0] == SECOND / 10));
    }

    #[test]
    fn a_rest_allows_a_burst_and_no_more() {
        let rate = Rate::new(10, SECOND, 5);
        assert_eq!(rate.allowed(i64::MIN, 0, 100), 5);
        let next = rate.after(i64::MIN, 0, 5);
        assert_eq!(rate.allowed(next, 0, 100), 0);
        assert_eq!(rate.opens_at(next), SECOND / 10);
        assert_eq!(rate.allowed(next, rate.opens_at(next) - 1, 100), 0);
        assert_eq!(rate.allowed(next, rate.opens_at(next), 100), 1);
        assert_eq!(rate.allowed(next, 3600 * SECOND, 100), 5);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let slow = Rate::new(1, i64::MAX, u32::MAX);
        let next = slow.after(i64::MAX, i64::MAX, usize::MAX);
        assert_eq!(next, i64::MAX);
        assert!(slow.allowed(i64::MIN, i64::MIN, 3) >= 1);
        assert!(Rate::new(0, 0, 0).allowed(0, 0, 3) == 1);
    }

    proptest! {
        #[test]
        fn no_period_has_more_than_the_rate_and_the_burst(
            count in 1u32..50, burst in 1u32..20, steps in prop::collection::vec((0i64..400_000, 0usize..30), 1..200),
        ) {
            let rate = Rate::new(count, SECOND, burst);
            let (mut next, mut now, mut begun) = (i64::MIN, 0, Vec::new());
            for (pause, wanted) in steps {
                now += pause;
                let allowed = rate.allowed(next, now, wanted);
                next = rate.after(next, now, allowed);
                prop_assert!(next <= rate.latest(now));
                begun.extend(std::iter::repeat_n(now, allowed));
            }
            for (place, from) in begun.iter().enumerate() {
                let within = begun[place..].iter().take_while(|at| **at < from + SECOND).count();
                prop_assert!(within <= (count + burst - 1) as usize, "{within} in a second");
            }
        }
    }
}
