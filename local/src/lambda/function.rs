//! One function's pool of instances: which instance gets which invocation, and what becomes of it.
//!
//! Every change of state happens under one lock that is never held across an `await`. The child processes and their
//! Runtime APIs ([`super::instance`], [`super::runtime_api`]) only report here: a process asks for work
//! ([`Function::next`]), posts an outcome ([`Function::complete`]), or ends ([`Function::ended`]).

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::watch, task::AbortHandle, time::Instant};
use uuid::Uuid;

use super::{
    Settings,
    connection::Connection,
    instance::{self, Control, Ending},
    invocation::{Invocation, Outcome},
};

/// How long a new instance may take to ask for its first invocation. Source: Lambda's limit of the init phase.
const INIT_LIMIT: Duration = Duration::from_secs(10);

/// How long an instance may take to end after SIGTERM.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// A function: its instances, and the invocations that wait for one.
#[derive(Debug)]
pub(crate) struct Function {
    name: &'static str,
    settings: Arc<Settings>,
    state: Mutex<State>,
    /// Counts instances that ended, for those who wait for that.
    ended: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    slots: BTreeMap<u64, Slot>,
    /// Instances without work, the one used last at the end.
    idle: Vec<u64>,
    /// Invocations without an instance, oldest first.
    queue: VecDeque<Invocation>,
    last_number: u64,
    closed: bool,
}

/// One instance, from the decision to start it to the end of its process.
#[derive(Debug)]
struct Slot {
    work: Work,
    /// Whether its init phase is over: it has asked for an invocation.
    ready: bool,
    timed_out: bool,
    /// What it posted as the reason it cannot start.
    init_error: Option<Bytes>,
    control: watch::Sender<Control>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
enum Work {
    #[default]
    None,
    /// Meant for this instance, which has not picked it up: it never started, so another may have it.
    Assigned(Invocation),
    /// Sent to it over that connection.
    Running(Invocation, Connection),
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
    /// It asks for work while it has some.
    Busy,
    /// It reports on an invocation it does not have.
    UnknownInvocation,
    /// It counts as ended.
    Gone,
}

enum PickUp {
    Ready(Delivery),
    Wait,
    Refused(Refusal),
}

impl Function {
    pub(crate) fn new(name: &'static str, settings: Arc<Settings>) -> Arc<Self> {
        Arc::new(Self { name, settings, state: Mutex::default(), ended: watch::Sender::new(0) })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The ARN by which Lambda would know it. The account is the one of AWS's own examples.
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:lambda:{}:123456789012:function:{}", self.settings.region, self.name)
    }

    /// Runs it once. The instance used last gets the request, or a new one while there are fewer than allowed, or it
    /// waits its turn. The invocation goes on when the returned future is dropped.
    pub(crate) async fn invoke(self: &Arc<Self>, request_id: Uuid, payload: Bytes) -> Outcome {
        let (invocation, outcome) = Invocation::new(request_id, payload);
        {
            let mut state = self.lock();
            state.queue.push_back(invocation);
            self.dispatch(&mut state);
        }
        outcome.await.unwrap_or_else(|_| Outcome::error("ServiceException", "mneme-local is stopping"))
    }

    /// How many instances there are.
    pub(crate) fn instances(&self) -> usize {
        self.lock().slots.len()
    }

    /// Ends every instance there is now, and waits until they are gone.
    pub(crate) async fn recycle(&self) {
        let numbers = self.terminate(&mut self.lock());
        self.gone(&numbers).await;
    }

    /// Kills one instance that is at work, at once. False when none is.
    pub(crate) fn kill_one(&self) -> bool {
        let state = self.lock();
        let slot = state.slots.values().find(|slot| matches!(slot.work, Work::Running(..)));
        slot.inspect(|slot| slot.stop(Duration::ZERO)).is_some()
    }

    /// Takes no further invocation, drops the waiting ones, and tells every instance to end.
    pub(super) fn begin_close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.queue.clear();
        self.terminate(&mut state);
    }

    /// Waits until no instance is left.
    pub(super) async fn closed(&self) {
        let numbers = self.lock().slots.keys().copied().collect();
        self.gone(&numbers).await;
    }

