//! The index: the vectors of one namespace.

use std::collections::HashSet;
use std::sync::Arc;

use crate::basis::{Basis, DIMS, squared_norm};
use crate::encoded_rows::EncodedRows;
use crate::error::Error;
use crate::float_rows::FloatRows;
use crate::ids::Ids;
use crate::kernel::Kernel;

/// From this many rows on, a search by codes is faster than one by float32, and the rows suffice to train a basis.
pub const MIN_CODED_ROWS: usize = 4096;

/// Fewer rows than this do not show whether the data has drifted away from the basis.
const DRIFT_ROWS: usize = 1024;

/// The data has drifted if more than one row in this many is an outlier.
const DRIFT_OUTLIERS: usize = 32;

/// The data has drifted if the mean residual norm exceeds that of the basis's sample by this.
const DRIFT_RESIDUAL: f64 = 0.1;

/// The rows of one namespace: ids and unit vectors, as float32 or as codes.
///
/// An index that is created without a basis holds float32, until a [training](Self::should_train) converts it to codes.
/// An index that is created with a basis holds codes from the first row on.
#[derive(Debug)]
pub struct Index {
    pub(crate) dim: usize,
    pub(crate) kernel: Kernel,
    pub(crate) ids: Ids,
    pub(crate) form: Form,
    /// During a training: its number, and the ids that were inserted or removed since it began.
    pub(crate) training: Option<(u64, HashSet<u64>)>,
}

/// How the vectors are held.
#[derive(Debug)]
pub(crate) enum Form {
    Floats(FloatRows),
    Codes(Arc<Basis>, EncodedRows),
}

impl Index {
    /// An empty index that holds float32. `dim`: the dimension of the vectors, at least 1.
    ///
    /// # Panics
    ///
    /// Panics if `dim` is 0.
    pub fn new(dim: usize) -> Self {
        assert!(dim > 0, "a dimension");
        Self {
            dim,
            kernel: Kernel::best(),
            ids: Ids::default(),
            form: Form::Floats(FloatRows::new(dim)),
            training: None,
        }
    }

    /// An empty index that holds codes under `basis` from the first row on.
    pub fn with_basis(basis: Arc<Basis>) -> Self {
        let codes = EncodedRows::new(&basis);
        Self {
            dim: basis.dim(),
            kernel: Kernel::best(),
            ids: Ids::default(),
            form: Form::Codes(basis, codes),
            training: None,
        }
    }

    /// Searches and encodes with `kernel` instead of the fastest one, for comparisons. The answers are the same.
    ///
    /// `kernel`: one of [`Kernel::available`].
    pub fn use_kernel(&mut self, kernel: Kernel) {
        self.kernel = kernel;
    }

    /// The dimension of the vectors.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True if the index holds no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if the index holds the row `id`.
    pub fn contains(&self, id: u64) -> bool {
        self.ids.slot(id).is_some()
    }

    /// The ids of the rows, in no particular order.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.ids.as_slice().iter().copied()
    }

    /// The basis of the codes; `None` if the index holds float32.
    pub fn basis(&self) -> Option<&Arc<Basis>> {
        match &self.form {
            Form::Floats(_) => None,
            Form::Codes(basis, _) => Some(basis),
        }
    }

    /// Resident bytes, including capacity reserved for growth. The basis is not included, because indexes share it
    /// (see [`Basis::resident_bytes`]).
    pub fn bytes(&self) -> usize {
        let form = match &self.form {
            Form::Floats(floats) => floats.resident_bytes(),
            Form::Codes(_, codes) => codes.resident_bytes(),
        };
        let changed = self.training.as_ref().map_or(0, |(_, changed)| 16 * changed.capacity());
        size_of::<Self>() + self.ids.resident_bytes() + form + changed
    }

    /// Reserves memory for `additional` rows. Call it before loading segments, because storage is copied when it grows.
    pub fn reserve(&mut self, additional: usize) {
        self.ids.reserve(additional);
        if let Form::Codes(_, codes) = &mut self.form {
            codes.reserve(additional);
        }
    }

    /// Inserts a row. `vector`: unit norm, `[dim]`.
    ///
    /// Errors: `DuplicateId`, `Dimension`, `NotUnit`.
    pub fn insert(&mut self, id: u64, vector: &[f32]) -> Result<(), Error> {
        if self.contains(id) {
            return Err(Error::DuplicateId { id });
        }
        match &mut self.form {
            Form::Floats(floats) => {
                squared_norm(vector, self.dim)?;
                floats.push(vector);
            }
            Form::Codes(basis, codes) => codes.push(&basis.encode(self.kernel, vector)?),
        }
        self.ids.push(id);
        self.note_change(id);
        Ok(())
    }

    /// Removes a row. Returns false if the index did not hold it.
    pub fn remove(&mut self, id: u64) -> bool {
        let Some(slot) = self.ids.swap_remove(id) else { return false };
        match &mut self.form {
            Form::Floats(floats) => floats.swap_remove(slot),
            Form::Codes(_, codes) => codes.swap_remove(slot),
        }
        self.note_change(id);
        true
    }

    /// Records for the training under way that the row `id` was inserted or removed.
    pub(crate) fn note_change(&mut self, id: u64) {
        if let Some((_, changed)) = &mut self.training {
            changed.insert(id);
        }
    }

    /// True if the index holds float32, codes would be faster, and no training is under way. The caller then calls
    /// [`Self::begin_training`].
    pub fn should_train(&self) -> bool {
        matches!(self.form, Form::Floats(_))
            && self.len() >= MIN_CODED_ROWS
            && DIMS.contains(&self.dim)
            && self.training.is_none()
    }

    /// True if the rows fit the basis so badly that a newly trained one would rule out more of them. The caller may
    /// then call [`Self::begin_retraining`]. The answers are exact in any case.
    pub fn has_drifted(&self) -> bool {
        match &self.form {
            Form::Floats(_) => false,
            Form::Codes(basis, codes) => {
                let excess = (codes.residual_mean() - f64::from(basis.residual_mean)) * f64::from(basis.residual_step);
                codes.len() >= DRIFT_ROWS
                    && self.training.is_none()
                    && (codes.outliers().len() * DRIFT_OUTLIERS > codes.len() || excess > DRIFT_RESIDUAL)
            }
        }
    }
}
