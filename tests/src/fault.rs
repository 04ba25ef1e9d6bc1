//! The faults that the proxy injects between a client and DynamoDB, and DynamoDB's error bodies for them.

use std::time::Duration;

use serde_json::{Value, json};

/// A fault that a call meets.
///
/// Sources of the codes: API reference, "Common Errors" and the "Errors" of each operation; DynamoDB Developer Guide,
/// "Error handling with DynamoDB" and, for the reasons of a cancellation, API reference, `TransactWriteItems`,
/// "Errors".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The call is executed, and its reply is replaced by a server error.
    ReplyLost,
    /// The call is not executed; the reply is a server error.
    NotExecuted,
    /// The connection is reset before the call is executed.
    ResetBefore,
    /// The call is executed, and the connection is reset before the reply.
    ResetAfter,
    /// The call is executed after this delay, even if the client has stopped waiting.
    Late(Duration),
    /// The call is refused with this error code.
    Refused(&'static str),
    /// Another transaction holds one of the items.
    Conflict,
    /// The transaction is cancelled because of its last action, with this code; no condition is checked.
    CancelledFor(&'static str),
    /// The transaction is cancelled with these codes, one per action; `None` for actions that did not fail.
    Cancelled(Vec<Option<&'static str>>),
    /// Another writer's mutation is committed first. It raises the version by one.
    Overtaken,
    /// Every second key of a batch stays unprocessed; a single key does, too. DynamoDB calls that "an internal
    /// processing failure" (API reference, `BatchGetItem`).
    Unprocessed,
    /// A page is empty but not the last one, as when a filter removed all its items.
    EmptyPage,
}

/// Operations that write one item outside a transaction.
const SINGLE_WRITES: [&str; 3] = ["UpdateItem", "PutItem", "DeleteItem"];
/// Operations on the table itself.
const CONTROL: [&str; 5] = ["CreateTable", "DescribeTable", "DescribeTimeToLive", "UpdateTimeToLive", "ListTables"];

impl Fault {
    /// All faults that DynamoDB may cause at any time. [`Fault::Overtaken`] is not one: it needs another writer.
    pub fn all() -> Vec<Self> {
        vec![
            Self::ReplyLost,
            Self::NotExecuted,
            Self::ResetBefore,
            Self::ResetAfter,
            Self::Late(Duration::from_millis(30)),
            Self::Refused("ProvisionedThroughputExceededException"),
            Self::Refused("ThrottlingException"),
            Self::Refused("TransactionInProgressException"),
            Self::Conflict,
            Self::CancelledFor("ThrottlingError"),
            Self::CancelledFor("ProvisionedThroughputExceeded"),
            Self::Unprocessed,
            Self::EmptyPage,
        ]
    }

    /// True if a call of `operation` can meet the fault.
    pub fn applies_to(&self, operation: &str) -> bool {
        let transaction = operation == "TransactWriteItems";
        match self {
            Self::Conflict => transaction || SINGLE_WRITES.contains(&operation),
            Self::Cancelled(_) | Self::CancelledFor(_) | Self::Overtaken => transaction,
            Self::Refused("TransactionInProgressException") => transaction,
            Self::Refused("ProvisionedThroughputExceededException") => !CONTROL.contains(&operation),
            Self::Unprocessed => operation == "BatchGetItem",
            Self::EmptyPage => ["Query", "Scan"].contains(&operation),
            Self::ReplyLost
            | Self::NotExecuted
            | Self::ResetBefore
            | Self::ResetAfter
            | Self::Late(_)
            | Self::Refused(_) => true,
        }
    }

    /// True if a call that meets the fault is certainly not executed.
    pub fn prevents_execution(&self) -> bool {
        match self {
            Self::NotExecuted
            | Self::ResetBefore
            | Self::Refused(_)
            | Self::Conflict
            | Self::CancelledFor(_)
            | Self::Cancelled(_)
            | Self::EmptyPage => true,
            Self::ReplyLost | Self::ResetAfter | Self::Late(_) | Self::Overtaken | Self::Unprocessed => false,
        }
    }
}

/// The body of an error reply.
pub(crate) fn error_body(code: &str) -> Value {
    // DynamoDB prefixes its own errors differently from those of the framework in front of it.
    let shape = match code {
        "ThrottlingException" => "com.amazon.coral.availability",
        "ValidationException" => "com.amazon.coral.validate",
        "AccessDeniedException" | "UnrecognizedClientException" | "SerializationException" => {
            "com.amazon.coral.service"
        }
        _ => "com.amazonaws.dynamodb.v20120810",
    };
    json!({"__type": format!("{shape}#{code}"), "message": "injected by the test"})
}

/// The body of a `TransactionCanceledException` with one reason per action.
pub(crate) fn cancellation_body(codes: &[Option<&str>]) -> Value {
    let message = |code: &str| match code {
        "ConditionalCheckFailed" => "The conditional request failed",
        "TransactionConflict" => "Transaction is ongoing for the item",
        _ => "injected by the test",
    };
    let reasons: Vec<Value> = codes
        .iter()
        .map(|code| match code {
            Some(code) => json!({"Code": code, "Message": message(code)}),
            None => json!({"Code": "None"}),
        })
        .collect();
    let names: Vec<&str> = codes.iter().map(|code| code.unwrap_or("None")).collect();
    json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": format!("Transaction cancelled, see the reasons [{}]", names.join(", ")),
        "CancellationReasons": reasons,
    })
}
