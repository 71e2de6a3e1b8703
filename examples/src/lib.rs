//! A workflow, its workers, and the demo.
//!
//! * `rollout.yaml`: a larger workflow, for reading;
//! * `deploy.yaml`: the workflow of the demo, and `deploy.test.yaml`, its tests;
//! * `src/bin/worker.rs`, `worker.py`, `worker.mjs`: workers for its actions, in Rust, Python and Node;
//! * `Worker.java`, `worker.go`: workers with fewer actions, in Java and Go;
//! * `src/bin/demo.rs`: runs fifty executions of it on a private server (`make demo`).

/// The workflow that the workers in this crate execute.
pub const DEPLOY: &str = include_str!("../deploy.yaml");

/// The actions of its tasks, with a description of each.
pub const ACTIONS: [(&str, &str); 6] = [
    ("ci.build", "build an image of an app"),
    ("ci.lint", "look for bad style"),
    ("ci.scan", "look for what is unsafe"),
    ("k8s.apply", "deploy an image to a region"),
    ("k8s.rollback", "go back to the image before"),
    ("chat.post", "tell people"),
];
