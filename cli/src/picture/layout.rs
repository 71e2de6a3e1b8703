//! Places the nodes of a graph in layers, so that edges lead downward and rarely cross.

use super::Graph;

/// Space between neighbors in a layer, and between layers.
const GAP: f64 = 28.0;
const LAYER_GAP: f64 = 56.0;
/// Number of times that the order and the places of nodes are improved.
const SWEEPS: usize = 12;

/// Size of a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    pub width: f64,
    pub height: f64,
}

/// Where everything is.
pub struct Layout {
    pub width: f64,
    pub height: f64,
    /// The center of each node.
    pub nodes: Vec<(f64, f64)>,
    /// The points that each edge passes, from the border of one node to that of the other.
    pub edges: Vec<Vec<(f64, f64)>>,
}

/// Returns the layer of each node: 0 for those that nothing leads to, and otherwise below all that lead to it. Edges
/// that lead back do not count.
pub fn layers(graph: &Graph) -> Vec<usize> {
    let back = back_edges(graph);
    let mut layer = vec![0; graph.nodes.len()];
    // Without back edges there are no cycles, so this ends after at most one round per node.
    for _ in 0..graph.nodes.len() {
        let mut changed = false;
        for (edge, back) in graph.edges.iter().zip(&back) {
            if !back && layer[edge.to] < layer[edge.from] + 1 {
                layer[edge.to] = layer[edge.from] + 1;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    layer
}

/// Returns which edges lead back to a node that is on the way to them.
fn back_edges(graph: &Graph) -> Vec<bool> {
    let mut back = vec![false; graph.edges.len()];
    let mut leaving: Vec<Vec<usize>> = vec![Vec::new(); graph.nodes.len()];
    for (number, edge) in graph.edges.iter().enumerate() {
        leaving[edge.from].push(number);
    }
    // 0: not visited, 1: on the way, 2: done.
    let mut state = vec![0u8; graph.nodes.len()];
    for root in 0..graph.nodes.len() {
        let mut way = vec![(root, 0)];
        while let Some((node, next)) = way.pop() {
            if next == 0 {
                if state[node] != 0 {
                    continue;
                }
                state[node] = 1;
            }
            match leaving[node].get(next) {
                None => state[node] = 2,
                Some(&edge) => {
                    way.push((node, next + 1));
                    let to = graph.edges[edge].to;
                    match state[to] {
                        0 => way.push((to, 0)),
                        1 => back[edge] = true,
                        _ => {}
                    }
                }
            }
        }
    }
    back
}

/// A place in a layer: a node, or a point of an edge that passes through.
struct Slots {
    width: Vec<f64>,
    x: Vec<f64>,
    above: Vec<Vec<usize>>,
    below: Vec<Vec<usize>>,
    rows: Vec<Vec<usize>>,
}

/// Lays a graph out.
pub fn place(graph: &Graph, sizes: &[Size]) -> Layout {
    let layer = layers(graph);
    let mut slots = Slots {
        width: sizes.iter().map(|size| size.width).collect(),
        x: vec![0.0; sizes.len()],
        above: vec![Vec::new(); sizes.len()],
        below: vec![Vec::new(); sizes.len()],
        rows: vec![Vec::new(); layer.iter().max().map_or(0, |last| last + 1)],
    };
    for (node, layer) in layer.iter().enumerate() {
        slots.rows[*layer].push(node);
    }
    let chains: Vec<Vec<usize>> = graph.edges.iter().map(|edge| slots.chain(edge.from, edge.to, &layer)).collect();
    slots.order();
    slots.spread();

    let mut tops = Vec::new();
    let mut y = GAP;
    let mut middle = vec![0.0; slots.width.len()];
    for row in &slots.rows {
        let height = row.iter().filter_map(|slot| sizes.get(*slot)).map(|size| size.height).fold(20.0, f64::max);
        row.iter().for_each(|slot| middle[*slot] = y + height / 2.0);
        tops.push(y);
        y += height + LAYER_GAP;
    }
    let edges = graph.edges.iter().zip(&chains).map(|(edge, chain)| {
        let down = layer[edge.from] < layer[edge.to];
        let mut points = vec![border(&slots, &middle, sizes, edge.from, down)];
        points.extend(chain.iter().map(|slot| (slots.x[*slot], middle[*slot])));
        points.push(border(&slots, &middle, sizes, edge.to, !down));
        points
    });
    let edges = edges.collect();
    let right = (0..slots.width.len()).map(|slot| slots.x[slot] + slots.width[slot] / 2.0).fold(0.0, f64::max);
    Layout {
        width: right + GAP,
        height: (y - LAYER_GAP + GAP).max(2.0 * GAP),
        nodes: (0..sizes.len()).map(|node| (slots.x[node], middle[node])).collect(),
        edges,
    }
}

fn border(slots: &Slots, middle: &[f64], sizes: &[Size], node: usize, bottom: bool) -> (f64, f64) {
    let half = sizes[node].height / 2.0;
    (slots.x[node], if bottom { middle[node] + half } else { middle[node] - half })
}

impl Slots {
    /// Adds a point in each layer that an edge passes, and returns them from its start to its end.
    fn chain(&mut self, from: usize, to: usize, layer: &[usize]) -> Vec<usize> {
        let (first, last) = (layer[from].min(layer[to]), layer[from].max(layer[to]));
        let (top, bottom) = if layer[from] <= layer[to] { (from, to) } else { (to, from) };
        let mut chain = Vec::new();
        let mut before = top;
        for row in first + 1..last {
            let slot = self.width.len();
            self.width.push(8.0);
            self.x.push(0.0);
            self.above.push(vec![before]);
            self.below.push(Vec::new());
            self.below[before].push(slot);
            self.rows[row].push(slot);
            chain.push(slot);
            before = slot;
        }
        if first < last {
            self.below[before].push(bottom);
            self.above[bottom].push(before);
        }
        if top != from {
            chain.reverse();
        }
        chain
    }

    /// Sorts each layer by the mean place of the neighbors, from above and from below in turn.
    fn order(&mut self) {
        let mut place = vec![0.0; self.width.len()];
        for sweep in 0..SWEEPS {
            let down = sweep % 2 == 0;
            let number = self.rows.len();
            for row in 0..number {
                let row = if down { row } else { number - 1 - row };
                let mut slots = std::mem::take(&mut self.rows[row]);
                let key = |slot: &usize| {
                    let near = if down { &self.above[*slot] } else { &self.below[*slot] };
                    mean(near.iter().map(|slot| place[*slot])).unwrap_or(place[*slot])
                };
                if sweep > 0 || row > 0 {
                    let mut keyed: Vec<(f64, usize)> = slots.iter().map(|slot| (key(slot), *slot)).collect();
                    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
                    slots = keyed.into_iter().map(|(_, slot)| slot).collect();
                }
                slots.iter().enumerate().for_each(|(at, slot)| place[*slot] = at as f64);
                self.rows[row] = slots;
            }
        }
    }

    /// Moves nodes below and above their neighbors as far as the order allows.
    fn spread(&mut self) {
        for row in &self.rows {
            let mut x = 0.0;
            for slot in row {
                self.x[*slot] = x + self.width[*slot] / 2.0;
                x += self.width[*slot] + GAP;
            }
        }
        for sweep in 0..SWEEPS * 2 {
            let down = sweep % 2 == 0;
            let number = self.rows.len();
            for row in 0..number {
                let row = if down { row } else { number - 1 - row };
                let wanted: Vec<f64> = self.rows[row]
                    .iter()
                    .map(|slot| {
                        let near = if down { &self.above[*slot] } else { &self.below[*slot] };
                        mean(near.iter().map(|slot| self.x[*slot])).unwrap_or(self.x[*slot])
                    })
                    .collect();
                self.settle(row, &wanted);
            }
        }
        let left = (0..self.x.len()).map(|slot| self.x[slot] - self.width[slot] / 2.0).fold(f64::MAX, f64::min);
        self.x.iter_mut().for_each(|x| *x += GAP - left);
    }

    /// Gives the slots of a row the places that they want; where they would overlap, the middle between their places
    /// when pushed from the left and from the right.
    fn settle(&mut self, row: usize, wanted: &[f64]) {
        let slots = &self.rows[row];
        let apart = |a: usize, b: usize| (self.width[a] + self.width[b]) / 2.0 + GAP;
        let (mut left, mut right) = (wanted.to_vec(), wanted.to_vec());
        for at in 1..slots.len() {
            left[at] = left[at].max(left[at - 1] + apart(slots[at - 1], slots[at]));
        }
        for at in (1..slots.len()).rev() {
            right[at - 1] = right[at - 1].min(right[at] - apart(slots[at - 1], slots[at]));
        }
        let mut x: Vec<f64> = left.iter().zip(&right).map(|(left, right)| (left + right) / 2.0).collect();
        for at in 1..slots.len() {
            x[at] = x[at].max(x[at - 1] + apart(slots[at - 1], slots[at]));
        }
        for (at, slot) in slots.iter().enumerate() {
            self.x[*slot] = x[at];
        }
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let number = values.len();
    (number > 0).then(|| values.sum::<f64>() / number as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::of_dot;

    fn graph(edges: &[(usize, usize)], nodes: usize) -> Graph {
        let mut text = String::new();
        (0..nodes).for_each(|node| text += &format!("t{node} [shape=box, label=\"n{node}\"];\n"));
        edges.iter().for_each(|(from, to)| text += &format!("t{from} -> t{to};\n"));
        of_dot(&text)
    }

    #[test]
    fn edges_lead_downwards_except_those_that_close_a_cycle() {
        let graph = graph(&[(0, 1), (1, 2), (2, 1), (0, 2), (2, 3), (3, 3)], 4);
        assert_eq!(layers(&graph), [0, 1, 2, 3]);
    }

    #[test]
    fn nodes_do_not_overlap() {
        let edges: Vec<(usize, usize)> = (1..9).map(|to| (0, to)).chain((1..9).map(|from| (from, 9))).collect();
        let graph = graph(&edges, 10);
        let sizes = vec![Size { width: 90.0, height: 40.0 }; 10];
        let layout = place(&graph, &sizes);
        for a in 0..10 {
            for b in 0..a {
                let ((ax, ay), (bx, by)) = (layout.nodes[a], layout.nodes[b]);
                assert!((ax - bx).abs() >= 90.0 || (ay - by).abs() >= 40.0, "{a} and {b}");
            }
        }
        assert!(layout.nodes.iter().all(|(x, y)| *x >= 45.0 && *x <= layout.width - 45.0 && *y <= layout.height));
    }
}
