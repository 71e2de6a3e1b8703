//! Sets of facts, one bit per fact.

use crate::interrupt;

/// A set of facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactSet(Vec<u64>);

impl FactSet {
    pub fn none(words: usize) -> FactSet {
        FactSet(vec![0; words])
    }

    pub fn all(words: usize) -> FactSet {
        FactSet(vec![u64::MAX; words])
    }

    pub fn add(&mut self, bit: usize) {
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    pub fn remove(&mut self, bit: usize) {
        self.0[bit / 64] &= !(1 << (bit % 64));
    }

    pub fn add_all(&mut self, bits: &[usize]) {
        interrupt::checked(bits).for_each(|bit| self.add(*bit));
    }

    pub fn has(&self, bit: usize) -> bool {
        self.0[bit / 64] >> (bit % 64) & 1 == 1
    }

    pub fn join(&mut self, other: &FactSet) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    pub fn meet(&mut self, other: &FactSet) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= b);
    }
}
