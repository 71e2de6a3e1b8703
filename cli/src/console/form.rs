//! Values sent by forms, and queries of addresses.

use super::problem::Problem;
use serde_json::Value;

/// Names and values, in order.
#[derive(Debug, Clone, Default)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// Reads the query of an address.
    pub fn of(uri: &axum::http::Uri) -> Fields {
        let query = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        Fields(query.map(|axum::extract::Query(fields)| fields).unwrap_or_default())
    }

    /// Returns the first value of a name, unless it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns all values of a name that are not empty.
    pub fn all<'f>(&'f self, name: &str) -> impl Iterator<Item = &'f str> + use<'f> {
        let name = name.to_owned();
        self.0
            .iter()
            .filter(move |(key, value)| *key == name && !value.trim().is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// Returns a value, or an error that names the missing one.
    pub fn need(&self, name: &str) -> Result<&str, Problem> {
        self.get(name).ok_or_else(|| Problem::invalid(format!("{name} is missing")))
    }

    /// Returns a value as JSON, or an error that says why it is not JSON.
    pub fn json(&self, name: &str) -> Result<Option<Value>, Problem> {
        let read =
            |text| serde_json::from_str(text).map_err(|error| Problem::invalid(format!("{name} is not JSON: {error}")));
        self.get(name).map(read).transpose()
    }

    /// Returns a value as a number.
    pub fn number(&self, name: &str) -> Result<Option<i64>, Problem> {
        let read = |text: &str| text.trim().parse().map_err(|_| Problem::invalid(format!("{name} is not a number")));
        self.get(name).map(read).transpose()
    }

    /// Returns the address of a path with these names and values, except for some that are replaced or left out.
    pub fn address(&self, path: &str, replaced: &[(&str, Option<&str>)]) -> String {
        let kept =
            self.0.iter().filter(|(key, value)| !value.is_empty() && replaced.iter().all(|(name, _)| name != key));
        let kept = kept.map(|(key, value)| (key.as_str(), value.as_str()));
        let added = replaced.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        let query: Vec<String> =
            kept.chain(added).map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
    }
}

/// Reads the id of an execution from an address.
pub fn number(id: &str) -> Result<i64, Problem> {
    id.parse().map_err(|_| Problem::missing(format!("{id} is not the id of an execution")))
}

/// Returns text as a part of an address.
pub fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_what_is_not_replaced() {
        let fields = Fields::of(&"/x?status=failed&status=timeout&after=3&text=a%26b".parse().unwrap());
        assert_eq!(fields.all("status").collect::<Vec<_>>(), ["failed", "timeout"]);
        let address = fields.address("/x", &[("after", Some("9"))]);
        assert_eq!(address, "/x?status=failed&status=timeout&text=a%26b&after=9");
        assert_eq!(Fields::default().address("/x", &[("after", None)]), "/x");
    }
}
