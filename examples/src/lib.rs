//! A workflow, its workers, and the demo
