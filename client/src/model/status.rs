//! The two status enums: of executions, and of tasks at a glance.

use serde::{Deserialize, Serialize};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type, TypeInfo};
use std::fmt;
use std::str::FromStr;

/// A label that this version of the client does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown status {0:?}")]
pub struct UnknownStatus(pub String);

/// Defines a Rust enum for a SQL enum of the schema `workflow`. Implemented by hand, because the name that PostgreSQL
/// reports for the type depends on the search_path: sqlx's derive would fail if that contains the schema.
macro_rules! status {
    ($(#[$meta:meta])* $name:ident = $sql:literal { $($(#[$doc:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $label)] $variant,)*
        }

        impl $name {
            /// All values, in the order of the SQL enum.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// Returns the label in SQL and JSON.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $label,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownStatus;

            fn from_str(label: &str) -> Result<$name, UnknownStatus> {
                match label {
                    $($label => Ok($name::$variant),)*
                    _ => Err(UnknownStatus(label.to_owned())),
                }
            }
        }

        impl Type<Postgres> for $name {
            fn type_info() -> PgTypeInfo {
                PgTypeInfo::with_name(concat!("workflow.", $sql))
            }

            fn compatible(type_info: &PgTypeInfo) -> bool {
                [concat!("workflow.", $sql), $sql].contains(&type_info.name())
            }
        }

        impl Decode<'_, Postgres> for $name {
            fn decode(value: PgValueRef<'_>) -> Result<$name, BoxDynError> {
                Ok(value.as_str()?.parse()?)
            }
        }

        impl Encode<'_, Postgres> for $name {
            fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
                <&str as Encode<Postgres>>::encode_by_ref(&self.as_str(), buffer)
            }
        }
    };
}

status! {
    /// Status of an execution, a workflow or a task.
    #[derive(Default)]
    ExecutionStatus = "execution_status" {
        /// It has been requested.
        #[default]
        Requested = "requested",
        /// It is being scheduled.
        Scheduling = "scheduling",
        /// It can be claimed.
        Scheduled = "scheduled",
        /// It is running.
        Running = "running",
        /// It ended successfully.
        Completed = "completed",
        /// It failed.
        Failed = "failed",
        /// It ends once its running tasks have ended.
        Canceling = "canceling",
        /// It was cancelled.
        Cancelled = "cancelled",
        /// It timed out.
        Timeout = "timeout",
        /// Its worker never reported back.
        Abandoned = "abandoned",
    }
}

impl ExecutionStatus {
    /// Whether the status is final.
    pub fn is_end(self) -> bool {
        use ExecutionStatus::*;
        matches!(self, Completed | Failed | Cancelled | Timeout | Abandoned)
    }
}

status! {
    /// Status of a task at a glance.
    TaskStatus = "task_status" {
        /// It has not started.
        Pending = "pending",
        /// It has started.
        Running = "running",
        /// It ended successfully.
        Completed = "completed",
        /// It failed, timed out or was abandoned.
        Failed = "failed",
        /// Its condition was false.
        Skipped = "skipped",
        /// It was cancelled.
        Cancelled = "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_the_same_in_sql_and_json() {
        for status in ExecutionStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(*status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for status in TaskStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(*status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert_eq!("canceled".parse::<ExecutionStatus>(), Err(UnknownStatus("canceled".into())));
    }
}
