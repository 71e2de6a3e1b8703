//! Sets of tasks, a bit a task: what is stored of a join that a thousand tasks lead to stays small.

use crate::graph::NodeId;
use serde::{Deserialize, Serialize};

/// Tasks of a graph.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeSet {
    /// Task n is bit n % 32 of word n / 32. Words of 32 bits are exact in any reader of JSON.
    words: Vec<u32>,
}

impl NodeSet {
    /// Puts one in.
    pub fn insert(&mut self, node: NodeId) {
        let (word, bit) = place(node);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= bit;
    }

    /// Is it in?
    pub fn contains(&self, node: NodeId) -> bool {
        let (word, bit) = place(node);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// How many are in.
    pub fn len(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Is none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, lowest first.
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
