//! When a recurring start is due: a line of cron, read by the clock of a time zone.
//!
//! Five fields, minute, hour, day of the month, month and day of the week, or a nickname such as `@daily`. What happens
//! when the zone's clock is put forward or back depends on what the line is about:
//!
//! * A line that names its hours and minutes (no `*` in either) is about the clock. Where the clock skips such a time,
//!   the run is due at once after the gap; where it shows it twice, only the first time.
//! * A line with `*` in its hour or minute is about what passes. Times that are skipped do not exist, and times that
//!   come twice count twice, so that a run every quarter of an hour stays one.

use crate::interrupt;
use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};
use croner::parser::{CronParser, Seconds, Year};

/// The longest line, in bytes.
const MAX_BYTES: usize = 1000;

/// A line of cron and its time zone.
#[derive(Debug, Clone)]
pub struct Cron {
    line: croner::Cron,
    zone: Tz,
    /// It names hours and minutes.
    by_clock: bool,
}

/// Why a line or a zone is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// The line does not parse.
    #[error("the cron line is wrong: {0}")]
    Line(String),
    /// The zone is in no list.
    #[error("there is no such time zone")]
    Zone,
}

impl Cron {
    /// Reads a line and the name of a zone, as the IANA's list has it.
    pub fn parse(line: &str, zone: &str) -> Result<Cron, Mistake> {
        let zone = zone.parse().map_err(|_| Mistake::Zone)?;
        if line.len() > MAX_BYTES {
            return Err(Mistake::Line(format!("it has more than {MAX_BYTES} bytes")));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let parsed = parser.parse(line).map_err(|error| Mistake::Line(error.to_string()))?;
        // What the parser has kept is the line with its nickname spelt out.
        let by_clock = !parsed.pattern.as_str().split_whitespace().take(2).any(|field| field.contains('*'));
        Ok(Cron { line: parsed, zone, by_clock })
    }

    /// The first time after this one; none: it never comes, or not before the year 5000.
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

    /// The last time up to now, from one that is due already.
    pub fn latest(&self, due: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        let (mut latest, mut none_after) = (due, now);
        // Halving what is left: however long nobody looked, it takes some thirty steps.
        while none_after - latest > TimeDelta::seconds(1) {
            let from = match latest == due && none_after == now {
                // The usual case first: nothing has come since.
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

    /// The first time that the line names behind this place on the zone's clock, and that is after that moment.
    fn search(&self, mut local: NaiveDateTime, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        loop {
            interrupt::check();
            // By a clock that is never changed; what the zone makes of it comes next.
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

    /// Where the zone's clock shows this time for the first of two times: the second before that at which it is put back.
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
