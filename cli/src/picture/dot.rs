//! Reads the DOT text of the engine's diagrams: one node or one edge per line. It is not a general reader of DOT.

use super::{Edge, Graph, Node, Paint, Shape};
use std::collections::HashMap;

/// Returns the graph of a diagram. Lines that say nothing about nodes or edges are left out.
pub fn read(text: &str) -> Graph {
    let mut graph = Graph::default();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut edges = Vec::new();
    for line in text.lines().map(|line| line.trim().trim_end_matches(';')) {
        let (head, attributes) = line.split_once(" [").map_or((line, ""), |(head, rest)| (head, rest));
        match head.split_once(" -> ") {
            Some((from, to)) => edges.push((from.to_owned(), to.to_owned(), attributes.to_owned())),
            None if !attributes.is_empty() && head != "node" => {
                places.insert(head.to_owned(), graph.nodes.len());
                graph.nodes.push(node(head, attributes));
            }
            None => {}
        }
    }
    for (from, to, attributes) in edges {
        let Some(&from) = places.get(&from) else { continue };
        // A command such as `fail` has no line of its own.
        let to = *places.entry(to.clone()).or_insert_with(|| {
            graph.nodes.push(Node {
                id: to.clone(),
                name: to.clone(),
                lines: vec![to.clone()],
                shape: Shape::Round,
                paint: Paint::Plain,
            });
            graph.nodes.len() - 1
        });
        let label = quoted(&attributes, "label").unwrap_or_default();
        let dashed = attributes.contains("style=dotted");
        graph.edges.push(Edge { from, to, label, dashed, ..Edge::default() });
    }
    graph
}

fn node(id: &str, attributes: &str) -> Node {
    let label = quoted(attributes, "label").unwrap_or_else(|| id.to_owned());
    let lines: Vec<String> = label.split('\n').map(str::to_owned).collect();
    let name = lines.first().map(|line| line.trim_end_matches(" (each item)").to_owned()).unwrap_or_default();
    let shape = match () {
        () if attributes.starts_with("shape=diamond") => Shape::Decision,
        () if attributes.starts_with("shape=parallelogram") => Shape::Round,
        () => Shape::Box,
    };
    let color = quoted(attributes, "fillcolor");
    let paint = Paint::COLORS.iter().find(|(_, known)| color.as_deref() == Some(known));
    Node { id: id.to_owned(), name, lines, shape, paint: paint.map_or(Paint::Plain, |(paint, _)| *paint) }
}

/// Returns the value of an attribute in quotes, without its escapes.
fn quoted(attributes: &str, name: &str) -> Option<String> {
    let (_, rest) = attributes.split_once(&format!("{name}=\""))?;
    let mut value = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return Some(value),
            '\\' => match characters.next()? {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagram_is_read_back() {
        let text = "digraph workflow {\n  node [fontname=\"sans-serif\"];\n  \
                    t0 [shape=box, label=\"a\\nx.y\", style=filled, fillcolor=\"#a6e3a1\"];\n  \
                    t1 [shape=diamond, label=\"say \\\"b\\\"\"];\n  t0 -> t1 [label=\"x > 1\"];\n  t1 -> fail;\n}\n";
        let graph = read(text);
        let names: Vec<(&str, Shape, Paint)> =
            graph.nodes.iter().map(|node| (node.name.as_str(), node.shape, node.paint)).collect();
        assert_eq!(
            names,
            [
                ("a", Shape::Box, Paint::Completed),
                ("say \"b\"", Shape::Decision, Paint::Plain),
                ("fail", Shape::Round, Paint::Plain)
            ]
        );
        let edges: Vec<(usize, usize, &str)> =
            graph.edges.iter().map(|edge| (edge.from, edge.to, edge.label.as_str())).collect();
        assert_eq!(edges, [(0, 1, "x > 1"), (1, 2, "")]);
    }
}
