//! The attributes that a definition gives its executions, by which they can be found.

use crate::code::Code;
use crate::engine::cause::Cause;
use crate::engine::conductor::Conductor;
use crate::engine::status::Status;
use crate::engine::variables;
use crate::expression::{Data, json_text};

/// Maximum size of the attributes of an execution, in bytes of JSON text.
pub const MAX_BYTES: usize = 8192;

impl Conductor<'_> {
    /// Renders the attributes of a starting execution from its parameters and variables. If that fails, so does the
    /// execution.
    pub(crate) fn set_attributes(&mut self) {
        if self.graph.attributes.is_empty() || self.execution.status != Status::Running {
            return;
        }
        match self.attributes() {
            Ok(attributes) => self.changes.attributes = Some(attributes),
            Err(cause) => self.fail(cause),
        }
    }

    fn attributes(&self) -> Result<Data, Cause> {
        let mut attributes = variables::Changes::new();
        for (name, value) in &self.graph.attributes {
            let value = self.render(value, self.variables.clone(), None, None).map_err(|error| {
                Cause::evaluating(Code::VARIABLE_NOT_EVALUATED, &format!("attribute {name}"), None, &error)
            })?;
            attributes.insert(name.clone(), value);
        }
        let attributes = variables::overlaid(&variables::empty(), &attributes);
        let bytes = json_text(&attributes).len();
        if bytes > MAX_BYTES {
            let message = format!("the attributes take {bytes} bytes, but at most {MAX_BYTES} are allowed");
            return Err(Cause::rule(Code::LIMIT_EXCEEDED, None, message));
        }
        Ok(attributes)
    }
}
