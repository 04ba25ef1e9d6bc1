//! `mneme-local serve`: serves until it is told to stop.

use std::{error::Error, io::Write as _, path::PathBuf};

use super::{environment, signals::Signals};
use crate::{Dynamodb, Options, Server, build_functions};

/// Build the functions and serve them: HTTP API, Invoke API and DynamoDB.
///
/// Prints one line to stdout when it can serve: `ready api=<url> dynamodb=<url>`. The functions' output goes to stderr.
/// Every MNEME_* and AWS_* variable is passed on to the functions. With MNEME_EMBEDDER=minilm its weights are fetched once.
#[derive(Debug, Clone, clap::Args)]
pub struct Serve {
    /// Port of the HTTP API and the Invoke API; 0 means any free port.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Port of the embedded DynamoDB; 0 means any free port.
    #[arg(long, default_value_t = 8000, conflicts_with = "dynamodb_endpoint")]
    dynamodb_port: u16,
    /// File that keeps the embedded DynamoDB's tables; without it they live in memory.
    #[arg(long, value_name = "PATH", conflicts_with = "dynamodb_endpoint")]
    data: Option<PathBuf>,
    /// Use this DynamoDB instead of the embedded one.
    #[arg(long, value_name = "URL")]
    dynamodb_endpoint: Option<String>,
    /// The most instances of one function at a time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    max_instances: u16,
    /// Directory of built functions (`mneme-lookup` and so on); without it they are built first.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
}

impl Serve {
    /// What to start, with the functions built.
    fn options(self) -> Result<Options, Box<dyn Error>> {
        let binaries = self.binaries.map_or_else(build_functions, Ok)?;
        let mut env = environment::passed_on();
        environment::provide_weights(&mut env)?;
        Ok(Options {
            port: self.port,
            dynamodb: match self.dynamodb_endpoint {
                Some(url) => Dynamodb::Endpoint(url),
                None => Dynamodb::Embedded { port: self.dynamodb_port, data: self.data },
            },
            max_instances: usize::from(self.max_instances),
            binaries,
            env,
            ..Options::default()
        })
    }
}

/// Serves until SIGINT, SIGTERM or SIGHUP; then every instance has ended when it returns. A second signal cuts the
/// instances' grace period short.
///
/// # Errors
/// The functions cannot be built, a port is in use, or the DynamoDB cannot be used; see
/// [`BuildError`](crate::BuildError) and [`StartError`](crate::StartError).
pub async fn serve(arguments: Serve) -> Result<(), Box<dyn Error>> {
    // Before signals are caught: Ctrl-C during the build ends cargo and this process, as anyone would expect.
    let options = arguments.options()?;
    let mut signals = Signals::catch()?;
    let server = Server::start(options).await?;

    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "ready api={} dynamodb={}", server.api_url(), server.dynamodb_url())?;
    stdout.flush()?;
    drop(stdout);

    signals.received().await;
    tokio::select! {
        () = server.stop() => {}
        () = signals.received() => {}
    }
    Ok(())
}
