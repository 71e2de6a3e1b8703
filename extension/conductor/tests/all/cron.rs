//! Cron expressions: when they are due, including clock changes, and which ones are invalid.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use conductor::cron::{Cron, Mistake};
use proptest::prelude::*;

fn cron(line: &str, zone: &str) -> Cron {
    Cron::parse(line, zone).unwrap_or_else(|mistake| panic!("{line} in {zone}: {mistake}"))
}

fn at(time: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(time).unwrap_or_else(|error| panic!("{time}: {error}")).to_utc()
}

/// Returns the times after a given one, as shown by the zone's clock.
fn times(line: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let cron = cron(line, zone);
    let zone: Tz = zone.parse().unwrap();
    let all = std::iter::successors(cron.next(at(after)), |time| cron.next(*time));
    all.take(count).map(|time| time.with_timezone(&zone).format("%F %R%:z").to_string()).collect()
}

#[test]
fn an_expression_fires_when_its_fields_match() {
    for (line, after, expected) in [
        ("0 3 * * *", "2026-01-01T00:00:00Z", "2026-01-01 03:00+00:00"),
        ("0 3 * * *", "2026-01-01T03:00:00Z", "2026-01-02 03:00+00:00"),
        ("0 3 * * *", "2026-01-01T02:59:59.999999Z", "2026-01-01 03:00+00:00"),
        ("0 3 * * *", "2026-01-01T03:00:00.000001Z", "2026-01-02 03:00+00:00"),
        ("* * * * *", "2026-01-01T00:00:00.5Z", "2026-01-01 00:01+00:00"),
        ("*/15 9-17 * * 1-5", "2026-01-02T17:45:00Z", "2026-01-05 09:00+00:00"),
        ("0 0 1 jan *", "2026-01-01T00:00:00Z", "2027-01-01 00:00+00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29 00:00+00:00"),
        ("0 12 L * *", "2026-02-01T00:00:00Z", "2026-02-28 12:00+00:00"),
        ("0 12 * * FRI#2", "2026-01-01T00:00:00Z", "2026-01-09 12:00+00:00"),
        // Day of month or day of week; with +, both.
        ("0 0 13 * 5", "2026-01-01T00:00:00Z", "2026-01-02 00:00+00:00"),
        ("0 0 13 * +5", "2026-01-01T00:00:00Z", "2026-02-13 00:00+00:00"),
        ("0 0 * * 7", "2026-01-01T00:00:00Z", "2026-01-04 00:00+00:00"),
        ("@daily", "2026-01-01T00:00:00Z", "2026-01-02 00:00+00:00"),
        ("@Hourly", "2026-01-01T00:00:00Z", "2026-01-01 01:00+00:00"),
        ("  30   6 * * *  ", "2026-01-01T00:00:00Z", "2026-01-01 06:30+00:00"),
    ] {
        assert_eq!(times(line, "UTC", after, 1), [expected], "{line} after {after}");
    }
    assert_eq!(times("0 9 * * *", "Asia/Kolkata", "2026-01-01T00:00:00Z", 1), ["2026-01-01 09:00+05:30"]);
    assert_eq!(
        cron("0 9 * * *", "America/New_York").next(at("2026-07-01T00:00:00Z")),
        Some(at("2026-07-01T13:00:00Z"))
    );
}

#[test]
fn a_time_that_the_clock_skips_fires_right_after_the_gap() {
    // 2026-03-29 in Berlin: 02:00 is 03:00.
    let day_before = "2026-03-28T12:00:00Z";
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", day_before, 2),
        ["2026-03-29 03:00+02:00", "2026-03-30 02:30+02:00"]
    );
    // Two skipped times and one that exists are the same instant.
    assert_eq!(
        times("0,30 2,3 * * *", "Europe/Berlin", day_before, 3),
        ["2026-03-29 03:00+02:00", "2026-03-29 03:30+02:00", "2026-03-30 02:00+02:00"]
    );
    // A whole day that never existed in Samoa.
    assert_eq!(
        times("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", 3),
        ["2011-12-29 12:00-10:00", "2011-12-31 00:00+14:00", "2011-12-31 12:00+14:00"]
    );
}

