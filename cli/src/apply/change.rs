//! The changes made by applying a directory, for people and for programs.

use crate::output::{self, Style};
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

/// What is done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Created,
    Changed,
    Unchanged,
    /// A workflow that can be started again.
    Enabled,
    /// A workflow that has executions and is therefore disabled rather than deleted.
    Disabled,
    Deleted,
}

/// An object and what is done with it.
pub struct Change {
    pub what: &'static str,
    pub reference: String,
    pub kind: Kind,
    /// The author's versions of a workflow, before and after.
    pub versions: (Option<String>, Option<String>),
    /// The texts of a workflow, before and after.
    pub texts: Option<(String, String)>,
}

impl Change {
    /// Returns a change without versions and texts.
    pub fn new(what: &'static str, reference: &str, kind: Kind) -> Change {
        Change { what, reference: reference.to_owned(), kind, versions: (None, None), texts: None }
    }

    /// Prints it, with the difference between the texts if requested.
    pub fn print(&self, with_texts: bool) {
        let (sign, style, note) = match self.kind {
            Kind::Unchanged => return,
            Kind::Created => ("+", Style::Green, ""),
            Kind::Changed => ("~", Style::Yellow, ""),
            Kind::Enabled => ("~", Style::Yellow, " (enabled again)"),
            Kind::Disabled => ("-", Style::Red, " (disabled: it has executions)"),
            Kind::Deleted => ("-", Style::Red, ""),
        };
        let version = match &self.versions {
            (Some(before), Some(after)) if before != after => format!(" {before} → {after}"),
            (Some(_), Some(after)) if self.texts.is_some() => format!(" {after} (the version is the same as before)"),
            (_, Some(after)) => format!(" {after}"),
            _ => String::new(),
        };
        output::styled_line(style, &format!("{sign} {} {}{version}{note}", self.what, self.reference));
        if let Some((before, after)) = self.texts.as_ref().filter(|_| with_texts) {
            print_difference(before, after);
        }
    }

    fn word(&self) -> &'static str {
        match self.kind {
            Kind::Created => "created",
            Kind::Changed => "changed",
            Kind::Unchanged => "unchanged",
            Kind::Enabled => "enabled",
            Kind::Disabled => "disabled",
            Kind::Deleted => "deleted",
        }
    }
}

/// Prints the lines that differ, with three lines around them.
fn print_difference(before: &str, after: &str) {
    let difference = TextDiff::from_lines(before, after);
    for group in difference.grouped_ops(3) {
        if let (Some(first), Some(last)) = (group.first(), group.last()) {
            let (old, new) =
                (first.old_range().start..last.old_range().end, first.new_range().start..last.new_range().end);
            let (a, b) = (old.start + 1, new.start + 1);
            output::styled_line(Style::Blue, &format!("    @@ -{a},{} +{b},{} @@", old.len(), new.len()));
        }
        for change in group.iter().flat_map(|operation| difference.iter_changes(operation)) {
            let (sign, style) = match change.tag() {
                ChangeTag::Delete => ("-", Style::Red),
                ChangeTag::Insert => ("+", Style::Green),
                ChangeTag::Equal => (" ", Style::Plain),
            };
            output::styled_line(style, &format!("    {sign}{}", change.value().trim_end_matches(['\n', '\r'])));
        }
    }
}

/// Returns changes for programs.
pub fn json(changes: &[Change], dry_run: bool) -> Value {
    let one = |change: &Change| {
        json!({
            "object": change.what,
            "ref": change.reference,
            "change": change.word(),
            "version_before": change.versions.0,
            "version": change.versions.1,
        })
    };
    json!({"applied": !dry_run, "changes": changes.iter().map(one).collect::<Vec<_>>()})
}
