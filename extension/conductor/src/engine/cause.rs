//! Why a workflow fails, and what else goes wrong while it closes.

use crate::code::Code;
use crate::engine::moment::Moment;
use crate::expression::{Data, ExpressionError, data, json};
use crate::finding::shorten;
use serde_json::{Value, json};

/// Maximum number of characters of a reported error that a message repeats.
const REPEATED: usize = 300;
/// Maximum number of bytes of a reported error that are kept with its cause.
const KEPT: usize = 8_000;

/// One thing that went wrong.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cause {
    /// The task, by name.
    pub task: Option<String>,
    /// The item's index.
    pub item: Option<u32>,
    /// Code, such as `WF602`; `None` if a worker reported it.
    pub code: Option<Code>,
    /// What went wrong, in one sentence that begins with the code.
    pub message: String,
    /// The error that was reported.
    pub error: Option<Data>,
}

impl Cause {
    /// Returns a violation of a rule; the message follows the code.
    pub(crate) fn rule(code: Code, task: Option<&str>, message: String) -> Cause {
        let task = task.map(str::to_owned);
        Cause { task, code: Some(code), message: format!("{code}: {message}"), ..Cause::default() }
    }

    /// Returns an expression that failed to evaluate.
    pub(crate) fn evaluating(code: Code, what: &str, task: Option<&str>, error: &ExpressionError) -> Cause {
        let place = task.map(|task| format!(" of task {task}")).unwrap_or_default();
        Cause::rule(code, task, format!("{what}{place} failed to evaluate: {error}"))
    }

    /// Returns the error of a task that could not begin because of this.
    pub(crate) fn as_error(&self) -> Data {
        let message = self.message.clone();
        Data::from_pairs([("type", Data::from("not_started")), ("message", Data::from(message))])
    }

    /// Returns it as an entry of `system.errors`.
    pub(crate) fn entry(&self, now: Moment) -> Data {
        let mut entry = self.value();
        entry["time"] = json(&now.value());
        data(&entry)
    }

    /// Returns it as an entry of `errors`, apart from its time.
    pub fn value(&self) -> Value {
        let mut entry = serde_json::Map::new();
        let mut put = |name: &str, value: Option<Value>| entry.extend(value.map(|value| (name.to_owned(), value)));
        put("task", self.task.as_deref().map(Value::from));
        put("item", self.item.map(Value::from));
        put("code", self.code.map(|code| code.to_string().into()));
        put("message", Some(Value::from(self.message.as_str())));
        let error = self.error.as_ref().map(json).filter(|error| !error.is_null());
        put(
            "error",
            error.map(|error| if error.to_string().len() > KEPT { json!({"message": said(&error)}) } else { error }),
        );
        Value::Object(entry)
    }
}

/// Returns what a reported error says, phrased for a sentence, or `None` if it says nothing.
pub(crate) fn saying(error: &Data) -> Option<String> {
    let error = json(error);
    (!error.is_null()).then(|| said(&error))
}

fn said(error: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let message = text(error.get("message").unwrap_or(error));
    let Some(called) = error.get("execution").filter(|_| error.get("type").is_some_and(|kind| kind == "workflow"))
    else {
        return shorten(&message, REPEATED).into_owned();
    };
    // The error of a call names the execution that it called, and the innermost cause.
    let bottom = std::iter::successors(error.get("cause"), |cause| cause.get("cause")).last();
    let broken = bottom.map_or(message, |cause| {
        let task = cause.get("task").map(|task| format!("task {}: ", text(task))).unwrap_or_default();
        let said = cause.get("error").and_then(|error| error.get("message")).or(cause.get("message"));
        said.map_or_else(|| task.clone(), |said| format!("{task}{}", text(said)))
    });
    shorten(&format!("execution {called}: {broken}"), REPEATED).into_owned()
}
