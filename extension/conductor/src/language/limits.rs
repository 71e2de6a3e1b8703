//! Limits that keep a definition or an execution from harming the server. Most are settings of the extension.

/// Limits, checked before any recursive code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a definition's source.
    pub source_bytes: usize,
    /// Nesting depth of a definition and of any rendered JSON.
    pub depth: usize,
    /// Number of nodes that YAML aliases may add.
    pub alias_nodes: usize,
    /// Tasks in a workflow.
    pub tasks: usize,
    /// Items of one `with_items`.
    pub items: usize,
    /// Bytes of one expression.
    pub expression_bytes: usize,
    /// Steps of the template machine that an expression may take.
    pub template_fuel: u64,
    /// Bytes that one template may yield.
    pub output_bytes: usize,
    /// Bytes of all variables of an execution.
    pub context_bytes: usize,
    /// Bytes of variables up to which a single branch rewrites all of them when it publishes.
    pub rewritten_bytes: usize,
    /// Changes in a context; more are put together as one.
    pub context_changes: usize,
    /// Nesting depth of sub-workflows.
    pub workflow_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            source_bytes: 1 << 20,
            depth: 64,
            alias_nodes: 10_000,
            tasks: 1000,
            items: 10_000,
            expression_bytes: 16 << 10,
            template_fuel: 1_000_000,
            output_bytes: 16 << 20,
            context_bytes: 16 << 20,
            // About what a row holds without TOAST.
            rewritten_bytes: 2000,
            context_changes: 8,
            workflow_depth: 10,
        }
    }
}
