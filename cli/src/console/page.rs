//! The elements that pages consist of. `page_cache.rs` decides when a page is made again.

use super::form::encoded;
use chrono::{DateTime, SecondsFormat, Utc};
use maud::{Markup, html};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;
use std::time::Duration;

/// A page without its frame, the same for everybody.
pub struct Page {
    pub title: String,
    pub body: Markup,
    /// How long it may be shown as long as nothing changes in the database.
    pub lasts: Duration,
}

/// How long a page lasts if nothing on it changes by itself except the minute, and what is late.
const LASTS: Duration = Duration::from_secs(60);

impl Page {
    pub fn new(title: impl Into<String>, body: Markup) -> Page {
        Page { title: title.into(), body, lasts: LASTS }
    }
}

/// Placeholder in shared pages for the token of each viewer. Random, so that no content can contain it.
pub static TOKEN: LazyLock<String> = LazyLock::new(|| {
    let mut bytes = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .expect("the system has random numbers");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
});

/// Returns a short text that is different for every content.
pub fn hash(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{:x}", hasher.finish())
}

/// Returns a part of a page that is replaced when it changes.
pub fn part(id: &str, content: &Markup) -> Markup {
    html! { div id=(id) data-part=(hash(&content.0)) { (content) } }
}

/// Returns a part with a heading, in a box.
pub fn card(id: &str, title: &str, content: &Markup) -> Markup {
    part(
        id,
        &html! { section.card aria-labelledby=(format!("{id}-title")) { h2 id=(format!("{id}-title")) { (title) } (content) } },
    )
}

/// Returns a list as a part of a page, in a box without a heading.
pub fn list(id: &str, content: &Markup) -> Markup {
    part(id, &html! { div.card { (content) } })
}

/// Returns a form that performs an action and returns to a page.
pub fn form(action: &str, back: &str, content: Markup) -> Markup {
    html! {
        form method="post" action=(action) {
            (hidden("csrf", TOKEN.as_str())) (hidden("back", back)) (content)
        }
    }
}

pub fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

/// Returns a button that performs an action with these values.
pub fn button(action: &str, back: &str, label: &str, values: &[(&str, &str)], confirm: Option<&str>) -> Markup {
    let content = html! {
        @for (name, value) in values { (hidden(name, value)) }
        button data-confirm=[confirm] { (label) }
    };
    html! { div.inline { (form(action, back, content)) } }
}

/// Returns text that somebody else has written. It is isolated: characters that change the direction of text have no
/// effect on what is around it.
pub fn text(text: &str) -> Markup {
    html! { bdi { (text) } }
}

/// Returns a status as a colored dot and a word.
pub fn status(status: &str) -> Markup {
    html! { span class=(format!("status s-{status}")) { (status) } }
}

/// Returns a time; scripts show how long ago it was.
pub fn time(time: DateTime<Utc>) -> Markup {
    html! { time datetime=(time.to_rfc3339_opts(SecondsFormat::Millis, true)) { (time.format("%Y-%m-%d %H:%M:%S UTC")) } }
}

/// Returns until when something lasts; scripts show how much longer that is.
pub fn until(time: DateTime<Utc>) -> Markup {
    html! { time datetime=(time.to_rfc3339_opts(SecondsFormat::Millis, true)) data-until { "until " (time.format("%Y-%m-%d %H:%M:%S UTC")) } }
}

pub fn maybe_time(moment: Option<DateTime<Utc>>) -> Markup {
    moment.map_or_else(|| html! { span.dim { "–" } }, time)
}

/// Returns how long something took.
pub fn took(milliseconds: i64) -> String {
    match milliseconds {
        ..1000 => format!("{} ms", milliseconds.max(0)),
        1000..60_000 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        60_000..3_600_000 => format!("{} min {:02} s", milliseconds / 60_000, milliseconds / 1000 % 60),
        3_600_000..172_800_000 => format!("{} h {:02} min", milliseconds / 3_600_000, milliseconds / 60_000 % 60),
        _ => format!("{} days {:02} h", milliseconds / 86_400_000, milliseconds / 3_600_000 % 24),
    }
}

/// Returns a number with separated thousands.
pub fn number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// Returns a link to an execution.
pub fn execution(id: i64) -> Markup {
    html! { a.id href=(format!("/executions/{id}")) { (id) } }
}

/// Returns a link to a workflow.
pub fn workflow(name: &str) -> Markup {
    html! { a href=(format!("/definitions/{}", encoded(name))) { (name) } }
}

/// Returns a table that can be scrolled sideways. The heads of numbers begin with `#`.
pub fn table(caption: &str, head: &[&str], rows: &Markup) -> Markup {
    columns(caption, head, rows, false)
}

/// Returns a table whose rows are broken into lines if the window is narrow. Cells that need their head then have
/// another one as `data-head`.
pub fn wrapped_table(caption: &str, head: &[&str], rows: &Markup) -> Markup {
    columns(caption, head, rows, true)
}

fn columns(caption: &str, head: &[&str], rows: &Markup, wrapped: bool) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label=(caption) {
            table.wrapped[wrapped] {
                caption.hidden { (caption) }
                thead { tr { @for name in head { th.number[name.starts_with('#')] scope="col" { (name.trim_start_matches('#')) } } } }
                tbody { (rows) }
            }
        }
    }
}

/// Returns the text shown in place of an empty list.
pub fn nothing(text: &str) -> Markup {
    html! { p.empty { (text) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_are_readable() {
        assert_eq!(number(1_234_567).replace('\u{202f}', " "), "1 234 567");
        assert_eq!([number(0), number(-999)], ["0", "-999"]);
        assert_eq!(
            [took(12), took(1500), took(61_000), took(7_320_000), took(176_400_000)],
            ["12 ms", "1.5 s", "1 min 01 s", "2 h 02 min", "2 days 01 h"]
        );
    }

    #[test]
    fn what_is_shown_is_text() {
        let shown = html! { (status("<b>")) (workflow("<script>alert(1)</script>")) (nothing("<i>")) }.into_string();
        assert_eq!(text("a\u{202e}<b>").into_string(), "<bdi>a\u{202e}&lt;b&gt;</bdi>");
        assert!(!shown.contains("<b>") && !shown.contains("<script>") && !shown.contains("<i>"), "{shown}");
    }
}
