//! One instance: a child process of the function's binary and the Runtime API that it calls.

use std::{io, process::ExitStatus, process::Stdio, sync::Arc, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};

use super::{
    connection::WatchedListener,
    environment,
    function::Function,
    lifecycle::{Control, Ending},
    logs, runtime_api,
};

/// How long to wait for the last output of a process that has ended. A grandchild may hold the pipe open for ever.
const OUTPUT_GRACE: Duration = Duration::from_millis(200);

/// Starts instance `number` of the function in a task of its own.
pub(super) fn spawn(function: Arc<Function>, number: u64, orders: watch::Receiver<Control>) -> AbortHandle {
    tokio::spawn(run(function, number, orders)).abort_handle()
}

/// Runs instance `number` of the function until its process ends, and reports the end. Dropping the future kills the
/// process.
async fn run(function: Arc<Function>, number: u64, orders: watch::Receiver<Control>) {
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
        // Ctrl-C in a terminal goes to the whole process group. In a group of its own the child ends only when ordered.
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
        if let Err(error) = axum::serve(WatchedListener(listener), api).await {
            tracing::error!(%error, "a Runtime API ended");
        }
    });
    Ok((child, tasks))
}

/// Follows the orders until the process has ended. Returns how it ended.
async fn supervise(
    mut child: Child,
    mut tasks: JoinSet<()>,
    function: &Function,
    number: u64,
    mut orders: watch::Receiver<Control>,
) -> Ending {
    let mut sigterm_sent = false;
    let ended = loop {
        let Control { deadline, kill_at } = *orders.borrow_and_update();
        if kill_at.is_some() && !sigterm_sent {
            sigterm_sent = true;
            if let Some(pid) = pid(&child) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        tokio::select! {
            status = child.wait() => break status,
            changed = orders.changed() => if changed.is_err() {
                break kill(&mut child).await;
            },
            () = at(kill_at) => break kill(&mut child).await,
            () = at(deadline) => if function.is_overdue(number) {
                break kill(&mut child).await;
            },
        }
    };
    // The two log tasks end when the process's pipes close. The Runtime API ends when `tasks` is dropped.
    let _ = timeout(OUTPUT_GRACE, async { while tasks.len() > 1 && tasks.join_next().await.is_some() {} }).await;
    ended.map_or_else(Ending::Lost, Ending::Exited)
}

async fn kill(child: &mut Child) -> io::Result<ExitStatus> {
    child.start_kill()?;
    child.wait().await
}

/// Waits until `time`; for ever without one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// The process's id, unless the process has been reaped: after that another process may have the same id.
fn pid(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()?).ok()?)
}
