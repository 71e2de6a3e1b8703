//! The meaning of a scalar without quotes: YAML 1.2's core schema, in which `on`, `no` and `1:30` are text.

use serde_json::Number;

use super::Content;

/// Returns a plain scalar's meaning, or `None` for a number that JSON cannot represent.
pub fn resolve(text: &str) -> Option<Content> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Content::Null),
        "true" | "True" | "TRUE" => return Some(Content::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Content::Bool(false)),
        _ => {}
    }
    if is_not_finite(text) {
        return None;
    }
    Some(number(text).map_or_else(|| Content::Text(text.to_owned()), Content::Number))
}

fn is_not_finite(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

fn number(text: &str) -> Option<Number> {
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+')).map(Number::from);
        }
    }
    if !is_decimal(text) {
        return None;
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Ok(n) = text.parse::<i64>() {
        return Some(Number::from(n));
    }
    if let Ok(n) = text.parse::<u64>() {
        return Some(Number::from(n));
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let mantissa_ok = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    mantissa_ok && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_yaml_1_1_stay_text() {
        for text in
            ["on", "off", "yes", "no", "1:30", "0b1", "1_000", "0o", "0x", "0x+1", "1e", ".", "+", "- 1", "12e03x"]
        {
            assert!(matches!(resolve(text), Some(Content::Text(t)) if t == text), "{text}");
        }
    }

    #[test]
    fn numbers_keep_their_kind() {
        let number = |text| match resolve(text) {
            Some(Content::Number(n)) => n.to_string(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(number("-12"), "-12");
        assert_eq!(number("+12"), "12");
        assert_eq!(number("0x1f"), "31");
        assert_eq!(number("18446744073709551615"), "18446744073709551615");
        assert_eq!(number("1.50"), "1.5");
        assert_eq!(number(".5"), "0.5");
        assert_eq!(number("1."), "1.0");
        assert_eq!(number("1e3"), "1000.0");
    }

    #[test]
    fn what_json_has_no_number_for_is_told_apart() {
        assert!(resolve(".inf").is_none() && resolve("-.INF").is_none() && resolve(".nan").is_none());
        assert!(matches!(resolve("1e999"), Some(Content::Text(_))));
    }
}
