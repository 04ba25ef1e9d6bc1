//! One function's pool of instances: it assigns invocations to instances and settles their outcomes.
//!
//! Every change of state happens under one lock that is never held across an `await`. Child processes and their
//! Runtime APIs report here: a process asks for work ([`Function::next`]), posts an outcome ([`Function::complete`]),
//! or ends ([`Function::ended`]).

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::watch, task::AbortHandle};
use uuid::Uuid;

use super::{
    connection::Connection,
    invocation::{Invocation, Outcome, Reply, StreamedReply},
    lifecycle::{Control, Ending},
    settings::Settings,
    slot::{Slot, Work},
};

/// How long a new instance may take to ask for its first invocation. Source: Lambda's limit of the init phase.
const INIT_LIMIT: Duration = Duration::from_secs(10);

/// How long an instance may take to end after SIGTERM.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Starts instance `number` of a function in a task of its own, which follows the orders.
pub(super) type SpawnInstance = fn(Arc<Function>, u64, watch::Receiver<Control>) -> AbortHandle;

/// A function: its instances, and the invocations that wait for one.
#[derive(Debug)]
pub(crate) struct Function {
    name: &'static str,
    settings: Arc<Settings>,
    spawn: SpawnInstance,
    state: Mutex<State>,
    /// The number of instances that have ended. Its receivers are notified of each.
    ended: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    slots: BTreeMap<u64, Slot>,
    /// Instances without work. The one that was used last is at the end.
    idle: Vec<u64>,
    /// Invocations that wait for an instance, oldest first.
    queue: VecDeque<Invocation>,
    last_number: u64,
    closed: bool,
}

/// An invocation on its way to an instance.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) id: String,
    pub(super) trace_id: String,
    pub(super) payload: Bytes,
}

/// Why an instance's call to its Runtime API is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It asks for work while it has an invocation.
    Busy,
    /// It reports on an invocation it does not have.
    UnknownInvocation,
    /// The pool has no such instance.
    Gone,
}

enum PickUp {
    Ready(Delivery),
    Wait,
    Refused(Refusal),
}

impl Function {
    pub(super) fn new(name: &'static str, settings: Arc<Settings>, spawn: SpawnInstance) -> Arc<Self> {
        Arc::new(Self { name, settings, spawn, state: Mutex::default(), ended: watch::Sender::new(0) })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The function's ARN. The account is the one in AWS's own examples.
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:lambda:{}:123456789012:function:{}", self.settings.region, self.name)
    }

    /// Runs the function once. The idle instance that was used last gets the request; without an idle one a new
    /// instance does, up to the limit; else the request waits. The invocation continues when the returned future is
    /// dropped.
    pub(crate) async fn invoke(self: &Arc<Self>, request_id: Uuid, payload: Bytes) -> Reply {
        let (invocation, reply) = Invocation::new(request_id, payload);
        {
            let mut state = self.lock();
            state.queue.push_back(invocation);
            self.dispatch(&mut state);
        }
        let stopping = |_| Reply::Whole(Outcome::error("ServiceException", "mneme-local is stopping"));
        reply.await.unwrap_or_else(stopping)
    }

    /// The number of instances: idle, busy and starting.
    pub(crate) fn instances(&self) -> usize {
        self.lock().slots.len()
    }

    /// Ends every current instance and waits until all of these have ended.
    pub(crate) async fn recycle(&self) {
        let numbers = self.terminate(&mut self.lock());
        self.wait_until_ended(&numbers).await;
    }

    /// Kills one busy instance at once. Returns false when none is busy.
    pub(crate) fn kill_one(&self) -> bool {
        let state = self.lock();
        let slot = state.slots.values().find(|slot| matches!(slot.work, Work::Running(..)));
        slot.inspect(|slot| slot.stop(Duration::ZERO)).is_some()
    }

