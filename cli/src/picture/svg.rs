//! Writes a graph as SVG.

use super::layout::{Size, place};
use super::{Graph, Node, Shape};
use crate::output::visible;
use std::fmt::Write;

const LINE: f64 = 16.0;
/// Width of a character of 12 pixels, on average.
const CHARACTER: f64 = 7.2;
/// Maximum number of characters of a label that are shown.
pub const SHOWN: usize = 44;

/// Positions of the labels along the curves of a node's edges, in turn.
const HEIGHTS: [f64; 3] = [0.45, 0.7, 0.25];

/// Returns the picture.
pub fn svg(graph: &Graph) -> String {
    let sizes: Vec<Size> = graph.nodes.iter().map(size).collect();
    let layout = place(graph, &sizes);
    let (width, height) = (layout.width.ceil(), layout.height.ceil());
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <defs><marker id=\"to\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto-start-reverse\"><path d=\"M0,0 L10,5 L0,10 z\" fill=\"#555\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let mut labels = vec![0; graph.nodes.len()];
    for (edge, points) in graph.edges.iter().zip(&layout.edges) {
        let color = if edge.missed { "#d33" } else { "#555" };
        let dash = if edge.dashed || edge.missed { " stroke-dasharray=\"4 3\"" } else { "" };
        let path = curve(points, sizes[edge.from].width / 2.0);
        let _ = writeln!(text, "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\"{dash} marker-end=\"url(#to)\"/>");
        if !edge.label.is_empty() {
            let (x, y) = beside(points[0], points[1], HEIGHTS[labels[edge.from] % HEIGHTS.len()]);
            labels[edge.from] += 1;
            let label = escaped(&edge.label);
            let _ = writeln!(
                text,
                "<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"middle\" font-size=\"10\" fill=\"#555\" \
                 stroke=\"#fff\" stroke-width=\"3\" paint-order=\"stroke\">{label}</text>"
            );
        }
    }
    for ((node, size), (x, y)) in graph.nodes.iter().zip(&sizes).zip(&layout.nodes) {
        draw(&mut text, node, *size, *x, *y);
    }
    text + "</svg>\n"
}

/// Returns a point of the curve from one point to another.
fn beside((ax, ay): (f64, f64), (bx, by): (f64, f64), along: f64) -> (f64, f64) {
    let bend = along * along * (3.0 - 2.0 * along);
    // The control points are at half the height.
    let fall = along * (1.5 - 1.5 * along + along * along);
    (ax + (bx - ax) * bend, ay + (by - ay) * fall)
}

/// Returns how large a node is.
pub fn size(node: &Node) -> Size {
    let longest = node.lines.iter().map(|line| line.chars().count().min(SHOWN)).max().unwrap_or(0);
    let width = (longest as f64 * CHARACTER + 24.0).max(64.0);
    let height = node.lines.len() as f64 * LINE + 14.0;
    match node.shape {
        Shape::Decision => Size { width: width + 24.0, height: height + 8.0 },
        _ => Size { width, height },
    }
}

fn draw(text: &mut String, node: &Node, size: Size, x: f64, y: f64) {
    let (left, top) = (x - size.width / 2.0, y - size.height / 2.0);
    let (right, bottom) = (x + size.width / 2.0, y + size.height / 2.0);
    let style = format!("fill=\"{}\" stroke=\"#333\"", node.paint.color());
    let status = node.paint.status();
    let colon = if status.is_empty() { "" } else { ": " };
    let _ = writeln!(text, "<g><title>{}{colon}{status}</title>", escaped(&node.name));
    let _ = match node.shape {
        Shape::Decision => writeln!(
            text,
            "<polygon points=\"{:.0},{y:.0} {left:.0},{top:.0} {right:.0},{top:.0} {:.0},{y:.0} {right:.0},{bottom:.0} \
             {left:.0},{bottom:.0}\" {style}/>",
            left - 12.0,
            right + 12.0
        ),
        shape => {
            let radius = if shape == Shape::Round { size.height / 2.0 } else { 4.0 };
            writeln!(
                text,
                "<rect x=\"{left:.0}\" y=\"{top:.0}\" width=\"{:.0}\" height=\"{:.0}\" rx=\"{radius:.0}\" {style}/>",
                size.width, size.height
            )
        }
    };
    for (number, line) in node.lines.iter().enumerate() {
        let y = top + 7.0 + LINE * number as f64 + 12.0;
        let (weight, color) = if number == 0 { (" font-weight=\"bold\"", "#000") } else { ("", "#444") };
        let _ = writeln!(
            text,
            "<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"middle\"{weight} fill=\"{color}\">{}</text>",
            escaped(line)
        );
    }
    text.push_str("</g>\n");
}

/// Returns a smooth path through points. One that ends where it begins becomes a loop at the side.
pub fn curve(points: &[(f64, f64)], half: f64) -> String {
    let [(x, y), rest @ ..] = points else { return String::new() };
    let mut path = format!("M{x:.0},{y:.0}");
    let (mut x, mut y) = (*x, *y);
    if let [(to_x, to_y)] = rest
        && *to_x == x
        && (*to_y >= y - 200.0 && *to_y <= y)
    {
        let out = x + half + 40.0;
        let _ = write!(path, " C{out:.0},{:.0} {out:.0},{:.0} {to_x:.0},{to_y:.0}", y + 30.0, to_y - 30.0);
        return path;
    }
    for (to_x, to_y) in rest {
        let middle = (y + to_y) / 2.0;
        let _ = write!(path, " C{x:.0},{middle:.0} {to_x:.0},{middle:.0} {to_x:.0},{to_y:.0}");
        (x, y) = (*to_x, *to_y);
    }
    path
}

/// Returns text for XML, shortened, without control characters.
pub(super) fn escaped(text: &str) -> String {
    plain(&conductor::finding::shorten(text, SHOWN))
}

/// Returns text for XML, without control characters.
pub(super) fn plain(text: &str) -> String {
    visible(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
