//! `snapshot`: snapshot and restore are AWS's own tools' work; this says which.

use mneme_api::event::{Fields, Reply};
use mneme_core::cache::Cache;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::error::{Error, ErrorKind};
use serde_json::Value;

/// The operation. It reads and writes nothing, whatever the request.
#[derive(Debug)]
pub struct Snapshot;

impl Operation for Snapshot {
    const FUNCTION: &'static str = "snapshot";
    type Request = Fields;
    type Response = Value;

    async fn handle(&self, _: &Cache, _: &Invocation, _: Fields) -> Result<Reply<Value>, Error> {
        Err(Error::new(
            ErrorKind::CheckpointError,
            "the cache takes and restores no snapshots of its own",
            "back up with AWS Backup or CreateBackup, with point-in-time recovery (any second of the last 35 days), or \
             with ExportTableToPointInTime to S3; restore with RestoreTableFromBackup or RestoreTableToPointInTime, then \
             switch TTL on and run `vacuum`",
        ))
    }
}
