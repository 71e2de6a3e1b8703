//! Points in time.

use crate::expression::Data;
use chrono::DateTime;
use serde::{Deserialize, Serialize};

/// A point in time, in microseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment(pub i64);

impl Moment {
    /// Returns it in ISO 8601, in UTC.
    pub(crate) fn value(self) -> Data {
        DateTime::from_timestamp_micros(self.0).map_or_else(|| Data::from(()), |time| Data::from(time.to_rfc3339()))
    }
}
