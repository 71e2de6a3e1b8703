//! The task queue: claims, their order, and where to look first.

pub mod asking;
pub mod fair_place;
pub mod fairness;
pub mod hints;
pub mod part_hint;
pub mod scan_start;
