//! Names and refs, and the nearest valid one.

use crate::language::finding::shorten;

/// The longest name of a task or variable.
pub const MAX_NAME: usize = 128;
/// The longest ref.
pub const MAX_REF: usize = 255;

/// What `do` takes beside task names.
pub const COMMANDS: [&str; 4] = ["continue", "noop", "fail", "retry"];

/// Can it name a task or variable? Letters, digits, `_` and `-`, not first a digit or `-`.
pub fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Is it the name of a pack?
pub fn is_pack(text: &str) -> bool {
    text.len() > 1 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(is_ref_character)
}

/// Is it `pack.name`?
pub fn is_ref(text: &str) -> bool {
    let mut parts = text.split('.');
    text.len() <= MAX_REF
        && parts.next().is_some_and(is_pack)
        && text.contains('.')
        && parts.all(|part| !part.is_empty() && part.chars().all(is_ref_character))
}

fn is_ref_character(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-'
}

/// The candidate most like a word, if one is near.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.len() > MAX_NAME {
        return None;
    }
    let folded = word.to_lowercase();
    let near = candidates.into_iter().filter(|candidate| candidate.len() <= MAX_NAME && *candidate != word);
    near.map(|candidate| (strsim::damerau_levenshtein(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(word.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean …?`, or else the valid ones.
pub fn suggest(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("valid: {}", list(candidates)),
    }
}

/// The first of some names, for a message.
pub fn list(names: &[&str]) -> String {
    let shown: Vec<_> = names.iter().take(20).map(|name| format!("`{}`", shorten(name, 60))).collect();
    let more = if names.len() > shown.len() { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