    /// Kills every instance at once; does not wait.
    pub(super) fn abort(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.queue.clear();
        state.idle.clear();
        for slot in std::mem::take(&mut state.slots).into_values() {
            // The task owns the process, which is killed when dropped.
            slot.task.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives waiting invocations to idle instances, then to new ones.
    fn dispatch(self: &Arc<Self>, state: &mut State) {
        if state.closed {
            state.queue.clear();
        }
        while let Some(invocation) = state.queue.pop_front() {
            if let Some(slot) = state.idle.pop().and_then(|number| state.slots.get_mut(&number)) {
                slot.work = Work::Assigned(invocation);
                slot.deadline(Some(self.settings.timeout));
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
        let task = tokio::spawn(instance::run(Arc::clone(self), number, orders)).abort_handle();
        let slot =
            Slot { work: Work::Assigned(invocation), ready: false, timed_out: false, init_error: None, control, task };
        slot.deadline(Some(INIT_LIMIT.max(self.settings.timeout)));
        state.slots.insert(number, slot);
    }

    /// Tells every instance to end. Returns their numbers.
    fn terminate(&self, state: &mut State) -> BTreeSet<u64> {
        state.idle.clear();
        for slot in state.slots.values() {
            slot.stop(STOP_GRACE);
        }
        state.slots.keys().copied().collect()
    }

    async fn gone(&self, numbers: &BTreeSet<u64>) {
        let any = |_: &u64| self.lock().slots.keys().any(|number| numbers.contains(number));
        // The sender lives as long as `self`.
        let _ = self.ended.subscribe().wait_for(|ended| !any(ended)).await;
    }
}

/// What an instance reports.
impl Function {
    /// It asks for an invocation over `connection`, and waits until there is one.
    pub(super) async fn next(&self, number: u64, connection: &Connection) -> Result<Delivery, Refusal> {
        let mut orders = self.lock().slots.get(&number).ok_or(Refusal::Gone)?.control.subscribe();
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
                slot.deadline(Some(self.settings.timeout));
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

    /// It is done with invocation `id`. From now on it counts as idle, although it has yet to ask for the next one: the
    /// caller may send that as soon as it has its answer, and must meet this instance, not a new one.
    pub(super) fn complete(self: &Arc<Self>, number: u64, id: &str, outcome: Outcome) -> Result<(), Refusal> {
        let invocation = {
            let mut state = self.lock();
            let slot = state.slots.get_mut(&number).ok_or(Refusal::Gone)?;
            match std::mem::take(&mut slot.work) {
                Work::Running(invocation, _) if invocation.id == id => {
                    slot.deadline(None);
                    if slot.control.borrow().kill_at.is_none() {
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

    /// It cannot start, for the reason in `error`, an error object.
    pub(super) fn init_failed(&self, number: u64, error: Bytes) {
        if let Some(slot) = self.lock().slots.get_mut(&number) {
            slot.init_error = Some(error);
            // It should exit by itself; one that does not must not stay.
            slot.stop(STOP_GRACE);
        }
    }

    /// Whether its deadline is over, which ends its invocation: the caller kills the process and reports its end.
    pub(super) fn is_overdue(&self, number: u64) -> bool {
        let mut state = self.lock();
        let Some(slot) = state.slots.get_mut(&number) else {
            return true;
        };
        // The deadline may have moved while its timer fired.
        let overdue = slot.control.borrow().deadline.is_some_and(|deadline| deadline <= Instant::now());
        slot.timed_out |= overdue;
        overdue
    }

    /// The connection its invocation went over, if it runs one.
    pub(super) fn connection(&self, number: u64) -> Option<Connection> {
        match &self.lock().slots.get(&number)?.work {
            Work::Running(_, connection) => Some(connection.clone()),
            Work::None | Work::Assigned(_) => None,
        }
    }

    /// Its process is gone, or never was. Whatever it had to do gets its outcome, or another instance: one that was
    /// ready when it died, and either never took the invocation or left it `unread`, has not started it.
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

impl Slot {
    fn deadline(&self, after: Option<Duration>) {
        let deadline = after.map(|after| Instant::now() + after);
        // Every change also wakes the instance's waiting call for work.
        self.control.send_modify(|control| control.deadline = deadline);
    }

    fn stop(&self, grace: Duration) {
        self.control.send_modify(|control| {
            control.kill_at.get_or_insert(Instant::now() + grace);
        });
    }
}
