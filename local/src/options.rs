//! What to serve, and where.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use tokio::sync::mpsc::UnboundedSender;

/// Everything [`Server::start`](crate::Server::start) needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port of the HTTP API and the Invoke API on 127.0.0.1; 0 means any free port.
    pub port: u16,
    /// The DynamoDB the functions use.
    pub dynamodb: Dynamodb,
    /// The most instances of one function at a time; further requests wait in order of arrival. At least 1.
    pub max_instances: usize,
    /// Directory of the executables `mneme-<function>`, as [`build_functions`](crate::build_functions) returns it.
    pub binaries: PathBuf,
    /// Environment of the functions. It stands above the defaults (table `mneme`, created when missing, region,
    /// endpoint and credentials of the DynamoDB), and below the variables that Lambda itself sets.
    pub env: BTreeMap<String, String>,
    /// The functions' time-out, as Lambda's: an invocation that takes longer ends with its instance. 30 s is the default.
    pub timeout: Duration,
    /// The functions' memory size as told to them, in MiB; nothing enforces it. 1024 is the default.
    pub memory_mib: u32,
    /// Where the functions' output goes.
    pub log: Log,
}

/// Where the output of instances goes: line by line, each behind the name of its instance, `[lookup#1] …`.
#[derive(Debug, Clone, Default)]
pub enum Log {
    /// To this process's stderr.
    #[default]
    Stderr,
    /// Into a channel.
    Channel(UnboundedSender<String>),
}

/// Which DynamoDB the functions use.
#[derive(Debug, Clone)]
pub enum Dynamodb {
    /// One inside this process, served on 127.0.0.1 for any other client too.
    Embedded {
        /// Its port; 0 means any free port.
        port: u16,
        /// The file that keeps its tables; without one they live in memory and end with the server.
        data: Option<PathBuf>,
    },
    /// Another one, by its URL.
    Endpoint(String),
}

impl Default for Options {
    /// Any free ports, an embedded DynamoDB in memory, 4 instances, and no directory of binaries: set that.
    fn default() -> Self {
        Self {
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
