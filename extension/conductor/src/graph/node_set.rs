//! Sets of tasks, one bit per task, so that the stored state of a join with a thousand inbound tasks stays small.

use crate::graph::NodeId;
use serde::{Deserialize, Serialize};

/// A set of tasks of a graph.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeSet {
    /// Task n is bit n % 32 of word n / 32. Words of 32 bits are exact in any JSON reader.
    words: Vec<u32>,
}

impl NodeSet {
    /// Adds a task.
    pub fn insert(&mut self, node: NodeId) {
        let (word, bit) = place(node);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= bit;
    }

    /// Whether the set contains a task.
    pub fn contains(&self, node: NodeId) -> bool {
        let (word, bit) = place(node);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Returns the number of tasks.
    pub fn len(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Iterates over the tasks, lowest number first.
    pub fn iter(&self) -> impl Iterator<Item = NodeId> + '_ {
        let most = self.words.len() as NodeId * u32::BITS;
        (0..most).filter(|node| self.contains(*node))
    }
}

fn place(node: NodeId) -> (usize, u32) {
    ((node / u32::BITS) as usize, 1 << (node % u32::BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in_once_and_in_order() {
        let mut set = NodeSet::default();
        assert!(set.is_empty() && !set.contains(31));
        [64, 31, 0, 32, 31].into_iter().for_each(|node| set.insert(node));
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 31, 32, 64]);
        assert_eq!(set.len(), 4);
        assert!(set.contains(32) && !set.contains(33) && !set.contains(10_000));
    }

    #[test]
    fn is_stored_as_words() {
        let mut set = NodeSet::default();
        [0, 33].into_iter().for_each(|node| set.insert(node));
        let stored = serde_json::to_string(&set).unwrap();
        assert_eq!(stored, "[1,2]");
        assert_eq!(serde_json::from_str::<NodeSet>(&stored).unwrap(), set);
    }
}
