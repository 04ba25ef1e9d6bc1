//! What can go wrong between a client and DynamoDB, and how DynamoDB words it.

use std::time::Duration;

use serde_json::{Value, json};

/// What is done to a call.
///
/// Sources of the codes: API reference, "Common Errors" and the "Errors" of each operation; DynamoDB Developer Guide,
/// "Error handling with DynamoDB" and, for the reasons of a cancellation, API reference, `TransactWriteItems`, "Errors".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is carried out, and the answer replaced by a server error.
    ReplyLost,
    /// It is not carried out; the answer is a server error.
    NotCarriedOut,
    /// The connection is reset before it is carried out.
    ResetBefore,
    /// It is carried out, and the connection is reset before the answer.
    ResetAfter,
    /// It is carried out that much later, whether or not the client still waits for it.
    Late(Duration),
    /// It is refused with this code.
    Refused(&'static str),
    /// Another transaction holds one of its items.
    Conflict,
    /// The transaction is cancelled for its last action alone, with this code and no condition checked.
    CancelledFor(&'static str),
    /// A transaction is cancelled with these codes, one per action; `None` for those that had no part in it.
    Cancelled(Vec<Option<&'static str>>),
    /// Another writer's mutation is committed first: the version goes up by one.
    Overtaken,
    /// Every second of a batch's keys is left unprocessed, and so is an only one: "an internal processing failure"
    /// (API reference, `BatchGetItem`).
    Unprocessed,
    /// A page is empty and not the last, as when all its items were filtered out.
    EmptyPage,
}

/// Operations that write one item.
const SINGLE_WRITES: [&str; 3] = ["UpdateItem", "PutItem", "DeleteItem"];
/// Operations on the table itself.
const CONTROL: [&str; 5] = ["CreateTable", "DescribeTable", "DescribeTimeToLive", "UpdateTimeToLive", "ListTables"];

impl Fault {
    /// Every kind that DynamoDB itself may come up with at any time.
    pub fn all() -> Vec<Self> {
        vec![
            Self::ReplyLost,
            Self::NotCarriedOut,
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

    /// Whether it can happen to a call of `operation`.
    pub fn fits(&self, operation: &str) -> bool {
        let transaction = operation == "TransactWriteItems";
        match self {
            Self::Conflict => transaction || SINGLE_WRITES.contains(&operation),
            Self::Cancelled(_) | Self::CancelledFor(_) | Self::Overtaken => transaction,
            Self::Refused("TransactionInProgressException") => transaction,
            Self::Refused("ProvisionedThroughputExceededException") => !CONTROL.contains(&operation),
            Self::Unprocessed => operation == "BatchGetItem",
            Self::EmptyPage => ["Query", "Scan"].contains(&operation),
            Self::ReplyLost
            | Self::NotCarriedOut
            | Self::ResetBefore
            | Self::ResetAfter
            | Self::Late(_)
            | Self::Refused(_) => true,
        }
    }

    /// Whether a call that meets it was surely not carried out.
    pub fn keeps_from(&self) -> bool {
        match self {
            Self::NotCarriedOut
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

/// The body of an error.
pub(crate) fn error_body(code: &str) -> Value {
    // As the service itself prefixes them: its own errors, and those of the framework before it.
    let shape = match code {
        "ThrottlingException" => "com.amazon.coral.availability",
        "ValidationException" => "com.amazon.coral.validate",
        "AccessDeniedException" | "UnrecognizedClientException" | "SerializationException" => {
            "com.amazon.coral.service"
        }
        _ => "com.amazonaws.dynamodb.v20120810",
    };
    json!({"__type": format!("{shape}#{code}"), "message": "spoilt by the test"})
}

/// The body of a cancellation, with one reason per action.
pub(crate) fn cancellation_body(codes: &[Option<&str>]) -> Value {
    let message = |code: &str| match code {
        "ConditionalCheckFailed" => "The conditional request failed",
        "TransactionConflict" => "Transaction is ongoing for the item",
        _ => "spoilt by the test",
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
