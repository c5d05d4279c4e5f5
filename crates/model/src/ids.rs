//! Identifiers. Everything that is created gets a UUID; operations, batches and attempts' nonces get
//! version 7, so that ids sort by creation time and a page cursor can be an id.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// A tenant environment; chosen by the caller or made as UUIDv7.
    EnvironmentId
);
uuid_id!(
    /// One run of an operation for one environment; UUIDv7.
    OperationId
);
uuid_id!(
    /// Many operations rolled out together; UUIDv7. An operation in no batch counts as its own.
    BatchId
);
uuid_id!(
    /// One thing that waits for a person; UUIDv7.
    AttentionId
);
uuid_id!(
    /// A hold that was set by predicate; UUIDv7.
    HoldId
);
uuid_id!(
    /// One command to an agent; UUIDv7.
    CommandId
);
uuid_id!(
    /// One life of an agent process: numbers of its reports are unique within it; UUIDv7.
    AgentSessionId
);
uuid_id!(
    /// A verb that waits for a second person; UUIDv7.
    ApprovalId
);
uuid_id!(
    /// A message that asked for an operation and was refused; a UUIDv7 made of its place in its stream.
    LetterId
);
uuid_id!(
    /// A credential's public half, shown in lists and in the audit log; UUIDv7.
    TokenId
);
uuid_id!(
    /// A schedule; its name may be used again after it was deleted, its id never; UUIDv7.
    ScheduleId
);
