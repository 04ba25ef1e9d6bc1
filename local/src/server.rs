//! The server: it starts and stops the DynamoDB, the APIs and the functions.

use std::{sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{
    accept, api,
    dynamodb::Embedded,
    lambda::{Functions, Settings, environment},
    options::{Dynamodb, Options},
    start_error::StartError,
};

/// How long [`Server::stop`] waits for unfinished replies.
const API_STOP_LIMIT: Duration = Duration::from_secs(1);

/// A running server: the APIs, the functions' instances and the DynamoDB.
///
/// Dropping it kills the instances (SIGKILL) and ends the rest in the background. [`Server::stop`] lets the instances
/// shut down and waits for them.
#[derive(Debug)]
pub struct Server {
    api_url: String,
    dynamodb_url: String,
    functions: Arc<Functions>,
    stop_api: Option<oneshot::Sender<()>>,
    api: Option<JoinHandle<()>>,
    embedded: Option<Embedded>,
}

impl Server {
    /// Starts the DynamoDB and the APIs. As on Lambda, a function's first instance starts with the first request for
    /// it.
    ///
    /// Call it inside a Tokio runtime with I/O and time enabled, on Unix.
    ///
    /// # Errors
    /// A port in use, an unusable data file or DynamoDB URL, a directory without function binaries.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        if !environment::has_binaries(&options.binaries) {
            return Err(StartError::NoBinaries { directory: options.binaries });
        }
        let listener = TcpListener::bind((options.host, options.port)).await;
        let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) =
            bound.map_err(|source| StartError::bind("the HTTP API", "--port", options.port, source))?;

        let (embedded, dynamodb_url) = match &options.dynamodb {
            Dynamodb::Embedded { port, data } => {
                let embedded = Embedded::start(*port, data.as_deref())?;
                let url = embedded.url().to_owned();
                (Some(embedded), url)
            }
            Dynamodb::Endpoint(url) => (None, url.trim_end_matches('/').to_owned()),
        };
        let env = environment::with_defaults(options.env, &dynamodb_url)?;
        let functions = Arc::new(Functions::new(Settings {
            binaries: options.binaries,
            region: environment::region(&env),
            env,
            timeout: options.timeout,
            memory_mib: options.memory_mib,
            max_instances: options.max_instances.max(1),
            log: options.log,
        }));

        let (stop_api, stopping) = oneshot::channel::<()>();
        let app = api::router(Arc::clone(&functions), options.host.is_loopback());
        let api = tokio::spawn(accept::serve(listener, app, stopping));
        Ok(Self {
            api_url: format!("http://{address}"),
            dynamodb_url,
            functions,
            stop_api: Some(stop_api),
            api: Some(api),
            embedded,
        })
    }

    /// Base URL of the HTTP API and the Invoke API, without a trailing slash.
    pub fn api_url(&self) -> &str {
        &self.api_url
    }

    /// URL of the DynamoDB that the functions use, without a trailing slash.
    pub fn dynamodb_url(&self) -> &str {
        &self.dynamodb_url
    }

    /// The number of instances of the function: idle, busy and starting. 0 for an unknown function.
    pub fn instances(&self, function: &str) -> usize {
        self.functions.get(function).map_or(0, |function| function.instances())
    }

    /// Ends every current instance of the function, so that its next request is a cold start. Each gets SIGTERM and, 2
    /// s later, SIGKILL. Returns when all have ended. An unfinished request ends with its instance.
    pub async fn recycle(&self, function: &str) {
        if let Some(function) = self.functions.get(function) {
            function.recycle().await;
        }
    }

    /// Kills one busy instance of the function, as a failing machine would: its request fails, and its caller cannot
    /// know how much of the work was done. Returns false when no instance is busy.
    pub fn kill_one(&self, function: &str) -> bool {
        self.functions.get(function).is_some_and(|function| function.kill_one())
    }

    /// Stops everything: it accepts no further request, sends SIGTERM to every instance and SIGKILL 2 s later, and
    /// stops the DynamoDB. Returns when all have ended.
    pub async fn stop(mut self) {
        drop(self.stop_api.take());
        self.functions.close().await;
        if let Some(mut api) = self.api.take()
            && tokio::time::timeout(API_STOP_LIMIT, &mut api).await.is_err()
        {
            api.abort();
        }
        if let Some(embedded) = self.embedded.take() {
            embedded.stop().await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.functions.abort();
    }
}
