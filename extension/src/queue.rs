//! The task queue: claims, their order, and where to look first.

pub mod asking;
pub mod fairness;
pub mod hand_over;
pub mod hints;
pub mod part_hint;
pub mod queued_parts;
pub mod scan_start;
