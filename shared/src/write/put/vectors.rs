//! The vectors of an entry that is stored, and how its row holds them.

use super::{NewEntry, NewVector};
use crate::cache::Cache;
use crate::config::IndexProjection;
use crate::embedders::{Era, RowVectors};
use crate::entry::Entry;
use crate::error::Error;
use crate::table::counter::Counter;

/// An entry's vectors, by what their embedders are to the cache: little-endian float32.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Vectors {
    pub(crate) active: Option<Vec<u8>>,
    /// Of the other embedder of a move.
    pub(crate) other: Option<Vec<u8>>,
}

impl Vectors {
    pub(crate) fn of_row(row: &Entry, counter: &Counter) -> Self {
        let of = |era| row.vectors.of(era, counter.base).map(<[u8]>::to_vec);
        Self { active: of(counter.era), other: counter.other.as_ref().and_then(|other| of(other.era)) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.active.is_none() && self.other.is_none()
    }

    /// What is missing from `others`.
    pub(crate) fn or(self, others: Self) -> Self {
        Self { active: self.active.or(others.active), other: self.other.or(others.other) }
    }
}

impl Cache {
    /// The vectors that are given, each as its maker's. With the active embedder's, another one that has become of no use, since
    /// the move was ended meanwhile, is left out.
    ///
    /// Errors, where there is no vector of the active embedder: `EmbedderMismatchError`, `EmbedderDimensionError`.
    pub(super) fn given(&self, new: &NewEntry, counter: &Counter) -> Result<Vectors, Error> {
        let mut given = Vectors::default();
        let mut useless = None;
        for NewVector { made_by, embedding } in &new.vectors {
            let maker = counter.maker(made_by.as_deref(), &self.config);
            match maker.and_then(|maker| maker.check_dim(embedding.dim()).map(|()| maker)) {
                Ok(maker) if maker.era == counter.era => given.active = Some(embedding.to_bytes()),
                Ok(_) => given.other = Some(embedding.to_bytes()),
                Err(error) => useless = Some(error),
            }
        }
        match useless {
            Some(error) if given.active.is_none() => Err(error),
            _ => Ok(given),
        }
    }

    /// `vectors` as a row holds them: the base's first. While a move is being ended, and after, there is but the active one's.
    /// `own`: what a row that is written in place says of its first vector.
    pub(crate) fn laid_out(&self, vectors: Vectors, own: Option<Era>, counter: &Counter) -> Result<RowVectors, Error> {
        let Vectors { active, other } = vectors;
        let row = match counter.other.as_ref().filter(|other| !other.ending) {
            None => {
                let own = if counter.era == counter.base { own } else { Some(counter.era) };
                RowVectors { embedding: active, own, next: None }
            }
            Some(of) if counter.era == counter.base => {
                RowVectors { embedding: active, own, next: other.map(|bytes| (of.era, bytes)) }
            }
            Some(_) => RowVectors { embedding: other, own, next: active.map(|bytes| (counter.era, bytes)) },
        };
        match row.embedding {
            Some(_) => Ok(row),
            None => Ok(RowVectors { embedding: self.absent_vector(counter)?, ..row }),
        }
    }

    /// What stands for a first vector that is not there: nothing, or, in a table shared with the Python library, which
    /// opens no table with a row without a vector, zeros, which are near nothing.
    pub(crate) fn absent_vector(&self, counter: &Counter) -> Result<Option<Vec<u8>>, Error> {
        if self.config.projection != IndexProjection::All {
            return Ok(None);
        }
        let dim = match counter.other.as_ref() {
            Some(other) if other.era == counter.base && !other.ending => Some(other.dim),
            _ => counter.dim,
        };
        match dim {
            Some(dim) => Ok(Some(vec![0; dim as usize * size_of::<f32>()])),
            None => Err(Error::invalid(
                "embedding: a table shared with the Python library needs one until its dimension is known",
                "send an embedding, or set MNEME_EMBEDDER_DIM",
            )),
        }
    }
}
