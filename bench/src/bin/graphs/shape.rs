//! Graphs with the shapes of real workflows, the same ones in every run.

/// For each task, those that it waits for, which have lower numbers.
pub type Graph = Vec<Vec<usize>>;

/// A graph, and how long each of its tasks takes.
pub struct Load {
    /// What the report calls it.
    pub name: String,
    /// The graph.
    pub graph: Graph,
    /// Seconds for each task.
    pub seconds: Vec<f64>,
}

/// Function that makes a graph.
type Shape = fn() -> Graph;

/// Returns the graphs whose tasks take time: 50 ms each.
pub fn timed() -> Vec<Load> {
    let graphs = [("wide1000", fan(1000)), ("montage", montage())];
    graphs.map(|(name, graph)| Load { name: name.to_owned(), seconds: vec![0.05; graph.len()], graph }).into()
}

/// All shapes, by name.
pub const SHAPES: [(&str, Shape); 4] = [("wide", wide), ("layered", layered), ("montage", montage), ("random", random)];

/// Returns one task, 900 that follow it, and one that waits for all of these.
fn wide() -> Graph {
    fan(900)
}

fn fan(width: usize) -> Graph {
    let mut graph = vec![vec![]];
    graph.extend((0..width).map(|_| vec![0]));
    graph.push((1..=width).collect());
    graph
}

/// Returns 20 layers of 50 tasks, each of which waits for three tasks of the previous layer.
fn layered() -> Graph {
    let mut numbers = Numbers(1);
    let mut graph = vec![vec![]; 50];
    for layer in 1..20 {
        for _ in 0..50 {
            graph.push(numbers.distinct(3, (layer - 1) * 50, layer * 50));
        }
    }
    graph
}

/// Returns the steps of an image mosaic: projections, differences between neighbors, one fit, corrections, and the
/// mosaic.
fn montage() -> Graph {
    const IMAGES: usize = 180;
    let mut numbers = Numbers(2);
    let mut graph = vec![vec![]; IMAGES];
    let differences = graph.len();
    for image in 0..IMAGES {
        for _ in 0..3 {
            let other = (image + 1 + numbers.below(8)) % IMAGES;
            graph.push(vec![image.min(other), image.max(other)]);
        }
    }
    let fit = graph.len();
    graph.push((differences..fit).collect());
    graph.push(vec![fit]);
    let model = graph.len() - 1;
    let corrections = graph.len();
    graph.extend((0..IMAGES).map(|image| vec![image, model]));
    let table = graph.len();
    graph.push((corrections..table).collect());
    graph.push(vec![table]);
    graph.push(vec![table + 1]);
    graph
}

/// Returns 1000 tasks, each of which waits for up to three earlier ones, mostly recent ones.
fn random() -> Graph {
    let mut numbers = Numbers(3);
    let mut graph: Graph = Vec::new();
    for task in 0..1000_usize {
        let lowest = task.saturating_sub(60);
        let count = numbers.below(4).min(task - lowest);
        graph.push(numbers.distinct(count, lowest, task));
    }
    graph
}

/// Pseudorandom numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }

    /// Returns this many different numbers, from `lowest` up to but not including `end`.
    fn distinct(&mut self, count: usize, lowest: usize, end: usize) -> Vec<usize> {
        let mut chosen = Vec::new();
        while chosen.len() < count {
            let number = lowest + self.below(end - lowest);
            if !chosen.contains(&number) {
                chosen.push(number);
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_wait_for_earlier_ones_once_each() {
        for (name, shape) in SHAPES {
            let graph = shape();
            for (task, before) in graph.iter().enumerate() {
                let mut different = before.clone();
                different.sort_unstable();
                different.dedup();
                assert!(different.len() == before.len() && before.iter().all(|other| *other < task), "{name} {task}");
            }
        }
    }
}
