//! Runs a test that needs the whole machine while no other test of this process has a stack.
//!
//! Some tests start so many processes that the product's own timeouts would expire if other tests ran at the same time.
//! Such a test starts its stack with `StackBuilder::exclusive`. The gate counts stacks per test thread: the test
//! harness runs each test on one thread, and a test starts its stacks there.

use std::collections::HashMap;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

#[derive(Default)]
struct State {
    /// Running stacks per test thread; a thread without stacks is absent.
    stacks: HashMap<ThreadId, usize>,
    /// Threads that wait for the machine.
    waiting: usize,
    /// The thread that has the machine.
    exclusive: Option<ThreadId>,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);
static CHANGED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Permission for one stack to run; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    thread: ThreadId,
}

impl Pass {
    /// Blocks the thread while another test has the machine or waits for it. A thread that has a stack gets its next
    /// pass at once, so that no test waits for itself.
    pub(crate) fn shared() -> Self {
        let thread = thread::current().id();
        let mut state = lock();
        while !state.stacks.contains_key(&thread) && (state.exclusive.is_some() || state.waiting > 0) {
            state = CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        *state.stacks.entry(thread).or_default() += 1;
        Self { thread }
    }

    /// Blocks the thread until no stack of another test runs. Panics if the thread has a stack already.
    pub(crate) fn exclusive() -> Self {
        let thread = thread::current().id();
        let mut state = lock();
        assert!(!state.stacks.contains_key(&thread), "the first stack of a test decides whether the test is exclusive");
        state.waiting += 1;
        while !state.stacks.is_empty() {
            state = CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting -= 1;
        state.exclusive = Some(thread);
        state.stacks.insert(thread, 1);
        Self { thread }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = lock();
        let stacks = state.stacks.get_mut(&self.thread).map(|stacks| {
            *stacks -= 1;
            *stacks
        });
        if stacks == Some(0) {
            state.stacks.remove(&self.thread);
            state.exclusive.take_if(|thread| *thread == self.thread);
            CHANGED.notify_all();
        }
    }
}
