//! Names and refs, and the most similar valid ones.

use crate::finding::shorten;

/// Maximum length of a task or variable name.
pub const MAX_NAME: usize = 128;
/// Maximum length of a ref.
pub const MAX_REF: usize = 255;

/// Maximum length of the name of a limit.
pub const MAX_LIMIT_NAME: usize = 128;

/// What `do` accepts besides task names.
pub const COMMANDS: [&str; 4] = ["continue", "noop", "fail", "retry"];

/// Whether a text can name a task or variable: letters, digits, `_` and `-`, not starting with a digit or `-`.
pub fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Whether a text can name a pack.
pub fn is_pack(text: &str) -> bool {
    text.len() > 1 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(is_ref_character)
}

/// Whether a text is `pack.name`.
pub fn is_ref(text: &str) -> bool {
    let mut parts = text.split('.');
    text.len() <= MAX_REF
        && parts.next().is_some_and(is_pack)
        && text.contains('.')
        && parts.all(|part| !part.is_empty() && part.chars().all(is_ref_character))
}

/// Whether a text can name a limit.
pub fn is_limit_name(text: &str) -> bool {
    text.len() <= MAX_LIMIT_NAME
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| is_ref_character(c) || c == '.')
}

fn is_ref_character(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-'
}

/// Returns the candidate most similar to a word, if one is close enough.
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

/// Returns `did you mean …?`, or a list of the valid ones.
pub fn suggest(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("valid: {}", list(candidates)),
    }
}

/// Returns the first of some names, for a message.
pub fn list(names: &[&str]) -> String {
    let shown: Vec<_> = names.iter().take(20).map(|name| format!("`{}`", shorten(name, 60))).collect();
    let more = if names.len() > shown.len() { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
