//! Attributes of executions: small pieces of data, such as a tenant, by which people find them.

use crate::error::Error;
use crate::pg::jsonb::Jsonb;
use crate::pg::statements;
use crate::store::starts::Wanted;
use conductor::code::Code;
use conductor::engine::attributes::MAX_BYTES;
use pgrx::spi::SpiClient;
use std::collections::BTreeMap;

/// Refuses attributes that callers may not set.
pub fn check(attributes: Option<Jsonb>) -> Result<(), Error> {
    let Some(attributes) = attributes else { return Ok(()) };
    let bytes = attributes.raw_bytes();
    if bytes > MAX_BYTES {
        let hint = format!("Keep them within {MAX_BYTES} bytes, and pass data in parameters.");
        return Err(Error::refused(Code::LIMIT_EXCEEDED, "the attributes are too large", hint)
            .with_detail(format!("They have {bytes} bytes, but at most {MAX_BYTES} are allowed.")));
    }
    if !attributes.is_object() {
        let error = Error::refused(
            Code::INVALID_ARGUMENT,
            "attributes must be a JSON object",
            "Pass an object, such as {\"tenant\": \"acme\"}.",
        );
        return Err(
            error.with_detail(format!("attributes are {}.", attributes.text().chars().take(200).collect::<String>()))
        );
    }
    Ok(())
}

/// Returns the attributes of executions that are starting. Each is given by its place in `wanted` and the attributes
/// from its definition. These override the caller's attributes, and are overridden by those given explicitly.
pub fn merged(
    client: &SpiClient,
    wanted: &[Wanted],
    starting: &[(usize, Option<Jsonb>)],
) -> Result<BTreeMap<usize, Jsonb>, Error> {
    let parents: Vec<Option<i64>> = starting.iter().map(|(place, _)| wanted[*place].parent).collect();
    let given: Vec<Option<Jsonb>> = starting.iter().map(|(place, _)| wanted[*place].attributes).collect();
    let defined: Vec<Option<Jsonb>> = starting.iter().map(|(_, defined)| *defined).collect();
    let mut merged = BTreeMap::new();
    if parents.iter().all(Option::is_none) && given.iter().chain(&defined).all(Option::is_none) {
        return Ok(merged);
    }
    let arguments = [parents.into(), defined.into(), given.into()];
    let mut rows = statements::run(client, include_str!("../../queries/merge_attributes.sql"), &arguments)?;
    while rows.next().is_some() {
        let row = rows.get::<i64>(1)?.unwrap_or(1) as usize - 1;
        if let (Some((place, _)), Some(attributes)) = (starting.get(row), rows.get::<Jsonb>(2)?) {
            merged.insert(*place, attributes);
        }
    }
    Ok(merged)
}
