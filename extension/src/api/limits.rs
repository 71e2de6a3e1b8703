//! The entry point behind the limits of actions.

use crate::error::{Error, sentence};
use crate::pg::jsonb::Jsonb;
use crate::settings;
use conductor::code::Code;
use conductor::engine::action_limits::{ActionLimits, read};
use conductor::json::{from_text, to_text};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// `workflow.check_limits` in `sql/limits.sql`: returns the limits of an action in their normal form.
#[pg_extern(sql = false)]
fn workflow_check_limits(limits: Option<Jsonb>) -> Result<Option<Jsonb>, ErrorReport> {
    let Some(limits) = limits else { return Ok(None) };
    let hint = r#"Pass an array such as [{"name": "payments", "key": "{{ input.tenant }}"}]."#;
    let refused = |problem: String| {
        Error::refused(Code::INVALID_ARGUMENT, "limits are malformed", hint).with_detail(sentence(&problem))
    };
    let value = from_text(&limits.text()).map_err(|error| refused(error.to_string()))?;
    let uses = read(&value).map_err(refused)?;
    ActionLimits::compile(&uses, settings::bounds()).map_err(|error| refused(error.to_string()))?;
    let normal = to_text(&uses).ok().filter(|_| !uses.is_empty());
    Ok(normal.and_then(|text| Jsonb::from_text(&text)))
}
