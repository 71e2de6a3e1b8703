//! The files of a pack besides its definitions: `pack.yaml` describes it, `actions.yaml` lists the actions of workers.

use conductor::bounds::Bounds;
use conductor::code::Code;
use conductor::finding::{Finding, Severity};
use conductor::language::parse::name::{is_pack, is_ref, suggest};
use conductor::language::schema::Schema;
use conductor::source::{Content, NodeId, Source};
use pg_workflow_client::RegisterActionInput;
use pg_workflow_client::model::CreatePackInput;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The contents of a pack's files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pack {
    /// The contents of `pack.yaml`.
    pub pack: Option<CreatePackInput>,
    /// The actions of `actions.yaml`.
    pub actions: Vec<RegisterActionInput>,
}

const PACK_FIELDS: [&str; 8] = ["ref", "label", "version", "description", "tags", "config", "conf_schema", "meta"];
const ACTION_FIELDS: [&str; 8] =
    ["ref", "label", "description", "entrypoint", "runtime", "parameters", "output", "limits"];

/// Returns the `actions.yaml` of a directory, if there is one.
pub fn actions_file(folder: &Path) -> Option<PathBuf> {
    ["yaml", "yml", "json"].iter().map(|end| folder.join(format!("actions.{end}"))).find(|file| file.is_file())
}

/// Reads a `pack.yaml` or an `actions.yaml`, by its name, and finds everything that is wrong with it.
pub fn read(path: &Path, text: &[u8]) -> (Pack, Vec<Finding>) {
    let (source, defects) = Source::read(text, &Bounds::default());
    let mut reader = Reader { source: &source, findings: Vec::new() };
    for defect in defects {
        reader.report_at(defect.code.0, defect.at, defect.message, defect.hint);
    }
    let mut pack = Pack::default();
    if let Some(root) = source.root() {
        match path.file_stem().is_some_and(|stem| stem == "pack") {
            true => pack.pack = Some(reader.pack(root)),
            false => pack.actions = reader.actions(root),
        }
    }
    let findings = reader.findings;
    (pack, findings)
}