#[test]
fn a_time_that_occurs_twice_fires_the_first_time() {
    // 2026-10-25 in Berlin: 03:00 is 02:00 again.
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        ["2026-10-25 02:30+02:00", "2026-10-26 02:30+01:00"]
    );
    // Between the two, and after both.
    for after in ["2026-10-25T00:45:00Z", "2026-10-25T01:15:00Z", "2026-10-25T01:30:00Z", "2026-10-25T01:45:00Z"] {
        assert_eq!(times("30 2 * * *", "Europe/Berlin", after, 1), ["2026-10-26 02:30+01:00"], "{after}");
    }
}

#[test]
fn a_steady_interval_is_kept_across_clock_changes() {
    assert_eq!(
        times("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z", 3),
        ["2026-03-29 01:30+01:00", "2026-03-29 03:00+02:00", "2026-03-29 03:30+02:00"]
    );
    assert_eq!(
        times("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", 6),
        [
            "2026-10-25 02:00+02:00",
            "2026-10-25 02:30+02:00",
            "2026-10-25 02:00+01:00",
            "2026-10-25 02:30+01:00",
            "2026-10-25 03:00+01:00",
            "2026-10-25 03:30+01:00"
        ]
    );
    // Australia has a half-hour change.
    assert_eq!(
        times("@hourly", "Australia/Lord_Howe", "2026-04-04T13:30:00Z", 4),
        ["2026-04-05 01:00+11:00", "2026-04-05 02:00+10:30", "2026-04-05 03:00+10:30", "2026-04-05 04:00+10:30"]
    );
}

#[test]
fn an_invalid_expression_is_refused_with_the_reason() {
    for line in [
        "",
        " ",
        "* * * *",
        "* * * * * *",
        "* * * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "* * * foo *",
        "a b c d e",
        "*/0 * * * *",
        "5-1 * * * *",
        "@fortnightly",
        "@reboot",
        "0 0 * * 1#6",
        "é * * * *",
        "-1 * * * *",
        "99999999999999999999 * * * *",
    ] {
        let mistake = Cron::parse(line, "UTC").err().unwrap_or_else(|| panic!("{line:?} is taken"));
        assert!(matches!(mistake, Mistake::Line(_)), "{line:?}: {mistake}");
    }
    assert!(matches!(Cron::parse(&"1,".repeat(1000), "UTC"), Err(Mistake::Line(_))));
    for zone in ["", "Mars/Olympus", "Europe/Berlino", "+02:00", "europe/berlin ", "\u{0}"] {
        assert_eq!(Cron::parse("* * * * *", zone).err(), Some(Mistake::Zone), "{zone:?}");
    }
}

#[test]
fn an_expression_that_never_fires_is_detected_quickly() {
    let begin = std::time::Instant::now();
    for line in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "59 23 31 11 *", "0 0 30 2 +1"] {
        assert_eq!(cron(line, "Europe/Berlin").next(at("2026-01-01T00:00:00Z")), None, "{line}");
    }
    assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
    assert_eq!(cron("* * * * *", "UTC").next(at("5000-01-01T00:00:00Z")), None);
    assert_eq!(cron("* * * * *", "UTC").next(DateTime::<Utc>::MAX_UTC), None);
    assert!(cron("* * * * *", "Asia/Tokyo").next(at("0001-02-03T00:00:00Z")).is_some());
    cron("* * * * *", "Asia/Tokyo").next(DateTime::<Utc>::MIN_UTC);
}

