//! Sets of tasks, one bit per task, so that the stored state of a join with a thousand inbound tasks stays small.

use serde::{Deserialize, Serialize};

/// Maximum number of words that are read: far more than any graph needs.
const MAX_WORDS: usize = 1 << 16;

/// A task's number in its graph.
pub type NodeId = u32;

/// A set of tasks of a graph.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<i64>", try_from = "Vec<i64>")]
pub struct NodeSet {
    /// Task n is bit n % 32 of word n / 32.
    words: Vec<u32>,
}

/// Stored form: words of 32 bits are exact in any JSON reader, and a negative number stands for that many empty words.
/// The tasks that have arrived at a join are few and close to each other, wherever they are in the graph.
impl From<NodeSet> for Vec<i64> {
    fn from(set: NodeSet) -> Vec<i64> {
        let mut stored = Vec::new();
        for word in set.words {
            match (word, stored.last_mut()) {
                (0, Some(run)) if *run < 0 => *run -= 1,
                (0, _) => stored.push(-1),
                (word, _) => stored.push(i64::from(word)),
            }
        }
        stored
    }
}

/// Why stored words are not a valid set.
#[derive(Debug, thiserror::Error)]
#[error("a set of tasks contains {0}")]
pub struct NoSet(i64);

impl TryFrom<Vec<i64>> for NodeSet {
    type Error = NoSet;

    fn try_from(stored: Vec<i64>) -> Result<NodeSet, NoSet> {
        let mut words = Vec::new();
        for number in stored {
            match u32::try_from(number) {
                Ok(word) => words.push(word),
                Err(_) => {
                    let run = number.checked_neg().and_then(|run| usize::try_from(run).ok());
                    let run = run.filter(|run| words.len() + run <= MAX_WORDS).ok_or(NoSet(number))?;
                    words.resize(words.len() + run, 0);
                }
            }
        }
        Ok(NodeSet { words })
    }
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

    #[test]
    fn runs_of_words_without_tasks_are_stored_as_their_length() {
        let mut set = NodeSet::default();
        [900, 901, 1000].into_iter().for_each(|node| set.insert(node));
        let stored = serde_json::to_string(&set).unwrap();
        assert_eq!(stored, "[-28,48,-2,256]");
        assert_eq!(serde_json::from_str::<NodeSet>(&stored).unwrap(), set);
        for broken in ["[-9223372036854775808]", "[4294967296]", "[-40000,-40000]"] {
            assert!(serde_json::from_str::<NodeSet>(broken).is_err(), "{broken}");
        }
    }
}
