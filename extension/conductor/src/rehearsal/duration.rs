//! Durations as they are written in definitions.

/// Returns seconds in the notation of definitions: `1h30m`.
pub(crate) fn written(seconds: f64) -> String {
    let whole = seconds.floor();
    let mut rest = whole as u64;
    let mut text = String::new();
    for (unit, length) in [('d', 86_400), ('h', 3600), ('m', 60)] {
        if rest >= length {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    let fraction = ((seconds - whole) * 1000.0).round() / 1000.0;
    if fraction > 0.0 {
        text.push_str(&format!("{}s", rest as f64 + fraction));
    } else if rest > 0 || text.is_empty() {
        text.push_str(&format!("{rest}s"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::written;

    #[test]
    fn durations_are_written_as_definitions_write_them() {
        for (seconds, text) in
            [(0.0, "0s"), (90.0, "1m30s"), (7200.0, "2h"), (90_061.5, "1d1h1m1.5s"), (0.25, "0.25s"), (86_400.0, "1d")]
        {
            assert_eq!(written(seconds), text);
        }
    }
}
