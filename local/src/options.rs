//! What to serve, and where.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use tokio::sync::mpsc::UnboundedSender;

/// The arguments of [`Server::start`](crate::Server::start).
#[derive(Debug, Clone)]
pub struct Options {
    /// Address on which the HTTP API and the Invoke API listen. Default: 127.0.0.1. Other machines reach another one.
    pub host: IpAddr,
    /// Port of the HTTP API and the Invoke API; 0 means any free port.
    pub port: u16,
    /// The DynamoDB that the functions use.
    pub dynamodb: Dynamodb,
    /// The maximum number of instances per function, at least 1. Further requests wait in order of arrival.
    pub max_instances: usize,
    /// Directory of the executables `mneme-<function>`, as [`build_functions`](crate::build_functions) returns it.
    pub binaries: PathBuf,
    /// Environment of the functions. It overrides the defaults (table `mneme`, created when missing, and the DynamoDB's
    /// region, endpoint and credentials). The variables that Lambda itself sets override it.
    pub env: BTreeMap<String, String>,
    /// The functions' time-out. As on Lambda, an invocation that takes longer ends with its instance. Default: 30 s.
    pub timeout: Duration,
    /// The memory size that the functions read from their environment, in MiB. Nothing enforces it. Default: 1024.
    pub memory_mib: u32,
    /// Where the functions' output is written.
    pub log: Log,
}

/// Where the output of instances is written, line by line. Each line starts with its instance's name: `[lookup#1] …`.
#[derive(Debug, Clone, Default)]
pub enum Log {
    /// This process's stderr.
    #[default]
    Stderr,
    /// A channel, one message per line.
    Channel(UnboundedSender<String>),
}

/// A DynamoDB for the functions.
#[derive(Debug, Clone)]
pub enum Dynamodb {
    /// One inside this process. It is served on 127.0.0.1, where other clients can use it too.
    Embedded {
        /// Its port; 0 means any free port.
        port: u16,
        /// The file that keeps its tables. Without one they are in memory and end with the server.
        data: Option<PathBuf>,
    },
    /// Another one, by its URL.
    Endpoint(String),
}

impl Default for Options {
    /// Any free ports, an embedded DynamoDB in memory, and 4 instances. `binaries` is empty and has to be set.
    fn default() -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            dynamodb: Dynamodb::Embedded { port: 0, data: None },
            max_instances: 4,
            binaries: PathBuf::new(),
            env: BTreeMap::new(),
            timeout: Duration::from_secs(30),
            memory_mib: 1024,
            log: Log::Stderr,
        }
    }
}
