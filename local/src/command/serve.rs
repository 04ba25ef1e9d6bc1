//! `mneme-local serve`: serves until a signal stops it.

use std::{error::Error, io::Write as _, net::IpAddr, path::PathBuf};

use super::{environment, signals::Signals};
use crate::{
    build::build_functions,
    options::{Dynamodb, Options},
    server::Server,
};

/// Build the functions and serve the HTTP API, the Invoke API and DynamoDB.
///
/// When it can serve, prints one line to stdout: `ready api=<url> dynamodb=<url>`. The functions' output goes to
/// stderr. The functions inherit every MNEME_* and AWS_* variable. MNEME_EMBEDDER=minilm fetches the weights once.
#[derive(Debug, Clone, clap::Args)]
pub struct Serve {
    /// Address on which the HTTP API and the Invoke API listen. With 0.0.0.0 other machines and containers reach them.
    /// They have no authentication. The embedded DynamoDB listens on 127.0.0.1 in any case.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port of the HTTP API and the Invoke API; 0 means any free port.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Port of the embedded DynamoDB; 0 means any free port.
    #[arg(long, default_value_t = 8000, conflicts_with = "dynamodb_endpoint")]
    dynamodb_port: u16,
    /// File that keeps the embedded DynamoDB's tables. Without it they are in memory.
    #[arg(long, value_name = "PATH", conflicts_with = "dynamodb_endpoint")]
    data: Option<PathBuf>,
    /// Use this DynamoDB instead of the embedded one.
    #[arg(long, value_name = "URL")]
    dynamodb_endpoint: Option<String>,
    /// Maximum number of instances per function.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    max_instances: u16,
    /// Directory of built functions (`mneme-lookup` and so on). Without it they are built first.
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
}

impl Serve {
    /// Checks the variables of the functions, builds the functions and returns the server's options.
    fn options(self) -> Result<Options, Box<dyn Error>> {
        let mut env = environment::inherited()?;
        let binaries = self.binaries.map_or_else(build_functions, Ok)?;
        environment::provide_weights(&mut env)?;
        Ok(Options {
            host: self.host,
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

/// Serves until SIGINT, SIGTERM or SIGHUP, then ends every instance and returns. A second signal cuts the instances'
/// grace period short.
///
/// # Errors
/// A variable is not valid, the functions cannot be built, a port is in use, or the DynamoDB cannot be used; see
/// [`BuildError`](crate::BuildError) and [`StartError`](crate::StartError).
pub async fn serve(arguments: Serve) -> Result<(), Box<dyn Error>> {
    // Signals are caught only after the build, so that Ctrl-C during the build ends cargo and this process.
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