#[test]
fn the_latest_is_the_last_one_up_to_now_however_long_ago_the_first_was() {
    for (line, due, now, latest) in [
        ("0 3 * * *", "2026-01-01T03:00:00Z", "2026-01-01T03:00:00Z", "2026-01-01T03:00:00Z"),
        ("0 3 * * *", "2026-01-01T03:00:00Z", "2026-01-02T02:59:59Z", "2026-01-01T03:00:00Z"),
        ("0 3 * * *", "2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z", "2026-01-02T03:00:00Z"),
        ("* * * * *", "1926-01-01T03:00:00Z", "2026-01-02T03:00:59Z", "2026-01-02T03:00:00Z"),
        ("* 3 1 1 *", "2020-01-01T03:00:00Z", "2026-11-01T00:00:00Z", "2026-01-01T03:59:00Z"),
        ("0 0 29 2 *", "2024-02-29T00:00:00Z", "2027-11-01T00:00:00Z", "2024-02-29T00:00:00Z"),
    ] {
        assert_eq!(cron(line, "UTC").latest(at(due), at(now)), at(latest), "{line} {due} {now}");
    }
}

/// Zones with clock changes: by an hour, by half an hour, in the southern hemisphere, and around midnight.
const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo"];

fn a_line() -> impl Strategy<Value = String> {
    let field = |most: u32| {
        prop_oneof![
            Just("*".to_owned()),
            (2..20u32).prop_map(|step| format!("*/{step}")),
            (0..=most).prop_map(|one| one.to_string()),
            (0..=most, 0..=most).prop_map(|(one, two)| format!("{one},{two}")),
        ]
    };
    (field(59), field(23)).prop_map(|(minute, hour)| format!("{minute} {hour} * * *"))
}

proptest! {
    /// Compared with checking every minute: an expression with intervals is due whenever the zone's clock matches it.
    #[test]
    fn next_is_the_first_minute_that_matches(line in a_line(), zone in 0..6usize, start in 0..(2 * 366 * 24 * 60i64), seconds in 0..60i64) {
        prop_assume!(line.split(' ').take(2).any(|field| field.contains('*')));
        let cron = cron(&line, ZONES[zone]);
        let pattern: croner::Cron = line.parse().unwrap();
        let tz: Tz = ZONES[zone].parse().unwrap();
        let after = at("2026-01-01T00:00:00Z") + TimeDelta::minutes(start) + TimeDelta::seconds(seconds);
        let first = at("2026-01-01T00:00:00Z") + TimeDelta::minutes(start + 1);
        let expected = (0..3 * 24 * 60).map(|minute| first + TimeDelta::minutes(minute))
            .find(|time| pattern.is_time_matching(&time.with_timezone(&tz).naive_local().and_utc()).unwrap());
        if let Some(expected) = expected {
            prop_assert_eq!(cron.next(after), Some(expected));
        }
    }

    /// Times follow one another, each once, and the last of them is what `latest` finds.
    #[test]
    fn times_follow_each_other(line in a_line(), zone in 0..6usize, start in 0..(2 * 366 * 24 * 60i64)) {
        let cron = cron(&line, ZONES[zone]);
        let mut last = at("2026-01-01T00:00:00Z") + TimeDelta::minutes(start);
        let due = cron.next(last).unwrap();
        for _ in 0..50 {
            let next = cron.next(last).unwrap();
            prop_assert!(next > last && next >= due);
            prop_assert_eq!(cron.next(next - TimeDelta::seconds(1)), Some(next));
            prop_assert_eq!(cron.latest(due, next), next);
            if last > due {
                prop_assert_eq!(cron.latest(due, next - TimeDelta::seconds(1)), last);
            }
            last = next;
        }
    }

    #[test]
    fn no_text_is_too_strange(line in "[-0-9*/,LW#+?@ a-zA-Z]{0,40}", zone in "[A-Za-z/_+-]{0,20}") {
        let _ = Cron::parse(&line, &zone);
        if let Ok(cron) = Cron::parse(&line, "Europe/Berlin") {
            cron.next(at("2026-01-01T00:00:00Z"));
        }
    }

    #[test]
    fn fields_of_any_characters_do_not_panic(fields in proptest::collection::vec("[-0-9*/,LW#+?]{1,8}", 5)) {
        if let Ok(cron) = Cron::parse(&fields.join(" "), "Europe/Berlin") {
            cron.next(at("2026-01-01T00:00:00Z"));
        }
    }
}
