//! One namespace's vectors.

use std::collections::HashSet;
use std::sync::Arc;

use crate::basis::{Basis, DIMS, squared_norm};
use crate::codes::Codes;
use crate::error::Error;
use crate::floats::Floats;
use crate::ids::Ids;
use crate::kernel::Kernel;

/// From how many rows on codes are faster than float32, and there are enough to learn from.
pub const RIPE_ROWS: usize = 4096;

/// Rows that are needed to tell that the data has drifted away from the basis.
const DRIFT_ROWS: usize = 1024;

/// Drifted: one row in so many is wild.
const DRIFT_WILD: usize = 32;

/// Drifted: the mean residual norm is larger than the sample's by this.
const DRIFT_RESIDUAL: f64 = 0.1;

/// The rows of one namespace: ids and unit vectors, as float32 or as codes.
///
/// It begins as float32, and says when it [is ripe](Self::is_ripe) for codes; or, with a basis from elsewhere, it holds
/// codes from the first row on.
#[derive(Debug)]
pub struct Index {
    pub(crate) dim: usize,
    pub(crate) kernel: Kernel,
    pub(crate) ids: Ids,
    pub(crate) form: Form,
    /// While a learning is under way: its number, and the ids inserted or removed since.
    pub(crate) learning: Option<(u64, HashSet<u64>)>,
}

#[derive(Debug)]
pub(crate) enum Form {
    Floats(Floats),
    Codes(Arc<Basis>, Codes),
}

impl Index {
    /// An empty index that begins as float32. `dim`: of the vectors, at least 1.
    ///
    /// # Panics
    ///
    /// When `dim` is 0.
    pub fn new(dim: usize) -> Self {
        assert!(dim > 0, "a dimension");
        Self { dim, kernel: Kernel::best(), ids: Ids::default(), form: Form::Floats(Floats::new(dim)), learning: None }
    }

    /// An empty index that holds codes under `basis` from the first row on.
    pub fn with_basis(basis: Arc<Basis>) -> Self {
        let codes = Codes::new(&basis);
        Self {
            dim: basis.dim(),
            kernel: Kernel::best(),
            ids: Ids::default(),
            form: Form::Codes(basis, codes),
            learning: None,
        }
    }

    /// Searches and encodes with another kernel than the fastest, for comparisons. Answers stay the same.
    ///
    /// `kernel`: one of [`Kernel::available`].
    pub fn use_kernel(&mut self, kernel: Kernel) {
        self.kernel = kernel;
    }

    /// The vectors' dimension.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How many rows are held.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether no row is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the row is held.
    pub fn contains(&self, id: u64) -> bool {
        self.ids.slot(id).is_some()
    }

    /// The ids held, in no order.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.ids.as_slice().iter().copied()
    }

    /// The basis of the codes; none where float32 is held.
    pub fn basis(&self) -> Option<&Arc<Basis>> {
        match &self.form {
            Form::Floats(_) => None,
            Form::Codes(basis, _) => Some(basis),
        }
    }

    /// Resident bytes, what is reserved for growth included; the basis, which indexes share, is not
    /// (see [`Basis::resident_bytes`]).
    pub fn bytes(&self) -> usize {
        let form = match &self.form {
            Form::Floats(floats) => floats.resident_bytes(),
            Form::Codes(_, codes) => codes.resident_bytes(),
        };
        let changed = self.learning.as_ref().map_or(0, |(_, changed)| 16 * changed.capacity());
        size_of::<Self>() + self.ids.resident_bytes() + form + changed
    }

    /// Makes room for `additional` rows at once, as before segments are loaded: storage that grows is copied.
    pub fn reserve(&mut self, additional: usize) {
        self.ids.reserve(additional);
        if let Form::Codes(_, codes) = &mut self.form {
            codes.reserve(additional);
        }
    }

    /// Appends a row. `vector`: unit norm, `[dim]`.
    ///
    /// Errors: `Occupied`, `Dimension`, `NotUnit`.
    pub fn insert(&mut self, id: u64, vector: &[f32]) -> Result<(), Error> {
        if self.contains(id) {
            return Err(Error::Occupied { id });
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

    /// Removes a row, and tells whether it was held.
    pub fn remove(&mut self, id: u64) -> bool {
        let Some(slot) = self.ids.swap_remove(id) else { return false };
        match &mut self.form {
            Form::Floats(floats) => floats.swap_remove(slot),
            Form::Codes(_, codes) => codes.swap_remove(slot),
        }
        self.note_change(id);
        true
    }

    pub(crate) fn note_change(&mut self, id: u64) {
        if let Some((_, changed)) = &mut self.learning {
            changed.insert(id);
        }
    }

    /// Whether float32 is held of so many rows that codes would be faster, and no learning is under way:
    /// see [`Self::begin_learning`].
    pub fn is_ripe(&self) -> bool {
        matches!(self.form, Form::Floats(_))
            && self.len() >= RIPE_ROWS
            && DIMS.contains(&self.dim)
            && self.learning.is_none()
    }

    /// Whether the rows have come to fit the basis so badly that one learned anew would rule out more of them: see
    /// [`Self::begin_relearning`]. Answers are exact all the same.
    pub fn drifted(&self) -> bool {
        match &self.form {
            Form::Floats(_) => false,
            Form::Codes(basis, codes) => {
                let excess = (codes.residual_mean() - f64::from(basis.residual_mean)) * f64::from(basis.residual_step);
                codes.len() >= DRIFT_ROWS
                    && self.learning.is_none()
                    && (codes.wild().len() * DRIFT_WILD > codes.len() || excess > DRIFT_RESIDUAL)
            }
        }
    }
}
