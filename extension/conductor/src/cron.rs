//! When a recurring start is due: a cron expression, evaluated in a time zone.
//!
//! It has five fields (minute, hour, day of month, month, day of week), or is a nickname such as `@daily`. What happens
//! when the zone's clock is set forward or back depends on the expression:
//!
//! * If it names its hours and minutes (no `*` in either field), it means wall-clock times. If the clock skips such a
//!   time, the run is due right after the gap; if the time occurs twice, only the first one counts.
//! * If it has a `*` in its hour or minute field, it means intervals. Skipped times do not exist, and repeated times
//!   count twice, so that a run every 15 minutes stays a run every 15 minutes.

use crate::interrupt;
use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};
use croner::parser::{CronParser, Seconds, Year};

/// Maximum length of an expression, in bytes.
const MAX_BYTES: usize = 1000;

/// A cron expression and its time zone.
#[derive(Debug, Clone)]
pub struct Cron {
    line: croner::Cron,
    zone: Tz,
    /// Whether it specifies hours and minutes.
    by_clock: bool,
}

/// Why an expression or a zone is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// The expression does not parse.
    #[error("invalid cron expression: {0}")]
    Line(String),
    /// The zone is unknown.
    #[error("unknown time zone")]
    Zone,
}

impl Cron {
    /// Parses an expression and the IANA name of a time zone.
    pub fn parse(line: &str, zone: &str) -> Result<Cron, Mistake> {
        let zone = zone.parse().map_err(|_| Mistake::Zone)?;
        if line.len() > MAX_BYTES {
            return Err(Mistake::Line(format!("it is longer than {MAX_BYTES} bytes")));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let parsed = parser.parse(line).map_err(|error| Mistake::Line(error.to_string()))?;
        // The parser has expanded nicknames.
        let by_clock = !parsed.pattern.as_str().split_whitespace().take(2).any(|field| field.contains('*'));
        Ok(Cron { line: parsed, zone, by_clock })
    }

    /// Returns the first due time after this one, or `None` if the expression never fires, or not before the year 5000.
    pub fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // Due times are whole seconds.
        let after = DateTime::from_timestamp(after.timestamp(), 0)?;
        let local = after.with_timezone(&self.zone).naive_local();
        let ahead = self.search(local, after);
        match self.second_pass(after, local) {
            Some(again) if !self.by_clock => ahead.into_iter().chain(self.search(again, after)).min(),
            _ => ahead,
        }
    }

    /// Returns the last due time up to now, starting from one that is already due.
    pub fn latest(&self, due: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        let (mut latest, mut none_after) = (due, now);
        // Bisect what is left: however much time has passed, this takes about thirty steps.
        while none_after - latest > TimeDelta::seconds(1) {
            let from = match latest == due && none_after == now {
                // The usual case first: nothing has become due in the meantime.
                true => latest,
                false => latest + (none_after - latest) / 2,
            };
            match self.next(from) {
                Some(next) if next <= now => latest = next,
                _ => none_after = from,
            }
        }
        latest
    }

    /// Returns the first matching time that is later than `local` on the zone's clock and later than `after`.
    fn search(&self, mut local: NaiveDateTime, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        loop {
            interrupt::check();
            // Search on a clock that is never set forward or back; the zone is applied next.
            local = self.line.find_next_occurrence(&local.and_utc(), false).ok()?.naive_utc();
            let found = match self.zone.from_local_datetime(&local) {
                LocalResult::Single(time) => Some(time),
                LocalResult::Ambiguous(first, second) => {
                    Some(if self.by_clock || first > after { first } else { second })
                }
                LocalResult::None if self.by_clock => GapInfo::new(&local, &self.zone).and_then(|gap| gap.end),
                LocalResult::None => None,
            };
            if let Some(time) = found.map(|time| time.to_utc()).filter(|time| *time > after) {
                return Some(time);
            }
        }
    }

    /// Returns the last second before the clock is set back if `local` is the first of two occurrences; otherwise
    /// `None`.
    fn second_pass(&self, after: DateTime<Utc>, local: NaiveDateTime) -> Option<NaiveDateTime> {
        let LocalResult::Ambiguous(first, second) = self.zone.from_local_datetime(&local) else { return None };
        if first.to_utc() != after {
            return None;
        }
        let offset = |time: DateTime<Utc>| time.with_timezone(&self.zone).naive_local() - time.naive_utc();
        let (mut before, mut behind) = (after, second.to_utc());
        while behind - before > TimeDelta::seconds(1) {
            let middle = before + TimeDelta::seconds((behind - before).num_seconds() / 2);
            match offset(middle) == offset(after) {
                true => before = middle,
                false => behind = middle,
            }
        }
        Some(behind.with_timezone(&self.zone).naive_local() - TimeDelta::seconds(1))
    }
}
