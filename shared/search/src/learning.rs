//! Learning codes beside the requests: a snapshot goes to another thread, the index goes on, and takes over the result.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::basis::Basis;
use crate::codes::Codes;
use crate::error::Error;
use crate::floats::Floats;
use crate::ids::Ids;
use crate::index::{Form, Index};
use crate::kernel::Kernel;

/// Numbers learnings, so that a result is taken over only by the index that waits for it.
static NUMBER: AtomicU64 = AtomicU64::new(1);

/// Rows to learn from and to encode. Owns or shares all it needs, for another thread.
#[derive(Debug)]
pub struct Learning {
    number: u64,
    kernel: Kernel,
    ids: Vec<u64>,
    rows: Floats,
}

/// The rows of a [`Learning`] as codes under a basis learned from them.
#[derive(Debug)]
pub struct Learned {
    number: u64,
    basis: Arc<Basis>,
    ids: Ids,
    codes: Codes,
}

impl Learning {
    /// How many rows will be learned from and encoded.
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Learns a basis, and encodes every row: about a second, and 5 microseconds a row (at 768 dimensions).
    ///
    /// Errors: `Unlearnable`, where the snapshot has too few rows.
    pub fn run(self) -> Result<Learned, Error> {
        let sample: Vec<&[f32]> = self.rows.rows().collect();
        let basis = Arc::new(Basis::learn(self.rows.dim(), sample.into_iter())?);
        self.encode(basis)
    }

    /// Encodes every row under a basis from elsewhere.
    ///
    /// Errors: `Dimension`.
    pub fn encode(self, basis: Arc<Basis>) -> Result<Learned, Error> {
        let mut learned = Learned { number: self.number, ids: Ids::default(), codes: Codes::new(&basis), basis };
        for (id, row) in self.ids.iter().zip(self.rows.rows()) {
            learned.codes.push(&learned.basis.encode(self.kernel, row)?);
            learned.ids.push(*id);
        }
        Ok(learned)
    }
}

impl Learned {
    /// The basis, to be stored for other instances and for packed segments.
    pub fn basis(&self) -> &Arc<Basis> {
        &self.basis
    }
}

impl Index {
    /// Begins to learn codes from the float32 held: shares the rows with the job, copying none. From now on
    /// changes are noted, for [`Self::adopt`]. `None` where codes are held: see [`Self::begin_relearning`].
    ///
    /// A learning begun before is forgotten.
    pub fn begin_learning(&mut self) -> Option<Learning> {
        let Form::Floats(floats) = &self.form else { return None };
        let (rows, ids) = (floats.clone(), self.ids.as_slice().to_vec());
        Some(self.begin(ids, rows))
    }

    /// Begins to learn codes anew from rows that the caller has read: of the ids held now, and of no other. Rows held
    /// that are not given must be supplied when [`Self::adopt`] asks for them.
    ///
    /// A learning begun before is forgotten. Errors: `Dimension`, `Occupied` for an id given twice.
    pub fn begin_relearning<'a>(&mut self, rows: impl Iterator<Item = (u64, &'a [f32])>) -> Result<Learning, Error> {
        let (mut floats, mut given, mut ids) = (Floats::new(self.dim), HashSet::new(), Vec::new());
        for (id, row) in rows {
            crate::basis::squared_norm(row, self.dim)?;
            if !given.insert(id) {
                return Err(Error::Occupied { id });
            }
            if self.contains(id) {
                floats.push(row);
                ids.push(id);
            }
        }
        let learning = self.begin(ids, floats);
        let missing: Vec<u64> = self.ids().filter(|id| !given.contains(id)).collect();
        missing.into_iter().for_each(|id| self.note_change(id));
        Ok(learning)
    }

    fn begin(&mut self, ids: Vec<u64>, rows: Floats) -> Learning {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        self.learning = Some((number, HashSet::new()));
        Learning { number, kernel: self.kernel, ids, rows }
    }

    /// Forgets the learning under way, as when its thread has failed.
    pub fn abandon_learning(&mut self) {
        self.learning = None;
    }

    /// The rows held that changed since the learning was begun, ascending: what [`Self::adopt`] will ask `supply` for
    /// where codes are held. Empty where float32 is held, or no learning is under way.
    pub fn rows_to_supply(&self) -> Vec<u64> {
        match (&self.learning, &self.form) {
            (Some((_, changed)), Form::Codes(..)) => self.held(changed),
            _ => Vec::new(),
        }
    }

    fn held(&self, changed: &HashSet<u64>) -> Vec<u64> {
        let mut ids: Vec<u64> = changed.iter().copied().filter(|id| self.contains(*id)).collect();
        ids.sort_unstable();
        ids
    }

    /// Takes over learned codes: of the rows as they were, and, encoded now, of those inserted meanwhile. float32 that was
    /// held is given back.
    ///
    /// `supply`: gives the vector of a row whose float32 is not held; not called where it is.
    /// Errors: `StaleLearning`, and `RowsNeeded`, `Dimension` or `NotUnit` for what `supply` gave. The index is then as it
    /// was, but the learning is spent.
    pub fn adopt<V: AsRef<[f32]>>(
        &mut self,
        learned: Learned,
        mut supply: impl FnMut(u64) -> Option<V>,
    ) -> Result<(), Error> {
        let Learned { number, basis, mut ids, mut codes } = learned;
        if self.learning.as_ref().is_none_or(|(awaited, _)| *awaited != number) {
            return Err(Error::StaleLearning);
        }
        let Some((_, changed)) = self.learning.take() else { return Err(Error::StaleLearning) };
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
            return Err(Error::RowsNeeded { ids: missing });
        }
        debug_assert_eq!(ids.len(), self.ids.len());
        self.ids = ids;
        self.form = Form::Codes(basis, codes);
        Ok(())
    }
}
