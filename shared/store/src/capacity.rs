//! Counts the capacity units and the retries of the client's calls, with an interceptor of the SDK.

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

/// The consumption of calls since the meter was last read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Read capacity units, as DynamoDB reports them with a successful call.
    pub read_units: f64,
    /// Write capacity units, as DynamoDB reports them with a successful call.
    pub write_units: f64,
    /// Requests that the SDK or this crate sent again.
    pub retries: u32,
    /// Transactions that were cancelled only by conflicts with other transactions or by throttling.
    pub conflicts: u32,
    /// Transactions that were cancelled because the counter had moved.
    pub lost_races: u32,
}

/// Adds up the usage of an instance. Clones share one sum.
#[derive(Debug, Clone, Default)]
pub struct CapacityMeter(Arc<Mutex<Usage>>);

impl CapacityMeter {
    /// Returns the usage since the last call of this function, and starts again from zero.
    pub fn take(&self) -> Usage {
        std::mem::take(&mut *self.usage())
    }

    /// Locks the sum, so that a caller can add to it.
    pub fn usage(&self) -> MutexGuard<'_, Usage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Defines two functions for a list of operations. One makes requests ask for their consumption, the other adds the
/// consumption in replies.
macro_rules! metered {
    ($(($input:ty, $output:ty, $reported:ident, $units:ident)),* $(,)?) => {
        fn request_consumption(context: &mut BeforeSerializationInterceptorContextMut<'_>) {
            $(if let Some(input) = context.input_mut().downcast_mut::<$input>() {
                input.return_consumed_capacity = Some(ReturnConsumedCapacity::Total);
            })*
        }

        fn add_consumption(context: &FinalizerInterceptorContextRef<'_>, usage: &mut Usage) {
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

/// The units of a call on one table.
fn one(consumed: &Option<ConsumedCapacity>) -> f64 {
    consumed.iter().filter_map(|consumed| consumed.capacity_units).sum()
}

/// The units of a call that may name several tables, and reports one consumption for each.
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
        request_consumption(context);
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
        add_consumption(context, &mut usage);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::config::interceptors::InterceptorContext;
    use aws_smithy_runtime_api::client::interceptors::context::{Input, Output};
    use aws_smithy_runtime_api::client::orchestrator::OrchestratorError;

    use super::*;

    fn consumed(units: f64) -> ConsumedCapacity {
        ConsumedCapacity::builder().capacity_units(units).build()
    }

    /// The usage of one call with this result.
    fn usage_of(result: Result<Output, BoxError>) -> Usage {
        let mut context = InterceptorContext::new(Input::erase(()));
        context.set_output_or_error(result.map_err(OrchestratorError::other));
        let mut usage = Usage::default();
        add_consumption(&(&context).into(), &mut usage);
        usage
    }

    #[test]
    fn request_consumption_of_listed_operation_asks_for_total() {
        let put = PutItemInput::builder().table_name("t").build().unwrap();
        let mut context = InterceptorContext::new(Input::erase(put));
        request_consumption(&mut (&mut context).into());
        let put = context.input().unwrap().downcast_ref::<PutItemInput>().unwrap();
        assert_eq!(put.return_consumed_capacity, Some(ReturnConsumedCapacity::Total));
    }

    #[test]
    fn add_consumption_of_read_and_write_adds_to_its_units() {
        let read = BatchGetItemOutput::builder().consumed_capacity(consumed(1.5)).consumed_capacity(consumed(2.0));
        let usage = usage_of(Ok(Output::erase(read.build())));
        assert_eq!(usage, Usage { read_units: 3.5, ..Usage::default() });
        let write = PutItemOutput::builder().consumed_capacity(consumed(4.0)).build();
        assert_eq!(usage_of(Ok(Output::erase(write))), Usage { write_units: 4.0, ..Usage::default() });
    }

    #[test]
    fn add_consumption_without_report_adds_nothing() {
        assert_eq!(usage_of(Ok(Output::erase(GetItemOutput::builder().build()))), Usage::default());
        assert_eq!(usage_of(Err("failed".into())), Usage::default());
    }

    #[test]
    fn take_resets_the_sum_of_all_clones() {
        let meter = CapacityMeter::default();
        meter.clone().usage().retries += 2;
        assert_eq!(meter.take(), Usage { retries: 2, ..Usage::default() });
        assert_eq!(meter.clone().take(), Usage::default());
    }
}
