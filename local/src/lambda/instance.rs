//! One instance: a child process of the function's binary and the Runtime API it talks to.

use std::{
    fmt, io, os::unix::process::ExitStatusExt as _, process::ExitStatus, process::Stdio, sync::Arc, time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{connection::Watched, environment, function::Function, logs, runtime_api};

/// How long the last output of an ended process is waited for. A grandchild may hold the pipe open for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Orders to an instance. The pool writes them, the instance follows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Control {
    /// When its invocation has taken too long.
    pub(super) deadline: Option<Instant>,
    /// Set once: end now, and by force at that time.
    pub(super) kill_at: Option<Instant>,
}

/// How an instance ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// The process never ran.
    NotStarted(String),
    /// It exited, or was killed.
    Exited(ExitStatus),
    /// The system lost track of it.
    Lost(io::Error),
}

impl Ending {
    /// Lambda's name of the error that an invocation gets by it.
    pub(super) fn error_type(&self) -> &'static str {
        match self {
            Self::NotStarted(_) => "Runtime.InvalidEntrypoint",
            Self::Exited(_) | Self::Lost(_) => "Runtime.ExitError",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(reason) => write!(f, "{reason}"),
            Self::Lost(error) => write!(f, "Runtime exited with error: {error}"),
            Self::Exited(status) => match (status.code(), status.signal()) {
                (Some(0), _) => write!(f, "Runtime exited without providing a reason"),
                (Some(code), _) => write!(f, "Runtime exited with error: exit status {code}"),
                (None, Some(signal)) => write!(f, "Runtime exited with error: signal {signal}"),
                (None, None) => write!(f, "Runtime exited with error: {status}"),
            },
        }
    }
}

/// Runs instance `number` of the function until its process ends, and reports that. Dropping the future kills it.
pub(super) async fn run(function: Arc<Function>, number: u64, orders: watch::Receiver<Control>) {
    let ending = match launch(&function, number).await {
        Ok((child, tasks)) => supervise(child, tasks, &function, number, orders).await,
        Err(reason) => Ending::NotStarted(reason),
    };
    tracing::debug!(function = function.name(), number, %ending, "instance ended");
    let unread = match function.connection(number) {
        Some(connection) => connection.was_reset().await,
        None => false,
    };
    function.ended(number, &ending, unread);
}

/// Starts the process, its Runtime API and the copying of its output.
async fn launch(function: &Arc<Function>, number: u64) -> Result<(Child, JoinSet<()>), String> {
    let settings = function.settings();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await;
    let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = bound.map_err(|error| format!("cannot listen for a Runtime API: {error}"))?;

    let program = settings.binaries.join(format!("mneme-{}", function.name()));
    let mut command = Command::new(&program);
    command
        .env_clear()
        .envs(environment::of_instance(settings, function.name(), number, address))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C in a terminal goes to the whole process group. Of its own, the child ends when told to, in order.
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|error| format!("Couldn't start the function binary {}: {error}", program.display()))?;

    let mut tasks = JoinSet::new();
    let name = format!("{}#{number}", function.name());
    if let Some(stdout) = child.stdout.take() {
        tasks.spawn(logs::forward(stdout, name.clone(), settings.log.clone()));
    }
    if let Some(stderr) = child.stderr.take() {
        tasks.spawn(logs::forward(stderr, name, settings.log.clone()));
    }
    let api = runtime_api::router(Arc::clone(function), number);
    tasks.spawn(async move {
        if let Err(error) = axum::serve(Watched(listener), api).await {
            tracing::error!(%error, "a Runtime API ended");
        }
    });
    Ok((child, tasks))
}

/// Follows the orders until the process has ended.
async fn supervise(
    mut child: Child,
    mut tasks: JoinSet<()>,
    function: &Function,
    number: u64,
    mut orders: watch::Receiver<Control>,
) -> Ending {
    let mut told = false;
    let ended = loop {
        let Control { deadline, kill_at } = *orders.borrow_and_update();
        if kill_at.is_some() && !told {
            told = true;
            if let Some(pid) = pid(&child) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        tokio::select! {
            status = child.wait() => break status,
            changed = orders.changed() => if changed.is_err() {
                break end(&mut child).await;
            },
            () = at(kill_at) => break end(&mut child).await,
            () = at(deadline) => if function.is_overdue(number) {
                break end(&mut child).await;
            },
        }
    };
    // The pipes close with the process; the Runtime API never ends by itself, and falls with `tasks`.
    let _ = timeout(LAST_WORDS, async { while tasks.len() > 1 && tasks.join_next().await.is_some() {} }).await;
    ended.map_or_else(Ending::Lost, Ending::Exited)
}

async fn end(child: &mut Child) -> io::Result<ExitStatus> {
    child.start_kill()?;
    child.wait().await
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// The process's id, while it has not been reaped: until then nobody else can have it.
fn pid(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()?).ok()?)
}
