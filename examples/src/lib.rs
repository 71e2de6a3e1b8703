//! A workflow, its workers, and the demo.
//!
//! * `rollout.yaml`: a larger workflow, to read;
//! * `deploy.yaml`: the workflow of the demo;
//! * `src/bin/worker.rs`, `worker.py`, `worker.mjs`: workers for its actions, in Rust, Python and Node;
//! * `src/bin/demo.rs`: runs fifty of them on a private server, as `make demo`.

/// The workflow that the workers beside it work on.
pub const DEPLOY: &str = include_str!("../deploy.yaml");

/// The actions of its tasks, with what each does.
pub const ACTIONS: [(&str, &str); 6] = [
    ("ci.build", "build an image of an app"),
    ("ci.lint", "look for bad style"),
    ("ci.scan", "look for what is unsafe"),
    ("k8s.apply", "deploy an image to a region"),
    ("k8s.rollback", "go back to the image before"),
    ("chat.post", "tell people"),
];
