//! Giving an entry a further vector by giving it a new id: where others may rely on what the old id has.

use aws_sdk_dynamodb::types::{Delete, Put};

use super::action::{delete, put};
use super::put::Vectors;
use super::turn::Turn;
use crate::cache::Cache;
use crate::entry::Entry;
use crate::error::Error;
use crate::key::{EntryId, RowKey};
use crate::table::counter::Counter;
use crate::table::transaction::Outcome;
use crate::table::{Projection, pointed_entry};

impl Cache {
    /// Puts the entry under a new id, all else being as it was, with `vectors` and what others it has. False when the row is
    /// not as in `seen` any more, or is not its pair's entry: nothing was done then.
    ///
    /// `vectors`: of the query that `seen` has, in a move between the embedders that `embedders` has.
    /// Reads: the counter, the row and its pointer, in this order, so that the version that the write is conditional on is the
    /// row's. Writes: one transaction, one mutation. Errors: `StoreBackendError`.
    pub(crate) async fn relocate(&self, seen: &Entry, vectors: &Vectors, embedders: &Counter) -> Result<bool, Error> {
        let mut turn = None;
        let relocated = self.relocate_in_turn(seen, vectors, embedders, &mut turn).await;
        if let Some(turn) = turn {
            self.end_turn(turn).await;
        }
        relocated
    }

    /// `turn`: is set to the place in line that was taken, if one was.
    async fn relocate_in_turn(
        &self,
        seen: &Entry,
        vectors: &Vectors,
        embedders: &Counter,
        turn: &mut Option<Turn>,
    ) -> Result<bool, Error> {
        let mut pace = self.pace();
        let pointer = RowKey::pointer(&seen.namespace, &seen.query_hash);
        loop {
            let Some(counter) = self.table.read_counter().await? else { return Ok(false) };
            if (counter.era, &counter.other) != (embedders.era, &embedders.other) {
                return Ok(false);
            }
            let rows = self.table.batch_get([seen.id.into(), pointer], Projection::Whole).await?;
            let pointed = rows.get(pointer).and_then(pointed_entry);
            let Some(row) = rows.entry(seen.id) else { return Ok(false) };
            let is_same = row.query == seen.query && row.vectors == seen.vectors;
            if !is_same || row.is_expired(self.now_secs()) || pointed.is_some_and(|id| id != row.id) {
                return Ok(false);
            }
            let id = EntryId::new(counter.next_id).ok_or_else(|| Error::internal("the counter stands at 0"))?;
            let all = vectors.clone().or(Vectors::of_row(&row, &counter));
            let new = Entry { id, vectors: self.laid_out(all, None, &counter)?, ..row };
            let put_new = Put::builder()
                .table_name(self.table.name())
                .set_item(Some(new.to_item()?))
                .condition_expression("attribute_not_exists(#id)")
                .expression_attribute_names("#id", "id");
            let delete_old = Delete::builder()
                .table_name(self.table.name())
                .key("id", RowKey::from(seen.id).attribute())
                .condition_expression("attribute_exists(#id)")
                .expression_attribute_names("#id", "id");
            let actions = vec![
                self.claim(&counter, 1, 1, None)?,
                put(put_new)?,
                delete(delete_old)?,
                self.point(pointer, pointed, id)?,
            ];
            let outcome = self.table.transact(actions, self.deadline).await?;
            match outcome {
                Outcome::Committed => return Ok(true),
                Outcome::Unknown(error) => return Err(error),
                _ if outcome.was_crowded_out() => pace.after_crowding().await?,
                Outcome::Cancelled(_) => {
                    pace.after_lost_race(turn.is_some()).await?;
                    if turn.is_none() {
                        self.turns.lost();
                        *turn = self.take_turn().await;
                    }
                }
            }
        }
    }
}
