//! Training in the background. Another thread trains on a snapshot of the rows while the index keeps changing; the
//! index then adopts the result.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::basis::Basis;
use crate::encoded_rows::EncodedRows;
use crate::error::Error;
use crate::float_rows::FloatRows;
use crate::ids::Ids;
use crate::index::{Form, Index};
use crate::kernel::Kernel;

/// The number of the next training. An index adopts only the result whose number it waits for.
static NUMBER: AtomicU64 = AtomicU64::new(1);

/// A snapshot of rows from which to train a basis, and which to encode. It can be sent to another thread.
#[derive(Debug)]
pub struct TrainingJob {
    number: u64,
    kernel: Kernel,
    ids: Vec<u64>,
    rows: FloatRows,
}

/// The rows of a [`TrainingJob`] as codes under the trained basis.
#[derive(Debug)]
pub struct TrainedCodes {
    number: u64,
    basis: Arc<Basis>,
    ids: Ids,
    codes: EncodedRows,
}

impl TrainingJob {
    /// The number of rows in the snapshot.
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Trains a basis and encodes every row. At 768 dimensions this takes about a second, and 5 microseconds per row.
    ///
    /// Errors: `Untrainable`, if the snapshot has too few rows.
    pub fn run(self) -> Result<TrainedCodes, Error> {
        let sample: Vec<&[f32]> = self.rows.rows().collect();
        let basis = Arc::new(Basis::train(self.rows.dim(), sample.into_iter())?);
        self.encode(basis)
    }

    /// Encodes every row under an existing basis instead of training one.
    ///
    /// Errors: `Dimension`.
    pub fn encode(self, basis: Arc<Basis>) -> Result<TrainedCodes, Error> {
        let mut trained =
            TrainedCodes { number: self.number, ids: Ids::default(), codes: EncodedRows::new(&basis), basis };
        for (id, row) in self.ids.iter().zip(self.rows.rows()) {
            trained.codes.push(&trained.basis.encode(self.kernel, row)?);
            trained.ids.push(*id);
        }
        Ok(trained)
    }
}

impl TrainedCodes {
    /// The trained basis. The caller stores it for other instances and for segments.
    pub fn basis(&self) -> &Arc<Basis> {
        &self.basis
    }
}

impl Index {
    /// Begins a training on the float32 rows of the index. The job shares the rows and copies none. From now on the
    /// index records which rows change, for [`Self::adopt`].
    ///
    /// Returns `None` if the index holds codes; see [`Self::begin_retraining`]. Replaces a training begun before.
    pub fn begin_training(&mut self) -> Option<TrainingJob> {
        let Form::Floats(floats) = &self.form else { return None };
        let (rows, ids) = (floats.clone(), self.ids.as_slice().to_vec());
        Some(self.begin(ids, rows))
    }

    /// Begins a training on float32 rows that the caller has read. Rows that the index does not hold are ignored. Rows
    /// that it holds and that are not given must be supplied when [`Self::adopt`] asks for them.
    ///
    /// Replaces a training begun before. Errors: `Dimension`, `NotUnit`, and `DuplicateId` for an id given twice.
    pub fn begin_retraining<'a>(&mut self, rows: impl Iterator<Item = (u64, &'a [f32])>) -> Result<TrainingJob, Error> {
        let (mut floats, mut given, mut ids) = (FloatRows::new(self.dim), HashSet::new(), Vec::new());
        for (id, row) in rows {
            crate::basis::squared_norm(row, self.dim)?;
            if !given.insert(id) {
                return Err(Error::DuplicateId { id });
            }
            if self.contains(id) {
                floats.push(row);
                ids.push(id);
            }
        }
        let job = self.begin(ids, floats);
        let missing: Vec<u64> = self.ids().filter(|id| !given.contains(id)).collect();
        missing.into_iter().for_each(|id| self.note_change(id));
        Ok(job)
    }

    fn begin(&mut self, ids: Vec<u64>, rows: FloatRows) -> TrainingJob {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        self.training = Some((number, HashSet::new()));
        TrainingJob { number, kernel: self.kernel, ids, rows }
    }

    /// Ends the training under way without a result. Call it if its thread has failed.
    pub fn abandon_training(&mut self) {
        self.training = None;
    }

    /// The ids for which [`Self::adopt`] will call `supply`, ascending: rows that changed since the training began, and
    /// rows that were not given to it. Empty if the index holds float32 or no training is under way.
    pub fn rows_to_supply(&self) -> Vec<u64> {
        match (&self.training, &self.form) {
            (Some((_, changed)), Form::Codes(..)) => self.held(changed),
            _ => Vec::new(),
        }
    }

    fn held(&self, changed: &HashSet<u64>) -> Vec<u64> {
        let mut ids: Vec<u64> = changed.iter().copied().filter(|id| self.contains(*id)).collect();
        ids.sort_unstable();
        ids
    }

    /// Replaces the rows of the index by trained codes. Rows that were inserted during the training are encoded now.
    /// Memory that held float32 is freed.
    ///
    /// `supply`: returns the vector of a row. It is not called if the index holds float32.
    ///
    /// Errors: `StaleTraining`; `MissingRows` if `supply` returned `None`; `Dimension` or `NotUnit` for a vector that
    /// it returned. After an error the rows are unchanged. After an error other than `StaleTraining` no training is
    /// under way.
    pub fn adopt<V: AsRef<[f32]>>(
        &mut self,
        trained: TrainedCodes,
        mut supply: impl FnMut(u64) -> Option<V>,
    ) -> Result<(), Error> {
        let TrainedCodes { number, basis, mut ids, mut codes } = trained;
        if self.training.as_ref().is_none_or(|(awaited, _)| *awaited != number) {
            return Err(Error::StaleTraining);
        }
        let Some((_, changed)) = self.training.take() else { return Err(Error::StaleTraining) };
        for id in &changed {
            if let Some(slot) = ids.swap_remove(*id) {
                codes.swap_remove(slot);
            }
        }
        let mut missing = Vec::new();
        for id in self.held(&changed) {
            let row = match (&self.form, self.ids.slot(id)) {
                (Form::Floats(floats), Some(slot)) => basis.encode(self.kernel, floats.row(slot))?,
                _ => match supply(id) {
                    Some(vector) => basis.encode(self.kernel, vector.as_ref())?,
                    None => {
                        missing.push(id);
                        continue;
                    }
                },
            };
            ids.push(id);
            codes.push(&row);
        }
        if !missing.is_empty() {
            return Err(Error::MissingRows { ids: missing });
        }
        debug_assert_eq!(ids.len(), self.ids.len());
        self.ids = ids;
        self.form = Form::Codes(basis, codes);
        Ok(())
    }
}
