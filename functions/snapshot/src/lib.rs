//! `snapshot`: refuses to take or restore a snapshot, and names the AWS tools that do it.

use mneme_api::event::{Reply, RequestFields};
use mneme_api::operations::{self, OperationSpec};
use mneme_core::cache::Cache;
use mneme_core::runtime::Operation;
use mneme_core::runtime::invocation::Invocation;
use mneme_model::error::{Error, ErrorKind};
use serde_json::Value;

/// Always answers with `CheckpointError`. It reads and writes nothing.
#[derive(Debug)]
pub struct Snapshot;

impl Operation for Snapshot {
    const SPEC: &'static OperationSpec = &operations::SNAPSHOT;
    type Request = RequestFields;
    type Response = Value;

    async fn handle(&self, _: &Cache, _: &Invocation, _: RequestFields) -> Result<Reply<Value>, Error> {
        Err(Error::new(
            ErrorKind::CheckpointError,
            "the cache takes and restores no snapshots of its own",
            "back up with AWS Backup or CreateBackup, with point-in-time recovery (any second of the last 35 days), or \
             with ExportTableToPointInTime to S3; restore with RestoreTableFromBackup or RestoreTableToPointInTime, then \
             switch TTL on and run `vacuum`",
        ))
    }
}
