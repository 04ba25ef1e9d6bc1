//! What the client's calls cost: capacity units and retries, counted as they go by.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_dynamodb::config::interceptors::{
    BeforeSerializationInterceptorContextMut, FinalizerInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::batch_get_item::{BatchGetItemInput, BatchGetItemOutput};
use aws_sdk_dynamodb::operation::delete_item::{DeleteItemInput, DeleteItemOutput};
use aws_sdk_dynamodb::operation::get_item::{GetItemInput, GetItemOutput};
use aws_sdk_dynamodb::operation::put_item::{PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::query::{QueryInput, QueryOutput};
use aws_sdk_dynamodb::operation::scan::{ScanInput, ScanOutput};
use aws_sdk_dynamodb::operation::transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemInput, UpdateItemOutput};
use aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};
use aws_smithy_runtime_api::client::retries::RequestAttempts;

/// What calls have cost since the meter was last read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Read capacity units, as DynamoDB reports them with a successful call.
    pub read_units: f64,
    /// Write capacity units, likewise.
    pub write_units: f64,
    /// Requests that were sent again, by the SDK or by us.
    pub retries: u32,
    /// Transactions that another transaction was in the way of.
    pub conflicts: u32,
    /// Transactions that came too late for the counter.
    pub lost_races: u32,
}

/// Adds up an instance's usage. Clones share one sum.
#[derive(Debug, Clone, Default)]
pub struct CapacityMeter(Arc<Mutex<Usage>>);

impl CapacityMeter {
    /// The usage since the last call.
    pub fn take(&self) -> Usage {
        std::mem::take(&mut *self.usage())
    }

    /// Changes the sum.
    pub fn usage(&self) -> MutexGuard<'_, Usage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For a list of operations: asks each for its consumption, and finds the consumption in each one's output.
macro_rules! metered {
    ($(($input:ty, $output:ty, $reported:ident, $units:ident)),* $(,)?) => {
        fn ask(context: &mut BeforeSerializationInterceptorContextMut<'_>) {
            $(if let Some(input) = context.input_mut().downcast_mut::<$input>() {
                input.return_consumed_capacity = Some(ReturnConsumedCapacity::Total);
            })*
        }

        fn add(context: &FinalizerInterceptorContextRef<'_>, usage: &mut Usage) {
            let Some(Ok(output)) = context.output_or_error() else { return };
            $(if let Some(output) = output.downcast_ref::<$output>() {
                usage.$units += $reported(&output.consumed_capacity);
            })*
        }
    };
}

metered![
    (GetItemInput, GetItemOutput, one, read_units),
    (BatchGetItemInput, BatchGetItemOutput, each, read_units),
    (QueryInput, QueryOutput, one, read_units),
    (ScanInput, ScanOutput, one, read_units),
    (PutItemInput, PutItemOutput, one, write_units),
    (UpdateItemInput, UpdateItemOutput, one, write_units),
    (DeleteItemInput, DeleteItemOutput, one, write_units),
    (TransactWriteItemsInput, TransactWriteItemsOutput, each, write_units),
];

/// Of a call that reports one consumption.
fn one(consumed: &Option<ConsumedCapacity>) -> f64 {
    consumed.iter().filter_map(|consumed| consumed.capacity_units).sum()
}

/// Of a call that reports one for each table.
fn each(consumed: &Option<Vec<ConsumedCapacity>>) -> f64 {
    consumed.iter().flatten().filter_map(|consumed| consumed.capacity_units).sum()
}

impl Intercept for CapacityMeter {
    fn name(&self) -> &'static str {
        "CapacityMeter"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        ask(context);
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let attempts = settings.load::<RequestAttempts>().map_or(0, |attempts| attempts.attempts());
        let mut usage = self.usage();
        usage.retries += attempts.saturating_sub(1);
        add(context, &mut usage);
        Ok(())
    }
}
