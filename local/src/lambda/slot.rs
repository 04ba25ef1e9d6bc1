//! The pool's record of one instance.

use std::time::Duration;

use bytes::Bytes;
use tokio::{sync::watch, task::AbortHandle, time::Instant};

use super::{connection::Connection, invocation::Invocation, lifecycle::Control};

/// One instance, from the decision to start it to the end of its process.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) work: Work,
    /// Whether the init phase is over: the instance has asked for an invocation.
    pub(super) ready: bool,
    pub(super) timed_out: bool,
    /// The error object that the instance posted because it cannot start.
    pub(super) init_error: Option<Bytes>,
    control: watch::Sender<Control>,
    task: AbortHandle,
}

/// What an instance is working on.
#[derive(Debug, Default)]
pub(super) enum Work {
    /// Nothing.
    #[default]
    None,
    /// An invocation that the instance has not picked up. It has not started, so another instance may run it.
    Assigned(Invocation),
    /// An invocation that was sent to the instance over this connection.
    Running(Invocation, Connection),
}

impl Slot {
    /// A slot whose first work is `invocation`. `control` sends orders to the task `task`, which supervises the
    /// process.
    pub(super) fn new(invocation: Invocation, control: watch::Sender<Control>, task: AbortHandle) -> Self {
        Self { work: Work::Assigned(invocation), ready: false, timed_out: false, init_error: None, control, task }
    }

    /// A receiver of the slot's orders. It is also notified of every change of the slot's work.
    pub(super) fn subscribe(&self) -> watch::Receiver<Control> {
        self.control.subscribe()
    }

    pub(super) fn set_deadline(&self, after: Option<Duration>) {
        let deadline = after.map(|after| Instant::now() + after);
        // Every change also wakes the instance's waiting request for work.
        self.control.send_modify(|control| control.deadline = deadline);
    }

    pub(super) fn is_overdue(&self) -> bool {
        self.control.borrow().deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Orders the instance to end, by force after `grace`. A second call changes nothing.
    pub(super) fn stop(&self, grace: Duration) {
        self.control.send_modify(|control| {
            control.kill_at.get_or_insert(Instant::now() + grace);
        });
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.control.borrow().kill_at.is_some()
    }

    /// Kills the process at once: the task owns it, and a dropped process is killed.
    pub(super) fn abort(&self) {
        self.task.abort();
    }
}
