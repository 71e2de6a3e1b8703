//! The span that starts an execution, in the format of W3C Trace Context.

/// Length of a traceparent of version 00: version, trace id, span id and flags, separated by hyphens.
const LENGTH: usize = 55;

/// Returns a traceparent as version 00, or `None` if it is malformed: W3C Trace Context says to ignore it then. Later
/// versions may append fields, which are dropped, as are flags that version 00 doesn't know.
pub fn parse(text: &str) -> Option<String> {
    let (known, rest) = text.split_at_checked(LENGTH)?;
    let mut fields = known.split('-');
    let [version, trace, span, flags] =
        [2, 32, 16, 2].map(|length| fields.next().filter(|field| is_hex(field, length)));
    let (version, trace, span, flags) = (version?, trace?, span?, flags?);
    let is_zero = |id: &str| id.bytes().all(|byte| byte == b'0');
    let is_extended = match version {
        "ff" => return None,
        "00" if !rest.is_empty() => return None,
        "00" => false,
        _ if !rest.is_empty() && !rest.starts_with('-') => return None,
        _ => true,
    };
    if fields.next().is_some() || is_zero(trace) || is_zero(span) {
        return None;
    }
    if is_extended {
        let is_sampled = u8::from_str_radix(flags, 16).ok()? & 1;
        return Some(format!("00-{trace}-{span}-{is_sampled:02x}"));
    }
    Some(known.to_owned())
}

fn is_hex(field: &str, length: usize) -> bool {
    field.len() == length && field.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::parse;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_well_formed_one_is_kept() {
        assert_eq!(parse(GOOD).as_deref(), Some(GOOD));
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_are_known() {
        for rest in ["", "-", "-what-the-future-brings"] {
            let later = GOOD.replacen("00", "cc", 1).replace("-01", "-ff") + rest;
            assert_eq!(parse(&later).as_deref(), Some(GOOD), "{later}");
        }
    }

    #[test]
    fn malformed_ones_are_ignored() {
        let zero_trace = GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let zero_span = GOOD.replace("00f067aa0ba902b7", &"0".repeat(16));
        let malformed = [
            "".to_owned(),
            "00".to_owned(),
            GOOD[..54].to_owned(),
            format!("{GOOD}-"),
            format!(" {GOOD}"),
            GOOD.to_uppercase(),
            GOOD.replacen("00", "ff", 1),
            GOOD.replacen("00", "cc", 1) + "x",
            GOOD.replace('-', "_"),
            GOOD.replace("-01", "-0g"),
            // A character of two bytes, so that byte 55 is not the start of one.
            format!("{}é", &GOOD[..54]),
            zero_trace,
            zero_span,
        ];
        for text in malformed {
            assert_eq!(parse(&text), None, "{text}");
        }
    }
}
