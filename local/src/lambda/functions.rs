//! Every function of the product.

use std::{collections::BTreeMap, sync::Arc};

use mneme_core::routes::FUNCTIONS;

use super::{function::Function, instance, settings::Settings};

/// Every function, by name.
#[derive(Debug)]
pub(crate) struct Functions(BTreeMap<&'static str, Arc<Function>>);

impl Functions {
    pub(crate) fn new(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        let function = |&name| (name, Function::new(name, Arc::clone(&settings), instance::spawn));
        Self(FUNCTIONS.iter().map(function).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Function>> {
        self.0.get(name)
    }

    /// Accepts no further invocation, ends every instance and waits until all have ended.
    pub(crate) async fn close(&self) {
        // Every function closes before any is waited for, so that the grace periods run concurrently.
        for function in self.0.values() {
            function.begin_close();
        }
        for function in self.0.values() {
            function.closed().await;
        }
    }

    /// Kills every instance; does not wait.
    pub(crate) fn abort(&self) {
        for function in self.0.values() {
            function.abort();
        }
    }
}
