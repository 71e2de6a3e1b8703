//! Builds a tree from parser events, without recursion and within bounds.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::{Content, Defect, Node, NodeId, Source, Step, Style, scalar};
use crate::bounds::Bounds;
use crate::finding::{MAX_FINDINGS, shorten};
use crate::interrupt;

/// Maximum number of nodes in a source, whatever its size in bytes: what is built from them takes memory, and time to
/// drop.
const MAX_NODES: usize = 500_000;

/// Maximum size in bytes of consecutive empty lines and comments: the parser skips them without interruption.
const MAX_GAP: usize = 1 << 20;

/// Reads `source.text` into `source.nodes`.
pub fn build(source: &mut Source, bounds: &Bounds) -> Vec<Defect> {
    let text = std::mem::take(&mut source.text);
    if let Some(at) = long_gap(&text) {
        source.text = text;
        let message = format!("there are more than {MAX_GAP} bytes of consecutive empty lines and comments");
        return vec![Defect::new(9, None, at, message).with_hint("remove some of them".to_owned())];
    }
    let mut builder = Builder {
        bounds,
        text: &text,
        line_starts: &source.line_starts,
        nodes: Vec::new(),
        open: Vec::new(),
        anchors: HashMap::new(),
        aliased: 0,
        root: None,
        documents: 0,
        defects: Vec::new(),
    };
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: bounds.depth,
        block_nesting_limit: bounds.depth,
    };
    for event in Parser::new_from_str_with_options(&text, options) {
        let step =
            event.map_err(|e| syntax_error(&e, &text, bounds)).and_then(|(event, span)| builder.event(event, span));
        if let Err(defect) = step {
            builder.defects.push(*defect);
            builder.root = None;
            break;
        }
    }
    if builder.documents == 0 && builder.defects.is_empty() {
        builder.defects.push(Defect::new(1, None, 0, "the source is empty".to_owned()));
    }
    let Builder { nodes, root, defects, .. } = builder;
    source.nodes = nodes;
    source.root = root;
    source.text = text;
    source.link_parents();
    defects
}

/// Returns where too many consecutive empty lines and comments begin.
fn long_gap(text: &str) -> Option<usize> {
    let (mut at, mut begin) = (0, 0);
    for line in interrupt::checked(text.split_inclusive(['\n', '\r'])) {
        at += line.len();
        let written = line.trim_start();
        if !written.is_empty() && !written.starts_with('#') {
            begin = at;
        } else if at - begin > MAX_GAP {
            return Some(begin);
        }
    }
    None
}

impl Source {
    fn link_parents(&mut self) {
        for parent in interrupt::checked(0..self.nodes.len()) {
            let id = NodeId(parent as u32);
            let children: Vec<(NodeId, Step)> = match &self.nodes[parent].content {
                Content::List(items) => items.iter().enumerate().map(|(i, item)| (*item, Step::Index(i))).collect(),
                Content::Map(entries) => {
                    entries.iter().flat_map(|(k, v)| [(*k, Step::Key(*k)), (*v, Step::Key(*k))]).collect()
                }
                _ => continue,
            };
            for (child, step) in children {
                // Collections are numbered when they end, so an anchor's own location comes before those of its
                // aliases.
                self.nodes[child.0 as usize].parent.get_or_insert((id, step));
            }
        }
    }
}

fn syntax_error(error: &ScanError, text: &str, bounds: &Bounds) -> Box<Defect> {
    let at = error
        .marker()
        .byte_offset()
        .unwrap_or_else(|| text.char_indices().nth(error.marker().index()).map_or(text.len(), |(at, _)| at));
    let defect = match error.kind() {
        ErrorKind::RecursionLimitExceeded => too_deep(at, bounds),
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
            // The parser reports the position after the tab.
            let at = at - usize::from(text[..at].ends_with('\t'));
            Defect::new(1, None, at, error.info().to_lowercase()).with_hint("indent with spaces".to_owned())
        }
        ErrorKind::UnknownAnchor => {
            let hint = "quote the text if it starts with * but is not an alias".to_owned();
            Defect::new(1, None, at, "an alias refers to an unknown anchor".to_owned()).with_hint(hint)
        }
        _ => Defect::new(1, None, at, error.info()),
    };
    Box::new(defect)
}

fn too_deep(at: usize, bounds: &Bounds) -> Defect {
    Defect::new(9, None, at, format!("nested deeper than the {} levels allowed", bounds.depth))
}

struct Builder<'a> {
    bounds: &'a Bounds,
    text: &'a str,
    line_starts: &'a [usize],
    nodes: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, NodeId>,
    /// Number of nodes that aliases have added so far.
    aliased: usize,
    root: Option<NodeId>,
    documents: usize,
    defects: Vec<Defect>,
}

/// A list or map that has not ended.
struct Open {
    start: usize,
    anchor: usize,
    children: Children,
    /// Whether it is an unquoted `{{ … }}`, which YAML reads as a map in a map.
    is_template: bool,
}

