//! Bounds that keep a definition or an execution from harming the server. Most are settings of the extension.

/// Bounds, checked before any recursive code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Maximum size of a definition's source, in bytes.
    pub source_bytes: usize,
    /// Maximum nesting depth of a definition and of any rendered JSON.
    pub depth: usize,
    /// Maximum number of nodes that YAML aliases may add.
    pub alias_nodes: usize,
    /// Maximum number of tasks in a workflow.
    pub tasks: usize,
    /// Maximum number of items of one `with_items`.
    pub items: usize,
    /// Maximum length of one expression, in bytes.
    pub expression_bytes: usize,
    /// Maximum number of steps of the template machine per expression.
    pub template_fuel: u64,
    /// Maximum number of bytes that one template may yield.
    pub output_bytes: usize,
    /// Maximum size of all variables of an execution, in bytes.
    pub context_bytes: usize,
    /// Size of variables, in bytes, up to which a single branch rewrites all of them when it publishes.
    pub rewritten_bytes: usize,
    /// Maximum number of changes in a context; if there are more, they are combined into one.
    pub context_changes: usize,
    /// Maximum nesting depth of sub-workflows.
    pub workflow_depth: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            source_bytes: 1 << 20,
            depth: 64,
            alias_nodes: 10_000,
            tasks: 1000,
            items: 10_000,
            expression_bytes: 16 << 10,
            template_fuel: 1_000_000,
            output_bytes: 16 << 20,
            context_bytes: 16 << 20,
            // Approximately what a row holds without TOAST.
            rewritten_bytes: 2000,
            context_changes: 8,
            workflow_depth: 10,
        }
    }
}