/// Typed reads that report errors and continue.
struct Reader<'s> {
    source: &'s Source,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn report(&mut self, code: u16, node: NodeId, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.report_at(code, self.source.node(node).start, message.into(), hint.into());
    }

    fn report_at(&mut self, code: u16, at: usize, message: String, hint: Option<String>) {
        let before = &self.source.text()[..at.min(self.source.text().len())];
        let line = before.matches('\n').count() as u32 + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u32 + 1;
        self.findings.push(Finding {
            code: Code(code),
            severity: Severity::Error,
            message,
            hint,
            path: String::new(),
            task: None,
            expression: None,
            line,
            column,
        });
    }

    /// Reports the fields of a map that are not known. Returns whether it is a map.
    fn known(&mut self, node: NodeId, what: &str, fields: &[&str]) -> bool {
        let Content::Map(entries) = self.source.content(node) else {
            let kind = self.source.content(node).kind();
            self.report(5, node, format!("{what} must be a map, not {kind}"), None);
            return false;
        };
        for (key, _) in entries.clone() {
            let name = self.source.str(key).unwrap_or_default().to_owned();
            if !fields.contains(&name.as_str()) {
                self.report(3, key, format!("unknown field `{name}` of {what}"), suggest(&name, fields));
            }
        }
        true
    }

    fn given(&self, map: NodeId, key: &str) -> Option<NodeId> {
        self.source.get(map, key).filter(|node| !matches!(self.source.content(*node), Content::Null))
    }

    fn text(&mut self, map: NodeId, key: &str) -> Option<String> {
        let node = self.given(map, key)?;
        match self.source.content(node) {
            Content::Text(text) => Some(text.clone()),
            // A version such as 1.0 is a number in YAML.
            Content::Number(_) if key == "version" => Some(self.source.literal(node).to_owned()),
            content => {
                let kind = content.kind();
                self.report(5, node, format!("`{key}` must be text, not {kind}"), None);
                None
            }
        }
    }

    fn required(&mut self, map: NodeId, what: &str, key: &str) -> String {
        if self.given(map, key).is_none() {
            self.report(4, map, format!("{what} has no `{key}`"), format!("add `{key}:`"));
        }
        self.text(map, key).unwrap_or_default()
    }

    fn value(&self, map: NodeId, key: &str) -> Option<Value> {
        self.given(map, key).map(|node| self.source.value(node))
    }

    fn schema(&mut self, map: NodeId, key: &str, code: u16) -> Option<Value> {
        let node = self.given(map, key)?;
        let schema = self.source.value(node);
        if let Err(why) = Schema::compile(&schema) {
            self.report(code, node, format!("`{key}` is not a valid JSON Schema: {why}"), None);
        }
        Some(schema)
    }

    fn pack(&mut self, root: NodeId) -> CreatePackInput {
        if !self.known(root, "a pack", &PACK_FIELDS) {
            return CreatePackInput::default();
        }
        let reference = self.required(root, "the pack", "ref");
        if let Some(node) = self.given(root, "ref").filter(|_| !reference.is_empty() && !is_pack(&reference)) {
            self.report(
                8,
                node,
                format!("`{reference}` is not the ref of a pack"),
                "lower-case letters, digits, _ and -".to_owned(),
            );
        }
        let tags = self.given(root, "tags").map(|node| self.source.value(node));
        let tags: Option<Vec<String>> = tags.map(|tags| serde_json::from_value(tags).unwrap_or_default());
        let label = self.text(root, "label").unwrap_or_else(|| reference.clone());
        let version = self.text(root, "version").unwrap_or_else(|| "1.0.0".to_owned());
        let mut input = CreatePackInput { r#ref: reference, label, version, ..CreatePackInput::default() };
        input.description = self.text(root, "description");
        input.conf_schema = self.schema(root, "conf_schema", 401);
        input.config = self.value(root, "config");
        if let Some(meta) = self.value(root, "meta") {
            input.meta = meta;
        }
        input.tags = tags.unwrap_or_default();
        input
    }

    fn actions(&mut self, root: NodeId) -> Vec<RegisterActionInput> {
        // The list alone, or under `actions`.
        let list = match self.source.content(root) {
            Content::Map(_) => {
                self.known(root, "a list of actions", &["actions"]);
                self.given(root, "actions")
            }
            _ => Some(root),
        };
        let items = match list.map(|list| (list, self.source.content(list))) {
            Some((_, Content::List(items))) => items.clone(),
            Some((list, content)) => {
                let kind = content.kind();
                self.report(5, list, format!("`actions` must be a list, not {kind}"), None);
                return Vec::new();
            }
            None => {
                self.report(4, root, "there are no `actions`", "add `actions:` with a list".to_owned());
                return Vec::new();
            }
        };
        let mut actions: Vec<RegisterActionInput> = Vec::new();
        for item in items {
            let Some(action) = self.action(item) else { continue };
            if actions.iter().any(|other| other.r#ref == action.r#ref) {
                self.report(2, item, format!("duplicate action `{}`", action.r#ref), None);
            }
            actions.push(action);
        }
        actions
    }

    fn action(&mut self, node: NodeId) -> Option<RegisterActionInput> {
        // A ref alone is enough.
        if let Content::Text(reference) = self.source.content(node) {
            let reference = reference.clone();
            self.check_ref(node, &reference);
            return Some(RegisterActionInput::new(reference));
        }
        if !self.known(node, "an action", &ACTION_FIELDS) {
            return None;
        }
        let reference = self.required(node, "an action", "ref");
        if let Some(place) = self.given(node, "ref") {
            self.check_ref(place, &reference);
        }
        let runtime = self.value(node, "runtime");
        if let Some(place) = self.given(node, "runtime").filter(|_| runtime.as_ref().and_then(Value::as_i64).is_none())
        {
            self.report(5, place, "`runtime` must be a whole number", None);
        }
        Some(RegisterActionInput {
            r#ref: reference,
            label: self.text(node, "label"),
            description: self.text(node, "description"),
            entrypoint: self.text(node, "entrypoint"),
            runtime: runtime.and_then(|runtime| runtime.as_i64()),
            param_schema: self.schema(node, "parameters", 401),
            out_schema: self.schema(node, "output", 402),
            limits: self.value(node, "limits"),
        })
    }

    fn check_ref(&mut self, node: NodeId, reference: &str) {
        if !reference.is_empty() && !is_ref(reference) {
            self.report(7, node, format!("`{reference}` is not a ref"), "write `pack.name`, in lower case".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read_in_every_form() {
        let text = b"actions:\n  - shop.mail\n  - {ref: shop.charge, label: Charge, parameters: {type: object}}\n";
        let (pack, findings) = read(Path::new("actions.yaml"), text);
        assert_eq!(findings, []);
        let refs: Vec<&str> = pack.actions.iter().map(|action| action.r#ref.as_str()).collect();
        assert_eq!(refs, ["shop.mail", "shop.charge"]);
    }

    #[test]
    fn each_mistake_in_an_actions_file_has_its_place() {
        let text =
            b"actions:\n  - Shop\n  - {ref: shop.a, lable: x, parameters: {type: 3}}\n  - shop.a\n  - {label: b}\n";
        let (_, findings) = read(Path::new("actions.yaml"), text);
        let found: Vec<(String, u32, u32)> =
            findings.iter().map(|found| (found.code.to_string(), found.line, found.column)).collect();
        let place = |code: &str, line, column| (code.to_owned(), line, column);
        assert_eq!(
            found,
            [
                place("WF007", 2, 5),
                place("WF003", 3, 19),
                place("WF401", 3, 41),
                place("WF002", 4, 5),
                place("WF004", 5, 5)
            ]
        );
    }
}
