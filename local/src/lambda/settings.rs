//! What every function has in common.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::options::Log;

/// The settings of every function; [`Options`](crate::options::Options) explains the fields of the same name.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) binaries: PathBuf,
    pub(crate) env: BTreeMap<String, String>,
    /// The AWS region in the functions' ARNs.
    pub(crate) region: String,
    pub(crate) timeout: Duration,
    pub(crate) memory_mib: u32,
    pub(crate) max_instances: usize,
    pub(crate) log: Log,
}
