//! The two enums: where something stands, and a task in one word.

use serde::{Deserialize, Serialize};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type, TypeInfo};
use std::fmt;
use std::str::FromStr;

/// A label that this version of the client does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no status is called {0:?}")]
pub struct UnknownStatus(pub String);

/// An SQL enum of the schema `workflow` as a Rust one. By hand, because what PostgreSQL calls the type depends on the
/// search_path: sqlx's own derive would fail wherever that names the schema.
macro_rules! status {
    ($(#[$meta:meta])* $name:ident = $sql:literal { $($(#[$doc:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $label)] $variant,)*
        }

        impl $name {
            /// Every one, in the order of the SQL enum.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// Its label in SQL and JSON.
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
    /// Where an execution, a workflow or a task stands.
    #[derive(Default)]
    ExecutionStatus = "execution_status" {
        /// It has been asked for.
        #[default]
        Requested = "requested",
        /// Its place is being found.
        Scheduling = "scheduling",
        /// It can be claimed.
        Scheduled = "scheduled",
        /// Somebody works on it.
        Running = "running",
        /// It ended well.
        Completed = "completed",
        /// It ended badly.
        Failed = "failed",
        /// It ends when what still runs has.
        Canceling = "canceling",
        /// It was cancelled.
        Cancelled = "cancelled",
        /// It ran too long.
        Timeout = "timeout",
        /// Whoever worked on it never came back.
        Abandoned = "abandoned",
    }
}

impl ExecutionStatus {
    /// Will nothing more happen to it?
    pub fn is_end(self) -> bool {
        use ExecutionStatus::*;
        matches!(self, Completed | Failed | Cancelled | Timeout | Abandoned)
    }
}

status! {
    /// A task in one word.
    TaskStatus = "task_status" {
        /// It has not begun.
        Pending = "pending",
        /// It has.
        Running = "running",
        /// It ended well.
        Completed = "completed",
        /// It ended badly, ran too long or was abandoned.
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