    /// Accepts no further invocation, drops the waiting ones, and orders every instance to end.
    pub(super) fn begin_close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.queue.clear();
        self.terminate(&mut state);
    }

    /// Waits until no instance is left.
    pub(super) async fn closed(&self) {
        let numbers = self.lock().slots.keys().copied().collect();
        self.wait_until_ended(&numbers).await;
    }

    /// Kills every instance at once; does not wait.
    pub(super) fn abort(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.queue.clear();
        state.idle.clear();
        for slot in std::mem::take(&mut state.slots).into_values() {
            slot.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Assigns waiting invocations to idle instances, then to new ones.
    fn dispatch(self: &Arc<Self>, state: &mut State) {
        if state.closed {
            state.queue.clear();
        }
        while let Some(invocation) = state.queue.pop_front() {
            if let Some(slot) = state.idle.pop().and_then(|number| state.slots.get_mut(&number)) {
                slot.work = Work::Assigned(invocation);
                slot.set_deadline(Some(self.settings.timeout));
            } else if state.slots.len() < self.settings.max_instances {
                self.start_instance(state, invocation);
            } else {
                state.queue.push_front(invocation);
                return;
            }
        }
    }

    fn start_instance(self: &Arc<Self>, state: &mut State, invocation: Invocation) {
        state.last_number += 1;
        let number = state.last_number;
        let (control, orders) = watch::channel(Control::default());
        let task = (self.spawn)(Arc::clone(self), number, orders);
        let slot = Slot::new(invocation, control, task);
        slot.set_deadline(Some(INIT_LIMIT.max(self.settings.timeout)));
        state.slots.insert(number, slot);
    }

    /// Orders every instance to end. Returns their numbers.
    fn terminate(&self, state: &mut State) -> BTreeSet<u64> {
        state.idle.clear();
        for slot in state.slots.values() {
            slot.stop(STOP_GRACE);
        }
        state.slots.keys().copied().collect()
    }

    async fn wait_until_ended(&self, numbers: &BTreeSet<u64>) {
        let any_left = || self.lock().slots.keys().any(|number| numbers.contains(number));
        // This cannot fail: the sender lives as long as `self`.
        let _ = self.ended.subscribe().wait_for(|_| !any_left()).await;
    }
}

/// The reports of instances.
impl Function {
    /// Instance `number` asks for an invocation over `connection`. Waits until there is one.
    pub(super) async fn next(&self, number: u64, connection: &Connection) -> Result<Delivery, Refusal> {
        let mut orders = self.lock().slots.get(&number).ok_or(Refusal::Gone)?.subscribe();
        loop {
            match self.pick_up(number, connection) {
                PickUp::Ready(delivery) => return Ok(delivery),
                PickUp::Refused(refusal) => return Err(refusal),
                PickUp::Wait => orders.changed().await.map_err(|_| Refusal::Gone)?,
            }
        }
    }

    fn pick_up(&self, number: u64, connection: &Connection) -> PickUp {
        let mut state = self.lock();
        let Some(slot) = state.slots.get_mut(&number) else {
            return PickUp::Refused(Refusal::Gone);
        };
        slot.ready = true;
        match std::mem::take(&mut slot.work) {
            Work::Assigned(invocation) => {
                slot.set_deadline(Some(self.settings.timeout));
                let delivery = Delivery {
                    id: invocation.id.clone(),
                    trace_id: invocation.trace_id.clone(),
                    payload: invocation.payload.clone(),
                };
                slot.work = Work::Running(invocation, connection.clone());
                PickUp::Ready(delivery)
            }
            work @ Work::Running(..) => {
                slot.work = work;
                PickUp::Refused(Refusal::Busy)
            }
            Work::None => PickUp::Wait,
        }
    }

    /// Instance `number` begins to stream its reply to invocation `id`.
    pub(super) fn begin(&self, number: u64, id: &str, reply: StreamedReply) -> Result<(), Refusal> {
        let mut state = self.lock();
        match &mut state.slots.get_mut(&number).ok_or(Refusal::Gone)?.work {
            Work::Running(invocation, _) if invocation.id == id => {
                invocation.begin(reply);
                Ok(())
            }
            _ => Err(Refusal::UnknownInvocation),
        }
    }

    /// Instance `number` has finished invocation `id`.
    ///
    /// The instance counts as idle from now on, although it has yet to ask for its next invocation. A caller that sends
    /// its next request on receipt of this answer then gets the same instance, not a new one.
    pub(super) fn complete(self: &Arc<Self>, number: u64, id: &str, outcome: Outcome) -> Result<(), Refusal> {
        let invocation = {
            let mut state = self.lock();
            let slot = state.slots.get_mut(&number).ok_or(Refusal::Gone)?;
            match std::mem::take(&mut slot.work) {
                Work::Running(invocation, _) if invocation.id == id => {
                    slot.set_deadline(None);
                    if !slot.is_stopping() {
                        state.idle.push(number);
                    }
                    self.dispatch(&mut state);
                    invocation
                }
                other => {
                    slot.work = other;
                    return Err(Refusal::UnknownInvocation);
                }
            }
        };
        invocation.finish(outcome);
        Ok(())
    }

    /// Instance `number` cannot start. `error`: the error object that it posted.
    pub(super) fn init_failed(&self, number: u64, error: Bytes) {
        if let Some(slot) = self.lock().slots.get_mut(&number) {
            slot.init_error = Some(error);
            // The process should exit by itself. This ends one that does not.
            slot.stop(STOP_GRACE);
        }
    }

    /// Whether the deadline of instance `number` has passed. If so the caller must kill the process and report its end,
    /// which ends the invocation.
    pub(super) fn is_overdue(&self, number: u64) -> bool {
        let mut state = self.lock();
        let Some(slot) = state.slots.get_mut(&number) else {
            return true;
        };
        // The deadline may have moved while the timer of the old one fired.
        let overdue = slot.is_overdue();
        slot.timed_out |= overdue;
        overdue
    }

    /// The connection over which instance `number` received its invocation, if it runs one.
    pub(super) fn connection(&self, number: u64) -> Option<Connection> {
        match &self.lock().slots.get(&number)?.work {
            Work::Running(_, connection) => Some(connection.clone()),
            Work::None | Work::Assigned(_) => None,
        }
    }

    /// The process of instance `number` has ended or never started. Its invocation gets an outcome or another instance.
    ///
    /// An invocation goes to another instance if this one cannot have started it: the instance was ready when it died,
    /// and it never picked the invocation up, or left it `unread`.
    pub(super) fn ended(self: &Arc<Self>, number: u64, ending: &Ending, unread: bool) {
        {
            let mut state = self.lock();
            state.idle.retain(|&idle| idle != number);
            if let Some(slot) = state.slots.remove(&number) {
                let (invocation, started) = match slot.work {
                    Work::None => (None, false),
                    Work::Assigned(invocation) => (Some(invocation), !slot.ready),
                    Work::Running(mut invocation, _) => {
                        let again = unread && invocation.may_retry();
                        (Some(invocation), !again)
                    }
                };
                match (invocation, slot.init_error) {
                    (None, _) => {}
                    (Some(invocation), _) if slot.timed_out => invocation.time_out(self.settings.timeout),
                    (Some(invocation), _) if !started => state.queue.push_front(invocation),
                    (Some(invocation), Some(error)) => invocation.finish(Outcome::Error(error)),
                    (Some(invocation), None) => invocation.fail(ending.error_type(), &ending.to_string()),
                }
            }
            self.dispatch(&mut state);
        }
        self.ended.send_modify(|count| *count += 1);
    }
}
