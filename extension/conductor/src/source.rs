//! Definition text as a tree of values that know their location in the text.
//!
//! YAML (of which JSON is a subset) is read event by event, so that bytes, depth and aliases are limited before
//! anything recursive sees the tree. An alias shares its anchor's node: a tree never costs more than its text, and what
//! its aliases expand to is limited by [`Bounds::alias_nodes`].

mod build;
mod place;
mod scalar;

use serde_json::{Map, Number, Value};

use crate::bounds::Bounds;
use crate::code::Code;
use crate::interrupt;

/// A node of a [`Source`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

/// The way a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes; also used for lists and maps.
    Plain,
    /// `'…'`
    SingleQuoted,
    /// `"…"`
    DoubleQuoted,
    /// `|` or `>`
    Block,
}

/// A value and its location.
#[derive(Debug)]
pub struct Node {
    /// The content.
    pub content: Content,
    /// The byte where it starts, quotes included.
    pub start: usize,
    /// The byte after its end.
    pub end: usize,
    /// The way it is written.
    pub style: Style,
    parent: Option<(NodeId, Step)>,
    /// Number of nodes in its subtree including itself, counting aliases as expanded.
    weight: usize,
    /// Number of levels below.
    height: usize,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Index(usize),
    Key(NodeId),
}

/// The content of a node.
#[derive(Debug)]
pub enum Content {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number that JSON can represent.
    Number(Number),
    /// Any text.
    Text(String),
    /// The elements.
    List(Vec<NodeId>),
    /// Keys and values, in order; keys are [`Content::Text`].
    Map(Vec<(NodeId, NodeId)>),
}

impl Content {
    /// Returns its name in messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Content::Null => "null",
            Content::Bool(_) => "a boolean",
            Content::Number(_) => "a number",
            Content::Text(_) => "text",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }
}

/// A problem with the text itself.
#[derive(Debug)]
pub struct Defect {
    /// WF001, WF002, WF005, WF006 or WF009.
    pub code: Code,
    /// The node concerned, if the reader got that far.
    pub node: Option<NodeId>,
    /// The position in bytes.
    pub at: usize,
    /// Description of the problem.
    pub message: String,
    /// How to fix it.
    pub hint: Option<String>,
}

/// A definition's text and its content.
#[derive(Debug, Default)]
pub struct Source {
    text: String,
    nodes: Vec<Node>,
    root: Option<NodeId>,
    line_starts: Vec<usize>,
}

impl Source {
    /// Reads text and finds everything that is wrong with it as YAML. There is no root if a syntax error stopped the
    /// reader.
    pub fn read(bytes: &[u8], bounds: &Bounds) -> (Source, Vec<Defect>) {
        if bytes.len() > bounds.source_bytes {
            let message =
                format!("the source has {} bytes, more than the {} allowed", bytes.len(), bounds.source_bytes);
            let hint = "split it into sub-workflows, or raise pg_workflow.max_source_bytes".to_owned();
            return (Source::default(), vec![Defect::new(9, None, 0, message).with_hint(hint)]);
        }
        let (text, broken) = match std::str::from_utf8(bytes) {
            Ok(text) => (text, false),
            // The text before the first invalid byte gives its location.
            Err(e) => (std::str::from_utf8(&bytes[..e.valid_up_to()]).unwrap_or_default(), true),
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut source = Source { text: text.to_owned(), line_starts: place::line_starts(text), ..Source::default() };
        if broken {
            let defect = Defect::new(1, None, text.len(), "the source is not UTF-8".to_owned())
                .with_hint("save the file as UTF-8".to_owned());
            return (source, vec![defect]);
        }
        let defects = build::build(&mut source, bounds);
        (source, defects)
    }

    /// Returns the text, without a byte-order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the root of the document.
    pub fn root(&self) -> Option<NodeId> {
        self.root
    }

    /// Returns a node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Returns the content of a node.
    pub fn content(&self, id: NodeId) -> &Content {
        &self.node(id).content
    }

    /// Returns the text of a text node; keys always have one.
    pub fn str(&self, id: NodeId) -> Option<&str> {
        match self.content(id) {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns a scalar as it is written.
    pub fn literal(&self, id: NodeId) -> &str {
        let node = self.node(id);
        self.text.get(node.start..node.end).unwrap_or_default().trim_end()
    }

    /// Returns a map's keys and values; empty for other nodes.
    pub fn entries(&self, map: NodeId) -> &[(NodeId, NodeId)] {
        match self.content(map) {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the value of a map's key.
    pub fn get(&self, map: NodeId, key: &str) -> Option<NodeId> {
        self.entries(map).iter().find(|(k, _)| self.str(*k) == Some(key)).map(|(_, v)| *v)
    }

    /// Returns the node of a map's key.
    pub fn key(&self, map: NodeId, key: &str) -> Option<NodeId> {
        self.entries(map).iter().find(|(k, _)| self.str(*k) == Some(key)).map(|(k, _)| *k)
    }

    /// Follows a JSON pointer as far as possible and returns the node it leads to.
    pub fn pointer(&self, from: NodeId, pointer: &str) -> NodeId {
        let mut at = from;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let inner = match self.content(at) {
                Content::List(_) => step.parse().ok().and_then(|index| self.at(at, index)),
                _ => self.get(at, &step),
            };
            match inner {
                Some(inner) => at = inner,
                None => break,
            }
        }
        at
    }

    /// Returns an element of a list.
    pub fn at(&self, list: NodeId, index: usize) -> Option<NodeId> {
        match self.content(list) {
            Content::List(items) => items.get(index).copied(),
            _ => None,
        }
    }

    /// Returns a node as JSON. The recursion is limited by the depth the source was read with, the size by its alias
    /// budget.
    pub fn value(&self, id: NodeId) -> Value {
        interrupt::check();
        match self.content(id) {
            Content::Null => Value::Null,
            Content::Bool(b) => Value::Bool(*b),
            Content::Number(n) => Value::Number(n.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => Value::Array(items.iter().map(|item| self.value(*item)).collect()),
            Content::Map(entries) => {
                let entry = |(k, v): &(NodeId, NodeId)| (self.str(*k).unwrap_or_default().to_owned(), self.value(*v));
                Value::Object(entries.iter().map(entry).collect::<Map<_, _>>())
            }
        }
    }

    /// Returns the path of a node in the document, such as `tasks[2].next[0].when`. An alias has the path of its
    /// anchor.
    pub fn path(&self, id: NodeId) -> String {
        let mut steps = Vec::new();
        let mut at = id;
        while let Some((parent, step)) = self.node(at).parent {
            steps.push(step);
            at = parent;
        }
        let mut path = String::new();
        for step in steps.into_iter().rev() {
            match step {
                Step::Index(index) => path.push_str(&format!("[{index}]")),
                Step::Key(key) => push_key(&mut path, self.str(key).unwrap_or_default()),
            }
        }
        path
    }
}

/// Appends a key to a path, shortened, and quoted if it is not a plain word.
pub fn push_key(path: &mut String, key: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if key.is_empty() || key.len() > 64 || !key.chars().all(plain) {
        path.push_str(&format!("[{:?}]", crate::finding::shorten(key, 64)));
    } else {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
    }
}

impl Defect {
    fn new(code: u16, node: Option<NodeId>, at: usize, message: String) -> Defect {
        Defect { code: Code(code), node, at, message, hint: None }
    }

    fn with_hint(mut self, hint: String) -> Defect {
        self.hint = Some(hint);
        self
    }
}
