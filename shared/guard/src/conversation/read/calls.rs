//! Calls of tools, and which of them a result belongs to.

use std::collections::{HashMap, VecDeque};

/// The calls of a conversation, numbered from 0 in their order. Each operation takes constant time, since a message may
/// hold many calls.
#[derive(Default)]
pub(super) struct Calls {
    count: usize,
    by_id: HashMap<String, usize>,
    /// The calls with a name that no result without an id has answered.
    open: HashMap<String, VecDeque<usize>>,
    /// The number of results without an id and a name.
    nameless: usize,
}

impl Calls {
    /// Adds a call.
    pub(super) fn begin(&mut self, id: Option<&str>, name: &str) {
        if let Some(id) = id {
            self.by_id.insert(id.to_owned(), self.count);
        }
        self.open.entry(name.to_owned()).or_default().push_back(self.count);
        self.count += 1;
    }

    /// The number of the call that a result answers: the last call with its id. Results without a known id answer the
    /// calls with their name in order, and results without a name answer all calls in order.
    pub(super) fn answered_by(&mut self, id: Option<&str>, name: Option<&str>) -> Option<usize> {
        if let Some(number) = id.and_then(|id| self.by_id.get(id)) {
            return Some(*number);
        }
        let Some(name) = name else {
            self.nameless += 1;
            return Some(self.nameless - 1).filter(|number| *number < self.count);
        };
        self.open.get_mut(name)?.pop_front()
    }
}
