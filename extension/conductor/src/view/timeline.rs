//! The times of an execution's tasks as a chart: Mermaid gantt text.

use crate::interrupt;
use crate::view::diagram::escape;
use serde::Deserialize;
use std::fmt::Write;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// A bar: a task, one of its items, or many items together. Times are milliseconds since 1970.
#[derive(Debug, Clone, Deserialize)]
pub struct Bar {
    /// The task's name.
    pub task: String,
    /// The item's index.
    pub index: Option<i64>,
    /// Number of items it stands for.
    pub items: Option<i64>,
    /// Number of these items that failed.
    #[serde(default)]
    pub failed: i64,
    /// Number of times it was claimed.
    #[serde(default)]
    pub attempt: i64,
    /// Its status, in one word.
    pub status: String,
    /// When it began.
    pub from: i64,
    /// When it ended, or now.
    pub to: i64,
}

/// Returns Mermaid text with one section per task, in the order of the bars. `left_out` is the number of bars left out.
pub fn gantt(title: &str, bars: &[Bar], left_out: i64) -> String {
    let span = bars.iter().map(|bar| bar.to).max().unwrap_or(0) - bars.iter().map(|bar| bar.from).min().unwrap_or(0);
    let axis = if span < DAY { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" };
    let mut text = format!("gantt\n  title {}\n  dateFormat x\n  axisFormat {axis}\n", word(title));
    let mut section = None;
    for (id, bar) in interrupt::checked(bars).enumerate() {
        if section != Some(&bar.task) {
            let _ = writeln!(text, "  section {}", word(&bar.task));
            section = Some(&bar.task);
        }
        let _ = writeln!(text, "  {} :{}t{id}, {}, {}", word(&label(bar)), tags(bar), bar.from, bar.to);
    }
    if left_out > 0 {
        let _ = writeln!(text, "  %% {left_out} more are left out");
    }
    text
}

fn label(bar: &Bar) -> String {
    let mut label = bar.task.clone();
    if let Some(index) = bar.index {
        let _ = write!(label, " {index}");
    }
    if let Some(items) = bar.items {
        let _ = write!(label, ", {items} items");
    }
    if bar.failed > 0 {
        let _ = write!(label, ", {} failed", bar.failed);
    }
    if bar.attempt > 1 {
        let _ = write!(label, ", attempt {}", bar.attempt);
    }
    if bar.status != "completed" {
        let _ = write!(label, ", {}", bar.status);
    }
    label
}

/// Returns the tags that Mermaid styles a bar by. A bar without length is a milestone, because it would be invisible
/// otherwise.
fn tags(bar: &Bar) -> String {
    let status = match bar.status.as_str() {
        "completed" | "skipped" => "done, ",
        "running" => "active, ",
        "failed" => "crit, done, ",
        "cancelled" => "crit, ",
        _ => "",
    };
    let milestone = if bar.from >= bar.to { "milestone, " } else { "" };
    format!("{status}{milestone}")
}

/// Escapes text as in a diagram. In addition, a colon would end the label, and a semicolon would end the line.
fn word(text: &str) -> String {
    let escaped = text.chars().map(|character| match character {
        ':' => "#58;".to_owned(),
        ';' => "#59;".to_owned(),
        other => escape(other.encode_utf8(&mut [0; 4])),
    });
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(task: &str, status: &str, from: i64, to: i64) -> Bar {
        let status = status.to_owned();
        Bar { task: task.to_owned(), index: None, items: None, failed: 0, attempt: 1, status, from, to }
    }

    #[test]
    fn bars_stand_in_sections_and_say_how_they_stand() {
        let bars = [
            Bar { attempt: 3, ..bar("build", "failed", 1000, 4000) },
            bar("gate", "completed", 4000, 4000),
            Bar { index: Some(0), ..bar("ship", "completed", 4000, 5000) },
            Bar { index: Some(1), ..bar("ship", "running", 4000, 9000) },
            Bar { items: Some(500), failed: 2, attempt: 0, ..bar("tell", "pending", 5000, 9000) },
        ];
        let expected = "gantt
  title demo.w, execution 1
  dateFormat x
  axisFormat %H:%M:%S
  section build
  build, attempt 3, failed :crit, done, t0, 1000, 4000
  section gate
  gate :done, milestone, t1, 4000, 4000
  section ship
  ship 0 :done, t2, 4000, 5000
  ship 1, running :active, t3, 4000, 9000
  section tell
  tell, 500 items, 2 failed, pending :t4, 5000, 9000
  %% 7 more are left out
";
        assert_eq!(gantt("demo.w, execution 1", &bars, 7), expected);
    }

    #[test]
    fn no_name_breaks_out_of_its_place() {
        let text = gantt("a: b; c\n#x", &[bar("x:done, t9; \"%%<b>\n", "completed", 0, DAY)], 0);
        assert_eq!(
            text,
            "gantt
  title a#58; b#59; c<br/>#35;x
  dateFormat x
  axisFormat %Y-%m-%d %H:%M
  section x#58;done, t9#59; #quot;%%#lt;b#gt;<br/>
  x#58;done, t9#59; #quot;%%#lt;b#gt;<br/> :done, t0, 0, 86400000
"
        );
    }

    #[test]
    fn nothing_is_a_picture_too() {
        assert_eq!(gantt("x", &[], 0), "gantt\n  title x\n  dateFormat x\n  axisFormat %H:%M:%S\n");
    }
}
