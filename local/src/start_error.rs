//! Why a server does not start.

use std::{io, path::PathBuf};

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another process listens on the port.
    #[error(
        "port {port} for {what} is already in use; stop what listens there, or choose another port with `{flag}` (0 means any free port)"
    )]
    PortInUse {
        /// The service that was to listen there.
        what: &'static str,
        /// The port.
        port: u16,
        /// The option that sets it.
        flag: &'static str,
    },
    /// The system refuses to listen on the port for another reason.
    #[error("cannot listen on port {port} for {what}: {source}; choose another port with `{flag}`")]
    Bind {
        /// The service that was to listen there.
        what: &'static str,
        /// The port.
        port: u16,
        /// The option that sets it.
        flag: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The file of the embedded DynamoDB cannot be used.
    #[error("cannot open {} as the data file of the embedded DynamoDB: {detail}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// The reason.
        detail: String,
    },
    /// Another process has the file of the embedded DynamoDB open.
    #[error("{} is in use by another `serve`; stop that one, or choose another file with `--data`", path.display())]
    DataInUse {
        /// The file.
        path: PathBuf,
    },
    /// The URL of the other DynamoDB is not an HTTP URL.
    #[error("`{url}` is not the URL of a DynamoDB ({detail}); give one such as http://127.0.0.1:8000")]
    Endpoint {
        /// The URL as it was given.
        url: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The directory of binaries has no function's executable.
    #[error("{} holds no function binary (`mneme-lookup` and so on)", directory.display())]
    NoBinaries {
        /// The directory.
        directory: PathBuf,
    },
    /// The system refuses to start a thread.
    #[error("cannot start a thread for the embedded DynamoDB: {0}")]
    Thread(io::Error),
}

impl StartError {
    pub(crate) fn bind(what: &'static str, flag: &'static str, port: u16, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::AddrInUse {
            Self::PortInUse { what, port, flag }
        } else {
            Self::Bind { what, port, flag, source }
        }
    }
}