enum Children {
    List(Vec<NodeId>),
    Map { entries: Vec<(NodeId, NodeId)>, key: Option<NodeId> },
}

/// Progress of the reader; an error stops it.
type Progress = Result<(), Box<Defect>>;

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Progress {
        interrupt::check();
        let start = span.start.byte_offset().unwrap_or(0);
        let end = span.end.byte_offset().unwrap_or(start);
        let tagged = span.tag_start().and_then(|at| at.byte_offset()).unwrap_or(start);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let message =
                        "a second document begins here, but a source must contain exactly one workflow".to_owned();
                    return Err(Box::new(Defect::new(1, None, start, message)));
                }
                Ok(())
            }
            Event::Scalar(value, style, anchor, tag) => {
                let content = self.scalar(value, style, tag.as_deref(), start, tagged);
                let id = self.add(content, start, end, style_of(style))?;
                self.finish(id, anchor, start)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), tagged, &["seq"]);
                self.begin(start, anchor, Children::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), tagged, &["map"]);
                self.begin(start, anchor, Children::Map { entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(end),
            Event::Alias(anchor) => self.alias(anchor, start),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, start: usize, anchor: usize, children: Children) -> Progress {
        if self.open.len() >= self.bounds.depth {
            return Err(Box::new(too_deep(start, self.bounds)));
        }
        self.open.push(Open { start, anchor, children, is_template: false });
        Ok(())
    }

    fn end(&mut self, end: usize) -> Progress {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let content = match open.children {
            // Continue as if it were quoted, so that other errors are found, too.
            Children::Map { .. } if open.is_template => Content::Text(self.text[open.start..end].to_owned()),
            Children::List(items) => Content::List(items),
            Children::Map { entries, .. } => Content::Map(self.merged(self.distinct(&entries))),
        };
        let id = self.add(content, open.start, end, Style::Plain)?;
        self.finish(id, open.anchor, open.start)
    }

    fn alias(&mut self, anchor: usize, start: usize) -> Progress {
        let Some(&id) = self.anchors.get(&anchor) else {
            return Err(Box::new(Defect::new(1, None, start, "an alias is used inside its own anchor".to_owned())));
        };
        let node = &self.nodes[id.0 as usize];
        self.aliased = self.aliased.saturating_add(node.weight);
        if self.aliased > self.bounds.alias_nodes {
            let message = format!("aliases add more than the {} nodes allowed", self.bounds.alias_nodes);
            return Err(Box::new(Defect::new(9, None, start, message)));
        }
        if self.open.len() + node.height > self.bounds.depth {
            return Err(Box::new(too_deep(start, self.bounds)));
        }
        self.finish(id, 0, start)
    }

    fn add(&mut self, content: Content, start: usize, end: usize, style: Style) -> Result<NodeId, Box<Defect>> {
        if self.nodes.len() >= MAX_NODES {
            return Err(Box::new(Defect::new(9, None, start, "too many values".to_owned())));
        }
        let below = |id: &NodeId| &self.nodes[id.0 as usize];
        let (weight, height) = match &content {
            Content::List(items) => sum(items.iter().map(below)),
            Content::Map(entries) => sum(entries.iter().flat_map(|(k, v)| [below(k), below(v)])),
            _ => (1, 0),
        };
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(Node { content, start, end, style, parent: None, weight, height });
        Ok(id)
    }

    /// Attaches a complete node to its parent.
    fn finish(&mut self, id: NodeId, anchor: usize, start: usize) -> Progress {
        if anchor > 0 {
            self.anchors.insert(anchor, id);
        }
        match self.open.last_mut().map(|open| &mut open.children) {
            None => self.root = Some(id),
            Some(Children::List(items)) => items.push(id),
            Some(Children::Map { entries, key }) => match key.take() {
                Some(key) => entries.push((key, id)),
                None => {
                    let key = self.key(id, start)?;
                    if let Some(Open { children: Children::Map { key: slot, .. }, .. }) = self.open.last_mut() {
                        *slot = Some(key);
                    }
                }
            },
        }
        Ok(())
    }

    /// Converts a key to text; other scalars are taken as written.
    fn key(&mut self, id: NodeId, start: usize) -> Result<NodeId, Box<Defect>> {
        let node = &self.nodes[id.0 as usize];
        let (from, to, style) = (node.start, node.end, node.style);
        match node.content {
            Content::Text(_) => Ok(id),
            Content::List(_) | Content::Map(_) => {
                let is_template = self.text[start..].starts_with('{') && self.text[..start].ends_with('{');
                let outer = self.open.last_mut().filter(|_| is_template);
                let Some(outer) = outer else {
                    return Err(Box::new(Defect::new(5, None, start, "a list or map can't be a key".to_owned())));
                };
                if !std::mem::replace(&mut outer.is_template, true) {
                    let message = "an expression is not quoted, so YAML reads it as a map inside a map".to_owned();
                    let defect = Defect::new(5, None, start - 1, message);
                    self.report(defect.with_hint("put it in quotes: \"{{ … }}\"".to_owned()));
                }
                self.add(Content::Text(String::new()), start, start, Style::Plain)
            }
            _ => {
                let literal = self.text.get(from..to).unwrap_or_default().trim().to_owned();
                self.add(Content::Text(literal), from, to, style)
            }
        }
    }

    fn report(&mut self, defect: Defect) {
        if self.defects.len() < MAX_FINDINGS {
            self.defects.push(defect);
        }
    }

    fn distinct(&self, entries: &[(NodeId, NodeId)]) -> (Vec<(NodeId, NodeId)>, Vec<Defect>) {
        let mut seen: HashMap<&str, NodeId> = HashMap::with_capacity(entries.len());
        let (mut kept, mut defects) = (Vec::with_capacity(entries.len()), Vec::new());
        for &(key, value) in interrupt::checked(entries) {
            let name = self.text_of(key);
            if let Some(first) = seen.get(name) {
                if defects.len() >= MAX_FINDINGS {
                    continue;
                }
                let at = self.nodes[key.0 as usize].start;
                let line = self.line_starts.partition_point(|start| *start <= self.nodes[first.0 as usize].start);
                let message = format!("duplicate key `{}`, first given on line {line}", shorten(name, 80));
                defects.push(Defect::new(2, Some(key), at, message).with_hint("remove one of them".to_owned()));
            } else {
                seen.insert(name, key);
                kept.push((key, value));
            }
        }
        (kept, defects)
    }

    /// Applies `<<: *anchor`, which adds the keys that are not present yet.
    fn merged(&mut self, (entries, defects): (Vec<(NodeId, NodeId)>, Vec<Defect>)) -> Vec<(NodeId, NodeId)> {
        defects.into_iter().for_each(|defect| self.report(defect));
        let is_merge =
            |b: &Self, key: &NodeId| b.text_of(*key) == "<<" && b.nodes[key.0 as usize].style == Style::Plain;
        let Some(at) = entries.iter().position(|(key, _)| is_merge(self, key)) else { return entries };
        let mut kept = entries;
        let (_, value) = kept.remove(at);
        let maps = match &self.nodes[value.0 as usize].content {
            Content::List(items) => items.clone(),
            _ => vec![value],
        };
        let mut seen: HashSet<String> = kept.iter().map(|(key, _)| self.text_of(*key).to_owned()).collect();
        for map in maps {
            let node = &self.nodes[map.0 as usize];
            match &node.content {
                Content::Map(entries) => {
                    kept.extend(
                        interrupt::checked(entries).filter(|(key, _)| seen.insert(self.text_of(*key).to_owned())),
                    );
                }
                other => {
                    let message = format!("`<<` merges maps, not {}", other.kind());
                    let defect = Defect::new(5, Some(map), node.start, message);
                    self.report(defect);
                }
            }
        }
        kept
    }

    fn text_of(&self, key: NodeId) -> &str {
        match &self.nodes[key.0 as usize].content {
            Content::Text(text) => text,
            _ => "",
        }
    }

    fn scalar(
        &mut self,
        value: Cow<'_, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        start: usize,
        tagged: usize,
    ) -> Content {
        let known = self.check_tag(tag, tagged, &["str", "int", "float", "bool", "null"]);
        let is_text = tag.is_some_and(|tag| !known || tag.is_yaml_core_schema_tag("str"));
        if value.contains('\0') {
            self.report(Defect::new(
                6,
                None,
                start,
                "text contains the character U+0000, which PostgreSQL cannot store".to_owned(),
            ));
            return Content::Text(value.replace('\0', "\u{fffd}"));
        }
        if style != ScalarStyle::Plain || is_text {
            return Content::Text(value.into_owned());
        }
        scalar::resolve(&value).unwrap_or_else(|| {
            let message = format!("`{value}` is not a valid JSON number");
            self.report(Defect::new(6, None, start, message).with_hint("write it as text, in quotes".to_owned()));
            Content::Text(value.into_owned())
        })
    }

    fn check_tag(&mut self, tag: Option<&Tag>, start: usize, known: &[&str]) -> bool {
        let Some(tag) = tag else { return true };
        let known = known.iter().any(|name| tag.is_yaml_core_schema_tag(name));
        if !known {
            let message = format!("the tag `{}` is not supported", shorten(&tag.original(), 80));
            self.report(Defect::new(6, None, start, message).with_hint("remove the tag".to_owned()));
        }
        known
    }
}

fn sum<'n>(nodes: impl Iterator<Item = &'n Node>) -> (usize, usize) {
    nodes.fold((1, 1), |(weight, height), node| (weight.saturating_add(node.weight), height.max(node.height + 1)))
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::SingleQuoted,
        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
        ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
    }
}
