//! The embedded DynamoDB: dynoxide, on its own Tokio runtime.

use std::{
    fs::{File, OpenOptions, TryLockError},
    net::TcpListener,
    path::Path,
    thread,
    time::Duration,
};

use dynoxide::Database;
use tokio::sync::oneshot;

use crate::start_error::StartError;

/// How long [`Embedded::stop`] waits for unfinished requests.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// A DynamoDB served from this process. Dropping it stops it; [`Embedded::stop`] also waits for the end.
#[derive(Debug)]
pub(crate) struct Embedded {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    stopped: oneshot::Receiver<()>,
}

impl Embedded {
    /// Opens the tables in the file `data`, or in memory without one, and serves them on 127.0.0.1.
    ///
    /// Errors: the port is in use, another process uses the file, the file cannot be opened as a database, or no thread
    /// can be started.
    pub(crate) fn start(port: u16, data: Option<&Path>) -> Result<Self, StartError> {
        let bound = TcpListener::bind(("127.0.0.1", port)).and_then(|listener| {
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        });
        let (listener, address) =
            bound.map_err(|source| StartError::bind("DynamoDB", "--dynamodb-port", port, source))?;
        let lock = data.map(lock).transpose()?;
        let database = open(data)?;

        // dynoxide answers each request without yielding. On its own runtime, a long scan delays other DynamoDB
        // requests, which SQLite would queue anyway, but never the Runtime API or a time-out.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("dynamodb")
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let (stop, stopping) = oneshot::channel();
        let (ended, stopped) = oneshot::channel();
        let serve = move || {
            let served = runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).map_err(|error| error.to_string())?;
                let stopping = async move {
                    let _ = stopping.await;
                };
                dynoxide::server::serve_with_shutdown(listener, database, stopping).await
            });
            if let Err(error) = served {
                tracing::error!(%error, "the embedded DynamoDB ended");
            }
            // The last handle of the database closes with the runtime, and only then is a data file complete.
            runtime.shutdown_timeout(STOP_LIMIT);
            drop(lock);
            let _ = ended.send(());
        };
        thread::Builder::new().name("dynamodb".to_owned()).spawn(serve).map_err(StartError::Thread)?;
        Ok(Self { url: format!("http://{address}"), stop: Some(stop), stopped })
    }

    /// Its URL, without a trailing slash.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Stops serving and returns once the database is closed, or after 2 s.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        let _ = tokio::time::timeout(STOP_LIMIT, self.stopped).await;
    }
}

/// Locks the data file for this process, since a second server on the same file would lose races against this one. The
/// lock ends with the returned handle. The file is created if it is missing; an empty file is an empty database.
fn lock(path: &Path) -> Result<File, StartError> {
    let failed = |detail: String| StartError::Data { path: path.to_path_buf(), detail };
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = options.map_err(|error| failed(error.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::DataInUse { path: path.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(failed(error.to_string())),
    }
}

fn open(data: Option<&Path>) -> Result<Database, StartError> {
    let Some(path) = data else {
        return Database::memory()
            .map_err(|error| StartError::Data { path: ":memory:".into(), detail: error.to_string() });
    };
    let failed = |detail: String| StartError::Data { path: path.to_path_buf(), detail };
    let name = path.to_str().ok_or_else(|| failed("the path is not UTF-8".to_owned()))?;
    Database::new(name).map_err(|error| failed(error.to_string()))
}
